//! The loop: it sleeps in the poll until a socket is ready, a deadline comes, or a signal or another thread wakes it, and then
//! turns once. What a turn consists of, and in which order, is in [`crate::engine::turn`]; here is how it is done with sockets,
//! clocks and signals.
//!
//! Readiness is edge-triggered: the system tells once that a socket can be read, so a socket that was left unread
//! stays on the ready list until a read says that it is empty. While that list, or the engine's, holds anybody, the
//! next poll does not sleep.

use super::connections::{NO_CLIENT, SIDE_BY_SIDE, Served, serve, serve_several};
use super::host::ShellHost;
use super::outgoing::Target;
use super::signals::{Signal, Signals};
use crate::base::limit::SERVING_US_PER_TURN;
use crate::engine::host::Host;
use crate::engine::input::Peeked;
use crate::engine::recorder::Phase;
use crate::engine::turn::{Shell, turn};
use crate::engine::{Engine, Job};
use crate::sys::alarm::Alarm;
use crate::sys::process;
use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use std::io;
use std::time::Duration;

/// Tokens from here on are not connections: listeners count down from the end.
pub(super) const FIRST_SPECIAL: usize = usize::MAX - 64;
/// Token of the waker by which another thread ends the poll's sleep.
pub const WAKER: Token = Token(usize::MAX);
pub(super) const SIGNALS: Token = Token(usize::MAX - 1);
pub(super) const ALARM: Token = Token(usize::MAX - 2);

/// Deadlines that are so near to each other are one: the two clocks never agree to the microsecond.
const ALARM_JITTER_US: u64 = 50;

/// How often the clocks are asked, at most. In between the tick counter tells how the time goes on.
const CLOCK_READS_PER_MS: u64 = 5;

/// Events that one poll takes.
const EVENTS: usize = 1024;

/// The loop and all that it turns.
pub struct EventLoop {
    engine: Engine,
    host: ShellHost,
    signals: Signals,
    /// What the last poll told.
    events: Events,
    /// What the engine has seen of the requests of connections that are served side by side.
    peeks: [Peeked; SIDE_BY_SIDE],
    alarm: Alarm,
    /// What the alarm is set to, by the monotonic clock; past when it has rung.
    alarm_at_us: u64,
    /// The engine has something to do at once.
    busy: bool,
    exit: Option<i32>,
    /// Processor time of this thread at the end of the last turn, under DEBUG TURN-CPU.
    cpu_us: Option<u64>,
    /// Ticks at which the clocks were asked.
    clocks_read_at: u64,
}

impl EventLoop {
    /// A loop around an engine and its host, whose listeners are open.
    ///
    /// # Errors
    ///
    /// When the system grants no timer.
    pub fn new(engine: Engine, host: ShellHost, signals: Signals) -> io::Result<EventLoop> {
        let alarm = Alarm::new()?;
        host.poll.registry().register(&mut SourceFd(&alarm.number()), ALARM, Interest::READABLE)?;
        Ok(EventLoop {
            engine,
            host,
            signals,
            events: Events::with_capacity(EVENTS),
            peeks: Default::default(),
            alarm,
            alarm_at_us: 0,
            // What was asked for before the first turn is to be handed out.
            busy: true,
            exit: None,
            cpu_us: None,
            clocks_read_at: 0,
        })
    }

    /// Turns until somebody asks for the end; returns the exit code.
    ///
    /// # Errors
    ///
    /// When the system refuses to poll.
    pub fn run(mut self) -> io::Result<i32> {
        self.update_time();
        self.stamp(Phase::Poll);
        loop {
            let timeout = self.sleep_at_most();
            match self.host.poll.poll(&mut self.events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.busy = turn(&mut self);
            if let Some(code) = self.exit {
                self.host.close();
                return Ok(code);
            }
        }
    }

    /// How long the poll may sleep; none: until something happens. A deadline is something that happens: the alarm is set
    /// to it, anew only when it has changed.
    fn sleep_at_most(&mut self) -> Option<Duration> {
        let listeners = &self.host.listeners;
        if self.busy
            || !self.host.ready.is_empty()
            || self.host.has_missed
            || self.engine.has_runnable()
            || listeners.has_waiting()
        {
            return Some(Duration::ZERO);
        }
        let us = self.engine.next_deadline_in_us()?;
        if us == 0 {
            return Some(Duration::ZERO);
        }
        let now_us = self.engine.now.mono_us;
        let at_us = now_us.saturating_add(us);
        if self.alarm_at_us <= now_us || self.alarm_at_us.abs_diff(at_us) > ALARM_JITTER_US {
            self.alarm.ring_in_us(us);
            self.alarm_at_us = at_us;
        }
        None
    }

    fn take_signals(&mut self) {
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::Terminate(name) => {
                    self.engine.shut_down_by_signal(&mut self.host, name);
                }
            }
        }
    }
}

