//! Once a second, while there is anybody to look after: pings, silent replicas, dumps that wait to be begun, the backlog of a
//! server that nobody follows.

use super::super::client::state;
use super::super::timers::Timer;
use super::super::{Engine, Host};
use super::primary::Link;
use super::replicas::Stage;

/// The period, in milliseconds.
const PERIOD_MS: u64 = 1000;

impl Engine {
    /// Arms the timer, unless it is.
    pub(super) fn arm_replication_timer(&mut self) {
        if !self.replication.is_ticking {
            self.replication.is_ticking = true;
            self.timers.insert(self.now.mono_ms() + PERIOD_MS, Timer::Replication);
        }
    }

    /// Whether nothing may be added to the feed, since somebody waits for the moment at which all replicas have it.
    pub(super) fn is_feed_frozen(&self) -> bool {
        self.pause.until_us != 0 || self.replication.failover.is_some() || self.waits_for_replicas()
    }

    /// A second is over.
    pub(in crate::engine) fn maintain_replication(&mut self, host: &mut dyn Host) {
        self.replication.is_ticking = false;
        self.replication.ticks += 1;
        self.commit();
        self.maintain_link();
        if self.is_replica() && !self.replication.own_keys.is_empty() {
            self.expire_own_keys();
        }
        self.ping_replicas();
        self.keep_waiting_replicas();
        self.drop_silent_replicas();
        self.drop_idle_backlog();
        self.begin_sync_if_due(host);
        self.count_good_replicas();
        let is_wanted = !self.replication.replicas.is_empty() || self.replication.feed.is_kept();
        if is_wanted || self.is_replica() {
            self.arm_replication_timer();
        }
    }

    /// Looks after the link to the primary.
    fn maintain_link(&mut self) {
        let timeout_s = u64::from(self.conf.repl_timeout_s);
        let Some(primary) = &mut self.replication.primary else { return };
        let is_silent = primary.silent_s(self.now.mono_us) > timeout_s;
        match &primary.link {
            Link::Down if primary.rest_s > 0 => primary.rest_s -= 1,
            Link::Down => self.connect_to_primary(),
            Link::Connecting | Link::Greeting(_) if is_silent => {
                log::warn!("Timeout connecting to the MASTER...");
                self.give_link_up();
            }
            Link::Receiving(_) if is_silent => {
                log::warn!(
                    "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter \
                     in redis.conf to a larger value."
                );
                self.give_link_up();
            }
            Link::Up if is_silent => {
                log::warn!("MASTER timeout: no data nor PING received...");
                self.give_link_up();
            }
            // It shall know that this server is there.
            Link::Receiving(_) | Link::Loading => self.tell_primary(b"\n"),
            Link::Up => self.acknowledge(),
            Link::Connecting | Link::Greeting(_) => {}
        }
    }

    /// Nothing is being saved any more: replicas may wait for their dump.
    #[inline]
    pub(in crate::engine) fn begin_sync_after_save(&mut self, host: &mut dyn Host) {
        if !self.replication.replicas.is_empty() && self.durability.saving().is_none() {
            self.begin_sync_if_due(host);
        }
    }

    /// A ping goes through the feed, so that sub-replicas get it too.
    fn ping_replicas(&mut self) {
        let is_due = self.replication.ticks.is_multiple_of(u64::from(self.conf.repl_ping_replica_period_s));
        let pings = !self.replication.replicas.is_empty() && !self.is_replica();
        if is_due && pings && !self.is_feed_frozen() {
            self.replication.feed.request(&["PING"]);
            self.feed_went_on();
        }
    }

    /// Replicas that wait for a dump get newlines, which are no part of anything, so that they know of the connection.
    fn keep_waiting_replicas(&mut self) {
        let straight = self.is_sync_straight();
        for i in 0..self.replication.replicas.len() {
            let id = self.replication.replicas[i];
            let Some(slot) = self.slot_of(id) else { continue };
            match self.replica_mut(slot).stage {
                Stage::Waiting => self.tell_replica(slot, b"\n"),
                Stage::Saving if !straight => self.tell_replica(slot, b"\n"),
                _ => {}
            }
        }
    }

    /// Replicas that say nothing, or take nothing of their dump, go.
    fn drop_silent_replicas(&mut self) {
        let (now_us, timeout_us) = (self.now.mono_us, u64::from(self.conf.repl_timeout_s) * 1_000_000);
        let straight = self.is_sync_straight();
        for id in self.replication.replicas.clone() {
            let Some(slot) = self.slot_of(id) else { continue };
            let client = &self.clients[slot];
            let Some(replica) = client.replica.as_deref() else { continue };
            let what = match replica.stage {
                // One of old says nothing.
                Stage::Online | Stage::Proving if replica.is_old => continue,
                Stage::Online | Stage::Proving if now_us.saturating_sub(replica.heard_us) > timeout_us => {
                    "streaming sync"
                }
                // As long as it takes anything it is there.
                Stage::Saving if straight && !client.out.is_empty() => {
                    if now_us.saturating_sub(client.active_us) <= timeout_us {
                        continue;
                    }
                    "full sync"
                }
                _ => continue,
            };
            log::warn!("Disconnecting timedout replica ({what}): {}", self.replica_name(slot));
            if !self.clients[slot].is(state::CLOSE_ASAP) {
                self.close_soon(slot);
            }
        }
    }

    /// Nobody has followed for long: the backlog goes, and with it the history, for what follows is counted in commands.
    fn drop_idle_backlog(&mut self) {
        let ttl_s = self.conf.repl_backlog_ttl_s;
        let is_wanted = !self.replication.replicas.is_empty() || self.replication.tap.is_some();
        if ttl_s == 0 || is_wanted || self.is_replica() || !self.replication.feed.is_kept() {
            return;
        }
        if (self.now.mono_us - self.replication.alone_since_us) / 1_000_000 > ttl_s {
            self.change_replication_id();
            self.replication.previous = None;
            self.replication.feed.drop_all();
            self.note_followers();
            log::info!("Replication backlog freed after {ttl_s} seconds without connected replicas.");
        }
    }
}
