//! The append-only file: every change as a command, in the order of the changes.
//!
//! It lies in a folder, in parts that a [`manifest`] names: a base, which is a dump file or the commands that make one, then
//! the increments, one after the other. A part is read by [`scan`] and written by [`write`] and [`rewrite`]; none of them
//! knows files. What a command does is the business of whoever takes it.
//!
//! ```text
//! appendonly.aof.manifest      file appendonly.aof.2.base.rdb seq 2 type b
//!                              file appendonly.aof.3.incr.aof seq 3 type i startoffset 1812
//! appendonly.aof.3.incr.aof    #TS:1790000000
//!                              *2 $6 SELECT $1 0
//!                              *3 $3 SET $1 k $1 v
//! ```

pub mod integrity;
pub mod manifest;
mod number;
pub mod rewrite;
pub mod scan;
pub mod seal;
pub mod write;
