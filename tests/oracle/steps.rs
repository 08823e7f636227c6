//! What the clients of `clients.rs` do: tables of requests, and the steps that are drawn from them.
//!
//! Left out are CLIENT NO-TOUCH, for Redis 8.0.6 ends with a segmentation fault when such a client serves one that waits;
//! BCAST together with NOLOOP, for Redis tells such a client of what its own script has changed; and QUIT behind other
//! requests that wait, for when it is over depends on what was written before.
//!
//! `@2` in a request is the id of client 2. Every time-out is 30 ms or for ever, so that it is known what is over when.

use crate::support::requests::{Lives, Requests};
use crate::support::templates::Template;
use waterwheel::base::quote::split_args;

const fn t(weight: u32, text: &'static str) -> Template {
    Template { weight, text }
}

/// Clients of each server.
pub const CLIENTS: usize = 5;

/// What is about data and waits.
const WAITING: &[Template] = &[
    t(14, "BLPOP (l1|l1|l2|l1 l2|l2 l1|s1) (0|0|0|0.03)"),
    t(8, "BRPOP (l1|l2|l2 l1) (0|0|0|0.03)"),
    t(8, "BLMOVE (l1|l2) (l1|l2|l3) (LEFT|RIGHT) (LEFT|RIGHT) (0|0|0.03)"),
    t(4, "BRPOPLPUSH (l1|l2) (l2|l3) (0|0.03)"),
    t(6, "BLMPOP (0|0|0.03) 2 (l1 l2|l2 l3) (LEFT|RIGHT) (|COUNT 2)"),
    t(6, "BZPOPMIN (z1|z2|z1 z2) (0|0|0.03)"),
    t(4, "BZPOPMAX (z1|z2 z1) (0|0.03)"),
    t(4, "BZMPOP (0|0|0.03) 1 (z1|z2) (MIN|MAX) (|COUNT 2)"),
    t(8, "XREAD (|COUNT 1) BLOCK (0|0|30) STREAMS (s1 $|s2 $|s1 s2 $ $|s1 0|s1 +)"),
    t(10, "XREADGROUP GROUP (g|g|h) (c1|c2) (|COUNT 1) BLOCK (0|0|30) (|NOACK) STREAMS (s1|s1|s2) >"),
    t(2, "WAIT (0|1) (30|30|0)"),
    t(10, "RPUSH (l1|l2|l3) (a|b|a b|a b c)"),
    t(10, "LPUSH (l1|l1|l2|l3) (a|b|a b|a b c)"),
    t(3, "RPUSHX (l1|l2) x"),
    t(4, "LPOP (l1|l2|l3) (|2)"),
    t(3, "LMOVE (l1|l2|l3) (l1|l2) LEFT RIGHT"),
    t(2, "LINSERT (l1|l2) BEFORE a n"),
    t(2, "SORT (l1|l2) ALPHA (|STORE l2|STORE l1)"),
    t(8, "ZADD (z1|z2) (1|2|3) (m|n|o)"),
    t(2, "ZINCRBY (z1|z2) 1 m"),
    t(2, "ZUNIONSTORE (z1|z2) 2 z1 z2"),
    t(10, "XADD (s1|s1|s2) <new-id> f v"),
    t(5, "XGROUP CREATE (s1|s2) (g|h) ($|0) MKSTREAM"),
    t(2, "XGROUP DESTROY (s1|s2) (g|h)"),
    t(2, "XGROUP DELCONSUMER s1 g (c1|c2)"),
    t(2, "XACK s1 g 1-1"),
    t(2, "XDEL (s1|s2) 1-1"),
    t(1, "XSETID s1 999-1"),
    t(5, "DEL (l1|l2|l1 l2|z1|s1|s2|k1)"),
    t(2, "PEXPIRE (l1|z1|s1|k1) 0"),
    t(4, "RENAME (l1|l2|l3|z1|s1|s2) (l1|l2|z2|s1|s2)"),
    t(3, "COPY (l1|l3|z1|s1) (l1|l2|z2|s2) (|DB 1) (|REPLACE)"),
    t(3, "MOVE (l1|l3|z1|s1) (0|1)"),
    t(3, "SET (l1|z1|s1|k1|k2) v"),
    t(1, "FLUSHALL"),
    t(1, "FLUSHDB"),
    t(3, "SWAPDB 0 1"),
    t(5, "SELECT (0|0|0|1)"),
    t(2, "RESTORE (l1|l2) 0 nothing"),
    t(6, "GET (k1|k2|l1)"),
    t(4, "MGET k1 k2 l1"),
    t(4, "LRANGE (l1|l2|l3) 0 -1"),
    t(2, "ZRANGE (z1|z2) 0 -1"),
    t(2, "INCR (k1|k2)"),
    t(3, "EVAL %push 1 (l1|l2)"),
    t(2, "EVAL %wait 1 (l1|l2)"),
    t(2, "EVAL %push-pop 0"),
    t(1, "EVAL %swap 0"),
    t(1, "EVAL %elsewhere 0"),
    t(2, "EVAL %publish 0"),
    t(1, "EVAL_RO %read 0"),
];

