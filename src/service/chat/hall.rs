//! What all clients of a chat server share: who is there, under which nickname, on which channels.
//!
//! One lock guards it all. It is taken once for each line that a client says, only to look things up
//! and to note them; what is to be said is sent after it was released.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::capability::Capabilities;
use super::channel::{Channel, seconds};
use super::letter::Letter;
use super::numeric::RPL_MONOFFLINE;
use super::settings::Settings;
use crate::session::{ConnectionId, Output};

/// Who has left, for WHOWAS: as many as are remembered.
const MOST_PAST: usize = 1000;

pub struct Hall {
    pub settings: Settings,
    pub started: SystemTime,
    /// Messages so far, which numbers them.
    messages: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
pub struct State {
    pub clients: HashMap<ConnectionId, Client>,
    /// By nickname, folded.
    pub nicks: HashMap<String, ConnectionId>,
    /// By name, folded.
    pub channels: HashMap<String, Channel>,
    /// Who wants to know of whom (MONITOR), by nickname, folded.
    pub watchers: HashMap<String, BTreeSet<ConnectionId>>,
    /// Who has left, or has changed his nickname, the latest first.
    pub past: VecDeque<Past>,
    /// Connections that have not said who they are.
    pub strangers: usize,
    /// The most clients there were at once.
    pub most: usize,
    /// What the server calls itself.
    server: String,
    scratch: Vec<u8>,
}

/// Somebody who has said who he is.
pub struct Client {
    pub nick: String,
    pub user: String,
    pub host: String,
    pub realname: String,
    /// `nick!user@host`.
    pub source: String,
    pub away: Option<String>,
    pub invisible: bool,
    pub operator: bool,
    pub wallops: bool,
    pub capabilities: Capabilities,
    pub signed_on: SystemTime,
    /// When he last said something to somebody.
    pub spoke: Instant,
    /// Folded names of the channels he is on.
    pub channels: BTreeSet<String>,
    /// Folded names of those he was invited to.
    pub invited: BTreeSet<String>,
    /// Nicknames he wants to know of, folded, and as he wrote them.
    pub watched: HashMap<String, String>,
}

/// Somebody who was there.
pub struct Past {
    pub nick: String,
    pub user: String,
    pub host: String,
    pub realname: String,
    pub left: SystemTime,
}

impl Client {
    /// `+iow`, or what of it holds.
    pub fn modes(&self) -> String {
        let flags = [('i', self.invisible), ('o', self.operator), ('w', self.wallops)];
        let set = flags.into_iter().filter(|(_, on)| *on).map(|(letter, _)| letter);
        ['+'].into_iter().chain(set).collect()
    }
}

impl Past {
    pub fn of(client: &Client) -> Past {
        Past {
            nick: client.nick.clone(),
            user: client.user.clone(),
            host: client.host.clone(),
            realname: client.realname.clone(),
            left: SystemTime::now(),
        }
    }
}

impl Hall {
    pub fn new(settings: Settings) -> Hall {
        Hall {
            started: SystemTime::now(),
            messages: AtomicU64::new(0),
            state: Mutex::new(State { server: settings.name.clone(), ..State::default() }),
            settings,
        }
    }

    /// A line of somebody that panicked has harmed nothing but itself.
    pub fn enter(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for one message that no other one has (IRCv3 msgid).
    pub fn message_id(&self) -> String {
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{number:x}", seconds(self.started))
    }
}

/// Nicknames and names of channels are the same in either case (CASEMAPPING=ascii).
pub fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl State {
    /// By nickname, in any case.
    pub fn named(&self, nick: &str) -> Option<(ConnectionId, &Client)> {
        let id = self.nicks.get(&fold(nick))?;
        self.clients.get(id).map(|client| (*id, client))
    }

    /// By name, in any case.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.get(&fold(name))
    }

    /// Everybody who shares a channel with `id`, each once, and not himself.
    pub fn peers(&self, id: ConnectionId) -> BTreeSet<ConnectionId> {
        let Some(client) = self.clients.get(&id) else {
            return BTreeSet::new();
        };
        let channels = client.channels.iter().filter_map(|name| self.channels.get(name));
        let mut peers: BTreeSet<ConnectionId> =
            channels.flat_map(|channel| channel.members.keys().copied()).collect();
        peers.remove(&id);
        peers
    }

    pub fn share_channel(&self, one: ConnectionId, other: &Client) -> bool {
        other.channels.iter().any(|name| {
            self.channels.get(name).is_some_and(|channel| channel.members.contains_key(&one))
        })
    }

