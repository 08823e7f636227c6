//! The orderly end.

use super::{Engine, Job};

impl Engine {
    /// Ends the server: the shell closes its listeners and leaves with code 0.
    pub fn shut_down(&mut self, by_user: bool) {
        if by_user {
            log::warn!("User requested shutdown...");
        }
        self.jobs.queue.push_back(Job::Exit(0));
    }
}
