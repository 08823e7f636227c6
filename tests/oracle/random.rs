//! The same random commands for Waterwheel and for a real Redis; every reply has to be the same.
//!
//! `tests/oracle/run` starts it. Both servers get the same bytes over several connections, one batch at a time, so that
//! all that happens happens in the same order. What may differ, and by how much, stands in `rules.txt`. Now and then
//! keys are given a few milliseconds to live, and both are compared when those are over; and both datasets are compared
//! key by key. After a difference both are emptied, so that one mistake is told once.
//!
//! With `--valkey` the reference is Valkey, for the commands and options that Redis 8.0 has not; what may differ then
//! stands in `valkey-rules.txt`.
//!
//! Last comes a table: how often each command, and each of its options, succeeded, gave nothing, and failed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers and reads clocks"
)]

mod listeners;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
mod tell;
mod wraps;

use listeners::Listeners;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::peer::Peer;
use support::reply::{Resp, extent};
use support::requests::{Drawn, Lives, Requests};
use support::templates::{BITS, DATA, HASHES, LISTS, SETS, SKETCHES, STREAMS, Template, VALKEY};
use tell::{history, is_code, keys_of, tell, tell_code};
use waterwheel::resp::reply::encode_request;

/// Connections to each server; every other one speaks version 3 at first.
const CONNECTIONS: usize = 4;

/// Commands between two looks at keys that live for milliseconds.
const COMMANDS_PER_FLASH: u64 = 50_000;

/// Commands between two comparisons of the datasets.
const COMMANDS_PER_COMPARISON: u64 = 250_000;

/// Requests that are remembered, to be shown with a difference.
const REMEMBERED: usize = 3000;

/// How often each cell of the table has to be met in a full run.
const CELL_MIN: u64 = 100;

/// Another server as the one that is right.
struct Reference {
    name: &'static str,
    tables: &'static [&'static [Template]],
    /// Text of the file with the rules.
    rules: &'static str,
    /// Commands that are never spoiled.
    unspoiled: &'static [&'static str],
    /// Whether its encodings are ours.
    has_our_encodings: bool,
    /// Whether its errors of scripts are ours.
    has_our_scripts: bool,
}

const REDIS: Reference = Reference {
    name: "Redis",
    tables: &[DATA, LISTS, STREAMS, SETS, HASHES, BITS, SKETCHES, listeners::PUBLISHING],
    rules: include_str!("rules.txt"),
    unspoiled: &[],
    has_our_encodings: true,
    has_our_scripts: true,
};

const VALKEY_9: Reference = Reference {
    name: "Valkey",
    tables: &[VALKEY],
    rules: include_str!("valkey-rules.txt"),
    // Redis 8.0 has these, too, and refuses in its own way.
    unspoiled: &["HSETEX", "HPTTL", "HPEXPIRETIME", "HPERSIST"],
    has_our_encodings: false,
    has_our_scripts: false,
};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut commands, mut seed, mut full, mut programs) = (300_000, 1, false, Vec::new());
    let mut reference = &REDIS;
    let (mut scripts_most, mut listens) = (false, false);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number follows");
        match argument.as_str() {
            "--commands" => commands = number(),
            "--seed" => seed = number(),
            "--full" => full = true,
            "--scripts" => scripts_most = true,
            "--listeners" => listens = true,
            "--valkey" => reference = &VALKEY_9,
            _ => programs.push(argument),
        }
    }
    let [program, ours] = programs.as_slice() else {
        eprintln!(
            "usage: tests/oracle/run [--valkey] [--scripts] [--listeners] [--commands N] [--seed S] [--full] REFERENCE WATERWHEEL"
        );
        return ExitCode::from(2);
    };
    let mut run = Run::new(reference, program, ours, seed);
    run.scripts_most = scripts_most;
    run.listeners =
        listens.then(|| Listeners::new(seed, run.requests.keys, &run.theirs.peer, &run.ours.peer));
    let begun = Instant::now();
    while run.sent < commands && run.differences < 200 {
        run.batch();
    }
    run.compare_datasets();
    let seconds = begun.elapsed().as_secs_f64();
    let complete = run.print_table();
    println!(
        "seed {seed}: {} commands in {seconds:.1} s, {:.0} a second; {} datasets compared, {} keys; {} differences; the \
         reference crashed {} times",
        run.sent,
        run.sent as f64 / seconds,
        run.comparisons,
        run.keys_compared,
        run.differences,
        run.crashes
    );
    println!(
        "generated scripts: {}, of which {} ended with an error",
        run.scripts.iter().sum::<u64>(),
        run.scripts[2]
    );
    if let Some(listeners) = &run.listeners {
        let Listeners { frames, monitored, .. } = listeners;
        println!("answers and messages to listeners: {frames}; requests shown to monitors: {monitored}");
    }
    if run.differences == 0 && (complete || !full) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How a reply may differ.
