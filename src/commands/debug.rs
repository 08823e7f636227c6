//! DEBUG: what the tests need to see and to provoke. Allowed by `enable-debug-command` only.

mod values;

use crate::base::number::{parse_i64, parse_memory};
use crate::config;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::host::{Crash, Request};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec};
use crate::engine::{Call, Engine};
use crate::keyspace::types::ListRef;
use crate::keyspace::{Deadline, NewValue, ValueRef};
use crate::structures::dict::Resizing;

pub(super) const COMMANDS: &[Spec] =
    &[Spec::global("debug", -2, debug, "looks into every part of the server, and breaks what it is told to")
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | PROTECTED)
        .doc(
            Group::Server,
            "1.0.0",
            "Depends on subcommand.",
            "Groups the commands for tests of the server.",
        )];

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "AOF-FLUSH-SLEEP <microsec>",
    "    Stop the server for <microsec> before it writes the append-only file.",
    "CHANGE-REPL-ID",
    "    Change the replication IDs of the instance.",
    "    Dangerous: should be used only for testing the replication subsystem.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE but writes all configuration options, including",
    "    keywords not listed in original configuration file or default values.",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "ERROR <string>",
    "    Return a Redis protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate Redis errors.",
    "LISTPACK <key>",
    "    Show low level info about the listpack encoding of <key>.",
    "LOADAOF",
    "    Write what is left to write to the append-only file, and load it again.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "HTSTATS <dbid> [full]",
    "    Return hash table statistics of the specified Redis database.",
    "HTSTATS-KEY <key> [full]",
    "    Like HTSTATS but for the hash table stored at <key>'s value.",
    "ALLOCSIZE-SLOTS-ASSERT <0|1>",
    "    Enable/disable the check of how much memory collections take after each command.",
    "KEYSIZES-HIST-ASSERT <0|1>",
    "    Enable/disable keysizes histogram assertion after each command.",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "PANIC",
    "    Crash the server simulating a panic.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>. If <prefix> is specified then",
    "    it is used instead of the 'key' prefix. These are not propagated to",
    "    replicas.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "RELOAD [option ...]",
    "    Save the RDB on disk and reload it back to memory. Valid <option> values:",
    "    * MERGE: conflicting keys will be loaded from RDB.",
    "    * NOFLUSH: the existing database will not be removed before load, but",
    "      conflicting keys will generate an exception and kill the server.",
    "    * NOSAVE: the database will be loaded from an existing RDB file.",
    "SEGFAULT",
    "    Crash the server with sigsegv.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the",
    "    default.",
    "SET-ALLOW-ACCESS-EXPIRED <0|1>",
    "    Setting it to 0 prevents access to expired keys (and hash-fields),",
    "    simulating the standard Redis behavior. Setting it to 1 allows",
    "    access to expired keys (and hash-fields) without triggering deletion.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Enables or disables checksum checks for RDB files and RESTORE's payload.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "STRINGMATCH-TEST",
    "    Run a fuzz tester against the pattern matcher.",
    "PAUSE-CRON <0|1>",
    "    Stop periodic cron job processing.",
    "TURN-CPU <0|1>",
    "    Measure the processor time of every turn of the loop; INFO recorder shows it.",
    "QUICKLIST <key> [<0|1>]",
    "    Show low level info about the quicklist encoding of <key>.",
    "    The optional argument (0 by default) sets the level of detail",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Sets the threshold for elements to be inserted as plain vs packed nodes",
    "    Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.",
    "REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>",
    "    Sets the time (in milliseconds) to wait between client reply buffer peak resets.",
    "    In case NEVER is provided the last observed peak will never be reset",
    "    In case RESET is provided the peak reset time will be restored to the default value",
    "REPLYBUFFER RESIZING <0|1>",
    "    Enable or disable the reply buffer resize cron job",
    "REPLY-COPY-AVOIDANCE <0|1>",
    "    Enable/disable reply copy avoidance optimization.",
    "DICT-RESIZING <0|1>",
    "    Enable or disable the main dict and expire dict resizing.",
    "HELP",
    "    Print this help.",
];

