//! Random scripts and libraries, through a whole engine.
//!
//! Scripts are built from what they can call, with arguments on which arithmetic, bounds and recursion break, and with
//! damaged JSON, MessagePack and packed structs; some texts, libraries and dumps of libraries are damaged themselves.
//! Whatever a script is:
//!
//! * it ends in replies that are whole, and never in a panic or an abort;
//! * what the interpreter and the engine hold stays bounded;
//! * the globals that the next script finds are what they were, and it runs.
//!
//! The libraries are also given damaged data alone, many pieces in one script, which is faster.
//!
//! `cargo test --test fuzz_scripts` runs 200,000 inputs of data and 20,000 scripts; `FUZZ_INPUTS=5000000 cargo test
//! --release --test fuzz_scripts` many more, and `FUZZ_SEED=1234 FUZZ_INPUTS=1 cargo test --test fuzz_scripts` one round
//! again.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the environment says how much is run; a stack as large as a server's needs a thread"
)]

mod rounds;
#[path = "../support/mod.rs"]
mod support;
mod values;

use rounds::rounds;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use support::World;
use support::reply::Resp;
use values::{any, damage, expression, function_of, lua_string, payload, statements};
use waterwheel::base::rng::Rng;
use waterwheel::persist::rdb;
use waterwheel::resp::reply::encode_request;
use waterwheel::sys::{alloc, memory};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// Inputs of a round.
const ROUND: u64 = 500;

/// Most bytes that may be allocated between two inputs: scripts that are kept, garbage that is not collected yet, and
/// texts of some hundred megabytes, which damage to a number can ask for.
const HELD_BYTES_MAX: usize = 512 << 20;

/// Most bytes that may be left of all rounds.
const LEFT_BYTES_MAX: usize = 2 << 20;

