//! Every command with words that mean something to it, in places where they mean something and in others.
//!
//! The words of a command are the tokens of its syntax, a key and a few numbers. It gets none, one and two of them in
//! every combination, and many longer ones drawn at random, while there is nothing at the key or a value of each type.
//!
//! `WATERWHEEL_ORACLE=path/to/redis-server cargo test --test arguments`: the order in which a real Redis finds fault with
//! a request is ours. Without the variable nothing is done. `FUZZ_SEED=n` draws others, `ARGUMENTS=n` that many a command.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to a real server and reads the environment"
)]

mod support;

use std::collections::BTreeSet;
use support::World;
use support::peer::{Connection, Peer, words};
use support::reply::Resp;
use waterwheel::base::rng::Rng;
use waterwheel::engine::spec::{Group, flag};
use waterwheel::engine::syntax::{self, Argument};
use waterwheel::engine::table::Row;

/// Longer requests of a command, unless the environment says how many.
const LONGER: u64 = 1000;

/// Most words of a request behind its name.
const WORDS_MAX: u64 = 9;

/// Requests that are sent in one go.
const AT_ONCE: usize = 64;

/// What every command gets, its key among it.
const COMMON: &[&str] = &["k", "0", "1", "25", "-1", "x"];

/// What lies at the key.
const VALUES: &[&str] = &[
    "DEL k",
    "SET k 7",
    "SET k text",
    "RPUSH k a b",
    "SADD k a",
    "ZADD k 1 a",
    "HSET k a 1",
    "XADD k 1-1 a b",
];

/// Groups whose commands work on keys.
const GROUPS: &[Group] = &[
    Group::Generic,
    Group::String,
    Group::List,
    Group::Set,
    Group::SortedSet,
    Group::Hash,
    Group::Stream,
    Group::Bitmap,
    Group::Hyperloglog,
    Group::Geo,
];

/// Commands of other groups, of which neither the reply nor what they leave behind is the server's own.
const ALSO: &[&str] = &[
    "acl|cat",
    "acl|deluser",
    "acl|dryrun",
    "acl|getuser",
    "acl|list",
    "acl|users",
    "acl|whoami",
    "client|caching",
    "client|getname",
    "client|getredir",
    "client|no-evict",
    "client|no-touch",
    "client|setinfo",
    "client|setname",
    "client|tracking",
    "client|trackinginfo",
    "client|unblock",
    "cluster|info",
    "command|getkeys",
    "command|getkeysandflags",
    "config|get",
    "config|resetstat",
    "config|rewrite",
    "config|set",
    "echo",
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    "function|delete",
    "function|flush",
    "function|kill",
    "function|list",
    "function|load",
    "function|restore",
    "latency|graph",
    "latency|history",
    "latency|latest",
    "latency|reset",
    "module|load",
    "module|unload",
    "object",
    "ping",
    "publish",
    "pubsub|channels",
    "pubsub|numpat",
    "pubsub|numsub",
    "pubsub|shardchannels",
    "pubsub|shardnumsub",
    "role",
    "script|exists",
    "script|flush",
    "script|kill",
    "script|load",
    "slowlog|reset",
    "spublish",
    "swapdb",
];

/// Words that Redis 8.0 does not know.
const OF_VALKEY: &[(&str, &str)] = &[("hsetex", "NX"), ("hsetex", "XX"), ("zscan", "NOSCORES")];

/// What waits, depends on chance or a clock, or shows how a server keeps what it has.
const LEFT_OUT: &[&str] = &[
    "dump",
    "keys",
    "migrate",
    "object|idletime",
    "randomkey",
    "scan",
    "wait",
    "waitaof",
    "xinfo|consumers",
    "xinfo|stream",
];

/// What a command is told by other words than values: no version later than 8.0, nothing that waits or takes the clock.
fn tokens(arguments: &[Argument], into: &mut BTreeSet<String>) {
    for argument in arguments {
        let later = |version: &&str| {
            version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0) > 8
                || version.starts_with("8.") && !version.starts_with("8.0")
        };
        if argument.since.filter(later).is_none() {
            into.extend(argument.token.filter(|token| !matches!(*token, "*" | "BLOCK")).map(str::to_owned));
            tokens(&argument.parts, into);
        }
    }
}

/// A request, and what lies at the key before it.
struct Case {
    value: &'static str,
    line: Vec<String>,
}

impl Case {
    fn requests(&self) -> [Vec<Vec<u8>>; 3] {
        let line = self.line.iter().map(|word| word.as_bytes().to_vec()).collect();
        [words("FLUSHDB"), words(self.value), line]
    }
}