/// Scripts by their name in a template.
const SCRIPTS: &[(&str, &str)] = &[
    ("%push", "return redis.call('rpush', KEYS[1], 'e', 'f')"),
    ("%wait", "return redis.call('blpop', KEYS[1], 0)"),
    ("%push-pop", "redis.call('rpush', 'l1', 'x') return redis.call('lpop', 'l1')"),
    ("%swap", "redis.call('swapdb', 0, 1) return redis.call('lpush', 'l1', 'y')"),
    ("%elsewhere", "redis.call('select', 1) return redis.call('lpush', 'l1', 'y')"),
    ("%publish", "return redis.call('publish', 'c1', 'from a script')"),
    ("%read", "return redis.call('xread', 'block', 0, 'streams', 's1', '$')"),
];

/// What is about a client itself and about others.
const BETWEEN: &[Template] = &[
    t(12, "MULTI"),
    t(10, "EXEC"),
    t(4, "DISCARD"),
    t(8, "WATCH (k1|l1|l2|k1 l1|z1|s1)"),
    t(2, "UNWATCH"),
    t(8, "SUBSCRIBE (c1|c2|c1 c2)"),
    t(5, "PSUBSCRIBE (c*|c?|*)"),
    t(5, "SSUBSCRIBE (c1|c2)"),
    t(4, "UNSUBSCRIBE (c1|c2)"),
    t(3, "PUNSUBSCRIBE (c*|c?|*)"),
    t(3, "SUNSUBSCRIBE (c1|c2)"),
    t(12, "PUBLISH (c1|c2) m"),
    t(6, "SPUBLISH (c1|c2) m"),
    t(1, "PUBSUB NUMSUB c1 c2"),
    t(1, "PUBSUB NUMPAT"),
    t(6, "CLIENT TRACKING ON (|||NOLOOP|OPTIN|OPTOUT)"),
    t(3, "CLIENT TRACKING ON BCAST (|PREFIX k|PREFIX l)"),
    t(4, "CLIENT TRACKING ON REDIRECT (@0|@1|@2|@3|@4) (|NOLOOP|BCAST)"),
    t(4, "CLIENT TRACKING OFF"),
    t(4, "CLIENT CACHING (YES|NO)"),
    t(2, "CLIENT TRACKINGINFO"),
    t(1, "CLIENT GETREDIR"),
    t(8, "CLIENT REPLY (ON|ON|OFF|SKIP|SKIP)"),
    t(6, "CLIENT UNBLOCK (@0|@1|@2|@3|@4) (|TIMEOUT|ERROR)"),
    t(1, "CLIENT SETNAME (n|m)"),
    t(1, "CLIENT ID"),
    t(3, "HELLO (2|3)"),
    t(2, "RESET"),
    t(3, "QUIT"),
    t(6, "PING (|x)"),
    t(2, "ECHO x"),
    t(1, "NOSUCH x"),
    t(1, "GET"),
    t(2, "CONFIG SET notify-keyspace-events (KEA|Kl|\"\")"),
];

/// What ends a client.
const KILLING: &[Template] = &[
    t(12, "CLIENT KILL ID (@0|@1|@2|@3|@4)"),
    t(6, "CLIENT KILL ID (@0|@1|@2|@3|@4) SKIPME no"),
    t(2, "CLIENT KILL TYPE pubsub (|SKIPME no)"),
];

