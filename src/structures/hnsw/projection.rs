//! Vectors with fewer numbers: sums of all numbers of a vector, each with a plus or a minus that looks like chance.
//!
//! Distances stay about what they were (Johnson and Lindenstrauss 1984). The signs are those of a Hadamard matrix, as Redis
//! takes them, so that every server that is told the same vectors keeps the same ones; and the matrix goes into dumps.

/// A matrix of floating-point numbers. A vector of [`Projection::from`] numbers becomes one of [`Projection::to`].
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Numbers of a vector as it comes.
    pub from: usize,
    /// Numbers of a vector as it is kept.
    pub to: usize,
    /// Row by row, a row for each number that is kept.
    rows: Box<[f32]>,
}

impl Projection {
    /// The matrix of Redis.
    #[must_use]
    pub fn new(from: usize, to: usize) -> Projection {
        let scale = (1.0 / (from as f64).sqrt()) as f32;
        let sign = |row: usize, column: usize| match (row & column).count_ones() % 2 {
            0 => scale,
            _ => -scale,
        };
        let rows = (0..to).flat_map(|row| (0..from).map(move |column| sign(row, column))).collect();
        Projection { from, to, rows }
    }

    /// A matrix whose bytes came in a dump; none when they are not as many as they should be.
    #[must_use]
    pub fn from_bytes(from: usize, to: usize, bytes: &[u8]) -> Option<Projection> {
        if bytes.len() != from * to * 4 {
            return None;
        }
        let rows = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        Some(Projection { from, to, rows })
    }

    /// Its bytes, as dumps have them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.rows.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Memory behind it, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.rows.len() * size_of::<f32>()
    }

    /// A vector with fewer numbers.
    #[must_use]
    pub fn apply(&self, numbers: &[f32]) -> Vec<f32> {
        let row = |row: &[f32]| row.iter().zip(numbers).fold(0f32, |sum, (a, b)| sum + a * b);
        self.rows.chunks(self.from.max(1)).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn distances_stay_about_what_they_were() {
        let mut rng = Rng::from_seed(2);
        let mut draw = || -> Vec<f32> { (0..256).map(|_| rng.below(2001) as f32 / 1000.0 - 1.0).collect() };
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let projection = Projection::new(256, 128);
        for _ in 0..20 {
            let (a, noise) = (draw(), draw());
            let b: Vec<f32> = a.iter().zip(&noise).map(|(a, b)| a + b * 0.7).collect();
            let (before, after) = (cosine(&a, &b), cosine(&projection.apply(&a), &projection.apply(&b)));
            assert!((before - after).abs() < 0.2, "{before} {after}");
        }
    }

    #[test]
    fn a_matrix_comes_back_from_its_bytes() {
        let projection = Projection::new(5, 3);
        assert_eq!(Projection::from_bytes(5, 3, &projection.to_bytes()), Some(projection.clone()));
        assert_eq!(Projection::from_bytes(5, 2, &projection.to_bytes()), None);
        assert_eq!(projection.apply(&[1.0, 0.0, 0.0, 0.0, 0.0]).len(), 3);
    }
}
