//! Lists.
//!
//! [`List`] knows its encodings; a command only says what it is about to add and when it has removed something. A blocking
//! command is the command that it would be without waiting: it looks at its keys in order, takes from the first list that
//! it finds, or waits and runs again. What enters the feed is the plain command on that one key.
//!
//! [`List`]: crate::keyspace::types::List

mod edit;
mod look;
mod pop;
mod push;

use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::CmdError;
use crate::engine::spec::flag::{BLOCKING, DENYOOM, FAST, MOVABLEKEYS, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at, keys_from};
use crate::keyspace::types::List;
use crate::keyspace::{EventClass, Taken};
use crate::resp::Reply;
use crate::structures::listpack::Element;
use crate::structures::quicklist::Item;

/// What pushing costs.
const PUSH_COST: &str = "O(1) for each element, thus O(N) for N of them.";
/// What popping from one list costs.
const POP_COST: &str = "O(N) where N is the number of elements that are returned";
/// What looking at several lists costs.
const MPOP_COST: &str =
    "O(N+M) where N is the number of keys and M the number of elements that are returned.";

const TAKEN: u32 = key::RW | key::ACCESS | key::DELETE;

const fn counted_keys(index: i32) -> KeySpec {
    KeySpec {
        flags: TAKEN,
        begin: Begin::Index(index),
        find: Find::Keynum { keynum: 0, first: 1, step: 1 },
        notes: "",
    }
}

pub(super) const COMMANDS: &[Spec] = &[
    Spec::local("lpush", -3, push::lpush)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(Group::List, "1.0.0", PUSH_COST, "Puts elements in front of a list, one after the other.")
        .syntax("key@0 element+")
        .history(&[("2.4.0", "Several elements may be given.")]),
    Spec::local("rpush", -3, push::rpush)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(Group::List, "1.0.0", PUSH_COST, "Puts elements at the end of a list.")
        .syntax("key@0 element+")
        .history(&[("2.4.0", "Several elements may be given.")]),
    Spec::local("lpushx", -3, push::lpushx)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(Group::List, "2.2.0", PUSH_COST, "Puts elements in front of a list that exists.")
        .syntax("key@0 element+")
        .history(&[("4.0.0", "Several elements may be given.")]),
    Spec::local("rpushx", -3, push::rpushx)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(Group::List, "2.2.0", PUSH_COST, "Puts elements at the end of a list that exists.")
        .syntax("key@0 element+")
        .history(&[("4.0.0", "Several elements may be given.")]),
    Spec::local("linsert", 5, push::linsert)
        .flags(WRITE | DENYOOM)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(
            Group::List,
            "2.2.0",
            "O(N) where N is the number of elements in front of the pivot.",
            "Puts an element in front of another or behind it.",
        )
        .syntax("key@0 where(BEFORE | AFTER) pivot element"),
    Spec::local("llen", 2, look::llen)
        .flags(READONLY | FAST)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::List, "1.0.0", "O(1)", "Counts the elements of a list.")
        .syntax("key@0"),
    Spec::local("lindex", 3, look::lindex)
        .flags(READONLY)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the number of nodes of the list and of elements in one; the ends are O(1).",
            "Gives the element with an index.",
        )
        .syntax("key@0 index:integer"),
    Spec::local("lrange", 4, look::lrange)
        .flags(READONLY)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(
            Group::List,
            "1.0.0",
            "O(S+N) where S is the distance of the first element from the nearer end and N the number of elements.",
            "Gives the elements between two indices.",
        )
        .syntax("key@0 start:integer stop:integer"),
    Spec::local("lpos", -3, look::lpos)
        .flags(READONLY)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(
            Group::List,
            "6.0.6",
            "O(N) where N is the number of elements that are looked at.",
            "Finds the indices of equal elements.",
        )
        .syntax("key@0 element RANK=rank:integer? COUNT=num-matches:integer? MAXLEN=len:integer?"),
    Spec::local("lset", 4, edit::lset)
        .flags(WRITE | DENYOOM)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the number of nodes of the list and of elements in one; the ends are O(1).",
            "Puts another element in the place of the one with an index.",
        )
        .syntax("key@0 index:integer element"),
    Spec::local("lrem", 4, edit::lrem)
        .flags(WRITE)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .doc(
            Group::List,
            "1.0.0",
            "O(N+M) where N is the length of the list and M the number of elements that are removed.",
            "Removes equal elements, some or all.",
        )
        .syntax("key@0 count:integer element"),
    Spec::local("ltrim", 4, edit::ltrim)
        .flags(WRITE)
        .acl(acl::LIST)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .doc(
            Group::List,
            "1.0.0",
            "O(N) where N is the number of elements that are removed.",
            "Keeps only the elements between two indices.",
        )
        .syntax("key@0 start:integer stop:integer"),
    Spec::local("lpop", -2, pop::lpop)
        .flags(WRITE | FAST)
        .acl(acl::LIST)
        .keys(&[key_at(1, TAKEN)])
        .doc(Group::List, "1.0.0", POP_COST, "Takes the first elements out of a list.")
        .syntax("key@0 count:integer?#6.2.0")
        .history(&[("6.2.0", "`count` came.")]),
    Spec::local("rpop", -2, pop::rpop)
        .flags(WRITE | FAST)
        .acl(acl::LIST)
        .keys(&[key_at(1, TAKEN)])
        .doc(Group::List, "1.0.0", POP_COST, "Takes the last elements out of a list.")
        .syntax("key@0 count:integer?#6.2.0")
        .history(&[("6.2.0", "`count` came.")]),
    Spec::local("lmpop", -4, pop::lmpop)
        .flags(WRITE | MOVABLEKEYS)
        .acl(acl::LIST)
        .keys(&[counted_keys(1)])
        .doc(Group::List, "7.0.0", MPOP_COST, "Takes elements out of the first of several lists that exists.")
        .syntax("numkeys:integer key@0+ where(LEFT | RIGHT) COUNT=count:integer?"),
    Spec::local("blpop", -3, pop::blpop)
        .flags(WRITE | BLOCKING)
        .acl(acl::LIST)
        .keys(&[keys_from(1, -2, 1, TAKEN)])
        .doc(
            Group::List,
            "2.0.0",
            "O(N) where N is the number of keys.",
            "Takes the first element out of the first of several lists that exists; waits for one.",
        )
        .syntax("key@0+ timeout:double")
        .history(&[("6.0.0", "`timeout` may have a fraction.")])
        .replies_array(),
    Spec::local("brpop", -3, pop::brpop)
        .flags(WRITE | BLOCKING)
        .acl(acl::LIST)
        .keys(&[keys_from(1, -2, 1, TAKEN)])
        .doc(
            Group::List,
            "2.0.0",
            "O(N) where N is the number of keys.",
            "Takes the last element out of the first of several lists that exists; waits for one.",
        )
        .syntax("key@0+ timeout:double")
        .history(&[("6.0.0", "`timeout` may have a fraction.")])
        .replies_array(),
    Spec::local("blmpop", -5, pop::blmpop)
        .flags(WRITE | BLOCKING | MOVABLEKEYS)
        .acl(acl::LIST)
        .keys(&[counted_keys(2)])
        .doc(
            Group::List,
            "7.0.0",
            MPOP_COST,
            "Takes elements out of the first of several lists that exists; waits for one.",
        )
        .syntax("timeout:double numkeys:integer key@0+ where(LEFT | RIGHT) COUNT=count:integer?")
        .replies_array(),
    Spec::local("lmove", 5, push::lmove)
        .flags(WRITE | DENYOOM)
        .acl(acl::LIST)
        .keys(&[key_at(1, TAKEN), key_at(2, key::RW | key::INSERT)])
        .doc(Group::List, "6.2.0", "O(1)", "Moves an element from an end of one list to an end of another.")
        .syntax("source@0 destination@1 wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT)"),
    Spec::local("rpoplpush", 3, push::rpoplpush)
        .flags(WRITE | DENYOOM)
        .acl(acl::LIST)
        .keys(&[key_at(1, TAKEN), key_at(2, key::RW | key::INSERT)])
        .doc(Group::List, "1.2.0", "O(1)", "Moves the last element of one list to the front of another.")
        .syntax("source@0 destination@1")
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    Spec::local("blmove", 6, push::blmove)
        .flags(WRITE | DENYOOM | BLOCKING)
        .acl(acl::LIST)
        .keys(&[key_at(1, TAKEN), key_at(2, key::RW | key::INSERT)])
        .doc(
            Group::List,
            "6.2.0",
            "O(1)",
            "Moves an element from an end of one list to an end of another; waits for one.",
        )
        .syntax("source@0 destination@1 wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT) timeout:double"),
    Spec::local("brpoplpush", 4, push::brpoplpush)
        .flags(WRITE | DENYOOM | BLOCKING)
        .acl(acl::LIST)
        .keys(&[key_at(1, TAKEN), key_at(2, key::RW | key::INSERT)])
        .doc(
            Group::List,
            "2.2.0",
            "O(1)",
            "Moves the last element of one list to the front of another; waits for one.",
        )
        .syntax("source@0 destination@1 timeout:double")
        .history(&[("6.0.0", "`timeout` may have a fraction.")])
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
];

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

