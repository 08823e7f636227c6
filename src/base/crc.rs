//! CRC-64 of dump files and payloads: the polynomial of Jones, reflected, as Redis uses it.
//!
//! Eight bytes at a time by eight tables (Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance
//! CRC Generation", 2008); the tables are computed by the compiler.

/// 0xad93d23594c935a9 with its bits in reverse.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// The checksum of what had the checksum `crc` (0 at the start) followed by `bytes`.
#[must_use]
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let crc = words.iter().fold(crc, |crc, word| {
        let word = crc ^ u64::from_le_bytes(*word);
        (0..8).fold(0, |sum, i| sum ^ TABLES[7 - i][(word >> (8 * i)) as usize & 0xff])
    });
    rest.iter().fold(crc, |crc, byte| crc >> 8 ^ TABLES[0][(crc as u8 ^ byte) as usize])
}

/// The checksum of two texts one after the other, from the checksum of each and the length of the second: the first is
/// shifted by so many zero bytes, by squaring the matrix of one zero bit as zlib's `crc32_combine` does.
#[must_use]
pub fn join(first: u64, second: u64, second_len: u64) -> u64 {
    let mut shift: [u64; 64] = std::array::from_fn(|bit| match bit {
        0 => POLYNOMIAL,
        bit => 1 << (bit - 1),
    });
    // From one bit to eight.
    (0..3).for_each(|_| shift = squared(&shift));
    let (mut crc, mut left) = (first, second_len);
    while left > 0 {
        if left & 1 == 1 {
            crc = times(&shift, crc);
        }
        shift = squared(&shift);
        left >>= 1;
    }
    crc ^ second
}

fn times(matrix: &[u64; 64], vector: u64) -> u64 {
    (0..64).filter(|bit| vector >> bit & 1 == 1).fold(0, |sum, bit| sum ^ matrix[bit])
}

fn squared(matrix: &[u64; 64]) -> [u64; 64] {
    std::array::from_fn(|bit| times(matrix, matrix[bit]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_known_answer_however_it_is_cut() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let text: Vec<u8> = (0..100u8).collect();
        for cut in 0..100 {
            assert_eq!(crc64(crc64(0, &text[..cut]), &text[cut..]), crc64(0, &text));
            let (first, second) = (crc64(0, &text[..cut]), crc64(0, &text[cut..]));
            assert_eq!(join(first, second, 100 - cut as u64), crc64(0, &text));
        }
    }
}
