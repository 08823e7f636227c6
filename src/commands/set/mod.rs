//! Sets: members, random picks, and the algebra of several sets ([`algebra`]).

mod algebra;
mod random;

use super::reply_element;
use super::scan::{Of, ScanOptions, cursor_at};
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdResult, Outcome};
use crate::engine::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at, keys_from};
use crate::keyspace::types::{Set, SetRef};
use crate::keyspace::{EventClass, Taken};
use crate::structures::listpack::Element;
use crate::structures::members::BATCH;

const PER_MEMBER: &str = "O(N) where N is the number of members given.";
const INTERSECTION: &str = "O(N*M) where N is the size of the smallest set and M the number of sets.";
const SUM: &str = "O(N) where N is the number of members in all sets together.";
const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];
const BY_CHANCE: &[&str] = &["nondeterministic_output"];
const SOURCES: &[KeySpec] = &[keys_from(1, -1, 1, key::RO | key::ACCESS)];
const DESTINATION_AND_SOURCES: &[KeySpec] =
    &[key_at(1, key::OW | key::UPDATE), keys_from(2, -1, 1, key::RO | key::ACCESS)];
const COUNTED_SOURCES: &[KeySpec] = &[KeySpec {
    flags: key::RO | key::ACCESS,
    begin: Begin::Index(1),
    find: Find::Keynum { keynum: 0, first: 1, step: 1 },
    notes: "",
}];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("sadd", -3, sadd)
        .member(2)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(Group::Set, "1.0.0", PER_MEMBER, "Adds members to a set, which is created if need be.")
        .syntax("key@0 member+")
        .history(&[("2.4.0", "More than one `member` may be given.")]),
    Spec::local("srem", -3, srem)
        .member(2)
        .flags(WRITE | FAST)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .doc(Group::Set, "1.0.0", PER_MEMBER, "Removes members from a set; a set without members is gone.")
        .syntax("key@0 member+")
        .history(&[("2.4.0", "More than one `member` may be given.")]),
    Spec::local("smove", 4, smove)
        .flags(WRITE | FAST)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::DELETE), key_at(2, key::RW | key::INSERT)])
        .doc(Group::Set, "1.0.0", "O(1)", "Moves a member from one set to another.")
        .syntax("source@0 destination@1 member"),
    Spec::local("scard", 2, scard)
        .flags(READONLY | FAST)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::Set, "1.0.0", "O(1)", "Counts the members of a set.")
        .syntax("key@0"),
    Spec::local("sismember", 3, sismember)
        .member(2)
        .flags(READONLY | FAST)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::Set, "1.0.0", "O(1)", "Tells whether something is a member of a set.")
        .syntax("key@0 member"),
    Spec::local("smismember", -3, smismember)
        .member(2)
        .flags(READONLY | FAST)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Set, "6.2.0", PER_MEMBER, "Tells of each of several whether it is a member of a set.")
        .syntax("key@0 member+"),
    Spec::local("smembers", 2, algebra::smembers)
        .flags(READONLY)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(ANY_ORDER)
        .doc(Group::Set, "1.0.0", "O(N) where N is the number of members.", "Gives all members of a set.")
        .syntax("key@0"),
    Spec::local("sscan", -3, sscan)
        .flags(READONLY)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(BY_CHANCE)
        .doc(
            Group::Set,
            "2.8.0",
            "O(1) a call; O(N) for the whole walk, where N is the number of members.",
            "Gives the members of a set, a few a call.",
        )
        .syntax("key@0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer?"),
    Spec::local("spop", -2, random::spop)
        .flags(WRITE | FAST)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::DELETE)])
        .tips(BY_CHANCE)
        .doc(
            Group::Set,
            "1.0.0",
            "O(1) without a count, else O(N) where N is the count.",
            "Removes members of a set by chance and gives them.",
        )
        .syntax("key@0 count:integer?#3.2.0")
        .history(&[("3.2.0", "`count` came.")]),
    Spec::local("srandmember", -2, random::srandmember)
        .flags(READONLY)
        .acl(acl::SET)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(BY_CHANCE)
        .doc(
            Group::Set,
            "1.0.0",
            "O(1) without a count, else O(N) where N is the absolute count.",
            "Gives members of a set by chance.",
        )
        .syntax("key@0 count:integer?#2.6.0")
        .history(&[("2.6.0", "`count` came.")]),
    Spec::local("sinter", -2, algebra::sinter)
        .flags(READONLY)
        .acl(acl::SET)
        .keys(SOURCES)
        .tips(ANY_ORDER)
        .doc(Group::Set, "1.0.0", INTERSECTION, "Gives the members that all sets have.")
        .syntax("key@0+"),
    Spec::local("sintercard", -3, algebra::sintercard)
        .flags(READONLY)
        .acl(acl::SET)
        .keys(COUNTED_SOURCES)
        .doc(Group::Set, "7.0.0", INTERSECTION, "Counts the members that all sets have.")
        .syntax("numkeys:integer key@0+ LIMIT=limit:integer?"),
    Spec::local("sinterstore", -3, algebra::sinterstore)
        .flags(WRITE | DENYOOM)
        .acl(acl::SET)
        .keys(DESTINATION_AND_SOURCES)
        .doc(Group::Set, "1.0.0", INTERSECTION, "Stores the members that all sets have.")
        .syntax("destination@0 key@1+"),
    Spec::local("sunion", -2, algebra::sunion)
        .flags(READONLY)
        .acl(acl::SET)
        .keys(SOURCES)
        .tips(ANY_ORDER)
        .doc(Group::Set, "1.0.0", SUM, "Gives the members that any of the sets has.")
        .syntax("key@0+"),
    Spec::local("sunionstore", -3, algebra::sunionstore)
        .flags(WRITE | DENYOOM)
        .acl(acl::SET)
        .keys(DESTINATION_AND_SOURCES)
        .doc(Group::Set, "1.0.0", SUM, "Stores the members that any of the sets has.")
        .syntax("destination@0 key@1+"),
    Spec::local("sdiff", -2, algebra::sdiff)
        .flags(READONLY)
        .acl(acl::SET)
        .keys(SOURCES)
        .tips(ANY_ORDER)
        .doc(Group::Set, "1.0.0", SUM, "Gives the members of the first set that no other set has.")
        .syntax("key@0+"),
    Spec::local("sdiffstore", -3, algebra::sdiffstore)
        .flags(WRITE | DENYOOM)
        .acl(acl::SET)
        .keys(DESTINATION_AND_SOURCES)
        .doc(Group::Set, "1.0.0", SUM, "Stores the members of the first set that no other set has.")
        .syntax("destination@0 key@1+"),
];

