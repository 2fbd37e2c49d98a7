//! What servers refuse, in words (RFC 1459, 6.1; RFC 2812, 5.2).

/// What a refusal with this number means. `about` are its parameters behind our nick; the last one is
/// the server's own text.
pub fn refusal(number: u16, about: &[String]) -> String {
    let what = match about {
        [what, _, ..] => what.as_str(),
        _ => "",
    };
    let told = about.last().map(String::as_str).unwrap_or_default();
    match number {
        401 | 406 => format!("there is nobody and no room called {what}"),
        402 => format!("there is no server {what}"),
        403 => format!("there is no room {what}; names of rooms begin with #"),
        404 => format!("{what} does not let you speak: {told}"),
        405 => format!("{what}: you are in too many rooms; /part leaves one"),
        407 => format!("{what} could be several people: {told}"),
        412 => "there was nothing to say".into(),
        413..=415 => format!("{what} is no one to talk to: {told}"),
        421 => format!("the server does not know the command {what}"),
        431 => "a name is missing: /nick NAME".into(),
        432 => format!("the server takes no nick {what}: {told}"),
        433 | 436 => format!("the nick {what} is taken; choose another one"),
        437 => format!("{what} is not to be had at the moment: {told}"),
        438 | 447 => format!("the nick stays as it is: {told}"),
        441 => match about {
            [who, room, ..] => format!("{who} is not in {room}"),
            _ => told.into(),
        },
        442 => format!("you are not in {what}; /join {what} enters it"),
        443 => match about {
            [who, room, ..] => format!("{who} is in {room} already"),
            _ => told.into(),
        },
        451 => "the server has not let you in yet".into(),
        461 => format!("something is missing for {what}"),
        464 => "the password is wrong, or one is missing".into(),
        465 => format!("you are banned: {told}"),
        471 => format!("{what} is full"),
        473 => format!("{what} is for those who were invited"),
        474 => format!("{what} has banned you"),
        475 => format!("{what} needs a key: /join {what} KEY"),
        476 | 479 => format!("{what} cannot be the name of a room"),
        477 => format!("{what} does not take you: {told}"),
        481 | 483 | 485 => format!("that is not for you: {told}"),
        482 => format!("only operators of {what} may do that"),
        _ if what.is_empty() => told.into(),
        _ => format!("{what}: {told}"),
    }
}

/// Whether this number is an answer to a JOIN that failed.
pub fn is_about_joining(number: u16) -> bool {
    matches!(number, 403 | 405 | 407 | 437 | 471 | 473..=477 | 479 | 480 | 489 | 520)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_words() {
        let told = |number, about: &[&str]| {
            refusal(number, &about.iter().map(|text| text.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(told(401, &["bob", "No such nick"]), "there is nobody and no room called bob");
        assert_eq!(told(473, &["#lab", "x"]), "#lab is for those who were invited");
        assert_eq!(told(441, &["bob", "#lab", "x"]), "bob is not in #lab");
        assert_eq!(told(499, &["#lab", "No such luck"]), "#lab: No such luck");
        assert_eq!(told(599, &["No such luck"]), "No such luck");
        assert_eq!(told(400, &[]), "");
    }
}
