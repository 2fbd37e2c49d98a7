//! The binary run to its end or signalled before, and what it may leave: files and processes.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use clap::ValueEnum;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::Value;

use super::eventually;

pub const SOCKLAB: &str = env!("CARGO_BIN_EXE_socklab");

/// The command of a server that is this test program again: its test `test` alone, told by its
/// environment what it is, and by `SERVER_PORT` where. What stands behind the command is a comment to
/// the shell.
pub fn again(test: &str, environment: &[(&str, &str)]) -> String {
    let told: String = environment.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let program = std::env::current_exe().expect("it runs");
    format!(
        "exec env{told} SERVER_PORT={{port}} '{}' --exact {test} --nocapture #",
        program.display()
    )
}

/// Where it listens that was started so.
pub fn own_listener() -> TcpListener {
    let port = std::env::var("SERVER_PORT").expect("it is told").parse().expect("a number");
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free")
}

/// What the environment calls one of an enum, and the other way round.
pub fn name(one: impl ValueEnum) -> String {
    one.to_possible_value().expect("none is hidden").get_name().to_owned()
}

/// The one that the variable `name` of the environment names, where it is set.
pub fn named<T: ValueEnum>(name: &str) -> Option<T> {
    let one = std::env::var(name).ok()?;
    Some(T::from_str(&one, false).expect("it is one of them"))
}

/// Its exit status, -1 if a signal ended it, what it printed, and what it complained about.
pub type Ending = (i32, String, String);

/// The binary with these arguments, which ends by itself within [`super::PATIENCE`].
pub fn socklab(arguments: &[&str]) -> Ending {
    Running::start(arguments).end()
}

/// What a command prints that succeeds.
#[track_caller]
pub fn printed(arguments: &[&str]) -> String {
    let (code, printed, complaint) = socklab(arguments);
    assert_eq!(code, 0, "{arguments:?}: {complaint}");
    printed
}

/// Exit status 1, and one line that has all of `parts`.
#[track_caller]
pub fn fails_in_one_line(arguments: &[&str], parts: &[&str]) {
    failed_in_one_line(&socklab(arguments), parts);
}

#[track_caller]
pub fn failed_in_one_line((code, printed, complaint): &Ending, parts: &[&str]) {
    assert_eq!((*code, printed.as_str()), (1, ""), "{complaint}");
    assert!(complaint.starts_with("socklab: ") && complaint.lines().count() == 1, "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "{part:?} is not in {complaint}");
    }
}

/// A run that goes on beside the test, killed when it is dropped.
pub struct Running {
    pub child: Child,
    /// What it prints, and what it complains about: read at once, so that it never waits for us.
    pipes: Vec<JoinHandle<String>>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Running {
        let mut command = Command::new(SOCKLAB);
        command.args(arguments).env_remove("RUST_LOG");
        Running::spawn(&mut command)
    }

    pub fn spawn(command: &mut Command) -> Running {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = read(child.stdout.take().expect("it is piped"));
        let stderr = read(child.stderr.take().expect("it is piped"));
        Running { child, pipes: vec![stdout, stderr] }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it was not waited for");
    }

    /// Waits for its end, [`super::PATIENCE`] at most.
    pub fn end(mut self) -> Ending {
        eventually("it ends", || self.child.try_wait().expect("it is a child").is_some());
        self.outlast()
    }

    /// Waits for its end, however long that takes.
    pub fn outlast(mut self) -> Ending {
        let status = self.child.wait().expect("it is a child");
        eventually("nobody holds its pipes", || self.pipes.iter().all(JoinHandle::is_finished));
        let mut texts = self.pipes.drain(..).map(|pipe| pipe.join().expect("it printed UTF-8"));
        let mut text = || texts.next().expect("there are two pipes");
        (status.code().unwrap_or(-1), text(), text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("it is UTF-8");
        text
    })
}

/// `command`, by way of a program that runs it.
pub fn by(program: &[&str], command: &Command) -> Command {
    let mut by = Command::new(program[0]);
    by.args(&program[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => by.env(name, value),
            None => by.env_remove(name),
        };
    }
    by
}

/// A file that is gone when this is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A path where nothing is yet.
    pub fn file(name: &str) -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("socklab-test-{}-{number}-{name}", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }

    pub fn holding(text: &str) -> Scratch {
        let file = Scratch::file("held.json");
        fs::write(&file.0, text).expect("there is space");
        file
    }

    pub fn of(document: &impl Serialize) -> Scratch {
        Scratch::holding(&serde_json::to_string(document).expect("it has a JSON form"))
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("it is UTF-8")
    }

    pub fn read(&self) -> String {
        fs::read_to_string(&self.0).expect("it was written")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A server command that can be told from all others, and how.
pub struct Marked {
    marker: String,
    pub command: String,
}

impl Marked {
    pub fn echo(engine: &str) -> Marked {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Part of the server's own command line, which a shell may have made way for.
        let marker = format!("{}.{number:03}s", std::process::id());
        let command = format!(
            "socklab server --engine {engine} --host 127.0.0.1 --port {{port}} -q --idle-timeout \
             {marker}"
        );
        Marked { marker, command }
    }

    /// Command lines of the living that have the marker in it.
    pub fn processes(&self) -> Vec<String> {
        self.living().into_iter().map(|(_, line)| line).collect()
    }

    /// Its servers, not counting shells, keepers and whoever started them.
    pub fn servers(&self) -> Vec<Pid> {
        let is_server = |line: &str| line.contains("socklab\0server\0");
        let living = self.living().into_iter();
        living.filter(|(_, line)| is_server(line)).map(|(pid, _)| pid).collect()
    }

    fn living(&self) -> Vec<(Pid, String)> {
        let processes = fs::read_dir("/proc").expect("it is Linux").filter_map(|entry| {
            let path = entry.ok()?.path();
            let line = fs::read_to_string(path.join("cmdline")).ok()?;
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            line.contains(&self.marker).then_some((Pid::from_raw(pid), line))
        });
        processes.collect()
    }
}

#[track_caller]
pub fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
pub fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no array"))
}
