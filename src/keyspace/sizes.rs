//! How many keys have a value of about which size: the `keysizes` section of INFO.
//!
//! A bin holds the sizes from one power of two to the next; bin 0 holds empty values.

/// Bins of one data type.
pub const BINS: usize = 60;

/// The sizes of the values of one type in one database.
#[derive(Clone, Debug)]
pub struct Sizes {
    bins: [u32; BINS],
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { bins: [0; BINS] }
    }
}

impl Sizes {
    #[inline]
    fn bin(size: usize) -> usize {
        (usize::BITS - size.leading_zeros()) as usize
    }

    /// Counts one more value of `size`.
    #[inline]
    pub fn add(&mut self, size: usize) {
        self.bins[Sizes::bin(size)] += 1;
    }

    /// Counts one value of `size` less.
    #[inline]
    pub fn remove(&mut self, size: usize) {
        let bin = &mut self.bins[Sizes::bin(size)];
        debug_assert!(*bin > 0, "a value left that never came");
        *bin = bin.saturating_sub(1);
    }

    /// The bins that hold something, each with the smallest size in it.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        let lower = |i: usize| if i == 0 { 0 } else { 1u64 << (i - 1) };
        self.bins.iter().enumerate().filter(|(_, n)| **n > 0).map(move |(i, n)| (lower(i), *n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_goes_from_a_power_of_two_to_the_next() {
        let mut sizes = Sizes::default();
        for size in [0, 1, 2, 3, 4, 7, 8] {
            sizes.add(size);
        }
        sizes.remove(8);
        assert_eq!(sizes.iter().collect::<Vec<_>>(), [(0, 1), (1, 1), (2, 2), (4, 2)]);
    }
}
