//! Links, and servers that share a time: what one propagates reaches another whole, in order, whatever the link does.

use crate::support::encoded;
use crate::support::link::{End, Link};
use crate::support::several::Several;
use crate::with_seeds;
use waterwheel::base::rng::Rng;

/// One server writes; what it propagates goes to the other as requests, each in a transaction that also counts it. After
/// a cut the count says where to go on.
#[test]
fn a_log_of_commands_survives_a_link_that_breaks() {
    let lost = std::cell::Cell::new(0);
    with_seeds("a_log_of_commands_survives_a_link_that_breaks", 30, |seed| {
        let mut rng = Rng::from_seed(seed);
        let mut both = Several::new(seed, &[0, rng.below(100_000) as i64 - 50_000]);
        let mut link = Link::new(seed, 20_000);
        let (mut log, mut sent) = (Vec::<Vec<u8>>::new(), 0);
        let mut lives = 0;
        let mut client = "link0".to_owned();
        for step in 0..400 {
            if step < 300 {
                both.servers[0].run(&format!("INCRBY key:{} {}", rng.below(9), rng.below(100)));
                log.extend(both.servers[0].feed_requests().iter().map(|request| {
                    encoded(&[request.words().iter().map(|word| word.clone().into_bytes()).collect()])
                }));
            }
            let now_us = both.mono_us();
            if step < 300 && rng.below(20) == 0 {
                lost.set(lost.get() + link.cut().iter().sum::<usize>());
                both.servers[1].disconnect(&client);
                assert!(!link.send(End::Far, now_us, b"lost"), "a link that is cut takes nothing");
                link.join();
                lives += 1;
                client = format!("link{lives}");
                sent = both.servers[1].run("GET ran").trim_matches('"').parse().unwrap_or(0);
            }
            for request in &log[sent..] {
                let count = encoded(&[vec![b"INCR".to_vec(), b"ran".to_vec()]]);
                let multi = [
                    encoded(&[vec![b"MULTI".to_vec()]]),
                    request.clone(),
                    count,
                    encoded(&[vec![b"EXEC".to_vec()]]),
                ];
                assert!(link.send(End::Far, now_us, &multi.concat()));
            }
            sent = log.len();
            while let Some(bytes) = link.receive(End::Far, now_us) {
                both.servers[1].send_bytes(&client, &bytes);
                let replies = both.servers[1].received_bytes(&client);
                link.send(End::Near, now_us, &replies);
            }
            while link.receive(End::Near, now_us).is_some() {}
            both.advance_ms(rng.below(10));
        }
        both.advance_ms(1000);
        let now_us = both.mono_us();
        while let Some(bytes) = link.receive(End::Far, now_us) {
            both.servers[1].send_bytes(&client, &bytes);
        }
        for key in 0..9 {
            let line = format!("GET key:{key}");
            assert_eq!(both.servers[0].run(&line), both.servers[1].run(&line), "{line}");
        }
        let skew = |several: &Several| {
            several.servers[1].host.now.unix_us.abs_diff(several.servers[0].host.now.unix_us)
        };
        assert!(skew(&both) <= 50_000_000, "the clocks go on together");
    });
    assert!(lost.get() > 0, "a link that breaks loses something");
}
