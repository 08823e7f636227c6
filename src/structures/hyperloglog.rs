//! HyperLogLog: how many different elements were added, from 16384 small registers, byte for byte as Redis stores it.
//!
//! ```text
//!  0      4          5         8             16
//! +------+----------+---------+-------------+-----------+
//! | HYLL | encoding | nothing | cardinality | registers |
//! +------+----------+---------+-------------+-----------+
//! ```
//!
//! The cardinality that was computed last is kept, little-endian; its highest bit says that registers changed since.
//!
//! * **Dense** (0): 6 bits a register, the first in the lowest bits: 12288 bytes.
//! * **Sparse** (1): runs. `00nnnnnn`: n+1 registers of zero; `01nnnnnn nnnnnnnn`: the same with 14 bits; `1vvvvvnn`: n+1
//!   registers of v+1. Adjacent runs of one value are joined where the change was made, nowhere else.
//!
//! The standard error is 0.81 %. Registers after Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog" (2007); the estimate
//! after Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017); the hash is MurmurHash64A.

use super::bits::{SIXES, unpack_sixes};

/// Registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bytes in front of the registers.
pub const HEADER_BYTES: usize = 16;
/// Bytes of the dense form.
pub const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * REGISTER_BITS / 8;

const INDEX_BITS: usize = 14;
/// Bits of the hash in which the run of zeros is counted.
const RUN_BITS: usize = 64 - INDEX_BITS;
const REGISTER_BITS: usize = 6;
const MAGIC: &[u8; 4] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const STALE: u8 = 1 << 7;
/// `1 / (2 ln 2)`.
const ALPHA: f64 = 0.721_347_520_444_481_7;
const HASH_SEED: u64 = 0xadc8_3b19;

/// Longest run of zeros in one byte.
const ZERO_MAX: usize = 64;
/// Largest value of a register in the sparse form.
const VALUE_MAX: u8 = 32;
/// Longest run of one value.
const VALUE_RUN_MAX: usize = 4;
/// Runs that are looked at, from the one before a change on, for neighbours to be joined.
const RUNS_LOOKED_AT: usize = 5;

/// The bytes are no HyperLogLog, or one whose runs do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Whether bytes look like a HyperLogLog. Runs are looked at only when they are read.
pub fn is_valid(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES
        && bytes.starts_with(MAGIC)
        && (bytes[4] == SPARSE || bytes[4] == DENSE && bytes.len() == DENSE_BYTES)
}

/// Whether it is in the dense form.
pub fn is_dense(bytes: &[u8]) -> bool {
    bytes[4] == DENSE
}

/// One without elements.
pub fn empty() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 2);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[SPARSE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    Run { value: 0, len: REGISTERS }.write(&mut bytes);
    bytes
}

/// The cardinality, if no register has changed since it was computed.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    if bytes[15] & STALE != 0 {
        return None;
    }
    Some(u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes long")))
}

/// Keeps the cardinality.
pub fn set_cached(bytes: &mut [u8], cardinality: u64) {
    bytes[8..16].copy_from_slice(&cardinality.to_le_bytes());
}

/// Notes that registers have changed.
pub fn set_stale(bytes: &mut [u8]) {
    bytes[15] |= STALE;
}

/// A run of registers of one value in the sparse form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The value of all of them.
    pub value: u8,
    /// How many there are.
    pub len: usize,
}

impl Run {
    /// The run at `at`, and the bytes it takes.
    fn read(bytes: &[u8], at: usize) -> Result<(Run, usize), Corrupt> {
        let first = bytes[at];
        if first & 0x80 != 0 {
            let value = (first >> 2 & 0x1f) + 1;
            return Ok((Run { value, len: usize::from(first & 3) + 1 }, 1));
        }
        let high = usize::from(first & 0x3f);
        if first & 0x40 == 0 {
            return Ok((Run { value: 0, len: high + 1 }, 1));
        }
        let low = usize::from(*bytes.get(at + 1).ok_or(Corrupt)?);
        Ok((Run { value: 0, len: (high << 8 | low) + 1 }, 2))
    }

    fn write(self, out: &mut Vec<u8>) {
        let len = self.len - 1;
        if self.value > 0 {
            debug_assert!(self.len <= VALUE_RUN_MAX && self.value <= VALUE_MAX);
            out.push(0x80 | (self.value - 1) << 2 | len as u8);
        } else if self.len > ZERO_MAX {
            out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]);
        } else {
            out.push(len as u8);
        }
    }
}