/// The double of DEBUG PROTOCOL.
#[expect(clippy::approx_constant, reason = "the number is the one that Redis's tests expect")]
const DOUBLE: f64 = 3.141;

/// What DEBUG QUICKLIST-PACKED-THRESHOLD accepts, at most.
const PACKED_THRESHOLD_BYTES_MAX: u64 = (1 << 32) - (1 << 20);

/// Milliseconds after which the peak of a reply buffer is forgotten. Redis: `REPLY_BUFFER_DEFAULT_PEAK_RESET_TIME`.
const PEAK_RESET_MS: u64 = 5000;

/// Writes every setting to the configuration file.
fn rewrite_all(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let failed = |reason: &str| CmdError::err(format!("CONFIG-REWRITE-FORCE-ALL failed: {reason}"));
    let path = engine.process.names.config_file.clone();
    if path.is_empty() {
        return Err(failed("The server is running without a config file"));
    }
    let old = call.host.apply(Request::ReadConfigFile).ok();
    let text = config::rewrite_all(old.as_deref(), &engine.conf);
    engine.replace_file(call, &path, text.into_bytes(), |_, _, done| {
        done.file()
            .map(drop)
            .map_err(|error| CmdError::err(format!("CONFIG-REWRITE-FORCE-ALL failed: {}", error.text)))
    })
}

fn debug(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let count = call.args.len();
    let sub = call.args.at(1).to_ascii_lowercase();
    match (sub.as_slice(), count) {
        (b"help", 2) => {
            let mut reply = engine.reply(call.slot);
            reply.array(HELP.len());
            HELP.iter().for_each(|line| reply.status(line));
            return Ok(Outcome::Done);
        }
        (b"sleep", 3) => sleep(engine, call)?,
        (b"set-active-expire", 3) => engine.switches.active_expire = flag_at(call, 2),
        (b"set-allow-access-expired", 3) => engine.show_expired(flag_at(call, 2)),
        (b"keysizes-hist-assert" | b"allocsize-slots-assert", 3) => engine.check_sizes(flag_at(call, 2)),
        (b"reply-copy-avoidance", 3) => engine.share_replies(flag_at(call, 2)),
        (b"htstats-key", 3..=4) => return values::table_stats(engine, call),
        (b"set-skip-checksum-validation", 3) => {
            engine.conf.tuning.skips_checksums = flag_at(call, 2);
        }
        (b"pause-cron", 3) => {
            engine.switches.cron_paused = flag_at(call, 2);
            engine.shut_down_late(call.host);
        }
        (b"turn-cpu", 3) => {
            engine.recorder.cpu.is_on = flag_at(call, 2);
            engine.recorder.reset();
        }
        (b"set-disable-deny-scripts", 3) => engine.switches.allows_all_in_scripts = flag_at(call, 2),
        (b"dict-resizing", 3) => {
            let resizing = if flag_at(call, 2) { Resizing::Allowed } else { Resizing::Avoid };
            engine.dbs.iter_mut().for_each(|db| db.set_resizing(resizing));
        }
        (b"change-repl-id", 2) => {
            log::info!("Changing replication IDs after receiving change-repl-id");
            engine.change_replication_id();
        }
        (b"config-rewrite-force-all", 2) => {
            return rewrite_all(engine, call);
        }
        (b"replicate", 3..) => engine.replicate(&call.args.to_owned_args()[2..]),
        (b"log", 3) => log::warn!("DEBUG LOG: {}", String::from_utf8_lossy(call.args.at(2))),
        (b"error", 3) => {
            let text = String::from_utf8_lossy(call.args.at(2)).into_owned();
            return Err(CmdError::Text(text.into()));
        }
        (b"populate", 3..=5) => populate(engine, call)?,
        (b"replybuffer", 4) => reply_buffer(engine, call)?,
        (b"segfault", 2) => crash(call, Crash::Segfault)?,
        (b"panic", 2) => crash(call, Crash::Panic)?,
        (b"stringmatch-test", 2) => {
            match_random_patterns(engine);
            engine.reply(call.slot).status("Apparently Redis did not crash: test passed");
            return Ok(Outcome::Done);
        }
        (b"digest", 2) => return values::digest(engine, call),
        (b"digest-value", _) => return values::digest_values(engine, call),
        (b"reload", _) => values::reload(engine, call)?,
        (b"aof-flush-sleep", 3) => {
            engine.switches.log_delay_us = parse_i64(call.args.at(2)).unwrap_or(0).max(0) as u64;
        }
        (b"loadaof", 2) => return values::load_log(engine, call),
        (b"listpack", 3) => return packed_form(engine, call, "listpack"),
        (b"quicklist", 3..=4) => return packed_form(engine, call, "quicklist"),
        (b"quicklist-packed-threshold", 3) => {
            let bytes = parse_memory(call.args.at(2)).filter(|bytes| *bytes <= PACKED_THRESHOLD_BYTES_MAX);
            engine.conf.tuning.list_packed_threshold_bytes = bytes.ok_or(CmdError::coded(
                "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
            ))?;
        }
        (b"htstats", 3..=4) => return table_stats(engine, call),
        (b"object", 3..=4) => return object(engine, call),
        (b"protocol", 3) => return protocol(engine, call),
        _ => return Err(super::unknown_form(call)),
    }
    engine.reply(call.slot).ok();
    Ok(Outcome::Done)
}

