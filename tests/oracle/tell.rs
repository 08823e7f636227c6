//! What is printed of a difference: the request, both replies, and what was asked about the same keys before.

use crate::support::requests::Drawn;
use std::collections::VecDeque;

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
    history(remembered, &one.words[1..]);
}

/// Whether a word is a generated script.
pub fn is_code(word: &&Vec<u8>) -> bool {
    word.starts_with(b"#!lua") || word.starts_with(b"local function show")
}

/// Shows a script.
pub fn tell_code(code: &[u8]) {
    println!("{}", code.escape_ascii().to_string().replace("\\n", "\n").replace("\\'", "'"));
}

/// The last requests about the same keys.
pub fn history(remembered: &VecDeque<Drawn>, words: &[Vec<u8>]) {
    let concerns = |before: &&Drawn| {
        let is_general = matches!(before.words[0].first(), Some(b'F' | b'S'))
            && before.words.len() < 4
            && [&b"SELECT"[..], b"SWAPDB", b"FLUSHALL", b"FLUSHDB"].contains(&&before.words[0][..]);
        is_general
            || before.words[0] == b"CONFIG"
            || before.words[0] != b"OBJECT" && before.words[1..].iter().any(|word| words.contains(word))
    };
    let lines: Vec<String> = remembered.iter().rev().filter(concerns).take(14).map(Drawn::shown).collect();
    lines.iter().rev().for_each(|line| println!("        after {line}"));
}
