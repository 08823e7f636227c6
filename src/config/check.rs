//! Conditions on values beyond their kind. The errors are Redis's.

use std::net::{Ipv4Addr, Ipv6Addr};

type Checked = Result<(), &'static str>;

/// There is no allocator here that can tell where a value should move.
pub(super) fn activedefrag(value: &[u8]) -> Checked {
    ensure(
        value == b"no",
        "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc \
         like the one shipped by default with the Redis source distribution",
    )
}

/// A file name without a path.
pub(super) fn dbfilename(value: &[u8]) -> Checked {
    ensure(is_base_name(value), "dbfilename can't be a path, just a filename")
}

/// A file name without a path, not empty.
pub(super) fn appendfilename(value: &[u8]) -> Checked {
    ensure(!value.is_empty(), "appendfilename can't be empty")?;
    ensure(is_base_name(value), "appendfilename can't be a path, just a filename")
}

/// A directory name without a path, not empty.
pub(super) fn appenddirname(value: &[u8]) -> Checked {
    ensure(!value.is_empty(), "appenddirname can't be empty")?;
    ensure(is_base_name(value), "appenddirname can't be a path, just a dirname")
}

/// A directory name without a path, not empty.
pub(super) fn backupdirname(value: &[u8]) -> Checked {
    ensure(!value.is_empty(), "backupdirname can't be empty")?;
    ensure(is_base_name(value), "backupdirname can't be a path, just a dirname")
}

/// What is loaded at the start: a kind and an absolute path, or nothing.
pub(super) fn preload_file(value: &[u8]) -> Checked {
    if value.is_empty() {
        return Ok(());
    }
    let path = value.strip_prefix(b"aof:/").or_else(|| value.strip_prefix(b"rdb:/"));
    ensure(path.is_some(), "argument must be in the format '[aof|rdb]:[filename]'")?;
    let mut parts = path.unwrap_or_default().split(|&byte| byte == b'/');
    ensure(
        !parts.any(|part| matches!(part, b"" | b"." | b"..")),
        "preload-file path must be a normalized absolute file path",
    )?;
    let dot = value.iter().rposition(|&byte| byte == b'.');
    ensure(dot.is_some_and(|at| at + 1 < value.len()), "preload-file must end with an extension")
}

/// A host name that may stand in a redirection.
pub(super) fn announced_hostname(value: &[u8]) -> Checked {
    ensure(value.len() < 256, "Hostnames must be less than 256 characters")?;
    ensure(
        value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')),
        "Hostnames may only contain alphanumeric characters, hyphens or dots",
    )
}

/// A name that may stand in the file of the cluster.
pub(super) fn announced_nodename(value: &[u8]) -> Checked {
    ensure(
        !value.iter().any(|byte| b"!#$%&()*+:;<>?@[]^{|}~".contains(byte)),
        "Announced human node name contained invalid character",
    )
}

/// An IPv4 address, or nothing.
pub(super) fn ipv4(value: &[u8]) -> Checked {
    ensure(value.is_empty() || parses::<Ipv4Addr>(value), "Invalid IPv4 address")
}

/// An IPv6 address, or nothing.
pub(super) fn ipv6(value: &[u8]) -> Checked {
    ensure(value.is_empty() || parses::<Ipv6Addr>(value), "Invalid IPv6 address")
}

/// A seed that fits the hash function.
pub(super) fn hash_seed(value: &[u8]) -> Checked {
    ensure(value.len() <= HASH_SEED_BYTES_MAX, "hash-seed must be less than or equal to 256 characters")
}

/// Longest seed that Valkey takes.
const HASH_SEED_BYTES_MAX: usize = 256;

/// A template that names only variables that exist, and that does not always come out empty.
pub(super) fn proc_title(value: &[u8]) -> Checked {
    let visible = title_is_visible(value);
    ensure(visible == Some(true), "template format is invalid or contains unknown variables")
}

/// Whether the template yields anything when the variables that may be empty are. `None`: it is malformed.
fn title_is_visible(mut rest: &[u8]) -> Option<bool> {
    let mut visible = false;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'{' {
            visible |= *byte != b' ';
        } else if let [b'{', tail @ ..] = tail {
            visible = true;
            rest = tail;
        } else {
            let end = tail.iter().position(|&byte| byte == b'}')?;
            visible |= match &tail[..end] {
                b"listen-addr" | b"port" | b"tls-port" | b"config-file" => true,
                b"title" | b"server-mode" | b"unixsocket" => false,
                _ => return None,
            };
            rest = &tail[end + 1..];
        }
    }
    Some(visible)
}

fn ensure(condition: bool, error: &'static str) -> Checked {
    if condition { Ok(()) } else { Err(error) }
}

fn is_base_name(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

fn parses<T: std::str::FromStr>(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok_and(|text| text.parse::<T>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::proc_title;

    #[test]
    fn a_title_names_known_variables_and_is_not_empty() {
        for good in ["{title} {listen-addr} {server-mode}", "--my--title--template", "{{x", "{port}"] {
            assert_eq!(proc_title(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["", "  ", "{title}", "{x}", "a {", "{port"] {
            assert!(proc_title(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
