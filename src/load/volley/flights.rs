//! A client's datagrams on their way, and those that were given up.
//!
//! Every number below the next one is in flight, lost, or has been answered; so what is neither in
//! flight nor lost is known to have been answered, however long ago, and nothing else is kept.

use std::collections::VecDeque;

/// Lost numbers that are remembered, to tell an answer that is late from one that comes twice. Who
/// loses more before the first of their answers comes has no figures worth telling apart.
const REMEMBERED: usize = 4096;

/// Both in order of their numbers, which is that of time.
#[derive(Debug, Default)]
pub struct Flights {
    flying: VecDeque<Flight>,
    lost: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    number: u64,
    begun: u64,
}

impl Flights {
    /// A datagram leaves. Numbers only grow.
    pub fn begin(&mut self, number: u64, now: u64) {
        self.flying.push_back(Flight { number, begun: now });
    }

    /// The datagram is answered: says when it was begun, if it was in flight.
    pub fn land(&mut self, number: u64) -> Option<u64> {
        let front = self.flying.front()?;
        if front.number == number {
            return self.flying.pop_front().map(|flight| flight.begun);
        }
        let place = self.flying.binary_search_by_key(&number, |flight| flight.number).ok()?;
        self.flying.remove(place).map(|flight| flight.begun)
    }

    /// The number of the one that has been on its way longest.
    pub fn oldest(&self) -> Option<u64> {
        self.flying.front().map(|flight| flight.number)
    }

    /// Those begun before this time are lost; says how many.
    pub fn give_up(&mut self, before: u64) -> u64 {
        let mut lost = 0;
        while let Some(flight) = self.flying.pop_front_if(|flight| flight.begun < before) {
            if self.lost.len() == REMEMBERED {
                self.lost.pop_front();
            }
            self.lost.push_back(flight.number);
            lost += 1;
        }
        lost
    }

    /// Whether the datagram was lost. It is not any more: another answer to it comes twice.
    pub fn was_lost(&mut self, number: u64) -> bool {
        let place = self.lost.binary_search(&number);
        place.is_ok_and(|place| self.lost.remove(place).is_some())
    }

    /// Forgets all, and says how many were in flight.
    pub fn clear(&mut self) -> usize {
        let flying = self.flying.len();
        self.flying.clear();
        self.lost.clear();
        flying
    }

    pub fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_lands_once_in_any_order() {
        let mut flights = Flights::default();
        for number in 5..9 {
            flights.begin(number, 10 * number);
        }
        assert_eq!(flights.oldest(), Some(5));
        assert_eq!(
            [7, 5, 7, 4, 9].map(|number| flights.land(number)),
            [Some(70), Some(50), None, None, None]
        );
        assert_eq!(flights.land(6), Some(60));
        assert_eq!(flights.clear(), 1);
        assert!(flights.is_empty());
    }

    #[test]
    fn what_was_given_up_is_late_once() {
        let mut flights = Flights::default();
        for number in 0..4 {
            flights.begin(number, 10 * number);
        }
        assert_eq!(flights.land(1), Some(10));
        assert_eq!(flights.give_up(30), 2);
        assert_eq!(
            [0, 1, 2, 2, 3].map(|number| flights.was_lost(number)),
            [true, false, true, false, false]
        );
        assert_eq!(flights.land(3), Some(30));
    }
}