    /// Posts a line to those of `to` who have all of `needed`.
    pub fn post(
        &mut self,
        to: impl IntoIterator<Item = ConnectionId>,
        needed: Capabilities,
        letter: &Letter<'_>,
        out: &mut Output,
    ) {
        let mut sealed: Option<Arc<[u8]>> = None;
        for id in to {
            let has = |client: &Client| client.capabilities.have(needed);
            if needed == Capabilities::default() || self.clients.get(&id).is_some_and(has) {
                let bytes = sealed.get_or_insert_with(|| letter.seal(&mut self.scratch));
                out.post(id, bytes.clone());
            }
        }
    }

    /// Posts a line to all on `channel` but one.
    pub fn post_to_channel(
        &mut self,
        channel: &str,
        but: ConnectionId,
        letter: &Letter<'_>,
        out: &mut Output,
    ) {
        let Some(channel) = self.channels.get(channel) else {
            return;
        };
        let sealed = letter.seal(&mut self.scratch);
        for id in channel.members.keys().filter(|id| **id != but) {
            out.post(*id, sealed.clone());
        }
    }

    /// Takes a client off a channel, which ends with its last member.
    pub fn leave(&mut self, id: ConnectionId, channel: &str) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.channels.remove(channel);
        }
        let Some(left) = self.channels.get_mut(channel) else {
            return;
        };
        left.members.remove(&id);
        if left.members.is_empty() {
            for invited in self.channels.remove(channel).into_iter().flat_map(|left| left.invited) {
                if let Some(client) = self.clients.get_mut(&invited) {
                    client.invited.remove(channel);
                }
            }
        }
    }

    /// Takes a client out of everything and tells whoever shared a channel, or watched, why. What
    /// `by`, whose turn it is, hears of that comes back: nobody posts to itself.
    pub fn quit(
        &mut self,
        id: ConnectionId,
        by: ConnectionId,
        reason: &str,
        out: &mut Output,
    ) -> Vec<String> {
        let mut peers = self.peers(id);
        let Some(client) = self.clients.get(&id) else {
            return Vec::new();
        };
        let line = format!(":{} QUIT :{reason}", client.source);
        let channels = client.channels.clone();
        let shared = peers.remove(&by);
        self.post(peers, Capabilities::default(), &Letter::new(&line), out);
        let mut heard: Vec<String> = shared.then_some(line).into_iter().collect();
        for channel in channels {
            self.leave(id, &channel);
        }
        let Some(client) = self.clients.remove(&id) else {
            return heard;
        };
        for channel in &client.invited {
            if let Some(channel) = self.channels.get_mut(channel) {
                channel.invited.remove(&id);
            }
        }
        for watched in client.watched.keys() {
            self.unwatch(id, watched);
        }
        self.nicks.remove(&fold(&client.nick));
        self.remember(Past::of(&client));
        let nick = &client.nick;
        self.tell_watchers(by, RPL_MONOFFLINE, nick, nick, out);
        let watches = self.watchers.get(&fold(nick)).is_some_and(|all| all.contains(&by));
        if let Some(watcher) = self.clients.get(&by).filter(|_| watches) {
            heard.push(format!(":{} {RPL_MONOFFLINE} {} :{nick}", self.server, watcher.nick));
        }
        heard
    }

    /// Tells those who want to know of `nick`, but one.
    pub fn tell_watchers(
        &mut self,
        but: ConnectionId,
        code: u16,
        nick: &str,
        text: &str,
        out: &mut Output,
    ) {
        let watchers = self.watchers.get(&fold(nick)).into_iter().flatten();
        for id in watchers.filter(|id| **id != but) {
            if let Some(watcher) = self.clients.get(id) {
                let line = format!(":{} {code} {} :{text}", self.server, watcher.nick);
                out.post(*id, Letter::new(&line).seal(&mut self.scratch));
            }
        }
    }

    /// Notes for WHOWAS who somebody was.
    pub fn remember(&mut self, past: Past) {
        self.past.truncate(MOST_PAST - 1);
        self.past.push_front(past);
    }

    /// `id` wants to know of `nick` (folded) no more.
    pub fn unwatch(&mut self, id: ConnectionId, nick: &str) {
        if let Some(watchers) = self.watchers.get_mut(nick) {
            watchers.remove(&id);
            if watchers.is_empty() {
                self.watchers.remove(nick);
            }
        }
    }
}
