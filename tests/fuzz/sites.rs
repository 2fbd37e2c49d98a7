//! Files over HTTP.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use socklab::service::Files;
use socklab::service::files::Settings;
use socklab::service::http::{Deadlines, Http};
use socklab::session::Output;

use super::cases;
use super::driver::Bound;
use super::script::{chunks, script, sizes};
use super::services::{answers, drive};
use super::support::{pattern, tree::Tree};
use super::words::{anything, http, noise};

/// The head of an answer, with a place in it that is 8 KiB long and escaped, and a piece of a listing.
pub const ONE_ANSWER: Bound = Bound { chunks: 1, reply: 64 * 1024 };

/// Something of each kind.
pub fn furnished() -> Tree {
    let tree = Tree::new();
    tree.directory("sub/deep").directory("index");
    tree.file("small", "hello, world\n")
        .file("page", pattern(1, 5000))
        .file("large", pattern(2, 100_000))
        .file("sub/deep/x", "")
        .file("sub/<b>.txt", "x")
        .file("index/index.html", "<p>hi")
        .file("a b", "blank")
        .file(".hidden", "secret")
        .pipe("pipe");
    tree
}

pub fn read_only(tree: &Tree) -> Http {
    Files::open(&tree.at(""), Settings::default()).expect("it was made").http(Deadlines::default())
}

pub fn writable(tree: &Tree) -> Http {
    let settings = Settings { writable: true, max_upload: Some(50_000), hidden: false };
    Files::open(&tree.at(""), settings).expect("it was made").http(Deadlines::default())
}

/// What does not depend on the calendar, nor on which tree it is, nor on chance (what stands between
/// parts), nor on whether a body had come along with its head.
pub fn steady(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    let lasts = |line: &&str| {
        !["Date: ", "ETag: ", "Last-Modified: "].iter().any(|name| line.starts_with(name))
    };
    let text: String = text.split_inclusive("\r\n").filter(lasts).collect();
    let is_time = |part: &str| part.len() > 12 && part.starts_with("20") && part.contains(':');
    let mut text: String = text
        .split_inclusive(['"', '<', '>'])
        .map(|part| if is_time(part) { "time" } else { part })
        .collect();
    while let Some(at) = text.find("boundary=") {
        let boundary = text[at + 9..].lines().next().unwrap_or_default().to_owned();
        text = text.replace("boundary=", "between ").replace(&boundary, "parts");
    }
    text
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn a_site_keeps_the_contract(words in anything(), script in script(1, 150), chunk in chunks()) {
        let tree = furnished();
        drive(Arc::new(read_only(&tree)), &words, &script, chunk, ONE_ANSWER);
    }

    #[test]
    fn a_site_answers_alike_in_every_split(
        words in prop_oneof![9 => http(), 1 => noise()],
        sizes in vec(sizes(), 1..10),
        chunk in chunks(),
    ) {
        let tree = furnished();
        let site = || Arc::new(read_only(&tree));
        let whole = answers(site(), &words, &[usize::MAX], Output::CHUNK, ONE_ANSWER);
        let cut = answers(site(), &words, &sizes, chunk, ONE_ANSWER);
        prop_assert_eq!(steady(&cut), steady(&whole));
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_writable_site_keeps_the_contract(
        words in http(),
        script in script(1, 150),
        chunk in chunks(),
    ) {
        let tree = furnished();
        drive(Arc::new(writable(&tree)), &words, &script, chunk, ONE_ANSWER);
    }

    #[test]
    fn a_writable_site_answers_alike_in_every_split(
        words in http(),
        sizes in vec(sizes(), 1..10),
        chunk in chunks(),
    ) {
        let [one, other] = [furnished(), furnished()];
        let whole =
            answers(Arc::new(writable(&one)), &words, &[usize::MAX], Output::CHUNK, ONE_ANSWER);
        let cut = answers(Arc::new(writable(&other)), &words, &sizes, chunk, ONE_ANSWER);
        prop_assert_eq!(steady(&cut), steady(&whole));
        for name in ["small", "left", "sub/new"] {
            prop_assert_eq!(one.exists(name), other.exists(name), "{}", name);
            prop_assert!(!one.exists(name) || one.read(name) == other.read(name), "{}", name);
        }
    }
}
