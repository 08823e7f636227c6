//! What the engine asks of the disk, as data.
//!
//! The engine knows no files. It gives out jobs, on folders and files that it names by numbers of its own, and hears by
//! [`Engine::completed`] what became of each. Two threads of the shell carry them out: one writes the append-only log and
//! syncs it, [`LogJob`], the other does all else, [`FileJob`]; each of them works in the order in which it was asked. A
//! model of the disk that loses power carries out the same jobs in the tests.
//!
//! * Jobs need not wait for each other: what could not be opened, written or synced fails all later jobs on it with the
//!   same error, so that nothing is built on what is not there. Only closing it always succeeds.
//! * A failed sync is never made again, since the system tells of an error once and forgets the bytes.
//! * Whoever makes many bytes asks [`Engine::file_bytes_in_flight`] and pauses: the loop never waits for the disk.

use super::blocking::{self, BlockOn};
use super::error::{CmdError, CmdResult, Outcome};
use super::host::Request;
use super::jobs::{Done, Verdict};
use super::{Call, Engine, Job};
use crate::base::crc::{self, crc64};
use crate::persist::rdb::file::write::Part;
use bytes::Bytes;

/// A folder that is open, or that could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderId(pub u64);

/// A file that is open, or that could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// A job for the thread of files.
#[derive(Debug)]
pub enum FileJob {
    /// Opens a folder by its path: from now on it is meant wherever it goes.
    OpenFolder(FolderId, String),
    /// Forgets a folder.
    CloseFolder(FolderId),
    /// Makes a file, or empties the one that is there, and opens it for writing.
    Create {
        /// Its number from now on.
        file: FileId,
        /// Where it lies.
        folder: FolderId,
        /// Its name there.
        name: String,
        /// What is done while it is written.
        options: Options,
    },
    /// Opens a file to write after what is there; it is made if there is none.
    OpenToAppend {
        /// Its number from now on.
        file: FileId,
        /// Where it lies.
        folder: FolderId,
        /// Its name there.
        name: String,
        /// What is done while it is written.
        options: Options,
    },
    /// Opens a file to read it from its beginning. The answer counts its bytes.
    OpenToRead {
        /// Its number from now on.
        file: FileId,
        /// Where it lies.
        folder: FolderId,
        /// Its name there.
        name: String,
    },
    /// Opens what is no file: what is appended to it comes back with the answer ([`Found::Pieces`]), compressed and summed up as
    /// if it were one.
    Gather(FileId, Options),
    /// Writes after what was written.
    Append(FileId, Block),
    /// Writes over what was written to a file that was made; the running checksum does not notice.
    WriteAt {
        /// The file.
        file: FileId,
        /// Where the bytes go.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Reads on, at most so many bytes; the answer has none at the end.
    Read(FileId, usize),
    /// As a read, of which only the checksum of all that was read until now is told; no byte was read at the end.
    Sum(FileId, usize),
    /// Makes the bytes of a file durable.
    Sync(FileId),
    /// Cuts a file to a length.
    Truncate(FileId, u64),
    /// Forgets a file. What was not synced may still get lost.
    Close(FileId),
    /// Makes the names in a folder durable.
    SyncFolder(FolderId),
    /// Gives a file another name; whoever had that name has it no longer. Of two names of one file both stay.
    Rename {
        /// Where both names are.
        folder: FolderId,
        /// The name that it has.
        from: String,
        /// The name that it gets.
        to: String,
    },
    /// As a rename, into another folder.
    Move {
        /// Where it is.
        from: FolderId,
        /// Where it goes.
        to: FolderId,
        /// The name that it has.
        name: String,
        /// The name that it gets.
        new_name: String,
    },
    /// Makes a folder in a folder, unless it is there.
    MakeFolder(FolderId, String),
    /// Gives a file one more name, which nobody has yet.
    Link {
        /// Where both names are.
        folder: FolderId,
        /// The name that it has.
        from: String,
        /// The name that it gets as well.
        to: String,
    },
    /// Gives a file the same name in another folder as well, where nobody has it yet.
    LinkInto {
        /// Where it is.
        from: FolderId,
        /// Where it is from now on, too.
        to: FolderId,
        /// Its name in both.
        name: String,
    },
    /// Takes a name away, and the file if that was its last. A large file is given back in slices, so that no sync of
    /// another one has to wait for all of it.
    Remove(FolderId, String),
    /// Lists the names in a folder.
    List(FolderId),
    /// Replaces a file as a whole: after a crash there is the old one or the new one.
    Replace(Replace),
}

/// The new content of a file.
#[derive(Clone, Debug)]
pub struct Replace {
    /// Where it lies.
    pub folder: FolderId,
    /// Its name there.
    pub name: String,
    /// The number that it has while it is written.
    pub file: FileId,
    /// The name that it has while it is written, which nobody else uses.
    pub temporary: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// What is done while a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A checksum of all that is appended is kept.
    pub checksum: bool,
    /// It is synced whenever so many bytes were appended, so that no sync has much to do.
    pub sync_every: Option<u64>,
}

/// Bytes to append, as the engine hands them over: what can be done to them elsewhere is not done yet.
#[derive(Debug, Default)]
pub struct Block {
    /// The bytes.
    pub pieces: Vec<Piece>,
    /// What comes after them, in 8 bytes, the lowest first.
    pub checksum: Option<Checksum>,
}

/// The checksum at the end of a dump file.
#[derive(Debug)]
pub enum Checksum {
    /// None: zero stands for it.
    Zero,
    /// That of all that was appended up to here, as if the file began with other bytes than it did: as many.
    Running {
        /// What was appended first.
        began: Vec<u8>,
        /// What is to stand there.
        begins: Vec<u8>,
    },
}

impl Checksum {
    fn value(&self, state: &FileState) -> u64 {
        match self {
            Checksum::Zero => 0,
            Checksum::Running { began, begins } => {
                // The sum is linear: the difference of the beginnings is shifted by what follows them.
                let difference = crc64(0, began) ^ crc64(0, begins);
                crc::join(difference, state.crc, state.written - began.len() as u64)
            }
        }
    }
}

/// Bytes in one piece.
#[derive(Debug)]
pub enum Piece {
    /// A part of a dump file, to be compressed.
    Dump(Part),
    /// Bytes that were made for the file.
    Bytes(Vec<u8>),
    /// Bytes of a value, or of the feed, that others see as well.
    Shared(Bytes),
}

/// What is known of a file that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileState {
    /// Bytes that were appended since it was opened.
    pub written: u64,
    /// Their CRC-64, if it is kept.
    pub crc: u64,
    /// Whether it is kept.
    pub keeps_crc: bool,
}

