//! Other people's IRC clients on our chat server, and ours beside them.

mod support;

use std::net::SocketAddr;

use socklab::engine::Engine;
use support::irc::Talker;
use support::secure::Authority;
use support::stranger::Stranger;
use support::way::{Reached, Way};
use support::{PATIENCE, Process, on_both_engines};

/// `socklab server chat` in a process of its own, whose certificate an authority has signed.
struct House {
    server: Reached<Process>,
    authority: Authority,
}

impl House {
    fn plain(engine: Engine) -> House {
        House::with(engine, false)
    }

    fn secure(engine: Engine) -> House {
        House::with(engine, true)
    }

    fn with(engine: Engine, tls: bool) -> House {
        let authority = Authority::new();
        // It is read before the server is ready, and needed no more.
        let identity = authority.identity();
        let mut arguments = vec!["chat"];
        let certificate = identity.arguments();
        if tls {
            arguments.extend(certificate.iter().map(String::as_str));
        }
        House { server: Way { engine, tls }.process(&arguments), authority }
    }

    fn address(&self) -> SocketAddr {
        self.server.server.address()
    }

    fn ca(&self) -> Option<String> {
        self.server.server.fingerprint.is_some().then(|| self.authority.file())
    }

    /// Somebody in the room who follows a script.
    fn talker(&self, nick: &str) -> Talker {
        let mut talker = Talker::of(self.server.call());
        talker.register(nick);
        talker.say("JOIN #lab");
        talker.skip_to(&format!("366 {nick} #lab *"));
        talker
    }
}

fn irssi(house: &House, nick: &str) -> Stranger {
    Stranger::irssi(nick, house.address(), house.ca().as_deref())
}

fn weechat(house: &House, nick: &str) -> Stranger {
    Stranger::weechat(nick, house.address(), house.ca().as_deref())
}

fn ii(house: &House, nick: &str) -> Stranger {
    Stranger::ii(nick, house.address())
}

fn sic(house: &House, nick: &str) -> Stranger {
    Stranger::sic(nick, house.address())
}

fn ours(house: &House, nick: &str) -> Stranger {
    Stranger::ours(nick, house.address(), house.ca().as_deref())
}

fn ours_at_a_terminal(house: &House, nick: &str) -> Stranger {
    Stranger::ours_at_a_terminal(nick, house.address(), house.ca().as_deref())
}

/// All that two people do in a room, one of whom follows a script and hears every byte.
fn they_talk(house: &House, nick: &str, enter: fn(&House, &str) -> Stranger) {
    let mut tess = house.talker("tess");
    let mut stranger = enter(house, nick);
    tess.skip_to(&format!(":{nick} JOIN #lab"));

    tess.say("PRIVMSG #lab :grüß dich, 你好 🦀");
    stranger.hears("tess", "grüß dich, 你好 🦀");
    stranger.says("ça va? 再见");
    tess.skip_to(&format!(":{nick} PRIVMSG #lab :ça va? 再见"));

    tess.say("PRIVMSG #lab :\u{1}ACTION dances\u{1}");
    stranger.watches("tess", "dances");
    stranger.does("waves");
    tess.skip_to(&format!(":{nick} PRIVMSG #lab :\u{1}ACTION waves\u{1}"));

    tess.say("NICK tessa");
    stranger.sees_renamed("tess", "tessa");
    stranger.is_now("newcomer");
    tess.skip_to(&format!(":{nick} NICK newcomer"));

    let una = house.talker("una");
    stranger.sees_come("una");
    drop(una);
    stranger.sees_go("una", "");

    stranger.leaves("good night");
    tess.skip_to(":newcomer QUIT :*good night*");
}

/// The same with two of them, neither of whom follows a script. ann is there first.
fn both_talk(house: &House, ann: &str, bob: &str, seats: [fn(&House, &str) -> Stranger; 2]) {
    let mut one = seats[0](house, ann);
    let mut other = seats[1](house, bob);
    one.sees_come(bob);
    one.says("grüß dich, 你好 🦀");
    other.hears(ann, "grüß dich, 你好 🦀");
    other.says("ça va? 再见");
    one.hears(bob, "ça va? 再见");
    one.does("waves");
    other.watches(ann, "waves");
    other.does("nods");
    one.watches(bob, "nods");
    one.is_now("newcomer");
    other.sees_renamed(ann, "newcomer");
    other.leaves("good night");
    one.sees_go(bob, "good night");
    one.leaves("and lights out");
}

