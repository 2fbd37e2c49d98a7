//! Chat clients that others have written, and ours beside them: what is typed into them, and what
//! they show.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::run::SOCKLAB;
use super::{PATIENCE, eventually};

/// Which client it is. Each wants to be talked to in its own way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Irssi,
    WeeChat,
    Ii,
    Sic,
    /// `socklab chat` in pipes.
    Ours,
    OursAtATerminal,
}

/// Somebody who uses a client, and the room `#lab`.
pub struct Stranger {
    kind: Kind,
    child: Child,
    stdin: Option<ChildStdin>,
    /// What was printed so far, a pipe each.
    printed: Vec<Arc<Mutex<Vec<u8>>>>,
    readers: Vec<JoinHandle<()>>,
    /// Kept open: a client that meets the end of its FIFO opens it anew, and may lose what is said
    /// meanwhile.
    fifos: Vec<(PathBuf, File)>,
    home: Home,
}

/// Whom to trust, for a server that speaks TLS.
pub type Trust<'a> = Option<&'a str>;

impl Stranger {
    /// irssi in a terminal.
    pub fn irssi(nick: &str, server: SocketAddr, ca: Trust) -> Stranger {
        let home = Home::new();
        // It holds back what is typed in haste, 2.2 s a line, unless told otherwise.
        let config = "servers = ();\nsettings = { core = { real_name = \"in person\"; };\n\
                      \"irc/core\" = { cmd_queue_speed = \"10msec\"; }; };\n";
        fs::write(home.path("config"), config).expect("it can be written");
        let run = format!("irssi --home={} --nick={nick} --noconnect", home.0.display());
        let mut client = Stranger::start(Kind::Irssi, &mut at_a_terminal(&run), home);
        // Before that, the terminal is not its own.
        client.shows("Irssi v*irssi.org");
        let tls = ca.map(|ca| format!("-tls -tls_verify -tls_cafile {ca} ")).unwrap_or_default();
        client.types(&format!("/connect {tls}localhost {}", server.port()));
        client.shows(&format!("Welcome to the*{nick}!"));
        client.types("/join #lab");
        client.sees_come(nick);
        client
    }

    /// WeeChat without a terminal: a FIFO takes what is typed, and files have what is shown.
    pub fn weechat(nick: &str, server: SocketAddr, ca: Trust) -> Stranger {
        let home = Home::new();
        let tls = if ca.is_some() { "-ssl" } else { "-nossl" };
        let mut weechat = Command::new("weechat-headless");
        weechat.arg("--no-connect").arg("--dir").arg(&home.0);
        // What it shows is in its files at once.
        weechat.args(["-r", "/set logger.file.flush_delay 0"]);
        if let Some(ca) = ca {
            weechat.args(["-r", &format!("/set weechat.network.gnutls_ca_user {ca}")]);
        }
        let add = format!("/server add lab localhost/{} {tls} -nicks={nick}", server.port());
        weechat.args(["-r", &add, "-r", "/connect lab"]).env("LC_ALL", "C.UTF-8");
        let mut client = Stranger::start(Kind::WeeChat, &mut weechat, home);
        client.shows(&format!("Welcome to the*{nick}!"));
        client.orders("irc.server.lab", "/join #lab");
        client.sees_come(nick);
        client
    }

    /// ii, whose rooms are folders.
    pub fn ii(nick: &str, server: SocketAddr) -> Stranger {
        let home = Home::new();
        let mut ii = Command::new("ii");
        ii.args(["-s", "127.0.0.1", "-p", &server.port().to_string(), "-n", nick, "-i"]);
        let mut client = Stranger::start(Kind::Ii, ii.arg(&home.0), home);
        client.shows(&format!("Welcome to the*{nick}!"));
        client.orders("127.0.0.1", "/j #lab");
        client.sees_come(nick);
        client
    }

    /// sic, one stream for all rooms.
    pub fn sic(nick: &str, server: SocketAddr) -> Stranger {
        let mut sic = Command::new("sic");
        sic.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-n", nick]);
        let mut client = Stranger::start(Kind::Sic, &mut sic, Home::new());
        client.shows(&format!("Welcome to the*{nick}!"));
        client.types(":j #lab");
        client.sees_come(nick);
        client
    }

    /// `socklab chat` in pipes.
    pub fn ours(nick: &str, server: SocketAddr, ca: Trust) -> Stranger {
        let mut chat = Command::new(SOCKLAB);
        chat.args(words(nick, server, ca).split(' '));
        Stranger::start_ours(Kind::Ours, nick, &mut chat)
    }

