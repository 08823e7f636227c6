//! WAITAOF: what it takes for a log to be durable as far as somebody waits for it (see [`replication`](super::super::replication)).
//!
//! What everybody has written by then stands for what the client itself has: it is durable at the same sync or at the next.

use super::super::Engine;
use super::super::error::{CmdError, Offset};
use super::{Durability, LogStage};

/// The position of a log that has no base yet: it is durable when the first base is.
const FIRST_BASE: u64 = u64::MAX;

/// The refusal of WAITAOF where nothing is logged.
pub const NOT_LOGGED: CmdError =
    CmdError::coded("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

impl Durability {
    /// Whether the log is durable as far as somebody waits for it; where nobody does, as far as it goes.
    pub fn is_logged(&self, offset: Offset) -> bool {
        let upto = match offset.log {
            None | Some(FIRST_BASE) => self.log.end(),
            Some(position) => position,
        };
        let is_begun = offset.log != Some(FIRST_BASE) || !self.forgetting;
        is_begun && self.log.stage() == LogStage::On && self.log.synced() >= upto
    }
}

impl Engine {
    /// Where the log ends that has all that was written until now.
    pub fn log_position(&mut self) -> u64 {
        self.commit();
        if self.durability.log.stage() == LogStage::Beginning {
            FIRST_BASE
        } else {
            self.durability.log.end()
        }
    }
}
