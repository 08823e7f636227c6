//! The logs of commands: the last that took longer than `slowlog-log-slower-than`, and the last whose request or reply
//! was larger than Valkey's directives `commandlog-…` say.

use super::Engine;
use super::spec::flag;
use super::table::Row;
use crate::config::Config;
use crate::resp::Args;
use bytes::Bytes;
use std::collections::VecDeque;

/// Most arguments of an entry. Redis: `SLOWLOG_ENTRY_MAX_ARGC`.
const ARGUMENTS_MAX: usize = 32;

/// Longest argument of an entry. Redis: `SLOWLOG_ENTRY_MAX_STRING`.
const ARGUMENT_BYTES_MAX: usize = 128;

/// One command.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Number of the entry; never used twice.
    pub id: u64,
    /// When it ended, Unix seconds.
    pub unix_s: u64,
    /// How long it took, in microseconds, or how large its request or reply was, in bytes.
    pub amount: u64,
    /// Its arguments, shortened.
    pub args: Vec<Bytes>,
    /// Address of the client.
    pub peer: String,
    /// Name of the client.
    pub name: Bytes,
}

/// The entries, newest first.
#[derive(Debug, Default)]
pub struct CommandLog {
    /// The entries.
    pub entries: VecDeque<Entry>,
    next_id: u64,
}

impl CommandLog {
    /// Adds an entry and keeps at most `max`; with none to keep, those that are there stay, as in Redis.
    fn push(&mut self, entry: Entry, max: u64) {
        if max > 0 {
            self.entries.push_front(Entry { id: self.next_id, ..entry });
            self.next_id += 1;
            self.entries.truncate(max as usize);
        }
    }

    /// Keeps at most `max` entries after a change of settings. As in Redis a log that is off, because its threshold is below
    /// zero or because it may have no entry, keeps those that it has.
    pub fn settle(&mut self, threshold: i64, max: u64) {
        if threshold >= 0 && max > 0 {
            self.entries.truncate(max as usize);
        }
    }
}

/// The three logs, and what HOTKEYS has found.
#[derive(Debug, Default)]
pub struct CommandLogs {
    /// Slow commands.
    pub slow: CommandLog,
    /// Commands whose request was large.
    pub large_requests: CommandLog,
    /// Commands whose reply was large.
    pub large_replies: CommandLog,
    /// Which keys cost most; none unless somebody has asked.
    pub hot_keys: Option<Box<super::hot_keys::HotKeys>>,
}

impl CommandLogs {
    /// Takes over the settings.
    pub fn configure(&mut self, conf: &Config) {
        self.slow.settle(conf.slowlog_log_slower_than_us, conf.slowlog_max_len);
        self.large_requests
            .settle(conf.commandlog_request_larger_than_bytes, conf.commandlog_large_request_max_len);
        self.large_replies
            .settle(conf.commandlog_reply_larger_than_bytes, conf.commandlog_large_reply_max_len);
    }
}

/// The arguments of an entry: the first 31, each cut at 128 bytes.
fn shortened(args: Args<'_>) -> Vec<Bytes> {
    let shown = if args.len() > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { args.len() };
    let mut kept: Vec<Bytes> = (0..shown)
        .map(|i| {
            let arg = args.at(i);
            if arg.len() <= ARGUMENT_BYTES_MAX {
                return Bytes::copy_from_slice(arg);
            }
            let more = arg.len() - ARGUMENT_BYTES_MAX;
            Bytes::from([&arg[..ARGUMENT_BYTES_MAX], format!("... ({more} more bytes)").as_bytes()].concat())
        })
        .collect();
    if args.len() > shown {
        kept.push(Bytes::from(format!("... ({} more arguments)", args.len() - shown)));
    }
    kept
}

impl Engine {
    /// A command took long: notes it in the slow log, and as a latency event.
    #[cold]
    pub(super) fn note_slow(&mut self, slot: usize, args: Args<'_>, row: &Row, ticks: u64) {
        let us = ticks * 1000 / self.ticker.per_ms;
        let slow_us = self.conf.slowlog_log_slower_than_us;
        let slow = slow_us >= 0 && us >= slow_us as u64;
        let event = if row.has(flag::FAST) { "fast-command" } else { "command" };
        self.note_latency_us(event, us);
        if !slow || row.has(flag::SKIP_SLOWLOG) || self.conf.slowlog_max_len == 0 {
            return;
        }
        // What runs again may stand for what was sent: XREAD has other IDs by then.
        let asked = self.outermost.rerun.as_ref().and_then(|blocked| blocked.asked.clone());
        let args = asked.as_deref().map_or(args, Args::Owned);
        let entry = self.log_entry(slot, args, row, us);
        self.logs.slow.push(entry, self.conf.slowlog_max_len);
    }

    /// A request or a reply was large: notes it in the log of these.
    #[cold]
    pub(super) fn note_large(&mut self, slot: usize, args: Args<'_>, row: &Row, request: u64, reply: u64) {
        if row.has(flag::SKIP_SLOWLOG) || self.clients[slot].replays_log() {
            return;
        }
        if request >= self.ticker.pace.large_request_bytes {
            let entry = self.log_entry(slot, args, row, request);
            self.logs.large_requests.push(entry, self.conf.commandlog_large_request_max_len);
        }
        if reply >= self.ticker.pace.large_reply_bytes {
            let entry = self.log_entry(slot, args, row, reply);
            self.logs.large_replies.push(entry, self.conf.commandlog_large_reply_max_len);
        }
    }

    fn log_entry(&self, slot: usize, args: Args<'_>, row: &Row, amount: u64) -> Entry {
        let args = without_secrets(row, args).unwrap_or_else(|| shortened(args));
        let (peer, name) = (self.peer_text(slot), Bytes::copy_from_slice(self.clients[slot].name()));
        Entry { id: 0, unix_s: self.now.unix_s(), amount, args, peer, name }
    }
}

const REDACTED: Bytes = Bytes::from_static(b"(redacted)");

/// The arguments as others may see them, if there may be a secret among them.
pub(super) fn without_secrets(row: &Row, args: Args<'_>) -> Option<Vec<Bytes>> {
    let hidden = row.spec.is_secret?;
    Some((0..args.len()).map(|i| if hidden(args, i) { REDACTED } else { args.bytes(i) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_arguments_and_long_lists_are_cut() {
        let args: Vec<Bytes> = (0..40).map(|i| Bytes::from(vec![b'x'; 100 + i])).collect();
        let kept = shortened(Args::Owned(&args));
        assert_eq!(kept.len(), 32);
        assert_eq!(kept[28], args[28]);
        assert!(kept[30].ends_with(b"... (2 more bytes)"));
        assert_eq!(&kept[31][..], b"... (9 more arguments)");
    }
}
