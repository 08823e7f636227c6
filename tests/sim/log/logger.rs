//! A server that logs, and those who speak with it: writers, readers, listeners, and who has the log rewritten, ended and begun.

use super::Policy;
use crate::support::World;
use crate::support::contents::{Contents, contents};
use crate::support::requests::{Lives, Requests};
use crate::support::templates::{DATA, LISTS, SETS};
use std::collections::BTreeMap;
use waterwheel::base::rng::Rng;
use waterwheel::engine::durability::LogStage;
use waterwheel::keyspace::ValueRef;
use waterwheel::resp::reply::encode_request;

/// Clients that write.
const WRITERS: u64 = 6;

/// A write as a script, which also tells its number to whoever listens.
const SCRIPT: &str = "local n = redis.call('INCR', 'one'); redis.call('RPUSH', 'list', 'x'); redis.call('PUBLISH', 'news', n); \
                      return redis.call('INCR', 'other')";

/// Random requests that would take the counters with them, or end the transaction.
const LEFT_OUT: &[&str] = &["SWAPDB", "FLUSHDB", "FLUSHALL", "RESET", "DISCARD"];

/// What is known of a write.
pub struct Write {
    /// When it was made, in monotonic milliseconds.
    pub made_ms: u64,
    /// It was made while there was a log, so that what is said of it has to be true behind a crash.
    pub is_logged: bool,
    /// What the server held behind it; none where that is not compared.
    pub contents: Option<Contents>,
}

/// Who is told of writes without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    Nobody,
    /// Of the events of a key.
    Events,
    /// Of messages that scripts publish.
    News,
    /// Of keys that are no longer as they were read.
    Cache,
    /// Of all commands.
    Monitor,
}

/// See the head of the file.
pub struct Logger {
    pub world: World,
    pub rng: Rng,
    requests: Requests,
    pub policy: Policy,
    /// Each batch has an integrity line: a hole is noticed, so all that was written can be compared.
    pub is_lined: bool,
    pub is_faulty: bool,
    /// The database in which the counters are.
    pub db: u64,
    /// Writes by their number, the first of which stands for nothing written.
    pub writes: Vec<Write>,
    /// Clients that wait for the reply to a write, and its number.
    waiting: BTreeMap<String, u64>,
    /// The newest write that was acknowledged, and when.
    pub acknowledged: (u64, u64),
    /// A read is not answered; it was made while there was a log.
    reading: Option<bool>,
    /// The newest write that anybody has read or heard of.
    pub told: u64,
    listener: Listener,
    /// Writes that it was told of.
    heard: u64,
    /// Who waits until all is durable asked behind this write.
    waits_for: Option<u64>,
    /// `appendonly` is being set, behind this write; there was a log to be ended.
    setting: Option<(u64, bool)>,
    /// This write was said to be durable.
    pub sure: u64,
    pub refused: u64,
    /// A write was refused although nothing is logged, which no disk can be a reason for.
    pub refused_without_log: bool,
    pub ends: u64,
}

impl Logger {
    pub fn new(seed: u64) -> Logger {
        let mut rng = Rng::from_seed(seed);
        let policy = [Policy::Always, Policy::Always, Policy::Everysec, Policy::Everysec, Policy::No]
            [rng.below(5) as usize];
        let mut world = World::with_seed(seed);
        super::configure(&mut world, policy, rng.below(2) == 0);
        let is_lined = seed % 2 == 1;
        world.engine.conf.aof_integrity_check = is_lined;
        world.slices_ticks = [None, Some(600_000)][rng.below(2) as usize];
        world.engine.conf.rdb_key_save_delay_us = [0, 0, 30_000, 400_000][rng.below(4) as usize];
        world.start();
        let is_faulty = rng.below(3) == 0;
        world.host.disk.faults.late_ms = [0, 3, 40][rng.below(3) as usize];
        world.host.disk.faults.short = 100;
        if is_faulty {
            (world.host.disk.faults.failing, world.host.disk.faults.full) = (8, 20);
        }
        let mut requests = Requests::new(seed, Lives::Short, &[DATA, LISTS, SETS]);
        (requests.spoiled_one_in, requests.databases) = (u64::MAX, 8);
        let db = [0, 0, 5][rng.below(3) as usize];
        let nothing = Write { made_ms: 0, is_logged: true, contents: Some(Contents::new()) };
        let listeners =
            [Listener::Nobody, Listener::Events, Listener::News, Listener::Cache, Listener::Monitor];
        let listener = match policy {
            Policy::Always => listeners[rng.below(5) as usize],
            _ => Listener::Nobody,
        };
        let mut logger = Logger {
            world,
            rng,
            requests,
            policy,
            is_lined,
            is_faulty,
            db,
            writes: vec![nothing],
            waiting: BTreeMap::new(),
            acknowledged: (0, 0),
            reading: None,
            told: 0,
            listener,
            heard: 0,
            waits_for: None,
            setting: None,
            sure: 0,
            refused: 0,
            refused_without_log: false,
            ends: 0,
        };
        logger.listen();
        logger
    }

