//! What leaves the server about its changes: the feed of propagated commands.

pub mod batch;
pub mod feed;
pub mod primary;
pub mod stream;
