//! `socklab get` and `socklab put` with `socklab server files`: cut off and gone on with, checked to
//! the last byte, in every way.

mod support;

use std::fs;

use support::file_host::{FileHost, halfway, large};
use support::pattern;
use support::relay::Relay;
use support::run::{Ending, Running};
use support::way::{Way, in_every_way};

/// A host, and a line to it that breaks.
struct Far {
    host: FileHost,
    relay: Relay,
}

impl Far {
    fn new(way: Way) -> Far {
        let host = FileHost::writable(way);
        Far { relay: Relay::to(host.address()), host }
    }

    fn socklab(&self, command: &str, from: &str, to: &str) -> Ending {
        let ca = self.host.ca();
        let trust: &[&str] = if self.host.is_secure() { &["--ca", &ca] } else { &[] };
        Running::start(&[&[command, from, to], trust].concat()).outlast()
    }

    /// The first time the line breaks halfway, and the second time it does not.
    fn twice(&self, command: &str, from: &str, to: &str) {
        self.relay.breaks_after(halfway());
        let (code, _, complaint) = self.socklab(command, from, to);
        assert_eq!((code, complaint.lines().count()), (1, 1), "{complaint}");
        self.relay.mend(self.host.address());
        let (code, _, told) = self.socklab(command, from, to);
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("the last ") && told.contains("SHA-256 checked"), "{told}");
        assert!(self.relay.carried() < large() as u64 - 1_000_000, "{}", self.relay.carried());
    }
}

in_every_way! {
    fn a_download_goes_on_and_is_checked(way) {
        let far = Far::new(way);
        let bytes = pattern(1, large());
        far.host.tree.file("film", &bytes);
        let to = far.host.tree.base().join("fetched");
        let url = far.host.url_at(far.relay.address, "film");
        far.twice("get", &url, to.to_str().unwrap());
        assert!(fs::read(to).unwrap() == bytes);
    }

    fn an_upload_goes_on_and_is_checked(way) {
        let far = Far::new(way);
        let bytes = pattern(2, large());
        far.host.tree.file("film", "old");
        let from = far.host.tree.base().join("film");
        fs::write(&from, &bytes).unwrap();
        let url = far.host.url_at(far.relay.address, "film");
        far.twice("put", from.to_str().unwrap(), &url);
        assert!(far.host.tree.read("film") == bytes);
        assert!(far.host.tree.parts("").is_empty());
    }
}
