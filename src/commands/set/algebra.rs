//! Several sets at once: intersections, unions, differences.
//!
//! An intersection walks the smallest set and asks the others, smallest first, sixteen members at a time, so that the
//! misses of memory overlap. A difference either asks the other sets about each member of the first, or takes their
//! members out of a copy of it, whichever looks at fewer.

use crate::base::number::I64_BYTES_MAX;
use crate::commands::reply_element;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, CmdResult, Outcome};
use crate::keyspace::types::{Set, SetRef};
use crate::keyspace::{Collection, Db, EventClass, Tuning};
use crate::structures::listpack::{Element, Listpack};
use crate::structures::members::BATCH;
use crate::structures::slab::Handle;

/// The sets at the keys `range` of the request, in order; none for a key that does not exist.
fn sources(ctx: &mut Ctx<'_>, range: std::ops::Range<usize>) -> Result<Vec<Option<Handle>>, CmdError> {
    let mut found = Vec::with_capacity(range.len());
    for index in range {
        let handle = ctx.read(ctx.key(index));
        if let Some(handle) = handle {
            ctx.db_ref().value(handle).set()?;
        }
        found.push(handle);
    }
    Ok(found)
}

fn sets<'d>(db: &'d Db, handles: &[Option<Handle>]) -> Vec<SetRef<'d>> {
    handles.iter().flatten().filter_map(|&handle| db.value(handle).set().ok()).collect()
}

/// The members of `first` for which all of `others` answer `there`, to `each`, until it says that it has enough.
fn filter<'a>(
    first: SetRef<'a>,
    others: &[SetRef<'_>],
    there: bool,
    mut each: impl FnMut(Element<'a>) -> bool,
) {
    let mut members = first.iter();
    let mut digits = [[0; I64_BYTES_MAX]; BATCH];
    loop {
        let mut batch = [Element::Int(0); BATCH];
        let mut count = 0;
        for member in members.by_ref().take(BATCH) {
            batch[count] = member;
            count += 1;
        }
        if count == 0 {
            return;
        }
        let mut texts: [&[u8]; BATCH] = [&[]; BATCH];
        for (i, buf) in digits.iter_mut().enumerate().take(count) {
            texts[i] = batch[i].bytes(buf);
        }
        // Only those about which there is still a doubt are asked for in the next set.
        let mut left: [usize; BATCH] = std::array::from_fn(|i| i);
        let mut doubtful = count;
        for other in others {
            let mut asked: [&[u8]; BATCH] = [&[]; BATCH];
            (0..doubtful).for_each(|i| asked[i] = texts[left[i]]);
            let which = other.contains_which(&asked[..doubtful]);
            let mut kept = 0;
            for i in 0..doubtful {
                if (which >> i & 1 == 1) == there {
                    left[kept] = left[i];
                    kept += 1;
                }
            }
            doubtful = kept;
        }
        for &i in &left[..doubtful] {
            if !each(batch[i]) {
                return;
            }
        }
    }
}

/// The sets by size, smallest first.
fn by_size(mut sets: Vec<SetRef<'_>>) -> Vec<SetRef<'_>> {
    sets.sort_by_key(|set| set.len());
    sets
}

fn reply_members(ctx: &mut Ctx<'_>, handles: &[Option<Handle>], find: fn(&[SetRef<'_>], &Tuning) -> Set) {
    let tuning = &ctx.conf.tuning;
    let open = ctx.open();
    let result = find(&sets(open.db, handles), tuning);
    open.reply.set(result.len());
    result.view().iter().for_each(|member| reply_element(open.reply, member));
}

/// Stores a result; an empty one removes the key.
fn store(ctx: &mut Ctx<'_>, to: Key<'_>, result: Set, event: &'static str) {
    let count = result.len();
    if count > 0 {
        ctx.store(to, result);
        ctx.notify(EventClass::Set, event, to.bytes);
        ctx.changed(1);
    } else if ctx.peek(to).is_some() {
        ctx.remove(to);
        ctx.notify(EventClass::Generic, "del", to.bytes);
        ctx.changed(1);
    }
    ctx.reply.int(count as i64);
}

pub(super) fn smembers(ctx: &mut Ctx<'_>) -> CmdResult {
    let handles = sources(ctx, 1..2)?;
    reply_all(ctx, handles[0]);
    Ok(Outcome::Done)
}

/// Replies with all members of one set.
fn reply_all(ctx: &mut Ctx<'_>, handle: Option<Handle>) {
    let open = ctx.open();
    let Some(set) = handle.and_then(|handle| open.db.value(handle).set().ok()) else {
        open.reply.set(0);
        return;
    };
    open.reply.set(set.len());
    set.iter().for_each(|member| reply_element(open.reply, member));
}