#[derive(Clone, Copy)]
enum How {
    /// It must have the same type, and be nothing when the other is.
    Kind,
    /// As `Kind`, but one may be nothing.
    KindOrNothing,
    /// Its elements may come in another order.
    Sorted,
    /// Its number may differ so much.
    Within(i64),
    /// Redis may find a number in it that it cannot read.
    Refused,
    /// As `Kind` or as `Refused`.
    KindOrRefused,
    /// Both may be errors, in other words.
    Errors,
    /// Numbers may be written with more digits, and errors in other words.
    Digits,
}

struct Server {
    peer: Peer,
    connections: Vec<TcpStream>,
    buffer: Vec<u8>,
}

struct Run {
    reference: &'static Reference,
    theirs: Server,
    ours: Server,
    requests: Requests,
    rules: Vec<Option<How>>,
    names: Vec<String>,
    sent: u64,
    since_flash: u64,
    since_comparison: u64,
    differences: u64,
    crashes: u64,
    /// Whether half of the requests are generated scripts.
    scripts_most: bool,
    /// Generated scripts: how many succeeded, gave nothing, failed.
    scripts: [u64; 3],
    listeners: Option<Listeners>,
    comparisons: u64,
    keys_compared: u64,
    /// Template and option (none: the command) to successes, empty replies, failures.
    cells: BTreeMap<(usize, Option<u16>), [u64; 3]>,
    remembered: VecDeque<Drawn>,
}

impl Server {
    fn start(program: &str) -> Server {
        let mut server = Server { peer: Peer::start(program), connections: Vec::new(), buffer: Vec::new() };
        server.connect();
        server
    }

    fn connect(&mut self) {
        self.connections = (0..CONNECTIONS).map(|_| self.peer.connect()).collect();
        for connection in &self.connections {
            // Nothing that is asked for here takes a second.
            connection.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has time-outs");
        }
        self.buffer.clear();
    }

    fn send(&mut self, connection: usize, bytes: &[u8]) -> bool {
        self.connections[connection].write_all(bytes).is_ok()
    }

    /// Reads so many replies and gives where each ends; none when the server is gone.
    fn receive(&mut self, connection: usize, count: usize) -> Option<Vec<usize>> {
        self.buffer.clear();
        let (mut ends, mut at, mut filled) = (Vec::with_capacity(count), 0, 0);
        while ends.len() < count {
            if self.buffer.len() < filled + 65536 {
                self.buffer.resize((filled + 65536) * 2, 0);
            }
            match self.connections[connection].read(&mut self.buffer[filled..]) {
                Ok(n) if n > 0 => filled += n,
                _ => return None,
            }
            while let Some(len) = extent(&self.buffer[at..filled]) {
                at += len;
                ends.push(at);
                if at == filled {
                    break;
                }
            }
        }
        assert!(ends.len() == count && at == filled, "more replies than requests");
        Some(ends)
    }

    fn ask(&mut self, connection: usize, words: &[&[u8]]) -> Option<Resp> {
        let mut bytes = Vec::new();
        encode_request(words, &mut bytes);
        self.send(connection, &bytes);
        let ends = self.receive(connection, 1)?;
        Resp::first(&self.buffer[..ends[0]]).map(|(reply, _)| reply)
    }
}

