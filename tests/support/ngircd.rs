//! ngircd, a server of IRC that others have written, as a process of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::eventually;
use super::irc::{NAME, Settings};

pub struct Ngircd {
    child: Child,
    pub address: SocketAddr,
    configuration: PathBuf,
}

impl Ngircd {
    pub fn start(settings: &Settings) -> Ngircd {
        // It takes no socket, and knows no port 0. Who is faster than it makes it exit, and in this
        // process nobody tries meanwhile.
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
            let address = listener.local_addr().expect("it is bound");
            drop(listener);
            if let Some(ngircd) = Ngircd::try_start(settings, address) {
                return ngircd;
            }
        }
    }

    fn try_start(settings: &Settings, address: SocketAddr) -> Option<Ngircd> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("socklab-ngircd-{}-{count}.conf", std::process::id());
        let configuration = std::env::temp_dir().join(name);
        fs::write(&configuration, text(settings, address.port())).expect("it can be written");
        let child = Command::new("ngircd")
            .arg("-n")
            .arg("-f")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ngircd can be started");
        let mut ngircd = Ngircd { child, address, configuration };
        eventually("ngircd listens", || !ngircd.runs() || TcpStream::connect(address).is_ok());
        ngircd.runs().then_some(ngircd)
    }

    fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_none()
    }
}

impl Drop for Ngircd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.configuration);
    }
}

/// Its configuration (ngircd.conf(5)): no look-ups, no penalties, nothing it thinks of by itself.
fn text(settings: &Settings, port: u16) -> String {
    let password = settings.password.map(|word| format!("Password = {word}\n")).unwrap_or_default();
    let motd = match settings.motd {
        [] => String::new(),
        lines => format!("MotdPhrase = {}\n", lines.join(" ")),
    };
    let operator = settings
        .operator
        .map(|(name, password)| format!("[Operator]\nName = {name}\nPassword = {password}\n"));
    format!(
        "[Global]\nName = {NAME}\nInfo = a house for tests\nListen = 127.0.0.1\nPorts = {port}\n\
         {password}{motd}MotdFile =\nHelpFile =\n\
         [Limits]\nMaxConnectionsIP = 0\nMaxJoins = 50\nMaxNickLength = 31\nMaxPenaltyTime = 0\n\
         [Options]\nDNS = no\nIdent = no\nPAM = no\nDefaultUserModes =\nOperCanUseMode = no\n\
         {}",
        operator.unwrap_or_default()
    )
}
