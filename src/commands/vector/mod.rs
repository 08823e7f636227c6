//! Vector sets: elements with vectors, and which of them are near to what.
//!
//! To Redis these are commands of a module, so their rows have no ACL categories, and say of every key that it is written. Searches
//! end the batch of requests that they came in, since each of them may take most of the time that a client is served for.

mod add;
mod argument;
mod attributes;
mod filter;
mod links;
mod look;
mod pace;
mod search;

use crate::engine::ctx::{Ctx, Key};
use crate::engine::error::CmdError;
use crate::engine::spec::flag::{BARRIER, DENYOOM, FAST, READONLY, WRITE};
use crate::engine::spec::{Group, KeySpec, Spec, key, key_at};
use crate::keyspace::types::VectorSet;

const KEY: &[KeySpec] = &[key_at(1, key::RW | key::ACCESS | key::UPDATE)];
const MAY_WAIT: &str = "what would take long goes on in slices";
const LOG: &str = "O(log(N)) where N is the number of elements.";

pub(super) const COMMANDS: &[Spec] = &[
    Spec::global("vadd", -5, add::vadd, MAY_WAIT)
        .of_module("vectorset")
        .flags(WRITE | DENYOOM | BARRIER)
        .keys(KEY)
        .doc(Group::Module, "8.0.0", LOG, "Adds an element with its vector, or gives it another vector.")
        .syntax(
            "key@0 REDUCE=reduce{dim:integer}? format(FP32 | VALUES) vector element CAS? \
             quant_type(NOQUANT | BIN | Q8)? EF=build-exploration-factor:integer? SETATTR=attributes? \
             M=numlinks:integer?",
        ),
    row("vrem", 3, add::vrem, WRITE)
        .doc(Group::Module, "8.0.0", LOG, "Removes an element; a set without elements is gone.")
        .syntax("key@0 element"),
    Spec::global("vsim", -4, search::vsim, MAY_WAIT)
        .of_module("vectorset")
        .flags(READONLY | BARRIER)
        .keys(KEY)
        .doc(Group::Module, "8.0.0", LOG, "Gives the elements that are nearest to a vector or an element.")
        .syntax(
            "key@0 format(ELE | FP32 | VALUES) vector_or_element WITHSCORES? WITHATTRIBS? COUNT=count:integer? \
             EPSILON=max_distance:double? EF=search-exploration-factor:integer? FILTER=expression? \
             FILTER-EF=max-filtering-effort:integer? TRUTH? NOTHREAD?",
        ),
    row("vdim", 2, look::vdim, READONLY | FAST)
        .doc(Group::Module, "8.0.0", "O(1)", "Tells how many numbers a vector has.")
        .syntax("key@0"),
    row("vcard", 2, look::vcard, READONLY | FAST)
        .doc(Group::Module, "8.0.0", "O(1)", "Counts the elements.")
        .syntax("key@0"),
    row("vemb", -3, look::vemb, READONLY | FAST)
        .doc(Group::Module, "8.0.0", "O(1)", "Gives the vector of an element.")
        .syntax("key@0 element RAW?"),
    row("vlinks", -3, links::vlinks, READONLY | FAST)
        .doc(Group::Module, "8.0.0", "O(1)", "Gives the elements that an element is linked with, level by level.")
        .syntax("key@0 element WITHSCORES?"),
    row("vinfo", 2, links::vinfo, READONLY | FAST)
        .doc(Group::Module, "8.0.0", "O(1)", "Tells of what a vector set consists.")
        .syntax("key@0"),
    row("vsetattr", 4, attributes::vsetattr, WRITE | FAST)
        .doc(Group::Module, "8.0.0", "O(1)", "Sets the attributes of an element, or removes them.")
        .syntax("key@0 element json"),
    row("vgetattr", 3, attributes::vgetattr, READONLY | FAST)
        .doc(Group::Module, "8.0.0", "O(1)", "Gives the attributes of an element.")
        .syntax("key@0 element"),
    row("vrandmember", -2, look::vrandmember, READONLY)
        .doc(Group::Module, "8.0.0", "O(N) where N is the count.", "Gives elements by chance.")
        .syntax("key@0 count:integer?"),
    row("vismember", 3, look::vismember, READONLY)
        .doc(Group::Module, "8.2.0", "O(1)", "Tells whether something is an element.")
        .syntax("key@0 element"),
    row("vrange", -4, look::vrange, READONLY)
        .doc(
            Group::Module,
            "8.4.0",
            "O(log(N)+M) where N is the number of elements and M of those given.",
            "Gives the elements between two names, in order.",
        )
        .syntax("key@0 start end count:integer?"),
];

const fn row(name: &'static str, arity: i16, run: crate::engine::spec::Handler, flags: u32) -> Spec {
    Spec::local(name, arity, run).of_module("vectorset").flags(flags).keys(KEY)
}

/// The vector set of a key that a command reads; none: there is no such key.
fn read<'c>(ctx: &'c mut Ctx<'_>, key: Key<'_>) -> Result<Option<&'c VectorSet>, CmdError> {
    let Some(handle) = ctx.read(key) else { return Ok(None) };
    Ok(Some(ctx.db_ref().value(handle).vectors()?))
}
