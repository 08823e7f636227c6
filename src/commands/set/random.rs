//! Random members of sets: SPOP, SRANDMEMBER.

use super::put_after_removal;
use crate::commands::{allows_picks, hard_limit_bytes, is_too_much, reply_element};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::Set;
use crate::keyspace::{Collection, EventClass};
use crate::structures::listpack::Element;
use crate::structures::slab::Handle;

/// Members that one frame of a propagated SPOP removes.
const MEMBERS_A_FRAME: usize = 1024;

pub(super) fn spop(ctx: &mut Ctx<'_>) -> CmdResult {
    match ctx.args.len() {
        2 => spop_one(ctx),
        3 => spop_some(ctx),
        _ => Err(CmdError::Syntax),
    }
}

fn spop_one(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let mut set = ctx.take::<Set>(handle)?;
    let member = set.pop(ctx.rng).unwrap_or_default();
    ctx.propagate_as(&[b"SREM", key.bytes, &member]);
    put_after_removal(ctx, key, set, "spop");
    ctx.changed(1);
    ctx.reply.bulk(&member);
    Ok(Outcome::Done)
}

fn spop_some(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = ctx.int(2).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CmdError::coded("ERR value is out of range, must be positive"))?;
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.set(0);
        return Ok(Outcome::Done);
    };
    let len = ctx.db_ref().value(handle).set()?.len();
    if count == 0 {
        ctx.reply.set(0);
        return Ok(Outcome::Done);
    }
    ctx.changed(count.min(len) as u64);
    if count >= len { pop_all(ctx, key, handle) } else { pop_some(ctx, key, handle, count) }
}

/// All members are given and the key is gone.
fn pop_all(ctx: &mut Ctx<'_>, key: Key<'_>, handle: Handle) -> CmdResult {
    let open = ctx.open();
    let set = open.db.value(handle).set()?;
    open.reply.set(set.len());
    set.iter().for_each(|member| reply_element(open.reply, member));
    ctx.remove(key);
    ctx.notify(EventClass::Set, "spop", key.bytes);
    ctx.notify(EventClass::Generic, "del", key.bytes);
    let verb: &[u8] = if ctx.conf.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
    ctx.propagate_as(&[verb, key.bytes]);
    Ok(Outcome::Done)
}

fn pop_some(ctx: &mut Ctx<'_>, key: Key<'_>, handle: Handle, count: usize) -> CmdResult {
    let tuning = &ctx.conf.tuning;
    let mut set = ctx.take::<Set>(handle)?;
    ctx.reply.set(count);
    let mut gone: Vec<Vec<u8>> = Vec::new();
    let is_followed = ctx.is_followed();
    let reply = &mut ctx.reply;
    let mut give = |member: Element<'_>| {
        reply_element(reply, member);
        if is_followed {
            gone.push(member.to_vec());
        }
    };
    if !set.pop_some(count, ctx.rng, &mut give) {
        let left = set.len() - count;
        if count / 5 > left {
            // Fewer stay than go: those that stay are drawn, and become the set.
            let mut stay = Set::table(tuning);
            set.view().sample(left, ctx.rng, |member| {
                if let Element::Text(text) = member {
                    stay.add(text, tuning);
                }
            });
            set.view().iter().for_each(|member| {
                let stays = matches!(member, Element::Text(text) if stay.view().contains(text));
                if !stays {
                    give(member);
                }
            });
            set.exchange(stay);
        } else {
            for _ in 0..count {
                let member = set.pop(ctx.rng).unwrap_or_default();
                give(Element::Text(&member));
            }
        }
    }
    for members in gone.chunks(MEMBERS_A_FRAME) {
        let frame: Vec<&[u8]> =
            [&b"SREM"[..], key.bytes].into_iter().chain(members.iter().map(Vec::as_slice)).collect();
        ctx.propagate_as(&frame);
    }
    put_after_removal(ctx, key, set, "spop");
    Ok(Outcome::Done)
}

pub(super) fn srandmember(ctx: &mut Ctx<'_>) -> CmdResult {
    match ctx.args.len() {
        2 => {}
        3 => return srandmember_some(ctx),
        _ => return Err(CmdError::Syntax),
    }
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.null();
        return Ok(Outcome::Done);
    };
    let open = ctx.open();
    if let Some(member) = open.db.value(handle).set()?.random(open.rng) {
        reply_element(open.reply, member);
    }
    Ok(Outcome::Done)
}

fn srandmember_some(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = ctx.int_between(2, -i64::MAX, i64::MAX)?;
    let Some(handle) = ctx.read(ctx.key(1)) else {
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let (allowed, bound) = (allows_picks(ctx, wanted), hard_limit_bytes(ctx.conf));
    let open = ctx.open();
    let set = open.db.value(handle).set()?;
    if count < 0 {
        if !allowed {
            return Err(CmdError::coded("ERR value is out of range"));
        }
        open.reply.array(wanted);
        for _ in 0..wanted {
            if is_too_much(open.reply, bound) {
                break;
            }
            if let Some(member) = set.random(open.rng) {
                reply_element(open.reply, member);
            }
        }
        return Ok(Outcome::Done);
    }
    open.reply.array(wanted.min(set.len()));
    set.sample(wanted, open.rng, |member| reply_element(open.reply, member));
    Ok(Outcome::Done)
}
