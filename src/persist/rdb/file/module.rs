//! What modules wrote: it can be named and passed over, but only the module could make sense of it.

use crate::persist::rdb::error::Stop;
use crate::persist::rdb::read::Reader;

/// Redis: `ModuleTypeNameCharSet`.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Letters of a name, six bits each.
const NAME_LETTERS: u32 = 9;
/// The lowest bits are the version of the module's own format.
const VERSION_BITS: u32 = 10;

/// What each part of a module's data begins with. Redis: `RDB_MODULE_OPCODE_…`.
const END: u64 = 0;
const SIGNED: u64 = 1;
pub(super) const UNSIGNED: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
const STRING: u64 = 5;

/// The name of a type that a module has made known.
pub(super) fn name(id: u64) -> String {
    let letter = |i: u32| {
        let shift = VERSION_BITS + 6 * (NAME_LETTERS - 1 - i);
        char::from(LETTERS[(id >> shift) as usize & 63])
    };
    (0..NAME_LETTERS).map(letter).collect()
}

/// Passes over one part of a module's data; false when it was the end.
pub(super) fn pass_over(reader: &mut Reader<'_>) -> Result<bool, Stop> {
    match reader.len()? {
        END => return Ok(false),
        SIGNED | UNSIGNED => {
            reader.len()?;
        }
        FLOAT => {
            reader.take(4)?;
        }
        DOUBLE => {
            reader.take(8)?;
        }
        STRING => {
            reader.span()?;
        }
        _ => return Err(Stop::Bad("Unknown part in the data of a module")),
    }
    Ok(true)
}
