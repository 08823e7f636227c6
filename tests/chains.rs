//! Chains of three servers, Waterwheel in at least one place and Redis 7.0, Redis 8.0 or Valkey 9 in the others: random writes go to
//! the first while links are cut and servers are started again, and when all is quiet the three hold the same.
//!
//! Only commands are sent that every server of the chain knows, so what a primary propagates as it came is understood below.
//! A link between two other servers is one that these two can have by themselves: nobody but Waterwheel stands between Redis 8 and
//! Valkey 9, or takes a dump of theirs to Redis 7.
//!
//! A link that is cut goes on where it was: as long as the backlog covers a cut there is one full sync a link, and one more for each
//! start.
//!
//! `cargo test --test chains -- --ignored --nocapture` lets Waterwheel relay between all pairs for some seconds each; `ALL=1`
//! before it takes all chains, `SECONDS=60` so long for each. The servers are those of `tests/peers/prepare --all`; one that is not
//! there is left out, with a note.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts servers and looks at the time"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use support::peer::{Connection, Peer, built, words};
use support::reply::Resp;
use support::requests::{Lives, Requests};
use support::saved::info;
use support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS};
use waterwheel::base::rng::Rng;

/// Writes of a chain go on for so long unless `SECONDS` says otherwise.
const SECONDS: u64 = 3;
/// All must have come to rest within.
const REST: Duration = Duration::from_secs(30);
/// Requests that are sent at once, at most.
const BATCH: u64 = 20;

/// A make of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    Ours,
    Redis7,
    Redis8,
    Valkey9,
}

use Make::{Ours, Redis7, Redis8, Valkey9};

const MAKES: [Make; 4] = [Ours, Redis7, Redis8, Valkey9];

impl Make {
    fn program(self) -> Option<String> {
        match self {
            Ours => Some(env!("CARGO_BIN_EXE_waterwheel").to_owned()),
            Redis7 => built("redis-7/src/redis-server"),
            Redis8 => built("redis-8/src/redis-server"),
            Valkey9 => built("valkey-9/src/valkey-server"),
        }
    }

    /// Whether another make can follow it without help.
    fn can_be_followed_by(self, other: Make) -> bool {
        self == other || self == Ours || other == Ours || self == Redis7 || (self, other) == (Valkey9, Redis8)
    }
}

/// The commands that change data and that all of these servers know, and SELECT.
fn common_writes(servers: &[Peer], names: &BTreeSet<String>) -> BTreeSet<String> {
    let mut common = names.clone();
    for server in servers {
        let mut connection = Connection::new(server);
        common.retain(|name| {
            let reply = connection.ask(&[words(&format!("COMMAND INFO {name}"))]).remove(0);
            let Resp::Array(rows) = reply else { return false };
            let Some(Resp::Array(row)) = rows.first() else { return false };
            let Some(Resp::Array(flags)) = row.get(2) else { return false };
            flags.iter().any(|flag| matches!(flag, Resp::Status(text) if text == "write"))
        });
    }
    common.insert("SELECT".to_owned());
    common
}

/// Three servers of which each but the first follows the one before it.
struct Chain {
    makes: [Make; 3],
    servers: Vec<Peer>,
    rng: Rng,
    /// Starts of each server after the first.
    starts: [u64; 3],
    cuts: u64,
}

impl Chain {
    fn start(makes: [Make; 3], seed: u64) -> Option<Chain> {
        let programs: Vec<String> = makes.iter().map(|make| make.program()).collect::<Option<_>>()?;
        let mut servers = Vec::new();
        for (at, program) in programs.iter().enumerate() {
            let mut arguments = vec![
                "--repl-diskless-sync-delay",
                "0",
                "--repl-backlog-size",
                "64mb",
                "--repl-timeout",
                "20",
            ];
            if makes[at] == Ours && makes.contains(&Redis7) {
                arguments.extend(["--rdb-version", "10"]);
            }
            servers.push(Peer::start_with(program, &arguments));
        }
        let chain = Chain { makes, servers, rng: Rng::from_seed(seed), starts: [0; 3], cuts: 0 };
        for at in 1..3 {
            let port = info(&chain.servers[at - 1], "tcp_port");
            assert_eq!(chain.servers[at].ask(&["REPLICAOF", "127.0.0.1", &port]), "OK");
        }
        chain.await_links();
        Some(chain)
    }

