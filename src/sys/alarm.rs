//! A timer that a poll can wait for, exact to microseconds.
//!
//! A poll counts its time-out in whole milliseconds; a key that dies at a millisecond would be heard of a millisecond
//! late. So deadlines are slept through by this timer, which is one more descriptor.

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;

/// The timer.
#[derive(Debug)]
pub struct Alarm {
    fd: OwnedFd,
}

impl Alarm {
    /// A timer that is not armed.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new() -> io::Result<Alarm> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Alarm { fd })
    }

    /// Makes the descriptor readable in `us` microseconds, once; at least in one.
    pub fn ring_in_us(&self, us: u64) {
        let us = us.max(1);
        let time = Timespec { tv_sec: (us / 1_000_000) as i64, tv_nsec: (us % 1_000_000 * 1000) as i64 };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: never, it_value: time };
        // Setting a timer that exists to a time in range cannot fail.
        let set = timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec);
        debug_assert!(set.is_ok());
    }

    /// Number of the descriptor.
    pub fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
