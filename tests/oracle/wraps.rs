//! Requests within others: in transactions, in scripts, and as users that may not do everything.
//!
//! What is wrapped has to give the same reply on both servers byte for byte, so only commands without a rule are.

use crate::scripts;
use crate::support::requests::{Drawn, Requests};
use waterwheel::base::rng::Rng;

/// Users that both servers have, and what they may do.
pub const USERS: &[(&str, &str)] = &[
    ("reader", "on nopass ~* &* +@all -@write -@dangerous"),
    ("writer", "on nopass %R~k1* %W~k* &c* +@write +@read +multi +exec +eval"),
    ("chosen", "on nopass ~k2* +get +set +config|get (+@list ~k3*) (+@hash %R~k4* %W~k5*)"),
    ("nobody", "on nopass"),
];

/// Replies that are values, not the same on both servers or of no interest within another request.
fn fits(one: &Drawn, has_rule: impl Fn(usize) -> bool) -> bool {
    const OUTSIDE: &[&[u8]] =
        &[b"HELLO", b"RESET", b"CLIENT", b"DEBUG", b"AUTH", b"ACL", b"SELECT", b"SWAPDB", b"COMMAND"];
    let is_outside = |name: &Vec<u8>| OUTSIDE.iter().any(|other| name.eq_ignore_ascii_case(other));
    !has_rule(one.template) && one.words.first().is_some_and(|name| !is_outside(name))
}

/// Whether a request asks for elements as they lie: SORT by a constant, unless the result is stored.
pub fn is_unsorted(words: &[Vec<u8>]) -> bool {
    let is = |word: &Vec<u8>, name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let by_constant = |pair: &[Vec<u8>]| is(&pair[0], "BY") && !pair[1].contains(&b'*');
    (is(&words[0], "SORT") || is(&words[0], "SORT_RO"))
        && words.windows(2).any(by_constant)
        && !words.iter().any(|word| is(word, "STORE"))
}

/// Wraps some of the requests; when `scripts_most`, half of what fits becomes a generated script.
pub fn wrap(
    requests: &mut Requests,
    drawn: Vec<Drawn>,
    speaks_scripts: bool,
    scripts_most: bool,
    has_rule: impl Fn(usize) -> bool,
) -> Vec<Drawn> {
    let mut all = Vec::with_capacity(drawn.len());
    let mut left = drawn.into_iter().peekable();
    while let Some(one) = left.next() {
        // Whether the order of the reply is anybody's promise depends on what lies there.
        if is_unsorted(&one.words) {
            all.push(request(one.template, &[b"TYPE", &one.words[1]]));
        }
        let one_in = if scripts_most { 2 } else { 12 };
        if !fits(&one, &has_rule) || requests.rng.below(one_in) > 0 {
            all.push(one);
            continue;
        }
        match requests.rng.below(10) {
            _ if scripts_most => generated(requests, &one, &has_rule, &mut all),
            0..3 => {
                let mut queued = vec![one];
                while queued.len() < 5 && left.peek().is_some_and(|next| fits(next, &has_rule)) {
                    queued.extend(left.next());
                }
                transaction(&mut requests.rng, queued, &mut all);
            }
            3..5 if speaks_scripts => generated(requests, &one, &has_rule, &mut all),
            _ if speaks_scripts => all.push(script(requests, one)),
            _ => as_user(&mut requests.rng, one, &mut all),
        }
    }
    all
}

fn generated(requests: &mut Requests, one: &Drawn, has_rule: &impl Fn(usize) -> bool, into: &mut Vec<Drawn>) {
    let draw = |requests: &mut Requests| loop {
        let drawn = requests.draw();
        if fits(&drawn, has_rule) {
            return drawn;
        }
    };
    let run = scripts::run(requests, one, draw);
    let last = run.len() - 1;
    into.extend(run.into_iter().enumerate().map(|(at, words)| Drawn {
        words,
        template: one.template,
        wraps: true,
        generated: at == last,
        ..Drawn::default()
    }));
}

fn request(template: usize, words: &[&[u8]]) -> Drawn {
    Drawn {
        words: words.iter().map(|word| word.to_vec()).collect(),
        template,
        wraps: true,
        ..Drawn::default()
    }
}

fn transaction(rng: &mut Rng, queued: Vec<Drawn>, into: &mut Vec<Drawn>) {
    let template = queued[0].template;
    let key = queued[0].words.get(1).cloned().unwrap_or_default();
    let watches = rng.below(3) == 0;
    if watches {
        into.push(request(template, &[b"WATCH", &key]));
        // What is appended to a HyperLogLog damages it, and how far a damage is seen is each server's own affair.
        if key.starts_with(b"k") && rng.below(3) == 0 {
            into.push(request(template, &[b"APPEND", &key, b"x"]));
        }
    }
    into.push(request(template, &[b"MULTI"]));
    let spoils = rng.below(20) == 0;
    into.extend(queued.into_iter().map(|one| Drawn { wraps: true, ..one }));
    if spoils {
        into.push(request(template, &[b"GET"]));
    }
    let end: &[u8] = if rng.below(12) == 0 { b"DISCARD" } else { b"EXEC" };
    into.push(request(template, &[end]));
    if watches && end == b"EXEC" && spoils {
        into.push(request(template, &[b"UNWATCH"]));
    }
}

/// What a script does with the reply of a command.
const BODIES: &[&str] = &[
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "redis.setresp(3) return redis.pcall(unpack(ARGV))",
    "local r = redis.pcall(unpack(ARGV)) return cjson.encode(r)",
    "local r = redis.pcall(unpack(ARGV)) return cmsgpack.pack(r)",
    "local r = redis.pcall(unpack(ARGV)) return {type(r), r}",
    "local ok, r = pcall(redis.call, unpack(ARGV)) return {ok, r}",
    "local r = redis.pcall(unpack(ARGV)) return cmsgpack.unpack(cmsgpack.pack(r))",
    "local r = redis.pcall(unpack(ARGV)) if type(r) ~= 'table' then return tostring(r) end local n = 0 for _ in pairs(r) do n = n + 1 end return n",
];

fn script(requests: &mut Requests, one: Drawn) -> Drawn {
    let body = BODIES[requests.rng.below(BODIES.len() as u64) as usize];
    let name: &[u8] = if requests.rng.below(6) == 0 { b"EVAL_RO" } else { b"EVAL" };
    let mut words: Vec<&[u8]> = vec![name, body.as_bytes(), b"0"];
    words.extend(one.words.iter().map(Vec::as_slice));
    request(one.template, &words)
}

/// A request of a user that may not do everything, or the question whether it might.
fn as_user(rng: &mut Rng, one: Drawn, into: &mut Vec<Drawn>) {
    let (name, _) = USERS[rng.below(USERS.len() as u64) as usize];
    let template = one.template;
    if rng.below(2) == 0 {
        let mut words: Vec<&[u8]> = vec![b"ACL", b"DRYRUN", name.as_bytes()];
        words.extend(one.words.iter().map(Vec::as_slice));
        return into.push(request(template, &words));
    }
    into.push(request(template, &[b"AUTH", name.as_bytes(), b"x"]));
    into.push(Drawn { wraps: true, ..one });
    into.push(request(template, &[b"AUTH", b"default", b"x"]));
}
