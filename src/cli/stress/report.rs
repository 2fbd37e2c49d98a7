//! What was seen, on its way to standard output and a file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

use socklab::observe::Started;
use socklab::stress::arena::Arena;
use socklab::stress::hostile::ALL;
use socklab::stress::shortage;
use socklab::stress::verdict::{Breach, Outcome, Verdict, Visit};
use socklab::stress::{Hostile, Visited};

use super::super::{Exit, Failure, INTERRUPTED, WRONG_BYTES, output, print};
use super::Stress;
use super::places::Place;

/// A promise was broken. The same status as wrong bytes have.
const BROKEN: u8 = WRONG_BYTES;

/// What is said of one client.
pub struct Row {
    pub client: &'static str,
    pub holds: &'static str,
    pub again: String,
    pub took: Duration,
}

/// What was seen, on its way to standard output and a file.
pub struct Report {
    json: Option<Box<dyn Write>>,
    /// Documents on standard output leave no room for text there.
    silent: bool,
    counts: [usize; 3],
    /// A client of ours that has failed itself.
    ill: Option<&'static str>,
}

impl Report {
    pub fn new(stress: &Stress) -> Result<Report, Failure> {
        let json: Option<Box<dyn Write>> = match &stress.json {
            None => None,
            file if output::is_stdout(file) => Some(Box::new(std::io::stdout())),
            Some(file) => Some(Box::new(
                File::create(file)
                    .map_err(|error| format!("cannot write {}: {error}", file.display()))?,
            )),
        };
        Ok(Report { json, silent: output::is_stdout(&stress.json), counts: [0; 3], ill: None })
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.silent { Ok(()) } else { print(text.as_bytes()) }
    }

    pub fn arrive(
        &self,
        place: &Place,
        arena: &Arena,
        started: Option<&Started>,
    ) -> Result<(), Failure> {
        let known = match started {
            Some(started) => format!(" ({}, PID {})", arena.server, started.pid()),
            None => String::new(),
        };
        self.say(&format!("{}{known}\n", place.name))
    }

    /// What came of a visit, which may be a fault of ours.
    pub fn judge(&mut self, hostile: &Hostile, visited: Visited) -> Outcome {
        match &visited {
            Visited::Back(_) => {}
            Visited::Failed(_) => self.ill = Some(hostile.name),
            Visited::Away(_) => shortage::put_back(),
        }
        visited.outcome()
    }

    pub fn add(
        &mut self,
        place: &Place,
        arena: &Arena,
        row: Row,
        outcome: Outcome,
    ) -> Result<(), Failure> {
        let (verdict, figure) = match outcome {
            Ok(figure) => (Verdict::Pass, figure),
            Err(Breach::Broken(what)) => (Verdict::Fail, what),
            Err(Breach::Skipped(why)) => (Verdict::Skip, why),
            Err(Breach::Interrupted) => return Ok(()),
        };
        self.counts[verdict as usize] += 1;
        let word = match verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "skip",
        };
        let mut text = format!("  {word}  {:<18} {figure}\n", row.client);
        if verdict == Verdict::Fail {
            let _ = writeln!(text, "        promised: {}", row.holds);
            let _ = writeln!(text, "        again:    {}", row.again);
        }
        self.say(&text)?;
        self.write(place, arena, row, verdict, figure)
    }

    /// Nobody else is sent to this place, and why.
    pub fn give_up(
        &mut self,
        place: &Place,
        arena: &Arena,
        rest: Vec<Row>,
        why: &str,
    ) -> Result<(), Failure> {
        if rest.is_empty() {
            return Ok(());
        }
        self.counts[Verdict::Skip as usize] += rest.len();
        let others = format!("{} other{}", rest.len(), if rest.len() == 1 { "" } else { "s" });
        self.say(&format!("  skip  {others:<18} {why}\n"))?;
        rest.into_iter()
            .try_for_each(|row| self.write(place, arena, row, Verdict::Skip, why.to_owned()))
    }

    /// A line of JSON, where it was asked for.
    fn write(
        &mut self,
        place: &Place,
        arena: &Arena,
        row: Row,
        verdict: Verdict,
        figure: String,
    ) -> Result<(), Failure> {
        let Row { client, again, took, .. } = row;
        if let Some(json) = &mut self.json {
            let visit = Visit {
                schema: Visit::SCHEMA,
                server: place.name.clone(),
                target: arena.server.to_string(),
                client,
                verdict,
                figure,
                seconds: took.as_secs_f64(),
                reproduce: again,
            };
            let line = serde_json::to_string(&visit).expect("it has string keys");
            writeln!(json, "{line}").map_err(|error| format!("cannot write JSON: {error}"))?;
        }
        Ok(())
    }

    pub fn end(self, interrupted: bool) -> Result<(), Failure> {
        let [passed, failed, skipped] = self.counts;
        let end = if interrupted { "; interrupted" } else { "" };
        self.say(&format!("{passed} passed, {failed} failed, {skipped} skipped{end}\n"))?;
        let exit = |status, text: String| Err(Exit { status, text }.into());
        if failed > 0 {
            let were = if failed == 1 { "promise was" } else { "promises were" };
            return exit(BROKEN, format!("{failed} {were} broken of {}", passed + failed));
        }
        if interrupted {
            return exit(INTERRUPTED, String::new());
        }
        if let Some(client) = self.ill {
            return Err(
                format!("{client} has failed, and no server for it; please report it").into()
            );
        }
        if passed == 0 {
            return Err("nothing could be tried; --list says what each client needs".into());
        }
        Ok(())
    }
}

pub fn listed() -> String {
    let mut text = String::new();
    for hostile in ALL {
        let Hostile { name, fault, does, holds, seen_in, .. } = hostile;
        let _ = writeln!(
            text,
            "{name}\n  fault:    {fault}\n  does:     {does}\n  promised: {holds}\n  seen in:  {seen_in}\n"
        );
    }
    text
}
