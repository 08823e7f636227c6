//! What a script says about itself in its first line: `#!lua flags=no-writes,allow-oom`.

use crate::base::lossless;
use crate::engine::spec::flag;

/// Flags of a script or a function, one bit each.
pub mod script_flag {
    #![allow(missing_docs, reason = "the names are those that scripts write")]
    pub const NO_WRITES: u32 = 1;
    pub const ALLOW_OOM: u32 = 1 << 1;
    pub const ALLOW_STALE: u32 = 1 << 2;
    pub const NO_CLUSTER: u32 = 1 << 3;
    pub const ALLOW_CROSS_SLOT_KEYS: u32 = 1 << 4;
    /// It said nothing: an EVAL as it was before there were flags.
    pub const COMPATIBLE: u32 = 1 << 5;
}

/// Names of the flags, in the order in which FUNCTION LIST shows them.
pub const NAMES: &[(u32, &str)] = &[
    (script_flag::NO_WRITES, "no-writes"),
    (script_flag::ALLOW_OOM, "allow-oom"),
    (script_flag::ALLOW_STALE, "allow-stale"),
    (script_flag::NO_CLUSTER, "no-cluster"),
    (script_flag::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
];

/// The bit of a name.
pub fn named(name: &[u8]) -> Option<u32> {
    NAMES.iter().find(|(_, known)| known.as_bytes() == name).map(|(bit, _)| *bit)
}

/// The first line of a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shebang {
    /// Bits of [`script_flag`].
    pub flags: u32,
    /// Bytes before the code; the line end stays, so that errors count lines right.
    pub bytes: usize,
}

/// Reads the first line of a script for EVAL.
///
/// # Errors
///
/// What is wrong with it, with its code.
pub fn of_script(text: &[u8]) -> Result<Shebang, String> {
    if !text.starts_with(b"#!") {
        return Ok(Shebang { flags: script_flag::COMPATIBLE, bytes: 0 });
    }
    let Some(bytes) = text.iter().position(|byte| *byte == b'\n') else {
        return Err("ERR Invalid script shebang".to_owned());
    };
    let shown = |word: &[u8]| lossless::from_bytes(word).into_owned();
    let words = crate::base::quote::split_args(&text[..bytes]);
    let mut words = words.ok_or("ERR Invalid engine in script shebang")?.into_iter();
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err(format!("ERR Unexpected engine in script shebang: {}", shown(&engine)));
    }
    let mut flags = 0;
    for word in words {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(format!("ERR Unknown lua shebang option: {}", shown(&word)));
        };
        for name in names.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
            let unknown = || format!("ERR Unexpected flag in script shebang: {}", shown(name));
            flags |= named(name).ok_or_else(unknown)?;
        }
    }
    Ok(Shebang { flags, bytes })
}

/// The first line of a library.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// Name of the engine, as it was written.
    pub engine: String,
    /// Name of the library.
    pub name: String,
    /// Bytes before the code.
    pub bytes: usize,
}

/// Reads the first line of a library: engine and name.
///
/// # Errors
///
/// What is wrong with it, with its code.
pub fn of_library(text: &[u8]) -> Result<Header, String> {
    if !text.starts_with(b"#!") {
        return Err("ERR Missing library metadata".to_owned());
    }
    let Some(bytes) = text.iter().position(|byte| *byte == b'\n') else {
        return Err("ERR Invalid library metadata".to_owned());
    };
    let words = crate::base::quote::split_args(&text[..bytes]).ok_or("ERR Invalid library metadata")?;
    let mut words = words.into_iter();
    let engine = words.next().unwrap_or_default();
    let mut name: Option<Vec<u8>> = None;
    for word in words {
        match word.get(..5) {
            Some(key) if key.eq_ignore_ascii_case(b"name=") && name.is_some() => {
                return Err("ERR Invalid metadata value, name argument was given multiple times".to_owned());
            }
            Some(key) if key.eq_ignore_ascii_case(b"name=") => name = Some(word[5..].to_vec()),
            _ => return Err(format!("ERR Invalid metadata value given: {}", lossless::from_bytes(&word))),
        }
    }
    let name = name.ok_or("ERR Library name was not given")?;
    let engine = lossless::from_bytes(&engine[2.min(engine.len())..]).into_owned();
    Ok(Header { engine, name: String::from_utf8_lossy(&name).into_owned(), bytes })
}

/// The flags of EVAL or FCALL with those of what it runs: bits of [`flag`].
pub fn of_command(row_flags: u32, script_flags: u32) -> u32 {
    if script_flags & script_flag::COMPATIBLE != 0 {
        return row_flags;
    }
    let mut flags = row_flags & !(flag::STALE | flag::DENYOOM | flag::WRITE | flag::MAY_REPLICATE);
    if script_flags & (script_flag::ALLOW_OOM | script_flag::NO_WRITES) == 0 {
        flags |= flag::DENYOOM;
    }
    if script_flags & script_flag::NO_WRITES == 0 {
        flags |= flag::WRITE;
    }
    if script_flags & script_flag::ALLOW_STALE != 0 {
        flags |= flag::STALE;
    }
    flags
}
