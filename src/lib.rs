//! Waterwheel: a Redis-faithful server on one thread, one poll loop and a timer wheel.
//!
//! The rooms, in the order in which they may import each other: [`base`] and the system calls of
//! [`sys`], the [`structures`], the wire format in [`resp`], the [`keyspace`], the
//! formats of [`persist`], the [`replication`] feed, the directives of [`config`], the
//! interpreter of [`lua`], the [`engine`] (a state machine without I/O), the [`commands`] and the
//! [`reactor`] that turns it all.
#![deny(unsafe_code)]

pub mod base;
pub mod commands;
pub mod config;
pub mod engine;
pub mod keyspace;
pub mod lua;
pub mod persist;
pub mod reactor;
pub mod replication;
pub mod resp;
pub mod structures;
pub mod sys;
