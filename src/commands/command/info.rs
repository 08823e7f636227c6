//! COMMAND INFO: rows as client libraries want them, fields by position.

use super::reply_names;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::spec::{Begin, Find, KeySpec, acl, flag, key};
use crate::engine::table::Row;

pub(super) fn all(ctx: &mut Ctx<'_>) -> CmdResult {
    let rows: Vec<&'static Row> = ctx.table.commands().collect();
    ctx.reply.array(rows.len());
    for row in rows {
        reply_row(ctx, row);
    }
    Ok(Outcome::Done)
}

pub(super) fn info(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = ctx.args.len();
    if count == 2 {
        return all(ctx);
    }
    ctx.reply.array(count - 2);
    for index in 2..count {
        match ctx.table.find_full(ctx.args.at(index)) {
            Some(row) => reply_row(ctx, row),
            None => ctx.reply.null(),
        }
    }
    Ok(Outcome::Done)
}

fn reply_row(ctx: &mut Ctx<'_>, row: &'static Row) {
    let (first, last, step) = row.spec.legacy_range();
    ctx.reply.array(10);
    ctx.reply.bulk(row.full_name.as_bytes());
    ctx.reply.int(row.spec.arity.into());
    reply_flags(ctx, row);
    for number in [first, last, step] {
        ctx.reply.int(number.into());
    }
    reply_names(ctx, row.categories, acl::NAMES, "@");
    ctx.reply.set(row.spec.tips.len());
    for tip in row.spec.tips {
        ctx.reply.bulk(tip.as_bytes());
    }
    ctx.reply.set(row.spec.keys.len());
    for spec in row.spec.keys {
        reply_key_spec(ctx, spec);
    }
    // Redis counts none as a set and some as an array.
    match row.subs.len() {
        0 => ctx.reply.set(0),
        some => ctx.reply.array(some),
    }
    for &sub in &row.subs {
        reply_row(ctx, ctx.table.at(sub));
    }
}

/// The flags of a row. That a module has it stands in front of the last of those that it can have.
fn reply_flags(ctx: &mut Ctx<'_>, row: &'static Row) {
    if row.spec.module.is_none() {
        return reply_names(ctx, row.flags, flag::NAMES, "");
    }
    let names = |bits: u32| flag::NAMES.iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, name)| *name);
    let (front, back) = (row.flags & !flag::FAST, row.flags & flag::FAST);
    let all: Vec<&str> = names(front).chain(["module"]).chain(names(back)).collect();
    ctx.reply.set(all.len());
    all.into_iter().for_each(|name| ctx.reply.status(name));
}

fn reply_key_spec(ctx: &mut Ctx<'_>, spec: &KeySpec) {
    ctx.reply.map(if spec.notes.is_empty() { 3 } else { 4 });
    if !spec.notes.is_empty() {
        ctx.reply.bulk(b"notes");
        ctx.reply.bulk(spec.notes.as_bytes());
    }
    ctx.reply.bulk(b"flags");
    reply_names(ctx, spec.flags, key::NAMES, "");
    ctx.reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => reply_method(ctx, "index", &[("index", index)]),
        Begin::Unknown => reply_method(ctx, "unknown", &[]),
        Begin::Keyword(keyword, from) => {
            ctx.reply.map(2);
            ctx.reply.bulk(b"type");
            ctx.reply.bulk(b"keyword");
            ctx.reply.bulk(b"spec");
            ctx.reply.map(2);
            ctx.reply.bulk(b"keyword");
            ctx.reply.bulk(keyword.as_bytes());
            ctx.reply.bulk(b"startfrom");
            ctx.reply.int(from.into());
        }
    }
    ctx.reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            reply_method(ctx, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)]);
        }
        Find::Keynum { keynum, first, step } => {
            reply_method(ctx, "keynum", &[("keynumidx", keynum), ("firstkey", first), ("keystep", step)]);
        }
        Find::Unknown => reply_method(ctx, "unknown", &[]),
    }
}

/// One half of a key spec: how it works and its numbers.
fn reply_method(ctx: &mut Ctx<'_>, method: &str, numbers: &[(&str, i32)]) {
    ctx.reply.map(2);
    ctx.reply.bulk(b"type");
    ctx.reply.bulk(method.as_bytes());
    ctx.reply.bulk(b"spec");
    ctx.reply.map(numbers.len());
    for (name, number) in numbers {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.int((*number).into());
    }
}