impl Run {
    fn new(reference: &'static Reference, program: &str, ours: &str, seed: u64) -> Run {
        let mut requests = Requests::new(seed, Lives::Long, reference.tables);
        requests.databases = 4;
        requests.spoiled_one_in = [4, 40, 12][seed as usize % 3];
        requests.keys = [60, 60, 8, 500][seed as usize % 4];
        let names: Vec<String> = requests.names().map(str::to_owned).collect();
        let rules = rules(reference.rules);
        for name in rules.keys() {
            assert!(names.contains(name), "a rule for {name}, which is no command here");
        }
        let theirs = Server::start(program);
        requests.unspoiled = [reference.unspoiled, &theirs.peer.left_out("spoiled")].concat();
        requests.unsaid = theirs.peer.left_out("random");
        let mut run = Run {
            reference,
            theirs,
            ours: Server::start(ours),
            requests,
            rules: names.iter().map(|name| rules.get(&name.to_ascii_uppercase()).copied()).collect(),
            names,
            sent: 0,
            since_flash: 0,
            since_comparison: 0,
            differences: 0,
            crashes: 0,
            scripts_most: false,
            scripts: [0; 3],
            listeners: None,
            comparisons: 0,
            keys_compared: 0,
            cells: BTreeMap::new(),
            remembered: VecDeque::new(),
        };
        run.begin_anew();
        run
    }

    /// Empties both servers and forgets what the connections have asked for.
    fn begin_anew(&mut self) {
        self.remembered.clear();
        self.listeners.iter_mut().for_each(Listeners::begin_anew);
        for server in [&mut self.theirs, &mut self.ours] {
            for connection in 0..CONNECTIONS {
                server.ask(connection, &[b"RESET"]);
                server.ask(connection, &[b"HELLO", if connection % 2 == 0 { b"2" } else { b"3" }]);
            }
            server.ask(0, &[b"FLUSHALL"]);
            server.ask(0, &[b"SCRIPT", b"FLUSH"]);
            server.ask(0, &[b"FUNCTION", b"FLUSH"]);
            for (name, rules) in wraps::USERS {
                let rules = rules.split(' ').map(str::as_bytes);
                let words: Vec<&[u8]> =
                    [&b"ACL"[..], b"SETUSER", name.as_bytes(), b"reset"].into_iter().chain(rules).collect();
                server.ask(0, &words);
            }
            server.ask(0, &[b"CONFIG", b"SET", b"maxmemory-policy", b"noeviction"]);
        }
    }

    /// One connection sends some requests, to both.
    fn batch(&mut self) {
        let connection = self.requests.rng.below(CONNECTIONS as u64) as usize;
        let most = [1, 20, 200, 600][self.requests.rng.below(4) as usize];
        let count = 1 + self.requests.rng.below(most);
        self.requests.now_unix_ms = unix_ms();
        let drawn: Vec<Drawn> = (0..count).map(|_| self.requests.draw()).collect();
        let rules = &self.rules;
        let drawn = wraps::wrap(
            &mut self.requests,
            drawn,
            self.reference.has_our_scripts,
            self.scripts_most,
            |template| rules[template].is_some(),
        );
        self.exchange(connection, drawn);
        self.listen(true);
        if self.since_flash >= COMMANDS_PER_FLASH {
            self.since_flash = 0;
            self.flash();
            self.listen(false);
        }
        if self.since_comparison >= COMMANDS_PER_COMPARISON {
            self.since_comparison = 0;
            self.compare_datasets();
            self.listen(false);
        }
    }

    /// What listeners have heard is compared, or forgotten where time decides what they hear.
    fn listen(&mut self, compares: bool) {
        if self.listeners.is_some() {
            self.remove_expired();
        }
        if let Some(different) = self.listeners.as_mut().and_then(|listeners| listeners.step(compares)) {
            self.differences += 1;
            println!("{}", different.chars().take(3000).collect::<String>());
            // What is told names keys, alone or behind the name of a channel.
            let lines = different.lines().filter(|line| line.starts_with("    only ")).take(6);
            let parts =
                lines.filter_map(|line| line.split(": ").nth(1)).flat_map(|told| told.split("\\r\\n"));
            let names: Vec<Vec<u8>> =
                parts.map(|part| part.rsplit("__:").next().unwrap_or(part).as_bytes().to_vec()).collect();
            history(&self.remembered, &names);
            self.begin_anew();
        }
    }

    /// Redis takes its time with keys whose deadline is over, and a cache that reads such a name in between hears of it
    /// twice. SCAN removes what it finds expired; the first
    /// connection is in database 0 afterwards.
    fn remove_expired(&mut self) {
        for server in [&mut self.theirs, &mut self.ours] {
            for db in [&b"1"[..], b"2", b"3", b"0"] {
                server.ask(0, &[b"SELECT", db]);
                server.ask(0, &[b"SCAN", b"0", b"COUNT", b"100000"]);
            }
        }
    }

