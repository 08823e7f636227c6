//! Ziplists and zipmaps, which servers before Redis 7.0 wrote: read only.
//!
//! ```text
//! ziplist  +-----------+----------+-----------+-- entries --+------+
//!          | bytes (4) | tail (4) | count (2) | ...         | 0xff |
//! entry    +---------------------------------+----------------------------+------+
//!          | length of the one before (1, 5) | encoding and length (1..5) | data |
//! zipmap   +-------+-- pairs --+------+
//!          | count | ...       | 0xff |     pair: length, key, length, unused bytes, value, unused bytes
//! ```

/// The bytes are no ziplist, or no zipmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// Bytes of a ziplist before its entries.
const HEADER_BYTES: usize = 10;

/// The elements of a ziplist.
pub(super) fn ziplist(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Corrupt> {
    let total = u32::from_le_bytes(part(bytes, 0)?) as usize;
    let tail = u32::from_le_bytes(part(bytes, 4)?) as usize;
    let count = u16::from_le_bytes(part(bytes, 8)?);
    if total != bytes.len() || bytes.last() != Some(&0xff) {
        return Err(Corrupt);
    }
    let mut elements = Vec::new();
    // Where the entry begins that was read last, and how long it is.
    let (mut last, mut last_bytes) = (None, 0);
    let mut at = HEADER_BYTES;
    while at < total - 1 {
        let (before, from) = length_before(bytes, at)?;
        // Nobody here reads a ziplist backwards; but one that could not be read so was not written by a server.
        if before != last_bytes {
            return Err(Corrupt);
        }
        let (element, next) = entry(bytes, from)?;
        elements.push(element);
        (last, last_bytes) = (Some(at), next - at);
        at = next;
    }
    let counted = count == u16::MAX || usize::from(count) == elements.len();
    let is_tail_right = last.is_none_or(|last| last == tail);
    if at == total - 1 && counted && is_tail_right { Ok(elements) } else { Err(Corrupt) }
}

/// The length of the entry before the one that begins here, and where its encoding stands.
fn length_before(bytes: &[u8], at: usize) -> Result<(usize, usize), Corrupt> {
    match *bytes.get(at).ok_or(Corrupt)? {
        254 => Ok((u32::from_le_bytes(part(bytes, at + 1)?) as usize, at + 5)),
        255 => Err(Corrupt),
        length => Ok((usize::from(length), at + 1)),
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Corrupt> {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or(Corrupt)
}

/// The text of an entry from its encoding on, and where the next one begins.
fn entry(bytes: &[u8], at: usize) -> Result<(Vec<u8>, usize), Corrupt> {
    let first = *bytes.get(at).ok_or(Corrupt)?;
    let (from, len) = match first >> 6 {
        0 => (at + 1, usize::from(first & 0x3f)),
        1 => (at + 2, usize::from(first & 0x3f) << 8 | usize::from(part::<1>(bytes, at + 1)?[0])),
        2 => (at + 5, u32::from_be_bytes(part(bytes, at + 1)?) as usize),
        _ => {
            let (value, width) = integer(bytes, at, first)?;
            return Ok((value.to_string().into_bytes(), at + 1 + width));
        }
    };
    let end = from.checked_add(len).ok_or(Corrupt)?;
    Ok((bytes.get(from..end).ok_or(Corrupt)?.to_vec(), end))
}

/// An integer and the bytes after its encoding.
fn integer(bytes: &[u8], at: usize, first: u8) -> Result<(i64, usize), Corrupt> {
    Ok(match first {
        0xc0 => (i16::from_le_bytes(part(bytes, at + 1)?).into(), 2),
        0xd0 => (i32::from_le_bytes(part(bytes, at + 1)?).into(), 4),
        0xe0 => (i64::from_le_bytes(part(bytes, at + 1)?), 8),
        0xf0 => {
            let [a, b, c] = part(bytes, at + 1)?;
            (i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), 3)
        }
        0xfe => (i8::from_le_bytes(part(bytes, at + 1)?).into(), 1),
        0xf1..=0xfd => (i64::from(first & 0x0f) - 1, 0),
        _ => return Err(Corrupt),
    })
}

/// Stands for a number of pairs that does not fit into its byte.
const ZIPMAP_COUNT_UNKNOWN: u8 = 254;

/// Keys and values of a zipmap, in turn; there is at least one of each.
pub(super) fn zipmap(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Corrupt> {
    let mut texts = Vec::new();
    let mut at = 1;
    while let Some(len) = zipmap_len(bytes, &mut at)? {
        texts.push(take(bytes, &mut at, len)?);
        let len = zipmap_len(bytes, &mut at)?.ok_or(Corrupt)?;
        let unused = usize::from(*bytes.get(at).ok_or(Corrupt)?);
        at += 1;
        texts.push(take(bytes, &mut at, len)?);
        at += unused;
    }
    let counted = bytes[0] == ZIPMAP_COUNT_UNKNOWN || usize::from(bytes[0]) == texts.len() / 2;
    if at == bytes.len() && counted && !texts.is_empty() { Ok(texts) } else { Err(Corrupt) }
}

fn take(bytes: &[u8], at: &mut usize, len: usize) -> Result<Vec<u8>, Corrupt> {
    let end = at.checked_add(len).ok_or(Corrupt)?;
    let text = bytes.get(*at..end).ok_or(Corrupt)?.to_vec();
    *at = end;
    Ok(text)
}

/// A length; none at the end of the map.
fn zipmap_len(bytes: &[u8], at: &mut usize) -> Result<Option<usize>, Corrupt> {
    let first = *bytes.get(*at).ok_or(Corrupt)?;
    *at += 1;
    match first {
        255 => Ok(None),
        254 => {
            let len = u32::from_le_bytes(part(bytes, *at)?);
            *at += 4;
            // What fits into one byte is never written in four.
            if len < 254 { Err(Corrupt) } else { Ok(Some(len as usize)) }
        }
        len => Ok(Some(len.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ziplist_with_every_encoding_is_read() {
        let mut entries: Vec<Vec<u8>> = vec![
            [&[0, 2][..], b"hi"].concat(),
            [&[4, 0x41, 0x2c][..], &[b'x'; 300]].concat(),
            // The one before it has 303 bytes; the length of a short one may be in the long form as well.
            vec![254, 47, 1, 0, 0, 0xc0, 0xfe, 0xff],
            vec![254, 8, 0, 0, 0, 0xd0, 1, 0, 1, 0],
            vec![10, 0xe0, 255, 255, 255, 255, 255, 255, 255, 127],
            vec![10, 0xf0, 0xff, 0xff, 0xff],
            vec![5, 0xfe, 0x80],
            vec![3, 0xf1],
            vec![2, 0xfd],
        ];
        let (count, last_bytes) = (entries.len() as u16, 2);
        let body: Vec<u8> = entries.drain(..).flatten().collect();
        let mut bytes = ((body.len() + 11) as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&((body.len() + 10 - last_bytes) as u32).to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes.push(0xff);
        let texts: Vec<String> = ziplist(&bytes)
            .expect("it is whole")
            .iter()
            .map(|t| String::from_utf8_lossy(t).into_owned())
            .collect();
        assert_eq!(texts[0], "hi");
        assert_eq!(texts[1].len(), 300);
        assert_eq!(texts[2..], ["-2", "65537", "9223372036854775807", "-1", "-128", "0", "12"]);
        for cut in 0..bytes.len() {
            assert!(ziplist(&bytes[..cut]).is_err());
        }
        // The place of the last entry, and the length of the first, which the second repeats.
        for at in [4, 10 + 4] {
            bytes[at] ^= 1;
            assert_eq!(ziplist(&bytes), Err(Corrupt), "byte {at}");
            bytes[at] ^= 1;
        }
        assert!(ziplist(&bytes).is_ok());
    }

    #[test]
    fn a_zipmap_is_read() {
        let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02worldxx\xff";
        let texts = zipmap(bytes).expect("it is whole");
        assert_eq!(texts, [&b"foo"[..], b"bar", b"hello", b"world"]);
        for cut in 0..bytes.len() {
            assert!(zipmap(&bytes[..cut]).is_err());
        }
    }
}
