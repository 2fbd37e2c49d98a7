//! Each service, whatever its peer says and whatever its engine does; and the same answers however
//! the words were cut.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use socklab::service::chat::settings::{Flood, Operator, Secret};
use socklab::service::{Chargen, Chat, Discard, Echo, chat};
use socklab::session::{Output, Service};
use socklab::tls::Plain;

use super::cases;
use super::driver::{Bound, Reciter, World};
use super::guard::Guarded;
use super::script::{Script, chunks, script, sizes};
use super::words::{Words, anything, guest, irc, noise};

/// What is said besides what was received and the chunk. Nothing: it knows how much fits.
pub const NOTHING: Bound = Bound { chunks: 1, reply: 0 };

/// One line can have an answer for each of the 250 names in it.
pub const ONE_LINE: Bound = Bound { chunks: 1, reply: 64 * 1024 };

/// Does all that `script` says with one conversation, then ends it.
pub fn drive(
    service: Arc<dyn Service>,
    words: &[u8],
    script: &Script,
    chunk: usize,
    bound: Bound,
) -> Vec<u8> {
    let mut world = World::new(Arc::new(Guarded(service)), chunk, bound);
    let seat = world.sit_down(Reciter::new(words));
    for (_, step) in &script.0 {
        world.step(seat, *step);
    }
    world.finish();
    std::mem::take(&mut world.seats[seat].peer.heard)
}

/// What is answered to `words` that come in pieces of these sizes, and then to their end.
pub fn answers(
    service: Arc<dyn Service>,
    words: &[u8],
    sizes: &[usize],
    chunk: usize,
    bound: Bound,
) -> Vec<u8> {
    let mut world = World::new(Arc::new(Guarded(service)), chunk, bound);
    let seat = world.sit_down(Reciter::new(words));
    world.hear_out(seat, sizes);
    world.end(seat);
    std::mem::take(&mut world.seats[seat].peer.heard)
}

/// With an operator, and without a limit for those who talk fast.
pub fn chat_settings() -> chat::Settings {
    let root = Operator { name: "root".into(), password: Secret::new("secret") };
    chat::Settings { operators: vec![root], flood: None, ..chat::Settings::default() }
}

pub fn flooded() -> chat::Settings {
    chat::Settings { flood: Some(Flood { burst: 5, per_second: 2.0 }), ..chat_settings() }
}

/// What was heard, line by line, without what the calendar has put there. What comes out of hash
/// tables comes in any order.
pub fn lines(heard: &[u8]) -> Vec<String> {
    let text = String::from_utf8(heard.to_vec()).expect("only UTF-8 is said");
    let is_seconds = |word: &str| word.len() == 10 && word.bytes().all(|b| b.is_ascii_digit());
    let is_date = |word: &str| word.len() > 18 && word.starts_with("20") && word.ends_with('Z');
    let word = |word: &str| match word.trim_start_matches(':') {
        plain if is_seconds(plain) || is_date(plain) => "time".to_owned(),
        _ => match word.strip_prefix("@time=") {
            Some(tags) => format!("@time{}", &tags[tags.find('Z').map_or(0, |at| at + 1)..]),
            None => {
                let mut parts: Vec<&str> = word.trim_start_matches(':').split(',').collect();
                parts.sort_unstable();
                parts.join(",")
            }
        },
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text.split_terminator("\r\n").map(line).collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn echo_discard_and_chargen_keep_the_contract(
        words in noise(),
        script in script(1, 120),
        chunk in chunks(),
        plain in any::<bool>(),
    ) {
        let services: [Arc<dyn Service>; 3] = [Arc::new(Echo), Arc::new(Discard), Arc::new(Chargen)];
        let [echo, discard, chargen] = services.map(|service| match plain {
            true => Arc::new(Plain(service)),
            false => service,
        });
        let heard = drive(echo, &words, &script, chunk, NOTHING);
        prop_assert!(words.starts_with(&heard), "an echo of something else");
        prop_assert!(drive(discard, &words, &script, chunk, NOTHING).is_empty());
        drive(chargen, &words, &script, chunk, NOTHING);
    }

    #[test]
    fn echo_discard_and_chargen_answer_alike_in_every_split(
        words in anything(),
        sizes in vec(sizes(), 1..10),
        chunk in chunks(),
    ) {
        let echo = answers(Arc::new(Echo), &words, &sizes, chunk, NOTHING);
        prop_assert_eq!(Words(echo), words.clone());
        prop_assert!(answers(Arc::new(Discard), &words, &sizes, chunk, NOTHING).is_empty());
    }

    #[test]
    fn one_chat_client_keeps_the_contract(
        words in anything(),
        registers in any::<bool>(),
        script in script(1, 150),
        chunk in chunks(),
        flood in any::<bool>(),
    ) {
        let settings = if flood { flooded() } else { chat_settings() };
        let words = if registers { guest("ann", &words) } else { words };
        drive(Arc::new(Chat::new(settings)), &words, &script, chunk, ONE_LINE);
    }

    #[test]
    fn one_chat_client_is_answered_alike_in_every_split(
        words in irc(),
        registers in any::<bool>(),
        sizes in vec(sizes(), 1..10),
        chunk in chunks(),
        flood in any::<bool>(),
    ) {
        let settings = || if flood { flooded() } else { chat_settings() };
        let words = if registers { guest("ann", &words) } else { words };
        let whole =
            answers(Arc::new(Chat::new(settings())), &words, &[usize::MAX], Output::CHUNK, ONE_LINE);
        let cut = answers(Arc::new(Chat::new(settings())), &words, &sizes, chunk, ONE_LINE);
        prop_assert_eq!(lines(&cut), lines(&whole));
    }
}
