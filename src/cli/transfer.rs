//! `socklab get` and `socklab put`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use log::{Level, log_enabled};
use socklab::client::transfer::{self, Agent, Destination, Done, Error, Source, Url, Watch};

use super::client::connector;
use super::progress::Progress;
use super::tls::Trust;
use super::{Exit, Failure, WRONG_BYTES, interrupt, misused, units};

/// How long a server may take to connect, and to do anything at all: disks sync, and are woken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetch files over HTTP, resumed and checked
///
/// A file comes beside its place, as FILE.part, and appears under its name all at once, when it is
/// whole and on the disk; one that was there before is replaced then, and not before. After an
/// interruption, whatever it was, the same command goes on where the part ends, if the server still
/// has the same file (by its ETag, or the time of its last change); FILE.part.json remembers which.
///
/// Where the server tells the SHA-256 of a file (RFC 9530, as `socklab server files` does), what
/// came is compared with it: the exit status is 3 if it differs, and the part is removed. With other
/// servers its length is all that is checked.
///
/// Redirects are followed, but never out of TLS. A URL without http:// or https:// is meant with
/// http://. -q leaves out the line that is printed for each file.
#[derive(Args)]
#[command(override_usage = "socklab get [OPTIONS] URL [FILE]\n       \
                            socklab get [OPTIONS] --into DIR URL...")]
pub struct Get {
    /// What to fetch, as in http://localhost:8000/notes.txt
    url: String,
    /// Where it goes: a file, a directory, or - for standard output [default: here, under the name
    /// in the URL]. With --into, more URLs
    #[arg(value_name = "FILE")]
    rest: Vec<OsString>,
    /// Put all files into DIR, under the names in their URLs
    #[arg(short = 'd', long, value_name = "DIR")]
    into: Option<PathBuf>,
    #[command(flatten)]
    way: Way,
}

/// Leave files on a server over HTTP, resumed and checked
///
/// Each file goes to URL, or below it under its own name if URL ends in a slash. The server is told
/// its SHA-256 ahead (RFC 9530), and one like `socklab server files` keeps the file only if it has
/// come as it was. After an interruption the same command goes on where such a server has it. Others
/// are sent all of it.
///
/// A server that refuses is believed before the file is sent (Expect: 100-continue), and while it
/// is. - is standard input, which is sent as it comes, and cannot be gone on with.
///
/// The exit status is 3 if the server says afterwards that it has other bytes than were sent.
#[derive(Args)]
#[command(override_usage = "socklab put [OPTIONS] FILE... URL")]
pub struct Put {
    /// What to send: files, or - for standard input; then where, as in http://localhost:8000/in/
    #[arg(value_name = "FILE", num_args = 2.., required = true)]
    files: Vec<OsString>,
    #[command(flatten)]
    way: Way,
}

/// How the server is reached.
#[derive(Args)]
struct Way {
    /// How long to wait for a connection, and for a server that does nothing [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    timeout: Option<Duration>,
    #[command(flatten)]
    trust: Trust,
}

impl Get {
    /// Fetches, and returns when all is there.
    pub fn run(self) -> Result<(), Failure> {
        let first = url("get", &self.url);
        let mut jobs: Vec<(Url, Option<PathBuf>)> = Vec::new();
        match &self.into {
            Some(folder) => {
                if !folder.is_dir() {
                    return Err(
                        format!("{} is no directory; make it first", folder.display()).into()
                    );
                }
                let more = self.rest.iter().map(|text| url("get", &text.to_string_lossy()));
                for url in std::iter::once(first).chain(more) {
                    let place = below(folder, &url)?;
                    if jobs.iter().any(|(_, taken)| taken.as_ref() == Some(&place)) {
                        misused("get", format!("two URLs are for {}", place.display()));
                    }
                    jobs.push((url, Some(place)));
                }
            }
            None => match &self.rest[..] {
                [] => jobs.push((first.clone(), Some(below(Path::new(""), &first)?))),
                [file] if file.to_string_lossy().contains("://") => misused(
                    "get",
                    "the second argument is a file; for several URLs: socklab get --into DIR URL...",
                ),
                [file] if file == "-" => jobs.push((first, None)),
                [file] => {
                    let place = PathBuf::from(file);
                    let slash = file.as_encoded_bytes().ends_with(b"/");
                    let folder = slash || place.is_dir();
                    let place = if folder { below(&place, &first)? } else { place };
                    jobs.push((first, Some(place)));
                }
                _ => misused("get", "for several URLs: socklab get --into DIR URL..."),
            },
        }
        self.way.run("get", jobs.iter().map(|(url, _)| url), &jobs, |agent, (url, place)| {
            let to = match place {
                None => transfer::stdout()?,
                Some(place) => Destination::at(place.clone())?,
            };
            agent.get(url, to)
        })
    }
}

