//! What belongs to the outermost command that runs, and to nothing else.
//!
//! A command that lets others speak puts it aside as one value (see [`super::busy`]): what the others run is a command of
//! its own, with nothing around it.

use super::blocking::Blocked;
use super::busy::Busy;
use crate::base::id::ClientId;
use bytes::Bytes;

/// The command within which others run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nesting {
    /// How many commands are around the one that runs.
    pub depth: u32,
    /// One of them is EXEC.
    pub exec: bool,
    /// One of them runs a script.
    pub script: bool,
}

/// The outermost command.
#[derive(Debug, Default)]
pub(super) struct Outermost {
    /// What the command that runs is part of.
    pub nesting: Nesting,
    /// The client whose global command runs: what others would be sent at once waits for the end of its reply.
    pub replying_to: Option<ClientId>,
    /// Messages for that client.
    pub held_messages: Vec<Bytes>,
    /// The client whose command runs again because a key became ready, as it waited before.
    pub rerun: Option<Box<Blocked>>,
    /// The command is done, and those who asked are being told what it did.
    pub is_settling: bool,
    /// A command that breathes: those that others run meanwhile are outermost.
    pub busy: Option<Busy>,
    /// Ticks of the host at the end of the last command.
    pub last_ticks: u64,
}
