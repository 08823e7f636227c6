//! The append-only log while the power fails at any of its jobs: appends, syncs, switches, rewrites, history.
//!
//! Every write is a transaction that counts two keys and lengthens a list, so what a start finds says how many of them are there, and whether
//! one is there in part. The disk is late by chance, and in some runs it fails; each step of the clock lets it do some jobs.
//!
//! * With `always` nothing is lost that was acknowledged, and nobody has read what was lost.
//! * With `everysec` the first write that is lost was made at most a second before the last that was acknowledged.
//! * Every start loads, and each transaction is there as a whole or not at all. Every other run writes integrity
//!   lines, by which a hole is noticed, and told from damage of what was durable.

use crate::support::World;
use crate::support::disk::Faults;
use crate::support::world::Mistake;
use crate::with_costly_seeds;
use std::cell::{Cell, RefCell};
use waterwheel::base::rng::Rng;
use waterwheel::config::AppendFsync;
use waterwheel::keyspace::Tuning;
use waterwheel::persist::aof::scan::{BadAof, Next, Scanner};
use waterwheel::persist::rdb::file::ReadOptions;
use waterwheel::resp::reply::encode_request;

/// A write.
const WRITE: &[&str] = &["MULTI", "INCR one", "RPUSH list x", "INCR other", "EXEC"];

fn pipeline(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        encode_request(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
    }
    bytes
}

/// What was met in all runs.
#[derive(Debug, Default)]
struct Met {
    acknowledged: u64,
    lost: u64,
    rewrites: u64,
    failed: u64,
    crashes_within_jobs: u64,
    refused: u64,
    holes: u64,
}

/// Whose replies are still to come, and the policy.
struct Logger {
    world: World,
    rng: Rng,
    policy: &'static str,
    is_lined: bool,
    /// Clients that wait for the reply to a write.
    waiting: Vec<String>,
    /// When each write was made, in milliseconds; exact only where none is refused.
    made_ms: Vec<u64>,
    /// The newest that was acknowledged, and when.
    acknowledged: (u64, u64),
    /// The newest that was read.
    read: u64,
    is_faulty: bool,
    refused: u64,
}

impl Logger {
    fn new(seed: u64) -> Logger {
        let mut rng = Rng::from_seed(seed);
        let policy = ["always", "everysec", "everysec", "no"][rng.below(4) as usize];
        let mut world = World::with_seed(seed);
        configure(&mut world, policy, rng.below(2) == 0);
        let is_lined = seed % 2 == 1;
        world.engine.conf.aof_integrity_check = is_lined;
        world.start();
        let is_faulty = policy != "always" && rng.below(3) == 0;
        world.host.disk.faults.late_ms = [0, 3, 40][rng.below(3) as usize];
        world.host.disk.faults.short = 100;
        if is_faulty {
            (world.host.disk.faults.failing, world.host.disk.faults.full) = (8, 20);
        }
        let waiting = Vec::new();
        Logger {
            world,
            rng,
            policy,
            is_lined,
            waiting,
            made_ms: vec![0],
            acknowledged: (0, 0),
            read: 0,
            is_faulty,
            refused: 0,
        }
    }

    fn now_ms(&self) -> u64 {
        self.world.host.now.mono_us / 1000
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0..12 => {
                let client = format!("c{}", self.rng.below(6));
                if !self.waiting.contains(&client) {
                    self.made_ms.push(self.now_ms());
                    self.world.send_bytes(&client, &pipeline(WRITE));
                    self.waiting.push(client);
                }
            }
            12 => {
                let reply = self.world.run_as("reader", "GET one");
                self.note_read(&reply);
            }
            13 => drop(self.world.run_as("admin", "BGREWRITEAOF")),
            14 => drop(self.world.run_as("admin", "SET large (value)")),
            _ => {
                let ms = 1 + self.rng.below(250);
                self.world.advance_ms(ms);
            }
        }
        self.take_replies();
    }

    fn note_read(&mut self, reply: &str) {
        if let Some(number) = reply.rsplit('"').nth(1).and_then(|text| text.parse().ok()) {
            self.read = self.read.max(number);
        }
    }

    fn take_replies(&mut self) {
        let late = self.world.received("reader");
        self.note_read(&late);
        for client in std::mem::take(&mut self.waiting) {
            let text = self.world.received(&client);
            let last = text.lines().rev().find_map(|line| line.rsplit("(integer) ").next()?.parse().ok());
            match last {
                Some(number) => self.acknowledged = (self.acknowledged.0.max(number), self.now_ms()),
                None if text.contains("EXECABORT") || text.contains("MISCONF") => self.refused += 1,
                None => self.waiting.push(client),
            }
        }
    }
}

fn configure(world: &mut World, policy: &str, has_dump: bool) {
    world.engine.conf.appendonly = true;
    world.engine.conf.aof_use_rdb_preamble = has_dump;
    world.engine.conf.auto_aof_rewrite_percentage = 0;
    world.engine.conf.appendfsync = match policy {
        "always" => AppendFsync::Always,
        "everysec" => AppendFsync::Everysec,
        _ => AppendFsync::No,
    };
}

/// The files of the log, for the message of a run that fails.
fn files(world: &World) -> String {
    let mut text = String::new();
    for name in world.host.disk.names("appendonlydir") {
        let bytes = world.host.disk.get(&format!("appendonlydir/{name}")).unwrap_or_default();
        let shown =
            if name.ends_with("manifest") { bytes } else { &bytes[bytes.len().saturating_sub(900)..] };
        text += &format!("\n{name}, {} bytes: {}", bytes.len(), shown.escape_ascii());
    }
    text
}