fn sadd(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let tuning = &ctx.conf.tuning;
    let count = ctx.args.len() - 2;
    let mut set = ctx.take_or_new::<Set>(key)?;
    if set.is_new() {
        set.exchange(Set::for_members(ctx.args.at(2), count, tuning));
    } else {
        set.make_room(count, tuning);
    }
    let added = ctx.args.iter_from(2).filter(|member| set.add(member, tuning)).count();
    ctx.put(key, set);
    if added > 0 {
        ctx.changed(added as u64);
        ctx.notify(EventClass::Set, "sadd", key.bytes);
    }
    ctx.reply.int(added as i64);
    Ok(Outcome::Done)
}

/// Puts back a set from which members were removed, and tells it.
fn put_after_removal(ctx: &mut Ctx<'_>, key: Key<'_>, set: Taken<Set>, event: &'static str) {
    let is_there = ctx.put(key, set);
    ctx.notify(EventClass::Set, event, key.bytes);
    if !is_there {
        ctx.notify(EventClass::Generic, "del", key.bytes);
    }
}

fn srem(ctx: &mut Ctx<'_>) -> CmdResult {
    let key = ctx.key(1);
    let Some(handle) = ctx.write(key) else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let mut set = ctx.take::<Set>(handle)?;
    let removed = ctx.args.iter_from(2).filter(|member| set.remove(member)).count();
    if removed > 0 {
        put_after_removal(ctx, key, set, "srem");
        ctx.changed(removed as u64);
    } else {
        ctx.put(key, set);
    }
    ctx.reply.int(removed as i64);
    Ok(Outcome::Done)
}