impl FileState {
    /// Takes a block of what is no file: see [`FileJob::Gather`].
    pub fn gather(&mut self, block: Block) -> FileDone {
        let pieces: Vec<Bytes> = block.finish(self).into_iter().map(Piece::into_bytes).collect();
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.written += bytes;
        FileDone { bytes, found: Found::Pieces(pieces), ..FileDone::default() }
    }
}

/// A job for the thread of the append-only log.
#[derive(Debug)]
pub enum LogJob {
    /// Opens a file to write after what is there; it is made if there is none.
    Open {
        /// Its number from now on.
        file: FileId,
        /// Path of the folder.
        folder: String,
        /// Its name there.
        name: String,
    },
    /// Writes after what was written.
    Append(FileId, Vec<Bytes>),
    /// Makes the bytes of a file durable.
    Sync(FileId),
    /// Cuts a file to a length.
    Truncate(FileId, u64),
    /// Writes to another file from now on.
    Switch(Switch),
    /// Forgets a file.
    Close(FileId),
}

/// The log goes on in another file. What was written before is durable first, then the new file and the manifest that names
/// it; only then anything is written to it. If any of that fails, the number of the new file means the old one from then on.
#[derive(Clone, Debug)]
pub struct Switch {
    /// The file that is being written.
    pub from: FileId,
    /// The number of the new one.
    pub to: FileId,
    /// Path of the folder.
    pub path: String,
    /// The name of the new one.
    pub name: String,
    /// The manifest, in the same folder.
    pub manifest: Replace,
}

/// A job that was done.
#[derive(Debug, Default)]
pub struct FileDone {
    /// Bytes that were written or read, or that the opened file has.
    pub bytes: u64,
    /// How long it took.
    pub us: u64,
    /// What was asked for.
    pub found: Found,
}

/// What a job was to find.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    #[default]
    Nothing,
    /// What a read gave.
    Bytes(Vec<u8>),
    /// The names in a folder, in order.
    Names(Vec<String>),
    /// The CRC-64 of what was read.
    Sum(u64),
    /// What was gathered: see [`FileJob::Gather`].
    Pieces(Vec<Bytes>),
}

/// Why a job was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// What was tried.
    pub op: &'static str,
    /// The file or folder.
    pub name: String,
    /// What the system says, in its words.
    pub text: String,
    /// What that means.
    pub kind: ErrorKind,
    /// Bytes of this job that were written all the same.
    pub written: u64,
}

