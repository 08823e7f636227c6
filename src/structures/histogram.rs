//! Histogram of durations with two significant decimal digits.
//!
//! Values below 256 are counted one by one. Above, every power of two is divided into 128 equal buckets, so
//! that a bucket is never wider than 1 % of its values: the layout of HdrHistogram, whose percentiles
//! Redis's LATENCY and INFO commands report.
//!
//! * Values are clamped to 1 ..= [`VALUE_MAX`].
//!
//! The cost: recording is a few nanoseconds; 8 bytes a bucket up to that of the largest value, which is 4 KiB for
//! durations up to a microsecond and 12 KiB up to a millisecond.
//! After Tene's HdrHistogram.

/// Largest value that is told apart: a second in nanoseconds.
pub const VALUE_MAX: u64 = 1_000_000_000;

/// Buckets of one power of two.
const HALF: usize = 128;
const HALF_BITS: u32 = HALF.ilog2();
const BUCKETS: usize = bucket_of(VALUE_MAX) + 1;

/// Counts of values. See the head of the file.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Up to the bucket of the largest value; empty before the first.
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

const fn bucket_of(value: u64) -> usize {
    let shift = (value | (HALF as u64)).ilog2() - HALF_BITS;
    ((shift as usize) << HALF_BITS) + (value >> shift) as usize
}

/// The highest value that is counted in this bucket.
const fn upper_bound(bucket: usize) -> u64 {
    let shift = (bucket >> HALF_BITS).saturating_sub(1);
    let within = bucket - (shift << HALF_BITS);
    ((within as u64 + 1) << shift) - 1
}

impl Histogram {
    /// A histogram without values and without memory.
    #[must_use]
    pub const fn new() -> Histogram {
        Histogram { buckets: Vec::new(), count: 0, max: 0 }
    }

    /// A histogram that has the room for every value, 24 KiB, and takes no more when a large one comes.
    #[must_use]
    pub fn with_room() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS], count: 0, max: 0 }
    }

    /// Counts a value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let value = value.clamp(1, VALUE_MAX);
        let bucket = bucket_of(value);
        match self.buckets.get_mut(bucket) {
            Some(count) => *count += 1,
            None => self.grow_to(bucket),
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Counts the first value in a bucket above all others.
    #[cold]
    fn grow_to(&mut self, bucket: usize) {
        let len = (bucket + 1).next_multiple_of(HALF).min(BUCKETS);
        self.buckets.reserve_exact(len - self.buckets.len());
        self.buckets.resize(len, 0);
        self.buckets[bucket] = 1;
    }

    /// Values counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value, as exactly as its bucket tells; 0 if there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        if self.count == 0 { 0 } else { upper_bound(bucket_of(self.max)) }
    }

    /// The value that `percent` of the values do not exceed: the highest of its bucket. 0 if there is none.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (percent.clamp(0.0, 100.0) / 100.0 * self.count as f64 + 0.5) as u64;
        let mut seen = 0;
        for (bound, count) in self.iter() {
            seen += count;
            if seen >= wanted.max(1) {
                return bound;
            }
        }
        0
    }

    /// The buckets that have values, each with its highest value and its count.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let used = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        used.map(|(bucket, count)| (upper_bound(bucket), *count))
    }

    /// Forgets all values and gives the memory back.
    pub fn clear(&mut self) {
        *self = Histogram::new();
    }

    /// Bytes taken from the allocator.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        assert_eq!((bucket_of(0), bucket_of(255), bucket_of(256), bucket_of(257)), (0, 255, 256, 256));
        for bucket in 1..BUCKETS {
            let (low, high) = (upper_bound(bucket - 1) + 1, upper_bound(bucket));
            assert_eq!((bucket_of(low), bucket_of(high)), (bucket, bucket));
            assert!((high - low) as f64 <= low as f64 / 100.0);
        }
        assert!(upper_bound(BUCKETS - 1) >= VALUE_MAX);
    }

    #[test]
    fn percentiles_agree_with_sorted_values_to_one_percent() {
        let mut rng = Rng::from_seed(1);
        let mut histogram = Histogram::new();
        let mut values: Vec<u64> = Vec::new();
        for _ in 0..20_000 {
            let shift = rng.below(29);
            let value = 1 + rng.below(1 << shift);
            values.push(value);
            histogram.record(value);
        }
        values.sort_unstable();
        for percent in [1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let exact = values[(percent / 100.0 * 20_000.0) as usize - 1];
            let told = histogram.percentile(percent);
            assert!(told >= exact && told as f64 <= exact as f64 * 1.01, "p{percent}: {told} for {exact}");
        }
        assert_eq!(histogram.iter().map(|(_, count)| count).sum::<u64>(), 20_000);
        assert_eq!(histogram.percentile(100.0), histogram.max());
    }

    #[test]
    fn values_out_of_range_are_clamped_and_nothing_is_allocated_in_advance() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.percentile(50.0), histogram.max(), histogram.heap_bytes()), (0, 0, 0));
        histogram.record(0);
        assert_eq!(histogram.percentile(50.0), 1);
        histogram.record(u64::MAX);
        assert!(histogram.max() >= VALUE_MAX && histogram.max() < VALUE_MAX / 100 * 101);
        histogram.clear();
        assert_eq!((histogram.count(), histogram.heap_bytes()), (0, 0));
        let mut roomy = Histogram::with_room();
        let room = roomy.heap_bytes();
        roomy.record(u64::MAX);
        assert_eq!((roomy.count(), roomy.heap_bytes()), (1, room));
    }
}
