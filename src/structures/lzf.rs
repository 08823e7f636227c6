//! LZF compression, the stream that dump files and compressed list nodes hold.
//!
//! ```text
//! 000LLLLL                      L + 1 bytes follow as they are
//! LLLooooo oooooooo             copy L + 2 bytes from o + 1 bytes back, L from 1 to 6
//! 111ooooo LLLLLLLL oooooooo    copy L + 9 bytes from o + 1 bytes back
//! ```
//!
//! * [`compress`] gives nothing unless it saves bytes.
//! * [`decompress`] takes any bytes: what is no stream of exactly the expected length gives `None`.
//!
//! The cost: one look-up in a table of positions a byte; the table is sized after the input.
//! The format is Marc Lehmann's (LibLZF); the search for matches is ours.

const OFFSET_MAX: usize = 1 << 13;
const MATCH_BYTES_MIN: usize = 3;
const MATCH_BYTES_MAX: usize = 264;
const LITERALS_MAX: usize = 32;

/// The compressed form of `input`, if it has at most `bytes_max` bytes and fewer than the input.
#[must_use]
pub fn compress(input: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let bytes_max = bytes_max.min(input.len().checked_sub(1)?);
    if u32::try_from(input.len()).is_err() {
        return None;
    }
    let bits = (usize::BITS - input.len().leading_zeros()).clamp(8, 14);
    // Position after the last place where three bytes with this hash began; zero is nowhere.
    let mut seen = vec![0u32; 1 << bits];
    let mut out = Vec::with_capacity(bytes_max);
    let mut at = 0;
    // Where the literals that are not written yet begin.
    let mut pending = 0;
    while at + MATCH_BYTES_MIN <= input.len() {
        let three = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
        let place = &mut seen[(three.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize];
        let before = *place as usize;
        *place = at as u32 + 1;
        let is_match =
            before > 0 && at + 1 - before <= OFFSET_MAX && input[before - 1..before + 2] == input[at..at + 3];
        if !is_match {
            at += 1;
            continue;
        }
        let from = before - 1;
        let limit = MATCH_BYTES_MAX.min(input.len() - at);
        let same = input[from..].iter().zip(&input[at..at + limit]).take_while(|(a, b)| a == b).count();
        put_literals(&mut out, &input[pending..at]);
        let (offset, len) = (at - from - 1, same - 2);
        if len < 7 {
            out.push((len << 5 | offset >> 8) as u8);
        } else {
            out.extend_from_slice(&[(7 << 5 | offset >> 8) as u8, (len - 7) as u8]);
        }
        out.push(offset as u8);
        if out.len() > bytes_max {
            return None;
        }
        at += same;
        pending = at;
    }
    put_literals(&mut out, &input[pending..]);
    if out.len() > bytes_max { None } else { Some(out) }
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

/// The input of [`compress`], if `stream` is one for exactly `len` bytes.
///
/// Memory is taken as the output grows, at most `len` bytes; a stream can ask for 88 times its own length.
#[must_use]
pub fn decompress(stream: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(len.min(stream.len().saturating_mul(MATCH_BYTES_MAX / 3)));
    let mut at = 0;
    while let Some(&control) = stream.get(at) {
        at += 1;
        let control = usize::from(control);
        if control < LITERALS_MAX {
            out.extend_from_slice(stream.get(at..at + control + 1)?);
            at += control + 1;
        } else {
            let mut same = (control >> 5) + 2;
            if same == 9 {
                same += usize::from(*stream.get(at)?);
                at += 1;
            }
            let offset = (control & 31) << 8 | usize::from(*stream.get(at)?);
            at += 1;
            let from = out.len().checked_sub(offset + 1)?;
            if same > len - out.len().min(len) {
                return None;
            }
            if offset + 1 >= same {
                out.extend_from_within(from..from + same);
            } else {
                // The copy reads what it writes.
                for i in from..from + same {
                    out.push(out[i]);
                }
            }
        }
        if out.len() > len {
            return None;
        }
    }
    if out.len() == len { Some(out) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn what_was_compressed_comes_back() {
        let mut rng = Rng::from_seed(21);
        let mut smaller = 0;
        for _ in 0..2000 {
            let variety = 1 + rng.below(20);
            let letters = 1 + rng.below(variety);
            let len = rng.below(20_000) >> rng.below(14);
            let input: Vec<u8> = (0..len).map(|_| rng.below(letters) as u8).collect();
            if let Some(stream) = compress(&input, input.len()) {
                smaller += 1;
                assert!(stream.len() < input.len());
                assert_eq!(decompress(&stream, input.len()).as_deref(), Some(&input[..]));
                assert_eq!(decompress(&stream, input.len() + 1), None);
                assert_eq!(decompress(&stream, input.len() - 1), None);
            }
        }
        assert!(smaller > 500);
    }

    #[test]
    fn reads_a_stream_of_the_original_library() {
        // DUMP of a string of 100 times `a`: literal `a`, then one long match.
        assert_eq!(decompress(&[1, b'a', b'a', 0xe0, 0x57, 0], 98), Some(vec![b'a'; 98]));
        let long = vec![b'a'; 100_000];
        let stream = compress(&long, long.len()).expect("it repeats");
        assert!(stream.len() < 1200);
        assert_eq!(decompress(&stream, long.len()), Some(long));
    }

    #[test]
    fn nothing_is_gained_where_nothing_repeats() {
        let mut rng = Rng::from_seed(3);
        let noise: Vec<u8> = (0..4000).map(|_| rng.next_u64() as u8).collect();
        assert_eq!(compress(&noise, noise.len()), None);
        assert_eq!(compress(b"", 0), None);
        assert_eq!(compress(b"abcabcabcabc", 3), None);
    }

    #[test]
    fn any_bytes_can_be_given_to_decompress() {
        let mut rng = Rng::from_seed(8);
        for _ in 0..50_000 {
            let stream: Vec<u8> =
                (0..rng.below(40)).map(|_| (rng.next_u64() >> rng.below(8)) as u8).collect();
            let len = rng.below(300) as usize;
            if let Some(out) = decompress(&stream, len) {
                assert_eq!(out.len(), len);
            }
        }
    }
}
