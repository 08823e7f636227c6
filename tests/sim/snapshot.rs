//! Dump files that are saved while clients do anything: a file holds what the server held when its save began.
//!
//! A turn walks little, so that many requests come in between: changes of all types, scripts and transactions, flushes, swaps
//! and moves, eviction, keys and fields that die. The disk is a model: it fails, is late, and loses power at any job of a save;
//! then a start finds the old file or the new one.

use crate::support::World;
use crate::support::contents::{Contents, contents, differences, load};
use crate::support::disk::Faults;
use crate::support::requests::{Lives, Requests};
use crate::support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS, Template};
use crate::support::world::Mistake;
use crate::wraps;
use crate::{with_costly_seeds, with_seeds};
use waterwheel::base::rng::Rng;
use waterwheel::config::Permission;
use waterwheel::engine::durability::Why;
use waterwheel::keyspace::digest;
use waterwheel::resp::reply::encode_request;

/// Where the dump file is.
const FILE: &str = "dump.rdb";

/// Actions during a save before it is left alone.
const ACTIONS_OF_A_SAVE: u64 = 60;

const fn t(weight: u32, text: &'static str) -> Template {
    Template { weight, text }
}

/// Changes of collections of many members, so that they are met while they are walked, and what only a world can be asked.
const LARGE: &[Template] = &[
    t(60, "SADD <set> <until> <until> <until>"),
    t(60, "SREM <set> <until> <until>"),
    t(10, "SPOP <set> (|<small>)"),
    t(60, "HSET <hash> <until> <value> <until> <value>"),
    t(60, "HDEL <hash> <until> <until>"),
    t(20, "HPEXPIRE <hash> <ms> FIELDS 2 <until> <until>"),
    t(10, "HPERSIST <hash> FIELDS 2 <until> <until>"),
    t(60, "ZADD <zkey> <score> <until> <score> <until>"),
    t(60, "ZREM <zkey> <until> <until>"),
    t(10, "ZREMRANGEBYRANK <zkey> 0 <small>"),
    t(10, "ZPOPMAX <zkey> <small>"),
    t(10, "RENAME (<set>|<hash>|<zkey>|<list>|<stream>) (<set>|<hash>|<zkey>|<key>)"),
    t(10, "MOVE (<set>|<hash>|<zkey>|<list>|<stream>) <db>"),
    t(10, "COPY (<set>|<hash>|<zkey>|<list>|<stream>) <key> (|DB <db>) (|REPLACE)"),
    t(6, "DEL (<set>|<hash>|<zkey>|<list>|<stream>)"),
    t(20, "PEXPIRE (<set>|<hash>|<zkey>|<list>|<stream>) <ms>"),
    t(6, "SWAPDB <db> <db>"),
    t(1, "FLUSHDB (|ASYNC|SYNC)"),
    t(2, "DEBUG SET-ACTIVE-EXPIRE (0|1|1)"),
    t(2, "CONFIG SET maxmemory-policy (allkeys-random|volatile-random|allkeys-lru)"),
    t(2, "CONFIG SET rdbcompression (yes|no)"),
    t(1, "CONFIG SET rdb-save-incremental-fsync (yes|no)"),
];

/// What was met in all runs.
#[derive(Debug, Default)]
struct Met {
    saves: u64,
    compared: u64,
    /// Actions while a snapshot was walked.
    within: u64,
    cancelled: u64,
    failed: u64,
    crashes: u64,
    stash_bytes: usize,
    evicted: u64,
}

/// A server that is asked for dump files.
struct Saver {
    world: World,
    requests: Requests,
    rng: Rng,
    /// What the file may hold: what it held before, and what was there when later saves began; none for what nobody knows.
    may_be: Vec<Option<Contents>>,
    /// The Unix milliseconds between which the last save began: what died there may be in its file or not.
    began_ms: (u64, u64),
    /// Saves that were begun, as far as they were seen.
    saves: u64,
    is_saving: bool,
    /// A request that ends a save has come since it began.
    is_cancelled: bool,
    faults_met: u64,
    met: Met,
}

