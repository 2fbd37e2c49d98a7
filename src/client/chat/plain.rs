//! What others say, made harmless: no byte of theirs reaches the terminal as anything but text.

/// `said` as text. Bytes that are no UTF-8 and control characters become `U+FFFD`, formatting (bold,
/// colours, as mIRC has it) falls away, and a tab is a space.
///
/// Beside the escape sequences of terminals this takes what turns the direction of writing and what
/// breaks lines elsewhere than we do: with these, a message can look like another one's.
pub fn plain(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let mut text = String::with_capacity(said.len());
    let mut rest = said.chars();
    while let Some(letter) = rest.next() {
        match letter {
            // Bold, reset, monospace, reverse, italics, strikethrough, underline.
            '\x02' | '\x0f' | '\x11' | '\x16' | '\x1d' | '\x1e' | '\x1f' => {}
            '\x03' => colour(&mut rest, 2, |letter| letter.is_ascii_digit()),
            '\x04' => colour(&mut rest, 6, |letter| letter.is_ascii_hexdigit()),
            '\t' => text.push(' '),
            letter if is_harmful(letter) => text.push(char::REPLACEMENT_CHARACTER),
            letter => text.push(letter),
        }
    }
    text
}

/// Skips the numbers of a colour: foreground, and background after a comma.
fn colour(rest: &mut std::str::Chars<'_>, most: usize, digit: impl Fn(char) -> bool) {
    let number =
        |rest: &mut std::str::Chars<'_>| (0..most).take_while(|_| skip(rest, &digit)).count();
    if number(rest) == 0 {
        return;
    }
    let mut after = rest.clone();
    if skip(&mut after, |letter| letter == ',') && number(&mut after) > 0 {
        *rest = after;
    }
}

/// Takes one character if it is `wanted`.
fn skip(rest: &mut std::str::Chars<'_>, wanted: impl Fn(char) -> bool) -> bool {
    let found = rest.clone().next().is_some_and(wanted);
    if found {
        rest.next();
    }
    found
}

fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_text_stays_as_it_is() {
        for text in ["", "hello", "你好 🦀", "naïve, 100 %", "<b>&amp;</b>", "𝓦"] {
            assert_eq!(plain(text.as_bytes()), text);
        }
    }

    #[test]
    fn formatting_falls_away() {
        let cases: [(&[u8], &str); 9] = [
            (b"\x02bold\x02 \x1ditalics\x1d \x1funder\x0f", "bold italics under"),
            (b"\x034red", "red"),
            (b"\x0304,12red on blue", "red on blue"),
            (b"\x03123 is 3 after a colour", "3 is 3 after a colour"),
            (b"\x034,then a comma", ",then a comma"),
            (b"\x03,5 is no colour", ",5 is no colour"),
            (b"\x04ff0000,00ff00hex", "hex"),
            (b"\x03\x03\x03", ""),
            (b"a\tb", "a b"),
        ];
        for (said, text) in cases {
            assert_eq!(plain(said), text, "{}", said.escape_ascii());
        }
    }

    #[test]
    fn nothing_of_any_two_bytes_is_a_control_character() {
        for first in 0..=255 {
            for second in 0..=255 {
                let text = plain(&[b'a', first, second, b'b']);
                assert!(!text.chars().any(is_harmful), "{first:#x} {second:#x}: {text:?}");
            }
        }
        assert_eq!(
            plain("\x1b]0;owned\x07\u{9b}2J\u{202e}".as_bytes()),
            "\u{fffd}]0;owned\u{fffd}\u{fffd}2J\u{fffd}"
        );
    }
}
