//! Estimates of how many different elements were seen: PFADD, PFCOUNT, PFMERGE, and what looks inside.

use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome, quoted};
use crate::engine::spec::flag::{ADMIN, DENYOOM, FAST, MAY_REPLICATE, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at, keys_from};
use crate::keyspace::{Deadline, EventClass, NewValue};
use crate::structures::hyperloglog::{self as hll, Corrupt, REGISTERS};
use crate::structures::slab::Handle;
use bytes::Bytes;

const KEYS_OF_PFCOUNT: &[KeySpec] = &[KeySpec {
    flags: key::RW | key::ACCESS,
    begin: Begin::Index(1),
    find: Find::Range { last: -1, step: 1, limit: 0 },
    notes: "RW because it may change the internal representation of the key, and propagate to replicas",
}];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("pfadd", -2, pfadd)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::HYPERLOGLOG)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(
            Group::Hyperloglog,
            "2.8.9",
            "O(1) for each element.",
            "Adds elements to a HyperLogLog, which is created if need be.",
        )
        .syntax("key@0 element?+"),
    Spec::local("pfcount", -2, pfcount)
        .flags(READONLY | MAY_REPLICATE)
        .acl(acl::HYPERLOGLOG)
        .keys(KEYS_OF_PFCOUNT)
        .doc(
            Group::Hyperloglog,
            "2.8.9",
            "O(1) for one key, O(N) for N keys, with a large constant.",
            "Estimates how many different elements were added.",
        )
        .syntax("key@0+"),
    Spec::local("pfmerge", -2, pfmerge)
        .flags(WRITE | DENYOOM)
        .acl(acl::HYPERLOGLOG)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::INSERT), keys_from(2, -1, 1, key::RO | key::ACCESS)])
        .doc(
            Group::Hyperloglog,
            "2.8.9",
            "O(N) to merge N HyperLogLogs, with a large constant.",
            "Merges HyperLogLogs into one.",
        )
        .syntax("destkey@0 sourcekey@1?+"),
    Spec::local("pfdebug", 3, pfdebug)
        .flags(WRITE | DENYOOM | ADMIN)
        .acl(acl::HYPERLOGLOG)
        .keys(&[key_at(2, key::RW | key::ACCESS)])
        .doc(Group::Hyperloglog, "2.8.9", "N/A", "Looks into a HyperLogLog.")
        .syntax("subcommand key@0"),
    Spec::local("pfselftest", 1, pfselftest).flags(ADMIN).acl(acl::HYPERLOGLOG).doc(
        Group::Hyperloglog,
        "2.8.9",
        "N/A",
        "Checks that the HyperLogLogs of this server work.",
    ),
];

