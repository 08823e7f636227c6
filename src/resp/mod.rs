//! The wire format: requests in, replies out, in RESP2 and RESP3.

pub mod args;
pub mod output;
pub mod parse;
pub mod reply;

pub use args::{Args, Span};
pub use output::Output;
pub use reply::Reply;
