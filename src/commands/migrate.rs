//! MIGRATE: keys go to another server. How, and what that means for everybody else, is in [`crate::engine::migrate`].

use crate::base::lossless;
use crate::base::number::parse_i64;
use crate::engine::client::state;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::keys::KeyAt;
use crate::engine::migrate::{Login, Order, Place};
use crate::engine::spec::flag::WRITE;
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at};
use crate::engine::{Call, Engine};
use crate::resp::Args;

/// The argument of a single key.
const KEY_AT: usize = 3;
/// The first option.
const OPTIONS_FROM: usize = 6;
/// The patience with another server where none is given, in milliseconds.
const TIMEOUT_MS: u64 = 1000;
/// What is done to the keys.
const MOVED: u32 = key::RW | key::ACCESS | key::DELETE;

pub(super) const COMMANDS: &[Spec] = &[Spec::global(
    "migrate",
    -6,
    migrate,
    "the connection to another server belongs to the engine, and so does the wait for it",
)
.flags(WRITE)
.acl(acl::KEYSPACE | acl::DANGEROUS)
.keys(&[
    key_at(KEY_AT as i32, MOVED),
    KeySpec {
        flags: MOVED | key::INCOMPLETE,
        begin: Begin::Keyword("KEYS", -2),
        find: Find::Range { last: -1, step: 1, limit: 0 },
        notes: "",
    },
])
.keys_by(keys)
.secrets(is_secret)
.tips(&["nondeterministic_output"])
.doc(
    Group::Generic,
    "2.6.0",
    "O(N) where N is the number of elements of all values, here and there.",
    "Moves keys to another server.",
)
.syntax(
    "host port:integer key-selector(key@0 | ''=empty-string:pure-token) destination-db:integer timeout:integer COPY?#3.0.0 \
     REPLACE?#3.0.0 authentication(AUTH=auth/password#4.0.7 | AUTH2=auth2{username password}#6.0.0)? KEYS=keys/key@1?+#3.0.6",
)
.history(&[
    ("3.0.0", "The options `COPY` and `REPLACE`."),
    ("3.0.6", "The option `KEYS`."),
    ("4.0.7", "The option `AUTH`."),
    ("6.0.0", "The option `AUTH2`."),
])];

/// The keys of a request: the one in its place, or those after KEYS. A word KEYS with nothing after it is none.
fn keys(args: Args<'_>) -> Vec<KeyAt> {
    let mut at = OPTIONS_FROM;
    while at + 1 < args.len() {
        if args.is(at, "keys") {
            let is_empty = args.at(KEY_AT).is_empty();
            let named = if is_empty { at + 1..args.len() } else { 0..0 };
            return named.map(|index| KeyAt { index, flags: MOVED }).collect();
        }
        at += 1 + words_behind(args, at);
    }
    vec![KeyAt { index: KEY_AT, flags: MOVED }]
}

/// How many words belong to the option at `at`, besides itself.
fn words_behind(args: Args<'_>, at: usize) -> usize {
    match () {
        () if args.is(at, "auth") => 1,
        () if args.is(at, "auth2") => 2,
        () => 0,
    }
}

/// Nobody else sees what stands after AUTH or AUTH2, not even of a request that is wrong.
fn is_secret(args: Args<'_>, index: usize) -> bool {
    let is_at = |word: &str, back: usize| index >= OPTIONS_FROM + back && args.is(index - back, word);
    is_at("auth", 1) || is_at("auth2", 1) || is_at("auth2", 2)
}

/// What a request asks for; its keys by their arguments.
struct Request {
    keys: std::ops::Range<usize>,
    order: Order,
    timeout_ms: u64,
}

fn parse(args: Args<'_>) -> Result<Request, CmdError> {
    let mut order = Order::default();
    let mut keys = KEY_AT..KEY_AT + 1;
    let mut at = OPTIONS_FROM;
    while at < args.len() {
        let behind = words_behind(args, at);
        if at + behind >= args.len() {
            return Err(CmdError::Syntax);
        }
        match behind {
            1 => order.login = Some(Login { user: None, password: args.bytes(at + 1) }),
            2 => order.login = Some(Login { user: Some(args.bytes(at + 1)), password: args.bytes(at + 2) }),
            _ if args.is(at, "copy") => order.keeps = true,
            _ if args.is(at, "replace") => order.replaces = true,
            _ if args.is(at, "keys") && args.at(KEY_AT).is_empty() => {
                keys = at + 1..args.len();
                break;
            }
            _ if args.is(at, "keys") => {
                let text = "When using MIGRATE KEYS option, the key argument must be set to the empty string";
                return Err(CmdError::err(text));
            }
            _ => return Err(CmdError::Syntax),
        }
        at += 1 + behind;
    }
    let timeout_ms = parse_i64(args.at(5)).ok_or(CmdError::NotInteger)?;
    order.db = parse_i64(args.at(4)).ok_or(CmdError::NotInteger)?;
    let timeout_ms = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS);
    Ok(Request { keys, order, timeout_ms })
}

/// A port as C reads it: the digits that it begins with. 0, at which nobody listens, for what is none.
fn port(text: &[u8]) -> u16 {
    let digits = text.trim_ascii_start().iter().take_while(|byte| byte.is_ascii_digit());
    let number =
        digits.fold(0, |sum: u32, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    u16::try_from(number).unwrap_or(0)
}

fn migrate(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let Request { keys, mut order, timeout_ms } = parse(call.args)?;
    if engine.clients[call.slot].is(state::REPLAYS) {
        // It is propagated as the removal of what has gone: whoever sends this wants the server to wait for a third one.
        return Err(CmdError::err("MIGRATE is never propagated"));
    }
    order.keys = engine.keys_that_are_here(call, keys);
    if order.keys.is_empty() {
        engine.reply(call.slot).status("NOKEY");
        return Ok(Outcome::Done);
    }
    let place =
        Place { host: lossless::from_bytes(call.args.at(1)).into_owned(), port: port(call.args.at(2)) };
    engine.migrate(call, order, place, timeout_ms)
}