impl DiskError {
    /// What was to be done with a file was given up.
    pub fn given_up(name: &str) -> DiskError {
        DiskError {
            op: "write",
            name: name.to_owned(),
            text: "given up".to_owned(),
            kind: ErrorKind::Other,
            written: 0,
        }
    }
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The disk is full, or the quota is used up.
    NoSpace,
    /// There is no such file or folder.
    NotFound,
    /// The engine gave it up; the text says why.
    GivenUp,
    /// Something else.
    Other,
}

/// What became of a job.
pub type FileResult = Result<FileDone, DiskError>;

impl FileJob {
    /// Bytes that it holds or that its answer will hold.
    pub fn bytes(&self) -> u64 {
        match self {
            FileJob::Append(_, block) => block.pieces.iter().map(|piece| piece.held_bytes() as u64).sum(),
            FileJob::WriteAt { bytes, .. } | FileJob::Replace(Replace { bytes, .. }) => bytes.len() as u64,
            FileJob::Read(_, bytes) => *bytes as u64,
            _ => 0,
        }
    }
}

impl LogJob {
    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        match self {
            LogJob::Append(_, pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            _ => 0,
        }
    }
}

impl From<Part> for Piece {
    fn from(part: Part) -> Piece {
        Piece::Dump(part)
    }
}

impl Piece {
    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        if let Piece::Dump(part) = self { part.len() } else { self.as_slice().len() }
    }

    /// As [`Piece::as_slice`], to keep.
    fn into_bytes(self) -> Bytes {
        match self {
            Piece::Dump(_) => Bytes::new(),
            Piece::Bytes(bytes) => bytes.into(),
            Piece::Shared(bytes) => bytes,
        }
    }

    /// The bytes; of a part of a dump file there are none before it is finished.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Dump(_) => &[],
            Piece::Bytes(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

impl Block {
    /// A block of bytes that were made for the file.
    pub fn of(bytes: Vec<u8>) -> Block {
        Block { pieces: vec![Piece::Bytes(bytes)], checksum: None }
    }

    /// Does on the thread of files what was not done before, and gives what is to be written.
    #[must_use]
    pub fn finish(self, state: &mut FileState) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.pieces.len() + 1);
        for piece in self.pieces {
            match piece {
                Piece::Dump(part) => part.finish(|bytes| pieces.push(Piece::Shared(bytes))),
                piece => pieces.push(piece),
            }
        }
        if state.keeps_crc {
            state.crc = pieces.iter().fold(state.crc, |crc, piece| crc64(crc, piece.as_slice()));
        }
        if let Some(checksum) = self.checksum {
            let bytes = checksum.value(state).to_le_bytes();
            pieces.push(Piece::Bytes(bytes.to_vec()));
            if state.keeps_crc {
                state.crc = crc64(state.crc, &bytes);
            }
        }
        pieces
    }
}

impl Replace {
    /// Carries out the steps of it in their order; the first that fails ends it, and what was begun is removed.
    ///
    /// # Errors
    ///
    /// That of the step. The file is the old one, unless only the folder could not be synced: then it is the new one, and
    /// may be the old one again after a crash.
    pub fn carry_out(self, mut step: impl FnMut(FileJob) -> FileResult) -> FileResult {
        let Replace { folder, name, file, temporary, bytes } = self;
        let count = bytes.len() as u64;
        let steps = [
            FileJob::Create { file, folder, name: temporary.clone(), options: Options::default() },
            FileJob::Append(file, Block::of(bytes)),
            FileJob::Sync(file),
            FileJob::Close(file),
            FileJob::Rename { folder, from: temporary.clone(), to: name },
            FileJob::SyncFolder(folder),
        ];
        for job in steps {
            if let Err(error) = step(job) {
                // Neither can make it worse: there may be nothing to close or to remove.
                let _ = step(FileJob::Close(file));
                let _ = step(FileJob::Remove(folder, temporary));
                return Err(error);
            }
        }
        Ok(FileDone { bytes: count, ..FileDone::default() })
    }
}

impl Switch {
    /// Carries out the steps of it but the last, which is to write to the new file, up to the first that fails.
    ///
    /// # Errors
    ///
    /// That of the step.
    pub fn prepare(
        self,
        sync_old: impl FnOnce() -> FileResult,
        mut step: impl FnMut(FileJob) -> FileResult,
    ) -> FileResult {
        sync_old()?;
        let (file, folder) = (self.to, self.manifest.folder);
        let steps = [
            FileJob::OpenFolder(folder, self.path),
            FileJob::Create { file, folder, name: self.name, options: Options::default() },
            // A crash may have left one of this name, whose bytes must not come back.
            FileJob::Sync(file),
            FileJob::Close(file),
            FileJob::SyncFolder(folder),
            FileJob::Replace(self.manifest),
        ];
        // Whatever fails here says nothing of the old file.
        let opened = |error: DiskError| DiskError { op: "open", ..error };
        let result = steps.into_iter().try_for_each(|job| step(job).map(drop).map_err(opened));
        step(FileJob::CloseFolder(folder))?;
        result.map(|()| FileDone::default())
    }
}

