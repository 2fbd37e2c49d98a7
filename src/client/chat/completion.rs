//! What Tab completes: nicks, rooms and commands.

use super::typed::COMMANDS;

/// The names there are.
#[derive(Default)]
pub struct Names {
    /// Rooms that we are in.
    pub rooms: Vec<String>,
    /// Who is in any of them.
    pub people: Vec<String>,
}

/// Where the word begins that ends at `end`, and what it may become. Whoever is called at the
/// beginning of a line is spoken to.
pub fn complete(line: &str, end: usize, names: &Names) -> (usize, Vec<String>) {
    let begin = line[..end].rfind(' ').map_or(0, |space| space + 1);
    let word = line[begin..end].to_lowercase();
    if word.is_empty() {
        return (begin, Vec::new());
    }
    let begins = |name: &&str| name.to_lowercase().starts_with(&word);
    let all = |names: Vec<&str>, after: &str| {
        let mut names: Vec<&str> = names.into_iter().filter(begins).collect();
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup();
        names.into_iter().map(|name| format!("{name}{after}")).collect()
    };
    let texts = |names: &'_ [String]| -> Vec<String> { names.to_vec() };
    let found = match word.as_bytes()[0] {
        b'/' if begin == 0 => all(COMMANDS.to_vec(), " "),
        b'#' | b'&' => all(texts(&names.rooms).iter().map(String::as_str).collect(), " "),
        _ => {
            let after = if begin == 0 { ": " } else { " " };
            all(names.people.iter().map(String::as_str).collect(), after)
        }
    };
    (begin, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed() {
        let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        let names = Names {
            rooms: texts(&["#lab", "#library", "#other"]),
            people: texts(&["Nadia", "bob", "nadine", "nadia", "bob"]),
        };
        let cases: [(&str, usize, &[&str]); 12] = [
            ("bo", 0, &["bob: "]),
            ("NAD", 0, &["Nadia: ", "nadia: ", "nadine: "]),
            ("hi bo", 3, &["bob "]),
            ("/msg bo", 5, &["bob "]),
            ("/jo", 0, &["/join "]),
            ("/n", 0, &["/names ", "/nick "]),
            (
                "/",
                0,
                &[
                    "/help ", "/join ", "/me ", "/msg ", "/names ", "/nick ", "/part ", "/quit ",
                    "/topic ",
                ],
            ),
            ("/part #li", 6, &["#library "]),
            ("#l", 0, &["#lab ", "#library "]),
            ("a /jo", 2, &[]),
            ("", 0, &[]),
            ("hi ", 3, &[]),
        ];
        for (line, begin, found) in cases {
            assert_eq!(complete(line, line.len(), &names), (begin, texts(found)), "{line:?}");
        }
        assert_eq!(complete("é bo and more", "é bo".len(), &names), (3, texts(&["bob "])));
    }
}
