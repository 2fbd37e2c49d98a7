//! The rivals that set the bar. They print `listening on ADDRESS` and serve until they are killed.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// The bar for the poll engine: `rivals/epoll_echo.c`, compiled here and now.
pub fn compile_epoll_echo() -> io::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rivals/epoll_echo.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("epoll_echo");
    let status = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-o"])
        .args([&program, &source])
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("cc ended with {status}")));
    }
    Ok(program)
}

/// The bar for the thread engine: a thread for each client, as most people write it.
pub fn std_threads() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || echo(stream));
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}