fn smove(ctx: &mut Ctx<'_>) -> CmdResult {
    let (from, to, member) = (ctx.key(1), ctx.key(2), ctx.args.at(3));
    let tuning = &ctx.conf.tuning;
    let (source, target) = (ctx.write(from), ctx.write(to));
    let Some(source) = source else {
        ctx.reply.int(0);
        return Ok(Outcome::Done);
    };
    let is_member = ctx.db_ref().value(source).set()?.contains(member);
    if let Some(target) = target {
        ctx.db_ref().value(target).set()?;
    }
    if from.bytes == to.bytes || !is_member {
        ctx.reply.int(i64::from(is_member));
        return Ok(Outcome::Done);
    }
    let mut set = ctx.take::<Set>(source)?;
    set.remove(member);
    put_after_removal(ctx, from, set, "srem");
    ctx.changed(1);
    let mut set = ctx.take_or_new::<Set>(to)?;
    if set.is_new() {
        set.exchange(Set::for_members(member, 1, tuning));
    }
    let is_new = set.add(member, tuning);
    ctx.put(to, set);
    if is_new {
        ctx.changed(1);
        ctx.notify(EventClass::Set, "sadd", to.bytes);
    }
    ctx.reply.int(1);
    Ok(Outcome::Done)
}

/// The set at a key that the command reads.
fn read_set<'c>(
    ctx: &'c mut Ctx<'_>,
    key: Key<'_>,
) -> Result<Option<SetRef<'c>>, crate::engine::error::CmdError> {
    match ctx.read(key) {
        Some(handle) => Ok(Some(ctx.db_ref().value(handle).set()?)),
        None => Ok(None),
    }
}

fn scard(ctx: &mut Ctx<'_>) -> CmdResult {
    let count = read_set(ctx, ctx.key(1))?.map_or(0, SetRef::len);
    ctx.reply.int(count as i64);
    Ok(Outcome::Done)
}

fn sismember(ctx: &mut Ctx<'_>) -> CmdResult {
    let member = ctx.args.at(2);
    let is_member = read_set(ctx, ctx.key(1))?.is_some_and(|set| set.contains(member));
    ctx.reply.int(i64::from(is_member));
    Ok(Outcome::Done)
}

fn smismember(ctx: &mut Ctx<'_>) -> CmdResult {
    let args = ctx.args;
    let found = ctx.read(ctx.key(1));
    let open = ctx.open();
    let set = match found {
        Some(handle) => Some(open.db.value(handle).set()?),
        None => None,
    };
    open.reply.array(args.len() - 2);
    let mut index = 2;
    while index < args.len() {
        let mut batch: [&[u8]; BATCH] = [&[]; BATCH];
        let count = BATCH.min(args.len() - index);
        (0..count).for_each(|i| batch[i] = args.at(index + i));
        let which = set.map_or(0, |set| set.contains_which(&batch[..count]));
        (0..count).for_each(|i| open.reply.int(i64::from(which >> i & 1)));
        index += count;
    }
    Ok(Outcome::Done)
}

fn sscan(ctx: &mut Ctx<'_>) -> CmdResult {
    let cursor = cursor_at(ctx, 2)?;
    let found = ctx.read(ctx.key(1));
    let Some(handle) = found else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(Outcome::Done);
    };
    ctx.db_ref().value(handle).set()?;
    let options = ScanOptions::parse(ctx, 3, Of::Set)?;
    let open = ctx.open();
    let set = open.db.value(handle).set()?;
    let mut buf = [0; crate::base::number::I64_BYTES_MAX];
    let mut met: Vec<Element<'_>> = Vec::new();
    let mut next = 0;
    match set {
        SetRef::Table(table) => {
            let mut cells: Vec<&[u8]> = Vec::new();
            next = cursor;
            for _ in 0..=options.count.saturating_mul(10) {
                next = table.scan(next, |cell| cells.push(cell));
                if next == 0 || cells.len() >= options.count {
                    break;
                }
            }
            met.extend(cells.into_iter().map(Element::Text));
        }
        small => met.extend(small.iter()),
    }
    met.retain(|member| options.pattern.matches(member.bytes(&mut buf)));
    open.reply.array(2);
    open.reply.bulk(next.to_string().as_bytes());
    open.reply.array(met.len());
    met.into_iter().for_each(|member| reply_element(open.reply, member));
    Ok(Outcome::Done)
}
