//! Strings as arrays of bits: the first bit is the highest of the first byte.
//!
//! Counting and combining go word by word over whole strings; where the processor has AVX2 or AVX-512 the compiler's own
//! vectors count several words at once.
#![allow(
    unsafe_code,
    reason = "code for AVX2 and AVX-512 runs only where the processor has it, which is asked first: 5 times as fast"
)]

/// Bits that are set.
#[must_use]
pub fn count(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= 64 && std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("popcnt") {
        if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512vpopcntdq") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { count_avx512(bytes) };
        }
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { count_avx2(bytes) };
    }
    count_words(bytes)
}

/// Twice as fast again: this processor counts the bits of eight words with one instruction.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count_avx512(bytes: &[u8]) -> u64 {
    count_words(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn count_avx2(bytes: &[u8]) -> u64 {
    count_words(bytes)
}

#[inline(always)]
fn count_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Fields of 6 bits that [`unpack_sixes`] unpacks at once.
pub const SIXES: usize = 512;

/// Gives each field of 6 bits a byte of its own. The first field lies in the lowest bits of the first byte, and in the
/// lowest byte of the first word.
pub fn unpack_sixes(packed: &[u8; SIXES * 6 / 8], fields: &mut [u64; SIXES / 8]) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { unpack_sixes_avx2(packed, fields) };
    }
    unpack_sixes_in_words(packed, fields);
}

/// Eight fields at a time: the halves of a word move to where they belong, then their halves, then the fields.
fn unpack_sixes_in_words(packed: &[u8; SIXES * 6 / 8], fields: &mut [u64; SIXES / 8]) {
    for (word, six) in fields.iter_mut().zip(packed.as_chunks::<6>().0) {
        let all = u64::from_le_bytes([six[0], six[1], six[2], six[3], six[4], six[5], 0, 0]);
        let all = all & 0xff_ffff | (all & 0xffff_ff00_0000) << 8;
        let all = all & 0x0000_0fff_0000_0fff | (all & 0x00ff_f000_00ff_f000) << 4;
        *word = all & 0x003f_003f_003f_003f | (all & 0x0fc0_0fc0_0fc0_0fc0) << 2;
    }
}

/// 32 fields at a time: three bytes go to the lower end of each 32 bits, then the four fields in them move apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn unpack_sixes_avx2(packed: &[u8; SIXES * 6 / 8], fields: &mut [u64; SIXES / 8]) {
    use std::arch::x86_64::{
        _mm256_and_si256, _mm256_extract_epi64, _mm256_or_si256, _mm256_set_epi64x, _mm256_set1_epi32,
        _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_slli_epi32,
    };
    // The second half of a vector begins at byte 12, and its upper word at byte 16, so as not to read too far.
    let in_threes = _mm256_setr_epi8(
        0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, // the first half
        0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 12, -1, 13, 14, 15, -1,
    );
    let masks = [0x3f, 0x3f00, 0x003f_0000, 0x3f00_0000].map(|mask| _mm256_set1_epi32(mask));
    for (words, bytes) in fields.as_chunks_mut::<4>().0.iter_mut().zip(packed.as_chunks::<24>().0) {
        let [a, b, c, d] = [0, 8, 12, 16].map(|at| {
            let eight: [u8; 8] = bytes[at..at + 8].try_into().expect("there are 24");
            i64::from_le_bytes(eight)
        });
        let threes = _mm256_shuffle_epi8(_mm256_set_epi64x(d, c, b, a), in_threes);
        let first = _mm256_and_si256(threes, masks[0]);
        let second = _mm256_and_si256(_mm256_slli_epi32::<2>(threes), masks[1]);
        let third = _mm256_and_si256(_mm256_slli_epi32::<4>(threes), masks[2]);
        let fourth = _mm256_and_si256(_mm256_slli_epi32::<6>(threes), masks[3]);
        let all = _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth));
        *words = [
            _mm256_extract_epi64::<0>(all) as u64,
            _mm256_extract_epi64::<1>(all) as u64,
            _mm256_extract_epi64::<2>(all) as u64,
            _mm256_extract_epi64::<3>(all) as u64,
        ];
    }
}

/// Bits that are set among those from `from` to `to`, both included.
#[must_use]
pub fn count_between(bytes: &[u8], from: usize, to: usize) -> u64 {
    let (first, last) = (from / 8, to / 8);
    let outside = |byte: u8, mask: u8| u64::from((byte & mask).count_ones());
    // What lies in the first byte before `from`, and in the last byte behind `to`.
    let before = !(0xffu8 >> (from % 8));
    let behind = (0xffu16 >> (to % 8 + 1)) as u8;
    count(&bytes[first..=last]) - outside(bytes[first], before) - outside(bytes[last], behind)
}