/// Whether a value has this encoding; its bytes go to the log.
fn packed_form(engine: &mut Engine, call: &mut Call<'_>, encoding: &str) -> CmdResult {
    let db = engine.dbs.at(engine.clients[call.slot].db as usize);
    let key = call.args.at(2);
    let Some(handle) = db.find(key, db.hash(key)) else { return Err(CmdError::NoSuchKey) };
    let value = db.value(handle);
    // With deadlines or without, a listpack is one.
    if value.encoding().trim_end_matches("ex") != encoding {
        return Err(CmdError::err(format!("Not a {encoding} encoded object.")));
    }
    log::info!("{value:?}");
    let name = if encoding == "listpack" { "Listpack" } else { "Quicklist" };
    engine.reply(call.slot).status(&format!("{name} structure printed on stdout"));
    Ok(Outcome::Done)
}

/// An argument that is a number, and not zero.
fn flag_at(call: &Call<'_>, index: usize) -> bool {
    parse_i64(call.args.at(index)).unwrap_or(0) != 0
}

fn crash(call: &mut Call<'_>, how: Crash) -> Result<(), CmdError> {
    call.host.apply(Request::Crash(how)).map(|_| ()).map_err(CmdError::err)
}

fn sleep(engine: &mut Engine, call: &mut Call<'_>) -> Result<(), CmdError> {
    let text = String::from_utf8_lossy(call.args.at(2)).into_owned();
    let seconds: f64 = text.trim().parse().unwrap_or(0.0);
    call.host.apply(Request::Sleep((seconds.max(0.0) * 1e6) as u64)).map_err(CmdError::err)?;
    engine.read_clock(&mut *call.host);
    Ok(())
}

