//! When an entry was last used (LRU) or changed (LRM), or how often it was used (LFU), in 24 bits.
//!
//! LRU and LRM: the clock in seconds, modulo 2^24 (194 days); an idle time is a difference on that ring.
//!
//! LFU, as in Redis: 16 bits of minutes at the last decrement, 8 bits of a logarithmic counter. The counter grows
//! with probability `1 / ((counter - 5) * lfu-log-factor + 1)` and falls by one every `lfu-decay-time` minutes. A new
//! key starts at 5, so that it is not evicted before it had a chance.

/// Counter of a new entry. Redis: `LFU_INIT_VAL`.
pub const LFU_INITIAL: u8 = 5;

const CLOCK_MASK: u64 = (1 << 24) - 1;

/// What the two clocks need to know; derived from the configuration and the time once a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessClock {
    /// Whether `maxmemory-policy` is one of the LFU ones.
    pub lfu: bool,
    /// Whether it is one of the LRM ones: what counts is the last change, and not the last access.
    pub lrm: bool,
    /// Seconds, modulo 2^24.
    pub lru_s: u32,
    /// Minutes, modulo 2^16.
    pub lfu_minutes: u16,
    /// `lfu-log-factor`.
    pub log_factor: u32,
    /// `lfu-decay-time`, in minutes; 0 never decays.
    pub decay_minutes: u32,
}

impl AccessClock {
    /// Sets the clocks to a wall-clock time in seconds.
    pub fn set_time(&mut self, unix_s: u64) {
        self.lru_s = (unix_s & CLOCK_MASK) as u32;
        self.lfu_minutes = (unix_s / 60) as u16;
    }

    /// The bits of a new entry.
    #[inline]
    pub fn fresh(&self) -> u32 {
        if self.lfu { u32::from(self.lfu_minutes) << 8 | u32::from(LFU_INITIAL) } else { self.lru_s }
    }

    /// Whether one more access changes nothing: in LRU, the second of the last one is not over.
    #[inline]
    pub fn is_noted(&self, access: u32) -> bool {
        access == self.lru_s && !self.lfu
    }

    /// The bits after one more access; `chance` is a random word.
    #[inline]
    pub fn touched(&self, access: u32, chance: impl FnOnce() -> u64) -> u32 {
        if !self.lfu {
            return self.lru_s;
        }
        let counter = self.grown(self.decayed(access), chance);
        u32::from(self.lfu_minutes) << 8 | u32::from(counter)
    }

    /// The LFU counter as it is now.
    pub fn decayed(&self, access: u32) -> u8 {
        let elapsed = u32::from(self.lfu_minutes.wrapping_sub((access >> 8) as u16));
        let periods = elapsed.checked_div(self.decay_minutes).unwrap_or(0);
        (access as u8).saturating_sub(periods.min(255) as u8)
    }

    fn grown(&self, counter: u8, chance: impl FnOnce() -> u64) -> u8 {
        if counter == 255 {
            return 255;
        }
        let above = f64::from(counter.saturating_sub(LFU_INITIAL));
        let p = 1.0 / (above * f64::from(self.log_factor) + 1.0);
        let drawn = (chance() >> 11) as f64 / (1u64 << 53) as f64;
        if drawn < p { counter + 1 } else { counter }
    }

    /// Seconds since the last access of an LRU entry.
    pub fn idle_s(&self, access: u32) -> u64 {
        (u64::from(self.lru_s).wrapping_sub(u64::from(access))) & CLOCK_MASK
    }

    /// The bits of an entry of which a dump file says how long it was idle, or how often it was used.
    pub fn of_file(&self, idle_s: Option<u64>, frequency: Option<u8>) -> u32 {
        match (idle_s, frequency) {
            (Some(idle_s), _) if !self.lfu => self.idle_for(idle_s),
            (_, Some(frequency)) if self.lfu => self.with_frequency(frequency),
            _ => self.fresh(),
        }
    }

    /// The bits of an LFU entry with this counter.
    pub fn with_frequency(&self, counter: u8) -> u32 {
        u32::from(self.lfu_minutes) << 8 | u32::from(counter)
    }

    /// The bits of an entry that was last used `idle_s` seconds ago.
    pub fn idle_for(&self, idle_s: u64) -> u32 {
        (u64::from(self.lru_s).wrapping_sub(idle_s) & CLOCK_MASK) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_survives_the_wrap_of_the_clock() {
        let mut clock = AccessClock::default();
        clock.set_time((1 << 24) - 2);
        let access = clock.fresh();
        clock.set_time((1 << 24) + 5);
        assert_eq!(clock.idle_s(access), 7);
        assert_eq!(clock.idle_s(clock.idle_for(7)), 7);
    }

    #[test]
    fn the_counter_grows_with_luck_and_decays_with_time() {
        let mut clock = AccessClock { lfu: true, log_factor: 10, decay_minutes: 2, ..AccessClock::default() };
        clock.set_time(600);
        let mut access = clock.fresh();
        assert_eq!(clock.decayed(access), LFU_INITIAL);
        access = clock.touched(access, || 0);
        assert_eq!(clock.decayed(access), LFU_INITIAL + 1);
        access = clock.touched(access, || u64::MAX);
        assert_eq!(clock.decayed(access), LFU_INITIAL + 1);
        clock.set_time(600 + 4 * 60);
        assert_eq!(clock.decayed(access), LFU_INITIAL - 1);
    }
}
