//! Integrity lines: what stands in front of a batch of commands and says how long it is and what its checksum is.
//!
//! ```text
//! #HDR:v1;len:58;synced:1812;checksum:10382760171183203462;\r\n     then 58 bytes
//! ```
//!
//! To a server that does not know it such a line is a remark, for it begins with `#`. The form is the one proposed for Valkey
//! (valkey-io/valkey#3565): `len` comes first, `checksum`, if it is there, last, both in decimal digits; between them other
//! fields may stand. `synced` says how many bytes of the file, from its beginning, were known to be durable when the line was
//! made; without it nothing is known of that. The sum is the CRC-64 of dump files. It goes on from that of the batch before, over the line up to
//! `checksum:` and then over the batch, so that a batch which is missing is noticed too. A server that opens a file to write
//! after what it holds begins a sum anew; a reader takes either.

use crate::base::crc::{crc64, join};
use std::io::Write as _;

/// With this every line begins whose form is known.
pub const PREFIX: &[u8] = b"#HDR:v1;";
/// With this a line begins that is one of another form, or damaged.
const ANY_PREFIX: &[u8] = b"#HDR:";
const LEN: &[u8] = b"len:";
const CHECKSUM: &[u8] = b"checksum:";
const SYNCED: &[u8] = b"synced:";
/// Fields that may stand in a line without a checksum, of which the second has to.
const KNOWN: [&[u8]; 2] = [b"replid", OFFSET];
const OFFSET: &[u8] = b"reploff";

/// The line for a batch that consists of these pieces, after batches with the checksum `before`, in a file of which so many
/// bytes are durable, if that is to be said; and the checksum with which the next goes on.
pub fn line(before: u64, synced: Option<u64>, pieces: &[impl AsRef<[u8]>]) -> (Vec<u8>, u64) {
    let len: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
    let mut line = Vec::with_capacity(64);
    write!(line, "#HDR:v1;len:{len};").expect("a vector takes every write");
    if let Some(synced) = synced {
        write!(line, "synced:{synced};").expect("a vector takes every write");
    }
    line.extend_from_slice(CHECKSUM);
    let sum = pieces.iter().fold(crc64(before, &line), |sum, piece| crc64(sum, piece.as_ref()));
    write!(line, "{sum};\r\n").expect("a vector takes every write");
    (line, sum)
}

/// What a line that begins with `#` says of the batch after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing.
    None,
    /// Its length, but no checksum.
    Unchecked,
    /// Its length and its checksum.
    Batch(Batch),
    /// It should say something, and is damaged, or of a form that is not known. The bytes of the batch, where they can be read.
    Damaged(Option<u64>),
}

/// What an integrity line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Bytes of the batch.
    pub len: u64,
    /// Bytes of the file that were durable when the line was made; none where it does not say.
    pub synced: Option<u64>,
    /// The checksum.
    pub checksum: u64,
    /// Bytes of the line that count for it.
    pub summed: usize,
}

impl Batch {
    /// The checksum of a batch after this line, after batches with the checksum `before`.
    pub fn sum(&self, before: u64, line: &[u8], bytes: &[u8]) -> u64 {
        crc64(crc64(before, &line[..self.summed]), bytes)
    }

    /// Whether a batch with this sum after those before is as the line says, in a sum that goes on from them or one that begins
    /// anew.
    pub fn is_right(&self, before: u64, sum: u64) -> bool {
        sum == self.checksum || sum ^ join(before, 0, self.len + self.summed as u64) == self.checksum
    }
}

/// Reads a line, its line end included.
pub fn parse(line: &[u8]) -> Line {
    let says = |word: &[u8]| line.windows(word.len()).any(|window| window == word);
    if !line.starts_with(ANY_PREFIX) && !says(b";len:") && !says(b";checksum:") {
        return Line::None;
    }
    well_formed(line).unwrap_or_else(|| {
        let at = line.windows(LEN.len()).position(|window| window == LEN);
        Line::Damaged(at.and_then(|at| number(line[at + LEN.len()..].split(|&byte| byte == b';').next()?)))
    })
}

/// What a line says that is as it should be.
fn well_formed(line: &[u8]) -> Option<Line> {
    let fields = line.strip_prefix(PREFIX)?.strip_suffix(b";\r\n")?;
    let mut fields = fields.split(|&byte| byte == b';').peekable();
    let len = number(fields.next()?.strip_prefix(LEN)?)?;
    let (mut are_known, mut has_offset, mut synced) = (true, false, None);
    while let Some(field) = fields.next() {
        if let Some(digits) = field.strip_prefix(CHECKSUM) {
            let summed = line.len() - b";\r\n".len() - digits.len();
            let checksum = number(digits)?;
            return fields.peek().is_none().then_some(Line::Batch(Batch { len, synced, checksum, summed }));
        }
        let at = field.iter().position(|&byte| byte == b':')?;
        let is_token = |text: &[u8]| {
            let mut bytes = text.iter();
            !text.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
        };
        if !is_token(&field[..at]) || !is_token(&field[at + 1..]) {
            return None;
        }
        if let Some(digits) = field.strip_prefix(SYNCED) {
            synced = Some(number(digits)?);
        }
        are_known &= KNOWN.contains(&&field[..at]);
        has_offset |= &field[..at] == OFFSET;
    }
    // A damaged name of the checksum must not be taken for a field of which nothing is known.
    (are_known && has_offset).then_some(Line::Unchecked)
}

