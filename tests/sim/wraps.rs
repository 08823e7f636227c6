//! Requests that change several things as one: transactions, scripts and functions, among clients that wait for keys.

use crate::support::requests::{Drawn, Requests};
use crate::support::templates::Template;

const fn t(weight: u32, text: &'static str) -> Template {
    Template { weight, text }
}

/// Clients that wait for keys, for less than any run takes.
pub const BLOCKING: &[Template] = &[
    t(6, "BLPOP <list> <list> 0.2"),
    t(4, "BRPOP <list> 1"),
    t(4, "BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT) 0.5"),
    t(2, "BRPOPLPUSH <list> <list> 0.1"),
    t(3, "BLMPOP 0.3 2 <list> <list> LEFT (|COUNT 2)"),
    t(4, "BZPOPMIN <zkey> <zkey> 0.3"),
    t(2, "BZPOPMAX <zkey> 0.2"),
    t(2, "BZMPOP 0.3 1 <zkey> MIN (|COUNT 3)"),
    t(3, "XREAD BLOCK 200 STREAMS <stream> $"),
    t(6, "XREADGROUP GROUP <group> <consumer> BLOCK 300 STREAMS <stream> >"),
];

/// Scripts that write. The first key is any, then come a list, a set, a hash, a sorted set and a stream.
const SCRIPTS: &[&str] = &[
    "return redis.call('set', KEYS[1], math.random(1000))",
    "return redis.call('set', KEYS[1], redis.call('time')[2])",
    "local m = redis.call('spop', KEYS[3]) if m then redis.call('rpush', KEYS[2], m) end",
    "redis.call('spop', KEYS[3], 3) return redis.call('srandmember', KEYS[3])",
    "local m = redis.call('srandmember', KEYS[3]) if m then redis.call('hset', KEYS[4], m, 'x') end",
    "redis.call('set', KEYS[1], 'x', 'px', 30) redis.call('pexpire', KEYS[2], 40)",
    "redis.call('hset', KEYS[4], 'f1', 'v') redis.call('hpexpire', KEYS[4], 30, 'fields', 1, 'f1')",
    "redis.call('rpush', KEYS[2], 'a') redis.call('incr', KEYS[2])",
    "redis.call('rpush', KEYS[2], 'a') error('in the middle')",
    "redis.call('rpush', KEYS[2], 'a', 'b', 'c') redis.call('lpop', KEYS[2]) redis.call('del', KEYS[2])",
    "redis.call('del', KEYS[2]) redis.call('rpush', KEYS[2], 'first', 'second')",
    "for i = 1, 4 do redis.call('xadd', KEYS[6], '*', 'f', i) end",
    "redis.pcall('xgroup', 'create', KEYS[6], 'g', '$', 'mkstream') redis.call('xadd', KEYS[6], '*', 'f', 'v')",
    "for i = 1, 5 do redis.call('zadd', KEYS[5], math.random(), 'm' .. i) end redis.call('zpopmin', KEYS[5], 2)",
    "redis.call('select', 1) redis.call('set', KEYS[1], 'elsewhere') redis.call('lpush', KEYS[2], 'x')",
    "local f = redis.call('hrandfield', KEYS[4]) if f then redis.call('hdel', KEYS[4], f) end",
    "redis.call('setex', KEYS[1], 100, 'v') return redis.call('incrbyfloat', KEYS[1], 1.5)",
    "redis.call('sort', KEYS[3], 'alpha', 'store', KEYS[2]) redis.call('sunionstore', KEYS[3], KEYS[3], 't1')",
    "redis.set_repl(redis.REPL_ALL) redis.call('append', KEYS[1], 'x') return redis.call('getdel', KEYS[1])",
    "if redis.call('exists', KEYS[1]) == 1 then redis.call('del', KEYS[1]) end redis.call('set', KEYS[1], 'new')",
];

/// Requests that are about the connection, or that have to be known by who counts replies.
fn is_outside(drawn: &Drawn) -> bool {
    const NAMES: &[&[u8]] = &[b"CLIENT", b"WAIT", b"WAITAOF", b"HELLO", b"RESET", b"CONFIG", b"DEBUG"];
    NAMES.iter().any(|name| drawn.words[0].eq_ignore_ascii_case(name))
}

/// Whether a request may wait for a key.
pub fn may_block(words: &[Vec<u8>]) -> bool {
    let name = words[0].to_ascii_uppercase();
    words.iter().any(|word| word.eq_ignore_ascii_case(b"BLOCK"))
        || [&b"BLPOP"[..], b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP"]
            .contains(&&name[..])
}

/// A transaction, perhaps with a watched key, or a script, or a library and a call of its function.
pub fn draw(requests: &mut Requests) -> Vec<Drawn> {
    match requests.rng.below(5) {
        0..2 => transaction(requests),
        2 => {
            let number = requests.rng.below(3).to_string();
            let code = SCRIPTS[requests.rng.below(SCRIPTS.len() as u64) as usize];
            let library = format!(
                "#!lua name=l{number}\nredis.register_function('f{number}', function(KEYS, ARGV) {code} end)"
            );
            let call = call(requests, &["FCALL", &format!("f{number}")]);
            vec![request(&["FUNCTION", "LOAD", "REPLACE", &library]), call]
        }
        _ => vec![script(requests)],
    }
}

fn transaction(requests: &mut Requests) -> Vec<Drawn> {
    let mut all = Vec::new();
    if requests.rng.below(3) == 0 {
        let key = requests.key();
        all.push(Drawn { words: vec![b"WATCH".to_vec(), key], ..Drawn::default() });
    }
    all.push(request(&["MULTI"]));
    for _ in 0..requests.rng.below(6) {
        let one = if requests.rng.below(4) == 0 { script(requests) } else { inner(requests) };
        all.push(one);
    }
    all.push(request(&[if requests.rng.below(10) == 0 { "DISCARD" } else { "EXEC" }]));
    all
}

/// A request that may be within another one.
fn inner(requests: &mut Requests) -> Drawn {
    loop {
        let drawn = requests.draw();
        if !is_outside(&drawn) {
            return drawn;
        }
    }
}

fn script(requests: &mut Requests) -> Drawn {
    if requests.rng.below(3) == 0 {
        let mut words = request(&["EVAL", "return redis.pcall(unpack(ARGV))", "0"]).words;
        words.extend(inner(requests).words);
        return Drawn { words, ..Drawn::default() };
    }
    let code = SCRIPTS[requests.rng.below(SCRIPTS.len() as u64) as usize];
    call(requests, &["EVAL", code])
}

/// A call with a key of each type.
fn call(requests: &mut Requests, words: &[&str]) -> Drawn {
    let mut words = request(words).words;
    words.push(b"6".to_vec());
    words.push(requests.key());
    for letter in ["q", "t", "h", "z", "x"] {
        words.push(format!("{letter}{}", requests.rng.below(8)).into_bytes());
    }
    Drawn { words, ..Drawn::default() }
}

fn request(words: &[&str]) -> Drawn {
    Drawn { words: words.iter().map(|word| word.as_bytes().to_vec()).collect(), ..Drawn::default() }
}
