//! The commands, one file or folder a family: first the table of rows, then the handlers.

mod acl;
mod backup;
mod bitmap;
mod client;
mod cluster;
mod command;
mod config;
mod connection;
pub mod debug;
mod function;
mod generic;
mod geo;
mod hash;
mod help;
mod hotkeys;
mod hyperloglog;
mod info;
mod latency;
mod list;
mod lolwut;
mod memory;
mod migrate;
mod persistence;
mod pubsub;
mod replication;
mod scan;
mod script;
mod server;
mod set;
mod slowlog;
mod stream;
mod string;
mod transaction;
mod vector;
mod zset;

pub use command::markdown;

use crate::base::limit::RANDOM_PICKS_MAX;
use crate::config::{Config, OutputLimit};
use crate::engine::Call;
use crate::engine::ctx::Ctx;
use crate::engine::error::{CmdError, quoted};
use crate::engine::spec::Spec;
use crate::resp::Reply;
use crate::structures::listpack::Element;

/// The rows of all families.
pub const FAMILIES: &[&[Spec]] = &[
    acl::COMMANDS,
    backup::COMMANDS,
    bitmap::COMMANDS,
    client::COMMANDS,
    cluster::COMMANDS,
    command::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    debug::COMMANDS,
    function::COMMANDS,
    generic::DUMP,
    generic::EXPIRE,
    generic::FLUSH,
    generic::KEYS,
    generic::OBJECT,
    generic::SCAN,
    generic::SORT,
    generic::WAIT,
    geo::COMMANDS,
    hash::COMMANDS,
    hotkeys::COMMANDS,
    hyperloglog::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    list::COMMANDS,
    lolwut::COMMANDS,
    memory::COMMANDS,
    migrate::COMMANDS,
    pubsub::COMMANDS,
    script::COMMANDS,
    persistence::COMMANDS,
    replication::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    slowlog::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
    vector::COMMANDS,
    zset::COMMANDS,
];

/// The answer to a subcommand that takes fewer arguments than it got.
fn unknown_form(call: &Call<'_>) -> CmdError {
    let container = String::from_utf8_lossy(call.args.at(0)).to_ascii_uppercase();
    let sub = quoted(call.args.at(1));
    CmdError::err(format!(
        "unknown subcommand or wrong number of arguments for '{sub}'. Try {container} HELP."
    ))
}

/// Whether so many picks may be given that may repeat each other. Where the output of a client is bounded, any number may
/// be asked for, and the giving stops at the bound: see [`is_too_much`].
fn allows_picks(ctx: &Ctx<'_>, count: usize) -> bool {
    count as u64 <= RANDOM_PICKS_MAX || hard_limit_bytes(ctx.conf) > 0
}

/// The hard limit of what waits for a client; 0: none.
fn hard_limit_bytes(conf: &Config) -> u64 {
    conf.client_output_buffer_limits[OutputLimit::NORMAL].hard_bytes
}

/// Whether a reply is so long that its client will be dropped, so that no more of it is needed.
fn is_too_much(reply: &mut Reply<'_>, hard_limit_bytes: u64) -> bool {
    hard_limit_bytes > 0 && reply.output().len() as u64 > hard_limit_bytes
}

/// Replies with an element of a collection.
#[inline]
fn reply_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Int(value) => reply.bulk_int(value),
        Element::Text(text) => reply.bulk(text),
    }
}
