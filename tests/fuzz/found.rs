//! What was found so, each as the shortest case of it: what a session was told, and what it owed.

use std::sync::Arc;

use socklab::service::{Chat, Echo};
use socklab::session::Output;

use super::driver::{Reciter, World};
use super::guard::Guarded;
use super::secure::{WRAPPED, tls};
use super::services::{ONE_LINE, answers, chat_settings};
use super::sites::{ONE_ANSWER, furnished, read_only, steady};
use super::words::{Words, guest};

/// The answers to `words` that come whole are those to single bytes.
fn alike(of: impl Fn(&[usize]) -> Vec<u8>) -> String {
    let [whole, cut] = [&[usize::MAX], &[1]].map(|sizes| steady(&of(sizes)));
    assert_eq!(whole, cut);
    whole
}

#[test]
fn a_head_that_is_malformed_without_the_end_of_a_line_is_refused_in_every_split() {
    let tree = furnished();
    for words in [&b"\n\r\x0b"[..], b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x7fb", b"GET /\x01", b"G\0"]
    {
        let of = |sizes: &[usize]| {
            answers(Arc::new(read_only(&tree)), words, sizes, Output::CHUNK, ONE_ANSWER)
        };
        assert!(alike(of).starts_with("HTTP/1.1 400 "), "{}", words.escape_ascii());
    }
    // What could have become a request is none.
    for words in [&b"GET /"[..], b"\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n"] {
        let of = |sizes: &[usize]| {
            answers(Arc::new(read_only(&tree)), words, sizes, Output::CHUNK, ONE_ANSWER)
        };
        assert_eq!(alike(of), "");
    }
}

#[test]
fn a_record_that_is_none_and_longer_than_any_is_refused_in_every_split() {
    // Its length is that of "VM".
    let words = [&b"PRIVMSG #a :"[..], &[b'x'; 20_000]].concat();
    let [whole, cut] = [&[usize::MAX], &[1]]
        .map(|sizes| answers(tls(Arc::new(Echo)), &words, sizes, Output::CHUNK, WRAPPED));
    // A fatal alert: decode_error.
    assert_eq!(whole, [21, 3, 3, 0, 2, 2, 50]);
    assert_eq!(whole, cut);
}

#[test]
fn who_ends_somebody_with_whom_he_shares_a_channel_posts_nothing_to_himself() {
    let kills = Words(b"MONITOR + bob\r\nOPER root secret\r\nKILL bob :spam\r\n".to_vec());
    let service = Arc::new(Guarded(Arc::new(Chat::new(chat_settings()))));
    let mut world = World::new(service, Output::CHUNK, ONE_LINE);
    let [_, killer] = [guest("bob", &Words(Vec::new())), guest("eve", &kills)].map(|words| {
        let seat = world.sit_down(Reciter::new(&words));
        world.hear_out(seat, &[usize::MAX]);
        seat
    });
    world.finish();
    let heard = String::from_utf8(world.seats[killer].peer.heard.clone()).unwrap();
    // The last line of all is that the server stops.
    let last: Vec<&str> = heard.lines().rev().skip(1).take(2).collect();
    assert_eq!(
        last,
        [":socklab.local 731 eve :bob", ":bob!bob@127.0.0.1 QUIT :Killed (eve (spam))",]
    );
}