/// Requests that one client sends in one write, and whether it is gone thereafter.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub client: usize,
    pub requests: Vec<Vec<Vec<u8>>>,
    pub leaves: bool,
}

impl Step {
    /// The step as a line of a transcript.
    pub fn shown(&self) -> String {
        let name = char::from(b'a' + self.client as u8);
        let requests: Vec<String> = self.requests.iter().map(|words| shown(words)).collect();
        let leaves = if self.leaves { format!("{name} leaves") } else { String::new() };
        match requests.len() {
            0 => leaves,
            _ if self.leaves => format!("{name}> {}\n{leaves}", requests.join(" | ")),
            _ => format!("{name}> {}", requests.join(" | ")),
        }
    }

    /// Reads what [`Step::shown`] has written.
    pub fn read(text: &str) -> Vec<Step> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let steps = lines.map(|line| {
            let client = usize::from(line.as_bytes()[0].wrapping_sub(b'a'));
            assert!(client < CLIENTS, "clients are called a to e: {line}");
            let Some((_, requests)) = line.split_once("> ") else {
                return Step { client, requests: Vec::new(), leaves: true };
            };
            let words = split_args(requests.as_bytes()).expect("quotes are closed");
            let requests = words.split(|word| word == b"|").map(<[Vec<u8>]>::to_vec).collect();
            Step { client, requests, leaves: false }
        });
        steps.collect()
    }
}

fn shown(words: &[Vec<u8>]) -> String {
    let plain = |word: &Vec<u8>| {
        !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\|".contains(b))
    };
    let word = |word: &Vec<u8>| match plain(word) {
        true => String::from_utf8_lossy(word).into_owned(),
        false => waterwheel::base::quote::repr(word),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The steps of an episode.
pub fn draw(seed: u64, kills: bool) -> Vec<Step> {
    let tables: &[&'static [Template]] =
        if kills { &[WAITING, BETWEEN, KILLING] } else { &[WAITING, BETWEEN] };
    let mut source = Requests::new(seed, Lives::Long, tables);
    source.spoiled_one_in = 0;
    let count = 20 + source.rng.below(60);
    let mut episode: Vec<Step> = (0..count).map(|_| step(&mut source)).collect();
    leave_replies_of_transactions(&mut episode);
    episode
}

/// Takes CLIENT REPLY out of transactions: Redis counts a reply that it leaves out, and the array of EXEC never ends.
fn leave_replies_of_transactions(episode: &mut Vec<Step>) {
    let mut is_queueing = [false; CLIENTS];
    for step in episode.iter_mut() {
        let is_queueing = &mut is_queueing[step.client];
        step.requests.retain(|words| {
            match words[0].as_slice() {
                b"MULTI" => *is_queueing = true,
                b"EXEC" | b"DISCARD" | b"RESET" | b"QUIT" => *is_queueing = false,
                _ => {}
            }
            !(*is_queueing && words.get(1).is_some_and(|word| word == b"REPLY"))
        });
        *is_queueing &= !step.leaves;
    }
    episode.retain(|step| !step.requests.is_empty() || step.leaves);
}

fn step(source: &mut Requests) -> Step {
    let client = source.rng.below(CLIENTS as u64) as usize;
    let most = [1, 1, 1, 3, 6][source.rng.below(5) as usize];
    let mut requests: Vec<Vec<Vec<u8>>> = Vec::new();
    for _ in 0..1 + source.rng.below(most) {
        let drawn = request(source);
        if most > 1 && drawn[0] == b"QUIT" {
            continue;
        }
        requests.push(drawn);
    }
    if source.rng.below(10) == 0 {
        requests.insert(0, vec![b"MULTI".to_vec()]);
        requests.push(vec![b"EXEC".to_vec()]);
    }
    let leaves = source.rng.below(40) == 0;
    if leaves && source.rng.below(2) == 0 {
        requests.clear();
    }
    Step { client, requests, leaves }
}

fn request(source: &mut Requests) -> Vec<Vec<u8>> {
    let mut words = source.draw().words;
    for word in &mut words {
        if let Some((_, code)) = SCRIPTS.iter().find(|(name, _)| name.as_bytes() == word) {
            *word = code.as_bytes().to_vec();
        } else if word == b"\"\"" {
            word.clear();
        }
    }
    words
}