    /// The same at a terminal.
    pub fn ours_at_a_terminal(nick: &str, server: SocketAddr, ca: Trust) -> Stranger {
        let run = format!("{SOCKLAB} {}", words(nick, server, ca));
        Stranger::start_ours(Kind::OursAtATerminal, nick, &mut at_a_terminal(&run))
    }

    fn start_ours(kind: Kind, nick: &str, command: &mut Command) -> Stranger {
        command.env_remove("RUST_LOG").env_remove("SOCKLAB_CHAT_PASSWORD");
        let ours = Stranger::start(kind, command, Home::new());
        ours.shows(&format!("in #lab:*{nick}"));
        ours
    }

    fn start(kind: Kind, command: &mut Command, home: Home) -> Stranger {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it is installed");
        let stdin = child.stdin.take();
        let (stdout, out) = read(child.stdout.take().expect("it is piped"));
        let (stderr, err) = read(child.stderr.take().expect("it is piped"));
        let (printed, readers) = (vec![stdout, stderr], vec![out, err]);
        Stranger { kind, child, stdin, printed, readers, fifos: Vec::new(), home }
    }

    pub fn says(&mut self, text: &str) {
        match self.kind {
            Kind::Irssi | Kind::Sic | Kind::Ours | Kind::OursAtATerminal => self.types(text),
            Kind::WeeChat => self.orders("irc.lab.#lab", text),
            Kind::Ii => self.orders("127.0.0.1/#lab", text),
        }
    }

    /// Does something: /me, where the client knows it.
    pub fn does(&mut self, text: &str) {
        match self.kind {
            Kind::Ii | Kind::Sic => self.says(&format!("\u{1}ACTION {text}\u{1}")),
            _ => self.says(&format!("/me {text}")),
        }
    }

    pub fn is_now(&mut self, nick: &str) {
        match self.kind {
            Kind::Irssi | Kind::Ours | Kind::OursAtATerminal => {
                self.types(&format!("/nick {nick}"))
            }
            Kind::WeeChat => self.orders("irc.server.lab", &format!("/nick {nick}")),
            Kind::Ii => self.orders("127.0.0.1", &format!("/n {nick}")),
            Kind::Sic => self.types(&format!(":NICK {nick}")),
        }
    }

    pub fn leaves(&mut self, why: &str) {
        match self.kind {
            Kind::Irssi | Kind::Ours | Kind::OursAtATerminal => self.types(&format!("/quit {why}")),
            Kind::WeeChat => self.orders("core.weechat", &format!("/quit {why}")),
            Kind::Ii => self.orders("127.0.0.1", &format!("/QUIT :{why}")),
            Kind::Sic => self.types(&format!(":QUIT :{why}")),
        }
        let mut ended = None;
        eventually("the client ends", || {
            ended = self.child.try_wait().expect("it was started");
            ended.is_some()
        });
        // ii and sic call it a failure that the server closes first.
        let polite = !matches!(self.kind, Kind::Ii | Kind::Sic);
        assert!(!polite || ended.is_some_and(|status| status.success()), "{}", self.shown());
    }

    pub fn hears(&self, nick: &str, text: &str) {
        self.shows(&match self.kind {
            Kind::WeeChat => format!("{nick}\t{text}"),
            _ => format!("{nick}> {text}"),
        });
    }

    /// Sees somebody do something.
    pub fn watches(&self, nick: &str, text: &str) {
        self.shows(&match self.kind {
            Kind::WeeChat => format!(" *\t{nick} {text}"),
            Kind::Ii | Kind::Sic => format!("<{nick}> \u{1}ACTION {text}\u{1}"),
            _ => format!("* {nick} {text}"),
        });
    }

    pub fn sees_come(&self, nick: &str) {
        self.shows(&match self.kind {
            Kind::Irssi => format!("{nick} [*] has joined #lab"),
            Kind::WeeChat => format!("{nick} (*) has joined #lab"),
            Kind::Ii => format!("{nick}(*) has joined #lab"),
            Kind::Sic => format!("{nick} *>< JOIN (#lab)"),
            Kind::Ours | Kind::OursAtATerminal => format!("-- {nick} has entered #lab"),
        });
    }

    pub fn sees_renamed(&self, from: &str, to: &str) {
        self.shows(&match self.kind {
            Kind::Irssi | Kind::WeeChat => format!("{from} is now known as {to}"),
            Kind::Ii => format!("{from} changed nick to {to}"),
            Kind::Sic => format!("{from} *>< NICK (): {to}"),
            Kind::Ours | Kind::OursAtATerminal => format!("{from} is called {to} now"),
        });
    }

