//! Random and mutated bytes, into the parser and through a whole engine.
//!
//! Nothing that a client sends may end in a panic, in a reply that is no reply, or in memory without bound; and how the
//! network cuts a stream into reads must not change what it means. Inputs come in rounds of a few hundred; each round
//! has an engine and a seed of its own, which a failure names:
//!
//! * `cargo test --test fuzz` runs 200,000 inputs in some seconds; `FUZZ_INPUTS=10000000 cargo test --release --test
//!   fuzz` many more;
//! * `FUZZ_SEED=1234 FUZZ_INPUTS=1 cargo test --test fuzz` runs one round again.
#![allow(clippy::disallowed_methods, reason = "the environment says how much is run")]

mod generate;
mod links;
mod rounds;
#[path = "../users/rules.rs"]
mod rules;
#[path = "../support/mod.rs"]
mod support;
mod users;

use generate::{Generator, any};
use rounds::rounds;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use support::World;
use waterwheel::base::limit::{INLINE_BYTES_MAX, READ_BYTES};
use waterwheel::resp::Span;
use waterwheel::resp::parse::{Limits, Progress, ProtoError, Step, parse};
use waterwheel::sys::alloc;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// Inputs of a round.
const ROUND: u64 = 400;

/// Longest argument that an engine takes here: the least that can be configured.
const ARGUMENT_BYTES_MAX: u64 = 1 << 20;

/// Most bytes that an engine may hold in a round: some of its values and inboxes at their longest.
const ALLOCATED_BYTES_MAX: usize = 192 << 20;

/// Most bytes that may be left of all rounds: what the test of the parser holds meanwhile.
const LEFT_BYTES_MAX: usize = 2 << 20;

/// Held by who has an engine, because what is allocated is counted for the whole process.
static ENGINE: Mutex<()> = Mutex::new(());

/// The right to have an engine. A test that failed with it has told why.
fn alone() -> MutexGuard<'static, ()> {
    ENGINE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_parser_reads_the_same_however_its_input_is_cut() {
    let generator = Generator::new(false);
    rounds(ROUND, 4, |_, rng| {
        for _ in 0..ROUND {
            let mut input = generator.input(rng);
            for _ in 0..rng.below(3) {
                input.extend(generator.input(rng));
            }
            // A longer line is refused only if its end is not there yet, as in Redis.
            input.truncate(INLINE_BYTES_MAX);
            let limits = Limits { bulk_bytes_max: 1 << 29, unauthenticated: rng.below(8) == 0 };
            let whole = parsed(&input, limits, || usize::MAX);
            let piece = 24 + input.len() as u64 / 64;
            let cut = parsed(&input, limits, || 1 + rng.below(piece) as usize);
            assert_eq!(whole, cut, "{}", input.escape_ascii());
        }
    });
}

/// What a stream of bytes means.
#[derive(Debug, PartialEq)]
enum Meaning {
    Request(Vec<Vec<u8>>),
    Large { before: Vec<Vec<u8>>, remaining: usize, bytes: usize },
    Error(ProtoError),
}

/// Parses a stream of which every read brings `next` bytes.
fn parsed(input: &[u8], limits: Limits, mut next: impl FnMut() -> usize) -> Vec<Meaning> {
    let (mut meanings, mut begin, mut end) = (Vec::new(), 0, 0);
    let mut progress = Progress::default();
    while end < input.len() {
        end = next().saturating_add(end).min(input.len());
        loop {
            let mut spans = Vec::new();
            let words = |spans: &[Span]| {
                spans.iter().map(|s| input[s.start as usize..s.end as usize].to_vec()).collect::<Vec<_>>()
            };
            let step = parse(&input[begin..end], begin, limits, &mut progress, &mut spans);
            assert!(spans.iter().all(|s| begin <= s.start as usize && s.end as usize <= end));
            match step {
                Ok(Step::Request(used)) => {
                    meanings.push(Meaning::Request(words(&spans)));
                    begin += used;
                }
                Ok(Step::Inline(used, words)) => {
                    meanings.push(Meaning::Request(words));
                    begin += used;
                }
                Ok(Step::Nothing(used)) => begin += used,
                Ok(Step::Incomplete) => break,
                Ok(Step::Large { at, bytes, .. }) if begin + at + bytes + 2 <= input.len() => {
                    // Here the argument gets no buffer of its own: the read brought all of it.
                    end = end.max(begin + at + bytes + 2);
                    continue;
                }
                Ok(Step::Large { remaining, bytes, .. }) => {
                    meanings.push(Meaning::Large { before: words(&spans), remaining, bytes });
                    return meanings;
                }
                Err(error) => {
                    meanings.push(Meaning::Error(error));
                    return meanings;
                }
            }
            assert!(progress.is_fresh(), "a request is over");
            assert!(begin <= end);
        }
        assert!(
            progress.heap_bytes() <= 64 * (1 + input.len()),
            "memory follows the input, not its promises"
        );
    }
    meanings
}

