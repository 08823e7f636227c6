//! A disk that loses power: it carries out the jobs of [`waterwheel::engine::disk`] in memory, and at a crash keeps, loses
//! or tears what was not synced.
//!
//! There are two of everything: what the running server sees, and what lies on the medium. A change is made to the first
//! at once and noted; a sync takes the notes of a file, or of a folder, over to the second. At [`Disk::crash`] each note
//! that is left is a change of its own: bytes, lengths and names get there or not, whatever was asked for first, and
//! bytes do so by sectors. A rename alone is whole, as it is in a file system with a journal.
//!
//! * A sync that fails may have written anything, and the rest is forgotten: the next sync succeeds without it.
//! * The power can go within a job: [`Disk::steps_left`] says after how many steps of jobs. What is asked for later fails.
//! * [`Faults`] happen by chance; [`Disk::fail_next`] makes one at a certain place. [`Disk::met`] counts those that
//!   happened, so that a test can tell that it met them.

use std::collections::{BTreeMap, VecDeque};
use waterwheel::base::crc::crc64;
use waterwheel::base::rng::Rng;
use waterwheel::engine::disk::{
    Block, DiskError, ErrorKind, FileDone, FileId, FileJob, FileResult, FileState, FolderId, Found, LogJob,
    Options, Piece, Switch,
};

/// What a medium writes as a whole.
const SECTOR_BYTES: usize = 512;

/// The disk.
#[derive(Debug)]
pub struct Disk {
    rng: Rng,
    /// All files, also those without a name.
    files: Vec<File>,
    /// Folders by path. A folder is there as soon as somebody opens it, and for good.
    folders: BTreeMap<String, Folder>,
    open_folders: BTreeMap<FolderId, String>,
    open_files: BTreeMap<FileId, OpenFile>,
    /// What is no file.
    gathered: BTreeMap<FileId, FileState>,
    /// What is not on the medium yet, in order.
    unsynced: Vec<Change>,
    /// What may happen by chance.
    pub faults: Faults,
    /// What did.
    pub met: Met,
    /// The next operation of this name fails.
    fail_next: VecDeque<(&'static str, Failure)>,
    /// So many more writes, syncs and changes of names are made; then the power is gone.
    pub steps_left: u64,
}

/// What may happen, each of so many operations in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A write, a sync or a change of names fails.
    pub failing: u64,
    /// A write finds the disk full, after a part of it.
    pub full: u64,
    /// A write takes two steps.
    pub short: u64,
    /// A job is answered so many milliseconds later, at most.
    pub late_ms: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Operations that failed.
    pub failing: u64,
    /// Writes that found the disk full.
    pub full: u64,
    /// Writes that took two steps.
    pub short: u64,
    /// Jobs that were late.
    pub late: u64,
    /// Changes that a crash lost.
    pub lost: u64,
    /// Changes that a crash tore.
    pub torn: u64,
    /// Changes that a crash left whole.
    pub kept: u64,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The medium does not do what it should.
    Broken,
    /// It is full.
    Full,
}

#[derive(Debug, Default)]
struct File {
    seen: Vec<u8>,
    medium: Vec<u8>,
}

#[derive(Debug, Default)]
struct Folder {
    seen: BTreeMap<String, usize>,
    medium: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct OpenFile {
    /// The file, or why it cannot be used.
    number: Result<usize, DiskError>,
    how: How,
    state: FileState,
    sync_every: Option<u64>,
    synced: u64,
    read: usize,
}

/// What a file is open for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// To write where it stands.
    Write,
    /// To write at its end, wherever that is.
    Append,
    /// To read.
    Read,
}

/// A change that is not on the medium yet.
#[derive(Clone, Debug)]
enum Change {
    Bytes { file: usize, offset: usize, bytes: Vec<u8> },
    Length { file: usize, bytes: usize },
    Name { folder: String, gone: Option<String>, name: Option<(String, usize)> },
    Moved { from: (String, String), to: (String, String), file: usize },
}

