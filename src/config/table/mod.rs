//! The table: one row a directive, by area.
//!
//! A new setting is one row here and its field in [`Config`](super::Config). The order is that of CONFIG GET
//! with a pattern, of CONFIG REWRITE, and of the manual.

mod cluster;
mod keyspace;
mod memory;
mod network;
mod observe;
mod persistence;
mod process;
mod replication;
mod tls;
mod users;

use super::directive::Directive;

/// The areas: a title and its rows.
pub(super) const AREAS: &[(&str, &[Directive])] = &[
    ("Network and clients", network::ROWS),
    ("The process", process::ROWS),
    ("Memory", memory::ROWS),
    ("Keyspace and data types", keyspace::ROWS),
    ("What is observed", observe::ROWS),
    ("Persistence", persistence::ROWS),
    ("Replication", replication::ROWS),
    ("Users", users::ROWS),
    ("Cluster", cluster::ROWS),
    ("TLS", tls::ROWS),
];

/// Names that files may still hold, with one argument, and that mean nothing any more.
pub(super) const IGNORED_IN_FILES: &[&str] =
    &["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

/// All rows.
pub fn directives() -> impl Iterator<Item = &'static Directive> {
    AREAS.iter().flat_map(|(_, rows)| rows.iter())
}

/// The row of a name or an alias, in any case.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    let same = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
    directives().find(|row| same(row.name) || row.alias.is_some_and(same))
}
