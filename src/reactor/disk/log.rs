//! The thread of the append-only log: it appends, and it syncs, and nothing else makes it wait.

use super::open_file::OpenFile;
use super::{disk_error, timed};
use crate::engine::disk::{FileDone, FileId, FileResult, LogJob, Options};
use crate::sys::file::{self, Open};
use std::collections::BTreeMap;
use std::path::Path;

/// The files that are open.
#[derive(Debug, Default)]
pub(super) struct Log {
    files: BTreeMap<FileId, OpenFile>,
}

impl Log {
    /// Does a job and times it.
    pub fn carry_out(&mut self, job: LogJob) -> FileResult {
        timed(|| match job {
            LogJob::Open { file, folder, name } => {
                let folder = file::open_folder(Path::new(&folder))
                    .map_err(|error| disk_error("open", &folder, &error));
                let mut opened = OpenFile::open(&folder, name, Open::Append, Options::default());
                let result = opened.opened();
                self.files.insert(file, opened);
                result
            }
            LogJob::Append(file, pieces) => {
                let slices: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
                self.file(file).append_slices(&slices)
            }
            LogJob::Sync(file) => self.file(file).sync(),
            LogJob::Close(file) => {
                self.files.remove(&file);
                Ok(FileDone::default())
            }
        })
    }

    fn file(&mut self, file: FileId) -> &mut OpenFile {
        self.files.get_mut(&file).expect("the engine names only files that it has opened")
    }
}