impl Shell for EventLoop {
    type Host = ShellHost;

    #[inline]
    fn parts(&mut self) -> (&mut Engine, &mut ShellHost) {
        (&mut self.engine, &mut self.host)
    }

    #[inline]
    fn stamp(&mut self, phase: Phase) {
        let ticks = self.host.ticks();
        self.engine.recorder.stamp(phase, ticks);
    }

    /// The clocks are asked only when their last answer is old.
    fn update_time(&mut self) {
        let ticks = self.host.ticks();
        if ticks.saturating_sub(self.clocks_read_at) * CLOCK_READS_PER_MS < self.host.ticks_per_ms() {
            return self.engine.pass_time(ticks);
        }
        self.clocks_read_at = ticks;
        let now = self.host.now();
        self.engine.set_now(now, ticks);
    }

    fn take_events(&mut self) {
        let has_special = self.host.take_events(&mut self.engine, &self.events, None);
        if has_special | std::mem::take(&mut self.host.has_missed) {
            self.take_signals();
        }
        self.host.accept(&mut self.engine);
        self.host.take_done(&mut self.engine);
    }

    /// Serves connections in turn until all had theirs or the time is over.
    fn serve(&mut self) {
        let end = self.host.ticks() + SERVING_US_PER_TURN * self.host.ticks_per_ms() / 1000;
        let (mut left, mut waiting) = (self.host.ready.len(), self.engine.runnable_count());
        while left > 0 || waiting > 0 {
            if waiting > 0 {
                waiting -= 1;
                self.engine.serve_waiting(&mut self.host);
            }
            let together = left.min(SIDE_BY_SIDE);
            left -= together;
            let mut ids = [NO_CLIENT; SIDE_BY_SIDE];
            ids.iter_mut().zip(self.host.ready.drain(..together)).for_each(|(slot, id)| *slot = id);
            let more = match ids[..together] {
                [] => 0,
                [id] => u32::from(serve(&mut self.engine, &mut self.host, id) == Served::More),
                ref several => serve_several(&mut self.engine, &mut self.host, several, &mut self.peeks),
            };
            if more != 0 {
                let left_over = ids.iter().enumerate().filter(|(i, _)| more >> i & 1 == 1);
                self.host.ready.extend(left_over.map(|(_, id)| *id));
            }
            if (left > 0 || waiting > 0) && self.host.ticks() > end {
                break;
            }
        }
    }

    fn write_log(&mut self) {
        self.host.write_log(&mut self.engine);
    }

    fn write_replies(&mut self) {
        self.host.write_replies(&mut self.engine);
    }

    fn write_messages(&mut self) {
        self.host.write_messages(&mut self.engine);
    }

    fn do_jobs(&mut self) {
        while let Some(job) = self.engine.poll_job() {
            match job {
                Job::Close(id) => {
                    self.host.connections.close(self.host.poll.registry(), id);
                    self.engine.closed(&mut self.host, id);
                }
                Job::Exit(code) => self.exit = Some(code),
                Job::Connect { id, host, port, source } => {
                    self.host.connect(&mut self.engine, Target { id, host, port, source });
                }
                Job::ReadOn(id) => self.host.read_on(id),
                Job::Gather(id) => self.host.connections.gather_small(id),
                other => self.host.hand_over(other),
            }
        }
    }

    fn end_turn(&mut self) {
        if self.engine.recorder.cpu.is_on {
            let us = process::thread_cpu_us();
            if let Some(before) = self.cpu_us.replace(us) {
                self.engine.recorder.cpu.note(us.saturating_sub(before));
            }
        }
        super::log::set_role(self.engine.is_replica());
        self.host.helper.maintain_memory();
        let commands = std::mem::take(&mut self.engine.stats.turn_commands);
        let busy_ticks = self.engine.recorder.end_turn(commands);
        self.engine.end_turn(busy_ticks, commands);
    }
}