impl Saver {
    fn new(seed: u64) -> Saver {
        let mut rng = Rng::from_seed(!seed);
        let mut world = World::with_seed(seed);
        world.engine.conf.enable_debug_command = Permission::Yes;
        world.engine.conf.rdbchecksum = !seed.is_multiple_of(4);
        world.slices_ticks = Some([100_000, 300_000, 2_000_000][rng.below(3) as usize]);
        let mut requests =
            Requests::new(seed, Lives::Short, &[DATA, LISTS, STREAMS, SETS, HASHES, BITS, LARGE]);
        requests.keys = [10, 60, 300][seed as usize % 3];
        requests.databases = 3;
        requests.spoiled_one_in = 200;
        let mut saver = Saver {
            world,
            requests,
            rng,
            may_be: vec![Some(Contents::new())],
            began_ms: (0, 0),
            saves: 0,
            is_saving: false,
            is_cancelled: false,
            faults_met: 0,
            met: Met::default(),
        };
        saver.fill(seed);
        saver
    }

    /// Collections of all types, some with more members than a step of the walk hands out.
    fn fill(&mut self, seed: u64) {
        self.world.run("CONFIG SET set-max-listpack-entries 4 set-max-intset-entries 16");
        self.world.run("CONFIG SET hash-max-listpack-entries 4 zset-max-listpack-entries 4");
        self.world.run("CONFIG SET list-max-listpack-size 3 stream-node-max-entries 3");
        let sizes: &[u64] = if seed.is_multiple_of(2) { &[3, 30, 500] } else { &[3, 10, 30] };
        for db in 0..self.requests.databases {
            let mut bytes = Vec::new();
            encode_request(&["SELECT".to_owned(), db.to_string()], &mut bytes);
            for number in 0..3 {
                let size = sizes[self.rng.below(3) as usize];
                for letter in ["t", "h", "z", "q", "x"] {
                    let command = match letter {
                        "t" => "SADD",
                        "h" => "HSET",
                        "z" => "ZADD",
                        "q" => "RPUSH",
                        _ => {
                            for id in 1..=size.min(60) {
                                let id = format!("{id}-0");
                                encode_request(&["XADD", &format!("x{number}"), &id, "f", "v"], &mut bytes);
                            }
                            continue;
                        }
                    };
                    let mut words = vec![command.to_owned(), format!("{letter}{number}")];
                    for member in 0..size {
                        words.push(member.to_string());
                        if letter == "h" || letter == "z" {
                            words.push((member * 7 % 100).to_string());
                        }
                    }
                    encode_request(&words, &mut bytes);
                }
            }
            self.world.send_bytes("fill", &bytes);
        }
        self.world.disconnect("fill");
    }

    fn file(&self) -> Option<&[u8]> {
        self.world.host.disk.get(FILE)
    }

    fn contents(&self) -> Contents {
        contents(&self.world.engine.dbs)
    }

    /// What the file holds; nothing when there is none.
    fn saved(&mut self) -> Contents {
        let piece = 1 + self.rng.below(5000) as usize;
        let Some(file) = self.file() else { return Contents::new() };
        let dbs = load(file, piece, &self.world.engine.conf.tuning).expect("a file that was saved is sound");
        let saved = contents(&dbs);
        if let Some(Some(newest)) = self.may_be.last()
            && self.saves > 0
            && *newest == self.contents()
            && *newest == saved
        {
            let ours = digest::of_databases(&self.world.engine.dbs);
            assert_eq!(digest::of_databases(&dbs), ours, "DEBUG DIGEST sees something else");
        }
        saved
    }

