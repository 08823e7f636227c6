//! Vectors with fewer numbers: sums of all numbers of a vector, each with a plus or a minus that looks like chance.
//!
//! Distances stay about what they were (Johnson and Lindenstrauss 1984). The signs are those of a Hadamard matrix, as Redis
//! takes them, so that every server that is told the same vectors keeps the same ones: in row `i` and column `j` there is a minus
//! where `i & j` has an odd number of bits. Such a matrix needs no memory; one that came in a dump and is another is kept.
//!
//! The cost: 16 rows at a time, a sixteenth of a nanosecond for each number of each; a matrix with more than
//! [`DIRECT_MAX`] numbers is applied by the fast transform of Hadamard, whose sums differ in the last bits.

/// Numbers of a matrix that is applied row by row, at most.
const DIRECT_MAX: usize = 1 << 24;
/// Rows that are summed up at the same time.
const ROWS: usize = 16;

/// A matrix of floating-point numbers. A vector of [`Projection::from`] numbers becomes one of [`Projection::to`].
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Numbers of a vector as it comes.
    pub from: usize,
    /// Numbers of a vector as it is kept.
    pub to: usize,
    /// Row by row, a row for each number that is kept; none: those of a Hadamard matrix.
    rows: Option<Box<[f32]>>,
}

impl Projection {
    /// The matrix of Redis.
    #[must_use]
    pub fn new(from: usize, to: usize) -> Projection {
        Projection { from, to, rows: None }
    }

    /// A matrix whose bytes came in a dump; none when they are not as many as they should be.
    #[must_use]
    pub fn from_bytes(from: usize, to: usize, bytes: &[u8]) -> Option<Projection> {
        if bytes.len() != from * to * 4 {
            return None;
        }
        let mut projection = Projection::new(from, to);
        let numbers = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
        if !numbers.clone().eq(projection.numbers()) {
            projection.rows = Some(numbers.collect());
        }
        Some(projection)
    }

    /// Its bytes, as dumps have them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.rows {
            Some(rows) => rows.iter().flat_map(|number| number.to_le_bytes()).collect(),
            None => self.numbers().flat_map(f32::to_le_bytes).collect(),
        }
    }

    /// What all numbers of a Hadamard matrix are, but for the sign.
    fn scale(&self) -> f32 {
        (1.0 / (self.from as f64).sqrt()) as f32
    }

    /// The numbers of a Hadamard matrix, row by row.
    fn numbers(&self) -> impl Iterator<Item = f32> + Clone + use<> {
        let (from, scale) = (self.from, self.scale());
        let number = move |at: usize| match ((at / from) & (at % from)).count_ones() % 2 {
            0 => scale,
            _ => -scale,
        };
        (0..from * self.to).map(number)
    }

    /// Memory behind it, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.rows.as_ref().map_or(0, |rows| rows.len() * size_of::<f32>())
    }

    /// A vector with fewer numbers.
    #[must_use]
    pub fn apply(&self, numbers: &[f32]) -> Vec<f32> {
        debug_assert_eq!(numbers.len(), self.from);
        if let Some(rows) = &self.rows {
            let row = |row: &[f32]| row.iter().zip(numbers).fold(0f32, |sum, (a, b)| sum + a * b);
            return rows.chunks(self.from).map(row).collect();
        }
        let scaled: Vec<f32> = numbers.iter().map(|number| number * self.scale()).collect();
        if self.from * self.to > DIRECT_MAX { self.transform(scaled) } else { self.sum_rows(&scaled) }
    }

    /// Sums row by row, in the order of the columns.
    fn sum_rows(&self, scaled: &[f32]) -> Vec<f32> {
        const MINUS: u32 = 1 << 31;
        // The sign of a number in one of sixteen rows depends on the lowest bits of its column, and on what all of them share.
        let sign = |row: usize, column: usize| ((row & column).count_ones() & 1) * MINUS;
        let mut signs = [[0; ROWS]; ROWS];
        for (column, signs) in signs.iter_mut().enumerate() {
            signs.iter_mut().enumerate().for_each(|(row, bit)| *bit = sign(row, column));
        }
        let mut out = Vec::with_capacity(self.to.next_multiple_of(ROWS));
        for first in (0..self.to).step_by(ROWS) {
            let mut sums = [0f32; ROWS];
            for (column, number) in scaled.iter().enumerate() {
                let number = number.to_bits() ^ sign(first, column);
                let signs = &signs[column % ROWS];
                for (sum, sign) in sums.iter_mut().zip(signs) {
                    *sum += f32::from_bits(number ^ sign);
                }
            }
            out.extend_from_slice(&sums);
        }
        out.truncate(self.to);
        out
    }

    /// The same by halves: sums and differences of pairs that are one apart, then two, then four.
    fn transform(&self, mut numbers: Vec<f32>) -> Vec<f32> {
        numbers.resize(self.from.next_power_of_two(), 0.0);
        let mut apart = 1;
        while apart < numbers.len() {
            for pair in numbers.chunks_mut(2 * apart) {
                let (front, back) = pair.split_at_mut(apart);
                for (a, b) in front.iter_mut().zip(back) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            apart *= 2;
        }
        numbers.truncate(self.to);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn draw(rng: &mut Rng, count: usize) -> Vec<f32> {
        (0..count).map(|_| rng.below(2001) as f32 / 1000.0 - 1.0).collect()
    }

    #[test]
    fn distances_stay_about_what_they_were() {
        let mut rng = Rng::from_seed(2);
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let projection = Projection::new(256, 128);
        for _ in 0..20 {
            let (a, noise) = (draw(&mut rng, 256), draw(&mut rng, 256));
            let b: Vec<f32> = a.iter().zip(&noise).map(|(a, b)| a + b * 0.7).collect();
            let (before, after) = (cosine(&a, &b), cosine(&projection.apply(&a), &projection.apply(&b)));
            assert!((before - after).abs() < 0.2, "{before} {after}");
        }
    }

    #[test]
    fn sums_are_those_of_the_matrix() {
        let mut rng = Rng::from_seed(3);
        for (from, to) in [(1, 1), (5, 3), (16, 16), (100, 37), (300, 64), (33, 33)] {
            let projection = Projection::new(from, to);
            let numbers = draw(&mut rng, from);
            let rows: Box<[f32]> = projection.numbers().collect();
            let by_matrix = Projection { rows: Some(rows), ..projection.clone() }.apply(&numbers);
            assert_eq!(projection.apply(&numbers), by_matrix, "{from} {to}");
            let scaled = numbers.iter().map(|number| number * projection.scale()).collect();
            let fast = projection.transform(scaled);
            assert!(fast.len() == to && fast.iter().zip(&by_matrix).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn a_matrix_comes_back_from_its_bytes() {
        let projection = Projection::new(5, 3);
        let mut bytes = projection.to_bytes();
        assert_eq!(Projection::from_bytes(5, 3, &bytes), Some(projection.clone()));
        assert_eq!(Projection::from_bytes(5, 2, &bytes), None);
        bytes[0] ^= 1;
        let other = Projection::from_bytes(5, 3, &bytes).expect("it has the right length");
        assert!(other != projection && other.to_bytes() == bytes && other.heap_bytes() == 60);
    }
}