pub(super) fn sinter(ctx: &mut Ctx<'_>) -> CmdResult {
    let handles = sources(ctx, 1..ctx.args.len())?;
    if handles.len() == 1 {
        reply_all(ctx, handles[0]);
        return Ok(Outcome::Done);
    }
    let open = ctx.open();
    let mut common: Vec<Element<'_>> = Vec::new();
    if handles.iter().all(Option::is_some) {
        let sets = by_size(sets(open.db, &handles));
        filter(sets[0], &sets[1..], true, |member| {
            common.push(member);
            true
        });
    }
    open.reply.set(common.len());
    common.into_iter().for_each(|member| reply_element(open.reply, member));
    Ok(Outcome::Done)
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>) -> CmdResult {
    let keys = ctx.int(1).ok().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let keys = keys.ok_or(CmdError::coded("ERR numkeys should be greater than 0"))?;
    if keys > ctx.args.len() - 2 {
        return Err(CmdError::coded("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut index = 2 + keys;
    while index < ctx.args.len() {
        if !ctx.args.is(index, "limit") || index + 1 == ctx.args.len() {
            return Err(CmdError::Syntax);
        }
        let value = ctx.int(index + 1).ok().and_then(|n| usize::try_from(n).ok());
        limit = value.ok_or(CmdError::coded("ERR LIMIT can't be negative"))?;
        index += 2;
    }
    let handles = sources(ctx, 2..2 + keys)?;
    let mut count = 0;
    if handles.iter().all(Option::is_some) {
        let sets = by_size(sets(ctx.db_ref(), &handles));
        filter(sets[0], &sets[1..], true, |_| {
            count += 1;
            limit == 0 || count < limit
        });
    }
    ctx.reply.int(count as i64);
    Ok(Outcome::Done)
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_>) -> CmdResult {
    let to = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let handles = sources(ctx, 2..ctx.args.len())?;
    let mut result = Set::new();
    if handles.iter().all(Option::is_some) {
        let sets = by_size(sets(ctx.db_ref(), &handles));
        if !matches!(sets[0], SetRef::Ints(_)) {
            result = Set::Packed(Listpack::new());
        }
        let mut buf = [0; I64_BYTES_MAX];
        filter(sets[0], &sets[1..], true, |member| {
            result.add(member.bytes(&mut buf), tuning);
            true
        });
        result.become_smaller(tuning);
    }
    store(ctx, to, result, "sinterstore");
    Ok(Outcome::Done)
}

fn union(sets: &[SetRef<'_>], tuning: &Tuning) -> Set {
    let mut result = Set::new();
    let mut buf = [0; I64_BYTES_MAX];
    for set in sets {
        set.iter().for_each(|member| {
            result.add(member.bytes(&mut buf), tuning);
        });
    }
    result
}

pub(super) fn sunion(ctx: &mut Ctx<'_>) -> CmdResult {
    let handles = sources(ctx, 1..ctx.args.len())?;
    if handles.len() == 1 {
        reply_all(ctx, handles[0]);
    } else {
        reply_members(ctx, &handles, union);
    }
    Ok(Outcome::Done)
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>) -> CmdResult {
    let to = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let handles = sources(ctx, 2..ctx.args.len())?;
    let result = union(&sets(ctx.db_ref(), &handles), tuning);
    store(ctx, to, result, "sunionstore");
    Ok(Outcome::Done)
}

/// The first set without the members of the others.
fn difference(sets: &[SetRef<'_>], tuning: &Tuning) -> Set {
    let mut result = Set::new();
    let (first, others) = (sets[0], &sets[1..]);
    let mut buf = [0; I64_BYTES_MAX];
    let sum: usize = sets.iter().map(|set| set.len()).sum();
    if first.len() * sets.len() / 2 <= sum {
        // The largest sets rule out most, so they are asked first.
        let mut others = others.to_vec();
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        filter(first, &others, false, |member| {
            result.add(member.bytes(&mut buf), tuning);
            true
        });
        return result;
    }
    first.iter().for_each(|member| {
        result.add(member.bytes(&mut buf), tuning);
    });
    for other in others {
        other.iter().for_each(|member| {
            result.remove(member.bytes(&mut buf));
        });
        if result.is_empty() {
            break;
        }
    }
    result
}

/// The difference of the sets at some keys: empty when the first does not exist.
fn difference_of(db: &Db, handles: &[Option<Handle>], tuning: &Tuning) -> Set {
    if handles[0].is_none() {
        return Set::new();
    }
    let has_itself = handles[1..].contains(&handles[0]);
    if has_itself { Set::new() } else { difference(&sets(db, handles), tuning) }
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>) -> CmdResult {
    let handles = sources(ctx, 1..ctx.args.len())?;
    let tuning = &ctx.conf.tuning;
    let open = ctx.open();
    let result = difference_of(open.db, &handles, tuning);
    open.reply.set(result.len());
    result.view().iter().for_each(|member| reply_element(open.reply, member));
    Ok(Outcome::Done)
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>) -> CmdResult {
    let to = ctx.key(1);
    let handles = sources(ctx, 2..ctx.args.len())?;
    let result = difference_of(ctx.db_ref(), &handles, &ctx.conf.tuning);
    store(ctx, to, result, "sdiffstore");
    Ok(Outcome::Done)
}