/// Whether a part of the end that was never written lies within a name: without integrity lines nothing in the file tells of that.
fn has_hole(world: &mut World) -> bool {
    let keys = world.run("KEYS *");
    let known = ["one", "other", "list", "large", "(empty array)"];
    keys.lines().any(|line| !known.contains(&line.rsplit(") ").next().unwrap_or("").trim_matches('"')))
}

/// A batch in a file of the running server that is not as its integrity line says.
fn wrong_line(world: &World) -> Option<String> {
    let names = world.host.disk.names("appendonlydir");
    names.iter().filter(|name| name.ends_with(".aof") || name.ends_with(".incr")).find_map(|name| {
        let bad = scan(world.host.disk.get(&format!("appendonlydir/{name}"))?).err()?;
        bad.is_in_batch().then(|| format!("{name}, {bad}"))
    })
}

/// Reads a file of the log to its end.
fn scan(bytes: &[u8]) -> Result<(), BadAof> {
    let mut scanner = Scanner::new(ReadOptions::default(), Some(bytes.len() as u64));
    scanner.feed(bytes);
    scanner.finish();
    let tuning = Tuning::default();
    while !matches!(scanner.next(&tuning)?, Next::End) {}
    Ok(())
}

/// How many transactions are there; each as a whole.
fn found(world: &mut World) -> Result<u64, String> {
    let (one, other) = (world.run("GET one"), world.run("GET other"));
    let number = one.trim_matches('"').parse().unwrap_or(0);
    let list = world.run("LLEN list");
    match one == other && list == format!("(integer) {number}") {
        true => Ok(number),
        false => Err(format!("half of a transaction is there: {one}, {other}, {list}")),
    }
}

fn one_run(seed: u64, met: &mut Met, mistake: Option<Mistake>) -> Result<(), String> {
    let mut logger = Logger::new(seed);
    logger.world.mistake = mistake;
    if matches!(mistake, Some(Mistake::RepliesBeforeSync)) {
        logger.world.run_as("admin", "CONFIG SET appendfsync no");
    }
    for _ in 0..logger.rng.below(150) {
        logger.step();
    }
    // From some job on the disk does nothing any more.
    logger.world.disk_jobs_left = logger.rng.below(40);
    for _ in 0..logger.rng.below(60) {
        logger.step();
    }
    met.crashes_within_jobs += u64::from(logger.world.disk_jobs_left == 0);
    met.failed += logger.world.host.disk.met.failing + logger.world.host.disk.met.full;
    met.refused += logger.refused;
    met.rewrites += logger.world.engine.durability.rewrites.begun;
    let Logger { world, policy, made_ms, acknowledged, read, is_faulty, is_lined, .. } = logger;
    met.acknowledged += acknowledged.0;
    if let Some(wrong) = wrong_line(&world) {
        return Err(wrong);
    }
    let mut after = world.crash(seed);
    configure(&mut after, policy, true);
    after.host.disk.faults = Faults::default();
    after.start();
    if after.exit.is_some() {
        return Err(format!("the server does not start ({policy}): {}", files(&after)));
    }
    if !is_lined && policy != "always" && has_hole(&mut after) {
        met.holes += 1;
        return Ok(());
    }
    let found = found(&mut after)?;
    met.lost += acknowledged.0.saturating_sub(found);
    if policy == "always" && found < acknowledged.0.max(read) {
        return Err(format!("{} was acknowledged, {read} was read, {found} is there", acknowledged.0));
    }
    if policy == "everysec" && !is_faulty && found < acknowledged.0 {
        let apart_ms = acknowledged.1.saturating_sub(made_ms[found as usize + 1]);
        if apart_ms > 1000 {
            return Err(format!("the first lost was made {apart_ms} ms before the last acknowledgement"));
        }
    }
    // It goes on from there.
    after.send_bytes("c", &pipeline(WRITE));
    after.advance_ms(3000);
    match after.received("c").ends_with(&format!("3) (integer) {}", found + 1)) {
        true => Ok(()),
        false => Err("it does not go on".to_owned()),
    }
}

#[test]
fn the_power_may_fail_at_any_job_of_the_log() {
    let met = RefCell::new(Met::default());
    let runs = Cell::new(0);
    with_costly_seeds("the_power_may_fail_at_any_job_of_the_log", 300, 2, |seed| {
        runs.set(runs.get() + 1);
        let result = one_run(seed, &mut met.borrow_mut(), None);
        assert!(result.is_ok(), "{}", result.unwrap_err());
    });
    let met = met.into_inner();
    println!("{} runs: {met:?}", runs.get());
    let is_met = met.acknowledged > 0
        && met.lost > 0
        && met.rewrites > 0
        && met.failed > 0
        && met.refused > 0
        && met.crashes_within_jobs > 0;
    assert!(runs.get() < 300 || is_met, "not all that may happen has happened: {met:?}");
}

#[test]
fn mistakes_in_the_order_of_the_log_are_found() {
    // A base that gets its name before it is synced is none: it counts when the manifest names it.
    for mistake in [
        Mistake::NoFolderSync,
        Mistake::LogNotSynced,
        Mistake::ReplacedBeforeSync,
        Mistake::HistoryRemovedEarly,
        Mistake::HalfTransactions,
        Mistake::RepliesBeforeSync,
    ] {
        let found = (1..2000).find(|seed| one_run(*seed, &mut Met::default(), Some(mistake)).is_err());
        println!("{mistake:?}: seed {found:?}");
        assert!(found.is_some(), "{mistake:?} is not found");
    }
}
