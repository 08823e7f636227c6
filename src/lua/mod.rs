//! Lua: what knows the language of scripts, and not the server.
//!
//! * [`vm`] is an interpreter of Lua 5.1 as scripts see it: `prelude.lua` makes their globals, `face` and `matching` put
//!   functions of our own in the place of stock ones.
//! * [`ScriptHost`](vm::ScriptHost) is all that a running script may ask of whoever runs it: commands, the log, whether it
//!   has to end.
//! * [`stack`] carries arguments and replies between a script and its host, [`reply`] reads and writes them; [`native`] has
//!   the libraries: cjson, cmsgpack, struct, bit.
//! * [`pace`] decides how often a script is looked at; [`debugger`] lets a client step through one.
//!
//! What a script is to the server stands in `engine::script`.

pub mod debugger;
mod face;
mod matching;
pub mod native;
pub mod pace;
mod pattern;
pub mod reply;
pub mod stack;
#[cfg(test)]
mod tests;
pub mod vm;
