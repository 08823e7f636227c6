//! Inputs: requests that a command might take, built from the syntax in its row, and what mutation makes of them.

use crate::support;
use waterwheel::base::rng::Rng;
use waterwheel::engine::spec::{Group, Spec};
use waterwheel::engine::syntax::{self, Argument, Kind};
use waterwheel::resp::reply::encode_request;

/// A command with its arguments taken apart.
struct Command {
    spec: &'static Spec,
    words: Vec<String>,
    arguments: Vec<Argument>,
}

/// Makes inputs.
pub struct Generator {
    commands: Vec<Command>,
}

/// Numbers on which arithmetic breaks, and what is nearly a number.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "10",
    "16",
    "100",
    "255",
    "1000",
    "65536",
    "1048576",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "1e3",
    "0.1",
    "-1.5",
    "inf",
    "-inf",
    "nan",
    "1e400",
    "0x10",
    " 1",
    "1 ",
    "+1",
    "01",
    "",
];

/// Pieces of the protocol, for mutations to insert.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"*",
    b"$",
    b"*1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2147483647\r\n",
    b"*99999999999999999999\r\n",
    b"$0\r\n\r\n",
    b"$-1\r\n",
    b"$1\r\n",
    b"$536870912\r\n",
    b"$1048576\r\n",
    b"$40000\r\n",
    b"$9223372036854775807\r\n",
    b"\"",
    b"'",
    b"\\x00",
    b"\\xff",
    b"\\x",
    b"\0",
    b" ",
    b"\t",
    b"\xff",
    b"PING\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"%",
    b"~",
];

impl Generator {
    /// For all commands, or only for those whose replies depend on nothing but the keyspace.
    pub fn new(only_keyspace: bool) -> Generator {
        // What these answer, or do to the connection, depends on how the bytes were read or on chance.
        let others = ["randomkey", "object", "wait", "waitaof", "scan", "keys"];
        let rows = support::table().rows().iter().filter(|row| {
            let is_keyspace = matches!(row.spec.group, Group::String | Group::Generic)
                && !others.iter().any(|name| row.full_name.starts_with(name));
            !only_keyspace || is_keyspace
        });
        let commands = rows.map(|row| Command {
            spec: row.spec,
            words: row.full_name.split('|').map(str::to_owned).collect(),
            arguments: syntax::parse(row.spec.syntax).expect("a test parses every syntax"),
        });
        Generator { commands: commands.collect() }
    }

    /// Bytes that a client may send.
    pub fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        match rng.below(20) {
            0 => bytes.extend((0..rng.below(60)).map(|_| rng.next_u64() as u8)),
            1 => (0..rng.below(12)).for_each(|_| bytes.extend(*any(rng, PIECES))),
            2..4 => {
                for word in self.request(rng) {
                    bytes.extend_from_slice(&word);
                    bytes.push(b' ');
                }
                bytes.extend_from_slice(b"\r\n");
            }
            _ => {
                let count = if rng.below(8) == 0 { rng.below(40) } else { 1 };
                for _ in 0..=count {
                    encode_request(&self.request(rng), &mut bytes);
                }
            }
        }
        if rng.below(3) == 0 {
            for _ in 0..=rng.below(4) {
                mutate(rng, &mut bytes);
            }
        }
        bytes
    }

    /// The words of a request that may be right.
    fn request(&self, rng: &mut Rng) -> Vec<Vec<u8>> {
        let command = any(rng, &self.commands);
        let mut words: Vec<Vec<u8>> = command.words.iter().map(|word| word.clone().into_bytes()).collect();
        for argument in &command.arguments {
            push(rng, argument, &mut words);
        }
        // Options that the row does not know, too few words, too many.
        if rng.below(12) == 0 {
            words.truncate(rng.below(words.len() as u64 + 1) as usize);
        }
        while rng.below(12) == 0 || (words.len() as i16) < command.spec.arity.abs() && rng.below(10) > 0 {
            words.push(string(rng));
        }
        words
    }
}

/// One argument, if it may not be left out or is not.
fn push(rng: &mut Rng, argument: &Argument, words: &mut Vec<Vec<u8>>) {
    if argument.optional && rng.below(2) == 0 {
        return;
    }
    let count = if argument.multiple { 1 + rng.below(4) } else { 1 };
    for i in 0..count {
        if let Some(token) = argument.token.filter(|_| i == 0 || argument.multiple_token) {
            words.push(token.as_bytes().to_vec());
        }
        match argument.kind {
            Kind::PureToken => {}
            Kind::OneOf => {
                let chosen = any(rng, &argument.parts).clone();
                push(rng, &Argument { optional: false, ..chosen }, words);
            }
            Kind::Block => argument.parts.iter().for_each(|part| push(rng, part, words)),
            Kind::Key => words.push(key(rng)),
            Kind::Integer | Kind::Double | Kind::UnixTime if rng.below(8) > 0 => words.push(number(rng)),
            _ => words.push(string(rng)),
        }
    }
}

fn key(rng: &mut Rng) -> Vec<u8> {
    match rng.below(20) {
        0 => Vec::new(),
        1 => string(rng),
        _ => format!("k{}", rng.below(30)).into_bytes(),
    }
}

fn number(rng: &mut Rng) -> Vec<u8> {
    match rng.below(3) {
        0 => any(rng, NUMBERS).as_bytes().to_vec(),
        1 => rng.below(1000).to_string().into_bytes(),
        _ => {
            let shift = rng.below(64);
            ((rng.next_u64() >> shift) as i64).to_string().into_bytes()
        }
    }
}

fn string(rng: &mut Rng) -> Vec<u8> {
    match rng.below(60) {
        0..20 => number(rng),
        20..30 => key(rng),
        30..35 => b"*?[a-k]\\".iter().copied().filter(|_| rng.below(2) == 0).collect(),
        // Around the bounds at which a value or an argument is kept in another way.
        35..40 => {
            vec![b'v'; any(rng, &[43_usize, 44, 45, 399, 400, 401, 511, 512, 513]) - rng.below(2) as usize]
        }
        40 => vec![b'V'; 16 * 1024 - 2 + rng.below(4) as usize],
        41 => vec![b'L'; 32 * 1024 - 2 + rng.below(40_000) as usize],
        42..50 => any(rng, PIECES).to_vec(),
        _ => (0..rng.below(30)).map(|_| rng.next_u64() as u8).collect(),
    }
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len() as u64 + 1) as usize;
    let end = at + rng.below((bytes.len() - at) as u64 + 1).min(20) as usize;
    match rng.below(6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        1 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => bytes.truncate(at),
        _ => drop(bytes.splice(at..at, any(rng, PIECES).iter().copied())),
    }
}

/// One of several.
pub fn any<'a, T>(rng: &mut Rng, values: &'a [T]) -> &'a T {
    &values[rng.below(values.len() as u64) as usize]
}