/// The runs of the sparse form, in order.
pub fn runs(bytes: &[u8]) -> Result<Vec<Run>, Corrupt> {
    let mut runs = Vec::new();
    let (mut at, mut registers) = (HEADER_BYTES, 0);
    while at < bytes.len() {
        let (run, width) = Run::read(bytes, at)?;
        at += width;
        registers += run.len;
        runs.push(run);
        if registers > REGISTERS {
            return Err(Corrupt);
        }
    }
    if registers == REGISTERS { Ok(runs) } else { Err(Corrupt) }
}

#[inline]
fn dense_get(registers: &[u8], index: usize) -> u8 {
    let bit = index * REGISTER_BITS;
    let low = u16::from(registers[bit / 8]);
    let high = u16::from(registers.get(bit / 8 + 1).copied().unwrap_or(0));
    ((low | high << 8) >> (bit % 8)) as u8 & 63
}

#[inline]
fn dense_put(registers: &mut [u8], index: usize, value: u8) {
    let bit = index * REGISTER_BITS;
    let (at, shift) = (bit / 8, bit % 8);
    let (mask, value) = (63u16 << shift, u16::from(value) << shift);
    registers[at] = registers[at] & !(mask as u8) | value as u8;
    if mask > 0xff {
        registers[at + 1] = registers[at + 1] & !((mask >> 8) as u8) | (value >> 8) as u8;
    }
}

/// Raises a register of the dense form to `value`; false when it was as high.
fn dense_raise(bytes: &mut [u8], index: usize, value: u8) -> bool {
    let registers = &mut bytes[HEADER_BYTES..];
    if dense_get(registers, index) >= value {
        return false;
    }
    dense_put(registers, index, value);
    true
}

/// Makes the dense form of the sparse one; false when it was dense.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if is_dense(bytes) {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER_BYTES].copy_from_slice(&bytes[..HEADER_BYTES]);
    dense[4] = DENSE;
    let mut index = 0;
    for run in runs(bytes)? {
        if run.value > 0 {
            (index..index + run.len).for_each(|i| dense_put(&mut dense[HEADER_BYTES..], i, run.value));
        }
        index += run.len;
    }
    *bytes = dense;
    Ok(true)
}

/// Gives a dense one all of its registers.
pub fn set_registers(bytes: &mut [u8], registers: &Registers) {
    let packed = bytes[HEADER_BYTES..].as_chunks_mut::<3>().0;
    for (three, four) in packed.iter_mut().zip(registers.as_chunks::<4>().0) {
        let word = u32::from_le_bytes(*four) & 0x3f3f_3f3f;
        let word = word & 0x3f | (word & 0x3f00) >> 2 | (word & 0x003f_0000) >> 4 | (word & 0x3f00_0000) >> 6;
        three.copy_from_slice(&word.to_le_bytes()[..3]);
    }
}

/// Raises a register to `value`; false when it was as high. The sparse form becomes dense above `sparse_bytes_max`.
pub fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_bytes_max: u64) -> Result<bool, Corrupt> {
    if is_dense(bytes) {
        return Ok(dense_raise(bytes, index, value));
    }
    match sparse_raise(bytes, index, value, sparse_bytes_max)? {
        Some(changed) => Ok(changed),
        None => {
            make_dense(bytes)?;
            Ok(dense_raise(bytes, index, value))
        }
    }
}

/// None: it has to be done in the dense form.
fn sparse_raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_bytes_max: u64,
) -> Result<Option<bool>, Corrupt> {
    if value > VALUE_MAX {
        return Ok(None);
    }
    // The run that holds the register, and the one before it.
    let (mut at, mut first, mut before) = (HEADER_BYTES, 0, None);
    let (run, width) = loop {
        if at >= bytes.len() {
            return Err(Corrupt);
        }
        let (run, width) = Run::read(bytes, at)?;
        if index < first + run.len {
            break (run, width);
        }
        before = Some(at);
        at += width;
        first += run.len;
    };
    if run.value >= value {
        return Ok(Some(false));
    }
    let mut pieces = Vec::with_capacity(5);
    for (value, len) in [(run.value, index - first), (value, 1), (run.value, first + run.len - 1 - index)] {
        if len > 0 {
            Run { value, len }.write(&mut pieces);
        }
    }
    if pieces.len() > width && (bytes.len() + pieces.len() - width) as u64 > sparse_bytes_max {
        return Ok(None);
    }
    bytes.splice(at..at + width, pieces);
    join_neighbours(bytes, before.unwrap_or(HEADER_BYTES))?;
    Ok(Some(true))
}

