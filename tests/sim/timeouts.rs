//! Time-outs follow the monotonic clock: none is early or late when somebody sets the date.

use crate::support::World;
use crate::with_seeds;
use waterwheel::base::rng::Rng;

const HOUR_MS: i64 = 3_600_000;

/// What has to happen when the monotonic clock shows `at_ms`, and not before.
struct Awaited {
    client: String,
    at_ms: u64,
    shown: &'static str,
}

fn run(seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let mut world = World::with_seed(seed);
    let timeout_s = 1 + rng.below(3);
    world.run(&format!("CONFIG SET timeout {timeout_s}"));
    let pause_ms = 1 + rng.below(5000);
    let begin_ms = world.host.now.mono_ms();
    let mut awaited = Vec::new();
    let mut await_from = |client: &str, at_ms: u64, shown| {
        awaited.push(Awaited { client: client.to_owned(), at_ms: begin_ms + at_ms, shown });
    };
    await_from("a", timeout_s * 1000, "(closed)");
    for number in 0..rng.below(5) {
        let (client, wait_ms) = (format!("wait {number}"), 1 + rng.below(5000));
        world.send(&client, &format!("WAIT 1 {wait_ms}"));
        await_from(&client, wait_ms, "(integer) 0");
    }
    for number in 0..rng.below(3) {
        let (client, wait_ms) = (format!("waitaof {number}"), 1 + rng.below(5000));
        world.send(&client, &format!("WAITAOF 0 1 {wait_ms}"));
        await_from(&client, wait_ms, "1) (integer) 0\n2) (integer) 0");
    }
    world.send("a", &format!("CLIENT PAUSE {pause_ms} WRITE"));
    assert_eq!(world.received("a"), "OK");
    // Who is paused is idle as well, and has to go when its time is over.
    if pause_ms < timeout_s * 1000 {
        world.send("paused", "SET k v");
        await_from("paused", pause_ms, "OK");
    }
    while !awaited.is_empty() {
        let next_ms = awaited.iter().map(|a| a.at_ms).min().expect("something is awaited");
        let now_ms = world.host.now.mono_ms();
        for _ in 0..rng.below(4) {
            let jump = HOUR_MS * (rng.below(5) as i64 - 2);
            world.set_wall_by_ms(jump);
        }
        // To the moment before, or right to it.
        let step = if rng.below(2) == 0 { next_ms - now_ms } else { rng.below(next_ms - now_ms + 1) };
        world.advance_ms(step);
        let now_ms = world.host.now.mono_ms();
        awaited.retain(|a| {
            let received = world.received(&a.client);
            let expected = if a.at_ms <= now_ms { a.shown } else { "" };
            assert_eq!(received, expected, "{} at {now_ms}, due at {}", a.client, a.at_ms);
            a.at_ms > now_ms
        });
    }
}

#[test]
fn no_time_out_notices_that_the_date_was_set() {
    with_seeds("no_time_out", 400, run);
}