#[test]
fn an_engine_survives_whatever_clients_send() {
    let generator = Generator::new(false);
    let before = {
        let _alone = alone();
        alloc::allocated_bytes()
    };
    rounds(ROUND, 2, |seed, rng| {
        let _alone = alone();
        let mut world = World::with_seed(seed);
        world.engine.conf.proto_max_bulk_len_bytes = ARGUMENT_BYTES_MAX;
        let clients = ["a", "b", "c", "d", "e"];
        let is_crowded = rng.below(4) == 0;
        // CLIENT REPLY in a transaction mutes the replies to what follows in it, but not their number in front, as in Redis.
        let mut muted = BTreeSet::new();
        for i in 0..ROUND {
            let client = any(rng, &clients);
            let input = generator.input(rng);
            if is_crowded {
                world.host.allocated_bytes = rng.below(1 << 40) as usize;
            }
            match rng.below(40) {
                0 => world.disconnect(client),
                1 => drop(world.read_into_target(client, &input)),
                _ => world.send_bytes(client, &input),
            }
            let words = input.to_ascii_lowercase();
            if words.windows(6).any(|word| word == b"client") && words.windows(5).any(|word| word == b"reply")
            {
                muted.insert(*client);
            }
            // A replica is sent what is no reply.
            if words.windows(4).any(|word| word == b"sync") {
                muted.insert(*client);
            }
            match muted.contains(client) {
                true => drop(world.received_bytes(client)),
                // Panics when what was sent is no reply.
                false => drop(world.received(client)),
            }
            if rng.below(10) == 0 {
                let bits = rng.below(22);
                let ms = rng.below(1 << bits);
                world.advance_ms(ms);
                world.feed();
            }
            if i % 16 == 0 {
                let allocated = alloc::allocated_bytes();
                assert!(allocated < ALLOCATED_BYTES_MAX, "{allocated} bytes are allocated");
            }
        }
        drop(world);
        let left = alloc::allocated_bytes().saturating_sub(before);
        assert!(left < LEFT_BYTES_MAX, "{left} bytes are left of the engine");
    });
}

#[test]
fn replies_are_the_same_however_requests_are_cut() {
    let generator = Generator::new(true);
    rounds(ROUND, 20, |seed, rng| {
        let _alone = alone();
        let mut worlds = [World::with_seed(seed), World::with_seed(seed)];
        for world in &mut worlds {
            world.engine.conf.proto_max_bulk_len_bytes = ARGUMENT_BYTES_MAX;
        }
        for _ in 0..ROUND {
            let mut input = generator.input(rng);
            input.truncate(READ_BYTES);
            let [whole, cut] = &mut worlds;
            whole.send_bytes("a", &input);
            let mut rest = input.as_slice();
            let bits = rng.below(16);
            // At most some hundred pieces, or the longest inputs would take all the time.
            let piece = 1 + input.len() as u64 / 256 + rng.below(1 << bits);
            while !rest.is_empty() {
                let n = (1 + rng.below(piece) as usize).min(rest.len());
                if rng.below(2) == 0 {
                    cut.send_bytes("a", &rest[..n]);
                } else {
                    cut.read_into_target("a", &rest[..n]);
                }
                rest = &rest[n..];
            }
            let (whole, cut) = (whole.received("a"), cut.received("a"));
            if ["too big inline request", "too big bulk count", "too big mbulk count"]
                .iter()
                .any(|text| cut.contains(text))
            {
                // Only a line whose end is not there yet is refused, as in Redis: here the two may part.
                return;
            }
            assert_eq!(whole, cut, "{}", input.escape_ascii());
            if whole.ends_with("(closed)") {
                continue;
            }
            if rng.below(20) == 0 {
                let ms = rng.below(1000);
                worlds.iter_mut().for_each(|world| world.advance_ms(ms));
            }
        }
        // When a key is removed that has expired depends on the turns, and each read is one.
        let is_kept = |frame: &&str| !frame.starts_with("DEL ") && *frame != "MULTI" && *frame != "EXEC";
        let [whole, cut] = worlds.map(|mut world| world.feed());
        let mut cut = cut.split(" | ").filter(is_kept);
        for frame in whole.split(" | ").filter(is_kept) {
            assert_eq!(Some(frame), cut.next());
        }
        assert_eq!(cut.next(), None);
    });
}
