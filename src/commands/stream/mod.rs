//! Streams.
//!
//! A command that serves from a group tells the feed what it did rather than what it was asked: an XCLAIM for each entry
//! that changed hands, and where the group stands afterwards. Only so does a follower whose clock differs end up the same.

mod add;
mod delete;
mod group;
mod idempotence;
mod info;
mod options;
mod pending;
mod range;
mod read;
mod words;

use super::help::help_row;
use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::{CmdError, quoted};
use crate::engine::keys::KeyAt;
use crate::engine::spec::flag::{BLOCKING, DENYOOM, FAST, MOVABLEKEYS, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at};
use crate::keyspace::types::Stream;
use crate::keyspace::types::stream::{Entry, ID_BYTES_MAX, StreamId};
use crate::resp::Args;
use crate::resp::Reply;
use crate::structures::listpack::Element;

const RANGE_COST: &str = "O(N) where N is the number of entries that are returned.";

const fn behind_streams(from: i32) -> KeySpec {
    KeySpec {
        flags: key::RO | key::ACCESS,
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }
}

pub(super) const COMMANDS: &[Spec] = &[
    Spec::local("xadd", -5, add::xadd)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STREAM)
        .keys(&[KeySpec {
            flags: key::RW | key::UPDATE,
            begin: Begin::Index(1),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            notes: "UPDATE instead of INSERT because of the optional trimming feature",
        }])
        .tips(&["nondeterministic_output"])
        .doc(
            Group::Stream,
            "5.0.0",
            "O(1) without trimming, else O(N) where N is the number of entries that are removed.",
            "Adds an entry at the end of a stream.",
        )
        .syntax(
            "key@0 NOMKSTREAM?#6.2.0 condition(KEEPREF | DELREF | ACKED)?#8.2.0 \
             idmp(idmpauto-with-pid{IDMPAUTO=idmpauto-token:pure-token pid/'producer-id'} | \
             idmp-with-pid-iid{IDMP=idmp-token:pure-token pid/'producer-id' iid/'idempotent-id'})?#8.6.0 \
             trim{strategy(MAXLEN | MINID#6.2.0) operator('='=equal:pure-token | '~'=approximately:pure-token)? \
             threshold LIMIT=count:integer?#6.2.0}? id-selector('*'=auto-id:pure-token | id) data{field value}+",
        )
        .history(&[
            ("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT` came."),
            ("7.0.0", "An id may leave its number to the server: `<ms>-*`."),
            ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED` came."),
        ]),
    Spec::local("xcfgset", -2, idempotence::xcfgset)
        .flags(WRITE | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Stream, "8.6.0", "O(1)", "Sets for how long, and how many, ids of producers a stream remembers.")
        .syntax(
            "key@0 idmp-duration-block{IDMP-DURATION=idmp-duration-token:pure-token duration:integer}? \
             idmp-maxsize-block{IDMP-MAXSIZE=idmp-maxsize-token:pure-token maxsize:integer}?",
        ),
    Spec::local("xidmprecord", 5, idempotence::xidmprecord)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Stream, "8.6.2", "O(1)", "Notes under which id a producer has added an entry; for the log.")
        .syntax("key@0 pid iid stream-id"),
    Spec::local("xlen", 2, add::xlen)
        .flags(READONLY | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Counts the entries of a stream.")
        .syntax("key@0"),
    Spec::local("xdel", -3, delete::xdel)
        .flags(WRITE | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .doc(Group::Stream, "5.0.0", "O(1) for each entry, however long the stream.", "Removes entries from a stream.")
        .syntax("key@0 id+"),
    Spec::local("xtrim", -4, add::xtrim)
        .flags(WRITE)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .tips(&["nondeterministic_output"])
        .doc(
            Group::Stream,
            "5.0.0",
            "O(N) where N is the number of entries that are removed; whole nodes go at once.",
            "Removes entries from the front of a stream.",
        )
        .syntax(
            "key@0 trim{strategy(MAXLEN | MINID#6.2.0) operator('='=equal:pure-token | \
             '~'=approximately:pure-token)? threshold LIMIT=count:integer?#6.2.0} \
             condition(KEEPREF | DELREF | ACKED)?#8.2.0",
        )
        .history(&[("6.2.0", "`MINID` and `LIMIT` came."), ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED` came.")]),
    Spec::local("xsetid", -3, add::xsetid)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Sets what a stream remembers of its past; for replication.")
        .syntax("key@0 last-id ENTRIESADDED=entries-added:integer?#7.0.0 MAXDELETEDID=max-deleted-id?#7.0.0")
        .history(&[("7.0.0", "`entries_added` and `max_deleted_entry_id` came.")]),
    Spec::local("xrange", -4, range::xrange)
        .flags(READONLY)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Stream, "5.0.0", RANGE_COST, "Gives the entries between two ids.")
        .syntax("key@0 start end COUNT=count:integer?")
        .history(&[("6.2.0", "A bound may be excluded.")]),
    Spec::local("xrevrange", -4, range::xrevrange)
        .flags(READONLY)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Stream, "5.0.0", RANGE_COST, "Gives the entries between two ids, the last one first.")
        .syntax("key@0 end start COUNT=count:integer?")
        .history(&[("6.2.0", "A bound may be excluded.")]),
    Spec::local("xread", -4, read::xread)
        .flags(READONLY | BLOCKING | MOVABLEKEYS)
        .acl(acl::STREAM)
        .keys(&[behind_streams(1)])
        .keys_by(streams)
        .doc(
            Group::Stream,
            "5.0.0",
            "",
            "Gives the entries of several streams that follow given ids; can wait for them.",
        )
        .syntax("COUNT=count:integer? BLOCK=milliseconds:integer? STREAMS=streams{key@0+ id+}")
        .replies_array(),
    Spec::local("xreadgroup", -7, read::xreadgroup)
        .flags(WRITE | BLOCKING | MOVABLEKEYS)
        .acl(acl::STREAM)
        .keys(&[behind_streams(4)])
        .keys_by(streams)
        .waits_for_loss()
        .doc(
            Group::Stream,
            "5.0.0",
            "O(M) for each stream, where M is the number of entries that are returned.",
            "Gives a consumer the next entries for its group, or again those that it has; can wait for them.",
        )
        .syntax(
            "GROUP=group-block{group consumer} COUNT=count:integer? BLOCK=milliseconds:integer? \
             CLAIM=min-idle-time:integer?#8.4.0 NOACK? STREAMS=streams{key@0+ id+}",
        )
        .replies_array(),
    Spec::local("xack", -4, pending::xack)
        .flags(WRITE | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Stream, "5.0.0", "O(1) for each id.", "Acknowledges entries that a consumer was given.")
        .syntax("key@0 group id+"),
    Spec::local("xdelex", -5, delete::xdelex)
        .flags(WRITE | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .doc(
            Group::Stream,
            "8.2.0",
            "O(1) for each entry, however long the stream.",
            "Removes entries from a stream, and says what becomes of groups that refer to them.",
        )
        .syntax("key@0 condition(KEEPREF | DELREF | ACKED)? IDS=ids{numids:integer id+}"),
    Spec::local("xackdel", -6, delete::xackdel)
        .flags(WRITE | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::UPDATE | key::DELETE)])
        .doc(
            Group::Stream,
            "8.2.0",
            "O(1) for each id.",
            "Acknowledges entries and removes them from the stream.",
        )
        .syntax("key@0 group condition(KEEPREF | DELREF | ACKED)? IDS=ids{numids:integer id+}"),
    Spec::local("xpending", -3, pending::xpending)
        .flags(READONLY)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output"])
        .doc(
            Group::Stream,
            "5.0.0",
            "O(N) where N is the number of entries that are looked at; of consumers, for the summary.",
            "Tells which entries of a group are not acknowledged.",
        )
        .syntax("key@0 group filters{IDLE=min-idle-time:integer?#6.2.0 start end count:integer consumer?}?")
        .history(&[("6.2.0", "`IDLE` came, and a bound may be excluded.")]),
    Spec::local("xclaim", -6, pending::xclaim)
        .flags(WRITE | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .tips(&["nondeterministic_output"])
        .doc(
            Group::Stream,
            "5.0.0",
            "O(log N) where N is the number of entries that are pending in the group.",
            "Makes a consumer the owner of entries that are pending.",
        )
        .syntax(
            "key@0 group consumer min-idle-time id+ IDLE=ms:integer? TIME=unix-time-milliseconds:unix-time? \
             RETRYCOUNT=count:integer? FORCE? JUSTID? LASTID=lastid?",
        ),
    Spec::local("xautoclaim", -6, pending::xautoclaim)
        .flags(WRITE | FAST)
        .acl(acl::STREAM)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .tips(&["nondeterministic_output"])
        .doc(
            Group::Stream,
            "6.2.0",
            "O(1) if `COUNT` is small.",
            "Makes a consumer the owner of entries that were pending for too long.",
        )
        .syntax("key@0 group consumer min-idle-time start COUNT=count:integer? JUSTID?")
        .history(&[("7.0.0", "The reply tells which entries were gone and are not pending any more.")]),
    Spec::container("xgroup", GROUP_COMMANDS)
        .doc(Group::Stream, "5.0.0", "Depends on subcommand.", "Groups the commands on groups of consumers.")
        .help(&[
            "CREATE <key> <groupname> <id|$> [option]",
            "    Create a new consumer group. Options are:",
            "    * MKSTREAM",
            "      Create the empty stream if it does not exist.",
            "    * ENTRIESREAD entries_read",
            "      Set the group's entries_read counter (internal use).",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Create a new consumer in the specified group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Remove the specified consumer.",
            "DESTROY <key> <groupname>",
            "    Remove the specified group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Set the current group ID and entries_read counter.",
        ]),
    Spec::container("xinfo", INFO_COMMANDS)
        .doc(Group::Stream, "5.0.0", "Depends on subcommand.", "Groups the commands that describe streams.")
        .help(&[
            "CONSUMERS <key> <groupname>",
            "    Show consumers of <groupname>.",
            "GROUPS <key>",
            "    Show the stream consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Show information about the stream.",
        ]),
];