/// Names, types and addresses of all that a script finds when it begins, in one line.
const SEEN: &str = "local seen, all = {}, {}
local function look(name, value, depth)
  all[#all + 1] = name .. '=' .. (type(value) == 'table' and 'table' or tostring(value))
  if type(value) == 'table' and not seen[value] and depth < 5 then
    seen[value] = true
    for key, member in pairs(value) do look(name .. '.' .. tostring(key), member, depth + 1) end
    look(name .. '.metatable', getmetatable(value), depth + 1)
  end
end
for name, value in pairs(_G) do if name ~= 'KEYS' and name ~= 'ARGV' then look(name, value, 1) end end
look('string', getmetatable(''), 1)
table.sort(all)
return table.concat(all, ' ')";

/// A library of functions, for damage to start from.
const LIBRARY: &str = "#!lua name=lib
local function add(keys, args) return redis.call('INCRBY', keys[1] or 'n', args[1] or 1) end
redis.register_function('add', add)
redis.register_function{function_name='look', callback=function(keys, args) return {keys, args} end, \
flags={'no-writes', 'allow-stale'}, description='looks'}
local state = 0
redis.register_function('count', function() state = state + 1 return state end)";

/// Most bytes that the interpreter may hold between two inputs.
const INTERPRETER_BYTES_MAX: usize = 256 << 20;

/// Most bytes of memory that the process may have after a round.
const RESIDENT_BYTES_MAX: usize = 1 << 30;

/// The stack of a server's thread; those of tests are smaller.
const STACK_BYTES: usize = 8 << 20;

/// Held by who has an engine, because what is allocated is counted for the whole process.
static ENGINE: Mutex<()> = Mutex::new(());

#[test]
fn scripts_leave_an_engine_as_they_found_it() {
    on_a_large_stack(run_scripts);
}

#[test]
fn libraries_survive_damaged_data() {
    on_a_large_stack(run_data);
}

fn on_a_large_stack(run: fn()) {
    // A test that failed with it has told why.
    let _alone = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    if let Err(failure) = thread.expect("a thread starts").join() {
        std::panic::resume_unwind(failure);
    }
}

/// Data for the functions of the libraries; all that is for one function goes into one script.
fn run_data() {
    let before = alloc::allocated_bytes();
    let (mut whole, mut refused) = (0, 0);
    rounds(ROUND, 1, |seed, rng| {
        let mut world = World::with_seed(seed);
        let mut inputs: BTreeMap<(String, usize), Vec<Vec<u8>>> = BTreeMap::new();
        for _ in 0..ROUND {
            let (function, data) = function_of(rng);
            inputs.entry((function, data.len())).or_default().extend(data);
        }
        for ((function, count), data) in inputs {
            let text = format!(
                "local whole = 0 for i = 1, #ARGV, {count} do \
                 if pcall({function}, unpack(ARGV, i, i + {count} - 1)) then whole = whole + 1 end end return whole"
            );
            let total = (data.len() / count) as i64;
            let mut request: Vec<&[u8]> = vec![b"EVAL", text.as_bytes(), b"0"];
            request.extend(data.iter().map(Vec::as_slice));
            let mut bytes = Vec::new();
            encode_request(&request, &mut bytes);
            world.send_bytes("a", &bytes);
            let replies = world.received_bytes("a");
            let Some((Resp::Int(read), _)) = Resp::first(&replies) else {
                panic!("{} was answered by {}", bytes.escape_ascii(), replies.escape_ascii());
            };
            whole += read;
            refused += total - read;
            check_memory(&world, before);
        }
    });
    assert!(alloc::allocated_bytes().saturating_sub(before) < LEFT_BYTES_MAX);
    assert!(whole > 0 && refused > 0, "{whole} were read, {refused} refused");
    eprintln!("{whole} pieces of data were read, {refused} refused");
}

/// What is held between two inputs is bounded.
fn check_memory(world: &World, before: usize) {
    let held = alloc::allocated_bytes().saturating_sub(before);
    assert!(held < HELD_BYTES_MAX, "{held} bytes are held");
    let interpreter = world.engine.scripts.vm_bytes();
    assert!(interpreter < INTERPRETER_BYTES_MAX, "the interpreter holds {interpreter} bytes");
}

fn run_scripts() {
    let before = alloc::allocated_bytes();
    let (mut answered, mut failed) = (0u64, 0u64);
    rounds(ROUND, 10, |seed, rng| {
        let mut world = World::with_seed(seed);
        world.run_as("b", "HELLO 3");
        for line in
            ["SET text value", "RPUSH list a b c", "SADD set 1 2 x", "HSET hash f v g 2", "ZADD zset 1.5 a"]
        {
            world.run(line);
        }
        let seen = seen(&mut world);
        assert!(seen.contains("cjson.encode=function"), "{seen}");
        for i in 0..ROUND {
            let client = if rng.below(3) == 0 { "b" } else { "a" };
            for words in input(rng, &mut world) {
                let mut bytes = Vec::new();
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                encode_request(&words, &mut bytes);
                world.send_bytes(client, &bytes);
                let replies = world.received_bytes(client);
                let Some((reply, used)) = Resp::first(&replies) else {
                    panic!("{} was answered by {}", bytes.escape_ascii(), replies.escape_ascii());
                };
                assert_eq!(used, replies.len(), "one reply to {}", bytes.escape_ascii());
                if matches!(reply, Resp::Error(_)) { failed += 1 } else { answered += 1 }
            }
            if i % 10 == 9 {
                let (one, now) = (world.run("EVAL \"return 1\" 0"), self::seen(&mut world));
                assert_eq!(one, "(integer) 1");
                assert_eq!(now, seen, "the globals are what they were");
            }
            world.engine.take_feed();
            check_memory(&world, before);
        }
        drop(world);
        let resident = memory::resident_bytes();
        assert!(resident < RESIDENT_BYTES_MAX, "the process has {resident} bytes");
    });
    let left = alloc::allocated_bytes().saturating_sub(before);
    assert!(left < LEFT_BYTES_MAX, "{left} bytes are left of the engines");
    assert!(answered > 0 && failed > 0, "{answered} answered, {failed} failed");
    eprintln!("{answered} answered, {failed} failed");
}

/// What the next script finds.
fn seen(world: &mut World) -> String {
    let mut bytes = Vec::new();
    encode_request(&[b"EVAL", SEEN.as_bytes(), b"0"], &mut bytes);
    world.send_bytes("look", &bytes);
    world.received("look")
}

/// The requests of an input.
fn input(rng: &mut Rng, world: &mut World) -> Vec<Vec<Vec<u8>>> {
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    match rng.below(20) {
        0..4 => {
            // A function of a library, on damaged data.
            let (function, data) = function_of(rng);
            let text = format!("local all = {{pcall({function}, unpack(ARGV))}} return #all");
            let mut request = words(&[b"EVAL", text.as_bytes(), b"0"]);
            request.extend(data);
            vec![request]
        }
        4..7 => {
            // What comes back, of every shape.
            let text = format!("{}return {}", any(rng, &["", "redis.setresp(3) "]), values::returned(rng));
            vec![words(&[b"EVAL", text.as_bytes(), b"1", any(rng, KEYS)])]
        }
        7..9 => {
            // A text that is damaged: without loops, which damage could make endless.
            let mut text = format!("{} return {}", any(rng, SHEBANGS), expression(rng, 3)).into_bytes();
            (0..=rng.below(3)).for_each(|_| damage(rng, &mut text));
            vec![words(&[any(rng, &[&b"EVAL"[..], b"EVAL_RO", b"SCRIPT LOAD"]), &text, b"0"])]
        }
        9 => {
            let mut text = LIBRARY.as_bytes().to_vec();
            (0..=rng.below(3)).for_each(|_| damage(rng, &mut text));
            let name: &[u8] = any(rng, &[b"add", b"look", b"count"]);
            vec![
                words(&[b"FUNCTION", b"LOAD", b"REPLACE", &text]),
                words(&[b"FCALL", name, b"1", b"n", b"2"]),
            ]
        }
        10 => {
            let load = words(&[b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY.as_bytes()]);
            let mut dump = dumped(world, &load);
            (0..=rng.below(2)).for_each(|_| damage(rng, &mut dump));
            rdb::seal(&mut dump, rdb::VERSION_MAX);
            let policy: &[u8] = any(rng, &[b"FLUSH", b"APPEND", b"REPLACE"]);
            vec![words(&[b"FUNCTION", b"RESTORE", &dump, policy]), words(&[b"FCALL", b"count", b"0"])]
        }
        11 => {
            // The body of a function, which is called with keys and arguments.
            let body = statements(rng);
            let text =
                format!("#!lua name=made\nredis.register_function('made', function(KEYS, ARGV) {body} end)");
            let call: &[u8] = any(rng, &[b"FCALL", b"FCALL_RO"]);
            vec![
                words(&[b"FUNCTION", b"LOAD", b"REPLACE", text.as_bytes()]),
                words(&[call, b"made", b"1", b"text", &payload(rng)]),
            ]
        }
        _ => {
            let text = format!("{}{}", any(rng, SHEBANGS), statements(rng));
            vec![words(&[b"EVAL", text.as_bytes(), b"1", any(rng, KEYS), &payload(rng), &payload(rng)])]
        }
    }
}

/// The payload of FUNCTION DUMP, without its footer, after a library was loaded.
fn dumped(world: &mut World, load: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(&load.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut bytes);
    encode_request(&["FUNCTION", "DUMP"].map(str::as_bytes), &mut bytes);
    world.send_bytes("dump", &bytes);
    let replies = world.received_bytes("dump");
    let (_, at) = Resp::first(&replies).expect("a reply");
    let Some((Resp::Bulk(mut payload), _)) = Resp::first(&replies[at..]) else {
        panic!("{}", replies.escape_ascii());
    };
    payload.truncate(payload.len() - 10);
    payload
}

const KEYS: &[&[u8]] = &[b"text", b"list", b"set", b"hash", b"zset", b"none", b""];

const SHEBANGS: &[&str] = &[
    "",
    "",
    "",
    "",
    "#!lua\n",
    "#!lua flags=no-writes\n",
    "#!lua flags=allow-oom,no-cluster\n",
    "#!",
    "\u{1b}Lua",
];

#[test]
fn strings_are_quoted_so_that_scripts_read_them_back() {
    let mut world = World::new();
    let all: Vec<u8> = (0..=255).collect();
    let mut bytes = Vec::new();
    let text = format!("return {}", lua_string(&all));
    encode_request(&[b"EVAL", text.as_bytes(), b"0"], &mut bytes);
    world.send_bytes("a", &bytes);
    assert_eq!(Resp::first(&world.received_bytes("a")).map(|(reply, _)| reply), Some(Resp::Bulk(all)));
}