    /// Does something, and looks at what became of saves.
    fn act(&mut self, action: impl FnOnce(&mut Saver), begins_late: bool) {
        // What is scheduled begins after some of what has died is gone. And when a SAVE ends the requests of its client that
        // waited run in the same turn: one may begin a save, and the next one change what is there.
        let durability = &self.world.engine.durability;
        let is_waited_for = durability.saving() == Some(Why::Client);
        let begins_late = begins_late || durability.is_scheduled() || is_waited_for;
        let before = begins_late.then(|| self.contents());
        let from_ms = self.world.host.now.unix_ms();
        action(self);
        let durability = &self.world.engine.durability;
        let (begun, is_saving) = (durability.saves - self.saves, durability.saving().is_some());
        self.met.stash_bytes = self.met.stash_bytes.max(self.world.engine.dbs.held_bytes());
        let had_save = self.is_saving;
        self.saves += begun;
        self.is_saving = is_saving;
        if begun > 0 {
            // What has expired goes in the same turn, unless nobody removes it.
            let from_ms = if self.world.engine.switches.active_expire { 0 } else { from_ms };
            self.began_ms = (from_ms, self.world.host.now.unix_ms());
            let now = self.contents();
            match begins_late {
                // A save point and a deadline of the same moment: the key may be in or not.
                true if before.as_ref() != Some(&now) => self.may_be.extend([None, before, Some(now)]),
                _ if begun > 1 || (self.is_cancelled && had_save) => {
                    self.may_be.extend([None, Some(now)]);
                }
                _ => self.may_be.push(Some(now)),
            }
        }
        if !is_saving && (had_save || begun > 0) {
            self.look();
        }
    }

    /// A save has come to its end: its file is there, or the one that was there before.
    fn look(&mut self) {
        assert_eq!(self.world.engine.dbs.held_bytes(), 0, "old values are held for nobody");
        let disk = self.world.host.disk.met;
        let faults = disk.failing + disk.full;
        let has_failed = faults > self.faults_met;
        self.faults_met = faults;
        let is_ok = self.world.engine.durability.last_background_is_ok;
        assert!(is_ok || has_failed || faults > 0, "it failed for no reason");
        let saved = self.saved();
        let is_known = self.may_be.iter().all(Option::is_some);
        let newest = self.may_be.last().cloned().flatten().unwrap_or_default();
        self.met.saves += 1;
        let began_ms = self.began_ms;
        let lasting = |all: &Contents| without_uncertain(all, began_ms);
        if has_failed || self.is_cancelled || !is_known {
            self.met.failed += u64::from(has_failed);
            self.met.cancelled += u64::from(self.is_cancelled);
            let is_one = self.may_be.iter().flatten().any(|one| lasting(one) == lasting(&saved));
            assert!(is_one || !is_known, "the file is another one: {}", differences(&saved, &newest));
        } else {
            self.met.compared += 1;
            assert!(
                lasting(&saved) == lasting(&newest),
                "it is not what was saved: {}",
                differences(&saved, &newest)
            );
        }
        match has_failed || self.is_cancelled {
            // If only the folder was not synced, a crash may bring back the one before; and who cancels a save that is about to
            // rename its file comes too late.
            true => self.may_be.push(Some(saved)),
            false => self.may_be = vec![Some(saved)],
        }
        self.is_cancelled = false;
    }

    /// Clients ask for this and that, or time passes.
    fn live(&mut self) {
        self.met.within += u64::from(self.world.engine.dbs.snapshot().is_some());
        match self.rng.below(20) {
            0..=14 => {
                let bytes = self.some_requests();
                let client = ["a", "b", "c"][self.rng.below(3) as usize];
                self.act(
                    |saver| {
                        saver.world.send_bytes(client, &bytes);
                        drop(saver.world.take_replies(client));
                    },
                    false,
                );
            }
            15..=18 => {
                let longest = [2, 20, 20, 1500][self.rng.below(4) as usize];
                let ms = self.rng.below(longest);
                let late = !self.world.engine.conf.save.is_empty();
                self.act(|saver| saver.world.advance_ms(ms), late);
            }
            19 if self.rng.below(3) == 0 => self.disturb(),
            19 if self.rng.below(2) == 0 => self.world.hold_jobs(),
            _ => self.act(|saver| saver.world.do_jobs(), false),
        }
        self.world.model_memory();
    }

    /// Whether there is a save that a flush may end, or will be when the flush runs.
    fn may_be_cancelled(&self) -> bool {
        let durability = &self.world.engine.durability;
        durability.saving().is_some() || durability.is_scheduled()
    }