const GROUP_COMMANDS: &[Spec] = &[
    Spec::local("create", -5, group::create)
        .flags(WRITE | DENYOOM)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RW | key::INSERT)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Creates a group of consumers.")
        .syntax(
            "key@0 group id-selector(id | '$'=new-id:pure-token) MKSTREAM? \
             ENTRIESREAD=entriesread/'entries-read':integer?",
        )
        .history(&[("7.0.0", "`ENTRIESREAD` came.")]),
    Spec::local("setid", -5, group::set_id)
        .flags(WRITE)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RW | key::UPDATE)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Sets up to which id a group has read.")
        .syntax(
            "key@0 group id-selector(id | '$'=new-id:pure-token) ENTRIESREAD=entriesread/'entries-read':integer?",
        )
        .history(&[("7.0.0", "`ENTRIESREAD` came.")]),
    Spec::local("destroy", 4, group::destroy)
        .flags(WRITE)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RW | key::DELETE)])
        .doc(
            Group::Stream,
            "5.0.0",
            "O(N) where N is the number of entries that are pending in the group.",
            "Removes a group of consumers.",
        )
        .syntax("key@0 group"),
    Spec::local("createconsumer", 5, group::create_consumer)
        .flags(WRITE | DENYOOM)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RW | key::INSERT)])
        .doc(Group::Stream, "6.2.0", "O(1)", "Adds a consumer to a group.")
        .syntax("key@0 group consumer"),
    Spec::local("delconsumer", 5, group::delete_consumer)
        .flags(WRITE)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RW | key::DELETE)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Removes a consumer from a group, with what is pending for it.")
        .syntax("key@0 group consumer"),
    help_row(Group::Stream, "5.0.0", acl::STREAM),
];