    fn listen(&mut self) {
        let lines: Vec<String> = match self.listener {
            Listener::Nobody => Vec::new(),
            Listener::Events => vec![
                "CONFIG SET notify-keyspace-events KEA".to_owned(),
                format!("SUBSCRIBE __keyspace@{}__:one", self.db),
            ],
            Listener::News => vec!["SUBSCRIBE news".to_owned()],
            Listener::Cache => {
                vec!["HELLO 3".to_owned(), "CLIENT TRACKING ON BCAST PREFIX one".to_owned()]
            }
            Listener::Monitor => vec!["MONITOR".to_owned()],
        };
        lines.iter().for_each(|line| drop(self.world.run_as("listener", line)));
    }

    pub fn now_ms(&self) -> u64 {
        self.world.host.now.mono_us / 1000
    }

    /// The number of the last write.
    pub fn number(&self) -> u64 {
        self.writes.len() as u64 - 1
    }

    fn has_log(&self) -> bool {
        self.world.engine.durability.log.stage() == LogStage::On
    }

    /// How often the server says that it was written to.
    fn count(&self) -> u64 {
        let db = self.world.engine.dbs.at(self.db as usize);
        let Some(handle) = db.find(b"one", db.hash(b"one")) else { return 0 };
        match db.value(handle) {
            ValueRef::Int(count) => count as u64,
            _ => panic!("a counter is a number"),
        }
    }

    /// A client, whose database is the one of the counters.
    fn client(&mut self, name: &str) {
        if !self.world.is_connected(name) {
            let reply = self.world.run_as(name, &format!("SELECT {}", self.db));
            assert_eq!(reply, "OK");
        }
    }

    pub fn step(&mut self) {
        match self.rng.below(24) {
            0..13 => self.write(),
            13..15 => self.read(),
            15 => drop(self.world.run_as("admin", "BGREWRITEAOF")),
            16 if self.waits_for.is_none() && self.world.engine.durability.is_logging() => {
                self.waits_for = Some(self.number());
                self.world.send("patient", "WAITAOF 1 0 0");
            }
            17 if self.rng.below(2) == 0 => self.set_appendonly(),
            // Within a rewrite that is about to be named, and what follows, most can go wrong.
            18 if self.world.engine.is_rewrite_in_progress() => self.set_appendonly(),
            _ => {
                let ms = 1 + self.rng.below(250);
                self.world.advance_ms(ms);
            }
        }
        self.take_replies();
    }

    fn write(&mut self) {
        let client = format!("c{}", self.rng.below(WRITERS));
        if self.waiting.contains_key(&client) {
            return;
        }
        self.client(&client);
        let bytes = if self.rng.below(4) == 0 {
            encoded(&[&["EVAL".to_owned(), SCRIPT.to_owned(), "0".to_owned()]])
        } else {
            self.transaction()
        };
        let has_log = self.has_log();
        self.world.send_bytes(&client, &bytes);
        self.waiting.insert(client, self.number() + 1);
        if self.count() == self.number() + 1 {
            self.writes.push(Write {
                made_ms: self.now_ms(),
                is_logged: has_log && self.has_log(),
                contents: self.is_lined.then(|| contents(&self.world.engine.dbs)),
            });
        }
    }

