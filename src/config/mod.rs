//! The configuration of the server, as a machine without files or sockets.
//!
//! One table has a row for every directive of Redis 7.0, Redis 8.0 and Valkey 9.1; everything else follows from it:
//!
//! * [`Config::new`] holds the defaults, one typed field for each directive that the server reads;
//! * [`arguments()`] turns the command line into lines of a file, [`Config::parse_file`] reads lines;
//! * [`Config::get`] and [`Config::set`] are CONFIG GET and SET; what a change asks for is an [`Effect`],
//!   carried out by the caller, and taken back with all other changes if that fails;
//! * [`rewrite()`] is CONFIG REWRITE, [`markdown`] the manual, [`command`] the text of `--help`.
//!
//! A new setting is one row in `table/` and one field in `settings.rs`.

mod arguments;
mod check;
mod directive;
mod file;
mod get;
mod manual;
mod number;
mod rewrite;
mod set;
mod settings;
mod syntax;
mod table;
mod unheeded;
mod values;

/// Whether what is set under a name is kept out of what others may see.
pub fn is_sensitive(name: &[u8]) -> bool {
    table::find(name).is_some_and(|row| row.flags.sensitive)
}

#[cfg(test)]
mod tests;

pub use crate::base::REDIS_VERSION;
pub use arguments::{Run, Start, arguments, command};
pub use directive::{Check, Directive, Effect, Flags, Kind, Line, Origin, Source, SpecialSet, Standing, Why};
pub use file::{FileError, Include, UserLine};
pub use manual::markdown;
pub use number::Unit;
pub use rewrite::{rewrite, rewrite_all};
pub use set::{Asker, Change, SetError};
pub use settings::Config;
pub use table::{directives, find};
pub use values::{
    AclPubsubDefault, AppendFsync, Choice, DisklessLoad, Integer, LogFormat, LogLevel, LogTimestamp,
    MaxmemoryPolicy, Notifications, OomScoreAdj, OutputLimit, Permission, PropagationError, RdbVersion,
    RdbVersionCheck, SanitizeDump, ShutdownOn, Supervised, SyslogFacility,
};
