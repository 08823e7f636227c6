//! How the numbers of a vector are kept: as they are, in 8 bits each, or in one.
//!
//! Only the direction of a vector counts, so it is brought to length 1 first; its length is kept beside it. Then:
//!
//! * none: numbers of 32 bits;
//! * 8 bits: each is a multiple of a 127th of the largest magnitude, the *range*, which is kept, too;
//! * 1 bit: whether it is above zero.
//!
//! Distances are those of Redis, from 0 to 2: 1 less the cosine; of bits, twice the share of those that differ. Roundings
//! follow Redis, so that VEMB RAW and dumps have the same bytes.
//!
//! In words of 32 bits, the first in the lowest bits; numbers of 8 bits are filled up with zeros to whole words of 32, bits to
//! whole words of 64.

use super::distance::Kernels;

/// The way in which the numbers of a set are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quant {
    /// As they are.
    None,
    /// In 8 bits.
    Q8,
    /// In one bit.
    Bin,
}

impl Quant {
    /// Its number in dumps.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Quant::None => 0,
            Quant::Q8 => 1,
            Quant::Bin => 2,
        }
    }

    /// The one with this number in dumps.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Quant> {
        [Quant::None, Quant::Q8, Quant::Bin].into_iter().find(|quant| quant.number() == number)
    }

    /// What VINFO calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Quant::None => "f32",
            Quant::Q8 => "int8",
            Quant::Bin => "bin",
        }
    }

    /// Bytes of a vector of `dim` numbers in dumps and in VEMB RAW.
    #[must_use]
    pub fn bytes(self, dim: usize) -> usize {
        match self {
            Quant::None => dim * 4,
            Quant::Q8 => dim,
            Quant::Bin => dim.div_ceil(64) * 8,
        }
    }

    /// Words of a vector of `dim` numbers.
    #[must_use]
    pub fn words(self, dim: usize) -> usize {
        match self {
            Quant::None => dim,
            Quant::Q8 => dim.div_ceil(4),
            Quant::Bin => dim.div_ceil(64) * 2,
        }
    }
}

/// A vector as it is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// Its numbers.
    pub words: Box<[u32]>,
    /// What 127 stands for, where they have 8 bits; else 0.
    pub range: f32,
    /// The length of the vector as it came; 1 for one without direction.
    pub length: f32,
}

/// The numbers of all vectors of a set: how many, how they are kept, and how they are compared.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// Numbers of a vector.
    pub dim: usize,
    /// How they are kept.
    pub quant: Quant,
    kernels: Kernels,
}

/// Most vectors that one call compares a query with.
pub const BATCH: usize = 32;

impl Encoding {
    /// Vectors of `dim` numbers, compared by the fastest means that the processor has.
    #[must_use]
    pub fn new(dim: usize, quant: Quant) -> Encoding {
        Encoding { dim, quant, kernels: Kernels::best() }
    }

    /// Words of a vector.
    #[must_use]
    pub fn words(&self) -> usize {
        self.quant.words(self.dim)
    }

    /// Encodes a vector of `dim` numbers.
    #[must_use]
    pub fn encode(&self, numbers: &[f32]) -> Encoded {
        debug_assert_eq!(numbers.len(), self.dim);
        let mut unit = numbers.to_vec();
        let length = normalize(&mut unit);
        let mut words = vec![0; self.words()].into_boxed_slice();
        let mut range = 0.0;
        match self.quant {
            Quant::None => words.iter_mut().zip(&unit).for_each(|(word, number)| *word = number.to_bits()),
            Quant::Q8 => {
                range =
                    unit.iter().fold(0f32, |max, number| if number.abs() > max { number.abs() } else { max });
                if range != 0.0 {
                    let scale = 127.0 / range;
                    for (i, number) in unit.iter().enumerate() {
                        let byte = (number * scale).round() as i8;
                        words[i / 4] |= u32::from(byte.cast_unsigned()) << (i % 4 * 8);
                    }
                }
            }
            Quant::Bin => {
                for (i, _) in unit.iter().enumerate().filter(|(_, number)| **number > 0.0) {
                    words[i / 32] |= 1 << (i % 32);
                }
            }
        }
        Encoded { words, range, length }
    }

    /// The numbers of a vector, as near to those that came as it can be told.
    #[must_use]
    pub fn decode(&self, words: &[u32], range: f32, length: f32) -> Vec<f32> {
        let number = |i: usize| match self.quant {
            Quant::None => f32::from_bits(words[i]) * length,
            Quant::Q8 => {
                let byte = (words[i / 4] >> (i % 4 * 8)) as u8;
                f32::from(byte.cast_signed()) * range / 127.0 * length
            }
            Quant::Bin if words[i / 32] >> (i % 32) & 1 == 1 => 1.0,
            Quant::Bin => -1.0,
        };
        (0..self.dim).map(number).collect()
    }

    /// The bytes of a vector as dumps and VEMB RAW have them.
    pub fn to_bytes(&self, words: &[u32], out: &mut Vec<u8>) {
        let end = out.len() + self.quant.bytes(self.dim);
        for word in words {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.truncate(end);
    }

    /// The words of a vector whose bytes came in a dump, written into a record.
    pub fn from_bytes(&self, bytes: &[u8], words: &mut [u32]) {
        let (whole, rest) = bytes.as_chunks::<4>();
        for (word, four) in words.iter_mut().zip(whole) {
            *word = u32::from_le_bytes(*four);
        }
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            words[whole.len()] = u32::from_le_bytes(last);
        }
    }