    /// What happens to all that is there.
    fn disturb(&mut self) {
        match self.rng.below(8) {
            0 => {
                self.is_cancelled |= self.may_be_cancelled();
                drop(self.send("FLUSHALL"));
            }
            1 => drop(self.send("BGSAVE SCHEDULE")),
            2 => drop(self.send("CONFIG SET maxmemory 0")),
            3 if self.world.engine.durability.saving() == Some(Why::Background) => {
                self.is_cancelled = true;
                drop(self.send("BGSAVE CANCEL"));
            }
            _ => {
                self.world.model_memory();
                let used = self.world.engine.used_memory(&self.world.host) as u64;
                let limit = used * (60 + self.rng.below(40)) / 100;
                drop(self.send(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-lru")));
            }
        }
    }

    fn some_requests(&mut self) -> Vec<u8> {
        self.requests.now_unix_ms = self.world.host.now.unix_ms();
        let mut bytes = Vec::new();
        let most = [1, 4, 12][self.rng.below(3) as usize];
        for _ in 0..1 + self.rng.below(most) {
            let all = match self.rng.below(6) {
                0 => wraps::draw(&mut self.requests),
                _ => vec![self.requests.draw()],
            };
            for drawn in all {
                let flushes =
                    drawn.words.iter().any(|word| word.to_ascii_lowercase().starts_with(b"flushall"));
                if flushes && self.rng.below(4) > 0 {
                    continue;
                }
                self.is_cancelled |= flushes && self.may_be_cancelled();
                encode_request(&drawn.words, &mut bytes);
            }
        }
        bytes
    }

    fn send(&mut self, line: &str) -> String {
        let mut reply = String::new();
        self.act(|saver| reply = saver.world.run_as("saver", line), false);
        reply
    }

    /// Begins a save in one of the ways that there are.
    fn begin(&mut self) {
        if self.is_saving {
            return;
        }
        match self.rng.below(10) {
            0 => {
                self.world.engine.conf.save = vec![(1, 1)];
                self.send("FLUSHALL");
            }
            1 => {
                self.world.engine.conf.save = vec![(1, 1)];
                self.send("SET point 1");
                self.act(|saver| saver.world.advance_ms(1000), true);
                self.act(|saver| saver.world.advance_ms(1000), true);
                self.world.engine.conf.save.clear();
            }
            2 => drop(self.send("SAVE")),
            3 => {
                self.send("MULTI");
                self.send("SET within 1");
                self.send("BGSAVE");
                self.send("SET within 2");
                self.send("EXEC");
            }
            _ => drop(self.send("BGSAVE")),
        }
        self.world.engine.conf.save.clear();
    }

    /// Lets a save come to its end, at last without anybody who disturbs it.
    fn end(&mut self) {
        for _ in 0..self.rng.below(ACTIONS_OF_A_SAVE) {
            self.live();
        }
        self.act(|saver| saver.world.do_jobs(), false);
        let mut turns = 0;
        while self.is_saving {
            self.act(|saver| saver.world.advance_ms(5), false);
            turns += 1;
            assert!(turns < 20_000, "a save does not come to its end");
        }
    }

    /// Power fails: what a start finds is the old file or the new one, whole, and it is loaded.
    fn crash(mut self, seed: u64) -> Met {
        let is_over = !self.is_saving && self.may_be.len() == 1;
        let tuning = self.world.engine.conf.tuning.clone();
        let mut after = self.world.crash(seed);
        after.engine.conf.tuning =
            waterwheel::keyspace::Tuning { hash_key: after.engine.conf.tuning.hash_key, ..tuning };
        after.host.disk.faults = Faults::default();
        // What is past its deadline stays until it was compared.
        after.engine.switches.active_expire = false;
        after.load();
        assert_eq!(after.exit, None, "the file that a crash left cannot be loaded");
        assert!(!after.engine.durability.is_loading(), "the load does not end");
        let found = contents(&after.engine.dbs);
        let now_ms = after.host.now.unix_ms();
        let alive = |all: &Contents| -> Contents {
            all.iter()
                .filter(|(_, (deadline, _))| deadline.is_none_or(|ms| ms >= now_ms))
                .map(|(place, value)| (place.clone(), value.clone()))
                .collect()
        };
        let is_known = self.may_be.iter().all(Option::is_some);
        let is_one = self.may_be.iter().flatten().any(|one| alive(one) == found);
        let newest = self.may_be.last().cloned().flatten().unwrap_or_default();
        let when = if is_over { "after a save" } else { "within a save" };
        assert!(is_one || !is_known, "a crash {when} left: {}", differences(&found, &alive(&newest)));
        self.met.crashes += 1;
        self.met
    }
}

/// What has no deadline in the moment in which a save began.
fn without_uncertain(all: &Contents, (from_ms, to_ms): (u64, u64)) -> Contents {
    let lasts = |deadline: Option<u64>| deadline.is_none_or(|ms| ms + 1 < from_ms || ms > to_ms);
    let certain = all.iter().filter(|(_, (deadline, _))| lasts(*deadline));
    certain.map(|(place, value)| (place.clone(), value.clone())).collect()
}

fn run(seed: u64, mistake: Option<Mistake>) -> Met {
    let mut saver = Saver::new(seed);
    saver.world.mistake = mistake;
    for _ in 0..5 {
        saver.live();
    }
    if seed.is_multiple_of(3) {
        saver.world.host.disk.faults = Faults { failing: 15, full: 10, short: 200, late_ms: 8 };
    } else if seed.is_multiple_of(5) {
        saver.world.host.disk.faults = Faults { late_ms: 3, ..Faults::default() };
    }
    for _ in 0..2 {
        for _ in 0..saver.rng.below(15) {
            saver.live();
        }
        saver.begin();
        saver.end();
    }
    saver.world.engine.conf.save.clear();
    if saver.world.host.disk.met.failing + saver.world.host.disk.met.full > 0 {
        saver.recovers();
    }
    saver.met.evicted = saver.world.engine.stats.evicted_keys;
    // The last save ends with the power, or before it.
    saver.begin();
    for _ in 0..saver.rng.below(12) {
        saver.live();
    }
    if saver.rng.below(4) > 0 {
        saver.world.disk_jobs_left = saver.rng.below(12);
        for _ in 0..saver.rng.below(100) {
            saver.act(|saver| saver.world.advance_ms(5), false);
        }
    } else {
        saver.end();
        if saver.rng.below(2) == 0 {
            saver.act(|saver| drop(saver.world.run_as("last", "CONFIG SET save '1 1'")), false);
            saver.act(|saver| saver.world.send("last", "SHUTDOWN SAVE"), false);
            saver.end();
            let has_left = saver.world.exit == Some(0);
            assert!(has_left || saver.faults_met > 0, "it does not leave");
        }
    }
    saver.crash(seed)
}

impl Saver {
    /// After faults of the disk INFO tells of the last save, and the next one is good.
    fn recovers(&mut self) {
        let is_ok = self.world.engine.durability.last_background_is_ok;
        let mut info = String::new();
        self.act(|saver| info = saver.world.run_as("info", "INFO persistence"), false);
        let text = format!("rdb_last_bgsave_status:{}", if is_ok { "ok" } else { "err" });
        assert!(info.contains(&text), "{info}");
        let faults = std::mem::take(&mut self.world.host.disk.faults);
        self.act(|saver| saver.world.advance_ms(6000), false);
        self.end();
        self.is_cancelled = false;
        let reply = self.send("BGSAVE");
        assert!(reply.contains("Background saving started"), "{reply}");
        let mut turns = 0;
        while self.is_saving && turns < 20_000 {
            self.act(|saver| saver.world.advance_ms(5), false);
            turns += 1;
        }
        assert!(self.world.engine.durability.last_background_is_ok, "a disk that is good again is not used");
        self.world.host.disk.faults = faults;
    }
}

#[test]
fn a_dump_holds_what_the_server_held_when_its_save_began() {
    let sum = std::cell::RefCell::new(Met::default());
    with_seeds("a_dump_holds", 250, |seed| {
        let met = run(seed, None);
        let mut sum = sum.borrow_mut();
        *sum = Met {
            saves: sum.saves + met.saves,
            compared: sum.compared + met.compared,
            within: sum.within + met.within,
            cancelled: sum.cancelled + met.cancelled,
            failed: sum.failed + met.failed,
            crashes: sum.crashes + met.crashes,
            stash_bytes: sum.stash_bytes.max(met.stash_bytes),
            evicted: sum.evicted + met.evicted,
        };
    });
    let sum = sum.into_inner();
    println!("{sum:?}");
    if sum.crashes >= 200 {
        assert!(sum.compared > sum.crashes && sum.cancelled > 0 && sum.failed > 0, "{sum:?}");
        assert!(sum.stash_bytes > 10_000 && sum.evicted > 0, "{sum:?}");
    }
}

/// Saves that are cancelled use up the numbers by which a walk knows what it has met.
#[test]
fn a_dump_is_whole_after_hundreds_of_saves_that_were_cancelled() {
    with_costly_seeds("a_dump_is_whole_after_hundreds", 12, 100, |seed| {
        let mut saver = Saver::new(seed);
        for _ in 0..1 + saver.rng.below(300) {
            saver.send("BGSAVE");
            if saver.rng.below(4) == 0 {
                saver.live();
            }
            if saver.is_saving {
                saver.is_cancelled = true;
                saver.send("BGSAVE CANCEL");
            }
        }
        saver.send("BGSAVE");
        saver.end();
    });
}

/// What only a save needs is no reason to evict: clients write values of the same size over others.
#[test]
fn what_a_save_holds_evicts_nobody() {
    with_costly_seeds("what_a_save_holds_evicts_nobody", 40, 10, |seed| {
        let mut saver = Saver::new(seed);
        for key in 0..200 {
            saver.world.run(&format!("SET large:{key} {}", "x".repeat(1500)));
        }
        saver.world.run("CONFIG SET maxmemory-policy allkeys-lru");
        saver.world.model_memory();
        let used = saver.world.engine.used_memory(&saver.world.host) as u64;
        saver.world.run(&format!("CONFIG SET maxmemory {}", used + used / 20));
        // The walk is slow, so old values wait.
        saver.world.run("CONFIG SET rdb-key-save-delay 100000");
        saver.send("BGSAVE");
        let mut held = 0;
        for key in 0..200 {
            saver.world.model_memory();
            held = held.max(saver.world.engine.dbs.held_bytes() as u64);
            saver.send(&format!("SET large:{key} {}", "y".repeat(1500)));
        }
        assert_eq!(saver.world.engine.stats.evicted_keys, 0, "{used} bytes, and {held} held");
        assert!(held > used / 10, "{used} bytes, and only {held} held");
        saver.world.run("CONFIG SET rdb-key-save-delay 0");
        saver.end();
    });
}

#[test]
fn mistakes_in_the_order_of_syncs_are_found() {
    for mistake in [Mistake::NoFolderSync, Mistake::RenameBeforeSync] {
        let found = (1..400).find(|seed| crash_after_save(*seed, Some(mistake)).is_err());
        println!("{mistake:?}: seed {found:?}");
        assert!(found.is_some(), "{mistake:?} is not found");
    }
    for seed in 1..100 {
        assert_eq!(crash_after_save(seed, None), Ok(()), "seed {seed}");
    }
}

/// A small server saves twice and loses power at a job of the second save, or behind it; what it finds then is told.
fn crash_after_save(seed: u64, mistake: Option<Mistake>) -> Result<(), String> {
    let mut rng = Rng::from_seed(seed);
    let mut world = World::with_seed(seed);
    world.run(&format!("SET key {}", "a".repeat(3000)));
    assert_eq!(world.run("SAVE"), "OK");
    world.run(&format!("SET key {}", "b".repeat(5000)));
    world.mistake = mistake;
    world.disk_jobs_left = rng.below(16);
    let is_told = world.run("SAVE") == "OK";
    let mut after = world.crash(seed);
    after.load();
    if after.exit.is_some() {
        return Err("it cannot be loaded".to_owned());
    }
    match after.run("STRLEN key").as_str() {
        "(integer) 5000" => Ok(()),
        "(integer) 3000" if !is_told => Ok(()),
        other => Err(format!(
            "{other} was found, and the save {} acknowledged",
            if is_told { "was" } else { "was not" }
        )),
    }
}

#[test]
fn a_save_of_a_client_ends_with_its_reply() {
    let mut world = World::new();
    world.run("SET key value");
    world.hold_jobs();
    world.send("a", "SAVE");
    assert_eq!((world.received("a"), world.engine.durability.saving()), (String::new(), Some(Why::Client)));
    world.do_jobs();
    assert_eq!((world.received("a"), world.engine.durability.saving()), ("OK".to_owned(), None));
}
