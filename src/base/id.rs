//! Ids that outlive what they name.

/// A connection, as the shell and the engine name it to each other.
///
/// The slot is reused when a client goes; the generation is not, so an id of a closed client finds nobody, also
/// within the batch of poll events in which it was closed.
#[derive(Clone, Copy, Debug, Eq, PartialOrd, Ord)]
pub struct ClientId {
    /// Index in the tables of the shell and of the engine.
    pub slot: u32,
    /// Counts the clients that used the slot.
    pub generation: u32,
}

impl PartialEq for ClientId {
    #[inline(always)]
    fn eq(&self, other: &ClientId) -> bool {
        self.to_word() == other.to_word()
    }
}

impl ClientId {
    /// Both halves in one word, for a poll token.
    #[inline]
    pub fn to_word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The id that [`ClientId::to_word`] made a word of.
    #[inline]
    pub fn from_word(word: u64) -> ClientId {
        ClientId { slot: word as u32, generation: (word >> 32) as u32 }
    }
}
