//! `socklab report`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use socklab::failure::cause;
use socklab::report::document::{Document, VERSION};
use socklab::report::{csv, hdr, html, merge, text};

use super::{Failure, output};

/// Render results again, and merge those of several machines
///
/// Takes the JSON documents of `socklab load` and `socklab bench`. Several of `load` are merged:
/// clients, messages and histograms are added, percentiles are taken from the sum.
#[derive(Args)]
pub struct Report {
    /// JSON documents; `-` is standard input
    #[arg(required_unless_present = "schema")]
    files: Vec<PathBuf>,
    /// Write the (merged) result as JSON to FILE or `-`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures as CSV to FILE or `-`
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write latencies as an HDR histogram log to FILE or `-` (of `load`)
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// Write a page that shows it all to FILE or `-` (of `bench`)
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the JSON Schema of the documents
    #[arg(long, exclusive = true)]
    schema: bool,
}

impl Report {
    /// Reads, merges and renders.
    pub fn run(self) -> Result<(), Failure> {
        if self.schema {
            let schema = schemars::schema_for!(Document);
            let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
            return super::print((text + "\n").as_bytes());
        }
        let outputs = [&self.json, &self.csv, &self.hdr, &self.html];
        let documents = self.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        let document = merge::merge(documents)?;
        match &document {
            Document::Load(_) if self.html.is_some() => {
                return Err("only a result of `socklab bench` has a page; drop --html".into());
            }
            Document::Bench(_) if self.hdr.is_some() => {
                return Err("only a result of `socklab load` has an HDR log; drop --hdr".into());
            }
            _ => {}
        }
        output::check(&outputs)?;
        if let Some(file) = &self.json {
            output::write(file, &output::json(&document))?;
        }
        if let Some(file) = &self.csv {
            let table = match &document {
                Document::Load(result) => csv::load(result),
                Document::Bench(result) => csv::bench(result),
            };
            output::write(file, &table)?;
        }
        let report = match &document {
            Document::Load(result) => {
                if let Some(file) = &self.hdr {
                    output::write(file, &hdr::log(result)?)?;
                }
                text::load(result)
            }
            Document::Bench(result) => {
                if let Some(file) = &self.html {
                    output::write(file, &html::page(result))?;
                }
                text::bench(result)
            }
        };
        match outputs.into_iter().any(output::is_stdout) {
            true => Ok(()),
            false => super::print(report.as_bytes()),
        }
    }
}

fn read(file: &Path) -> Result<Document, Failure> {
    let shown = file.display();
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.map_err(|error| format!("cannot read {shown}: {}", cause(&error)))?;
    let document: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{shown} is not JSON: {error}"))?;
    match document["schema"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(format!(
                "{shown} has version {version}, and this socklab reads version {VERSION}; use the \
                 socklab that wrote it"
            )
            .into());
        }
        None => return Err(format!("{shown} is no result of `socklab load` or `bench`").into()),
    }
    let document = serde_json::from_value(document)
        .map_err(|error| format!("{shown} is no result of `socklab load` or `bench`: {error}"))?;
    if let Document::Bench(result) = &document {
        result.check().map_err(|error| format!("{shown} is damaged: {error}"))?;
    }
    Ok(document)
}
