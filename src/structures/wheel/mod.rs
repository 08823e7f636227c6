//! Hierarchical timing wheels: [`KeyWheel`] for the deadlines of keys, [`TimerWheel`] for named timers.
//!
//! A deadline is read as a number in a base (256 or 64): its lowest digit names a slot of level 0, the next
//! one a slot of level 1, and so on. It is kept at the level of the highest digit in which it differs from
//! the current time. So a level holds only slots that still lie ahead, every slot of a lower level comes
//! before any slot of a higher one, and the next deadline is the first set bit of the lowest level in use.
//! When the time reaches a slot of a higher level, what it holds falls into lower levels.
//!
//! * Both wheels are driven by the caller's clock and know no other.
//! * Nothing fires early. Nothing is lost if time jumps, or if a call stops half-way.
//!
//! The cost: a few nanoseconds to arm; a far deadline falls at most once a level.
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987).

mod keys;
mod timers;

pub use keys::KeyWheel;
pub use timers::{TimerId, TimerWheel};
