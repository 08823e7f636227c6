//! In which form a snapshot is written: as a dump file, or as the commands that make it.

use super::super::disk::Piece;
use crate::keyspace::Databases;
use crate::persist::aof::rewrite::CommandWriter;
use crate::persist::rdb::file::write::FileWriter;

/// See the head of the file.
#[derive(Debug)]
pub(super) enum Writer {
    Dump(FileWriter),
    Commands(CommandWriter),
}

impl Writer {
    /// The writer of a dump file.
    pub fn dump(&self) -> Option<&FileWriter> {
        if let Writer::Dump(writer) = self { Some(writer) } else { None }
    }

    /// Keys that were written or begun.
    pub fn keys(&self) -> u64 {
        match self {
            Writer::Dump(writer) => writer.keys(),
            Writer::Commands(writer) => writer.keys(),
        }
    }

    /// Bytes that were written and not taken.
    pub fn waiting_bytes(&self) -> usize {
        match self {
            Writer::Dump(writer) => writer.waiting_bytes(),
            Writer::Commands(writer) => writer.waiting_bytes(),
        }
    }

    /// What was written and is worth a write of its own; all of it when `all` is set.
    pub fn take_pieces(&mut self, all: bool) -> Vec<Piece> {
        match self {
            Writer::Dump(writer) => writer.take_parts(all).into_iter().map(Piece::Dump).collect(),
            Writer::Commands(writer) => writer.take_parts(all).into_iter().map(Piece::Shared).collect(),
        }
    }

    /// Writes what the next step of the walk gives; false when all was written.
    pub fn step(&mut self, dbs: &mut Databases) -> bool {
        match self {
            Writer::Dump(writer) => dbs.step_snapshot(writer),
            Writer::Commands(writer) => dbs.step_snapshot(writer),
        }
    }

    /// All keys were written.
    pub fn end(&mut self) {
        if let Writer::Dump(writer) = self {
            writer.end();
        }
    }

    /// The version of a dump file.
    pub fn version(&self) -> Option<u16> {
        self.dump().map(FileWriter::version)
    }
}
