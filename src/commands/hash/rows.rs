//! The rows of the commands on hashes.

use super::{count, expire, random, with_deadline};
use crate::engine::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::engine::spec::{Begin, Find, Group, KeySpec, Spec, acl, key, key_at};

const PER_FIELD: &str = "O(N) where N is the number of fields given.";
const ALL_FIELDS: &str = "O(N) where N is the number of fields.";
const KEY_OF_HGETEX: &[KeySpec] = &[KeySpec {
    flags: key::RW | key::ACCESS | key::UPDATE,
    begin: Begin::Index(1),
    find: Find::Range { last: 0, step: 1, limit: 0 },
    notes: "RW and UPDATE because it changes the TTL",
}];

pub(in crate::commands) const COMMANDS: &[Spec] = &[
    Spec::local("hset", -4, super::hset)
        .member(2)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "2.0.0", PER_FIELD, "Writes fields of a hash, which is created if need be.")
        .syntax("key@0 data{field value}+")
        .history(&[("4.0.0", "More than one `field` and `value` may be given.")]),
    Spec::local("hmset", -4, super::hmset)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "2.0.0", PER_FIELD, "Writes fields of a hash, which is created if need be.")
        .syntax("key@0 data{field value}+")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    Spec::local("hsetnx", 4, super::hsetnx)
        .member(2)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::INSERT)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Writes a field of a hash that does not have it.")
        .syntax("key@0 field value"),
    Spec::local("hget", 3, super::hget)
        .member(2)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Gives the value of a field.")
        .syntax("key@0 field"),
    Spec::local("hmget", -3, super::hmget)
        .member(2)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Hash, "2.0.0", PER_FIELD, "Gives the values of several fields.")
        .syntax("key@0 field+"),
    Spec::local("hgetall", 2, super::hgetall)
        .flags(READONLY)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output_order"])
        .doc(Group::Hash, "2.0.0", ALL_FIELDS, "Gives all fields with their values.")
        .syntax("key@0"),
    Spec::local("hkeys", 2, super::hkeys)
        .flags(READONLY)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output_order"])
        .doc(Group::Hash, "2.0.0", ALL_FIELDS, "Gives the names of all fields.")
        .syntax("key@0"),
    Spec::local("hvals", 2, super::hvals)
        .flags(READONLY)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output_order"])
        .doc(Group::Hash, "2.0.0", ALL_FIELDS, "Gives the values of all fields.")
        .syntax("key@0"),
    Spec::local("hlen", 2, super::hlen)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Counts the fields of a hash.")
        .syntax("key@0"),
    Spec::local("hstrlen", 3, super::hstrlen)
        .member(2)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::Hash, "3.2.0", "O(1)", "Tells how long the value of a field is.")
        .syntax("key@0 field"),
    Spec::local("hexists", 3, super::hexists)
        .member(2)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Tells whether a hash has a field.")
        .syntax("key@0 field"),
    Spec::local("hdel", -3, super::hdel)
        .member(2)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::DELETE)])
        .doc(Group::Hash, "2.0.0", PER_FIELD, "Removes fields; a hash without fields is gone.")
        .syntax("key@0 field+")
        .history(&[("2.4.0", "More than one `field` may be given.")]),
    Spec::local("hincrby", 4, count::hincrby)
        .member(2)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::Hash, "2.0.0", "O(1)", "Adds an integer to the number in a field.")
        .syntax("key@0 field increment:integer"),
    Spec::local("hincrbyfloat", 4, count::hincrbyfloat)
        .member(2)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::UPDATE)])
        .doc(Group::Hash, "2.6.0", "O(1)", "Adds a floating-point number to the number in a field.")
        .syntax("key@0 field increment:double"),
    Spec::local("hrandfield", -2, random::hrandfield)
        .flags(READONLY)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output"])
        .doc(Group::Hash, "6.2.0", "O(N) where N is the absolute count.", "Gives fields of a hash by chance.")
        .syntax("key@0 options{count:integer WITHVALUES?}?"),
    Spec::local("hscan", -3, super::hscan)
        .flags(READONLY)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output"])
        .doc(Group::Hash, "2.8.0", "O(1) a call; O(N) for the whole walk, where N is the number of fields.", "Gives the fields of a hash, a few a call.")
        .syntax("key@0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer? NOVALUES?"),
    Spec::local("hexpire", -6, expire::hexpire)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Lets fields live for so many seconds.")
        .syntax("key@0 seconds:integer condition(NX | XX | GT | LT)? FIELDS=fields{numfields:integer field+}"),
    Spec::local("hpexpire", -6, expire::hpexpire)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Lets fields live for so many milliseconds.")
        .syntax("key@0 milliseconds:integer condition(NX | XX | GT | LT)? FIELDS=fields{numfields:integer field+}"),
    Spec::local("hexpireat", -6, expire::hexpireat)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Lets fields live until a time in Unix seconds.")
        .syntax("key@0 unix-time-seconds:unix-time condition(NX | XX | GT | LT)? FIELDS=fields{numfields:integer field+}"),
    Spec::local("hpexpireat", -6, expire::hpexpireat)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Lets fields live until a time in Unix milliseconds.")
        .syntax("key@0 unix-time-milliseconds:unix-time condition(NX | XX | GT | LT)? FIELDS=fields{numfields:integer field+}"),
    Spec::local("httl", -5, expire::httl)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output"])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Tells how many seconds fields have to live.")
        .syntax("key@0 FIELDS=fields{numfields:integer field+}"),
    Spec::local("hpttl", -5, expire::hpttl)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .tips(&["nondeterministic_output"])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Tells how many milliseconds fields have to live.")
        .syntax("key@0 FIELDS=fields{numfields:integer field+}"),
    Spec::local("hexpiretime", -5, expire::hexpiretime)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Tells at which Unix second fields die.")
        .syntax("key@0 FIELDS=fields{numfields:integer field+}"),
    Spec::local("hpexpiretime", -5, expire::hpexpiretime)
        .flags(READONLY | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RO | key::ACCESS)])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Tells at which Unix millisecond fields die.")
        .syntax("key@0 FIELDS=fields{numfields:integer field+}"),
    Spec::local("hpersist", -5, expire::hpersist)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "7.4.0", PER_FIELD, "Takes the deadlines from fields.")
        .syntax("key@0 FIELDS=fields{numfields:integer field+}"),
    Spec::local("hgetdel", -5, with_deadline::hgetdel)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::ACCESS | key::DELETE)])
        .doc(Group::Hash, "8.0.0", PER_FIELD, "Gives the values of fields and removes them.")
        .syntax("key@0 FIELDS=fields{numfields:integer field+}"),
    Spec::local("hgetex", -5, with_deadline::hgetex)
        .flags(WRITE | FAST)
        .acl(acl::HASH)
        .keys(KEY_OF_HGETEX)
        .doc(Group::Hash, "8.0.0", PER_FIELD, "Gives the values of fields and changes their deadlines.")
        .syntax("key@0 expiration(EX=seconds:integer | PX=milliseconds:integer | EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | PERSIST)? FIELDS=fields{numfields:integer field+}"),
    Spec::local("hsetex", -6, with_deadline::hsetex)
        .flags(WRITE | DENYOOM | FAST)
        .acl(acl::HASH)
        .keys(&[key_at(1, key::RW | key::UPDATE)])
        .doc(Group::Hash, "8.0.0", PER_FIELD, "Writes fields together with their deadline.")
        .syntax("key@0 key-condition(NX | XX)? condition(FNX | FXX)? expiration(EX=seconds:integer | PX=milliseconds:integer | EXAT=unix-time-seconds:unix-time | PXAT=unix-time-milliseconds:unix-time | KEEPTTL)? FIELDS=fields{numfields:integer data{field value}+}"),
];