fn populate(engine: &mut Engine, call: &mut Call<'_>) -> Result<(), CmdError> {
    let number = |index: usize| {
        parse_i64(call.args.at(index))
            .filter(|n| *n >= 0)
            .ok_or(CmdError::coded("ERR value is out of range, must be positive"))
    };
    let count = number(2)?;
    let prefix = call.args.get(3).unwrap_or(b"key");
    let size = if call.args.len() == 5 { number(4)? as usize } else { 0 };
    let index = engine.clients[call.slot].db as usize;
    let access = engine.fresh_access();
    // As on Redis nobody else is told.
    engine.propagation.nothing();
    let db = engine.dbs.at_mut(index);
    for i in 0..count {
        let key = [prefix, format!(":{i}").as_bytes()].concat();
        let hash = db.hash(&key);
        if db.find(&key, hash).is_some() {
            continue;
        }
        let mut value = format!("value:{i}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        db.set(&key, hash, None, NewValue::Copied(&value), Deadline::Clear, access);
    }
    Ok(())
}

fn reply_buffer(engine: &mut Engine, call: &mut Call<'_>) -> Result<(), CmdError> {
    let value = call.args.at(3);
    if call.args.is(2, "resizing") {
        engine.switches.reply_resizing = flag_at(call, 3);
    } else if call.args.is(2, "peak-reset-time") {
        engine.switches.reply_peak_reset_ms = match value.to_ascii_lowercase().as_slice() {
            b"never" => None,
            b"reset" => Some(PEAK_RESET_MS),
            _ => Some(parse_i64(value).ok_or(CmdError::NotInteger)?.max(0) as u64),
        };
    } else {
        return Err(super::unknown_form(call));
    }
    Ok(())
}

/// Matches random patterns against random texts: the matcher must end.
fn match_random_patterns(engine: &mut Engine) {
    const LETTERS: &[u8] = b"*?[]^-\\ab";
    for _ in 0..100_000 {
        let mut word = |len: u64| -> Vec<u8> {
            (0..engine.random_below(len))
                .map(|_| LETTERS[engine.random_below(LETTERS.len() as u64) as usize])
                .collect()
        };
        let (pattern, text) = (word(32), word(64));
        let _ = crate::base::glob::glob_match(&pattern, &text, false);
    }
}

fn table_stats(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let index =
        parse_i64(call.args.at(2)).ok_or(CmdError::coded("ERR value is not an integer or out of range"))?;
    if index < 0 || index >= engine.dbs.count() as i64 {
        return Err(CmdError::coded("ERR Out of range database"));
    }
    let db = engine.dbs.at(index as usize);
    let mut text = "[Dictionary HT]\n".to_owned();
    if !db.is_empty() {
        text += &format!(
            "Hash table 0 stats (main hash table):\n table size: {}\n number of elements: {}\n",
            db.buckets(),
            db.len()
        );
    }
    text += "[Expires HT]\n";
    if db.with_ttl() > 0 {
        text += &format!(
            "Hash table 0 stats (main hash table):\n table size: {}\n number of elements: {}\n",
            db.registrations(),
            db.with_ttl()
        );
    }
    engine.reply(call.slot).verbatim(*b"txt", text.as_bytes());
    Ok(Outcome::Done)
}

fn object(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let index = engine.clients[call.slot].db as usize;
    let key = call.args.at(2);
    let db = engine.dbs.at(index);
    let Some(handle) = db.find(key, db.hash(key)) else { return Err(CmdError::NoSuchKey) };
    let value = db.value(handle);
    let encoding = value.encoding();
    let length = values::serialized_len(db, handle);
    let (lru, idle_s) = engine.access_of(db.access(handle));
    let nodes = match value {
        ValueRef::List(ListRef::Quick(quick)) => format!(
            " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{}",
            quick.nodes(),
            quick.len() as f64 / quick.nodes() as f64,
            quick.limits().fill,
            quick.limits().depth,
            quick.raw_bytes()
        ),
        _ => String::new(),
    };
    let text = format!(
        "Value at:0x{:x} refcount:1 encoding:{encoding} serializedlength:{} lru:{lru} lru_seconds_idle:{idle_s}{nodes}",
        handle.number(),
        length
    );
    engine.reply(call.slot).status(&text);
    Ok(Outcome::Done)
}

fn protocol(engine: &mut Engine, call: &mut Call<'_>) -> CmdResult {
    let kind = call.args.at(2).to_ascii_lowercase();
    let mut reply = engine.reply(call.slot);
    match kind.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(DOUBLE),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"map" => {
            reply.map(3);
            for i in 0..3 {
                reply.int(i);
                reply.bool(i == 1);
            }
        }
        b"attrib" => {
            if reply.version() == 3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if reply.version() < 3 {
                return Err(CmdError::coded("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        b"verbatim" => reply.verbatim(*b"txt", b"This is a verbatim\nstring"),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        _ => {
            return Err(CmdError::coded(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Outcome::Done)
}
