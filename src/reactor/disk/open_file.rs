//! A file that is open for one of the threads: it goes on after whatever the system leaves undone, and remembers its
//! first error.
//!
//! A file that failed is never touched again but to be closed: the system forgets the bytes of a sync that failed, and a
//! write after one that was cut off would leave a hole in the text.

use super::disk_error;
use crate::base::crc::crc64;
use crate::base::limit::DISK_READ_AHEAD_READS;
use crate::engine::disk::{Block, DiskError, FileDone, FileResult, FileState, Found, Options, Piece};
use crate::sys::file::{self, Advice, Open};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

/// A file that is open, or that could not be opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// What the system knows it by; an error is what all later jobs on it get.
    fd: Result<OwnedFd, DiskError>,
    name: String,
    state: FileState,
    sync_every: Option<u64>,
    /// Bytes of it that are durable, of those that were written.
    synced: u64,
    /// Bytes of it that were read.
    read: u64,
    /// It is no file: what is appended comes back.
    is_gathered: bool,
}

impl OpenFile {
    /// Opens a file in a folder that is open, or could not be.
    pub fn open(folder: &Result<OwnedFd, DiskError>, name: String, how: Open, options: Options) -> OpenFile {
        let fd = folder.as_ref().map_err(DiskError::clone).and_then(|folder| {
            file::open(folder, &name, how).map_err(|error| disk_error("open", &name, &error))
        });
        if let (Ok(fd), Open::Read) = (&fd, how) {
            file::advise(fd, 0, 0, Advice::Sequential);
        }
        let state = FileState { keeps_crc: options.checksum, ..FileState::default() };
        OpenFile { fd, name, state, sync_every: options.sync_every, synced: 0, read: 0, is_gathered: false }
    }

    /// What is no file: what is appended comes back.
    pub fn gather(options: Options) -> OpenFile {
        let state = FileState { keeps_crc: options.checksum, ..FileState::default() };
        let fd = Err(DiskError::given_up(""));
        OpenFile { fd, name: String::new(), state, sync_every: None, synced: 0, read: 0, is_gathered: true }
    }

    /// How the opening went: the bytes of the file.
    pub fn opened(&mut self) -> FileResult {
        self.attempt("fstat", |fd, _| file::status(fd).map(|status| status.bytes))
    }

    /// Which file it is, if it is open.
    pub fn identity(&self) -> Option<(u64, u64)> {
        Some(file::status(self.fd.as_ref().ok()?).ok()?.identity)
    }

    /// Writes a block after what was written, and syncs when so much was.
    pub fn append(&mut self, block: Block) -> FileResult {
        if self.is_gathered {
            return Ok(self.state.gather(block));
        }
        self.whole()?;
        let pieces = block.finish(&mut self.state);
        let slices: Vec<&[u8]> = pieces.iter().map(Piece::as_slice).collect();
        let done = self.append_slices(&slices)?;
        let unsynced = self.state.written - self.synced;
        if self.sync_every.is_some_and(|every| unsynced >= every) {
            self.sync()?;
        }
        Ok(done)
    }

    /// Writes pieces after what was written.
    pub fn append_slices(&mut self, pieces: &[&[u8]]) -> FileResult {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let before = self.state.written;
        let result = self.attempt("write", |fd, written| {
            let mut rest = &mut slices[..];
            // What is empty is not written, or a file system might say that it took nothing.
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let taken = at_least_one(file::write(fd, rest))?;
                *written += taken as u64;
                IoSlice::advance_slices(&mut rest, taken);
            }
            Ok(*written)
        });
        self.state.written = before + result.as_ref().map_or_else(|error| error.written, |done| done.bytes);
        result
    }

    /// Writes over what was written.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> FileResult {
        self.attempt("write", |fd, written| {
            while *written < bytes.len() as u64 {
                let rest = &bytes[*written as usize..];
                *written += at_least_one(file::write_at(fd, rest, offset + *written))? as u64;
            }
            Ok(*written)
        })
    }

    /// Reads on, and has the system fetch what comes next.
    pub fn read(&mut self, max: usize) -> FileResult {
        let mut bytes = Vec::with_capacity(max);
        let before = self.read;
        let done = self.attempt("read", |fd, _| {
            while bytes.len() < max && file::read(fd, &mut bytes)? > 0 {}
            let (end, ahead) = (before + bytes.len() as u64, DISK_READ_AHEAD_READS * max as u64);
            file::advise(fd, end, ahead, Advice::WillNeed);
            file::advise(fd, 0, end, Advice::DontNeed);
            Ok(bytes.len() as u64)
        })?;
        self.read += done.bytes;
        Ok(FileDone { found: Found::Bytes(bytes), ..done })
    }

    /// Reads on, and tells the checksum of all that was read.
    pub fn sum(&mut self, max: usize) -> FileResult {
        let done = self.read(max)?;
        if let Found::Bytes(bytes) = &done.found {
            self.state.crc = crc64(self.state.crc, bytes);
        }
        Ok(FileDone { found: Found::Sum(self.state.crc), ..done })
    }

    /// Makes its bytes durable. They need not stay in memory then, as nobody reads them soon.
    pub fn sync(&mut self) -> FileResult {
        if self.is_gathered {
            return Ok(FileDone::default());
        }
        let (synced, end) = (self.synced, self.state.written);
        let forgets = self.sync_every.is_some();
        let done = self.attempt("fdatasync", |fd, _| {
            file::sync_data(fd)?;
            if forgets {
                file::advise(fd, synced, end - synced, Advice::DontNeed);
            }
            Ok(0)
        })?;
        self.synced = end;
        Ok(done)
    }

    /// Cuts it to a length.
    pub fn truncate(&mut self, bytes: u64) -> FileResult {
        self.attempt("ftruncate", |fd, _| file::truncate(fd, bytes).map(|()| 0))
    }

    /// The file if nothing has failed on it yet.
    fn whole(&self) -> Result<&OwnedFd, DiskError> {
        self.fd.as_ref().map_err(|error| DiskError { written: 0, ..error.clone() })
    }

    /// Does something to the file if it is whole; `work` counts what it has written, and its error is the file's.
    fn attempt(
        &mut self,
        op: &'static str,
        work: impl FnOnce(&OwnedFd, &mut u64) -> io::Result<u64>,
    ) -> FileResult {
        let mut written = 0;
        match work(self.whole()?, &mut written) {
            Ok(bytes) => Ok(FileDone { bytes, ..FileDone::default() }),
            Err(error) => {
                let error = DiskError { written, ..disk_error(op, &self.name, &error) };
                self.fd = Err(error.clone());
                Err(error)
            }
        }
    }
}

/// A write that takes nothing and says nothing would be tried for ever.
fn at_least_one(taken: io::Result<usize>) -> io::Result<usize> {
    match taken? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        taken => Ok(taken),
    }
}
