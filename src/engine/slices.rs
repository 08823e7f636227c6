//! Work of a command that goes on in slices while others are served.
//!
//! A command that would take more than a millisecond for itself packs what is left to do into a piece of [`Work`], which owns
//! all that it needs, and its client waits ([`BlockOn::Work`]). Every turn gives some time to what is under way, one piece after
//! the other. When a piece is done its client's command runs again, as one that waited for a key does, and finds the finished
//! piece by [`Engine::take_finished`].
//!
//! * Whoever cannot wait, within EXEC, in a script, on the link to a primary, does the work at once: see
//!   [`Engine::may_wait`].
//! * What a piece reads is a copy that does not change, so it sees the moment at which it began.
//! * Who leaves or is told to go on takes the piece along.
//!
//! The cost: up to [`SLICES_TURN_US`] a turn, and a second run of the command.

use super::blocking::{Block, BlockOn, Blocked};
use super::call::Call;
use super::client::state;
use super::ctx::Ctx;
use super::error::Outcome;
use super::{Engine, Host};
use crate::base::id::ClientId;
use crate::keyspace::garbage::Garbage;
use std::any::Any;
use std::collections::VecDeque;

/// The time of a turn that all pieces get together, in microseconds.
const SLICES_TURN_US: u64 = 500;

/// What is left to do of a command.
pub trait Work: Any + Send {
    /// Does some 50 microseconds of it. True when there is more to do.
    fn step(&mut self) -> bool;
    /// Itself, for whoever began it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// A piece that is under way.
struct Piece {
    number: u64,
    /// Who waits for it; none until its client is blocked.
    client: Option<ClientId>,
    work: Box<dyn Work>,
}

/// All pieces that are under way.
#[derive(Default)]
pub(super) struct Slices {
    /// The next to go on is in front.
    pieces: VecDeque<Piece>,
    last: u64,
    /// What is done, while its client's command runs again.
    finished: Option<Box<dyn Any + Send>>,
}

impl std::fmt::Debug for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slices").field("pieces", &self.pieces.len()).finish()
    }
}

impl Engine {
    /// Whether the client of a command may be kept waiting.
    pub fn may_wait(&self, call: &Call<'_>) -> bool {
        !self.is_nested() && !self.clients[call.slot].is(state::REPLAYS)
    }

    /// Runs a part of a command on what a local command is lent.
    pub fn with_ctx<R>(&mut self, call: &mut Call<'_>, run: impl FnOnce(&mut Ctx<'_>) -> R) -> R {
        run(&mut self.ctx(&mut *call.host, call.slot, call.args, call.row, None))
    }

    /// Lets a piece of work go on in slices; the command is to end with what is returned.
    pub fn go_on_in_slices(&mut self, work: Box<dyn Work>) -> Outcome {
        let slices = &mut self.jobs.slices;
        slices.last += 1;
        slices.pieces.push_back(Piece { number: slices.last, client: None, work });
        Outcome::Block(Block { on: BlockOn::Work(slices.last), deadline_us: None })
    }

    /// The piece of work that is done, for the command that began it and runs again.
    pub fn take_finished<T: Any>(&mut self) -> Option<Box<T>> {
        self.jobs.slices.finished.take()?.downcast().ok()
    }

    /// Something large is not needed any more, and its memory is mostly that of somebody else.
    pub fn let_go(&mut self, shared: Box<dyn Any + Send>) {
        self.free(Garbage::Other(shared, 0), None);
    }

    /// A client waits for a piece of work.
    pub(super) fn wait_for_work(&mut self, id: ClientId, number: u64) {
        if let Some(piece) = self.jobs.slices.pieces.iter_mut().find(|piece| piece.number == number) {
            piece.client = Some(id);
        }
    }

    /// Goes on with what is under way. True when there is more to do.
    #[inline]
    pub(super) fn go_on_with_work(&mut self, host: &mut dyn Host) -> bool {
        if self.jobs.slices.pieces.is_empty() {
            return false;
        }
        self.do_slices(host)
    }

    fn do_slices(&mut self, host: &mut dyn Host) -> bool {
        let end = host.ticks() + host.ticks_per_ms() * SLICES_TURN_US / 1000;
        while let Some(mut piece) = self.jobs.slices.pieces.pop_front() {
            let Some(client) = piece.client.filter(|id| self.waits_for_work(*id, piece.number)) else {
                self.let_go(piece.work.into_any());
                continue;
            };
            if piece.work.step() {
                self.jobs.slices.pieces.push_back(piece);
            } else {
                self.jobs.slices.finished = Some(piece.work.into_any());
                self.run_again(host, client, 0);
                // A gate may have held the command up; it begins anew then.
                if let Some(unused) = self.jobs.slices.finished.take() {
                    self.let_go(unused);
                }
                self.settle(host, Some(client));
            }
            if host.ticks() > end {
                break;
            }
        }
        !self.jobs.slices.pieces.is_empty()
    }

    /// Whether a client still waits for this piece.
    fn waits_for_work(&self, id: ClientId, number: u64) -> bool {
        let waits = |blocked: &Blocked| blocked.block.on == BlockOn::Work(number);
        let slot = self.slot_of(id);
        slot.is_some_and(|slot| self.clients[slot].block.as_deref().is_some_and(waits))
    }
}
