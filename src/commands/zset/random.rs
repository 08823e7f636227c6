//! Members by chance and by cursor: ZRANDMEMBER, ZSCAN.

use super::{reply_pair, reply_pairs};
use crate::base::double::format_17_digits;
use crate::base::number::{I64_BYTES_MAX, format_double};
use crate::commands::scan::{Of, ScanOptions, cursor_at};
use crate::commands::{allows_picks, hard_limit_bytes, is_too_much, reply_element};
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::ZsetRef;
use crate::resp::Reply;
use crate::structures::listpack::Element;

pub(super) fn zrandmember(ctx: &mut Ctx<'_>) -> CmdResult {
    if ctx.args.len() > 2 {
        return zrandmember_some(ctx);
    }
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    if let Some((member, _)) = open.db.value(handle).zset()?.random(open.rng) {
        reply_element(open.reply, member);
    }
    Ok(Outcome::Done)
}

fn zrandmember_some(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = ctx.int_between(2, -i64::MAX, i64::MAX)?;
    let with_scores = ctx.args.len() > 3;
    if ctx.args.len() > 4 || with_scores && !ctx.args.is(3, "withscores") {
        return Err(CmdError::Syntax);
    }
    if with_scores && count.unsigned_abs() > (i64::MAX / 2) as u64 {
        return Err(CmdError::coded("ERR value is out of range"));
    }
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let (allowed, bound) = (allows_picks(ctx, wanted), hard_limit_bytes(ctx.conf));
    let open = ctx.open();
    let zset = open.db.value(handle).zset()?;
    if count < 0 && !allowed {
        return Err(CmdError::coded("ERR value is out of range"));
    }
    let len = if count < 0 { wanted } else { wanted.min(zset.len()) };
    if with_scores {
        reply_pairs(open.reply, len);
    } else {
        open.reply.array(len);
    }
    let give = |reply: &mut Reply<'_>, member: Element<'_>, score: f64| {
        if with_scores { reply_pair(reply, member, score) } else { reply_element(reply, member) }
    };
    if count < 0 {
        for _ in 0..wanted {
            if is_too_much(open.reply, bound) {
                break;
            }
            if let Some((member, score)) = zset.random(open.rng) {
                give(open.reply, member, score);
            }
        }
    } else {
        let reply = open.reply;
        zset.sample(wanted, open.rng, |member, score| give(reply, member, score));
    }
    Ok(Outcome::Done)
}

pub(super) fn zscan(ctx: &mut Ctx<'_>) -> CmdResult {
    let mut cursor = cursor_at(ctx, 2)?;
    let found = ctx.read(ctx.key(1));
    let Some(handle) = found else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    ctx.db_ref().value(handle).zset()?;
    let options = ScanOptions::parse(ctx, 3, Of::Zset)?;
    let open = ctx.open();
    let zset = open.db.value(handle).zset()?;
    // A table's scores are written with all their digits, a listpack's as they stand there.
    let format = if let ZsetRef::Table(_) = zset { format_17_digits } else { format_double };
    let (mut met, mut texts) = (0, Vec::new());
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut buf = [0; I64_BYTES_MAX];
    for _ in 0..=options.count.saturating_mul(10) {
        cursor = zset.scan(cursor, |member, score| {
            met += 1;
            let member = member.bytes(&mut buf);
            if options.pattern.matches(member) {
                texts.extend_from_slice(member);
                let end = texts.len();
                format(score, &mut texts);
                found.push((end, texts.len()));
            }
        });
        if cursor == 0 || met >= options.count {
            break;
        }
    }
    open.reply.array(2);
    open.reply.bulk(cursor.to_string().as_bytes());
    open.reply.array(if options.names_only { found.len() } else { 2 * found.len() });
    let mut start = 0;
    for (middle, end) in found {
        open.reply.bulk(&texts[start..middle]);
        if !options.names_only {
            open.reply.bulk(&texts[middle..end]);
        }
        start = end;
    }
    Ok(Outcome::Done)
}
