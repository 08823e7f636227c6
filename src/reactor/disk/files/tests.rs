//! What both threads do to real files.

use crate::base::crc::crc64;
use crate::engine::Done;
use crate::engine::disk::{
    Block, Checksum, ErrorKind, FileId, FileJob, FolderId, Found, LogJob, Options, Piece, Replace,
};
use crate::reactor::disk::Disk;
use crate::reactor::disk::files::Files;
use bytes::Bytes;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

const FOLDER: FolderId = FolderId(1);
const FILE: FileId = FileId(2);

/// A folder of its own for a test; it goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("waterwheel-disk-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder can be made");
        Place(path)
    }

    fn open(&self) -> Files {
        let mut files = Files::default();
        let path = self.0.to_string_lossy().into_owned();
        files.carry_out(FileJob::OpenFolder(FOLDER, path)).expect("it is there");
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn create(name: &str, options: Options) -> FileJob {
    FileJob::Create { file: FILE, folder: FOLDER, name: name.to_owned(), options }
}

#[test]
fn a_dump_is_written_synced_on_the_way_sealed_and_read_back() {
    let place = Place::new("dump");
    let mut files = place.open();
    let options = Options { checksum: true, sync_every: Some(1000) };
    files.carry_out(create("dump", options)).expect("there is room");
    let mut text = Vec::new();
    for i in 0..100u8 {
        text.extend([[i; 90].as_slice(), b"shared"].concat());
        let pieces = vec![Piece::Bytes(vec![i; 90]), Piece::Shared(Bytes::from_static(b"shared"))];
        let done = files.carry_out(FileJob::Append(FILE, Block { pieces, checksum: None }));
        assert_eq!(done.expect("there is room").bytes, 96);
    }
    // The sum is that of the file as it will be.
    let checksum = Checksum::Running { began: text[..4].to_vec(), begins: b"HEAD".to_vec() };
    let seal = Block { pieces: Vec::new(), checksum: Some(checksum) };
    assert_eq!(files.carry_out(FileJob::Append(FILE, seal)).expect("there is room").bytes, 8);
    let head = FileJob::WriteAt { file: FILE, offset: 0, bytes: b"HEAD".to_vec() };
    assert_eq!(files.carry_out(head).expect("there is room").bytes, 4);
    text[..4].copy_from_slice(b"HEAD");
    let sum = crc64(0, &text).to_le_bytes();
    text.extend(sum);
    files.carry_out(FileJob::Sync(FILE)).expect("a disk can be synced");
    files.carry_out(FileJob::Close(FILE)).expect("closing succeeds");
    assert!(fs::read(place.0.join("dump")).expect("it is there") == text);

    let read = FileJob::OpenToRead { file: FILE, folder: FOLDER, name: "dump".to_owned() };
    assert_eq!(files.carry_out(read).expect("it is there").bytes, text.len() as u64);
    let mut seen = Vec::new();
    while let Found::Bytes(bytes) = files.carry_out(FileJob::Read(FILE, 1000)).expect("it is there").found
        && !bytes.is_empty()
    {
        seen.extend(bytes);
    }
    assert!(seen == text);
}

#[test]
fn names_are_given_taken_and_listed() {
    let place = Place::new("names");
    let mut files = place.open();
    let name = |name: &str| name.to_owned();
    let open =
        FileJob::OpenToAppend { file: FILE, folder: FOLDER, name: name("a"), options: Options::default() };
    files.carry_out(open).expect("there is room");
    files.carry_out(FileJob::Append(FILE, Block::of(b"12345".to_vec()))).expect("there is room");
    files.carry_out(FileJob::Truncate(FILE, 3)).expect("it is open");
    let jobs = [
        FileJob::Rename { folder: FOLDER, from: name("a"), to: name("b") },
        FileJob::Link { folder: FOLDER, from: name("b"), to: name("c") },
        FileJob::SyncFolder(FOLDER),
    ];
    jobs.into_iter().for_each(|job| drop(files.carry_out(job).expect("the names are free")));
    let names = |files: &mut Files| files.carry_out(FileJob::List(FOLDER)).expect("it is there").found;
    assert_eq!(names(&mut files), Found::Names(vec![name("b"), name("c")]));
    files.carry_out(FileJob::Remove(FOLDER, name("b"))).expect("it is there");
    assert_eq!(fs::read(place.0.join("c")).expect("it has another name"), b"123");
    let error = files.carry_out(FileJob::Remove(FOLDER, name("b"))).expect_err("it is gone");
    assert_eq!((error.op, error.kind), ("unlink", ErrorKind::NotFound));
    assert_eq!(error.text, "No such file or directory");
    // A large one goes in slices, but not from under somebody who has it open, nor if it has another name.
    for (is_open, has_name) in [(false, false), (true, false), (false, true)] {
        files.carry_out(create("large", Options::default())).expect("there is room");
        files.carry_out(FileJob::Truncate(FILE, 300 << 20)).expect("a hole takes no room");
        if has_name {
            let link = FileJob::Link { folder: FOLDER, from: name("large"), to: name("kept") };
            files.carry_out(link).expect("the name is free");
        }
        if !is_open {
            files.carry_out(FileJob::Close(FILE)).expect("closing succeeds");
        }
        files.carry_out(FileJob::Remove(FOLDER, name("large"))).expect("it is there");
        if is_open {
            assert_eq!(files.file(FILE).opened().expect("it is open").bytes, 300 << 20);
        }
        if has_name {
            assert_eq!(fs::metadata(place.0.join("kept")).expect("it is there").len(), 300 << 20);
        }
    }
}

#[test]
fn what_could_not_be_opened_fails_what_is_built_on_it() {
    let place = Place::new("missing");
    let mut files = Files::default();
    let nowhere = place.0.join("nowhere").to_string_lossy().into_owned();
    let error = files.carry_out(FileJob::OpenFolder(FOLDER, nowhere.clone())).expect_err("there is none");
    assert_eq!((error.op, &error.name, error.kind), ("open", &nowhere, ErrorKind::NotFound));
    let later = [
        create("a", Options::default()),
        FileJob::Append(FILE, Block::of(vec![1])),
        FileJob::Read(FILE, 10),
        FileJob::Sync(FILE),
        FileJob::SyncFolder(FOLDER),
    ];
    for job in later {
        assert_eq!(files.carry_out(job).expect_err("there is no folder"), error);
    }
    files.carry_out(FileJob::Close(FILE)).expect("closing succeeds");
    files.carry_out(FileJob::CloseFolder(FOLDER)).expect("closing succeeds");
}

#[test]
fn a_file_is_replaced_and_nothing_else_stays() {
    let place = Place::new("replace");
    let mut files = place.open();
    let replace = |name: &str, bytes: &[u8]| {
        let (name, temporary, bytes) = (name.to_owned(), format!("{name}.tmp"), bytes.to_vec());
        FileJob::Replace(Replace { folder: FOLDER, name, file: FILE, temporary, bytes })
    };
    for text in [&b"old"[..], b"new"] {
        assert_eq!(files.carry_out(replace("conf", text)).expect("there is room").bytes, 3);
        assert_eq!(fs::read(place.0.join("conf")).expect("it is there"), text);
    }
    fs::create_dir(place.0.join("folder")).expect("the name is free");
    let error = files.carry_out(replace("folder", b"text")).expect_err("a folder is in the way");
    assert_eq!((error.op, error.text.as_str()), ("rename", "Is a directory"));
    let names = files.carry_out(FileJob::List(FOLDER)).expect("it is there").found;
    assert_eq!(names, Found::Names(vec!["conf".to_owned(), "folder".to_owned()]));
}

#[test]
fn both_threads_answer_by_number_and_finish_what_they_were_asked() {
    let place = Place::new("threads");
    let mut poll = mio::Poll::new().expect("the system has one");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("the system has one");
    let mut disk = Disk::start(&Arc::new(waker)).expect("the system grants threads");
    let path = place.0.to_string_lossy().into_owned();
    disk.do_file(1, FileJob::OpenFolder(FOLDER, path.clone()));
    let bytes = |done| {
        let (Done::File(result) | Done::Log(result)) = done else { panic!("nothing was freed") };
        result.expect("there is room").bytes
    };
    let mut seen = Vec::new();
    let pieces = vec![Bytes::from_static(b"one "), Bytes::from_static(b"two")];
    let jobs = [
        LogJob::Open { file: FILE, folder: path, name: "log".to_owned() },
        LogJob::Append(FILE, pieces),
        LogJob::Sync(FILE),
    ];
    for (number, job) in (2..).zip(jobs) {
        seen.extend(disk.do_log(number, job).map(|done| (number, bytes(done))));
    }
    while seen.len() < 4 {
        let mut events = mio::Events::with_capacity(1);
        poll.poll(&mut events, None).expect("somebody wakes us");
        while let Some((number, done)) = disk.take_done() {
            seen.push((number, bytes(done)));
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [(1, 0), (2, 0), (3, 7), (4, 0)]);
    for i in 0..1000 {
        disk.do_log(5 + i, LogJob::Append(FILE, vec![Bytes::from_static(b"!")]));
    }
    disk.do_log(5000, LogJob::Close(FILE));
    disk.finish();
    assert_eq!(fs::read(place.0.join("log")).expect("it is there").len(), 1007);
}
