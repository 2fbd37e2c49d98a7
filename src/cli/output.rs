//! Where results go: a file, or standard output as `-`.

use std::fs;
use std::path::{Path, PathBuf};

use socklab::failure::cause;
use socklab::report::document::Document;

use super::Failure;

/// Whether it is standard output.
pub fn is_stdout(file: &Option<PathBuf>) -> bool {
    file.as_deref().is_some_and(|file| file == Path::new("-"))
}

/// Before anything is measured: whether each can be written, and only one goes to standard output.
pub fn check(files: &[&Option<PathBuf>]) -> Result<(), Failure> {
    if files.iter().filter(|file| is_stdout(file)).count() > 1 {
        return Err("only one of the documents can go to standard output (-)".into());
    }
    let named: Vec<&Path> = files.iter().filter_map(|file| file.as_deref()).collect();
    for (index, file) in named.iter().enumerate() {
        if named[..index].contains(file) {
            return Err(format!("two documents cannot both be {}", file.display()).into());
        }
    }
    for file in files.iter().filter(|file| !is_stdout(file)).filter_map(|file| file.as_deref()) {
        let existed = file.exists();
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .map_err(|error| unwritable(file, &error))?;
        if !existed {
            // A measurement that fails leaves no empty document behind.
            let _ = fs::remove_file(file);
        }
    }
    Ok(())
}

/// Writes a document.
pub fn write(file: &Path, text: &str) -> Result<(), Failure> {
    if file == Path::new("-") {
        return super::print(text.as_bytes());
    }
    fs::write(file, text).map_err(|error| unwritable(file, &error))
}

/// As JSON, for people to read, too.
pub fn json(document: &Document) -> String {
    serde_json::to_string_pretty(document).expect("it has string keys and finite numbers") + "\n"
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    format!("cannot write {}: {}", file.display(), cause(error)).into()
}
