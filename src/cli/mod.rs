//! The command line: clap lives here and nowhere else.

mod admission;
mod bench;
mod chat;
mod chat_server;
mod client;
mod encryption;
mod escaped;
mod file_server;
mod interrupt;
mod keep;
mod load;
mod logging;
mod metrics;
mod output;
mod progress;
mod reload;
mod report;
mod respawn;
mod rooms;
mod server;
mod stress;
mod tls;
mod transfer;
mod units;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use socklab::load::Failure as Unmeasured;

/// A laboratory for sockets in one binary: it serves and talks standard protocols, on one blocking
/// thread per client or on one readiness loop.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, subcommand_required = true)]
#[command(after_help = "\
Classic spelling: `socklab --mode server …` is `socklab server …`, and `socklab --mode client …` \
is `socklab client …`.

Exit status: 0 fine, 1 failed while running, 2 wrong usage, 3 wrong bytes came back or a promise was \
broken, 4 a condition of --fail-if or --slo was not met, 130 interrupted.")]
struct Cli {
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(subcommand)]
    command: Command,
}

/// How much is logged, on standard error.
#[derive(Args)]
struct Verbosity {
    /// Log more: -v for debug, -vv for trace. RUST_LOG (env_logger's syntax) overrides it
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    Server(Box<server::Server>),
    Client(client::Client),
    Chat(Box<chat::Chat>),
    Get(Box<transfer::Get>),
    Put(Box<transfer::Put>),
    Load(Box<load::Load>),
    Bench(Box<bench::Bench>),
    Stress(Box<stress::Stress>),
    Report(report::Report),
    /// Print a completion script, to be sourced by SHELL
    Completions {
        /// The shell it is for
        shell: Shell,
    },
    /// Print a manual page, to be read with `man -l -`
    Man {
        /// The page of one command instead of the overview
        #[arg(value_name = "COMMAND")]
        page: Option<String>,
    },
}

/// One line: what was attempted, why it failed, what to do. Exit status 1.
type Failure = Box<dyn std::error::Error>;

/// Bytes came back that were not sent.
const WRONG_BYTES: u8 = 3;

/// A condition of `--fail-if` or `--slo` was not met.
const CONDITION: u8 = 4;

/// The exit status after Ctrl-C, as shells have it: 128 and the number of the signal.
const INTERRUPTED: u8 = 130;

/// A failure with an exit status of its own. Its text may be empty where all was said already.
#[derive(Debug)]
struct Exit {
    status: u8,
    text: String,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Exit {}

/// A measurement that has no result, with its exit status.
fn unmeasured(failure: Unmeasured) -> Failure {
    match failure {
        Unmeasured::Wrong(text) => Exit { status: WRONG_BYTES, text }.into(),
        Unmeasured::Failed(text) => text.into(),
    }
}

/// Says what cannot be had together, or not alone, as clap says it, and exits with status 2.
fn misused(command: &str, contradiction: impl std::fmt::Display) -> ! {
    let mut cli = Cli::command();
    cli.build();
    let command = cli.find_subcommand_mut(command).expect("it is the one that runs");
    command.error(ErrorKind::ArgumentConflict, contradiction).exit()
}

/// Parses, runs, and returns the exit status.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|name| name == keep::NAME) {
        return keep::main(args.into_iter().skip(1));
    }
    let cli = Cli::parse_from(modern(args));
    let explain = matches!(&cli.command, Command::Server(server) if server.explain);
    logging::start(&cli.verbosity, explain);
    let outcome = match cli.command {
        Command::Server(server) => server.run(),
        Command::Client(client) => client.run(),
        Command::Chat(chat) => chat.run(),
        Command::Get(get) => get.run(),
        Command::Put(put) => put.run(),
        Command::Load(load) => load.run(),
        Command::Bench(bench) => bench.run(),
        Command::Stress(stress) => stress.run(),
        Command::Report(report) => report.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "socklab", &mut script);
            print(&script)
        }
        Command::Man { page } => manual(page.as_deref()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.to_string().is_empty() {
                // Nobody is left to tell when standard error is gone, too.
                let _ = writeln!(io::stderr(), "socklab: {failure}");
            }
            failure
                .downcast_ref::<Exit>()
                .map_or(ExitCode::FAILURE, |exit| ExitCode::from(exit.status))
        }
    }
}

/// The classic spelling in today's: `--mode server`, wherever it stands, becomes the command
/// `server`.
fn modern(mut args: Vec<OsString>) -> Vec<OsString> {
    let named = args.get(1).and_then(|arg| arg.to_str());
    if named.is_some_and(|name| Cli::command().find_subcommand(name).is_some()) {
        return args;
    }
    let Some(at) = args
        .iter()
        .position(|arg| arg == "--mode" || arg.as_encoded_bytes().starts_with(b"--mode="))
    else {
        return args;
    };
    let flag = args.remove(at);
    let mode = match flag.to_string_lossy().strip_prefix("--mode=") {
        Some(mode) => OsString::from(mode),
        None if at < args.len() => args.remove(at),
        None => OsString::new(),
    };
    if mode != "server" && mode != "client" {
        let message = match mode.is_empty() {
            true => "--mode needs a value: server or client".into(),
            false => format!("--mode is server or client, not {mode:?}"),
        };
        Cli::command().error(ErrorKind::InvalidValue, message).exit();
    }
    args.insert(1.min(args.len()), mode);
    args
}

fn manual(page: Option<&str>) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let command = match page {
        None => &command,
        Some(name) => command.find_subcommand(name).unwrap_or_else(|| {
            let message = format!("there is no command {name:?}; `socklab --help` lists them");
            Cli::command().error(ErrorKind::InvalidValue, message).exit()
        }),
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut roff)?;
    print(&roff)
}

/// Writes to standard output. A reader who has seen enough (`| head`) is no failure.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        _ => Ok(()),
    }
}