/// The first bit of this value.
#[must_use]
pub fn find(bytes: &[u8], bit: bool) -> Option<usize> {
    let skip = if bit { 0 } else { u64::MAX };
    let (words, rest) = bytes.as_chunks::<8>();
    let at = words.iter().position(|word| u64::from_ne_bytes(*word) != skip);
    if let Some(at) = at {
        let word = u64::from_be_bytes(words[at]) ^ skip;
        return Some(at * 64 + word.leading_zeros() as usize);
    }
    let done = words.len() * 8;
    let at = rest.iter().position(|byte| *byte != skip as u8)?;
    Some((done + at) * 8 + (rest[at] ^ skip as u8).leading_zeros() as usize)
}

/// The first bit of this value among those from `from` to `to`, both included.
#[must_use]
pub fn find_between(bytes: &[u8], bit: bool, from: usize, to: usize) -> Option<usize> {
    let at_byte = |at: usize, mask: u8| {
        let byte = if bit { bytes[at] } else { !bytes[at] } & mask;
        (byte != 0).then(|| at * 8 + byte.leading_zeros() as usize)
    };
    let (first, last) = (from / 8, to / 8);
    let from_mask = 0xffu8 >> (from % 8);
    let to_mask = !((0xffu16 >> (to % 8 + 1)) as u8);
    if first == last {
        return at_byte(first, from_mask & to_mask);
    }
    at_byte(first, from_mask)
        .or_else(|| find(&bytes[first + 1..last], bit).map(|at| at + (first + 1) * 8))
        .or_else(|| at_byte(last, to_mask))
}

/// How BITOP combines strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits set in all.
    And,
    /// Bits set in any.
    Or,
    /// Bits set in an odd number.
    Xor,
    /// Bits not set in the only one.
    Not,
    /// Bits set in the first and in no other.
    Diff,
    /// Bits set in any other and not in the first.
    Diff1,
    /// Bits set in the first and in any other.
    AndOr,
    /// Bits set in exactly one.
    One,
}

/// Combines strings; a shorter one counts as filled up with zeros. There is at least one.
#[must_use]
pub fn combine(operation: Operation, strings: &[&[u8]]) -> Vec<u8> {
    let len = strings.iter().map(|string| string.len()).max().unwrap_or(0);
    let mut out = strings[0].to_vec();
    out.resize(len, 0);
    let others = &strings[1..];
    match operation {
        Operation::Not => out.iter_mut().for_each(|byte| *byte = !*byte),
        Operation::And => {
            for other in others {
                out[other.len()..].fill(0);
                zip(&mut out, other, |a, b| a & b);
            }
        }
        Operation::Or => others.iter().for_each(|other| zip(&mut out, other, |a, b| a | b)),
        Operation::Xor => others.iter().for_each(|other| zip(&mut out, other, |a, b| a ^ b)),
        Operation::Diff => others.iter().for_each(|other| zip(&mut out, other, |a, b| a & !b)),
        Operation::Diff1 | Operation::AndOr => {
            let mut any = vec![0; len];
            others.iter().for_each(|other| zip(&mut any, other, |a, b| a | b));
            if operation == Operation::Diff1 {
                zip(&mut out, &any, |a, b| !a & b);
            } else {
                zip(&mut out, &any, |a, b| a & b);
            }
        }
        Operation::One => {
            let mut more = vec![0; len];
            for other in others {
                for ((once, more), other) in out.iter_mut().zip(&mut more).zip(*other) {
                    *more |= *once & other;
                    *once = (*once ^ other) & !*more;
                }
            }
        }
    }
    out
}

#[inline(always)]
fn zip(out: &mut [u8], other: &[u8], combine: impl Fn(u8, u8) -> u8) {
    out.iter_mut().zip(other).for_each(|(out, other)| *out = combine(*out, *other));
}

/// An integer of `width` bits, at most 64, from bit `at` on; bits behind the end are zeros.
#[must_use]
pub fn get_unsigned(bytes: &[u8], at: usize, width: usize) -> u64 {
    (at..at + width).fold(0, |value, bit| {
        let byte = bytes.get(bit / 8).copied().unwrap_or(0);
        value << 1 | u64::from(byte >> (7 - bit % 8) & 1)
    })
}

/// As [`get_unsigned`], where the first bit is the sign.
#[must_use]
pub fn get_signed(bytes: &[u8], at: usize, width: usize) -> i64 {
    let shift = 64 - width;
    (get_unsigned(bytes, at, width) << shift) as i64 >> shift
}