    fn exchange(&mut self, connection: usize, drawn: Vec<Drawn>) {
        let mut bytes = Vec::new();
        drawn.iter().for_each(|one| encode_request(&one.words, &mut bytes));
        let sent = self.theirs.send(connection, &bytes);
        self.ours.send(connection, &bytes);
        let theirs = if sent { self.theirs.receive(connection, drawn.len()) } else { None };
        let Some(theirs) = theirs else { return self.revive(&drawn) };
        let Some(ours) = self.ours.receive(connection, drawn.len()) else {
            drawn.iter().flat_map(|one| &one.words).filter(is_code).for_each(|code| tell_code(code));
            drawn.iter().for_each(|one| println!("    {}", one.shown()));
            panic!("waterwheel does not answer these:\n{}", self.ours.peer.log());
        };
        let count = drawn.len() as u64;
        self.sent += count;
        self.since_flash += count;
        self.since_comparison += count;
        let (mut from_theirs, mut from_ours) = (0, 0);
        let mut different = false;
        let mut concerned = BTreeSet::new();
        let mut before: &[u8] = b"";
        for (at, one) in drawn.into_iter().enumerate() {
            let (a, b) =
                (&self.theirs.buffer[from_theirs..theirs[at]], &self.ours.buffer[from_ours..ours[at]]);
            (from_theirs, from_ours) = (theirs[at], ours[at]);
            let outcome = outcome(a);
            self.scripts[outcome] += u64::from(one.generated);
            let counted = (!one.wraps).then(|| one.options.iter().map(|option| Some(*option)).chain([None]));
            for option in counted.into_iter().flatten() {
                self.cells.entry((one.template, option)).or_default()[outcome] += 1;
            }
            let same = a == b
                || may_differ(a, b, self.rules[one.template], one.spoiled)
                || (before == b"+set\r\n"
                    && wraps::is_unsorted(&one.words)
                    && same_elements(a, b, &one.words));
            before = a;
            if !same && !different {
                different = true;
                self.differences += 1;
                tell(self.reference.name, &one, a, b, &self.remembered);
                concerned.extend(keys_of(&one));
            }
            if self.remembered.len() == REMEMBERED {
                self.remembered.pop_front();
            }
            self.remembered.push_back(one);
        }
        if different {
            for key in concerned {
                let values = [&mut self.theirs, &mut self.ours]
                    .map(|server| tell::value(&key, |w| server.ask(connection, w)));
                tell::values(&key, &values);
            }
            self.begin_anew();
        }
    }

    /// The reference has crashed: both begin with nothing, also of what FLUSHALL leaves.
    fn revive(&mut self, drawn: &[Drawn]) {
        self.crashes += 1;
        println!("the reference crashed at one of these:");
        drawn.iter().flat_map(|one| &one.words).filter(is_code).for_each(|code| tell_code(code));
        drawn.iter().for_each(|one| println!("    {}", one.shown()));
        println!("{}", self.theirs.peer.log());
        self.ours.peer.restart();
        assert!(self.crashes < 20, "the reference crashes all the time");
        self.theirs.peer.restart();
        self.theirs.connect();
        self.ours.connect();
        let (seed, keys) = (self.sent, self.requests.keys);
        self.listeners =
            self.listeners.take().map(|_| Listeners::new(seed, keys, &self.theirs.peer, &self.ours.peer));
        self.begin_anew();
    }

    /// Some keys live for a few milliseconds; when those are over both must have forgotten them.
    fn flash(&mut self) {
        let db = self.requests.rng.below(4).to_string().into_bytes();
        let request =
            |words: &[&[u8]]| Drawn { words: words.iter().map(|w| w.to_vec()).collect(), ..Drawn::default() };
        let mut bytes = Vec::new();
        encode_request(&[b"SELECT", &db[..]], &mut bytes);
        let mut count = 1;
        for key in 0..self.requests.keys {
            let (key, ms) = (format!("k{key}").into_bytes(), (1 + self.requests.rng.below(15)).to_string());
            let one = match self.requests.rng.below(6) {
                0 => request(&[b"SET", &key, b"flash", b"PX", ms.as_bytes()]),
                1 => request(&[b"PEXPIRE", &key, ms.as_bytes()]),
                2 => request(&[b"GETEX", &key, b"PX", ms.as_bytes()]),
                3 => request(&[b"PSETEX", &key, ms.as_bytes(), b"flash"]),
                _ => continue,
            };
            encode_request(&one.words, &mut bytes);
            count += 1;
        }
        for server in [&mut self.theirs, &mut self.ours] {
            server.send(0, &bytes);
            server.receive(0, count).expect("a server answers");
        }
        std::thread::sleep(Duration::from_millis(25));
        self.sent += count as u64;
        // Redis may leave expired keys where they are until somebody asks for them.
        let keys: Vec<Vec<u8>> = (0..self.requests.keys).map(|key| format!("k{key}").into_bytes()).collect();
        let words: Vec<&[u8]> = [&b"EXISTS"[..]].into_iter().chain(keys.iter().map(Vec::as_slice)).collect();
        for server in [&mut self.theirs, &mut self.ours] {
            server.ask(0, &words);
        }
        self.compare_datasets();
    }

