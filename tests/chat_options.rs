//! The options of the chat server: what is wrong is told in one line, and passwords never are.

mod support;

use std::fs;

use assert_cmd::Command;

fn fails(name: &str, text: &str, why: &str) {
    let file = std::env::temp_dir().join(format!("socklab-{}-{name}.toml", std::process::id()));
    fs::write(&file, text).unwrap();
    let path = file.to_str().expect("it is text");
    let outcome = run(&["--config", path]);
    fs::remove_file(&file).unwrap();
    assert_eq!(outcome, format!("socklab: {}\n", why.replace("FILE", path)));
}

fn run(options: &[&str]) -> String {
    let mut socklab = Command::new(env!("CARGO_BIN_EXE_socklab"));
    socklab.args(["server", "chat", "--port", "0"]).args(options).env("RUST_LOG", "warn");
    let output = socklab.timeout(support::PATIENCE).assert().failure().code(1).get_output().clone();
    String::from_utf8(output.stderr).expect("it is text")
}

#[test]
fn a_value_of_the_wrong_type_is_not_repeated() {
    fails("text", "oper = \"root:secret\"", "FILE, line 1: wrong type, expected a sequence");
    fails("number", "\npassword = 5551234", "FILE, line 2: wrong type, expected a string");
    fails("half", "name = \"a.b\"\npassword", "FILE, line 2: key with no value, expected `=`");
    fails("rest", "oper = [\"secret\"]", "--oper is NAME:PASSWORD");
}

#[test]
fn a_text_that_is_several_lines_is_refused() {
    let why = "--admin and --description are one line each";
    fails("admin", "admin = [\"a\\nb\"]", why);
    fails("description", "description = \"a\\r\\nb\"", why);
}

#[test]
fn a_file_without_an_end_is_not_read() {
    for option in ["--config", "--motd"] {
        let told = run(&[option, "/dev/zero"]);
        assert_eq!(told, "socklab: cannot read /dev/zero: it is larger than 1 MiB\n");
    }
}