/// Writes the low `width` bits of `value` from bit `at` on; the bytes must be there.
pub fn set(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    for i in 0..width {
        let (bit, on) = (at + i, value >> (width - 1 - i) & 1 == 1);
        let mask = 0x80 >> (bit % 8);
        if on {
            bytes[bit / 8] |= mask;
        } else {
            bytes[bit / 8] &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn bit(bytes: &[u8], at: usize) -> bool {
        bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
    }

    fn random_bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
        let sparse = rng.below(3);
        (0..len)
            .map(|_| match sparse {
                0 => (rng.below(20) == 0) as u8,
                1 => {
                    if rng.below(20) == 0 {
                        0x7f
                    } else {
                        0xff
                    }
                }
                _ => rng.next_u64() as u8,
            })
            .collect()
    }

    #[test]
    fn fields_of_six_bits_are_unpacked_one_by_one_as_in_words_and_in_vectors() {
        let mut rng = Rng::from_seed(9);
        for _ in 0..50 {
            let packed: [u8; SIXES * 6 / 8] = std::array::from_fn(|_| rng.next_u64() as u8);
            let (mut fields, mut in_words) = ([0; SIXES / 8], [0; SIXES / 8]);
            unpack_sixes(&packed, &mut fields);
            unpack_sixes_in_words(&packed, &mut in_words);
            assert_eq!(fields, in_words);
            let one_by_one = (0..SIXES).map(|field| {
                let (at, shift) = (field * 6 / 8, field * 6 % 8);
                let both = u16::from(packed[at]) | u16::from(*packed.get(at + 1).unwrap_or(&0)) << 8;
                (both >> shift) as u8 & 63
            });
            assert!(one_by_one.eq(fields.iter().flat_map(|word| word.to_le_bytes())));
        }
    }

    #[test]
    fn counting_and_finding_agree_with_a_look_at_every_bit() {
        let mut rng = Rng::from_seed(2);
        for _ in 0..2000 {
            let len = 1 + rng.below(150) as usize;
            let bytes = random_bytes(&mut rng, len);
            let (a, b) = (rng.below(len as u64 * 8) as usize, rng.below(len as u64 * 8) as usize);
            let (from, to) = (a.min(b), a.max(b));
            let expected = (from..=to).filter(|&at| bit(&bytes, at)).count() as u64;
            assert_eq!(count_between(&bytes, from, to), expected);
            assert_eq!(count(&bytes), (0..len * 8).filter(|&at| bit(&bytes, at)).count() as u64);
            for wanted in [false, true] {
                assert_eq!(find(&bytes, wanted), (0..len * 8).find(|&at| bit(&bytes, at) == wanted));
                let expected = (from..=to).find(|&at| bit(&bytes, at) == wanted);
                assert_eq!(find_between(&bytes, wanted, from, to), expected);
            }
        }
    }

    #[test]
    fn combinations_agree_with_their_definition() {
        let mut rng = Rng::from_seed(4);
        for _ in 0..500 {
            let strings: Vec<Vec<u8>> = (0..2 + rng.below(4))
                .map(|_| {
                    let len = rng.below(40) as usize;
                    random_bytes(&mut rng, len)
                })
                .collect();
            let slices: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
            let len = strings.iter().map(Vec::len).max().unwrap_or(0);
            use Operation::{And, AndOr, Diff, Diff1, One, Or, Xor};
            for operation in [And, Or, Xor, Diff, Diff1, AndOr, One] {
                let out = combine(operation, &slices);
                assert_eq!(out.len(), len);
                for at in 0..len * 8 {
                    let bits: Vec<bool> = slices.iter().map(|string| bit(string, at)).collect();
                    let set = bits.iter().filter(|bit| **bit).count();
                    let any_other = bits[1..].contains(&true);
                    let expected = match operation {
                        And => set == bits.len(),
                        Or => set > 0,
                        Xor => set % 2 == 1,
                        Diff => bits[0] && !any_other,
                        Diff1 => !bits[0] && any_other,
                        AndOr => bits[0] && any_other,
                        _ => set == 1,
                    };
                    assert_eq!(bit(&out, at), expected, "{operation:?} {at}");
                }
            }
            let not = combine(Operation::Not, &slices[..1]);
            assert!(not.iter().zip(slices[0]).all(|(a, b)| *a == !b));
        }
    }

    #[test]
    fn integers_of_any_width_are_written_and_read_back() {
        let mut rng = Rng::from_seed(6);
        let mut bytes = vec![0; 40];
        for _ in 0..5000 {
            let width = 1 + rng.below(64) as usize;
            let at = rng.below(40 * 8 - width as u64) as usize;
            let value = rng.next_u64();
            let mut expected = bytes.clone();
            for i in 0..width {
                let mask = 0x80u8 >> ((at + i) % 8);
                let on = value >> (width - 1 - i) & 1 == 1;
                expected[(at + i) / 8] = expected[(at + i) / 8] & !mask | if on { mask } else { 0 };
            }
            set(&mut bytes, at, width, value);
            assert_eq!(bytes, expected);
            let shift = 64 - width;
            assert_eq!(get_unsigned(&bytes, at, width), value << shift >> shift);
            assert_eq!(get_signed(&bytes, at, width), (value << shift) as i64 >> shift);
        }
        assert_eq!(get_unsigned(&bytes, 40 * 8 + 5, 9), 0);
    }
}
