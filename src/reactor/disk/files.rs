//! The thread of files: dumps, configuration, users, names, and all that is read.

use super::open_file::OpenFile;
use super::{disk_error, timed};
use crate::base::limit::DISK_FREE_SLICE_BYTES;
use crate::engine::disk::{DiskError, FileDone, FileId, FileJob, FileResult, FolderId, Found, Options};
use crate::sys::file::{self, Open};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The folders and files that are open.
#[derive(Debug, Default)]
pub struct Files {
    folders: BTreeMap<FolderId, Result<OwnedFd, DiskError>>,
    files: BTreeMap<FileId, OpenFile>,
}

impl Files {
    /// Does a job and times it.
    ///
    /// # Errors
    ///
    /// What the system says, also if it said so of an earlier job on the same file or folder.
    pub fn carry_out(&mut self, job: FileJob) -> FileResult {
        timed(|| self.step(job))
    }

    /// Does jobs on the calling thread, up to the first error.
    ///
    /// # Errors
    ///
    /// That error.
    pub fn at_once(jobs: impl IntoIterator<Item = FileJob>) -> FileResult {
        let mut files = Files::default();
        let mut all = FileDone::default();
        for job in jobs {
            let done = files.carry_out(job)?;
            all = FileDone { bytes: all.bytes + done.bytes, us: all.us + done.us, found: done.found };
        }
        Ok(all)
    }

    fn step(&mut self, job: FileJob) -> FileResult {
        match job {
            FileJob::OpenFolder(folder, path) => {
                let opened =
                    file::open_folder(Path::new(&path)).map_err(|error| disk_error("open", &path, &error));
                let failed = opened.as_ref().err().cloned();
                self.folders.insert(folder, opened);
                failed.map_or(Ok(FileDone::default()), Err)
            }
            FileJob::CloseFolder(folder) => {
                self.folders.remove(&folder);
                Ok(FileDone::default())
            }
            FileJob::Create { file, folder, name, options } => {
                self.open(file, folder, name, Open::Create, options)
            }
            FileJob::OpenToAppend { file, folder, name, options } => {
                self.open(file, folder, name, Open::Append, options)
            }
            FileJob::OpenToRead { file, folder, name } => {
                self.open(file, folder, name, Open::Read, Options::default())
            }
            FileJob::Gather(file, options) => {
                self.files.insert(file, OpenFile::gather(options));
                Ok(FileDone::default())
            }
            FileJob::Append(file, block) => self.file(file).append(block),
            FileJob::WriteAt { file, offset, bytes } => self.file(file).write_at(offset, &bytes),
            FileJob::Read(file, max) => self.file(file).read(max),
            FileJob::Sum(file, max) => self.file(file).sum(max),
            FileJob::Sync(file) => self.file(file).sync(),
            FileJob::Truncate(file, bytes) => self.file(file).truncate(bytes),
            FileJob::Close(file) => {
                self.files.remove(&file);
                Ok(FileDone::default())
            }
            FileJob::SyncFolder(folder) => {
                self.on_folder(folder, "fsync", "", |fd| file::sync_all(fd).map(|()| Found::Nothing))
            }
            FileJob::Rename { folder, from, to } => self.on_folder(folder, "rename", &from, |fd| {
                file::rename(fd, &from, &to).map(|()| Found::Nothing)
            }),
            FileJob::Move { from, to, name, new_name } => {
                let other = self.folder(to).as_ref().map_err(DiskError::clone)?;
                self.on_folder(from, "rename", &name, |fd| {
                    file::move_to(fd, &name, other, &new_name).map(|()| Found::Nothing)
                })
            }
            FileJob::MakeFolder(folder, name) => self.on_folder(folder, "mkdir", &name, |fd| {
                file::make_folder(fd, &name).map(|()| Found::Nothing)
            }),
            FileJob::Link { folder, from, to } => self
                .on_folder(folder, "link", &from, |fd| file::link(fd, &from, &to).map(|()| Found::Nothing)),
            FileJob::LinkInto { from, to, name } => {
                let other = self.folder(to).as_ref().map_err(DiskError::clone)?;
                self.on_folder(from, "link", &name, |fd| {
                    file::link_into(fd, other, &name).map(|()| Found::Nothing)
                })
            }
            FileJob::Remove(folder, name) => {
                self.on_folder(folder, "unlink", &name, |fd| self.remove(fd, &name).map(|()| Found::Nothing))
            }
            FileJob::List(folder) => {
                self.on_folder(folder, "readdir", "", |fd| file::list(fd).map(Found::Names))
            }
            FileJob::Replace(replace) => replace.carry_out(|job| self.step(job)),
        }
    }

    fn open(
        &mut self,
        file: FileId,
        folder: FolderId,
        name: String,
        how: Open,
        options: Options,
    ) -> FileResult {
        let mut opened = OpenFile::open(self.folder(folder), name, how, options);
        let result = opened.opened();
        self.files.insert(file, opened);
        result
    }

    fn file(&mut self, file: FileId) -> &mut OpenFile {
        self.files.get_mut(&file).expect("the engine names only files that it has opened")
    }

    fn folder(&self, folder: FolderId) -> &Result<OwnedFd, DiskError> {
        self.folders.get(&folder).expect("the engine names only folders that it has opened")
    }

    /// Does something to the names in a folder.
    fn on_folder(
        &self,
        folder: FolderId,
        op: &'static str,
        name: &str,
        work: impl FnOnce(&OwnedFd) -> io::Result<Found>,
    ) -> FileResult {
        let fd = self.folder(folder).as_ref().map_err(DiskError::clone)?;
        let found = work(fd).map_err(|error| disk_error(op, name, &error))?;
        Ok(FileDone { found, ..FileDone::default() })
    }

    /// Takes a name away. If it was the last one of a large file that nobody here has open, the space goes back slice by
    /// slice: a file system frees a whole file in one step, and a sync of any other file waits for that.
    fn remove(&self, folder: &OwnedFd, name: &str) -> io::Result<()> {
        // Opening it to append changes nothing in it. Where that is refused, the name goes without the slices.
        let file = match file::open(folder, name, Open::Read) {
            Ok(readable) if file::status(&readable)?.bytes > DISK_FREE_SLICE_BYTES => {
                file::open(folder, name, Open::Append).ok()
            }
            _ => None,
        };
        file::unlink(folder, name)?;
        let Some(file) = file else { return Ok(()) };
        let status = file::status(&file)?;
        let is_open = self.files.values().any(|open| open.identity() == Some(status.identity));
        let mut bytes = status.bytes;
        while status.names == 0 && !is_open && bytes > DISK_FREE_SLICE_BYTES {
            bytes -= DISK_FREE_SLICE_BYTES;
            file::truncate(&file, bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