impl Engine {
    /// Bytes of jobs for the disk that are not done: who makes more of them waits until there are fewer.
    pub fn file_bytes_in_flight(&self) -> u64 {
        self.jobs.file_bytes
    }

    /// A number for a folder.
    pub fn next_folder(&mut self) -> FolderId {
        FolderId(self.jobs.next_handle())
    }

    /// A number for a file.
    pub fn next_file(&mut self) -> FileId {
        FileId(self.jobs.next_handle())
    }

    /// Hands a job to the thread of files.
    pub fn file_job(&mut self, job: FileJob) -> u64 {
        let number = self.jobs.number(job.bytes());
        self.jobs.queue.push_back(Job::File(number, job));
        number
    }

    /// Hands a job to the thread of the log.
    pub fn log_job(&mut self, job: LogJob) -> u64 {
        let number = self.jobs.number(job.bytes());
        self.jobs.log.push_back((number, job));
        number
    }

    /// Replaces the file of a path as a whole. The client waits, and `verdict` says what it is answered; within EXEC or a
    /// script, where nobody can wait, the loop does it itself.
    ///
    /// # Errors
    ///
    /// Those of the verdict.
    pub fn replace_file(
        &mut self,
        call: &mut Call<'_>,
        path: &str,
        bytes: Vec<u8>,
        verdict: Verdict,
    ) -> CmdResult {
        if !self.is_nested() {
            let job = self.queue_replacement(path, bytes);
            self.jobs.wait(job, call.id, verdict);
            return Ok(Outcome::Block(blocking::Block { on: BlockOn::Job(job), deadline_us: None }));
        }
        // What is on its way would come later and put an older text in the place of this one: so this one comes again.
        let is_overtaking = self.jobs.replacing.values().any(|other| other == path);
        let again = is_overtaking.then(|| bytes.clone());
        let mut result = Ok(FileDone::default());
        let jobs = self.replacement(path, bytes).into();
        if let Err(error) = call.host.apply(Request::Disk(jobs, &mut result)) {
            return Err(CmdError::err(error));
        }
        if let Some(again) = again {
            self.queue_replacement(path, again);
        }
        verdict(self, call.host, Done::File(result))?;
        self.reply(call.slot).ok();
        Ok(Outcome::Done)
    }

    /// Hands out the jobs that replace a file; the number is that of the one that tells how it went.
    fn queue_replacement(&mut self, path: &str, bytes: Vec<u8>) -> u64 {
        let [open, replace, close] = self.replacement(path, bytes);
        self.file_job(open);
        let job = self.file_job(replace);
        self.jobs.replacing.insert(job, path.to_owned());
        self.file_job(close);
        job
    }

    /// The jobs that replace a file.
    fn replacement(&mut self, path: &str, bytes: Vec<u8>) -> [FileJob; 3] {
        let (folder, file) = (self.next_folder(), self.next_file());
        let (place, name) = path.rsplit_once('/').unwrap_or((".", path));
        let place = match place {
            "" => "/".to_owned(),
            place if place.starts_with('/') => place.to_owned(),
            // The working directory may be another one by the time at which the thread looks.
            place => format!("{}/{place}", self.conf.dir),
        };
        let temporary = format!("{name}.{}.{}.tmp", self.process.names.pid, file.0);
        let replace = Replace { folder, name: name.to_owned(), file, temporary, bytes };
        [FileJob::OpenFolder(folder, place), FileJob::Replace(replace), FileJob::CloseFolder(folder)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_with_the_checksum_of_all_that_came_before() {
        let mut state = FileState { keeps_crc: true, ..FileState::default() };
        let first = Block { pieces: vec![Piece::Shared(Bytes::from_static(b"1234"))], ..Block::default() };
        assert_eq!(first.finish(&mut state).len(), 1);
        state.written += 4;
        let checksum = Some(Checksum::Running { began: b"1234".to_vec(), begins: b"1234".to_vec() });
        let second = Block { checksum, ..Block::of(b"56789".to_vec()) };
        let pieces = second.finish(&mut state);
        assert_eq!(pieces[1].as_slice(), 0xe9c6_d914_c4b8_d9ca_u64.to_le_bytes());
    }
}
