//! The simulator: a server in a world of seeded chance, and what must be true of it whatever happens.
//!
//! Clients come and go, send random requests whose bytes are cut anywhere, and count their replies; both clocks advance
//! in random steps, and the wall clock jumps; the helper thread is late; the memory is a model, and so is the disk, which
//! fails and loses power. Beside the server runs a follower that knows nothing but its feed.
//!
//! * `SEED=n` begins with another seed, `RUNS=n` makes so many runs of each test, fewer of those that take long, `SEEDS=n` so
//!   many whatever they take; a run that fails prints its seed.
//! * Without them the whole takes under a minute, and does the same every time.
#![allow(clippy::disallowed_methods, reason = "seed and length of a long run come from the environment")]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod chaos;
mod deadlines;
mod disk;
mod follower;
mod links;
mod log;
mod migrations;
mod replicas;
mod scans;
mod snapshot;
mod timeouts;
mod wraps;

/// Runs a test with as many seeds as asked for; the seed of a run that fails is told.
fn with_seeds(test: &str, runs: u64, run: impl Fn(u64)) {
    with_costly_seeds(test, runs, 1, run);
}

/// As [`with_seeds`], where a run takes as long as so many others: where `RUNS` asks for many it gets fewer of these.
fn with_costly_seeds(test: &str, runs: u64, cost: u64, run: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("SEED").unwrap_or(1);
    let asked = number("SEEDS").or_else(|| number("RUNS").map(|asked| asked.div_ceil(cost)));
    for seed in first..first + asked.unwrap_or(runs) {
        let _teller = Teller { test, seed };
        run(seed);
    }
}

/// Tells the seed when a run ends in a panic.
struct Teller<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Teller<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see it again: SEED={} RUNS=1 cargo test --test sim {}", self.seed, self.test);
        }
    }
}