    pub fn sees_go(&self, nick: &str, why: &str) {
        self.shows(&match self.kind {
            Kind::Irssi => format!("{nick} [*] has quit [*{why}"),
            Kind::WeeChat => format!("{nick} (*) has quit (*{why}"),
            Kind::Ii => format!("{nick}(*) has quit \"*{why}"),
            Kind::Sic => format!("{nick} *>< QUIT (*{why}"),
            Kind::Ours | Kind::OursAtATerminal => format!("{nick} is gone (*{why}"),
        });
    }

    /// Waits for a line that has the parts of `pattern`, which `*` separates.
    #[track_caller]
    pub fn shows(&self, pattern: &str) {
        let shown = || self.shown().lines().any(|line| has_parts(line, pattern));
        let since = Instant::now();
        while !shown() {
            assert!(since.elapsed() < PATIENCE, "{pattern:?} is not in:\n{}", self.shown());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn types(&mut self, line: &str) {
        // Return is what a keyboard sends.
        let end = match self.kind {
            Kind::Irssi | Kind::OursAtATerminal => '\r',
            _ => '\n',
        };
        let stdin = self.stdin.as_mut().expect("it is piped");
        stdin.write_all(format!("{line}{end}").as_bytes()).expect("it reads");
    }

    /// Types into a FIFO: of a room (ii), or of all (WeeChat, which is told the room).
    fn orders(&mut self, place: &str, line: &str) {
        let (path, line) = match self.kind {
            Kind::Ii => (self.home.path(place).join("in"), format!("{line}\n")),
            _ => {
                let fifo = self.home.path(&format!("weechat_fifo_{}", self.child.id()));
                (fifo, format!("{place} *{line}\n"))
            }
        };
        if !self.fifos.iter().any(|(opened, _)| *opened == path) {
            let mut options = OpenOptions::new();
            // It does not wait for a reader, and is refused while there is none.
            options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
            let mut fifo = None;
            eventually("it reads its FIFO", || {
                fifo = options.open(&path).ok();
                fifo.is_some()
            });
            self.fifos.push((path.clone(), fifo.expect("it was opened")));
        }
        let fifo = self.fifos.iter_mut().find(|(opened, _)| *opened == path);
        fifo.expect("it is there").1.write_all(line.as_bytes()).expect("it is not full");
    }

    /// All that it has shown so far, without colours.
    fn shown(&self) -> String {
        let printed = self.printed.iter().map(|bytes| plain(&bytes.lock().expect("it lives")));
        let printed: String = printed.map(|text| text + "\n").collect();
        printed + &self.home.texts(|name| name == "out" || name.ends_with(".weechatlog"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The terminal is gone with script(1), and irssi leaves with it.
        self.stdin = None;
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
    }
}

/// What `socklab chat` is told. Without #, with which a shell would begin a comment.
fn words(nick: &str, server: SocketAddr, ca: Trust) -> String {
    let tls = ca.map(|ca| format!(" --tls --ca {ca}")).unwrap_or_default();
    format!("chat --port {} --nick {nick} --join lab{tls}", server.port())
}

/// A command at a terminal of 200 columns, which script(1) plays.
fn at_a_terminal(run: &str) -> Command {
    let mut script = Command::new("script");
    let run = format!("stty cols 200 rows 50; exec {run}");
    script.args(["--quiet", "--return", "--command", &run, "/dev/null"]);
    script.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh");
    script
}

fn read(mut pipe: impl Read + Send + 'static) -> (Arc<Mutex<Vec<u8>>>, JoinHandle<()>) {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let all = printed.clone();
    let reader = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut bytes) {
            all.lock().expect("nobody panics with it").extend_from_slice(&bytes[..n]);
        }
    });
    (printed, reader)
}

/// Whether `line` has the parts of `pattern` that `*` separates, in this order.
fn has_parts(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    pattern.split('*').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// What a terminal would show: without colours, and a line for each place the cursor went to.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        // CSI has parameters and one final byte (ECMA-48 §5.4); what else comes has one byte.
        match rest.next() {
            Some('[') => match rest.find(|c| ('@'..='~').contains(c)) {
                Some('m' | 'K') | None => {}
                Some(_) => plain.push('\n'),
            },
            Some('(' | ')') => drop(rest.next()),
            _ => {}
        }
    }
    plain
}

/// A folder of its own, gone with it.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chat-{}-{number}", process::id());
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&home).expect("the target folder takes folders");
        Home(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of all files that are called so.
    fn texts(&self, called: impl Fn(&str) -> bool) -> String {
        let mut texts = String::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if entry.file_name().to_str().is_some_and(&called) {
                    let bytes = fs::read(path).unwrap_or_default();
                    texts.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        texts
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