    /// Compares all keys: which there are, and of each the value, the encoding and the deadline.
    fn compare_datasets(&mut self) {
        self.comparisons += 1;
        for db in 0..16 {
            let db = db.to_string();
            let mut both = Vec::new();
            for server in [&mut self.theirs, &mut self.ours] {
                server.ask(0, &[b"SELECT", db.as_bytes()]);
                both.push(dataset(server, self.reference.has_our_encodings));
            }
            let (theirs, ours) = (&both[0], &both[1]);
            self.keys_compared += theirs.len() as u64;
            let keys = theirs.keys().chain(ours.keys());
            let differs = |key: &&Vec<u8>| match (theirs.get(*key), ours.get(*key)) {
                (Some((value, deadline)), Some((our_value, our_deadline))) => {
                    value != our_value
                        || (deadline - our_deadline).abs() > if *deadline < 0 { 0 } else { 2000 }
                }
                _ => true,
            };
            if let Some(key) = keys.into_iter().find(differs) {
                self.differences += 1;
                println!("DIFFERENT: database {db}, {}", key.escape_ascii());
                println!("    {} {:?}\n    we {:?}", self.reference.name, theirs.get(key), ours.get(key));
                let values =
                    [&mut self.theirs, &mut self.ours].map(|server| tell::value(key, |w| server.ask(0, w)));
                tell::values(key, &values);
                history(&self.remembered, std::slice::from_ref(key));
                return self.begin_anew();
            }
        }
    }

    /// Prints how often each cell was met; true when each was met often enough.
    fn print_table(&self) -> bool {
        let mut complete = true;
        println!("{:<28} {:<12} {:>9} {:>9} {:>9}", "command", "option", "success", "empty", "error");
        for (template, name) in self.names.iter().enumerate() {
            let options = self.requests.options(template);
            for option in [None].into_iter().chain((0..options.len() as u16).map(Some)) {
                let cell = self.cells.get(&(template, option)).copied().unwrap_or_default();
                let shown = option.map_or("", |option| options[option as usize]);
                let few = cell.iter().zip(expected(name, shown)).any(|(n, can)| can && *n < CELL_MIN);
                let mark = if few { "  few" } else { "" };
                complete &= !few;
                println!("{name:<28} {shown:<12} {:>9} {:>9} {:>9}{mark}", cell[0], cell[1], cell[2]);
            }
        }
        complete
    }
}

/// Commands that always answer with something.
const NEVER_EMPTY: &[&str] = &[
    "SET",
    "SETEX",
    "PSETEX",
    "MSET",
    "APPEND",
    "RENAME",
    "SELECT",
    "SWAPDB",
    "FLUSHDB",
    "FLUSHALL",
    "PING",
    "TIME",
    "LASTSAVE",
    "HELLO",
    "RESET",
    "WAITAOF",
    "CONFIG SET maxmemory-policy",
    "MGET",
    "TYPE",
    "SCAN",
    "ECHO",
    "COMMAND GETKEYS",
    "COMMAND GETKEYSANDFLAGS",
    "CONFIG GET",
    "CONFIG SET",
    "CLIENT SETNAME",
    "CLIENT NO-EVICT",
    "CLIENT NO-TOUCH",
    "CLIENT SETINFO",
    "CLIENT ID",
    "CLIENT GETNAME",
    "TTL",
    "PTTL",
    "EXPIRETIME",
    "PEXPIRETIME",
    "INCR",
    "DECR",
    "INCRBY",
    "DECRBY",
    "INCRBYFLOAT",
    "PUBSUB NUMSUB",
    "PUBSUB SHARDNUMSUB",
    "OBJECT REFCOUNT",
    "OBJECT IDLETIME",
    "OBJECT FREQ",
    "LCS",
    "SETRANGE",
    "DBSIZE",
    "RANDOMKEY",
    "KEYS",
    "ZINCRBY",
    "ZMSCORE",
    "ZSCAN",
    "GEOPOS",
    "GEOHASH",
    "LPUSH",
    "RPUSH",
    "LSET",
    "LTRIM",
    "XSETID",
    "XGROUP CREATE",
    "XGROUP SETID",
    "XPENDING",
    "XAUTOCLAIM",
    "SMISMEMBER",
    "SSCAN",
    "HMSET",
    "HMGET",
    "HINCRBYFLOAT",
    "HSCAN",
    "HEXPIRE",
    "HPEXPIRE",
    "HEXPIREAT",
    "HPEXPIREAT",
    "HTTL",
    "HPTTL",
    "HEXPIRETIME",
    "HPEXPIRETIME",
    "HPERSIST",
    "HGETDEL",
    "HGETEX",
    "BITFIELD",
    "BITFIELD_RO",
    "PFMERGE",
    "COMMANDLOG RESET",
];

