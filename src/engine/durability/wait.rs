//! WAITAOF: clients that wait until what they wrote is durable.
//!
//! What everybody has written by then stands for what the client itself has: it is durable at the same sync or at the next.

use super::super::Engine;
use super::super::error::{BlockOn, CmdError, Offset};
use super::{Durability, LogStage};
use crate::base::id::ClientId;
use std::mem;

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

    /// A client is going to wait until the log is durable up to a position.
    pub fn wait_for_log(&mut self, id: ClientId, offset: Offset) {
        if offset.log.is_some() && !self.is_nested() {
            self.durability.waiting_for_log.push(id);
        }
    }

    /// The log is durable further than before, or there is none any more: answers those for whom that is enough.
    pub(super) fn answer_log_waiters(&mut self) {
        let is_off = self.durability.log.stage() == LogStage::Off;
        for id in mem::take(&mut self.durability.waiting_for_log) {
            let Some(slot) = self.slot_of(id) else { continue };
            let Some(BlockOn::Offset(offset)) = self.clients[slot].block.as_ref().map(|b| b.block.on) else {
                continue;
            };
            let is_logged = self.durability.is_logged(offset);
            if !is_off && (!is_logged || offset.replicas > 0) {
                self.durability.waiting_for_log.push(id);
                continue;
            }
            self.unblock(slot);
            self.lend_buffer(slot);
            if is_off {
                self.error_reply(slot, &NOT_LOGGED.to_string());
            } else {
                let mut reply = self.reply(slot);
                reply.array(2);
                reply.int(1);
                reply.int(0);
            }
            self.queue_output(slot);
            self.resume(slot);
        }
    }
}
