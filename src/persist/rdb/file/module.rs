//! What modules wrote: it can be named and passed over, but only the module could make sense of it. One module's values are
//! known here, those of vector sets.

use crate::persist::rdb::error::Stop;
use crate::persist::rdb::read::Reader;

/// Redis: `ModuleTypeNameCharSet`.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Letters of a name, six bits each.
const NAME_LETTERS: u32 = 9;
/// The lowest bits are the version of the module's own format.
const VERSION_BITS: u32 = 10;

/// What each part of a module's data begins with. Redis: `RDB_MODULE_OPCODE_…`.
pub(in crate::persist::rdb) const END: u64 = 0;
const SIGNED: u64 = 1;
pub(in crate::persist::rdb) const UNSIGNED: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
pub(in crate::persist::rdb) const STRING: u64 = 5;

/// Vector sets, in the only version of their form.
pub(in crate::persist::rdb) const VECTOR_SET: u64 = id(b"vectorset");

/// What stands for a name in files.
const fn id(name: &[u8; NAME_LETTERS as usize]) -> u64 {
    let (mut id, mut i) = (0, 0);
    while i < name.len() {
        let mut letter = 0;
        while LETTERS[letter] != name[i] {
            letter += 1;
        }
        id = id << 6 | letter as u64;
        i += 1;
    }
    id << VERSION_BITS
}

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
