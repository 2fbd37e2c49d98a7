//! Echo: every byte comes back, in order, whatever the sizes and the cuts.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use socket2::SockRef;
use socklab::service::Echo;
use support::{Server, echoes, finish, on_both_engines, pattern};

on_both_engines! {
    fn every_size_comes_back_whole(engine) {
        let server = Server::start(engine, Echo);
        let around_buffers = [4096, 65_536, 131_072].into_iter().flat_map(|n| [n - 1, n, n + 1]);
        for size in [0, 1, 2, 3, 255, 1000].into_iter().chain(around_buffers) {
            let mut client = server.connect();
            echoes(&mut client, &pattern(size as u64, size));
            assert!(finish(&mut client).is_empty());
        }
    }

    fn sixty_four_mebibytes_come_back_whole(engine) {
        let server = Server::start(engine, Echo);
        let bytes = pattern(64, 64 << 20);
        let mut client = server.connect();
        let mut sender = client.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                sender.write_all(&bytes).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert!(back == bytes);
        });
    }

    fn who_writes_everything_before_reading_gets_everything(engine) {
        let server = Server::start(engine, Echo);
        let bytes = pattern(1, 1 << 20);
        let mut client = server.connect();
        client.write_all(&bytes).unwrap();
        assert!(finish(&mut client) == bytes);
    }

    fn bytes_sent_one_by_one_come_back_in_order(engine) {
        let server = Server::start(engine, Echo);
        let mut client = server.connect();
        client.set_nodelay(true).unwrap();
        let bytes = pattern(2, 2000);
        for byte in &bytes {
            client.write_all(&[*byte]).unwrap();
        }
        assert!(finish(&mut client) == bytes);
    }

    fn data_that_arrives_together_with_the_end_is_answered(engine) {
        let server = Server::start(engine, Echo);
        for size in [1, 1000, 100_000] {
            let mut client = server.connect();
            // Held back until the end is sent, so that both arrive at once.
            SockRef::from(&client).set_tcp_cork(true).unwrap();
            let bytes = pattern(3, size);
            client.write_all(&bytes).unwrap();
            assert!(finish(&mut client) == bytes);
        }
    }

    fn an_end_without_data_is_answered_with_an_end(engine) {
        let server = Server::start(engine, Echo);
        assert!(finish(&mut server.connect()).is_empty());
    }

    fn urgent_bytes_stay_in_the_stream(engine) {
        let server = Server::start(engine, Echo);
        let mut client = server.connect();
        let mut sent = Vec::new();
        for round in 0..50 {
            let plain = pattern(round, 100);
            client.write_all(&plain).unwrap();
            SockRef::from(&client).send_out_of_band(&[round as u8]).unwrap();
            client.write_all(&plain).unwrap();
            sent.extend([&plain[..], &[round as u8], &plain].concat());
        }
        let mut back = vec![0; sent.len()];
        client.read_exact(&mut back).unwrap();
        assert!(back == sent);
        assert!(finish(&mut client).is_empty());
    }

    fn many_clients_get_each_their_own(engine) {
        let server = Server::start(engine, Echo);
        thread::scope(|scope| {
            for seed in 0..32 {
                let mut client = server.connect();
                scope.spawn(move || {
                    for round in 0..20 {
                        echoes(&mut client, &pattern(seed * 100 + round, 1 << round.min(15)));
                    }
                    assert!(finish(&mut client).is_empty());
                });
            }
        });
    }
}
