//! WAITAOF: what it takes for a log to be durable as far as somebody waits for it (see [`replication`](super::super::replication)).
//!
//! What everybody has written by then stands for what the client itself has: it is durable at the same sync or at the next.

use super::super::Engine;
use super::super::blocking::Offset;
use super::super::error::CmdError;
use super::{Durability, LogStage};

/// The refusal of WAITAOF where nothing is logged.
pub const NOT_LOGGED: CmdError =
    CmdError::coded("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

impl Durability {
    /// Whether the log is durable as far as somebody waits for it. A log that has no base yet is not. While the manifest forgets
    /// what a rewrite has made superfluous nothing is: whoever is answered must see no rewrite under way any more.
    pub fn is_logged(&self, offset: Offset) -> bool {
        !self.forgetting && self.log.stage() == LogStage::On && self.log.synced() >= offset.log
    }
}

impl Engine {
    /// Where the log ends that has all that was written until now.
    pub fn log_position(&mut self) -> u64 {
        self.commit();
        self.durability.log.end()
    }
}
