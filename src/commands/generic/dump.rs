//! Values as bytes: DUMP, RESTORE.

use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::engine::spec::flag::{ASKING, DENYOOM, READONLY, WRITE};
use crate::engine::spec::{Group, KeySpec, Spec, acl, key, key_at};
use crate::keyspace::db::is_past;
use crate::keyspace::{Deadline, EventClass};
use crate::persist::rdb::{self, BadData, Dialect, Options};
use crate::structures::slab::Handle;

const KEY_TO_RESTORE: &[KeySpec] = &[key_at(1, key::OW | key::UPDATE)];
const RESTORE_COST: &str = "O(N) where N is the number of elements, O(N*log(N)) for sorted sets.";
const RESTORE_SYNTAX: &str = "key@0 ttl:integer serialized-value REPLACE?#3.0.0 ABSTTL?#5.0.0 \
                              IDLETIME=seconds:integer?#5.0.0 FREQ=frequency:integer?#5.0.0";
const RESTORE_HISTORY: &[(&str, &str)] =
    &[("3.0.0", "`REPLACE` came."), ("5.0.0", "`ABSTTL` came."), ("5.0.0", "`IDLETIME` and `FREQ` came.")];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("dump", 2, dump)
        .flags(READONLY)
        .acl(acl::KEYSPACE)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output"])
        .doc(
            Group::Generic,
            "2.6.0",
            "O(N) where N is the number of elements.",
            "Gives the value of a key as bytes, for RESTORE.",
        )
        .syntax("key@0"),
    Spec::local("restore", -4, restore)
        .flags(WRITE | DENYOOM)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .keys(KEY_TO_RESTORE)
        .doc(Group::Generic, "2.6.0", RESTORE_COST, "Makes a key of the bytes that DUMP gave.")
        .syntax(RESTORE_SYNTAX)
        .history(RESTORE_HISTORY),
    Spec::local("restore-asking", -4, restore)
        .flags(WRITE | DENYOOM | ASKING)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .keys(KEY_TO_RESTORE)
        .doc(Group::Server, "3.0.0", RESTORE_COST, "RESTORE, as a cluster sends it while a slot moves.")
        .syntax(RESTORE_SYNTAX)
        .history(RESTORE_HISTORY),
];

impl From<BadData> for CmdError {
    fn from(bad: BadData) -> CmdError {
        log::warn!("Internal error in RDB reading offset {}, in a payload -> {}", bad.at, bad.what);
        CmdError::coded("ERR Bad data format")
    }
}

fn dump(ctx: &mut Ctx<'_>) -> CmdResult {
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let payload = payload_of(ctx, handle);
    ctx.reply.bulk(&payload);
    Ok(Outcome::Done)
}

/// The value of an entry as DUMP gives it.
fn payload_of(ctx: &Ctx<'_>, handle: Handle) -> Vec<u8> {
    rdb::payload(ctx.db_ref().value(handle), Options { compress: ctx.conf.rdbcompression })
}

/// The last version of the format that followers of Redis 8.0 read.
const FOLLOWED_VERSION: u16 = 12;

/// The same, as Redis 8.0 reads it.
fn payload_for_followers(ctx: &Ctx<'_>, handle: Handle) -> Vec<u8> {
    let options = Options { compress: ctx.conf.rdbcompression };
    rdb::payload_as(ctx.db_ref().value(handle), options, rdb::Version::LowestOf8)
}

/// The options of RESTORE.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

