//! How often a script is looked at: after a thousand instructions, which take some microseconds, or after each one while
//! they are slow.
//!
//! An instruction can be a call of a stock function that works for milliseconds, and a thousand of these would take longer
//! than anybody wants to wait for SCRIPT KILL.

/// Instructions between two looks at a script whose instructions are quick: about 10 microseconds.
pub const INSTRUCTIONS_PER_LOOK: u32 = 1000;

/// Milliseconds between two looks from which on each instruction is looked at.
const SLOW_MS: u64 = 2;

/// Milliseconds for [`INSTRUCTIONS_PER_LOOK`] instructions, each looked at, below which they are quick again.
const QUICK_MS: u64 = 1;

/// The pace of a script that runs.
#[derive(Debug)]
pub struct Pace {
    instructions: u32,
    /// Ticks at the last look; where each instruction is looked at, at the first one that was counted.
    since_ticks: u64,
    /// Looks that were counted since then.
    looks: u32,
    /// The last two looks were less than a microsecond apart.
    is_cramped: bool,
}

impl Pace {
    /// The pace of a script that begins now.
    pub fn new(ticks: u64) -> Pace {
        Pace { instructions: INSTRUCTIONS_PER_LOOK, since_ticks: ticks, looks: 0, is_cramped: false }
    }

    /// Each instruction is looked at.
    pub fn is_slow(&self) -> bool {
        self.instructions == 1
    }

    /// After how many instructions to look again, where that may be another number than before. Each coroutine has its own
    /// number, so one that runs on may have that of other times.
    pub fn change(&self) -> Option<u32> {
        (self.is_slow() || self.is_cramped).then_some(self.instructions)
    }

    /// The script was looked at.
    pub fn looked(&mut self, ticks: u64, ticks_per_ms: u64) {
        let passed = ticks.saturating_sub(self.since_ticks);
        if self.instructions != 1 {
            self.since_ticks = ticks;
            self.is_cramped = passed < ticks_per_ms / 1000;
            if passed > SLOW_MS * ticks_per_ms {
                (self.instructions, self.looks) = (1, 0);
            }
            return;
        }
        self.looks += 1;
        if self.looks == INSTRUCTIONS_PER_LOOK {
            if passed < QUICK_MS * ticks_per_ms {
                self.instructions = INSTRUCTIONS_PER_LOOK;
                self.is_cramped = true;
            }
            (self.since_ticks, self.looks) = (ticks, 0);
        }
    }

    /// The script did not run until now: others spoke.
    pub fn paused(&mut self, from_ticks: u64, to_ticks: u64) {
        self.since_ticks += to_ticks.saturating_sub(from_ticks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    #[test]
    fn each_instruction_is_looked_at_while_they_are_slow() {
        let mut pace = Pace::new(5);
        let mut now = 5;
        for _ in 0..100 {
            now += MS;
            pace.looked(now, MS);
            assert_eq!(pace.change(), None);
        }
        now += 3 * MS;
        pace.looked(now, MS);
        assert_eq!(pace.change(), Some(1));
        // A thousand instructions that take half a second: slow.
        for _ in 0..INSTRUCTIONS_PER_LOOK {
            now += MS / 2;
            pace.looked(now, MS);
            assert_eq!(pace.change(), Some(1));
        }
        for _ in 0..INSTRUCTIONS_PER_LOOK - 1 {
            pace.looked(now, MS);
            assert_eq!(pace.change(), Some(1));
        }
        pace.looked(now, MS);
        assert_eq!(pace.change(), Some(INSTRUCTIONS_PER_LOOK));
        now += MS / 100;
        pace.looked(now, MS);
        assert_eq!(pace.change(), None);
        // Another coroutine, which is still looked at after each instruction.
        pace.looked(now, MS);
        assert_eq!(pace.change(), Some(INSTRUCTIONS_PER_LOOK));
    }

    #[test]
    fn what_others_take_is_no_instruction() {
        let mut pace = Pace::new(0);
        pace.paused(MS, 50 * MS);
        pace.looked(51 * MS, MS);
        assert!(!pace.is_slow());
    }
}