const INFO_COMMANDS: &[Spec] = &[
    Spec::local("stream", -3, info::stream)
        .flags(READONLY)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RO | key::ACCESS)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Describes a stream.")
        .syntax("key@0 full-block{FULL COUNT=count:integer?}?")
        .history(&[
            ("6.0.0", "`FULL` came."),
            (
                "7.0.0",
                "`max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag` came.",
            ),
            ("7.2.0", "`active-time` came, and `seen-time` means something else."),
            (
                "8.6.0",
                "`idmp-duration`, `idmp-maxsize`, `pids-tracked`, `iids-tracked`, `iids-added` and `iids-duplicates` came.",
            ),
        ]),
    Spec::local("groups", 3, info::groups)
        .flags(READONLY)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RO | key::ACCESS)])
        .doc(Group::Stream, "5.0.0", "O(1)", "Lists the groups that read a stream.")
        .syntax("key@0")
        .history(&[("7.0.0", "`entries-read` and `lag` came.")]),
    Spec::local("consumers", 4, info::consumers)
        .flags(READONLY)
        .acl(acl::STREAM)
        .keys(&[key_at(2, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output"])
        .doc(Group::Stream, "5.0.0", "O(1)", "Lists the consumers of a group.")
        .syntax("key@0 group")
        .history(&[("7.2.0", "`inactive` came, and `idle` means something else.")]),
    help_row(Group::Stream, "5.0.0", acl::STREAM),
];

/// The streams of XREAD and XREADGROUP, after the word that is no argument of an option: a consumer may be called STREAMS.
fn streams(args: Args<'_>) -> Vec<KeyAt> {
    let mut at = 1;
    while at < args.len() && !args.is(at, "streams") {
        at += match () {
            () if args.is(at, "group") => 3,
            () if ["block", "count", "claim"].iter().any(|word| args.is(at, word)) => 2,
            () => 1,
        };
    }
    let first = (at + 1).min(args.len());
    let indices = first..first + (args.len() - first) / 2;
    indices.map(|index| KeyAt { index, flags: key::RO | key::ACCESS }).collect()
}

const INVALID_ID: CmdError = CmdError::coded("ERR Invalid stream ID specified as stream command argument");

/// The id at an argument; `missing_seq` stands for a number that is not given.
fn id_at(ctx: &Ctx<'_>, index: usize, missing_seq: u64) -> Result<StreamId, CmdError> {
    StreamId::parse(ctx.args.at(index), missing_seq).ok_or(INVALID_ID)
}

/// A bound of a range of ids at an argument: `-`, `+`, an id, or `(` and an id.
fn bound_at(ctx: &Ctx<'_>, index: usize, is_start: bool) -> Result<StreamId, CmdError> {
    let missing_seq = if is_start { 0 } else { u64::MAX };
    match ctx.args.at(index) {
        [b'(', id @ ..] if !id.is_empty() => {
            let id = StreamId::parse(id, missing_seq).ok_or(INVALID_ID)?;
            let (inner, refusal) = if is_start {
                (id.next(), "ERR invalid start ID for the interval")
            } else {
                (id.prev(), "ERR invalid end ID for the interval")
            };
            inner.ok_or(CmdError::coded(refusal))
        }
        id => StreamId::parse_bound(id, missing_seq).ok_or(INVALID_ID),
    }
}

/// The stream of a key that the command reads; none if there is no such key.
fn read_stream<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c Stream>, CmdError> {
    match ctx.read(key) {
        Some(handle) => Ok(Some(ctx.db_ref().value(handle).stream()?)),
        None => Ok(None),
    }
}

fn no_group(key: &[u8], group: &[u8]) -> CmdError {
    let text = format!("NOGROUP No such key '{}' or consumer group '{}'", quoted(key), quoted(group));
    CmdError::Text(text.into())
}

fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.text(&mut [0; ID_BYTES_MAX]));
}

fn reply_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Text(text) => reply.bulk(text),
        Element::Int(value) => reply.bulk_int(value),
    }
}

/// An entry as a pair of its id and its fields.
fn reply_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply_fields(reply, entry);
}

fn reply_fields(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(entry.fields.len() * 2);
    for (name, value) in entry.fields {
        reply_element(reply, name);
        reply_element(reply, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn words(line: &str) -> Vec<Bytes> {
        line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn streams_are_behind_the_word_that_is_no_argument() {
        let places = |line: &str| -> Vec<usize> {
            streams(Args::Owned(&words(line))).iter().map(|at| at.index).collect()
        };
        assert_eq!(places("xreadgroup group streams streams noack streams a b > >"), [6, 7]);
        assert_eq!(places("xreadgroup count streams block streams"), [0; 0]);
    }
}
