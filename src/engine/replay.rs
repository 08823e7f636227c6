//! Requests that were propagated before run again: the loader of an append-only file and the link to a primary have a
//! client of the engine's own for them.
//!
//! What was propagated happened once, so it happens again: such a request passes no gate, whatever the configuration, the
//! users, the memory or a pause have to say. Its client answers nobody, is no connection, and has [`state::REPLAYS`]:
//!
//! * It sees what has expired, see [`super::ctx::Ctx`].
//! * Nothing that it runs waits, as within EXEC.
//! * Its calls are not counted, and neither MONITOR, the slow log nor the latency figures know of them. Events of the
//!   keyspace and invalidations are told as of any other command; who waits for a key looks when no dataset is loaded.
//! * What would only concern its connection (AUTH, SUBSCRIBE, CLIENT, QUIT) or administers the server does nothing.
//!
//! Its frames go where all frames go: who does not want them turns the feed off meanwhile.
//!
//! Redis runs them without most of this: `loadSingleAppendOnlyFile` calls the handlers itself, `CLIENT_ID_AOF` and
//! `mustObeyClient` mark the exceptions.

use super::admission::gate;
use super::client::{Client, state};
use super::spec::{Group, flag};
use super::table::{NoRow, Row};
use super::{Engine, Host, Job};
use crate::base::id::ClientId;
use crate::base::lossless;
use crate::engine::error::CmdError;
use crate::resp::Args;
use std::fmt;

/// That the disk takes no writes of the primary is told once in such a span, in microseconds.
const TOLD_EVERY_US: u64 = 10_000_000;
/// Bytes of an error that the log shows.
const SHOWN_BYTES_MAX: usize = 4096;

/// Why a request cannot run again. One that runs and answers an error is none of these: it has answered the same before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// There is no such command, or no such subcommand: its name as it came.
    Unknown(String),
    /// It cannot be run at all; the text says why.
    Failed(String),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Unknown(name) => write!(f, "Unknown command '{name}'"),
            ReplayError::Failed(text) => f.write_str(text),
        }
    }
}

impl Engine {
    /// Opens a client that replays; [`Engine::closed`] closes it.
    pub fn open_replaying_client(&mut self) -> ClientId {
        let now = self.now;
        let bits = state::REPLAYS | state::REPLY_OFF | state::AUTHENTICATED;
        let slot =
            self.clients.add_own(|handle, id| Client { state: bits, ..Client::new(handle, id, 2, now) });
        self.clients[slot].handle
    }

    /// Runs a request of a client that replays, within its transaction if it has begun one.
    ///
    /// # Errors
    ///
    /// When it cannot be run: there is no such command, or arguments are missing. An error reply is none: it is noted in the
    /// log and counted as unexpected, as Redis does.
    pub fn replay(&mut self, host: &mut dyn Host, id: ClientId, args: Args<'_>) -> Result<(), ReplayError> {
        let slot = self.slot_of(id).filter(|&slot| self.clients[slot].is(state::REPLAYS));
        let slot = slot.expect("a client that replays is open until its owner closes it");
        if args.is_empty() {
            return Err(ReplayError::Failed("an empty request".to_owned()));
        }
        let row = match self.table.resolve_propagated(&args) {
            Ok(row) => row,
            Err(no_row) => return Err(ReplayError::Unknown(unknown(args, no_row))),
        };
        if !row.admits(args.len()) {
            return Err(ReplayError::Failed(CmdError::Arity(row.full_name).to_string()));
        }
        let is_meant = row.spec.serves_links && self.clients[slot].is(state::PRIMARY);
        if concerns_connection(row) && !is_meant {
            return Ok(());
        }
        if self.gates & gate::DISK != 0 && self.clients[slot].is(state::PRIMARY) && row.has(flag::WRITE) {
            self.write_of_primary_unsaved()?;
        }
        self.clients[slot].note_row(row);
        if self.clients[slot].is(state::MULTI) && !row.has(flag::RUNS_IN_MULTI) {
            self.queue_request(slot, args, row, None, row.flags);
            return Ok(());
        }
        self.nest(
            |nesting| nesting.exec = true,
            |engine| engine.run_admitted(&mut *host, slot, args, row, None),
        );
        // Its time belongs to no command.
        self.outermost.last_ticks = host.ticks();
        self.propagation.close();
        if self.listeners.afterwards != 0 {
            self.follow_up(host, slot, args, row, false);
        }
        Ok(())
    }

    /// The primary sends a write, and the disk takes none. Redis ends the process, too.
    #[cold]
    fn write_of_primary_unsaved(&mut self) -> Result<(), ReplayError> {
        if self.conf.replica_ignore_disk_write_errors {
            let span = Some(self.now.mono_us / TOLD_EVERY_US);
            if std::mem::replace(&mut self.replication.told_unsaved, span) != span {
                log::warn!("Replica is applying a command even though it is unable to write to disk.");
            }
            return Ok(());
        }
        if !self.is_ending() {
            log::error!("Replica was unable to write command to disk. Exiting...");
            self.jobs.queue.push_back(Job::Exit(1));
        }
        self.give_link_up();
        Err(ReplayError::Failed("the disk takes no writes".to_owned()))
    }

    /// A request that was propagated answers an error: this server and its writer do not agree.
    #[cold]
    pub(super) fn note_failed_replay(&mut self, slot: usize, text: &str) {
        if self.outermost.nesting.script {
            return;
        }
        match self.clients[slot].is(state::PRIMARY) {
            true => self.note_disagreement(slot, "replica", "master", text),
            false => self.note_disagreement(slot, "server", "AOF-loading-client", text),
        }
    }

    /// An error goes to the other end of a stream of propagated requests: the two do not agree.
    #[cold]
    pub(super) fn note_disagreement(&mut self, slot: usize, from: &str, to: &str, text: &str) {
        self.stats.unexpected_error_replies += 1;
        let name = self.last_command(slot);
        let shown: String = text.chars().take(SHOWN_BYTES_MAX).collect();
        log::warn!(
            "== CRITICAL == This {from} is sending an error to its {to}: '-{shown}' after processing the command '{name}'"
        );
    }

    /// The name of the command that a client ran last, for the server's log.
    pub(super) fn last_command(&self, slot: usize) -> &str {
        match self.clients[slot].last_row {
            0 => "<unknown>",
            row => self.table.at(row - 1).full_name,
        }
    }
}

/// Whether a request means the connection that it came by, or the server as a whole, and not the dataset: who replays it has
/// neither to offer.
fn concerns_connection(row: &Row) -> bool {
    if row.has(flag::WRITE | flag::MAY_REPLICATE) {
        return false;
    }
    let watches = row.spec.group == Group::Transactions && row.first_key > 0;
    let is_handshake = row.has(flag::NO_AUTH) && row.spec.group == Group::Connection;
    row.has(flag::ADMIN | flag::PUBSUB)
        || watches
        || is_handshake
        || row.spec.group == Group::Connection && row.is_sub()
}

/// The name of a request that names no command.
fn unknown(args: Args<'_>, no_row: NoRow) -> String {
    let text = |at: usize| lossless::from_bytes(args.at(at)).into_owned();
    match no_row {
        NoRow::Command => text(0),
        NoRow::Subcommand(_) => format!("{}|{}", text(0), text(1)),
    }
}
