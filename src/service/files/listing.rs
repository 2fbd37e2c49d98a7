//! A directory as a page: pure text, written piece by piece, so that a listing of any length is sent
//! as fast as it is taken.
//!
//! The page fetches nothing and works without a script; who may write gets one, for uploads. The
//! [`policy`] of its answer lets exactly this script and this style run, so that a name which slips
//! through [`text::shown`] some day still does nothing. The markup is well-formed XML, too, so that
//! tests can parse it.

pub mod json;
pub mod order;
pub mod text;
mod totals;

use std::fmt::Write;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};

pub use order::{Key, Order};
pub use totals::Totals;

use super::directory::{Entry, Kind};

const STYLE: &str = include_str!("listing/page.css");

/// Between marks that are comments in JavaScript and hide `<` and `&` from XML.
const SCRIPT: &str = concat!("/*<![CDATA[*/\n", include_str!("listing/upload.js"), "/*]]>*/");

/// What the script brings to life, and what stands there without one.
const UPLOAD: &str = include_str!("listing/upload.html");

/// One page: begin, a row for each entry, end.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The directory, decoded, without a slash at either end. Nothing is the root.
    pub path: Vec<u8>,
    /// The order of its rows, which the caller puts them into.
    pub order: Order,
    /// Whether files can be left here and removed.
    pub writable: bool,
    /// What will be listed.
    pub totals: Totals,
}

impl Listing {
    /// Everything above the first entry.
    pub fn begin(&self, out: &mut Vec<u8>) {
        let names = self.names();
        let title = match names.last() {
            Some(_) => format!("/{}/", text::shown(&self.path)),
            None => "Files".into(),
        };
        let mut page = head(&title);
        page += "<header>\n<nav aria-label=\"Path\"><h1>";
        let query = self.query();
        for (place, name) in [&b"Files"[..]].iter().chain(&names).enumerate() {
            let (name, up) = (text::shown(name), names.len() - place);
            // The last is where one is, and no link.
            page += &match up {
                0 => format!("<bdi aria-current=\"page\">{name}</bdi>"),
                _ => format!(
                    "<a href=\"{}{query}\"><bdi>{name}</bdi></a>\
                     <span class=\"slash\" aria-hidden=\"true\">/</span>",
                    "../".repeat(up)
                ),
            };
        }
        let _ = write!(page, "</h1></nav>\n<p id=\"summary\">{}</p>\n</header>\n", self.summary());
        if self.writable {
            page += UPLOAD;
        }
        page += "<table id=\"entries\" aria-label=\"Entries\">\n<thead><tr>";
        for (key, label) in [(Key::Name, "Name"), (Key::Size, "Size"), (Key::Time, "Modified")] {
            page += &self.column(key, label);
        }
        if self.writable {
            page += "<td class=\"act\"></td>";
        }
        page += "</tr></thead>\n<tbody>\n";
        let columns = if self.writable { 4 } else { 3 };
        if !names.is_empty() {
            let _ = writeln!(
                page,
                "<tr class=\"up\"><td class=\"name\" colspan=\"{columns}\">\
                 <a href=\"../{query}\">Parent directory</a></td></tr>"
            );
        }
        if self.totals == Totals::default() {
            let _ = writeln!(
                page,
                "<tr class=\"empty\"><td colspan=\"{columns}\">This directory is empty.</td></tr>"
            );
        }
        out.extend_from_slice(page.as_bytes());
    }

    /// One entry.
    pub fn row(&self, entry: &Entry, out: &mut Vec<u8>) {
        let is_directory = entry.kind == Kind::Directory;
        let (class, slash) = if is_directory { ("dir", "/") } else { ("file", "") };
        // Who goes down keeps the order.
        let query = if is_directory { self.query() } else { String::new() };
        let mut row = format!(
            "<tr class=\"{class}\"><td class=\"name\"><a href=\"{}{query}\"><bdi>{}</bdi>{slash}</a></td>",
            text::href(&entry.name, is_directory),
            text::shown(&entry.name)
        );
        let _ = match entry.kind {
            Kind::Directory => write!(row, "<td class=\"size\"></td>"),
            Kind::File => write!(
                row,
                "<td class=\"size\" data-bytes=\"{}\" title=\"{}\">{}</td>",
                entry.bytes,
                text::counted(entry.bytes, "byte", "bytes"),
                text::size(entry.bytes)
            ),
        };
        let time = text::time(entry.modified, false);
        let (date, clock) = time.split_at(10);
        let clock = clock.get(1..6).unwrap_or_default();
        let _ = write!(
            row,
            "<td class=\"time\"><time datetime=\"{time}\" title=\"{time}\">{date} {clock}</time></td>"
        );
        row += if self.writable { "<td class=\"act\"></td></tr>\n" } else { "</tr>\n" };
        out.extend_from_slice(row.as_bytes());
    }

