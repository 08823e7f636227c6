//! Commands on keys of any type.

mod object;

pub(super) use object::COMMANDS as OBJECT;
