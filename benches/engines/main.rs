//! The engines against each other and against rivals, by server CPU time per message.
//!
//! `cargo bench --bench engines` runs everything, in less than three minutes;
//! `cargo bench --bench engines -- churn pipelined` runs the workloads with such names. An argument
//! `NAME=COMMAND` adds a rival: a server that prints `listening on ADDRESS` on its first line.
//! Without `--bench`, as under `cargo test --benches`, everything runs for a moment only.

mod contestant;
mod cpus;
mod driver;
mod duel;
mod pace;
mod rival;
mod stats;
mod tally;
mod work;
mod workload;

use std::env;

use contestant::Recipe;
use duel::duel;
use socklab::engine::raise_open_files;
use workload::{WORKLOADS, Workload};

/// The hidden argument with which this program runs itself as the thread rival.
const STD_THREADS: &str = "--serve-std-threads";

fn main() {
    let (flags, words): (Vec<String>, Vec<String>) =
        env::args().skip(1).partition(|arg| arg.starts_with('-'));
    if flags.iter().any(|flag| flag == STD_THREADS) {
        return rival::std_threads().expect("loopback is there");
    }
    // Whatever other flags cargo hands to every benchmark, they are not for this one.
    let in_earnest =
        flags.iter().any(|flag| flag == "--bench") && !flags.contains(&"--test".into());
    let (rivals, filters): (Vec<String>, Vec<String>) =
        words.into_iter().partition(|word| word.contains('='));
    raise_open_files().expect("the soft limit may be raised to the hard one");

    let all_cpus = cpus::allowed();
    let duels = duels(&rivals);
    println!(
        "{:<15} {:>12} / {:<12} {:>9} {:>9}  {:<42} {:>9}  driver",
        "workload",
        "contestant",
        "bar",
        "ns/msg",
        "bar's",
        "ratio of CPU per message, 95 %",
        "msg/s"
    );
    for workload in WORKLOADS {
        let wanted = |filter: &String| workload.name.contains(filter.as_str());
        if !filters.is_empty() && !filters.iter().any(wanted) {
            continue;
        }
        let workload = if in_earnest { workload } else { workload.smoke() };
        cpus::confine(if workload.one_cpu { cpus::first(&all_cpus) } else { &all_cpus });
        for (contestant, bar) in &duels {
            report(&workload, contestant, bar);
        }
    }
}

/// Who meets whom.
fn duels(rivals: &[String]) -> Vec<(Recipe, Recipe)> {
    let engine = |name: &str, engine: &str| {
        let socklab = env!("CARGO_BIN_EXE_socklab");
        let host = ["--host", "127.0.0.1", "--port", "0"];
        Recipe::new(name, [socklab, "server", "--engine", engine, "-q"].into_iter().chain(host))
    };
    let (poll, threads) = (engine("poll", "poll"), engine("threads", "threads"));
    let own = env::current_exe().expect("this program has a path");
    let std_threads = Recipe::new("std-threads", [&own.to_string_lossy(), STD_THREADS]);

    // The same against itself: what comes out of it is noise.
    let mut duels = vec![(poll.clone(), engine("poll again", "poll"))];
    let bar = match rival::compile_epoll_echo() {
        Ok(program) => {
            let epoll = Recipe::new("epoll-echo", [program.to_string_lossy()]);
            duels.push((poll.clone(), epoll.clone()));
            epoll
        }
        Err(error) => {
            println!("no epoll-echo to compare with, for there is no C compiler: {error}");
            poll.clone()
        }
    };
    duels.push((threads.clone(), std_threads));
    duels.push((poll, threads));
    for rival in rivals {
        let (name, command) = rival.split_once('=').expect("it was chosen for its `=`");
        duels.push((Recipe::new(name, command.split_whitespace()), bar.clone()));
    }
    duels
}

fn report(workload: &Workload, contestant: &Recipe, bar: &Recipe) {
    let outcome = duel(workload, contestant, bar);
    println!(
        "{:<15} {:>12} / {:<12} {:>9.0} {:>9.0}  {:<42} {:>9.0}  {:>5.0}%",
        workload.name,
        contestant.name,
        bar.name,
        outcome.contestant.cost(),
        outcome.bar.cost(),
        outcome.ratio.to_string(),
        outcome.contestant.rate(),
        outcome.contestant.driver_load() * 100.0
    );
}
