//! The recorder: how long each phase of each turn of the loop took.
//!
//! The shell stamps the end of a phase with its tick counter; the time since the stamp before belongs to that phase. A
//! fixed ring keeps the last turns, a histogram for each phase all of them. A stamp costs a counter read and two
//! additions, so the recorder is always on.

use crate::structures::histogram::Histogram;

/// Turns in the ring.
const TURNS: usize = 1024;

/// The parts of a turn, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Phase {
    /// Asleep, or asking the system what is ready.
    Poll = 0,
    /// New connections.
    Accept,
    /// Parsing and running commands.
    Run,
    /// Timers, expiry, growing tables, freeing.
    Expire,
    /// From buffers into sockets.
    Write,
    /// Saving and loading.
    Files,
}

/// Names of the phases, as INFO shows them.
pub const PHASES: [&str; 6] = ["poll", "accept", "run", "expire", "write", "files"];

/// One turn of the loop: microseconds of each phase.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Ticks of each phase.
    pub ticks: [u32; PHASES.len()],
    /// Commands that ran.
    pub commands: u32,
}

/// The recorder.
#[derive(Debug)]
pub struct Recorder {
    turns: Vec<Turn>,
    next: usize,
    current: Turn,
    last: u64,
    ticks_per_ms: u64,
    /// Ticks of each phase, of all turns in which it took any time.
    pub phases: [Histogram; PHASES.len()],
    /// Ticks of all phases but the poll.
    pub busy: Histogram,
    /// Turns that worked longer than 2 ms.
    pub turns_above_2ms: u64,
    /// Turns that worked longer than 10 ms.
    pub turns_above_10ms: u64,
    /// The same by the processor's time, which other processes cannot lengthen; only under `DEBUG TURN-CPU 1`.
    pub cpu: TurnCpu,
}

/// Processor time of turns.
#[derive(Debug, Default, Clone, Copy)]
pub struct TurnCpu {
    /// Whether it is measured: a look at the clock of the thread costs 350 ns.
    pub is_on: bool,
    /// Turns that took longer than 2 ms.
    pub above_2ms: u64,
    /// Turns that took longer than 10 ms.
    pub above_10ms: u64,
    /// The longest, in microseconds.
    pub max_us: u64,
}

impl TurnCpu {
    /// A turn took so long.
    pub fn note(&mut self, us: u64) {
        self.above_2ms += u64::from(us > 2000);
        self.above_10ms += u64::from(us > 10_000);
        self.max_us = self.max_us.max(us);
    }
}

impl Recorder {
    /// A recorder of a counter with so many ticks in a millisecond.
    pub fn new(ticks_per_ms: u64) -> Recorder {
        Recorder {
            turns: vec![Turn::default(); TURNS],
            next: 0,
            current: Turn::default(),
            last: 0,
            ticks_per_ms,
            // Memory must not grow with the longest turn: keys would be evicted for it.
            phases: std::array::from_fn(|_| Histogram::with_room()),
            busy: Histogram::with_room(),
            turns_above_2ms: 0,
            turns_above_10ms: 0,
            cpu: TurnCpu::default(),
        }
    }

    /// A phase ended at `ticks`.
    #[inline]
    pub fn stamp(&mut self, phase: Phase, ticks: u64) {
        let spent = ticks.saturating_sub(self.last).min(u64::from(u32::MAX)) as u32;
        let total = &mut self.current.ticks[phase as usize];
        *total = total.saturating_add(spent);
        self.last = ticks;
    }

    /// A turn ended; `commands` ran in it. Returns the ticks of all phases but the poll.
    #[inline]
    pub fn end_turn(&mut self, commands: u64) -> u64 {
        let turn = std::mem::take(&mut self.current);
        let mut busy = 0;
        for (i, &ticks) in turn.ticks.iter().enumerate() {
            if ticks == 0 {
                continue;
            }
            self.phases[i].record(u64::from(ticks));
            if i != Phase::Poll as usize {
                busy += u64::from(ticks);
            }
        }
        self.busy.record(busy);
        self.turns_above_2ms += u64::from(busy > 2 * self.ticks_per_ms);
        self.turns_above_10ms += u64::from(busy > 10 * self.ticks_per_ms);
        self.turns[self.next] = Turn { commands: commands as u32, ..turn };
        self.next = (self.next + 1) % TURNS;
        busy
    }

    /// Ticks of one phase of the last turn.
    pub fn last_ticks_of(&self, phase: Phase) -> u64 {
        let last = (self.next + TURNS - 1) % TURNS;
        u64::from(self.turns[last].ticks[phase as usize])
    }

    /// The last turns, oldest first.
    pub fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.turns[self.next..].iter().chain(&self.turns[..self.next])
    }

    /// Ticks as microseconds.
    #[inline]
    pub fn us(&self, ticks: u64) -> u64 {
        ticks * 1000 / self.ticks_per_ms
    }

    /// Forgets everything but the rate of the counter.
    pub fn reset(&mut self) {
        let cpu = TurnCpu { is_on: self.cpu.is_on, ..TurnCpu::default() };
        *self = Recorder { last: self.last, cpu, ..Recorder::new(self.ticks_per_ms) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_two_stamps_belongs_to_the_second() {
        let mut recorder = Recorder::new(1000);
        recorder.stamp(Phase::Poll, 500);
        recorder.stamp(Phase::Run, 3500);
        recorder.stamp(Phase::Write, 3600);
        assert_eq!(recorder.end_turn(7), 3100);
        let turn = recorder.turns().last().expect("a turn was recorded");
        assert_eq!((turn.ticks, turn.commands), ([500, 0, 3000, 0, 100, 0], 7));
        assert_eq!((recorder.turns_above_2ms, recorder.turns_above_10ms), (1, 0));
    }
}
