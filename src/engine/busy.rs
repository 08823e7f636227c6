//! A command that takes long lets others speak in the middle of its work.
//!
//! A script may run for seconds, and nothing can interrupt it from outside: there is one thread. So a global command
//! that works for long calls [`Engine::breathe`] now and then. The shell then reads sockets, hands the bytes to
//! [`Engine::input_while_busy`], writes what [`Engine::poll_output`] offers, and comes back.
//!
//! * Others may run what is marked `ALLOW_BUSY`; to all else they are answered with the text of [`Busy`].
//! * The client whose command runs is only listened to: its requests wait until the command is over, after those that
//!   came with it.
//! * Nobody leaves: whoever is closed goes when the turn ends, as always.
//! * What the command has changed so far stays its own: neither its frames nor its events leave before it is done, or
//!   publishes a message, which comes after the events.

use super::admission::gate;
use super::{Call, Engine, Host};
use crate::base::id::ClientId;

/// The command that keeps the server busy.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    /// The client that asked for it.
    pub client: ClientId,
    /// What others are answered, with its code.
    pub refusal: &'static str,
}

impl Engine {
    /// Lets the shell serve others while the command of `call` goes on; `refusal` is what most of their requests get. A
    /// command that has nothing to do itself before somebody speaks lets the shell sleep, for `wait_ms` at most.
    pub fn breathe(&mut self, call: &mut Call<'_>, refusal: &'static str, wait_ms: u64) {
        assert!(self.outermost.busy.is_none(), "a command that runs meanwhile does not breathe itself");
        // The replies of those before may leave now, and what they have changed goes first.
        self.commit();
        let outermost = std::mem::take(&mut self.outermost);
        let (command, news) = (self.propagation.put_aside(), self.listeners.put_aside());
        self.outermost.busy = Some(Busy { client: call.id, refusal });
        self.set_gate(gate::BUSY, true);
        call.host.breathe(self, wait_ms);
        self.outermost.busy = None;
        self.set_gate(gate::BUSY, false);
        self.outermost = outermost;
        self.commit();
        self.propagation.resume(command);
        self.listeners.resume(news);
    }

    /// Whether a command lets others speak.
    pub fn is_busy(&self) -> bool {
        self.outermost.busy.is_some()
    }

    /// The client whose command lets others speak.
    pub fn busy_client(&self) -> Option<ClientId> {
        self.outermost.busy.map(|busy| busy.client)
    }

    /// Bytes came from a client while a command goes on.
    pub fn input_while_busy(&mut self, host: &mut dyn Host, id: ClientId, bytes: &[u8]) {
        let busy = self.outermost.busy.expect("only a breathing command lets others speak");
        if id != busy.client {
            return self.input(host, id, bytes);
        }
        let Some(slot) = self.slot_of(id) else { return };
        self.stats.total_net_input_bytes += bytes.len() as u64;
        self.stats.total_reads_processed += 1;
        let client = &mut self.clients[slot];
        client.bytes_in += bytes.len() as u64;
        client.inbox.bytes.extend_from_slice(bytes);
        self.after_serving(id);
    }

    /// Keeps what a serving has left of a client's input, in front of what came while its own command breathed.
    pub(super) fn keep_rest(&mut self, slot: usize, rest: &[u8]) {
        let newer = std::mem::take(&mut self.clients[slot].inbox.bytes);
        self.clients[slot].inbox.bytes.extend_from_slice(rest);
        if !newer.is_empty() {
            self.keep_newer(slot, &newer);
        }
    }

    /// Puts what came while a client's own command breathed after all that it has sent before.
    #[cold]
    pub(super) fn keep_newer(&mut self, slot: usize, newer: &[u8]) {
        let taken = self.fill_large(slot, newer);
        self.clients[slot].inbox.bytes.extend_from_slice(&newer[taken..]);
        self.make_runnable(slot);
    }
}
