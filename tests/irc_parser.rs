//! The tokenizer of IRC against the public vectors.

use std::collections::BTreeMap;

use serde_json::Value;
use socklab::service::chat::mask;
use socklab::service::chat::message::{Message, Source, unescape};

fn vectors(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/irc_parser_tests.json")).unwrap();
    all[name].as_array().expect("it is a list").clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().map(text).collect()).unwrap_or_default()
}

#[test]
fn messages_are_taken_apart_as_the_vectors_have_it() {
    let vectors = vectors("msg-split");
    assert!(vectors.len() > 30);
    for vector in vectors {
        let (line, atoms) = (text(&vector["input"]), &vector["atoms"]);
        let message = Message::parse(line.as_bytes()).expect("it has a command");
        let utf8 = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(utf8(message.command.to_vec()), text(&atoms["verb"]), "{line}");
        assert_eq!(
            message.source.map(|source| utf8(source.to_vec())).unwrap_or_default(),
            text(&atoms["source"]),
            "{line}"
        );
        let parameters: Vec<String> =
            message.parameters().iter().map(|parameter| utf8(parameter.to_vec())).collect();
        assert_eq!(parameters, texts(&atoms["params"]), "{line}");
        let tags: BTreeMap<String, String> = message
            .tags
            .iter()
            .map(|(key, value)| (utf8(key.to_vec()), utf8(unescape(value).into_owned())))
            .collect();
        let expected: BTreeMap<String, String> = match atoms["tags"].as_object() {
            Some(map) => map.iter().map(|(key, value)| (key.clone(), text(value).into())).collect(),
            None => BTreeMap::new(),
        };
        assert_eq!(tags, expected, "{line}");
    }
}

#[test]
fn sources_are_taken_apart_as_the_vectors_have_it() {
    for vector in vectors("userhost-split") {
        let atoms = &vector["atoms"];
        let source = text(&vector["source"]);
        let parts = Source::parse(source.as_bytes());
        assert_eq!(parts.nick, text(&atoms["nick"]).as_bytes(), "{source}");
        assert_eq!(parts.user, text(&atoms["user"]).as_bytes(), "{source}");
        assert_eq!(parts.host, text(&atoms["host"]).as_bytes(), "{source}");
    }
}

#[test]
fn masks_match_as_the_vectors_have_it() {
    for vector in vectors("mask-match") {
        let pattern = text(&vector["mask"]);
        for name in texts(&vector["matches"]) {
            assert!(mask::matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for name in texts(&vector["fails"]) {
            assert!(!mask::matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
}

#[test]
fn a_line_without_a_command_is_no_message() {
    for line in ["", "   ", "@tag", "@tag=x ", ":source", ":source  ", "@a :b"] {
        assert_eq!(Message::parse(line.as_bytes()), None, "{line:?}");
    }
}

#[test]
fn the_fifteenth_parameter_takes_the_rest() {
    let message = Message::parse(b"X 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 :17").unwrap();
    assert_eq!(message.parameters().len(), 15);
    assert_eq!(message.parameters()[14], b"15 16 :17");
}
