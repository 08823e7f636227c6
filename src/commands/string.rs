//! Strings.

use crate::base::number::parse_i64;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::spec::flag::*;
use crate::engine::spec::{Group, Spec, acl, key, key_at};
use crate::keyspace::{Deadline, EventClass, NewValue};
use crate::resp::Args;

pub(super) const COMMANDS: &[Spec] = &[
    Spec::local("get", 2, get)
        .flags(READONLY | FAST)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::String, "1.0.0", "O(1)", "Gives the string of a key.")
        .syntax("key:key@0"),
    Spec::local("set", -3, set)
        .flags(WRITE | DENYOOM)
        .acl(acl::STRING)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS)])
        .doc(Group::String, "1.0.0", "O(1)", "Sets the string of a key, whatever it held.")
        .syntax("key:key@0 value:string"),
];

fn get(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    match ctx.read(key) {
        Some(handle) => ctx.reply_value(handle)?,
        None => ctx.reply.null(),
    }
    Ok(Outcome::Done)
}

/// The value at an argument in the form in which it is stored: a number where it is one, shared where it is large.
fn value_at<'a>(args: &Args<'a>, index: usize) -> NewValue<'a> {
    let bytes = args.at(index);
    if bytes.len() <= 20
        && let Some(number) = parse_i64(bytes)
    {
        return NewValue::Int(number);
    }
    match args {
        Args::Owned(_) => NewValue::Shared(args.bytes(index)),
        Args::Spans(..) => NewValue::Copied(bytes),
    }
}

fn set(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let found = ctx.write(key);
    let value = value_at(&ctx.args, 2);
    ctx.set(key, found, value, Deadline::Clear);
    ctx.changed(1);
    ctx.notify(EventClass::String, "set", key.bytes);
    ctx.reply.ok();
    Ok(Outcome::Done)
}