    fn await_links(&self) {
        let begin = Instant::now();
        while !self.servers[1..].iter().all(|server| info(server, "master_link_status") == "up") {
            assert!(begin.elapsed() < REST, "{:?}: a link does not come up: {}", self.makes, self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn logs(&self) -> String {
        let last = |server: &Peer| {
            let log = server.log();
            let lines: Vec<&str> = log.lines().collect();
            format!("--- {}\n{}\n", server.program(), lines[lines.len().saturating_sub(25)..].join("\n"))
        };
        self.servers.iter().map(last).collect()
    }

    /// A link breaks, or one that follows is started again with what it has saved.
    fn disturb(&mut self) {
        let at = 1 + self.rng.below(2) as usize;
        match self.rng.below(5) {
            0 => {
                // A dump that is being made for somebody is not interrupted.
                let port = info(&self.servers[at - 1], "tcp_port");
                self.servers[at].add_arguments(&["--replicaof", "127.0.0.1", &port]);
                let mut connection = Connection::new(&self.servers[at]);
                // Its connection ends with it.
                let _ = connection.try_ask(&[words("SHUTDOWN SAVE")]);
                self.servers[at].exit_code();
                self.servers[at].start_again(true);
                self.starts[at] += 1;
            }
            1 | 2 => drop(self.servers[at].ask(&["CLIENT", "KILL", "TYPE", "master"])),
            _ => drop(self.servers[at - 1].ask(&["CLIENT", "KILL", "TYPE", "replica"])),
        }
        self.cuts += 1;
    }

    /// Writes by chance, for so long.
    fn write(&mut self, seed: u64, seconds: u64) -> u64 {
        let mut requests = Requests::new(seed, Lives::Long, &[DATA, LISTS, STREAMS, SETS, HASHES, BITS]);
        let names: BTreeSet<String> = requests.names().map(str::to_ascii_uppercase).collect();
        let mut common = common_writes(&self.servers, &names);
        if self.makes.contains(&Redis7) {
            // Redis 8 propagates it as HSETEX, and so do we.
            common.remove("HINCRBYFLOAT");
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        requests.now_unix_ms = now.expect("it is after 1970").as_millis() as u64;
        let mut connection = Connection::new(&self.servers[0]);
        let (begin, mut next, mut written) = (Instant::now(), Duration::from_millis(300), 0);
        while begin.elapsed() < Duration::from_secs(seconds) {
            let count = 1 + self.rng.below(BATCH);
            let is_whole = self.rng.below(4) == 0;
            let mut batch: Vec<Vec<Vec<u8>>> = is_whole.then(|| words("MULTI")).into_iter().collect();
            while (batch.len() as u64) < count {
                let drawn = requests.draw().words;
                let name = String::from_utf8_lossy(&drawn[0]).to_ascii_uppercase();
                // Redis does not propagate a BITFIELD of which every change fails, and which makes the string longer; Valkey 9 takes
                // no hexadecimal score, but does as the end of a range, where Redis 8 does not.
                let is_taken_otherwise =
                    |word: &Vec<u8>| word == b"FAIL" || word.starts_with(b"0x") || word.starts_with(b"(0x");
                if common.contains(&name) && !drawn.iter().any(is_taken_otherwise) {
                    batch.push(drawn);
                }
            }
            batch.extend(is_whole.then(|| words("EXEC")));
            written += batch.len() as u64;
            connection.ask(&batch);
            if begin.elapsed() > next && std::env::var("QUIET").is_err() {
                self.disturb();
                next += Duration::from_millis(300 + self.rng.below(700));
            }
        }
        written
    }

    /// Waits until all have the same offset and hold the same.
    fn compare(&self) {
        self.await_links();
        let begin = Instant::now();
        loop {
            let offsets: Vec<String> =
                self.servers.iter().map(|server| info(server, "master_repl_offset")).collect();
            let digests: Vec<String> =
                self.servers.iter().map(|server| server.ask(&["DEBUG", "DIGEST"])).collect();
            let same = |all: &[String]| all.iter().all(|one| *one == all[0]);
            if same(&offsets) && (same(&digests) || self.first_difference().is_none()) {
                return;
            }
            if begin.elapsed() > REST {
                let difference = self.first_difference();
                panic!("{:?} differ: {offsets:?} {digests:?} {difference:?}\n{}", self.makes, self.logs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A key that two servers do not have alike: not all digests say the same of the same.
    fn first_difference(&self) -> Option<String> {
        let first = values(&self.servers[0]);
        for server in &self.servers[1..] {
            let other = values(server);
            let keys: BTreeSet<_> = first.keys().chain(other.keys()).collect();
            let mut differ = keys.into_iter().filter(|key| first.get(*key) != other.get(*key));
            if let Some(key) = differ.next() {
                let ([one, two], more) = ([first.get(key), other.get(key)], differ.count());
                let program = server.program();
                return Some(format!("{key:?} is {one:?}, and {two:?} in {program}; {more} others differ"));
            }
        }
        None
    }

    /// Nobody was sent more dumps than it had to be.
    fn count_full_syncs(&self) {
        for at in 0..2 {
            let full: u64 = info(&self.servers[at], "sync_full").parse().expect("it is a number");
            // Whoever was started again begins to count anew, and what it passes on lies before its backlog.
            let allowed = 1 + self.starts[at + 1] + self.starts[at] + u64::from(at == 1) * self.starts[1];
            assert!(
                full <= allowed,
                "{:?}: {full} full syncs by {at}, {:?} starts\n{}",
                self.makes,
                self.starts,
                self.logs()
            );
        }
    }
}

/// What each key of each database holds, with its deadline.
fn values(server: &Peer) -> BTreeMap<(u64, String), String> {
    let mut connection = Connection::new(server);
    let mut all = BTreeMap::new();
    for db in 0..16 {
        connection.ask(&[words(&format!("SELECT {db}"))]);
        let keys = connection.ask(&[words("KEYS *")]).remove(0);
        let Resp::Array(keys) = keys else { panic!("KEYS answers {keys:?}") };
        for key in keys {
            let Resp::Bulk(key) = key else { panic!("a key is {key:?}") };
            let ask = |connection: &mut Connection, before: &str, after: &str| {
                let mut request = words(before);
                request.push(key.to_vec());
                request
                    .extend(after.split(' ').filter(|word| !word.is_empty()).map(|w| w.as_bytes().to_vec()));
                connection.ask(&[request]).remove(0)
            };
            let deadline = ask(&mut connection, "PEXPIRETIME", "");
            let kind = ask(&mut connection, "TYPE", "");
            let value = match &kind {
                Resp::Status(kind) => match kind.as_str() {
                    "string" => ask(&mut connection, "GET", ""),
                    "list" => ask(&mut connection, "LRANGE", "0 -1"),
                    "set" => sorted(ask(&mut connection, "SMEMBERS", ""), 1),
                    "hash" => sorted(ask(&mut connection, "HGETALL", ""), 2),
                    "zset" => as_numbers(ask(&mut connection, "ZRANGE", "0 -1 WITHSCORES")),
                    "stream" => ask(&mut connection, "XRANGE", "- +"),
                    other => panic!("a key is a {other}"),
                },
                other => panic!("TYPE answers {other:?}"),
            };
            all.insert((db, String::from_utf8_lossy(&key).into_owned()), format!("{deadline:?} {value:?}"));
        }
    }
    all
}

/// Groups of so many elements, in order.
fn sorted(reply: Resp, step: usize) -> Resp {
    let Resp::Array(all) = reply else { return reply };
    let mut groups: Vec<Vec<Resp>> = all.chunks(step).map(<[Resp]>::to_vec).collect();
    groups.sort_by_key(|group| format!("{:?}", group[0]));
    Resp::Array(groups.concat())
}

/// Scores as numbers: Redis 7.0 shows more digits.
fn as_numbers(reply: Resp) -> Resp {
    let Resp::Array(mut all) = reply else { return reply };
    for score in all.iter_mut().skip(1).step_by(2) {
        if let Resp::Bulk(text) = score {
            let number: f64 = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).expect("a score");
            *score = Resp::Bulk(format!("{number:?}").into_bytes());
        }
    }
    Resp::Array(all)
}

fn chains(all: bool) -> Vec<[Make; 3]> {
    let mut found = Vec::new();
    for a in MAKES {
        for b in MAKES {
            for c in MAKES {
                let is_possible = a.can_be_followed_by(b) && b.can_be_followed_by(c);
                let relays = b == Ours && a != Ours && c != Ours;
                if is_possible && [a, b, c].contains(&Ours) && (all || relays) {
                    found.push([a, b, c]);
                }
            }
        }
    }
    found
}

#[test]
#[ignore = "it needs the servers of tests/peers/prepare --all"]
fn chains_of_three_hold_the_same() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("SECONDS").unwrap_or(SECONDS);
    let first_seed = number("SEED").unwrap_or(1);
    let only = std::env::var("ONLY").unwrap_or_default();
    for (makes, seed) in chains(number("ALL") == Some(1)).into_iter().zip(first_seed..) {
        if !format!("{makes:?}").contains(&only) {
            continue;
        }
        let Some(mut chain) = Chain::start(makes, seed) else { continue };
        let written = chain.write(seed, seconds);
        chain.compare();
        chain.count_full_syncs();
        println!("{makes:?}: {written} requests, {} cuts, {:?} starts", chain.cuts, chain.starts);
    }
}
