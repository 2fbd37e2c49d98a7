//! One line of a client being heard: everything a command needs to look up, to note, and to answer.

use std::fmt::Display;
use std::time::Instant;

use super::capability::Capabilities;
use super::channel::Channel;
use super::hall::{Client, Hall, State, fold};
use super::letter::Letter;
use super::listing::Listing;
use super::numeric::{
    ERR_CHANOPRIVSNEEDED, ERR_NEEDMOREPARAMS, ERR_NOSUCHCHANNEL, ERR_NOSUCHNICK, ERR_NOTONCHANNEL,
};
use super::registration::Entry;
use super::voice::Voice;
use crate::session::{ConnectionId, Output};

pub struct Turn<'a> {
    pub hall: &'a Hall,
    pub state: &'a mut State,
    pub me: ConnectionId,
    pub now: Instant,
    pub voice: &'a mut Voice,
    /// What is known of a client that has not said who it is.
    pub entry: &'a mut Option<Entry>,
    /// A long answer that was begun.
    pub listing: &'a mut Option<Listing>,
    pub out: &'a mut Output,
    /// The client has heard its last line.
    pub over: &'a mut bool,
    /// Client-only tags of the line, as they are passed on.
    pub tags: &'a str,
}

impl Turn<'_> {
    /// Whoever says this line. Strangers are heard by `registration` only.
    pub fn client(&self) -> &Client {
        &self.state.clients[&self.me]
    }

    pub fn client_mut(&mut self) -> &mut Client {
        self.state.clients.get_mut(&self.me).expect("strangers are heard elsewhere")
    }

    /// How he is called in answers to him.
    pub fn nick(&self) -> &str {
        match self.state.clients.get(&self.me) {
            Some(client) => &client.nick,
            None => self.entry.as_ref().and_then(|entry| entry.nick.as_deref()).unwrap_or("*"),
        }
    }

    /// Answers with a line of the server's.
    pub fn say(&mut self, rest: impl Display) {
        let line = format!(":{} {rest}", self.hall.settings.name);
        self.say_line("", &line);
    }

    /// Answers with any line.
    pub fn say_line(&mut self, tags: &str, line: &str) {
        self.voice.say(tags, line, &self.hall.settings.name, self.out);
    }

    /// The answer is complete, unless a listing has to be gone on with.
    pub fn finish_answer(&mut self) {
        let server = &self.hall.settings.name;
        match self.listing {
            Some(_) => self.voice.open_batch(server, self.out),
            None => self.voice.finish(server, self.out),
        }
    }

    /// Answers `code nick parameters :text`.
    pub fn numeric(&mut self, code: u16, parameters: &[&str], text: impl Display) {
        let line = format!("{} :{text}", self.head(code, parameters));
        self.say(line);
    }

    /// Answers `code nick parameters`, none of which has a space.
    pub fn bare_numeric(&mut self, code: u16, parameters: &[&str]) {
        let line = self.head(code, parameters);
        self.say(line);
    }

    fn head(&self, code: u16, parameters: &[&str]) -> String {
        let mut line = format!("{code:03} {}", self.nick());
        for parameter in parameters {
            line.push(' ');
            // What cannot stand in the middle of a line must not change what the others mean.
            let stands =
                !parameter.is_empty() && !parameter.starts_with(':') && !parameter.contains(' ');
            line.push_str(if stands { parameter } else { "*" });
        }
        line
    }

    pub fn needs_more(&mut self, command: &str) {
        self.numeric(ERR_NEEDMOREPARAMS, &[command], "Not enough parameters");
    }

    /// A line that this client is the source of.
    pub fn mine(&self, rest: impl Display) -> String {
        format!(":{} {rest}", self.client().source)
    }

    /// Posts a line to those of `to` who have all of `needed`.
    pub fn post(
        &mut self,
        to: impl IntoIterator<Item = ConnectionId>,
        needed: Capabilities,
        line: &str,
    ) {
        self.state.post(to, needed, &Letter::new(line), self.out);
    }

    /// Tells a line to everybody on the channel (folded), and answers with it.
    pub fn tell_channel(&mut self, channel: &str, line: &str) {
        self.say_line("", line);
        self.state.post_to_channel(channel, self.me, &Letter::new(line), self.out);
    }

    /// The folded name of a channel that is there, or an answer that it is not.
    pub fn existing(&mut self, name: &str) -> Option<String> {
        let folded = fold(name);
        if self.state.channels.contains_key(&folded) {
            return Some(folded);
        }
        self.numeric(ERR_NOSUCHCHANNEL, &[name], "No such channel");
        None
    }

    /// The folded name of a channel that he is on, or an answer that he is not.
    pub fn joined(&mut self, name: &str) -> Option<String> {
        let folded = self.existing(name)?;
        if self.state.channels[&folded].members.contains_key(&self.me) {
            return Some(folded);
        }
        self.numeric(ERR_NOTONCHANNEL, &[name], "You're not on that channel");
        None
    }

    /// A channel by its folded name, where it was found before.
    pub fn channel_mut(&mut self, folded: &str) -> &mut Channel {
        self.state.channels.get_mut(folded).expect("it was found, and the lock was held since")
    }

    /// Whether he is an operator of the channel (folded), or an answer that he is not.
    pub fn is_operator(&mut self, folded: &str) -> bool {
        let channel = &self.state.channels[folded];
        if channel.has_operator(self.me) {
            return true;
        }
        let name = channel.name.clone();
        self.numeric(ERR_CHANOPRIVSNEEDED, &[&name], "You're not channel operator");
        false
    }

    /// Who is called `nick`, or an answer that nobody is.
    pub fn somebody(&mut self, nick: &str) -> Option<ConnectionId> {
        let found = self.state.named(nick).map(|(id, _)| id);
        if found.is_none() {
            self.numeric(ERR_NOSUCHNICK, &[nick], "No such nick/channel");
        }
        found
    }

    /// Lets him go: nobody hears from him any more, and he hears why.
    pub fn leave(&mut self, quit: &str, closing: &str) {
        let host = match self.state.clients.get(&self.me) {
            Some(client) => client.host.clone(),
            None => self.entry.as_ref().map(|entry| entry.host.clone()).unwrap_or_default(),
        };
        self.state.quit(self.me, self.me, quit, self.out);
        self.say_line("", &format!("ERROR :Closing Link: {host} ({closing})"));
        *self.over = true;
    }
}