const NO_HLL: CmdError = CmdError::coded("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: CmdError = CmdError::coded("INVALIDOBJ Corrupted HLL object detected");

impl From<Corrupt> for CmdError {
    fn from(_: Corrupt) -> CmdError {
        CORRUPT
    }
}

/// Checks that an entry holds a HyperLogLog.
fn check(ctx: &Ctx<'_>, handle: Handle) -> Result<(), CmdError> {
    if hll::is_valid(&ctx.text(handle)?) { Ok(()) } else { Err(NO_HLL) }
}

/// The HyperLogLog at a key, to be changed, or a new one.
fn taken(ctx: &mut Ctx<'_>, found: Option<Handle>) -> Result<Vec<u8>, CmdError> {
    let Some(handle) = found else { return Ok(hll::empty()) };
    check(ctx, handle)?;
    let bytes = ctx.db().string_to_change(handle).ok_or(CmdError::WrongType)?;
    Ok(Vec::from(bytes.freeze()))
}

fn put(ctx: &mut Ctx<'_>, key: Key<'_>, found: Option<Handle>, bytes: Vec<u8>) {
    ctx.set(key, found, NewValue::Raw(Bytes::from(bytes)), Deadline::Keep);
}

fn pfadd(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let limit = ctx.conf.tuning.hll_sparse_max_bytes;
    let found = ctx.write(key);
    let mut bytes = taken(ctx, found)?;
    let mut changes = u64::from(found.is_none());
    let mut result = Ok(());
    for element in ctx.args.iter_from(2) {
        match hll::add(&mut bytes, element, limit) {
            Ok(changed) => changes += u64::from(changed),
            Err(corrupt) => {
                result = Err(corrupt);
                break;
            }
        }
    }
    if changes > 0 && result.is_ok() {
        hll::set_stale(&mut bytes);
    }
    put(ctx, key, found, bytes);
    if changes == 0 || result.is_err() {
        ctx.propagate_nothing();
    }
    result?;
    if changes > 0 {
        ctx.changed(changes);
        ctx.notify(EventClass::String, "pfadd", key.bytes);
    }
    ctx.reply.int(i64::from(changes > 0));
    Ok(Outcome::Done)
}

fn pfcount(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.args.len() > 2 {
        let mut registers = Box::new([0; REGISTERS]);
        for index in 1..ctx.args.len() {
            let Some(handle) = ctx.read(ctx.key(index)) else { continue };
            check(ctx, handle)?;
            hll::merge(&mut registers, &ctx.text(handle)?)?;
        }
        ctx.reply.int(hll::estimate(&registers) as i64);
        return Ok(Outcome::Done);
    }
    let key = ctx.key(1);
    let Some(handle) = ctx.read(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    check(ctx, handle)?;
    let cached = hll::cached(&ctx.text(handle)?);
    let count = match cached {
        Some(count) => count,
        None => {
            let count = hll::count(&ctx.text(handle)?)?;
            let mut bytes = taken(ctx, Some(handle))?;
            hll::set_cached(&mut bytes, count);
            put(ctx, key, Some(handle), bytes);
            // The bytes changed, and those who follow should have the same.
            ctx.changed(1);
            ctx.notify(EventClass::Silent, "", key.bytes);
            count
        }
    };
    ctx.reply.int(count as i64);
    Ok(Outcome::Done)
}

fn pfmerge(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut registers = Box::new([0; REGISTERS]);
    let mut any_dense = false;
    for index in 1..ctx.args.len() {
        let Some(handle) = ctx.read(ctx.key(index)) else { continue };
        check(ctx, handle)?;
        let bytes = ctx.text(handle)?;
        any_dense |= hll::is_dense(&bytes);
        hll::merge(&mut registers, &bytes)?;
    }
    let key = ctx.key(1);
    let limit = ctx.conf.tuning.hll_sparse_max_bytes;
    let found = ctx.write(key);
    let mut bytes = taken(ctx, found)?;
    let result = if any_dense {
        // Its own registers are among them.
        hll::make_dense(&mut bytes).map(|_| hll::set_registers(&mut bytes, &registers))
    } else {
        let mut above_zero = registers.iter().enumerate().filter(|(_, value)| **value > 0);
        above_zero.try_for_each(|(index, &value)| hll::raise(&mut bytes, index, value, limit).map(|_| ()))
    };
    if result.is_ok() {
        hll::set_stale(&mut bytes);
    }
    put(ctx, key, found, bytes);
    result?;
    ctx.notify(EventClass::String, "pfadd", key.bytes);
    ctx.changed(1);
    ctx.reply.ok();
    Ok(Outcome::Done)
}

fn pfdebug(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.args.is(1, "simd") {
        if !ctx.args.is(2, "on") && !ctx.args.is(2, "off") {
            return Err(CmdError::Syntax);
        }
        // Words and vectors give the same: there is nothing to switch.
        ctx.reply.ok();
        return Ok(Outcome::Done);
    }
    let key = ctx.key(2);
    let Some(handle) = ctx.write(key) else {
        return Err(CmdError::coded("ERR The specified key does not exist"));
    };
    check(ctx, handle)?;
    let is_dense = hll::is_dense(&ctx.text(handle)?);
    if ctx.args.is(1, "getreg") {
        make_dense(ctx, key, handle)?;
        let mut registers = Box::new([0; REGISTERS]);
        if let Some(handle) = ctx.peek(key) {
            hll::merge(&mut registers, &ctx.text(handle)?)?;
        }
        ctx.reply.array(REGISTERS);
        registers.iter().for_each(|&value| ctx.reply.int(value.into()));
    } else if ctx.args.is(1, "decode") {
        if is_dense {
            return Err(CmdError::coded("ERR HLL encoding is not sparse"));
        }
        let runs = hll::runs(&ctx.text(handle)?)?;
        let shown = runs.into_iter().map(|run| match run.value {
            0 if run.len > 64 => format!("Z:{}", run.len),
            0 => format!("z:{}", run.len),
            value => format!("v:{value},{}", run.len),
        });
        let text: Vec<String> = shown.collect();
        ctx.reply.bulk(text.join(" ").as_bytes());
    } else if ctx.args.is(1, "encoding") {
        ctx.reply.status(if is_dense { "dense" } else { "sparse" });
    } else if ctx.args.is(1, "todense") {
        let changed = make_dense(ctx, key, handle)?;
        ctx.reply.int(i64::from(changed));
    } else {
        let text = format!("Unknown PFDEBUG subcommand '{}'", quoted(ctx.args.at(1)));
        return Err(CmdError::err(text));
    }
    Ok(Outcome::Done)
}

/// Makes the dense form of a sparse one; true when it was sparse.
fn make_dense(ctx: &mut Ctx<'_>, key: Key<'_>, handle: Handle) -> Result<bool, CmdError> {
    let mut bytes = taken(ctx, Some(handle))?;
    let result = hll::make_dense(&mut bytes);
    put(ctx, key, Some(handle), bytes);
    if !matches!(result, Ok(true)) {
        ctx.propagate_nothing();
    }
    let changed = result?;
    ctx.changed(u64::from(changed));
    Ok(changed)
}

/// Elements that the self-test adds.
const TEST_ELEMENTS: u64 = 100_000;

fn pfselftest(ctx: &mut Ctx<'_>) -> CmdResult {
    let (mut sparse, mut dense) = (hll::empty(), hll::empty());
    hll::make_dense(&mut dense)?;
    let mut checkpoint = 1;
    for i in 1..=TEST_ELEMENTS {
        let element = ctx.rng.next_u64().to_le_bytes();
        hll::add(&mut sparse, &element, ctx.conf.tuning.hll_sparse_max_bytes)?;
        hll::add(&mut dense, &element, 0)?;
        if i < checkpoint {
            continue;
        }
        checkpoint *= 10;
        let counts = (hll::count(&sparse)?, hll::count(&dense)?);
        // Six standard errors, and room for small numbers.
        let bound = (i as f64 * 0.0081 * 6.0).ceil() as u64 + 1;
        if counts.0 != counts.1 || counts.0.abs_diff(i) > bound {
            let text = format!("TESTFAILED {i} elements are estimated as {} and {}", counts.0, counts.1);
            return Err(CmdError::Text(text.into()));
        }
    }
    ctx.reply.ok();
    Ok(Outcome::Done)
}
