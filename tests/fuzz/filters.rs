//! Random and damaged filter expressions of VSIM, on random and damaged attributes, through a whole engine.
//!
//! Expressions are built from what the language has, nested and joined, then damaged in a few places, and so are attributes.
//! Whatever they are: VSIM answers whole, with the element or without it, or with the error that names where the expression ends
//! to be one; memory stays bounded, and the same expression on the same attributes has the same answer.
//!
//! `cargo test --test fuzz_filters` runs 50,000 inputs; `FUZZ_INPUTS=5000000 cargo test --release --test fuzz_filters` many more,
//! and `FUZZ_SEED=1234 FUZZ_INPUTS=1 cargo test --test fuzz_filters` one round again. `tests/oracle/filters` compares the same
//! expressions with a real server.
#![allow(clippy::disallowed_methods, reason = "the environment says how much is run")]

mod rounds;
#[path = "../support/mod.rs"]
mod support;

use rounds::rounds;
use support::World;
use support::reply::Resp;
use waterwheel::base::rng::Rng;
use waterwheel::resp::reply::encode_request;

/// Inputs of a round.
const ROUND: u64 = 500;

const VALUES: &[&str] = &[
    "1",
    "0",
    "-3",
    "2.5",
    "1e3",
    "1e999",
    "1.2.3",
    "'a'",
    "\"b\"",
    "''",
    "'10'",
    "'0x10'",
    "null",
    ".a",
    ".b",
    ".c.d",
    ".x-y",
    ".none",
    "[1,2]",
    "['a', 'b', 3]",
    "[]",
    "[1,]",
    "true",
    ".",
];
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "**", ">", ">=", "<", "<=", "==", "!=", " in ", " and ", "&&", " or ", "||",
    "=", "!", " not ",
];
const JSON: &[&str] = &[
    "1",
    "-2.5",
    "1e3",
    "\"a\"",
    "\"x\\\"y\\n\"",
    "true",
    "false",
    "null",
    "[1,2,\"a\"]",
    "[]",
    "{\"a\":1}",
    "[[1],[]]",
    "+1",
    "tru",
];

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.below(from.len() as u64) as usize]
}

fn expression(rng: &mut Rng, depth: u64) -> String {
    if depth == 0 || rng.below(4) == 0 {
        return pick(rng, VALUES).to_owned();
    }
    let inner = expression(rng, depth - 1);
    match rng.below(6) {
        0 => format!("({inner})"),
        1 => format!("!{inner}"),
        2 => format!("not {inner}"),
        _ => format!("{inner}{}{}", pick(rng, OPERATORS), expression(rng, depth - 1)),
    }
}

fn attributes(rng: &mut Rng) -> String {
    let fields = (0..rng.below(5)).map(|_| {
        let name = pick(rng, &["a", "b", "c.d", "x-y", "z"]);
        format!("\"{name}\":{}", pick(rng, JSON))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn damage(rng: &mut Rng, text: &mut Vec<u8>) {
    for _ in 0..rng.below(4) {
        let at = rng.below(text.len() as u64 + 1) as usize;
        match rng.below(4) {
            0 => text.insert(at, rng.next_u64() as u8),
            1 if at < text.len() => {
                text.remove(at);
            }
            2 => {
                let end = at + rng.below((text.len() - at) as u64 + 1) as usize;
                let copy = text[at..end].to_vec();
                text.splice(at..at, copy);
            }
            _ => {
                let with = if rng.below(2) == 0 { VALUES } else { OPERATORS };
                text.splice(at..at, pick(rng, with).bytes());
            }
        }
    }
}

fn ask(world: &mut World, words: &[&[u8]]) -> Resp {
    let mut bytes = Vec::new();
    encode_request(words, &mut bytes);
    world.send_bytes("a", &bytes);
    world.take_replies("a").0.pop().expect("every request is answered")
}

#[test]
fn every_expression_is_refused_or_has_one_answer() {
    let (mut refused, mut passed, mut failed) = (0u64, 0u64, 0u64);
    rounds(ROUND, 4, |seed, rng| {
        let mut world = World::with_seed(seed);
        ask(&mut world, &[b"VADD", b"k", b"VALUES", b"1", b"1", b"e"]);
        for _ in 0..ROUND {
            let (mut text, mut json) = (expression(rng, 4).into_bytes(), attributes(rng).into_bytes());
            if rng.below(3) > 0 {
                damage(rng, &mut text);
            }
            if rng.below(3) == 0 {
                damage(rng, &mut json);
            }
            ask(&mut world, &[b"VSETATTR", b"k", b"e", &json]);
            let words: [&[u8]; 7] = [b"VSIM", b"k", b"ELE", b"e", b"TRUTH", b"FILTER", &text];
            let answer = ask(&mut world, &words);
            let shown = || format!("{} on {}: {answer:?}", text.escape_ascii(), json.escape_ascii());
            match &answer {
                Resp::Error(error) => {
                    let begins = "ERR syntax error in FILTER expression near: ";
                    assert!(error.starts_with(begins), "{}", shown());
                    refused += 1;
                }
                Resp::Array(found) if found.is_empty() => failed += 1,
                Resp::Array(found) if found.len() == 1 => passed += 1,
                _ => panic!("{}", shown()),
            }
            let again = ask(&mut world, &[b"VSIM", b"k", b"ELE", b"e", b"FILTER", &text]);
            assert_eq!(format!("{again:?}"), format!("{answer:?}"), "{}", shown());
        }
    });
    assert!(refused > 0 && passed > 0 && failed > 0, "{refused} {passed} {failed}");
}