impl Disk {
    /// An empty disk with the chances of a seed, on which nothing happens by chance.
    pub fn new(seed: u64) -> Disk {
        Disk {
            rng: Rng::from_seed(seed),
            files: Vec::new(),
            folders: BTreeMap::new(),
            open_folders: BTreeMap::new(),
            open_files: BTreeMap::new(),
            gathered: BTreeMap::new(),
            unsynced: Vec::new(),
            faults: Faults::default(),
            met: Met::default(),
            fail_next: VecDeque::new(),
            steps_left: u64::MAX,
        }
    }

    /// Whether the power is gone: nobody is told any more how a job went.
    pub fn is_dead(&self) -> bool {
        self.steps_left == 0
    }

    /// Puts a file there, durably.
    pub fn put(&mut self, path: &str, bytes: &[u8]) {
        let (folder, name) = split(path);
        self.files.push(File { seen: bytes.to_vec(), medium: bytes.to_vec() });
        let folder = self.folders.entry(folder).or_default();
        folder.seen.insert(name.clone(), self.files.len() - 1);
        folder.medium.insert(name, self.files.len() - 1);
    }

    /// What the running server sees of a file.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        let (folder, name) = split(path);
        Some(&self.files[*self.folders.get(&folder)?.seen.get(&name)?].seen)
    }

    /// The names that the running server sees in a folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        self.folders.get(&plain(folder)).map_or(Vec::new(), |f| f.seen.keys().cloned().collect())
    }

    /// The next operation of a kind fails; the names are those of [`DiskError::op`].
    pub fn fail_next(&mut self, op: &'static str, failure: Failure) {
        self.fail_next.push_back((op, failure));
    }

    /// How late the next answer is, in milliseconds.
    pub fn next_delay_ms(&mut self) -> u64 {
        let late = if self.faults.late_ms == 0 { 0 } else { self.rng.below(self.faults.late_ms + 1) };
        self.met.late += u64::from(late > 0);
        late
    }

    /// The power fails and comes back: what was not synced is there, or a part of it, or not.
    pub fn crash(&mut self, seed: u64) {
        let mut rng = Rng::from_seed(seed);
        for change in std::mem::take(&mut self.unsynced) {
            self.lose_or_keep(&mut rng, change);
        }
        self.open_files.clear();
        self.gathered.clear();
        self.open_folders.clear();
        self.steps_left = u64::MAX;
        self.files.iter_mut().for_each(|file| file.seen.clone_from(&file.medium));
        self.folders.values_mut().for_each(|folder| folder.seen.clone_from(&folder.medium));
    }

    /// Carries out a job of the thread of files.
    pub fn do_file(&mut self, job: FileJob) -> FileResult {
        let done = |bytes: u64| Ok(FileDone { bytes, ..FileDone::default() });
        match job {
            FileJob::OpenFolder(id, path) => {
                self.open_folders.insert(id, plain(&path));
                self.folders.entry(plain(&path)).or_default();
                done(0)
            }
            FileJob::CloseFolder(id) => {
                self.open_folders.remove(&id);
                done(0)
            }
            FileJob::Create { file, folder, name, options } => {
                self.create(file, folder, name, How::Write, options)
            }
            FileJob::OpenToAppend { file, folder, name, options } => {
                match self.folder(folder).seen.get(&name) {
                    Some(&number) => self.hold(file, Ok(number), How::Append, options),
                    None => self.create(file, folder, name, How::Append, options),
                }
            }
            FileJob::OpenToRead { file, folder, name } => {
                let number = self.lookup(folder, "open", &name);
                self.hold(file, number, How::Read, Options::default())
            }
            FileJob::Gather(file, options) => {
                let state = FileState { keeps_crc: options.checksum, ..FileState::default() };
                self.gathered.insert(file, state);
                done(0)
            }
            FileJob::Append(file, block) if self.gathered.contains_key(&file) => {
                let state = self.gathered.get_mut(&file).expect("it was looked at");
                Ok(state.gather(block))
            }
            FileJob::Sync(file) if self.gathered.contains_key(&file) => done(0),
            FileJob::Close(file) if self.gathered.remove(&file).is_some() => done(0),
            FileJob::Append(file, block) => self.append(file, block),
            FileJob::WriteAt { file, offset, bytes } => self.write(file, offset as usize, &bytes),
            FileJob::Read(file, max) => self.read(file, max),
            FileJob::Sum(file, max) => {
                let done = self.read(file, max)?;
                let state = &mut self.file(file).state;
                if let Found::Bytes(bytes) = &done.found {
                    state.crc = crc64(state.crc, bytes);
                }
                Ok(FileDone { found: Found::Sum(state.crc), ..done })
            }
            FileJob::Sync(file) => self.sync(file),
            FileJob::Truncate(file, bytes) => self.truncate(file, bytes as usize),
            FileJob::Close(file) => {
                self.open_files.remove(&file);
                done(0)
            }
            FileJob::SyncFolder(folder) => self.sync_folder(folder),
            FileJob::Rename { folder, from, to } => {
                let number = self.lookup(folder, "rename", &from)?;
                if self.folder(folder).seen.get(&to) == Some(&number) {
                    return done(0);
                }
                self.change_names(folder, "rename", Some(from), Some((to, number)))
            }
            FileJob::Move { from, to, name, new_name } => {
                let number = self.lookup(from, "rename", &name)?;
                let (old, new) = (self.open_folders[&from].clone(), self.open_folders[&to].clone());
                self.attempt("rename", &name)?;
                // The name is in one folder or in the other: a journal has both or neither.
                self.folder(from).seen.remove(&name);
                self.folder(to).seen.insert(new_name.clone(), number);
                self.unsynced.push(Change::Moved { from: (old, name), to: (new, new_name), file: number });
                done(0)
            }
            FileJob::MakeFolder(folder, name) => {
                let path = plain(&format!("{}/{name}", self.open_folders[&folder]));
                self.folders.entry(path).or_default();
                done(0)
            }
            FileJob::Link { folder, from, to } => self.link((folder, from), (folder, to)),
            FileJob::LinkInto { from, to, name } => self.link((from, name.clone()), (to, name)),
            FileJob::Remove(folder, name) => {
                self.lookup(folder, "unlink", &name)?;
                self.change_names(folder, "unlink", Some(name), None)
            }
            FileJob::List(folder) => {
                let names = self.folder(folder).seen.keys().cloned().collect();
                Ok(FileDone { found: Found::Names(names), ..FileDone::default() })
            }
            FileJob::Replace(replace) => replace.carry_out(|step| self.do_file(step)),
        }
    }

    /// A file gets one more name.
    fn link(&mut self, from: (FolderId, String), to: (FolderId, String)) -> FileResult {
        let number = self.lookup(from.0, "link", &from.1)?;
        if self.folder(to.0).seen.contains_key(&to.1) {
            return Err(DiskError { name: from.1, ..refused("link", "File exists") });
        }
        self.change_names(to.0, "link", None, Some((to.1, number)))
    }

    /// Carries out a job of the thread of the log; its numbers are of another thread, and mean other files.
    pub fn do_log(&mut self, job: LogJob) -> FileResult {
        let of_log = |file: FileId| FileId(file.0 | 1 << 63);
        match job {
            LogJob::Open { file, folder, name } => {
                let (id, file, options) = (FolderId(file.0 | 1 << 63), of_log(file), Options::default());
                self.do_file(FileJob::OpenFolder(id, folder))?;
                self.do_file(FileJob::OpenToAppend { file, folder: id, name, options })
            }
            LogJob::Append(file, pieces) => {
                let pieces = pieces.into_iter().map(Piece::Shared).collect();
                self.append(of_log(file), Block { pieces, checksum: None })
            }
            LogJob::Sync(file) => self.sync(of_log(file)),
            LogJob::Truncate(file, bytes) => self.truncate(of_log(file), bytes as usize),
            LogJob::Switch(switch) => self.switch(switch),
            LogJob::Close(file) => self.do_file(FileJob::Close(of_log(file))),
        }
    }

    fn switch(&mut self, switch: Switch) -> FileResult {
        let (from, to) = (FileId(switch.from.0 | 1 << 63), FileId(switch.to.0 | 1 << 63));
        let (folder, name) = (switch.path.clone(), switch.name.clone());
        let new = switch.to;
        let synced = self.sync(from);
        let result = switch
            .prepare(|| synced, |job| self.do_file(job))
            .and_then(|_| self.do_log(LogJob::Open { file: new, folder, name }));
        let old = self.open_files.remove(&from).expect("the engine names only files that it has opened");
        if result.is_err() {
            self.open_files.insert(to, old);
        }
        result.map(|_| FileDone::default())
    }

    fn folder(&mut self, id: FolderId) -> &mut Folder {
        let path = self.open_folders.get(&id).expect("the engine names only folders that it has opened");
        self.folders.get_mut(path).expect("a folder that was opened stays")
    }

    fn file(&mut self, id: FileId) -> &mut OpenFile {
        self.open_files.get_mut(&id).expect("the engine names only files that it has opened")
    }

    fn lookup(&mut self, folder: FolderId, op: &'static str, name: &str) -> Result<usize, DiskError> {
        let error = || DiskError {
            op,
            name: name.to_owned(),
            text: "No such file or directory".to_owned(),
            kind: ErrorKind::NotFound,
            written: 0,
        };
        self.folder(folder).seen.get(name).copied().ok_or_else(error)
    }

    /// Keeps a file open, or the reason why it is not.
    fn hold(
        &mut self,
        id: FileId,
        number: Result<usize, DiskError>,
        how: How,
        options: Options,
    ) -> FileResult {
        let result = number
            .clone()
            .map(|n| FileDone { bytes: self.files[n].seen.len() as u64, ..FileDone::default() });
        let state = FileState { keeps_crc: options.checksum, ..FileState::default() };
        let open = OpenFile { number, how, state, sync_every: options.sync_every, synced: 0, read: 0 };
        self.open_files.insert(id, open);
        result
    }

    fn create(
        &mut self,
        id: FileId,
        folder: FolderId,
        name: String,
        how: How,
        options: Options,
    ) -> FileResult {
        if let Err(error) = self.attempt("open", &name) {
            return self.hold(id, Err(error), how, options);
        }
        if let Some(&number) = self.folder(folder).seen.get(&name) {
            self.hold(id, Ok(number), how, options)?;
            return self.truncate(id, 0);
        }
        self.files.push(File::default());
        let number = self.files.len() - 1;
        let path = self.open_folders[&folder].clone();
        self.folder(folder).seen.insert(name.clone(), number);
        self.unsynced.push(Change::Name { folder: path, gone: None, name: Some((name, number)) });
        self.hold(id, Ok(number), how, options)
    }

    fn append(&mut self, id: FileId, block: Block) -> FileResult {
        let file = self.file(id);
        let number = file.number.clone()?;
        let pieces = block.finish(&mut file.state);
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.as_slice().iter().copied()).collect();
        let offset = match file.how {
            How::Append => self.files[number].seen.len(),
            _ => file.state.written as usize,
        };
        let result = self.write(id, offset, &bytes);
        let file = self.file(id);
        file.state.written += result.as_ref().map_or_else(|error| error.written, |done| done.bytes);
        let unsynced = file.state.written - file.synced;
        if result.is_ok() && file.sync_every.is_some_and(|every| unsynced >= every) {
            self.sync(id)?;
        }
        result
    }

    fn write(&mut self, id: FileId, offset: usize, bytes: &[u8]) -> FileResult {
        let number = self.file(id).number.clone()?;
        if self.file(id).how == How::Read && !bytes.is_empty() {
            return self.spoil(id, refused("write", "Bad file descriptor"));
        }
        let failed = self.attempt("write", "").err();
        let mut end = bytes.len();
        if failed.is_some() && end > 0 {
            end = self.rng.below(end as u64) as usize;
        }
        let is_short = end > 1 && self.happens(self.faults.short);
        self.met.short += u64::from(is_short);
        let middle = if is_short { 1 + self.rng.below(end as u64 - 1) as usize } else { end };
        for (from, to) in [(0, middle), (middle, end)] {
            if from < to {
                self.write_once(number, offset + from, &bytes[from..to]);
            }
        }
        match failed {
            None => Ok(FileDone { bytes: end as u64, ..FileDone::default() }),
            Some(error) => self.spoil(id, DiskError { written: end as u64, ..error }),
        }
    }

    /// One write: bytes, and a length if they are behind the end.
    fn write_once(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let change = Change::Bytes { file, offset, bytes: bytes.to_vec() };
        let length = offset + bytes.len();
        let is_longer = length > self.files[file].seen.len();
        apply_bytes(&mut self.files[file].seen, offset, bytes);
        self.unsynced.push(change);
        if is_longer {
            self.unsynced.push(Change::Length { file, bytes: length });
        }
    }

    fn read(&mut self, id: FileId, max: usize) -> FileResult {
        let number = self.file(id).number.clone()?;
        if self.file(id).how != How::Read {
            return self.spoil(id, refused("read", "Bad file descriptor"));
        }
        let from = self.file(id).read.min(self.files[number].seen.len());
        let rest = &self.files[number].seen[from..];
        let bytes = rest[..max.min(rest.len())].to_vec();
        self.file(id).read = from + bytes.len();
        Ok(FileDone { bytes: bytes.len() as u64, us: 0, found: Found::Bytes(bytes) })
    }

    fn sync(&mut self, id: FileId) -> FileResult {
        let number = self.file(id).number.clone()?;
        let failed = self.attempt("fdatasync", "").err();
        let is_of = |change: &Change| match change {
            Change::Bytes { file, .. } | Change::Length { file, .. } => *file == number,
            Change::Name { .. } | Change::Moved { .. } => false,
        };
        self.settle(is_of, failed.is_some());
        match failed {
            None => {
                let file = self.file(id);
                file.synced = file.state.written;
                Ok(FileDone::default())
            }
            Some(error) => self.spoil(id, error),
        }
    }

    fn truncate(&mut self, id: FileId, bytes: usize) -> FileResult {
        let number = self.file(id).number.clone()?;
        if self.file(id).how == How::Read {
            return self.spoil(id, refused("ftruncate", "Invalid argument"));
        }
        if let Err(error) = self.attempt("ftruncate", "") {
            return self.spoil(id, error);
        }
        self.files[number].seen.resize(bytes, 0);
        self.unsynced.push(Change::Length { file: number, bytes });
        Ok(FileDone::default())
    }

    fn sync_folder(&mut self, folder: FolderId) -> FileResult {
        let failed = self.attempt("fsync", "").err();
        let path = self.open_folders[&folder].clone();
        self.settle(
            |change| match change {
                Change::Name { folder, .. } => *folder == path,
                Change::Moved { from, to, .. } => from.0 == path || to.0 == path,
                _ => false,
            },
            failed.is_some(),
        );
        failed.map_or(Ok(FileDone::default()), Err)
    }

    fn change_names(
        &mut self,
        folder: FolderId,
        op: &'static str,
        gone: Option<String>,
        name: Option<(String, usize)>,
    ) -> FileResult {
        self.attempt(op, gone.as_deref().unwrap_or_default())?;
        let change = Change::Name { folder: self.open_folders[&folder].clone(), gone, name };
        apply_name(&mut self.folder(folder).seen, &change);
        self.unsynced.push(change);
        Ok(FileDone::default())
    }

    /// Takes changes over to the medium, all of them or, when the sync fails, by chance; the rest is forgotten.
    fn settle(&mut self, is_meant: impl Fn(&Change) -> bool, failed: bool) {
        let (meant, others) = std::mem::take(&mut self.unsynced).into_iter().partition(is_meant);
        self.unsynced = others;
        let meant: Vec<Change> = meant;
        let mut rng = Rng::from_seed(self.rng.next_u64());
        for change in meant {
            match failed {
                true => self.lose_or_keep(&mut rng, change),
                false => self.keep(&change),
            }
        }
    }

    fn keep(&mut self, change: &Change) {
        match change {
            // Its length is a change of its own: what lies behind the end is not seen before that is there.
            Change::Bytes { file, offset, bytes } => {
                apply_bytes(&mut self.files[*file].medium, *offset, bytes)
            }
            Change::Length { file, bytes } => self.files[*file].medium.resize(*bytes, 0),
            Change::Moved { from, to, file } => {
                self.folders.entry(from.0.clone()).or_default().medium.remove(&from.1);
                self.folders.entry(to.0.clone()).or_default().medium.insert(to.1.clone(), *file);
            }
            Change::Name { folder, .. } => {
                let folder = self.folders.get_mut(folder).expect("a folder that was opened stays");
                apply_name(&mut folder.medium, change);
            }
        }
    }

    fn lose_or_keep(&mut self, rng: &mut Rng, change: Change) {
        match (rng.below(3), &change) {
            (0, _) => self.met.lost += 1,
            (1, Change::Bytes { file, offset, bytes }) => {
                self.met.torn += 1;
                let length = self.files[*file].medium.len();
                let mut at = 0;
                while at < bytes.len() {
                    let to_border = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
                    let end = (at + to_border).min(bytes.len());
                    if rng.below(2) == 0 {
                        apply_bytes(&mut self.files[*file].medium, offset + at, &bytes[at..end]);
                    }
                    at = end;
                }
                // The length is not part of this change.
                self.trim(rng, *file, length);
            }
            (_, Change::Bytes { file, .. }) => {
                self.met.kept += 1;
                let (file, length) = (*file, self.files[*file].medium.len());
                self.keep(&change);
                self.trim(rng, file, length);
            }
            _ => {
                self.met.kept += 1;
                self.keep(&change);
            }
        }
    }

    /// A file whose bytes got there, and whose length perhaps not.
    fn trim(&mut self, rng: &mut Rng, file: usize, length: usize) {
        if rng.below(2) == 0 {
            let medium = &mut self.files[file].medium;
            medium.truncate(length.min(medium.len()));
        }
    }

    /// What fails once on a file fails for good.
    fn spoil(&mut self, id: FileId, error: DiskError) -> FileResult {
        self.file(id).number = Err(DiskError { written: 0, ..error.clone() });
        Err(error)
    }

    fn happens(&mut self, permille: u64) -> bool {
        permille > 0 && self.rng.below(1000) < permille
    }

    /// Whether an operation succeeds.
    fn attempt(&mut self, op: &'static str, name: &str) -> Result<(), DiskError> {
        if self.is_dead() {
            return Err(refused(op, "the power is gone"));
        }
        self.steps_left -= 1;
        let is_write = op == "write";
        let asked = self.fail_next.iter().position(|(failing, _)| *failing == op);
        let failure = match asked.and_then(|at| self.fail_next.remove(at)) {
            Some((_, failure)) => failure,
            None if is_write && self.happens(self.faults.full) => Failure::Full,
            None if self.happens(self.faults.failing) => Failure::Broken,
            None => return Ok(()),
        };
        let (text, kind) = match failure {
            Failure::Broken => ("Input/output error", ErrorKind::Other),
            Failure::Full => ("No space left on device", ErrorKind::NoSpace),
        };
        match failure {
            Failure::Broken => self.met.failing += 1,
            Failure::Full => self.met.full += 1,
        }
        Err(DiskError { op, name: name.to_owned(), text: text.to_owned(), kind, written: 0 })
    }
}

/// What the system says of what cannot be done.
fn refused(op: &'static str, text: &str) -> DiskError {
    DiskError { op, name: String::new(), text: text.to_owned(), kind: ErrorKind::Other, written: 0 }
}

/// Writes bytes over others; what lies between the end and them is zero.
fn apply_bytes(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset..end].copy_from_slice(bytes);
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &Change) {
    let Change::Name { gone, name, .. } = change else { return };
    if let Some(gone) = gone {
        names.remove(gone);
    }
    if let Some((name, number)) = name {
        names.insert(name.clone(), *number);
    }
}

/// A path without what does not change it.
fn plain(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !["", "."].contains(part)).collect();
    parts.join("/")
}

/// The folder and the name of a path.
fn split(path: &str) -> (String, String) {
    let path = plain(path);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    (folder.to_owned(), name.to_owned())
}
