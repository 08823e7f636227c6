//! What is printed of a difference: the request, both replies, and what was asked about the same keys before.

use crate::support::reply::Resp;
use crate::support::requests::Drawn;
use std::collections::{BTreeSet, VecDeque};

/// Tells of replies that differ.
pub fn tell(reference: &str, one: &Drawn, theirs: &[u8], ours: &[u8], remembered: &VecDeque<Drawn>) {
    println!("DIFFERENT: {}", one.shown());
    for (who, reply) in [(reference, theirs), ("we", ours)] {
        let reply = reply[..reply.len().min(400)].escape_ascii();
        println!("    {who:<6} {reply}");
    }
    // A script is too long for a line, and what it calls stands within.
    let latest = remembered.iter().rev().flat_map(|before| &before.words);
    if let Some(code) = one.words.iter().chain(latest).find(is_code).filter(|_| one.generated) {
        tell_code(code);
    }
    match one.generated {
        true => keys_of(one).into_iter().for_each(|key| history(remembered, &[key])),
        false => history(remembered, &one.words[1..]),
    }
}

/// Whether a word is a generated script.
pub fn is_code(word: &&Vec<u8>) -> bool {
    word.starts_with(b"#!lua") || word.starts_with(b"local function show")
}

/// Shows a script.
pub fn tell_code(code: &[u8]) {
    println!("{}", code.escape_ascii().to_string().replace("\\n", "\n").replace("\\'", "'"));
}

/// Words of a request that look like keys, those within a script among them.
pub fn keys_of(one: &Drawn) -> BTreeSet<Vec<u8>> {
    let parts = one.words.iter().flat_map(|word| word.split(|byte| !byte.is_ascii_alphanumeric()));
    let is_key = |part: &&[u8]| matches!(part, [b'a'..=b'z', number @ ..] if !number.is_empty() && number.iter().all(u8::is_ascii_digit));
    parts.filter(is_key).map(<[u8]>::to_vec).take(40).collect()
}

/// What a server has at a key when all of the batch is done; none when that is nothing.
pub fn value(key: &[u8], mut ask: impl FnMut(&[&[u8]]) -> Option<Resp>) -> Option<String> {
    let Some(Resp::Status(of)) = ask(&[b"TYPE", key]) else { return None };
    let request: &[&[u8]] = match of.as_str() {
        "string" => &[b"GET", key],
        "list" => &[b"LRANGE", key, b"0", b"-1"],
        "set" => &[b"SMEMBERS", key],
        "hash" => &[b"HGETALL", key],
        "zset" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
        "stream" => &[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"],
        _ => return None,
    };
    Some(ask(request)?.shown().replace('\n', " "))
}

/// Shows what lies at a key afterwards, at both servers where that is not the same.
pub fn values(key: &[u8], [theirs, ours]: &[Option<String>; 2]) {
    let shown = |value: &Option<String>| match value {
        Some(value) => value.chars().take(1500).collect(),
        None => "(nothing)".to_owned(),
    };
    match theirs == ours {
        true if ours.is_none() => {}
        true => println!("        afterwards {} {}", key.escape_ascii(), shown(ours)),
        false => {
            println!("        afterwards {}, there: {}", key.escape_ascii(), shown(theirs));
            println!("        afterwards {}, here:  {}", key.escape_ascii(), shown(ours));
        }
    }
}

/// Whether a script has a word in quotes.
fn names(code: &[u8], word: &[u8]) -> bool {
    let quoted = [b"'", word, b"'"].concat();
    code.windows(quoted.len()).any(|part| part == quoted)
}

/// The last requests about the same keys.
pub fn history(remembered: &VecDeque<Drawn>, words: &[Vec<u8>]) {
    let concerns = |before: &&Drawn| {
        let is_general = matches!(before.words[0].first(), Some(b'F' | b'S'))
            && before.words.len() < 4
            && [&b"SELECT"[..], b"SWAPDB", b"FLUSHALL", b"FLUSHDB"].contains(&&before.words[0][..]);
        let calls_with = |code: &Vec<u8>| is_code(&code) && words.iter().any(|word| names(code, word));
        is_general
            || before.words.iter().any(calls_with)
            || before.words[0] == b"CONFIG"
            || before.words[0] != b"OBJECT" && before.words[1..].iter().any(|word| words.contains(word))
    };
    let lines: Vec<String> = remembered.iter().rev().filter(concerns).take(14).map(Drawn::shown).collect();
    lines.iter().rev().for_each(|line| println!("        after {line}"));
}