/// All requests of a command.
fn cases(row: &Row, rng: &mut Rng, longer: u64) -> Vec<Case> {
    let mut vocabulary: BTreeSet<String> = COMMON.iter().map(|word| (*word).to_owned()).collect();
    tokens(&syntax::parse(row.spec.syntax).expect("a test parses every syntax"), &mut vocabulary);
    vocabulary.retain(|word| !OF_VALKEY.contains(&(row.full_name, word)));
    let vocabulary: Vec<String> = vocabulary.into_iter().collect();
    let name = || row.full_name.split('|').map(str::to_owned);
    let mut all = Vec::new();
    let mut short = |behind: &[&String]| {
        let line = || name().chain(behind.iter().map(|word| (*word).clone())).collect();
        all.extend(VALUES.iter().map(|value| Case { value, line: line() }));
    };
    short(&[]);
    for first in &vocabulary {
        short(&[first]);
        vocabulary.iter().for_each(|second| short(&[first, second]));
    }
    let one_of = |words: &[String], rng: &mut Rng| words[rng.below(words.len() as u64) as usize].clone();
    for _ in 0..longer {
        let count = 3 + rng.below(WORDS_MAX - 2);
        let mut line: Vec<String> = name().chain((0..count).map(|_| one_of(&vocabulary, rng))).collect();
        // Where the key belongs; elsewhere it was drawn often enough.
        if row.first_key > 0 && rng.below(8) > 0 {
            line[row.first_key] = "k".to_owned();
        }
        all.push(Case { value: VALUES[rng.below(VALUES.len() as u64) as usize], line });
    }
    all
}

/// The other server, which some requests end.
struct Redis {
    peer: Peer,
    connection: Connection,
    crashed: Vec<String>,
}

impl Redis {
    fn start(program: &str) -> Redis {
        let peer = Peer::start(program);
        let connection = Connection::new(&peer);
        Redis { peer, connection, crashed: Vec::new() }
    }

    fn knows(&mut self, row: &Row) -> bool {
        let info = self.connection.ask(&[words(&format!("COMMAND INFO {}", row.full_name))]);
        !info[0].shown().ends_with("(nil)") && !info[0].shown().ends_with("(nil array)")
    }

    /// Its replies to all that it survives.
    fn replies<'a>(&mut self, cases: &'a [Case]) -> Vec<(&'a Case, Resp)> {
        let requests: Vec<Vec<Vec<u8>>> = cases.iter().flat_map(Case::requests).collect();
        if let Some(replies) = self.connection.try_ask(&requests) {
            return cases.iter().zip(replies.into_iter().skip(2).step_by(3)).collect();
        }
        self.peer.restart();
        self.connection = Connection::new(&self.peer);
        match cases {
            [one] => {
                self.crashed.push(format!("{}; {}", one.value, one.line.join(" ")));
                Vec::new()
            }
            many => many.iter().flat_map(|one| self.replies(std::slice::from_ref(one))).collect(),
        }
    }
}

#[test]
fn redis_finds_fault_in_the_same_order() {
    let Some(program) = std::env::var_os("WATERWHEEL_ORACLE") else {
        println!("WATERWHEEL_ORACLE names no redis-server: nothing was compared");
        return;
    };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (mut rng, longer) =
        (Rng::from_seed(number("FUZZ_SEED").unwrap_or(1)), number("ARGUMENTS").unwrap_or(LONGER));
    let mut redis = Redis::start(&program.to_string_lossy());
    let lower = redis.peer.left_out("arguments");
    let mut world = World::new();
    // Nobody follows, so no offset grows.
    world.engine.follow_feed(false);
    // Nobody is client 1, here as there.
    world.id_of("first");
    world.disconnect("first");
    let (mut compared, mut accepted, mut wrong) = (0, 0, Vec::new());
    let rows = support::table().rows().iter().filter(|row| {
        (GROUPS.contains(&row.spec.group) && !row.is_container() || ALSO.contains(&row.full_name))
            && !LEFT_OUT.contains(&row.full_name)
            && !lower.contains(&row.full_name)
            && !row.has(flag::BLOCKING)
    });
    for row in rows {
        if !redis.knows(row) {
            continue;
        }
        let mut told = BTreeSet::new();
        let cases = cases(row, &mut rng, longer);
        for some in cases.chunks(AT_ONCE) {
            for (case, theirs) in redis.replies(some) {
                let ours = &world.ask("a", &case.requests())[2];
                compared += 1;
                accepted += usize::from(!matches!(theirs, Resp::Error(_)));
                // One kind of difference is told once.
                if *ours != theirs && told.insert((ours.shown(), theirs.shown())) {
                    let (value, line) = (case.value, case.line.join(" "));
                    wrong.push(format!(
                        "{value}; {line}\n  we    {}\n  Redis {}",
                        ours.shown(),
                        theirs.shown()
                    ));
                }
            }
        }
    }
    println!(
        "{compared} requests compared, {accepted} of them accepted; Redis crashed at {}",
        redis.crashed.len()
    );
    redis.crashed.iter().for_each(|line| println!("    {line}"));
    assert!(accepted > compared / 20 && accepted < compared * 19 / 20, "{accepted} were accepted");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}
