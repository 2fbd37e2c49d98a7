//! Files on their way out: whole, in parts, or not at all because the peer has them.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::digest::Asked;
use super::root::OpenFile;
use super::site::{Files, check, refusal};
use crate::service::http::conditions::{Conditions, Verdict, Version, range_holds};
use crate::service::http::ranges::{self, Ranges};
use crate::service::http::{Answer, Content, Method, Part, Pending, Reply, Request, date};

/// What a file that anybody may have left here can do in a browser: be looked at.
const SANDBOX: &str = "sandbox";

/// GET or HEAD of a file, whose name ends as `path` does.
pub(super) fn answer(
    site: &Files,
    request: &Request<'_>,
    path: &[u8],
    found: OpenFile,
) -> Result<Answer, Reply> {
    let OpenFile { file, stat } = found;
    let tag = stat.tag();
    let version = Version { tag: tag.as_str(), modified: stat.modified() };
    let described = |reply: Reply| {
        let modified = date(version.modified.min(SystemTime::now()));
        reply
            .with("ETag", format_args!("\"{tag}\""))
            .with("Last-Modified", modified)
            // Or browsers guess how long a file lasts, and show an old one meanwhile.
            .with("Cache-Control", "no-cache")
    };
    match check(&Conditions::of(request), Some(&stat)) {
        Verdict::Holds => {}
        Verdict::NotModified => {
            return Ok(Answer::Now(described(Reply::new(304, Content::None))));
        }
        Verdict::Failed => return Err(refusal(request, 412, "it is another version")),
    }
    let media = Media::of(path);
    let length = stat.len;
    let whole =
        || Reply::new(200, Content::File(file.clone(), 0..length)).with("Content-Type", &media);
    let asked = request.fields.only("Range");
    let ranges = match asked {
        Some(range)
            if request.method == Method::Get
                && range_holds(request.fields, &version, SystemTime::now()) =>
        {
            ranges::of(range, length)
        }
        _ => Ranges::Whole,
    };
    let reply = match ranges {
        Ranges::Whole => whole(),
        Ranges::Unsatisfiable => {
            let reply = refusal(request, 416, "it is shorter than that");
            return Err(described(reply.with("Content-Range", format_args!("bytes */{length}"))));
        }
        Ranges::Parts(mut parts) if parts.len() == 1 => {
            let part = parts.remove(0);
            let span = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            Reply::new(206, Content::File(file.clone(), part))
                .with("Content-Type", &media)
                .with("Content-Range", span)
        }
        Ranges::Parts(parts) => {
            let boundary = boundary();
            let mut content: Vec<Part> = parts
                .into_iter()
                .map(|range| Part {
                    before: format!(
                        "\r\n--{boundary}\r\nContent-Type: {media}\r\n\
                         Content-Range: bytes {}-{}/{length}\r\n\r\n",
                        range.start,
                        range.end - 1
                    )
                    .into_bytes(),
                    range,
                })
                .collect();
            content
                .push(Part { before: format!("\r\n--{boundary}--\r\n").into_bytes(), range: 0..0 });
            Reply::new(206, Content::Parts(file.clone(), content))
                .with("Content-Type", format_args!("multipart/byteranges; boundary={boundary}"))
        }
    };
    let mut reply =
        described(reply).with("Accept-Ranges", "bytes").with("X-Content-Type-Options", "nosniff");
    if site.settings.writable {
        reply = reply.with("Content-Security-Policy", SANDBOX);
    }
    if let Some(offset) = site.offset(request, path) {
        reply = reply.with("Upload-Offset", offset);
    }
    if !wants_digest(request) {
        return Ok(Answer::Now(reply));
    }
    if let Some(digest) = site.digests.known(&stat) {
        return Ok(Answer::Now(with_digest(reply, &digest)));
    }
    Ok(match site.digests.ask(&file, &stat) {
        // Whoever has got all of it can ask then.
        Ok(digest) if request.method == Method::Head => {
            Answer::Later(Box::new(Described { digest, reply: Some(reply) }))
        }
        _ => Answer::Now(reply),
    })
}

/// An answer that waits for the file's digest. Where there is none, because the file grows or the disk
/// fails, it says the rest.
struct Described {
    digest: Asked,
    reply: Option<Reply>,
}

impl Pending for Described {
    fn poll(&mut self) -> Option<Reply> {
        let outcome = self.digest.poll()?;
        let reply = self.reply.take()?;
        Some(match outcome {
            Ok(digest) => with_digest(reply, &digest),
            Err(_) => reply,
        })
    }
}

/// RFC 9530, 4: a dictionary of algorithms, each with a preference; 0 is none.
fn wants_digest(request: &Request<'_>) -> bool {
    request
        .fields
        .list("Want-Repr-Digest")
        .any(|wanted| wanted.strip_prefix(b"sha-256=").is_some_and(|preference| preference != b"0"))
}

/// RFC 9530, 3.
pub(super) fn with_digest(reply: Reply, digest: &[u8; 32]) -> Reply {
    reply.with("Repr-Digest", format_args!("sha-256=:{}:", BASE64_STANDARD.encode(digest)))
}

/// What is not in the file, for nobody knows it before.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The media type that a name suggests.
struct Media(mime_guess::Mime);

impl Media {
    fn of(path: &[u8]) -> Media {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let dot = name.iter().rposition(|byte| *byte == b'.');
        let extension = dot.map_or(&b""[..], |dot| &name[dot + 1..]);
        let guess = mime_guess::from_ext(&String::from_utf8_lossy(extension));
        Media(guess.first_or_octet_stream())
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.type_() == mime_guess::mime::TEXT {
            true => f.write_str("; charset=utf-8"),
            false => Ok(()),
        }
    }
}