/// What `program` prints when `input` is piped into it. It has to end by itself.
fn pipe(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = assert_cmd::Command::new(program);
    let outcome = command.args(arguments).timeout(PATIENCE).write_stdin(input).assert().success();
    String::from_utf8(outcome.get_output().stdout.clone()).expect("only UTF-8 is said")
}

/// What one types who has no client. Lines end as the terminal ends them, without CR.
const BY_HAND: &str =
    "NICK hand\nUSER hand 0 * :by hand\nJOIN #lab\nPRIVMSG #lab :grüße\nQUIT :bye\n";

on_both_engines! {
    #[ignore = "needs irssi and script"]
    fn irssi_talks(engine) {
        they_talk(&House::plain(engine), "iris", irssi);
    }

    #[ignore = "needs irssi and script"]
    fn irssi_talks_over_tls(engine) {
        they_talk(&House::secure(engine), "iris", irssi);
    }

    #[ignore = "needs weechat-headless"]
    fn weechat_talks(engine) {
        they_talk(&House::plain(engine), "wendy", weechat);
    }

    #[ignore = "needs weechat-headless"]
    fn weechat_talks_over_tls(engine) {
        they_talk(&House::secure(engine), "wendy", weechat);
    }

    #[ignore = "needs ii"]
    fn ii_talks(engine) {
        they_talk(&House::plain(engine), "ina", ii);
    }

    #[ignore = "needs sic"]
    fn sic_talks(engine) {
        they_talk(&House::plain(engine), "sid", sic);
    }

    fn our_own_client_talks(engine) {
        they_talk(&House::plain(engine), "nadia", ours);
    }

    fn our_own_client_talks_over_tls(engine) {
        they_talk(&House::secure(engine), "nadia", ours);
    }

    #[ignore = "needs script"]
    fn our_own_client_at_a_terminal_talks(engine) {
        they_talk(&House::plain(engine), "nadia", ours_at_a_terminal);
    }

    #[ignore = "needs script"]
    fn our_own_client_at_a_terminal_talks_over_tls(engine) {
        they_talk(&House::secure(engine), "nadia", ours_at_a_terminal);
    }

    fn two_with_socklab_chat_talk(engine) {
        both_talk(&House::plain(engine), "nadia", "bob", [ours, ours]);
    }

    fn two_with_socklab_chat_talk_over_tls(engine) {
        both_talk(&House::secure(engine), "nadia", "bob", [ours, ours]);
    }

    #[ignore = "needs irssi and script"]
    fn two_people_with_irssi_and_socklab_chat_talk_over_tls(engine) {
        both_talk(&House::secure(engine), "nadia", "iris", [ours, irssi]);
        both_talk(&House::secure(engine), "iris", "nadia", [irssi, ours]);
        both_talk(&House::secure(engine), "nadia", "iris", [ours_at_a_terminal, irssi]);
        both_talk(&House::secure(engine), "iris", "nadia", [irssi, ours_at_a_terminal]);
    }

    #[ignore = "needs ncat"]
    fn ncat_talks_by_hand(engine) {
        let house = House::plain(engine);
        let mut tess = house.talker("tess");
        let port = house.address().port().to_string();
        let printed = pipe("ncat", &["127.0.0.1", &port], BY_HAND);
        assert!(printed.contains(" 001 hand :"), "{printed}");
        tess.hear(":hand JOIN #lab");
        tess.hear(":hand PRIVMSG #lab :grüße");
        tess.hear(":hand QUIT :*bye*");
    }

    #[ignore = "needs ncat"]
    fn ncat_that_says_no_more_is_answered_to_the_end(engine) {
        let house = House::plain(engine);
        let port = house.address().port().to_string();
        let printed = pipe("ncat", &["127.0.0.1", &port], "NICK a\nUSER a 0 * :a\n");
        assert!(printed.contains(" 001 a :") && printed.contains(" 422 a :"), "{printed}");
    }

    #[ignore = "needs openssl"]
    fn openssl_talks_by_hand(engine) {
        let house = House::secure(engine);
        let mut tess = house.talker("tess");
        let (address, ca) = (house.address().to_string(), house.authority.file());
        // Without -quiet it takes a Q at the beginning of a line as its own.
        let arguments = ["s_client", "-quiet", "-verify_return_error", "-CAfile", &ca];
        let connect = ["-connect", &address, "-servername", "localhost"];
        let printed = pipe("openssl", &[&arguments[..], &connect].concat(), BY_HAND);
        assert!(printed.contains(" 001 hand :"), "{printed}");
        tess.hear(":hand JOIN #lab");
        tess.hear(":hand PRIVMSG #lab :grüße");
        tess.hear(":hand QUIT :*bye*");
    }
}
