//! Commands on keys of any type, and on whole databases.

mod dump;
mod expire;
mod flush;
mod keys;
mod object;
mod scan;
mod sort;
mod wait;

pub(super) use dump::COMMANDS as DUMP;
pub(super) use expire::COMMANDS as EXPIRE;
pub(super) use flush::COMMANDS as FLUSH;
pub(super) use keys::COMMANDS as KEYS;
pub(super) use object::COMMANDS as OBJECT;
pub(super) use scan::COMMANDS as SCAN;
pub(super) use sort::COMMANDS as SORT;
pub(super) use wait::COMMANDS as WAIT;
