//! What a save would keep, and what is known of the last one.

use super::Engine;

/// The last save.
#[derive(Clone, Copy, Debug)]
pub struct Durability {
    /// Unix seconds of the last save; that of the start without one.
    pub last_save_unix_s: u64,
    /// Changes of the keyspace at the last save, or at the last flush with save points.
    pub changes_at_save: u64,
}

impl Engine {
    /// The keyspace is as it was saved.
    pub fn note_saved(&mut self) {
        self.durability =
            Durability { last_save_unix_s: self.now.unix_s(), changes_at_save: self.propagation.changes() };
    }
}
