//! Lines for the server: what is typed can never be more than the text of one, and what is too long
//! becomes several.

/// The longest line with its end, as everybody else gets it (RFC 1459, 2.3).
const LINE: usize = 512;

/// The longest name of a host, and of a user with a mark that it was not proved, that servers relay:
/// assumed until ours are known.
const LONGEST_HOST: usize = 63;
const LONGEST_USER: usize = 11;

/// What a relayed line of ours begins with.
pub struct Prefix<'a> {
    /// Our nick.
    pub nick: &'a str,
    /// The length of `user@host`, if the server has told.
    pub address: Option<usize>,
}

impl Prefix<'_> {
    /// How much text fits into one line for `target`, with `wrapping` around it.
    fn room(&self, command: &str, target: &str, wrapping: usize) -> usize {
        let address = self.address.unwrap_or(LONGEST_USER + 1 + LONGEST_HOST);
        let prefix = ":".len() + self.nick.len() + "!".len() + address + " ".len();
        let around = command.len() + " ".len() + target.len() + " :".len() + "\r\n".len();
        // Whatever names they have, a character gets through.
        LINE.saturating_sub(prefix + around + wrapping).max(4)
    }

    /// The lines that say `text` to `target`, and which part of it each has.
    pub fn say<'a>(&self, target: &str, text: &'a [u8], action: bool) -> Vec<(Vec<u8>, &'a [u8])> {
        let (before, after) = if action { ("\x01ACTION ", "\x01") } else { ("", "") };
        let room = self.room("PRIVMSG", target, before.len() + after.len());
        let line = |part: &'a [u8]| {
            let text = [before.as_bytes(), &harmless(part), after.as_bytes()].concat();
            (command("PRIVMSG", &[target.as_bytes()], Some(&text)), part)
        };
        parts(text, room).map(line).collect()
    }
}

/// A line of `command`, its parameters, and a last one that may have spaces in it.
pub fn command(command: &str, parameters: &[&[u8]], text: Option<&[u8]>) -> Vec<u8> {
    let mut line = command.as_bytes().to_vec();
    for parameter in parameters {
        line.push(b' ');
        // Or the rest of the line would belong to it.
        let colons = parameter.iter().take_while(|&&byte| byte == b':').count();
        line.extend_from_slice(&harmless(&parameter[colons..]));
    }
    if let Some(text) = text {
        line.extend_from_slice(b" :");
        line.extend(text.iter().map(|&byte| if ends_lines(byte) { b' ' } else { byte }));
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Text without what ends lines, and without the mark of commands between clients (CTCP).
fn harmless(text: &[u8]) -> Vec<u8> {
    let space = |&byte: &u8| if ends_lines(byte) || byte == 1 { b' ' } else { byte };
    text.iter().map(space).collect()
}

fn ends_lines(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

/// `text` in parts of at most `most` bytes, which together are `text`. They end behind a space where
/// there is one in the second half, and never within a character.
fn parts(text: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, after) = rest.split_at(cut(rest, most));
        rest = after;
        Some(part)
    })
}

fn cut(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    if let Some(space) = text[most / 2..most].iter().rposition(|&byte| byte == b' ') {
        return most / 2 + space + 1;
    }
    // A character has at most three bytes that go on with it; more of them are no UTF-8.
    let goes_on = |at: &usize| text[*at] & 0xc0 == 0x80;
    let whole = (most.saturating_sub(3)..=most).rev().find(|at| !goes_on(at));
    whole.filter(|at| *at > 0).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Prefix<'static> = Prefix { nick: "nadia", address: Some("~nadia@localhost".len()) };

    #[test]
    fn what_is_relayed_fits_a_line_and_nothing_is_lost() {
        let texts = [
            "x".repeat(5000),
            "你好，".repeat(700),
            "🦀".repeat(999),
            "a word and ".repeat(300),
            format!("{}é", "x".repeat(460)),
            " ".repeat(2000),
        ];
        for text in &texts {
            for action in [false, true] {
                let lines = ME.say("#lab", text.as_bytes(), action);
                let mut together = Vec::new();
                for (line, part) in &lines {
                    let relayed = b":nadia!~nadia@localhost ".len() + line.len();
                    assert!(relayed <= LINE, "{relayed} bytes");
                    assert!(std::str::from_utf8(part).is_ok(), "a character is cut");
                    together.extend_from_slice(part);
                }
                assert_eq!(together, text.as_bytes());
                let fewest = text.len().div_ceil(ME.room("PRIVMSG", "#lab", 0));
                assert!(lines.len() <= 2 * fewest + 1, "{} lines for {fewest}", lines.len());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_somewhere() {
        let text = [0x80; 3000];
        let lines = ME.say("#lab", &text, false);
        assert_eq!(lines.iter().map(|(_, part)| part.len()).sum::<usize>(), 3000);
    }

    #[test]
    fn an_address_that_is_not_known_is_the_longest() {
        let text = [b'x'; 1000];
        let lines = Prefix { nick: "nadia", address: None }.say("#lab", &text, false);
        assert!(":nadia!".len() + 11 + 1 + 63 + 1 + lines[0].0.len() == LINE);
    }

    #[test]
    fn nothing_typed_ends_a_line() {
        let texts: [&[u8]; 4] = [b"hi\r\nQUIT", b"hi\nQUIT", b"hi\rQUIT\0PART", b"\x01VERSION\x01"];
        for text in texts {
            for (line, _) in ME.say("#lab\r\nQUIT", text, false) {
                let inner = &line[..line.len() - 2];
                assert!(!inner.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0 | 1)));
            }
        }
        assert_eq!(command("TOPIC", &[b"#a\n"], Some(b"b\nc")), b"TOPIC #a  :b c\r\n");
    }

    #[test]
    fn what_one_does_is_marked() {
        let lines = ME.say("#lab", b"waves", true);
        assert_eq!(lines[0].0, b"PRIVMSG #lab :\x01ACTION waves\x01\r\n");
    }
}
