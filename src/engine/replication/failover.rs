//! FAILOVER: this server and one of its replicas exchange their roles, and no write gets lost.
//!
//! ```text
//! writes wait  ->  a replica has all of the feed  ->  this server follows it, by PSYNC with FAILOVER
//!                                                     the other one is a primary from then on
//! ```
//!
//! While writes wait nothing may be added to the feed, or no replica would ever have all of it: no ping, no request to say how far
//! they are, no key that expires.

use super::super::admission::gate;
use super::super::client::state;
use super::super::error::CmdError;
use super::super::timers::Timer;
use super::super::{Engine, Host};

/// How often it is looked whether a replica has everything, in milliseconds.
const LOOK_MS: u64 = 100;

/// A failover that is under way.
#[derive(Debug)]
pub struct Failover {
    /// The replica that takes over; none: the first that has everything.
    target: Option<(String, u16)>,
    /// It is given up, or done all the same, at this monotonic microsecond.
    until_us: Option<u64>,
    /// It is done when the time is over, although the replica has not everything.
    is_forced: bool,
    /// The replica has been asked.
    is_asked: bool,
}

impl Failover {
    /// What INFO calls it.
    pub fn state_name(&self) -> &'static str {
        if self.is_asked { "failover-in-progress" } else { "waiting-for-sync" }
    }
}

impl Engine {
    /// FAILOVER: begins.
    ///
    /// # Errors
    ///
    /// The error reply.
    pub fn begin_failover(
        &mut self,
        target: Option<(String, u16)>,
        timeout_ms: Option<u64>,
        is_forced: bool,
    ) -> Result<(), CmdError> {
        let refusal = if self.replication.failover.is_some() {
            "FAILOVER already in progress."
        } else if self.is_replica() {
            "FAILOVER is not valid when server is a replica."
        } else if self.replication.replicas.is_empty() {
            "FAILOVER requires connected replicas."
        } else if is_forced && (timeout_ms.is_none() || target.is_none()) {
            "FAILOVER with force option requires both a timeout and target HOST and IP."
        } else {
            ""
        };
        if !refusal.is_empty() {
            return Err(CmdError::err(refusal));
        }
        match &target {
            Some((address, port)) => {
                let Some((_, _, replica)) = self.shown_replicas().find(|(a, p, _)| a == address && p == port)
                else {
                    return Err(CmdError::err("FAILOVER target HOST and PORT is not a replica."));
                };
                if !replica.stage.is_online() {
                    return Err(CmdError::err("FAILOVER target replica is not online."));
                }
                log::info!("FAILOVER requested to {address}:{port}.");
            }
            None => log::info!("FAILOVER requested to any replica."),
        }
        let until_us = timeout_ms.map(|ms| self.now.mono_us.saturating_add(ms.saturating_mul(1000)));
        self.replication.failover = Some(Failover { target, until_us, is_forced, is_asked: false });
        self.set_gate(gate::PAUSE, true);
        self.timers.insert(self.now.mono_ms() + LOOK_MS, Timer::Failover);
        Ok(())
    }

    /// FAILOVER ABORT; false when there is nothing to abort.
    pub fn abort_failover(&mut self, host: &mut dyn Host, why: &str) -> bool {
        let Some(failover) = self.replication.failover.take() else { return false };
        match &failover.target {
            Some((address, port)) => log::info!("FAILOVER to {address}:{port} aborted: {why}"),
            None => log::info!("FAILOVER to any replica aborted: {why}"),
        }
        if failover.is_asked {
            self.become_primary(host);
        }
        self.unpause_after_failover();
        true
    }

    /// The replica has taken over. Those who can follow a redirection have waited to hear where to; others were told when this
    /// server became a replica, and who has begun to wait since then waits on.
    pub(super) fn end_failover(&mut self) {
        if self.replication.failover.take().is_some() {
            self.end_waits_of_role(|client| client.is(state::CAPA_REDIRECT));
            self.unpause_after_failover();
        }
    }

    /// Whether a replica is being asked to take over.
    pub(super) fn asks_for_failover(&self) -> bool {
        self.replication.failover.as_ref().is_some_and(|failover| failover.is_asked)
    }

    fn unpause_after_failover(&mut self) {
        if self.pause.until_us == 0 {
            self.unpause_clients();
        }
    }

    /// Looks whether a replica has everything, or the time is over.
    pub(in crate::engine) fn look_at_failover(&mut self, host: &mut dyn Host) {
        let now_us = self.now.mono_us;
        self.commit();
        let Some(failover) = self.replication.failover.as_ref().filter(|failover| !failover.is_asked) else {
            return;
        };
        self.timers.insert(self.now.mono_ms() + LOOK_MS, Timer::Failover);
        let end = self.replication.feed.end();
        let is_over = failover.until_us.is_some_and(|until_us| until_us <= now_us);
        if is_over && !failover.is_forced {
            self.abort_failover(host, "Replica never caught up before timeout");
            return;
        }
        let wanted = failover.target.clone();
        let has_all: Vec<(String, u16)> = self
            .shown_replicas()
            .filter(|(_, _, replica)| replica.acked == end)
            .map(|(address, port, _)| (address, port))
            .collect();
        let found = match &wanted {
            Some(target) => has_all.into_iter().find(|found| found == target),
            None => has_all.into_iter().next(),
        };
        let Some((address, port)) = found.or_else(|| wanted.clone().filter(|_| is_over)) else { return };
        if is_over {
            log::info!("FAILOVER to {address}:{port} time out exceeded, failing over.");
        } else {
            log::info!("Failover target {address}:{port} is synced, failing over.");
        }
        if let Some(failover) = &mut self.replication.failover {
            (failover.is_asked, failover.target) = (true, Some((address.clone(), port)));
        }
        self.follow(host, &address, port);
    }

    /// PSYNC with FAILOVER: the primary asks this server to take over.
    ///
    /// # Errors
    ///
    /// The error reply.
    pub fn take_over_role(&mut self, host: &mut dyn Host, slot: usize, id: &[u8]) -> Result<(), CmdError> {
        log::warn!("Failover request received for replid {}.", String::from_utf8_lossy(id));
        if !self.is_replica() {
            return Err(CmdError::err("PSYNC FAILOVER can't be sent to a master."));
        }
        if !id.eq_ignore_ascii_case(self.replication.id.as_bytes()) {
            return Err(CmdError::err("PSYNC FAILOVER replid must match my replid."));
        }
        self.become_primary(host);
        log::info!("MASTER MODE enabled (failover request from '{}')", self.describe_client(slot));
        Ok(())
    }
}