fn options(ctx: &Ctx<'_>) -> Result<RestoreOptions, CmdError> {
    let args = ctx.args;
    let mut options = RestoreOptions::default();
    let mut index = 4;
    while index < args.len() {
        let has_value = index + 1 < args.len();
        if args.is(index, "replace") {
            options.replace = true;
        } else if args.is(index, "absttl") {
            options.absolute = true;
        } else if args.is(index, "idletime") && has_value && options.frequency.is_none() {
            let idle = ctx.int(index + 1)?;
            let idle = u64::try_from(idle);
            options.idle_s =
                Some(idle.map_err(|_| CmdError::coded("ERR Invalid IDLETIME value, must be >= 0"))?);
            index += 1;
        } else if args.is(index, "freq") && has_value && options.idle_s.is_none() {
            let frequency = ctx.int(index + 1)?;
            let frequency = u8::try_from(frequency);
            options.frequency = Some(
                frequency.map_err(|_| CmdError::coded("ERR Invalid FREQ value, must be >= 0 and <= 255"))?,
            );
            index += 1;
        } else {
            return Err(CmdError::Syntax);
        }
        index += 1;
    }
    Ok(options)
}

fn restore(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let options = options(ctx)?;
    let key = ctx.key(1);
    let found = ctx.peek(key);
    if found.is_some() && !options.replace {
        return Err(CmdError::coded("BUSYKEY Target key name already exists."));
    }
    let ttl = ctx.int(2)?;
    let ttl = u64::try_from(ttl).map_err(|_| CmdError::coded("ERR Invalid TTL value, must be >= 0"))?;
    let payload = match ctx.conf.tuning.skips_checksums {
        true => rdb::unseal_unchecked(args.at(3)).map(|(payload, dialect, _)| (payload, dialect)),
        false => rdb::unseal(args.at(3)),
    };
    let (payload, dialect) =
        payload.ok_or(CmdError::coded("ERR DUMP payload version or checksum are wrong"))?;
    let value = rdb::decode(payload, dialect, &ctx.conf.tuning)?;
    let now_ms = ctx.now.unix_ms();
    let deadline = match ttl {
        0 => None,
        ttl if options.absolute => Some(ttl),
        ttl => Some(ttl.saturating_add(now_ms)),
    };
    let before = ctx.type_to_tell(found);
    if found.is_some() {
        ctx.remove(key);
    }
    if options.absolute && !ctx.stores_the_past() && deadline.is_some_and(|ms| is_past(ms, now_ms)) {
        // It would have expired at once. What it replaces is gone all the same.
        if found.is_some() {
            let verb: &[u8] = if ctx.conf.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
            ctx.propagate_as(&[verb, key.bytes]);
            ctx.changed(1);
            ctx.notify(EventClass::Generic, "del", key.bytes);
        }
        ctx.stats.expired_keys += 1;
        ctx.reply.ok();
        return Ok(Outcome::Done);
    }
    let handle = ctx.set(key, None, value, deadline.map_or(Deadline::Clear, Deadline::At));
    let access = match (options.idle_s, options.frequency) {
        (Some(idle_s), _) if !ctx.clock.lfu => Some(ctx.clock.idle_for(idle_s)),
        (_, Some(frequency)) if ctx.clock.lfu => Some(ctx.clock.with_frequency(frequency)),
        _ => None,
    };
    if let Some(access) = access {
        ctx.db().set_access(handle, access);
    }
    let relative_ms = deadline.filter(|_| !options.absolute);
    // Redis 8.0 does not read a payload of Valkey's, or one that says a later version.
    let is_foreign = dialect == Dialect::Valkey || rdb::version_of(args.at(3)) > FOLLOWED_VERSION;
    let payload = is_foreign.then(|| payload_for_followers(ctx, handle));
    if relative_ms.is_some() || payload.is_some() {
        let mut frame: Vec<&[u8]> = (0..args.len()).map(|index| args.at(index)).collect();
        // The time at which it is due must not depend on when the frame arrives.
        let text = relative_ms.map(|ms| ms.to_string());
        if let Some(text) = &text {
            frame[2] = text.as_bytes();
            frame.push(b"ABSTTL");
        }
        if let Some(payload) = &payload {
            frame[3] = payload;
        }
        ctx.propagate_as(&frame);
    }
    ctx.changed(1);
    ctx.notify(EventClass::Generic, "restore", key.bytes);
    let db = *ctx.db_index;
    ctx.tell_overwritten(db, key, before);
    ctx.reply.ok();
    Ok(Outcome::Done)
}