/// Joins runs of one value that lie side by side, near a change.
fn join_neighbours(bytes: &mut Vec<u8>, from: usize) -> Result<(), Corrupt> {
    let mut at = from;
    for _ in 0..RUNS_LOOKED_AT {
        if at >= bytes.len() {
            break;
        }
        let (run, width) = Run::read(bytes, at)?;
        if run.value > 0 && at + 1 < bytes.len() {
            let (next, _) = Run::read(bytes, at + 1)?;
            let len = run.len + next.len;
            if next.value == run.value && len <= VALUE_RUN_MAX {
                let mut joined = Vec::with_capacity(1);
                Run { value: run.value, len }.write(&mut joined);
                bytes.splice(at..at + 2, joined);
                continue;
            }
        }
        at += width;
    }
    Ok(())
}

/// Adds an element; true when a register changed.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_bytes_max: u64) -> Result<bool, Corrupt> {
    let (index, value) = place(element);
    raise(bytes, index, value, sparse_bytes_max)
}

/// The register of an element and the value it asks for: one more than the zeros at the low end of its hash.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, HASH_SEED);
    let rest = hash >> INDEX_BITS | 1 << RUN_BITS;
    (hash as usize & (REGISTERS - 1), rest.trailing_zeros() as u8 + 1)
}

/// All registers, one byte each.
pub type Registers = [u8; REGISTERS];

/// Raises registers to those of another HyperLogLog.
pub fn merge(into: &mut Registers, bytes: &[u8]) -> Result<(), Corrupt> {
    if is_dense(bytes) {
        let blocks = into.as_chunks_mut::<SIXES>().0;
        for_each_block(bytes, |number, block| {
            for (eight, word) in blocks[number].as_chunks_mut::<8>().0.iter_mut().zip(block) {
                let values = word.to_le_bytes();
                eight.iter_mut().zip(values).for_each(|(register, value)| *register = (*register).max(value));
            }
        });
        return Ok(());
    }
    let mut index = 0;
    for run in runs(bytes)? {
        into[index..index + run.len].iter_mut().for_each(|register| *register = (*register).max(run.value));
        index += run.len;
    }
    Ok(())
}

/// The estimate for registers.
pub fn estimate(registers: &Registers) -> u64 {
    let mut counts = Counts::default();
    registers.as_chunks::<8>().0.iter().for_each(|eight| counts.add(u64::from_le_bytes(*eight)));
    estimate_counts(&counts.sums())
}

/// Registers, eight in a word.
type Block = [u64; SIXES / 8];

/// Unpacks the registers of a dense one, block by block, each register in a byte of its own.
fn for_each_block(bytes: &[u8], mut each: impl FnMut(usize, &Block)) {
    let mut block = [0; SIXES / 8];
    for (number, packed) in bytes[HEADER_BYTES..].as_chunks::<{ SIXES * 6 / 8 }>().0.iter().enumerate() {
        unpack_sixes(packed, &mut block);
        each(number, &block);
    }
}

/// How often each pair of neighbouring registers has each pair of values: half as many counts as registers, and two
/// that are alike seldom follow each other, so that one need not wait for the other.
struct Counts([u16; 64 * 64]);

impl Default for Counts {
    fn default() -> Counts {
        Counts([0; 64 * 64])
    }
}

impl Counts {
    #[inline]
    fn add(&mut self, eight: u64) {
        let pairs = eight & 0x003f_003f_003f_003f | (eight & 0x3f00_3f00_3f00_3f00) >> 2;
        for i in 0..4 {
            self.0[(pairs >> (16 * i)) as usize & 0xfff] += 1;
        }
    }

