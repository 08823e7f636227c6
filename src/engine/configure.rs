//! What a changed configuration asks for: all effects in one place.
//!
//! [`Config::set`](crate::config::Config::set) says which effects a change has, and in which order. An effect is
//! carried out by the shell, through [`Request::Configure`], or by the engine; both only take over what the
//! configuration says, so that an effect is undone by carrying it out again with the old values. The effects that this
//! cannot undo come last, when nothing can fail any more.

use super::{Engine, Host};
use crate::config::{Asker, Effect, MaxmemoryPolicy, SetError};
use crate::engine::host::Request;
use std::mem;

impl Engine {
    /// CONFIG SET: sets directives, given as names and values, all of them or none.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them; then everything is as it was.
    pub fn configure(
        &mut self,
        host: &mut dyn Host,
        pairs: &[(&[u8], &[u8])],
        asker: Asker,
    ) -> Result<(), SetError> {
        let mut conf = self.conf.clone();
        let result = conf.set(pairs, asker, &mut |conf, change| {
            mem::swap(&mut self.conf, conf);
            let done = self.carry_out(host, change.effect);
            mem::swap(&mut self.conf, conf);
            done
        });
        self.conf = conf;
        result.map(drop)
    }

    /// Carries out an effect with the configuration as it is. An error is the reason in Redis's words.
    fn carry_out(&mut self, host: &mut dyn Host, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::None => {}
            Effect::Port
            | Effect::Bind
            | Effect::Dir
            | Effect::MaxClients
            | Effect::OomScore
            | Effect::Locale
            | Effect::ProcTitle
            | Effect::Log => {
                host.apply(Request::Configure(effect, &mut self.conf))?;
            }
            Effect::Maxmemory => {
                self.configure_gates();
                // A percentage of it may be the limit of the clients.
                self.configure_client_memory();
                // Within a transaction nothing may go before it is over.
                if self.is_nested() {
                    self.eviction.is_late = true;
                } else {
                    self.shrink_to_limit(host);
                }
            }
            Effect::Eviction => self.configure_eviction(),
            Effect::ClientMemory => self.configure_client_memory(),
            Effect::KeyMemory => self.dbs.weigh(self.conf.key_memory_histograms),
            Effect::Notifications => self.note_wanted(),
            Effect::ImportMode => self.note_held(),
            Effect::CommandLogs => {
                self.ticker.configure(&self.conf);
                self.logs.configure(&self.conf);
            }
            Effect::LatencyMonitor => self.ticker.configure(&self.conf),
            Effect::IdleTimers => self.arm_idle_timers(),
            Effect::RequirePass => self.apply_requirepass(),
            Effect::GoodReplicas => self.count_good_replicas(),
            Effect::Role => self.note_role(),
            Effect::Saving => {
                self.note_disk_errors();
                self.arm_save_points();
                self.end_save_delay();
            }
            // What these are about does not exist yet.
            Effect::CrashLog | Effect::Watchdog => {}
            Effect::Backlog => self.configure_backlog(),
            Effect::AppendOnly => self.configure_log(host),
            Effect::AppendFsync => self.configure_log_sync(),
            Effect::AofGarbage => self.remove_history_as_configured(),
            Effect::Backup => self.arm_backup_ttl(),
        }
        Ok(())
    }

    /// Takes over the configuration with which the server starts. The shell has done its part by then.
    pub(super) fn take_over_configuration(&mut self) {
        self.configure_eviction();
        self.configure_gates();
        self.configure_client_memory();
        self.note_wanted();
        self.note_held();
        self.ticker.configure(&self.conf);
        self.logs.configure(&self.conf);
    }

    /// Takes over how keys are chosen for eviction.
    fn configure_eviction(&mut self) {
        let clock = &mut self.eviction.clock;
        clock.lfu =
            matches!(self.conf.maxmemory_policy, MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu);
        clock.lrm =
            matches!(self.conf.maxmemory_policy, MaxmemoryPolicy::AllkeysLrm | MaxmemoryPolicy::VolatileLrm);
        clock.log_factor = self.conf.lfu_log_factor;
        clock.decay_minutes = self.conf.lfu_decay_time_min;
        clock.set_time(self.now.unix_s());
        self.note_wanted();
    }
}
