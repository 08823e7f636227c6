//! Random rules about users: right ones, nearly right ones, and damaged ones.

use waterwheel::base::rng::Rng;

/// Rules that need nothing else.
const WORDS: &[&str] = &[
    "on",
    "off",
    "nopass",
    "resetpass",
    "reset",
    "sanitize-payload",
    "skip-sanitize-payload",
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
    "clearselectors",
    "~*",
    "&*",
    "+@all",
    "-@all",
    "",
    "%R~*",
    "%W~*",
    "%RW~*",
    "()",
    "( )",
    "ON",
    "AllKeys",
];

/// Commands, subcommands, first arguments, and what is none of these.
const COMMANDS: &[&str] = &[
    "get",
    "set",
    "GET",
    "mget",
    "select",
    "select|0",
    "select|1",
    "SELECT|Ab",
    "config",
    "config|get",
    "config|set",
    "config|get|x",
    "config|",
    "config|nosuch",
    "client",
    "client|id",
    "client|no-evict",
    "acl",
    "acl|whoami",
    "acl|list",
    "nosuch",
    "get|",
    "get|a|b",
    "|",
    "|get",
    "debug",
    "debug|sleep",
    "debug|object",
    "sort",
    "sort_ro",
    "auth",
    "hello",
    "object|freq",
    "object",
    "memory|usage",
    "xinfo|stream",
    "publish",
    "subscribe",
    "psubscribe",
    "ping",
    "",
];

/// Categories, and what is none.
const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "READ",
    "nosuch",
    "all ",
    "",
];

/// Patterns of keys and channels.
const PATTERNS: &[&str] =
    &["a", "b*", "*", "a[bc]", "x?y", "", "~", "&", "%", "a b", "a\tb", "\\", "\u{e4}", "**"];

/// What may stand in front of a pattern of keys.
const SIGNS: &[&str] =
    &["~", "%R~", "%W~", "%RW~", "%wr~", "%", "%R", "%RR~", "%X~", "%~", "%r~", "%RW", "%RWR~"];

/// Passwords, hashes, and what is none.
const PASSWORDS: &[&str] = &[
    "a",
    "b",
    "",
    "a b",
    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
    "CA978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48b",
    "ga978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
];

fn pick<'a>(rng: &mut Rng, list: &[&'a str]) -> &'a str {
    list[rng.below(list.len() as u64) as usize]
}

/// One rule.
pub fn rule(rng: &mut Rng) -> Vec<u8> {
    let mut rule = match rng.below(16) {
        0..=2 => pick(rng, WORDS).to_owned(),
        3..=6 => format!("{}{}", pick(rng, &["+", "-"]), pick(rng, COMMANDS)),
        7..=8 => format!("{}@{}", pick(rng, &["+", "-"]), pick(rng, CATEGORIES)),
        9..=10 => format!("{}{}", pick(rng, SIGNS), pick(rng, PATTERNS)),
        11 => format!("&{}", pick(rng, PATTERNS)),
        12 => format!("{}{}", pick(rng, &[">", "<", "#", "!"]), pick(rng, PASSWORDS)),
        13..=14 => selector(rng),
        _ => pick(
            rng,
            &[
                "(",
                ")",
                "(+get",
                "+get)",
                "((+get))",
                "(on)",
                "(+get \"a)",
                "(+get 'a b' ~c)",
                "a",
                "=",
                "\\",
            ],
        )
        .to_owned(),
    }
    .into_bytes();
    if rng.below(24) == 0 {
        damage(rng, &mut rule);
    }
    rule
}

/// Rules in parentheses.
fn selector(rng: &mut Rng) -> String {
    let rules: Vec<String> = (0..rng.below(4))
        .map(|_| match rng.below(8) {
            0 => pick(rng, WORDS).to_owned(),
            1..=3 => format!("{}{}", pick(rng, &["+", "-"]), pick(rng, COMMANDS)),
            4 => format!("{}@{}", pick(rng, &["+", "-"]), pick(rng, CATEGORIES)),
            5..=6 => format!("{}{}", pick(rng, SIGNS), pick(rng, PATTERNS)),
            _ => format!("&{}", pick(rng, PATTERNS)),
        })
        .collect();
    format!("({})", rules.join(" "))
}

/// Changes, adds or removes a byte.
fn damage(rng: &mut Rng, rule: &mut Vec<u8>) {
    let at = rng.below(rule.len() as u64 + 1) as usize;
    let byte = rng.below(256) as u8;
    match rng.below(3) {
        0 => rule.insert(at, byte),
        1 if at < rule.len() => rule[at] = byte,
        _ if at < rule.len() => {
            rule.remove(at);
        }
        _ => rule.push(byte),
    }
}

/// A request that sets rules of one of a few users.
pub fn request(rng: &mut Rng) -> Vec<Vec<u8>> {
    let user = pick(rng, &["u1", "u2", "u3", "u 4", ""]);
    let mut words: Vec<Vec<u8>> = ["ACL", "SETUSER", user].map(|word| word.as_bytes().to_vec()).to_vec();
    words.extend((0..rng.below(5)).map(|_| rule(rng)));
    words
}
