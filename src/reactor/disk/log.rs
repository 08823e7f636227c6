//! The thread of the append-only log: it appends, and it syncs, and nothing else makes it wait.

use super::files::Files;
use super::open_file::OpenFile;
use super::{disk_error, timed};
use crate::engine::disk::{FileDone, FileId, FileResult, LogJob, Options, Switch};
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
                let mut opened = open(&folder, name);
                let result = opened.opened();
                self.files.insert(file, opened);
                result
            }
            LogJob::Append(file, pieces) => {
                let slices: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
                self.file(file).append_slices(&slices)
            }
            LogJob::Sync(file) => self.file(file).sync(),
            LogJob::Truncate(file, bytes) => self.file(file).truncate(bytes),
            LogJob::Switch(switch) => self.switch(switch),
            LogJob::Close(file) => {
                self.files.remove(&file);
                Ok(FileDone::default())
            }
        })
    }

    /// Goes on in another file, or with the old one under the new number.
    fn switch(&mut self, switch: Switch) -> FileResult {
        let Switch { from, to, .. } = switch;
        let (path, name) = (switch.path.clone(), switch.name.clone());
        let mut old = self.files.remove(&from).expect("the engine names only files that it has opened");
        let mut files = Files::default();
        let opened = switch.prepare(|| old.sync(), |job| files.carry_out(job)).and_then(|_| {
            let mut new = open(&path, name);
            new.opened().map(|_| new)
        });
        match opened {
            Ok(new) => {
                self.files.insert(to, new);
                Ok(FileDone::default())
            }
            Err(error) => {
                self.files.insert(to, old);
                Err(error)
            }
        }
    }

    fn file(&mut self, file: FileId) -> &mut OpenFile {
        self.files.get_mut(&file).expect("the engine names only files that it has opened")
    }
}

/// Opens a file of a folder to write after what is there.
fn open(path: &str, name: String) -> OpenFile {
    let folder = file::open_folder(Path::new(path)).map_err(|error| disk_error("open", path, &error));
    OpenFile::open(&folder, name, Open::Append, Options::default())
}
