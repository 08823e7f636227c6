//! The orderly end: what is to be saved is saved first, and nobody is served meanwhile.

use super::admission::gate;
use super::disk::FileDone;
use super::durability::{LogStage, Why};
use super::error::CmdError;
use super::timers::Timer;
use super::{Done, Engine, Host, Job};
use crate::config::ShutdownOn;

/// What a client is told whose SHUTDOWN failed.
const FAILED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

/// How often it is looked whether replicas have everything, in milliseconds.
const LOOK_MS: u64 = 10;

/// An end that is under way.
#[derive(Debug)]
pub struct Shutdown {
    /// What was asked for.
    how: ShutdownOn,
    /// Jobs by the number of which clients wait for it; they fail when it does.
    waiters: Vec<u64>,
    /// Until this monotonic microsecond it waits for replicas.
    waits_until_us: Option<u64>,
}

impl Engine {
    /// Whether the server is about to end.
    pub fn is_shutting_down(&self) -> bool {
        self.durability.shutdown.is_some()
    }

    /// A signal asks for the end. A second SIGINT does not wait for what the first has begun: people press the keys twice.
    pub fn shut_down_by_signal(&mut self, host: &mut dyn Host, name: &'static str) {
        if self.is_shutting_down() && name != "SIGINT" {
            return;
        }
        if self.is_shutting_down() {
            log::warn!("You insist... exiting now.");
            self.cancel_last_save();
            self.jobs.queue.push_back(Job::Exit(1));
            return;
        }
        log::warn!("Received {name} scheduling shutdown...");
        if self.switches.cron_paused {
            // Redis begins it in its cron.
            self.durability.late_signal = Some(name);
            return;
        }
        let how = if name == "SIGINT" { self.conf.shutdown_on_sigint } else { self.conf.shutdown_on_sigterm };
        self.shut_down(host, how);
    }

    /// Begins the end that a signal asked for while the cron was paused.
    pub fn shut_down_late(&mut self, host: &mut dyn Host) {
        if let Some(name) = self.durability.late_signal.take_if(|_| !self.switches.cron_paused) {
            self.shut_down_by_signal(host, name);
        }
    }

    /// Ends the server: saves if it has to, then the shell closes its listeners and leaves with code 0.
    pub fn shut_down(&mut self, host: &mut dyn Host, how: ShutdownOn) {
        let how = match self.durability.is_loading() {
            // What is loaded by half must not take the place of the whole.
            true => ShutdownOn { save: false, nosave: true, ..how },
            false => how,
        };
        log::warn!("User requested shutdown...");
        self.durability.shutdown = Some(Shutdown { how, waiters: Vec::new(), waits_until_us: None });
        self.set_gate(gate::PAUSE, true);
        let timeout_s = u64::from(self.conf.shutdown_timeout_s);
        if how.now || timeout_s == 0 || (self.have_replicas_all() && !self.is_migrating()) {
            return self.finish_shutdown(host);
        }
        self.wait_for_replicas(timeout_s);
    }

    /// Lets replicas have what was written before the server ends, and keys get to where they are going: it looks often, for so
    /// many seconds at most.
    fn wait_for_replicas(&mut self, timeout_s: u64) {
        self.request_acks();
        let until_us = self.now.mono_us.saturating_add(timeout_s.saturating_mul(1_000_000));
        if let Some(shutdown) = &mut self.durability.shutdown {
            shutdown.waits_until_us = Some(until_us);
        }
        self.note_held();
        log::info!("Waiting for replicas before shutting down.");
        self.timers.insert(self.now.mono_ms() + LOOK_MS, Timer::Shutdown);
    }

    /// Whether the end waits for replicas.
    pub(super) fn waits_for_replicas(&self) -> bool {
        self.durability.shutdown.as_ref().is_some_and(|shutdown| shutdown.waits_until_us.is_some())
    }

    /// Milliseconds for which the end still waits for replicas; none when it does not.
    pub fn shutdown_in_ms(&self) -> Option<u64> {
        let until_us = self.durability.shutdown.as_ref()?.waits_until_us?;
        Some(until_us.saturating_sub(self.now.mono_us) / 1000)
    }