impl End {
    /// LEFT or RIGHT at an argument.
    fn at(ctx: &Ctx<'_>, index: usize) -> Result<End, CmdError> {
        if ctx.args.is(index, "left") {
            Ok(End::Left)
        } else if ctx.args.is(index, "right") {
            Ok(End::Right)
        } else {
            Err(CmdError::Syntax)
        }
    }

    fn is_front(self) -> bool {
        self == End::Left
    }

    fn pushed(self) -> &'static str {
        if self.is_front() { "lpush" } else { "rpush" }
    }

    fn popped(self) -> &'static str {
        if self.is_front() { "lpop" } else { "rpop" }
    }

    fn pop_command(self) -> &'static [u8] {
        if self.is_front() { b"LPOP" } else { b"RPOP" }
    }
}

/// Replies with an element.
#[inline]
fn reply_item(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Near(Element::Text(text)) => reply.bulk(text),
        Item::Near(Element::Int(value)) => reply.bulk_int(value),
        Item::Far(text) => reply.bulk_shared(text),
    }
}

/// Puts a list back from which elements were removed: it may become smaller in kind, or go. Tells of both.
fn put_after_removal(ctx: &mut Ctx<'_>, key: Key<'_>, mut list: Taken<List>, event: &'static str) {
    list.settle(&ctx.conf.tuning);
    let is_there = ctx.put(key, list);
    ctx.notify(EventClass::List, event, key.bytes);
    if !is_there {
        ctx.notify(EventClass::Generic, "del", key.bytes);
    }
}
