//! Echo: every byte comes back, in order, whatever the sizes and the cuts, with TLS and without.

mod support;

use std::io::{Read, Write};
use std::thread;

use socket2::SockRef;
use socklab::service::Echo;
use support::way::in_every_way;
use support::{Server, finish, on_both_engines, pattern};

in_every_way! {
    fn every_size_comes_back_whole(way) {
        let server = way.start(Echo);
        // Around the buffers of engines, and around a record of TLS.
        let around = [4096, 16_384, 65_536, 131_072].into_iter().flat_map(|n| [n - 1, n, n + 1]);
        for size in [0, 1, 2, 3, 255, 1000].into_iter().chain(around) {
            let mut client = server.call();
            client.echoes(&pattern(size as u64, size));
            assert!(client.finish().is_empty());
        }
    }

    fn sixty_four_mebibytes_come_back_whole(way) {
        let server = way.start(Echo);
        let mut client = server.call();
        // In pieces, each of which is begun while the one before still comes back.
        let mut due = Vec::new();
        for round in 0..64 {
            let bytes = pattern(round, 1 << 20);
            client.begin(&bytes);
            due.extend_from_slice(&bytes);
            let half = due.len() / 2;
            assert!(client.hear(half) == due[..half]);
            due.drain(..half);
        }
        assert!(client.finish() == due);
    }

    fn who_writes_everything_before_reading_gets_everything(way) {
        let server = way.start(Echo);
        let bytes = pattern(1, 1 << 20);
        let mut client = server.call();
        client.say(&bytes);
        assert!(client.finish() == bytes);
    }

    fn bytes_sent_one_by_one_come_back_in_order(way) {
        let server = way.start(Echo);
        let mut client = server.call();
        client.tcp.set_nodelay(true).unwrap();
        let bytes = pattern(2, 2000);
        for byte in &bytes {
            client.say(&[*byte]);
        }
        assert!(client.finish() == bytes);
    }

    fn data_that_arrives_together_with_the_end_is_answered(way) {
        let server = way.start(Echo);
        for size in [1, 1000, 100_000] {
            let mut client = server.call();
            // Held back until the end is sent, so that both arrive at once.
            SockRef::from(&client.tcp).set_tcp_cork(true).unwrap();
            let bytes = pattern(3, size);
            client.say(&bytes);
            client.close();
            SockRef::from(&client.tcp).set_tcp_cork(false).unwrap();
            assert!(client.rest() == bytes);
        }
    }

    fn an_end_without_data_is_answered_with_an_end(way) {
        assert!(way.start(Echo).call().finish().is_empty());
    }

    fn many_clients_get_each_their_own(way) {
        let server = way.start(Echo);
        thread::scope(|scope| {
            for seed in 0..32 {
                let mut client = server.call();
                scope.spawn(move || {
                    for round in 0..20 {
                        client.echoes(&pattern(seed * 100 + round, 1 << round.min(15)));
                    }
                    assert!(client.finish().is_empty());
                });
            }
        });
    }
}

on_both_engines! {
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
}