    /// Looks whether replicas have everything, or the time is over.
    pub(super) fn look_at_shutdown(&mut self, host: &mut dyn Host) {
        let Some(until_us) = self.durability.shutdown.as_ref().and_then(|shutdown| shutdown.waits_until_us)
        else {
            return;
        };
        if self.now.mono_us < until_us && (self.is_migrating() || !self.have_replicas_all()) {
            self.timers.insert(self.now.mono_ms() + LOOK_MS, Timer::Shutdown);
            return;
        }
        if let Some(shutdown) = &mut self.durability.shutdown {
            shutdown.waits_until_us = None;
        }
        self.finish_shutdown(host);
    }

    /// Ends the server after all who were to be waited for.
    fn finish_shutdown(&mut self, host: &mut dyn Host) {
        let Some(how) = self.durability.shutdown.as_ref().map(|shutdown| shutdown.how) else { return };
        self.log_lagging_replicas();
        self.abandon_backup();
        if self.durability.log.stage() == LogStage::Beginning && self.is_rewriting() {
            if !how.force {
                log::warn!("Writing initial AOF, can't exit.");
                self.stay(host);
                return;
            }
            log::warn!("Writing initial AOF. Exit anyway.");
        }
        if self.is_rewriting() {
            log::warn!("There is a child rewriting the AOF. Killing it!");
        }
        let saves = !how.nosave && (how.save || (!self.conf.save.is_empty() && self.stands_at().is_none()));
        // One that is under way may have begun before the last change.
        self.cancel_save(host);
        if !saves {
            self.leave();
            return;
        }
        log::info!("Saving the final RDB snapshot before exiting.");
        self.begin_save(host, Why::Shutdown);
    }

    /// A number of a job that is done when the end fails; the client that waits for it gets the error.
    pub fn wait_for_shutdown(&mut self) -> u64 {
        let job = self.jobs.number(0);
        if let Some(shutdown) = &mut self.durability.shutdown {
            shutdown.waiters.push(job);
        }
        job
    }

    /// The verdict for a client that waits for the end and is still there.
    pub fn shutdown_failed(&mut self, _: &mut dyn Host, _: Done) -> Result<(), CmdError> {
        Err(CmdError::coded(FAILED))
    }

    /// The last save has come to its end, or failed.
    pub(super) fn last_save_ended(&mut self, host: &mut dyn Host, is_ok: bool) {
        let is_forced = self.durability.shutdown.as_ref().is_some_and(|shutdown| shutdown.how.force);
        if is_ok || is_forced {
            if !is_ok {
                log::warn!("Error trying to save the DB. Exiting anyway.");
            }
            self.leave();
            return;
        }
        log::warn!("Error trying to save the DB, can't exit.");
        self.stay(host);
    }

    /// SHUTDOWN ABORT; false when there is nothing to abort.
    pub fn abort_shutdown(&mut self, host: &mut dyn Host) -> bool {
        let is_late = self.durability.late_signal.take().is_some();
        if !is_late && !self.is_shutting_down() {
            return false;
        }
        log::info!("Shutdown manually aborted.");
        if is_late {
            return true;
        }
        self.cancel_last_save();
        self.stay(host);
        true
    }

    /// The server does not end: who waited for it is told, and everybody is served again.
    fn stay(&mut self, host: &mut dyn Host) {
        log::warn!("Errors trying to shut down the server. Check the logs for more information.");
        let Some(shutdown) = self.durability.shutdown.take() else { return };
        self.note_held();
        if self.pause.until_us == 0 {
            self.unpause_clients();
        }
        for job in shutdown.waiters {
            self.completed(host, job, Done::File(Ok(FileDone::default())));
        }
    }

    /// Ends the process, when what was logged is durable.
    fn leave(&mut self) {
        if self.durability.log.stage() == LogStage::On {
            log::info!("Calling fsync() on the AOF file.");
            if self.close_log() {
                return;
            }
        }
        self.jobs.queue.push_back(Job::Exit(0));
    }

    /// The log is closed, as well as it could be.
    pub(super) fn log_was_closed(&mut self, host: &mut dyn Host) {
        self.durability.log_is_closed();
        self.end_configuring(host);
        if self.is_shutting_down() {
            self.jobs.queue.push_back(Job::Exit(0));
        }
    }
}