/// Which outcomes a command can have at all: success, nothing, an error.
fn expected(name: &str, option: &str) -> [bool; 3] {
    // What stands in small letters contradicts itself, and no log is called other.
    if name.starts_with(|c: char| c.is_ascii_lowercase()) || option == "other" {
        return [false, false, true];
    }
    let never_full = [
        "WAIT",
        "PUBLISH",
        "SPUBLISH",
        "PUBSUB CHANNELS",
        "PUBSUB SHARDCHANNELS",
        "PUBSUB NUMPAT",
        "CLIENT UNBLOCK",
    ];
    let sometimes_fails =
        ["SET", "SETRANGE", "INCR", "DECR", "INCRBY", "DECRBY", "INCRBYFLOAT", "RENAME", "SELECT"];
    // What is newer than the newest entry is nothing.
    let success = !never_full.contains(&name) && option != "PING" && (name, option) != ("XREAD", "$");
    let empty = option.is_empty() && !NEVER_EMPTY.contains(&name) && !name.starts_with("CONFIG SET ");
    let error = option.is_empty() && sometimes_fails.contains(&name);
    [success, empty, error]
}

/// All keys of the selected database: the value of a string, the sum of any value, type and perhaps encoding, and the
/// deadline or -1.
fn dataset(server: &mut Server, with_encoding: bool) -> BTreeMap<Vec<u8>, (String, i64)> {
    let Some(Resp::Array(keys)) = server.ask(0, &[b"KEYS", b"*"]) else { panic!("KEYS gives an array") };
    let mut bytes = Vec::new();
    let keys: Vec<Vec<u8>> = keys
        .into_iter()
        .map(|key| if let Resp::Bulk(key) = key { key } else { panic!("a key is a string") })
        .collect();
    let encoding: &[&[u8]] = if with_encoding { &[b"OBJECT", b"ENCODING"] } else { &[b"TYPE"] };
    for key in &keys {
        let encoding = [encoding, &[key]].concat();
        let sum: &[&[u8]] = &[b"DEBUG", b"DIGEST-VALUE", key];
        for words in [&[b"GET", &key[..]][..], &encoding, &[b"TYPE", key], sum, &[b"PEXPIRETIME", key]] {
            encode_request(words, &mut bytes);
        }
    }
    server.send(0, &bytes);
    let ends = server.receive(0, keys.len() * 5).expect("a server answers");
    let mut replies = Resp::all(&server.buffer[..ends.last().copied().unwrap_or(0)]).into_iter();
    let mut dataset = BTreeMap::new();
    for key in keys {
        let mut next = || replies.next().expect("there are five replies a key");
        let value = [next().shown(), next().shown(), next().shown(), next().shown()].join(" ");
        let Resp::Int(deadline) = next() else { panic!("PEXPIRETIME gives a number") };
        dataset.insert(key, (value, deadline));
    }
    dataset
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// 0: it succeeded, 1: it gave nothing, 2: it failed.
fn outcome(reply: &[u8]) -> usize {
    let nothing: [&[u8]; 8] =
        [b"$-1\r\n", b"*-1\r\n", b"_\r\n", b"*0\r\n", b":0\r\n", b"$0\r\n\r\n", b"~0\r\n", b"%0\r\n"];
    match reply {
        [b'-', ..] => 2,
        _ if nothing.contains(&reply) => 1,
        _ => 0,
    }
}

/// Whether a rule allows two replies to be different.
fn may_differ(a: &[u8], b: &[u8], rule: Option<How>, spoiled: bool) -> bool {
    let Some(how) = rule else { return false };
    let (Some((a, _)), Some((b, _))) = (Resp::first(a), Resp::first(b)) else { return false };
    let same_kind = std::mem::discriminant(&a) == std::mem::discriminant(&b) && !matches!(a, Resp::Error(_));
    match how {
        How::Kind => same_kind,
        How::KindOrNothing => {
            same_kind || [&a, &b].iter().any(|one| matches!(one, Resp::Null | Resp::NullArray))
        }
        // A spoiled request may ask for a part, and each server has its own idea of which.
        How::Sorted => (spoiled && same_kind) || sorted(a) == sorted(b),
        How::Within(most) => near(&a, &b, most),
        How::Refused => is_refused(&a),
        How::KindOrRefused => same_kind || is_refused(&a),
        How::Errors => are_errors(&a, &b),
        How::Digits => are_errors(&a, &b) || same_numbers(&a, &b),
    }
}

/// Whether two replies hold the same elements in any order, or, of a part of them, as many.
fn same_elements(a: &[u8], b: &[u8], words: &[Vec<u8>]) -> bool {
    let (Some((Resp::Array(a), _)), Some((Resp::Array(b), _))) = (Resp::first(a), Resp::first(b)) else {
        return false;
    };
    let is_part = words.iter().any(|word| word.eq_ignore_ascii_case(b"LIMIT"));
    a.len() == b.len() && (is_part || sorted(Resp::Array(a)) == sorted(Resp::Array(b)))
}

fn is_refused(reply: &Resp) -> bool {
    matches!(reply, Resp::Error(text) if text.ends_with("scores can't be converted into double"))
}

fn are_errors(a: &Resp, b: &Resp) -> bool {
    matches!((a, b), (Resp::Error(_), Resp::Error(_)))
}

/// Whether two replies are the same once their numbers are read.
fn same_numbers(a: &Resp, b: &Resp) -> bool {
    match (a, b) {
        (Resp::Array(a), Resp::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_numbers(a, b))
        }
        _ => a == b || number(a).is_some_and(|number_a| number(b) == Some(number_a)),
    }
}