    /// Two counters, a list, and in a server that notices holes whatever else.
    fn transaction(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut add = |line: &str| encode_request(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
        add("MULTI");
        let next = self.number();
        if self.is_lined && self.rng.below(30) == 0 && self.listener != Listener::Cache {
            add("FLUSHALL");
            add(&format!("SET one {next}"));
            add(&format!("SET other {next}"));
        }
        ["INCR one", "RPUSH list x", "INCR other"].into_iter().for_each(&mut add);
        if self.is_lined {
            match self.rng.below(4) {
                0 => self.some_random(&mut bytes),
                1 => self.with_deadline().iter().for_each(|line| add(line)),
                2 => self.with_table().iter().for_each(|line| add(line)),
                _ => {}
            }
        }
        let home = ["SELECT".to_owned(), self.db.to_string()];
        bytes.extend(encoded(&[&home, &["EXEC".to_owned()]]));
        bytes
    }

    fn some_random(&mut self, bytes: &mut Vec<u8>) {
        self.requests.now_unix_ms = self.world.host.now.unix_ms();
        for _ in 0..1 + self.rng.below(3) {
            let words = self.requests.draw().words;
            let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
            if !LEFT_OUT.contains(&name.as_str()) {
                encode_request(&words, bytes);
            }
        }
    }

    /// A key gets a deadline, another one or none: what a base says of it need not be what holds in the end.
    fn with_deadline(&mut self) -> Vec<String> {
        let ms = 1 + self.rng.below(1500);
        vec![match self.rng.below(4) {
            0 | 1 => format!("SET dated {} PX {ms}", self.number()),
            2 => format!("PEXPIRE dated {}", ms * 10),
            _ => "PERSIST dated".to_owned(),
        }]
    }

    /// A table that is larger than a step of a walk gets another name, and members.
    fn with_table(&mut self) -> Vec<String> {
        let from = self.rng.below(400);
        let members: Vec<String> = (from..from + 150).map(|member| member.to_string()).collect();
        vec![match self.rng.below(4) {
            0 | 1 => format!("SADD table {}", members.join(" ")),
            2 => format!("SREM table {}", members.join(" ")),
            _ => "MOVE table 3".to_owned(),
        }]
        .into_iter()
        .chain((self.rng.below(3) == 0).then(|| "RENAME table table2".to_owned()))
        .chain((self.rng.below(3) == 0).then(|| "RENAME table2 table".to_owned()))
        .collect()
    }

    fn read(&mut self) {
        if self.reading.is_some() {
            return;
        }
        self.client("reader");
        self.reading = Some(self.has_log());
        let line = match self.rng.below(4) {
            0 => "GET one",
            1 => "MGET nothing other one",
            2 => "EVAL \"return redis.call('get', 'one')\" 0",
            _ => "EXEC",
        };
        if line == "EXEC" {
            let lines = ["MULTI", "GET one", "EXEC"].map(|word| word.split(' ').map(str::to_owned).collect());
            let lines: Vec<Vec<String>> = lines.into();
            let lines: Vec<&[String]> = lines.iter().map(Vec::as_slice).collect();
            self.world.send_bytes("reader", &encoded(&lines));
        } else {
            self.world.send("reader", line);
        }
    }

    /// The log ends, or another one begins.
    fn set_appendonly(&mut self) {
        if self.setting.is_some() {
            return;
        }
        let is_on = self.world.engine.conf.appendonly;
        self.setting = Some((self.number(), is_on && self.has_log()));
        self.ends += u64::from(is_on);
        let line = format!("CONFIG SET appendonly {}", if is_on { "no" } else { "yes" });
        self.world.send("master", &line);
    }

    /// Has a log for sure.
    pub fn begin_log(&mut self) {
        if !self.world.engine.conf.appendonly {
            self.set_appendonly();
            self.take_replies();
        }
    }

    pub fn take_replies(&mut self) {
        for (client, number) in std::mem::take(&mut self.waiting) {
            let text = self.world.received(&client);
            if text.contains("EXECABORT") || text.contains("MISCONF") {
                self.refused += 1;
                self.refused_without_log |= !self.world.engine.durability.is_logging();
            } else if !text.contains("(integer)") {
                self.waiting.insert(client, number);
            } else if self.writes[number as usize].is_logged {
                self.acknowledged = (self.acknowledged.0.max(number), self.now_ms());
            }
        }
        let read = self.world.received("reader");
        if let Some(number) = read.rsplit('"').nth(1).and_then(|text| text.parse().ok())
            && self.reading == Some(true)
        {
            self.told = self.told.max(number);
        }
        if read.contains("(nil)") || read.contains('"') {
            self.reading = None;
        }
        self.hear();
        let reply = self.world.received("patient");
        if let Some(number) = self.waits_for.filter(|_| !reply.is_empty()) {
            self.waits_for = None;
            // Where the log has ended meanwhile it is an error.
            if reply.starts_with("1) (integer) 1") {
                self.sure = self.sure.max(number);
            }
        }
        let reply = self.world.received("master");
        if let Some((number, has_ended)) = self.setting.filter(|_| !reply.is_empty()) {
            self.setting = None;
            if has_ended && reply == "OK" && !self.is_faulty {
                self.sure = self.sure.max(number);
            }
        }
    }

    fn hear(&mut self) {
        if self.listener == Listener::Nobody {
            return;
        }
        let text = self.world.received("listener");
        let count = |what: &str| text.matches(what).count() as u64;
        self.heard = match self.listener {
            Listener::Nobody => 0,
            Listener::Events => self.heard + count("\"incrby\""),
            Listener::Cache => self.heard + count("\"one\""),
            Listener::Monitor => self.heard + count("\"INCR\" \"one\""),
            Listener::News => {
                let numbers = text.split('"').filter_map(|word| word.parse().ok());
                numbers.max().unwrap_or(self.heard)
            }
        };
        if self.writes.get(self.heard as usize).is_some_and(|write| write.is_logged) {
            self.told = self.told.max(self.heard);
        }
    }
}

/// Requests, each as its words.
pub fn encoded(requests: &[&[String]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|words| encode_request(words, &mut bytes));
    bytes
}
