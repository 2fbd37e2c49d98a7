//! What TLS costs without sockets: messages and handshakes through our session, and beside it through
//! rustls alone, which is the bar.

use std::hint::black_box;
use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use socklab::service::Echo;
use socklab::session::{ConnectionId, Output, Service, Session};
use socklab::tls::server::{Oldest, Options};
use socklab::tls::{Acceptor, Connector, Source, Tls, client};

#[path = "support/budget.rs"]
mod budget;

/// A short message, a record, and what one read of a busy client brings.
const INPUTS: [usize; 3] = [64, 16 * 1024, 64 * 1024];

/// The server's side: takes what a client says, and gives what there is to say.
trait Server {
    fn hear(&mut self, bytes: &[u8], answer: &mut Vec<u8>);
}

struct Ours {
    session: Box<dyn Session>,
    out: Output,
}

impl Server for Ours {
    fn hear(&mut self, bytes: &[u8], answer: &mut Vec<u8>) {
        self.out.clear();
        let mut want = self.session.receive(bytes, &mut self.out);
        answer.extend_from_slice(self.out.bytes());
        while want == socklab::session::Want::Write {
            self.out.clear();
            want = self.session.produce(&mut self.out);
            answer.extend_from_slice(self.out.bytes());
        }
    }
}

impl Server for ServerConnection {
    fn hear(&mut self, mut bytes: &[u8], answer: &mut Vec<u8>) {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            self.read_tls(&mut bytes).expect("memory can be read");
            self.process_new_packets().expect("the client is right");
            if let Ok(chunk) = self.reader().fill_buf() {
                plain.extend_from_slice(chunk);
            }
            let taken = plain.len();
            self.reader().consume(taken);
            self.writer().write_all(&plain).expect("the connection is fine");
            plain.clear();
            while self.wants_write() {
                self.write_tls(answer).expect("memory takes everything");
            }
        }
    }
}

/// Everything that is needed for a connection with either server.
struct Makers {
    connector: Connector,
    service: Tls,
    bare: Arc<ServerConfig>,
}

impl Makers {
    fn new() -> Makers {
        let source = Source::SelfMade(vec!["localhost".into()]);
        let options = Options { source, client_ca: None, oldest: Oldest::Tls12 };
        let acceptor = Acceptor::new(&options).expect("it needs no files");
        let pin = Some(acceptor.certificates.fingerprint());
        let connector = Connector::new(&client::Options { pin, ..client::Options::default() })
            .expect("no files");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let bare = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("these are known")
            .with_no_client_auth()
            .with_cert_resolver(acceptor.certificates.clone());
        let service = Tls::new(Arc::new(Echo), &acceptor, Tls::HANDSHAKE);
        Makers { connector, service, bare: Arc::new(bare) }
    }

    fn server(&self, ours: bool) -> Box<dyn Server> {
        if !ours {
            let mut bare = ServerConnection::new(self.bare.clone()).expect("it is configured");
            bare.set_buffer_limit(None);
            return Box::new(bare);
        }
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut session = self.service.accept(peer, ConnectionId::new(0, 1));
        let mut out = Output::new(Output::CHUNK);
        session.open(&mut out);
        Box::new(Ours { session, out })
    }

    /// Both sides of a connection, past the handshake.
    fn connected(&self, ours: bool) -> (ClientConnection, Box<dyn Server>) {
        let mut client = self.connector.connection("localhost").expect("it is a name");
        client.set_buffer_limit(None);
        let mut server = self.server(ours);
        while client.is_handshaking() {
            round(&mut client, &mut *server, 0);
        }
        round(&mut client, &mut *server, 0);
        (client, server)
    }
}

/// What the client has to say reaches the server, whose answer reaches the client: `due` bytes.
fn round(client: &mut ClientConnection, server: &mut dyn Server, due: usize) {
    let (mut said, mut answer) = (Vec::new(), Vec::new());
    while client.wants_write() {
        client.write_tls(&mut said).expect("memory takes everything");
    }
    if !said.is_empty() {
        server.hear(&said, &mut answer);
    }
    let (mut answer, mut heard) = (&answer[..], Vec::with_capacity(due));
    while !answer.is_empty() {
        client.read_tls(&mut answer).expect("memory can be read");
        client.process_new_packets().expect("the server is right");
        let _ = client.reader().read_to_end(&mut heard);
    }
    assert_eq!(heard.len(), due);
    black_box(heard);
}

fn messages(c: &mut Criterion) {
    let makers = Makers::new();
    for length in INPUTS {
        let message = vec![b'x'; length];
        let mut group = c.benchmark_group(format!("tls/echo/{length}"));
        group.throughput(Throughput::Bytes(length as u64));
        for (name, ours) in [("session", true), ("rustls alone", false)] {
            let (mut client, mut server) = makers.connected(ours);
            group.bench_function(name, |b| {
                b.iter(|| {
                    client.writer().write_all(&message).expect("the connection is fine");
                    round(&mut client, &mut *server, length);
                });
            });
        }
    }
}

fn handshakes(c: &mut Criterion) {
    let makers = Makers::new();
    let mut group = c.benchmark_group("tls/handshake");
    group.throughput(Throughput::Elements(1));
    for (name, ours) in [("session", true), ("rustls alone", false)] {
        group.bench_function(name, |b| b.iter(|| makers.connected(ours)));
    }
}

criterion_group!(name = tls; config = budget::criterion(); targets = messages, handshakes);
criterion_main!(tls);
