//! Time as the engine sees it: two clocks, read by the shell and handed in.
//!
//! Deadlines of keys follow the wall clock, because a dump file or a replica must read them; every other time-out
//! follows the monotonic clock, so that an administrator who sets the date wakes nobody. Nothing below the shells
//! reads a clock of its own.

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since 1970 by the wall clock. May jump either way.
    pub unix_us: u64,
    /// Microseconds since the process started. Never decreases.
    pub mono_us: u64,
}

impl Now {
    /// Milliseconds since 1970.
    #[inline]
    pub fn unix_ms(self) -> u64 {
        self.unix_us / 1000
    }

    /// Seconds since 1970.
    #[inline]
    pub fn unix_s(self) -> u64 {
        self.unix_us / 1_000_000
    }

    /// Milliseconds since the process started.
    #[inline]
    pub fn mono_ms(self) -> u64 {
        self.mono_us / 1000
    }

    /// Both clocks `us` microseconds later.
    #[inline]
    pub fn after_us(self, us: u64) -> Now {
        Now { unix_us: self.unix_us + us, mono_us: self.mono_us + us }
    }
}