fn number(reply: &Resp) -> Option<f64> {
    match reply {
        Resp::Double(text) => text.parse().ok(),
        Resp::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// Whether two numbers, or all numbers of two arrays, are near each other; those below 0 have to be equal.
fn near(a: &Resp, b: &Resp, most: i64) -> bool {
    match (a, b) {
        (Resp::Int(a), Resp::Int(b)) => a == b || (*a >= 0 && *b >= 0 && (a - b).abs() <= most),
        (Resp::Array(a), Resp::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b, most))
        }
        _ => a == b,
    }
}

fn sorted(reply: Resp) -> Resp {
    match reply {
        Resp::Array(values) => {
            let mut values: Vec<Resp> = values.into_iter().map(sorted).collect();
            values.sort_by_key(Resp::shown);
            Resp::Array(values)
        }
        Resp::Set(values) => match sorted(Resp::Array(values)) {
            Resp::Array(values) => Resp::Set(values),
            other => other,
        },
        Resp::Map(mut pairs) => {
            pairs.sort_by_key(|(key, _)| key.shown());
            Resp::Map(pairs)
        }
        other => other,
    }
}

/// Rows of a file of rules: command | how | why.
fn rules(text: &str) -> BTreeMap<String, How> {
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut rules = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, how, why] = cells.as_slice() else { panic!("three cells: {row}") };
        assert!(!why.is_empty(), "a rule has a reason: {row}");
        let how = match how.split_once(' ') {
            None if *how == "kind" => How::Kind,
            _ if *how == "kind or nothing" => How::KindOrNothing,
            _ if *how == "kind or refused" => How::KindOrRefused,
            None if *how == "sorted" => How::Sorted,
            None if *how == "refused" => How::Refused,
            None if *how == "errors" => How::Errors,
            None if *how == "digits" => How::Digits,
            Some(("within", most)) => How::Within(most.parse().expect("within is followed by a number")),
            _ => panic!("no such rule: {row}"),
        };
        rules.insert((*name).to_owned(), how);
    }
    assert!(rules.len() <= 60, "so many rules hide what they explain");
    rules
}