impl Put {
    /// Sends, and returns when the server has all.
    pub fn run(mut self) -> Result<(), Failure> {
        let last = self.files.pop().expect("clap demands two");
        let there = url("put", &last.to_string_lossy());
        if self.files.len() > 1 && !there.is_folder() {
            misused("put", format!("several files need a URL that ends in a slash: {there}/"));
        }
        let mut jobs: Vec<(PathBuf, Url)> = Vec::new();
        for file in self.files.drain(..).map(PathBuf::from) {
            let to = match (there.is_folder(), file.file_name()) {
                (false, _) => there.clone(),
                (true, _) if file.as_os_str() == "-" => {
                    misused("put", "standard input has no name; write one at the end of the URL")
                }
                (true, Some(name)) => there.with_name(name.as_encoded_bytes()),
                (true, None) => misused("put", format!("{} is no file", file.display())),
            };
            if jobs.iter().any(|(_, taken)| *taken == to) {
                misused("put", format!("two files are for {to}"));
            }
            jobs.push((file, to));
        }
        self.way.run("put", std::iter::once(&there), &jobs, |agent, (file, to)| {
            let source = match file.as_os_str() == "-" {
                true => transfer::stdin()?,
                false => Source::at(file.clone())?,
            };
            agent.put(source, to).map(Some)
        })
    }
}

impl Way {
    /// Does all `jobs`, in their order, on one connection as far as possible. What fails for one file
    /// does not keep the others from coming; what fails for the server does.
    fn run<'a, Job>(
        &self,
        command: &str,
        mut urls: impl Iterator<Item = &'a Url>,
        jobs: &[Job],
        mut transfer: impl FnMut(&mut Agent, &Job) -> Result<Option<Done>, Error>,
    ) -> Result<(), Failure> {
        // Nobody should believe that they are safe.
        if let (false, Some(option)) = (urls.any(|url| url.tls), self.trust.given()) {
            misused(command, format!("{option} needs https:// in the URL"));
        }
        let watch = Arc::new(Watch::default());
        let progress = Progress::of_transfer(&watch);
        let (erase, interrupted) = (progress.eraser(), watch.clone());
        interrupt::end_with(move || {
            erase();
            let _ = writeln!(io::stderr(), "socklab: interrupted; {}", interrupted.advice());
        })?;
        let trust = self.trust.clone();
        let trust = move || connector(&trust).map_err(|failure| failure.to_string());
        let mut agent = Agent::new(trust, self.timeout.unwrap_or(PATIENCE), watch);
        let mut worst = None;
        for (index, job) in jobs.iter().enumerate() {
            let failure = match transfer(&mut agent, job) {
                Ok(Some(done)) if log_enabled!(Level::Info) => {
                    progress.leave(&done.to_string());
                    continue;
                }
                Ok(_) => continue,
                Err(failure) => failure,
            };
            let status = if failure.is_wrong_bytes() { WRONG_BYTES } else { 1 };
            worst = worst.max(Some(status));
            let left = jobs.len() - index - 1;
            let untried = match left {
                0 => String::new(),
                _ if failure.concerns_one_file() => String::new(),
                1 => "; the last file was not tried".into(),
                _ => format!("; the last {left} files were not tried"),
            };
            progress.leave(&format!("socklab: {failure}{untried}"));
            if !failure.concerns_one_file() {
                break;
            }
        }
        match worst {
            None => Ok(()),
            // All was said already.
            Some(status) => Err(Exit { status, text: String::new() }.into()),
        }
    }
}

fn url(command: &str, text: &str) -> Url {
    text.parse().unwrap_or_else(|why| misused(command, format!("{text:?} is not a URL: {why}")))
}

/// Where the file of `url` goes in `folder`.
fn below(folder: &Path, url: &Url) -> Result<PathBuf, Failure> {
    match url.file_name() {
        Some(name) => Ok(folder.join(name)),
        None => Err(format!(
            "{url} has no name of a file in it; say where it goes: socklab get URL FILE"
        )
        .into()),
    }
}
