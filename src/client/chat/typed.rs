//! What a line means that somebody types.

/// What `/help` says.
pub const HELP: &str = "\
Lines go to the room; // at the start says one /. Tab completes nicks, rooms and commands.
/join #ROOM [KEY]      enter a room, or turn to one you are in
/part [#ROOM] [WHY]    leave a room
/msg WHO TEXT          say something to one person
/me TEXT               say what you do: * you wave
/names [#ROOM]         who is there
/topic [#ROOM] [TEXT]  show or change the topic
/nick NAME             change your name
/quit [WHY]            leave; so do Ctrl-D and Ctrl-C";

/// The commands, sorted.
pub const COMMANDS: [&str; 9] =
    ["/help", "/join", "/me", "/msg", "/names", "/nick", "/part", "/quit", "/topic"];

/// A line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed<'a> {
    /// To the current room.
    Say(&'a [u8]),
    /// A room, and its key where it needs one.
    Join(&'a [u8], Option<&'a [u8]>),
    /// The rest of the line: a room or not, a reason or not.
    Part(&'a [u8]),
    /// A name.
    Nick(&'a [u8]),
    /// To whom, and what.
    Msg(&'a [u8], &'a [u8]),
    /// What one does.
    Me(&'a [u8]),
    /// A room or nothing.
    Names(&'a [u8]),
    /// The rest of the line: a room or not, a text or not.
    Topic(&'a [u8]),
    /// Why.
    Quit(&'a [u8]),
    /// What there is.
    Help,
    /// Nothing.
    Nothing,
}

/// Understands a line without its end, or says what is wrong with it.
pub fn understand(line: &[u8]) -> Result<Typed<'_>, String> {
    let Some(command) = line.strip_prefix(b"/") else {
        return Ok(if line.is_empty() { Typed::Nothing } else { Typed::Say(line) });
    };
    if command.starts_with(b"/") {
        return Ok(Typed::Say(command));
    }
    let (name, rest) = word(command);
    let (first, after) = word(rest);
    Ok(match name.to_ascii_lowercase().as_slice() {
        b"join" if first.is_empty() => return Err("a room is missing: /join #ROOM [KEY]".into()),
        b"join" => Typed::Join(first, Some(word(after).0).filter(|key| !key.is_empty())),
        b"part" => Typed::Part(rest),
        b"nick" if first.is_empty() => return Err("a name is missing: /nick NAME".into()),
        b"nick" => Typed::Nick(first),
        b"msg" if after.is_empty() => return Err("something is missing: /msg WHO TEXT".into()),
        b"msg" => Typed::Msg(first, after),
        b"me" if rest.is_empty() => return Err("a text is missing: /me TEXT".into()),
        b"me" => Typed::Me(rest),
        b"names" => Typed::Names(first),
        b"topic" => Typed::Topic(rest),
        b"quit" => Typed::Quit(rest),
        b"help" => Typed::Help,
        _ => {
            let name = super::plain(name);
            return Err(format!(
                "there is no command /{name}: /help lists them, and //{name} says it to the room"
            ));
        }
    })
}

/// A word, and what comes behind the spaces after it.
pub fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let cases: [(&str, Typed); 20] = [
            ("hello", Typed::Say(b"hello")),
            (" /quit", Typed::Say(b" /quit")),
            ("//etc/passwd", Typed::Say(b"/etc/passwd")),
            ("//", Typed::Say(b"/")),
            ("", Typed::Nothing),
            ("/join #lab", Typed::Join(b"#lab", None)),
            ("/JOIN   #lab  secret more", Typed::Join(b"#lab", Some(b"secret"))),
            ("/part", Typed::Part(b"")),
            ("/part #lab tired of it", Typed::Part(b"#lab tired of it")),
            ("/nick nadia", Typed::Nick(b"nadia")),
            ("/msg bob  hi  there ", Typed::Msg(b"bob", b"hi  there ")),
            ("/me waves", Typed::Me(b"waves")),
            ("/names", Typed::Names(b"")),
            ("/names #lab", Typed::Names(b"#lab")),
            ("/topic", Typed::Topic(b"")),
            ("/topic what we do", Typed::Topic(b"what we do")),
            ("/quit", Typed::Quit(b"")),
            ("/quit good night", Typed::Quit(b"good night")),
            ("/help me", Typed::Help),
            ("/me  //", Typed::Me(b"//")),
        ];
        for (line, typed) in cases {
            assert_eq!(understand(line.as_bytes()), Ok(typed), "{line}");
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        for line in ["/", "/join", "/nick ", "/msg", "/msg bob", "/me", "/usr/bin/env", "/\x1b[2J"]
        {
            let wrong = understand(line.as_bytes()).expect_err(line);
            assert!(!wrong.contains('\x1b') && wrong.contains('/'), "{wrong}");
        }
    }

    #[test]
    fn all_commands_have_help() {
        for command in COMMANDS.into_iter().filter(|command| *command != "/help") {
            assert!(HELP.lines().any(|line| line.starts_with(command)), "{command}");
            let line = format!("{command} a b");
            assert!(understand(line.as_bytes()).is_ok(), "{command}");
        }
    }
}
