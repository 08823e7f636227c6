//! What the manifest of a sealed backup says besides the files: when it was made, and the checksums of all of them.
//!
//! ```text
//! # backup start 1790000000 end 1790000060
//! file appendonly.aof.2.base.rdb seq 2 type b
//! file appendonly.aof.2.incr.aof seq 2 type i startoffset 0
//! # crc64 9b3a6c1f00d2e455 bytes 88412 file appendonly.aof.2.base.rdb
//! # crc64 02d7f6a1c3348e90 bytes 1812 file appendonly.aof.2.incr.aof
//! # crc64 51c0de7794aa1b02 bytes 263
//! ```
//!
//! The last line is about the text above it. Lines with `#` are remarks to every server that reads a manifest.

use super::manifest::Manifest;
use crate::base::crc::crc64;
use crate::base::quote::{repr, split_args};
use std::fmt::Write as _;

const HEAD: &[u8] = b"# backup ";
const SUM: &[u8] = b"# crc64 ";

/// The checksum of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Its name, without a folder.
    pub name: Vec<u8>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Their CRC-64.
    pub crc: u64,
}

/// See the head of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// Unix seconds at which the backup was begun.
    pub start_unix_s: u64,
    /// Unix seconds at which it was sealed.
    pub end_unix_s: u64,
    /// One of each file.
    pub sums: Vec<Sum>,
}

impl Seal {
    /// The text of the manifest.
    pub fn text(&self, manifest: &Manifest) -> String {
        let Seal { start_unix_s, end_unix_s, sums } = self;
        let mut text = format!("# backup start {start_unix_s} end {end_unix_s}\n{}", manifest.text());
        for Sum { name, bytes, crc } in sums {
            let _ = writeln!(text, "# crc64 {crc:016x} bytes {bytes} file {}", repr(name));
        }
        let (crc, bytes) = (crc64(0, text.as_bytes()), text.len());
        let _ = writeln!(text, "# crc64 {crc:016x} bytes {bytes}");
        text
    }

    /// What the text of a manifest says; none where it is not that of a backup.
    ///
    /// # Errors
    ///
    /// What is wrong with the text: it is not as it was written.
    pub fn parse(text: &[u8]) -> Result<Option<Seal>, &'static str> {
        const DAMAGED: &str = "the manifest of the backup is damaged";
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        if !lines.iter().any(|line| line.starts_with(HEAD) || line.starts_with(SUM)) {
            return Ok(None);
        }
        let (Some(head), Some(last)) = (lines.first(), lines.last()) else { return Err(DAMAGED) };
        let above = &text[..text.len() - last.len()];
        let whole = format!("# crc64 {:016x} bytes {}\n", crc64(0, above), above.len());
        if *last != whole.as_bytes() {
            return Err(DAMAGED);
        }
        let words = split_args(head).ok_or(DAMAGED)?;
        let number = |at: usize| -> Option<u64> { std::str::from_utf8(words.get(at)?).ok()?.parse().ok() };
        let (start_unix_s, end_unix_s) = number(3).zip(number(5)).ok_or(DAMAGED)?;
        let sums = lines[..lines.len() - 1].iter().filter(|line| line.starts_with(SUM));
        let sums = sums.map(|line| sum_of(line)).collect::<Option<Vec<Sum>>>().ok_or(DAMAGED)?;
        Ok(Some(Seal { start_unix_s, end_unix_s, sums }))
    }

    /// The checksum of a file; none where there is no line about it.
    pub fn of(&self, name: &[u8]) -> Option<&Sum> {
        self.sums.iter().find(|sum| sum.name == name)
    }
}

/// What a line says of a file.
fn sum_of(line: &[u8]) -> Option<Sum> {
    let words = split_args(line)?;
    let [_, _, crc, _, bytes, _, name] = &words[..] else { return None };
    let crc = u64::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    let bytes = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    Some(Sum { name: name.clone(), bytes, crc })
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Form, Names};
    use super::*;

    fn sealed() -> (Manifest, Seal) {
        let mut manifest = Manifest::default();
        let names = Names("append only.aof");
        manifest.finish_rewrite(names, Form::Dump, 0);
        manifest.open_increment(names, 7);
        let sums =
            manifest.needed().map(|file| Sum { name: file.name.clone(), bytes: 3, crc: 0x0102 }).collect();
        (manifest, Seal { start_unix_s: 5, end_unix_s: 9, sums })
    }

    #[test]
    fn what_is_written_is_read_and_every_reader_of_manifests_reads_the_files() {
        let (manifest, seal) = sealed();
        let text = seal.text(&manifest);
        assert_eq!(Seal::parse(text.as_bytes()), Ok(Some(seal.clone())));
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest.clone()));
        assert_eq!(Seal::parse(manifest.text().as_bytes()), Ok(None));
        assert_eq!(seal.of(b"append only.aof.1.base.rdb").map(|sum| sum.bytes), Some(3));
        assert_eq!(seal.of(b"another"), None);
    }

    #[test]
    fn every_byte_that_differs_is_noticed() {
        let (manifest, seal) = sealed();
        let text = seal.text(&manifest).into_bytes();
        for at in 0..text.len() {
            let mut damaged = text.clone();
            damaged[at] ^= 1;
            assert!(Seal::parse(&damaged).is_err(), "{}", String::from_utf8_lossy(&damaged));
            assert!(Seal::parse(&text[..at]) != Ok(Some(seal.clone())));
        }
    }
}