    /// The distances of a vector to others, at most [`BATCH`]: `ranges` are theirs.
    #[inline]
    pub fn distances(
        &self,
        query: (&[u32], f32),
        vectors: &[&[u32]],
        ranges: &[f32; BATCH],
        out: &mut [f32; BATCH],
    ) {
        let count = vectors.len().min(BATCH);
        match self.quant {
            Quant::None => {
                (self.kernels.floats)(query.0, vectors, out);
                out[..count].iter_mut().for_each(|distance| *distance = 1.0 - *distance);
            }
            Quant::Q8 => {
                let mut products = [0; BATCH];
                (self.kernels.bytes)(query.0, vectors, &mut products);
                for i in 0..count {
                    out[i] = distance_of_bytes(products[i], query.1, ranges[i]);
                }
            }
            Quant::Bin => {
                let mut differ = [0; BATCH];
                (self.kernels.bits)(query.0, vectors, &mut differ);
                for i in 0..count {
                    out[i] = differ[i] as f32 * 2.0 / self.dim as f32;
                }
            }
        }
    }
}

/// The distance of two vectors of 8 bits, by the product of their numbers and by their ranges.
#[inline]
fn distance_of_bytes(product: i32, one: f32, other: f32) -> f32 {
    if one == 0.0 || other == 0.0 {
        return 1.0;
    }
    let distance = 1.0 - product as f32 * ((one / 127.0) * (other / 127.0));
    distance.clamp(0.0, 2.0)
}

/// Brings a vector to length 1; returns the length that it had, or 1 when it has no direction.
fn normalize(numbers: &mut [f32]) -> f32 {
    // In fours, as Redis sums: the last bits depend on it.
    let (fours, rest) = numbers.as_chunks::<4>();
    let mut sum = 0f32;
    for four in fours {
        sum += four[0] * four[0] + four[1] * four[1] + four[2] * four[2] + four[3] * four[3];
    }
    for number in rest {
        sum += number * number;
    }
    if sum == 0.0 {
        return 1.0;
    }
    let length = sum.sqrt();
    numbers.iter_mut().for_each(|number| *number /= length);
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(encoding: &Encoding, a: &[f32], b: &[f32]) -> f32 {
        let (a, b) = (encoding.encode(a), encoding.encode(b));
        let (mut ranges, mut out) = ([0.0; BATCH], [0.0; BATCH]);
        ranges[0] = b.range;
        encoding.distances((&a.words, a.range), &[&b.words], &ranges, &mut out);
        out[0]
    }

    #[test]
    fn distances_go_from_zero_to_two() {
        for quant in [Quant::None, Quant::Q8, Quant::Bin] {
            let encoding = Encoding::new(3, quant);
            assert!(distance(&encoding, &[1.0, 2.0, 2.0], &[2.0, 4.0, 4.0]).abs() < 1e-2, "{quant:?}");
            assert!((distance(&encoding, &[1.0, 2.0, 2.0], &[-1.0, -2.0, -2.0]) - 2.0).abs() < 2e-2);
        }
        let encoding = Encoding::new(2, Quant::None);
        assert_eq!(distance(&encoding, &[1.0, 0.0], &[0.0, 5.0]), 1.0);
        assert_eq!(distance(&Encoding::new(4, Quant::Bin), &[1.0; 4], &[1.0, 1.0, 1.0, -1.0]), 0.5);
    }

    #[test]
    fn a_vector_without_direction_is_at_distance_one() {
        for quant in [Quant::None, Quant::Q8] {
            let encoding = Encoding::new(5, quant);
            assert_eq!(distance(&encoding, &[0.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0]), 1.0);
            assert_eq!(encoding.encode(&[0.0; 5]).length, 1.0);
        }
    }

    #[test]
    fn what_was_encoded_is_told_nearly() {
        let numbers = [0.5, -1.0, 2.0, 0.0, 4.0, -0.25, 1.5];
        for (quant, off) in [(Quant::None, 1e-5), (Quant::Q8, 0.02)] {
            let encoding = Encoding::new(7, quant);
            let Encoded { words, range, length } = encoding.encode(&numbers);
            let told = encoding.decode(&words, range, length);
            assert!(numbers.iter().zip(&told).all(|(a, b)| (a - b).abs() <= off * 4.0), "{told:?}");
        }
        let encoding = Encoding::new(7, Quant::Bin);
        let encoded = encoding.encode(&numbers);
        assert_eq!(
            encoding.decode(&encoded.words, 0.0, encoded.length),
            [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]
        );
    }

    #[test]
    fn bytes_of_dumps_are_the_words_again() {
        for quant in [Quant::None, Quant::Q8, Quant::Bin] {
            for dim in [1, 3, 4, 5, 63, 64, 65, 300] {
                let encoding = Encoding::new(dim, quant);
                let numbers: Vec<f32> = (0..dim).map(|i| (i as f32 * 0.7).sin()).collect();
                let encoded = encoding.encode(&numbers);
                let mut bytes = Vec::new();
                encoding.to_bytes(&encoded.words, &mut bytes);
                assert_eq!(bytes.len(), quant.bytes(dim));
                let mut words = vec![0; encoding.words()];
                encoding.from_bytes(&bytes, &mut words);
                assert_eq!(words[..], encoded.words[..]);
            }
        }
    }

    #[test]
    fn the_largest_number_becomes_127() {
        let encoding = Encoding::new(4, Quant::Q8);
        let encoded = encoding.encode(&[3.0, -4.0, 0.0, 0.0]);
        let mut bytes = Vec::new();
        encoding.to_bytes(&encoded.words, &mut bytes);
        assert_eq!((bytes, encoded.length), (vec![95, 129, 0, 0], 5.0));
    }
}
