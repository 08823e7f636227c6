//! When memory that was freed goes back to the system.
//!
//! The allocator keeps what is freed in the middle of its heap, so the buffers of clients that left, or values that were
//! deleted, would count as resident until MEMORY PURGE. So it is asked to give back what it has: when much less is
//! allocated than was at most since it last gave back, and that for a while, as what comes and goes would only have to
//! be fetched again.
//!
//! * [`GiveBack::is_due`] is asked by the sampler, which runs as long as there is traffic and a little longer.
//! * Giving back takes time, the more so the more holes the heap has: it gets one part in a hundred.

/// So much less has to be allocated.
const FALL_BYTES: usize = 16 << 20;

/// For so long, in microseconds.
const FALL_US: u64 = 500_000;

/// The time between two times of giving back is so many times what the first took.
const REST: u64 = 100;

/// What the sampler remembers.
#[derive(Debug, Default)]
pub struct GiveBack {
    /// Most bytes allocated since memory was given back.
    most_bytes: usize,
    /// Since when much less is allocated, monotonic microseconds.
    fallen_since_us: Option<u64>,
    /// Not before this time.
    not_before_us: u64,
}

impl GiveBack {
    /// Whether to give memory back, now that so much is allocated.
    pub fn is_due(&mut self, allocated_bytes: usize, now_us: u64) -> bool {
        self.most_bytes = self.most_bytes.max(allocated_bytes);
        if !self.has_fallen(allocated_bytes) {
            self.fallen_since_us = None;
            return false;
        }
        let since_us = *self.fallen_since_us.get_or_insert(now_us);
        now_us >= self.not_before_us && now_us - since_us >= FALL_US
    }

    /// Whether much less is allocated than was at most.
    pub fn has_fallen(&self, allocated_bytes: usize) -> bool {
        self.most_bytes.saturating_sub(allocated_bytes) >= FALL_BYTES
    }

    /// Memory was given back, which took so long; so much is allocated.
    pub fn gave(&mut self, allocated_bytes: usize, took_us: u64, now_us: u64) {
        let not_before_us = now_us.saturating_add(took_us.saturating_mul(REST));
        *self = GiveBack { most_bytes: allocated_bytes, fallen_since_us: None, not_before_us };
    }

    /// Whether more is allocated less than at most, so that the sampler has to look again.
    pub fn is_waiting(&self) -> bool {
        self.fallen_since_us.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_when_it_was_free_for_a_while() {
        let mut memory = GiveBack::default();
        assert!(!memory.is_due(100 << 20, 0));
        assert!(!memory.is_due(10 << 20, 100_000) && memory.is_waiting());
        // What comes and goes is kept.
        assert!(!memory.is_due(99 << 20, 400_000) && !memory.is_waiting());
        assert!(!memory.is_due(10 << 20, 500_000));
        assert!(!memory.is_due(10 << 20, 999_999));
        assert!(memory.is_due(10 << 20, 1_000_000));
        memory.gave(10 << 20, 20_000, 1_000_000);
        assert!(!memory.is_due(10 << 20, 1_100_000) && !memory.is_waiting());
        // It took long, so the next time is far.
        assert!(!memory.is_due(50 << 20, 1_200_000));
        assert!(!memory.is_due(1 << 20, 1_300_000));
        assert!(!memory.is_due(1 << 20, 2_900_000));
        assert!(memory.is_due(1 << 20, 3_000_000));
    }
}