    /// How many registers have each value.
    fn sums(&self) -> [u32; 64] {
        let rows = self.0.as_chunks::<64>().0;
        let mut sums = [0u32; 64];
        for (row, in_row) in rows.iter().enumerate() {
            sums[row] += in_row.iter().map(|count| u32::from(*count)).sum::<u32>();
            sums.iter_mut().zip(in_row).for_each(|(sum, count)| *sum += u32::from(*count));
        }
        sums
    }
}

/// The estimate for one HyperLogLog.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    if is_dense(bytes) {
        let mut counts = Counts::default();
        for_each_block(bytes, |_, block| block.iter().for_each(|word| counts.add(*word)));
        return Ok(estimate_counts(&counts.sums()));
    }
    let mut counts = [0u32; 64];
    runs(bytes)?.iter().for_each(|run| counts[usize::from(run.value)] += run.len as u32);
    Ok(estimate_counts(&counts))
}

/// The estimate from how many registers have each value.
fn estimate_counts(counts: &[u32; 64]) -> u64 {
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(counts[RUN_BITS + 1])) / m);
    for count in counts[1..=RUN_BITS].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += m * sigma(f64::from(counts[0]) / m);
    (ALPHA * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// MurmurHash64A by Austin Appleby, little-endian on every machine.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> R;
        hash = (hash ^ word.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const NO_LIMIT: u64 = u64::MAX;

    fn registers(bytes: &[u8]) -> Box<Registers> {
        let mut all = Box::new([0; REGISTERS]);
        merge(&mut all, bytes).expect("it is whole");
        all
    }

    #[test]
    fn registers_behave_like_a_model_in_both_forms() {
        let mut rng = Rng::from_seed(3);
        let mut sparse = empty();
        let mut dense = empty();
        assert_eq!((make_dense(&mut dense), make_dense(&mut dense)), (Ok(true), Ok(false)));
        let mut model = Box::new([0u8; REGISTERS]);
        for _ in 0..4000 {
            // Close together, so that runs are split and joined.
            let index = rng.below(600) as usize * if rng.below(9) == 0 { 27 } else { 1 };
            let value = rng.below(5) as u8 + 1;
            let expected = Ok(model[index] < value);
            assert_eq!(raise(&mut sparse, index, value, NO_LIMIT), expected);
            assert_eq!(raise(&mut dense, index, value, NO_LIMIT), expected);
            model[index] = model[index].max(value);
        }
        assert!(!is_dense(&sparse) && is_dense(&dense));
        let mut written = dense.clone();
        set_registers(&mut written, &[0; REGISTERS]);
        assert_eq!(registers(&written), Box::new([0; REGISTERS]));
        set_registers(&mut written, &model);
        assert_eq!(written, dense);
        assert_eq!((registers(&sparse), registers(&dense)), (model.clone(), model));
        assert_eq!(count(&sparse), count(&dense));
        assert_eq!(count(&sparse), Ok(estimate(&registers(&sparse))));
    }

    #[test]
    fn the_sparse_form_becomes_dense_where_it_is_too_long_or_a_value_too_large() {
        let mut bytes = empty();
        assert_eq!(raise(&mut bytes, 5, 33, NO_LIMIT), Ok(true));
        assert!(is_dense(&bytes));
        let mut bytes = empty();
        let limit = bytes.len() as u64 + 2;
        assert_eq!(raise(&mut bytes, 500, 1, limit), Ok(true));
        assert!(is_dense(&bytes));
    }

    #[test]
    fn the_estimate_is_near_the_truth() {
        let mut bytes = empty();
        for i in 0..200_000u64 {
            add(&mut bytes, format!("element {i}").as_bytes(), 3000).expect("it is whole");
            if [100, 1000, 10_000, 100_000].contains(&(i + 1)) {
                let error = count(&bytes).expect("it is whole") as f64 / (i + 1) as f64 - 1.0;
                assert!(error.abs() < 0.03, "{error} at {}", i + 1);
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let mut bytes = empty();
        bytes.pop();
        assert_eq!(count(&bytes), Err(Corrupt));
        assert_eq!(raise(&mut bytes, 16_383, 1, NO_LIMIT), Err(Corrupt));
        let mut bytes = empty();
        bytes.push(0x80);
        assert_eq!(runs(&bytes), Err(Corrupt));
        assert!(!is_valid(b"HYLL") && !is_valid(&[b"HYLL", &[0; 20][..]].concat()));
    }
}
