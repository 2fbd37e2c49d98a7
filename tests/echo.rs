//! Echo: every byte comes back, in order, whatever the sizes and the cuts.

mod support;

use socklab::service::Echo;
use support::{Server, echoes, finish, on_both_engines, pattern};

on_both_engines! {
    fn every_size_comes_back_whole(engine) {
        let server = Server::start(engine, Echo);
        let around_buffers = [4096, 65536, 131_072].into_iter().flat_map(|n| [n - 1, n, n + 1]);
        for size in [0, 1, 2, 3, 255, 1000].into_iter().chain(around_buffers) {
            let mut client = server.connect();
            echoes(&mut client, &pattern(size as u64, size));
            assert!(finish(&mut client).is_empty());
        }
    }
}