/// What a damaged line leaves to go on from: all numbers in it that may be its checksum.
pub(super) fn numbers(line: &[u8]) -> impl Iterator<Item = u64> {
    let runs = line.split(|byte| !byte.is_ascii_digit()).filter(|run| !run.is_empty());
    // What stands around a number may have become a digit.
    runs.flat_map(|run| [run, &run[1..], &run[..run.len() - 1]]).filter_map(number)
}

/// The part of a damaged line that counts for its checksum, where it can be found.
pub(super) fn summed_part(line: &[u8]) -> Option<&[u8]> {
    let at = line.windows(CHECKSUM.len()).position(|window| window == CHECKSUM)?;
    Some(&line[..at + CHECKSUM.len()])
}

/// Whether a damaged line says what was durable.
pub(super) fn says_synced(line: &[u8]) -> bool {
    line.windows(SYNCED.len()).any(|window| window == SYNCED)
}

/// A number without anything around it, and without a zero in front.
fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let is_padded = digits.len() > 1 && digits[0] == b'0';
    if !is_plain || is_padded {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_length_and_sum_and_the_sum_goes_on() {
        let (first, sum) = line(0, None, &[b"*1\r\n$4\r\nPING\r\n"]);
        let text = String::from_utf8(first.clone()).expect("it is text");
        assert_eq!(text, format!("#HDR:v1;len:14;checksum:{sum};\r\n"));
        assert_eq!(sum, crc64(0, b"#HDR:v1;len:14;checksum:*1\r\n$4\r\nPING\r\n"));
        let (second, next) = line(sum, Some(58), &[&b"*1\r\n$4\r\n"[..], b"PONG\r\n"]);
        let Line::Batch(batch) = parse(&second) else { panic!("{:?}", parse(&second)) };
        assert_eq!((batch.len, batch.synced, batch.checksum), (14, Some(58), next));
        assert!(second.starts_with(b"#HDR:v1;len:14;synced:58;checksum:"));
        let with = |before: u64, bytes: &[u8]| batch.is_right(before, batch.sum(before, &second, bytes));
        assert!(with(sum, b"*1\r\n$4\r\nPONG\r\n"));
        assert!(!with(sum, b"*1\r\n$4\r\nPANG\r\n") && !with(sum + 1, b"*1\r\n$4\r\nPONG\r\n"));
        // One that begins anew is right after anything.
        let Line::Batch(batch) = parse(&first) else { panic!("{text}") };
        let bytes = b"*1\r\n$4\r\nPING\r\n";
        assert!(batch.is_right(7, batch.sum(7, &first, bytes)));
        assert!(!batch.is_right(7, batch.sum(7, &first, b"*1\r\n$4\r\nPONG\r\n")));
    }

    #[test]
    fn other_fields_are_passed_over_and_no_checksum_is_none() {
        let said = |text: &str| parse(format!("{text}\r\n").as_bytes());
        assert_eq!(said("#TS:1790000000"), Line::None);
        assert_eq!(said("#"), Line::None);
        assert_eq!(said("#HDR:v1;len:45;replid:a1b2;reploff:100;"), Line::Unchecked);
        let all = said("#HDR:v1;len:45;replid:a1b2;new_one:x;checksum:12;");
        assert_eq!(all, Line::Batch(Batch { len: 45, synced: None, checksum: 12, summed: 46 }));
        for text in [
            "#HDR:v2;len:45;checksum:12;",
            "#HDR:v1;checksum:12;len:45;",
            "#HDR:v1;len:45;checksum:12;replid:a;",
            "#HDR:v1;len:45;checksul:12;",
            "#HDR:v1;len:45;synced:12;",
            "#HDR:v1;len:45;synced:x;checksum:12;",
            "#HDR:v1;len:45;",
            "#HDR:v1;len:045;checksum:12;",
            "#HDR:v1;len:45;checksum:99999999999999999999;",
            "#HDR:v1;len:45;checksum:12",
            "#HDR:v1",
            "#HDS:v1;len:45;checksum:12;",
        ] {
            assert!(matches!(said(text), Line::Damaged(_)), "{text}: {:?}", said(text));
        }
        assert_eq!(said("#HDS:v1;len:45;checksum:12;"), Line::Damaged(Some(45)));
        assert_eq!(said("#HDR:v1;lin:45;checksum:12;"), Line::Damaged(None));
    }

    #[test]
    fn no_flipped_bit_of_a_line_is_passed_over() {
        let bytes = b"*1\r\n$4\r\nPING\r\n";
        let (sound, _) = line(99, Some(1812), &[bytes]);
        for bit in 8..8 * sound.len() {
            let mut text = [&sound[..], bytes].concat();
            text[bit / 8] ^= 1 << (bit % 8);
            // The line ends where the next line feed is.
            let end = text.iter().position(|&byte| byte == b'\n').expect("one is left") + 1;
            match parse(&text[..end]) {
                Line::Damaged(_) => {}
                Line::Batch(batch) => {
                    let Some(rest) = text.get(end..end + batch.len as usize) else { continue };
                    assert!(!batch.is_right(99, batch.sum(99, &text[..end], rest)), "bit {bit}");
                }
                other => panic!("bit {bit}: {other:?}"),
            }
        }
    }
}
