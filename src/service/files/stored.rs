//! Files on their way in.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use log::info;

use super::fetched::with_digest;
use super::root::{Condition, Found};
use super::site::{Files, Job, check, condition, path, refusal, shown, tell, told};
use super::upload::{Plan, Stored, Upload};
use super::{Digests, Fault};
use crate::service::http::conditions::{Conditions, Verdict};
use crate::service::http::{Answer, Content, Intake, Pending, Reply, Request, ranges};

/// PUT: the whole file, or with Content-Range (RFC 9110, 14.5) a part that begins where what came
/// before has ended.
pub(super) fn begin(site: &Files, request: &Request<'_>) -> Result<Answer, Reply> {
    let path = path(request)?;
    if path.is_empty() || path.ends_with(b"/") {
        return Err(refusal(request, 409, "a file has a name, without a slash behind it"));
    }
    let fields = request.fields;
    if fields.list("Content-Encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(refusal(request, 415, "files are taken as they are, without Content-Encoding"));
    }
    let digest = digest(request)?;
    let length = request.length();
    let range = fields
        .only("Content-Range")
        .and_then(ranges::of_content)
        .filter(|(range, _)| length.is_none_or(|length| length == range.end - range.start));
    if range.is_none() && fields.first("Content-Range").is_some() {
        return Err(refusal(
            request,
            400,
            "the Content-Range is malformed, or not that of the body",
        ));
    }
    let conditions = Conditions::of(request);
    if !conditions.are_none() {
        let present = match site.root.find(&path) {
            Ok(Found::File(found)) => Some(found.stat),
            Ok(Found::Directory(_)) => return Err(told(request, &Fault::IsDirectory)),
            Err(Fault::Missing) => None,
            Err(fault) => return Err(told(request, &fault)),
        };
        if check(&conditions, present.as_ref()) != Verdict::Holds {
            return Err(told(request, &Fault::Precondition));
        }
    }
    let plan = Plan {
        first: range.as_ref().map(|(range, _)| range.start),
        total: range.as_ref().map(|(_, total)| *total).or(length),
        most: site.settings.max_upload,
        digest,
    };
    let upload = Upload::begin(&site.root, &path, plan, &site.disk);
    Ok(Answer::Take(Box::new(Arriving {
        upload: upload.map_err(|fault| told(request, &fault))?,
        end: range.map(|(range, total)| (range.end, range.end == total)),
        condition: condition(conditions),
        digests: site.digests.clone(),
        name: shown(&path),
    })))
}

/// The SHA-256 that the file is to have (RFC 9530, 3). Other algorithms are not checked.
fn digest(request: &Request<'_>) -> Result<Option<[u8; 32]>, Reply> {
    let named = request.fields.list("Repr-Digest").find_map(|part| part.strip_prefix(b"sha-256="));
    let Some(named) = named else {
        return Ok(None);
    };
    let text = named.strip_prefix(b":").and_then(|text| text.strip_suffix(b":"));
    let digest = text.and_then(|text| BASE64_STANDARD.decode(text).ok()?.try_into().ok());
    match digest {
        Some(digest) => Ok(Some(digest)),
        None => Err(refusal(request, 400, "the Repr-Digest is malformed")),
    }
}

struct Arriving {
    upload: Upload,
    /// Where this part ends, and whether the file does, too; `None` for a whole file.
    end: Option<(u64, bool)>,
    condition: Condition,
    digests: Digests,
    name: String,
}

impl Intake for Arriving {
    fn take(&mut self, piece: &[u8]) -> Result<(), Reply> {
        let position = self.upload.position();
        let is_more = self.end.is_some_and(|(end, _)| position + piece.len() as u64 > end);
        let taken = match is_more {
            true => Err(Fault::Conflict("more came than the Content-Range says")),
            false => self.upload.write(piece),
        };
        taken.map_err(|fault| tell(false, &fault))
    }

    fn is_ready(&mut self) -> bool {
        !self.upload.is_ahead()
    }

    fn finish(self: Box<Self>) -> Box<dyn Pending> {
        let Arriving { upload, end, condition, digests, name } = *self;
        match end {
            Some((end, _)) if upload.position() != end => {
                return Box::new(Known(Some(tell(
                    false,
                    &Fault::Conflict("less came than the Content-Range says"),
                ))));
            }
            Some((_, false)) => {
                let reply = match upload.pause() {
                    Ok(position) => Reply::text(202, format_args!("go on at byte {position}"))
                        .with("Upload-Offset", position),
                    Err(fault) => tell(false, &fault),
                };
                return Box::new(Known(Some(reply)));
            }
            _ => {}
        }
        let done = move |stored: Stored| {
            info!("stored {name}, {} bytes", stored.stat.len);
            let status = if stored.created { 201 } else { 204 };
            let content = match stored.created {
                true => Content::Bytes((&b""[..]).into()),
                false => Content::None,
            };
            let reply =
                Reply::new(status, content).with("ETag", format_args!("\"{}\"", stored.stat.tag()));
            match stored.digest {
                None => reply,
                Some(digest) => {
                    digests.learn(&stored.stat, digest);
                    with_digest(reply, &digest)
                }
            }
        };
        Box::new(Job { job: upload.finish(condition), page: false, done: Some(done) })
    }
}

/// An answer that is there already.
struct Known(Option<Reply>);

impl Pending for Known {
    fn poll(&mut self) -> Option<Reply> {
        self.0.take()
    }
}
