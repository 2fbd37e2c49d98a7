//! A chat with several seats: mail between them, each in a state of its own.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use socklab::service::Chat;

use super::cases;
use super::driver::{Reciter, World};
use super::guard::Guarded;
use super::script::{chunks, script};
use super::services::{ONE_LINE, chat_settings, flooded, lines};
use super::words::{Words, guest, irc};

const NICKS: [&str; 4] = ["ann", "bob", "eve", "zed"];

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_hall_keeps_the_contract(
        words in vec(irc(), 4),
        script in script(4, 300),
        chunk in chunks(),
        flood in any::<bool>(),
    ) {
        let settings = if flood { flooded() } else { chat_settings() };
        let service = Arc::new(Guarded(Arc::new(Chat::new(settings))));
        let mut world = World::new(service, chunk, ONE_LINE);
        for (nick, words) in NICKS.iter().zip(&words) {
            world.sit_down(Reciter::new(&guest(nick, words)));
        }
        for (seat, step) in script.0 {
            world.step(seat, step);
            if world.seats[seat].ended && world.seats.len() < 8 {
                // Somebody else comes, perhaps under the same name. Letters for who has left reach nobody.
                world.sit_down(Reciter::new(&guest(NICKS[seat % 4], &Words(Vec::new()))));
            }
        }
        world.finish();
        for seat in &world.seats {
            let whole = seat.peer.heard.is_empty() || seat.peer.heard.ends_with(b"\r\n");
            prop_assert!(whole, "a line is cut");
            prop_assert!(lines(&seat.peer.heard).iter().all(|line| !line.contains(['\n', '\r', '\0'])));
        }
    }
}
