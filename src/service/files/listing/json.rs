//! A listing as JSON: `{"path": …, "entries": [{"name", "href", "type", "size", "modified"}]}`.
//!
//! JSON is Unicode, and names are bytes: `name` has U+FFFD for what is not UTF-8, and `href` is
//! always exact, a URL relative to the directory's. Directories have no `size`.

use serde::Serialize;

use super::Listing;
use super::entry::{Entry, Kind};
use super::text;

/// What comes before the entries.
pub fn begin(listing: &Listing, out: &mut Vec<u8>) {
    let path = format!("/{}", String::from_utf8_lossy(&listing.path));
    out.extend_from_slice(b"{\"path\": ");
    write(&path, out);
    out.extend_from_slice(b", \"entries\": [");
}

/// The entry at `place`, from 0: a comma stands before all but the first.
pub fn row(place: usize, entry: &Entry, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Row<'a> {
        name: &'a str,
        href: &'a str,
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        modified: &'a str,
    }
    let is_directory = entry.kind == Kind::Directory;
    out.extend_from_slice(if place == 0 { b"\n" } else { b",\n" });
    let row = Row {
        name: &String::from_utf8_lossy(&entry.name),
        href: &text::href(&entry.name, is_directory),
        r#type: if is_directory { "directory" } else { "file" },
        size: (!is_directory).then_some(entry.bytes),
        modified: &text::time(entry.modified, true),
    };
    write(&row, out);
}

/// What comes after the entries.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n]}\n");
}

fn write(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("text and numbers are JSON, and memory takes them");
}
