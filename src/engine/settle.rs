//! What follows from a command when it is done: those who asked are told what happened to the keys.
//!
//! Runs after the outermost command and only informs; nothing here changes a key.

use super::Engine;
use crate::keyspace::event::{KEYEVENT, KEYSPACE};

impl Engine {
    /// Publishes the events that rose.
    #[cold]
    pub(super) fn settle(&mut self) {
        let channels = u32::from(self.conf.notify_keyspace_events.0);
        for event in std::mem::take(&mut self.rise.events) {
            if channels & KEYSPACE != 0 {
                let channel = [format!("__keyspace@{}__:", event.db).as_bytes(), &event.key].concat();
                self.publish(&channel, event.name.as_bytes());
            }
            if channels & KEYEVENT != 0 {
                let channel = format!("__keyevent@{}__:{}", event.db, event.name);
                self.publish(channel.as_bytes(), &event.key);
            }
        }
    }
}