    /// Everything below the last entry.
    pub fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</tbody>\n</table>\n");
        out.extend_from_slice(b"<footer>Times are UTC. Served by socklab.</footer>\n</main>\n");
        if self.writable {
            out.extend_from_slice(format!("<script>{SCRIPT}</script>\n").as_bytes());
        }
        out.extend_from_slice(b"</body>\n</html>\n");
    }

    /// The names of the way from the root to here.
    fn names(&self) -> Vec<&[u8]> {
        self.path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect()
    }

    /// The order's query, as an attribute has it.
    fn query(&self) -> String {
        self.order.query().replace('&', "&amp;")
    }

    fn summary(&self) -> String {
        let Totals { files, directories, bytes } = self.totals;
        let mut parts = Vec::new();
        if directories > 0 {
            parts.push(text::counted(directories, "directory", "directories"));
        }
        if files > 0 || directories == 0 {
            parts.push(text::counted(files, "file", "files"));
        }
        if files > 0 {
            let exactly = text::counted(bytes, "byte", "bytes");
            parts.push(format!("<span title=\"{exactly}\">{}</span>", text::size(bytes)));
        }
        parts.join(" · ")
    }

    /// The head of a column, which is a link to the same page in another order.
    fn column(&self, key: Key, label: &str) -> String {
        let sorted = match (self.order.key == key, self.order.descending) {
            (false, _) => "",
            (true, false) => " aria-sort=\"ascending\"",
            (true, true) => " aria-sort=\"descending\"",
        };
        // The default has no query, and "" would be this page as it is.
        let query = match self.order.by(key).query() {
            query if query.is_empty() => "./".into(),
            query => query.replace('&', "&amp;"),
        };
        let class = key.word();
        format!("<th scope=\"col\" class=\"{class}\"{sorted}><a href=\"{query}\">{label}</a></th>")
    }
}

/// The start of each page, up to its content.
fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\"/>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )
}

/// The page of an error, for who asked with a browser: `404`, `Not Found`, and a sentence.
pub fn error_page(status: u16, reason: &str, detail: &str) -> Vec<u8> {
    let (reason, detail) = (text::shown(reason.as_bytes()), text::shown(detail.as_bytes()));
    let mut page = head(&format!("{status} {reason}"));
    let _ = write!(
        page,
        "<header>\n<p class=\"status\">{status}</p>\n<h1>{reason}</h1>\n</header>\n<p>{detail}</p>\n\
         <p><a href=\"/\">All files</a></p>\n</main>\n</body>\n</html>\n"
    );
    page.into_bytes()
}

/// The same for a terminal: one line.
pub fn error_text(status: u16, reason: &str, detail: &str) -> Vec<u8> {
    let line = match detail {
        "" => format!("{status} {reason}"),
        detail => format!("{status} {reason}: {detail}"),
    };
    // A name in it must not become a second line, nor paint the terminal.
    let safe = line.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter });
    safe.chain(['\n']).collect::<String>().into_bytes()
}

/// The value of `Content-Security-Policy` for these pages: their own style, the script where there is
/// one, and nothing from anywhere else.
pub fn policy(writable: bool) -> &'static str {
    static READ: OnceLock<String> = OnceLock::new();
    static WRITE: OnceLock<String> = OnceLock::new();
    let hash = |text: &str| {
        format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
    };
    let with = |script: String| {
        format!(
            "default-src 'none'; style-src {}; {script}img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash(STYLE)
        )
    };
    match writable {
        false => READ.get_or_init(|| with(String::new())),
        true => {
            WRITE.get_or_init(|| with(format!("script-src {}; connect-src 'self'; ", hash(SCRIPT))))
        }
    }
}
