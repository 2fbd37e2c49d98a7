//! Answers that are as long as the place is large: LIST, WHO and NAMES of everything. They are given
//! as far as the client takes them, and gone on with when it has, so that nobody's answer fills the
//! server. What is listed is settled at the question; who has left since is passed over.

use std::vec::IntoIter;

use super::hall::fold;
use super::mask;
use super::numeric::{RPL_ENDOFNAMES, RPL_ENDOFWHO, RPL_LIST, RPL_LISTEND, RPL_LISTSTART};
use super::rooms::{names_of, targets};
use super::turn::Turn;
use super::who::{self, Asked};
use crate::session::ConnectionId;

pub enum Listing {
    /// Folded names of channels, and what was asked.
    Names(IntoIter<String>, String),
    /// Folded names of channels, and which of them are wanted.
    Channels(IntoIter<String>, Vec<Filter>),
    Who(IntoIter<ConnectionId>, Asked),
}

/// A condition of LIST (ELIST=MNU). All have to hold; of the masks one does.
pub enum Filter {
    More(usize),
    Fewer(usize),
    Like(String),
    Unlike(String),
}

impl Filter {
    fn parse(text: &str) -> Filter {
        let number = |text: &str| text.parse().ok();
        if let Some(least) = text.strip_prefix('>').and_then(number) {
            Filter::More(least)
        } else if let Some(most) = text.strip_prefix('<').and_then(number) {
            Filter::Fewer(most)
        } else {
            match text.strip_prefix('!') {
                Some(mask) => Filter::Unlike(mask.into()),
                None => Filter::Like(text.into()),
            }
        }
    }
}

pub fn list(turn: &mut Turn, parameters: &[&str]) {
    let filters: Vec<Filter> =
        targets(parameters.first().copied().unwrap_or_default()).map(Filter::parse).collect();
    turn.numeric(RPL_LISTSTART, &["Channel"], "Users  Name");
    // A client that names a channel gets that one, and nothing is looked through for it.
    let named = |filter: &Filter| match filter {
        Filter::Like(name) if !name.contains(['*', '?']) => Some(fold(name)),
        _ => None,
    };
    let names: Vec<String> = match filters.iter().map(named).collect::<Option<Vec<String>>>() {
        Some(names) if !names.is_empty() => names,
        _ => turn.state.channels.keys().cloned().collect(),
    };
    *turn.listing = Some(Listing::Channels(names.into_iter(), filters));
}

/// Goes on with the listing that was begun, as far as the client takes it.
pub fn go_on(turn: &mut Turn) {
    let Some(mut listing) = turn.listing.take() else {
        return;
    };
    while !turn.out.is_full() {
        let more = match &mut listing {
            Listing::Names(names, asked) => match names.next() {
                Some(name) => {
                    name_members(turn, &name);
                    true
                }
                None => {
                    turn.numeric(RPL_ENDOFNAMES, &[asked], "End of /NAMES list");
                    false
                }
            },
            Listing::Channels(names, filters) => match names.next() {
                Some(name) => {
                    list_one(turn, &name, filters);
                    true
                }
                None => {
                    turn.numeric(RPL_LISTEND, &[], "End of /LIST");
                    false
                }
            },
            Listing::Who(ids, asked) => match ids.next() {
                Some(id) => {
                    who::tell(turn, id, asked);
                    true
                }
                None => {
                    turn.numeric(RPL_ENDOFWHO, &[&asked.mask], "End of /WHO list");
                    false
                }
            },
        };
        if !more {
            return;
        }
    }
    *turn.listing = Some(listing);
}

fn name_members(turn: &mut Turn, name: &str) {
    let channel = turn.state.channels.get(name);
    if channel.is_some_and(|channel| channel.is_visible_to(turn.me)) {
        names_of(turn, name);
    }
}

fn list_one(turn: &mut Turn, name: &str, filters: &[Filter]) {
    let Some(channel) = turn.state.channels.get(name) else {
        return;
    };
    let members = channel.members.len();
    let matches = |mask: &str| mask::matches(mask.as_bytes(), channel.name.as_bytes());
    let is_wanted = filters.iter().all(|filter| match filter {
        Filter::More(least) => members > *least,
        Filter::Fewer(most) => members < *most,
        Filter::Unlike(mask) => !matches(mask),
        Filter::Like(_) => true,
    });
    let mut masks = filters.iter().filter_map(|filter| match filter {
        Filter::Like(mask) => Some(mask),
        _ => None,
    });
    let is_like = masks.clone().next().is_none() || masks.any(|mask| matches(mask));
    if !is_wanted || !is_like || !channel.is_visible_to(turn.me) {
        return;
    }
    let name = channel.name.clone();
    let topic = channel.topic.as_ref().map(|topic| topic.text.clone()).unwrap_or_default();
    turn.numeric(RPL_LIST, &[&name, &members.to_string()], topic);
}
