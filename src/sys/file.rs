//! Files and folders by their handles: each call is one of the C library's, on a folder that is open already.
//!
//! A name is looked up in a handle, so that whoever changes the working directory, or renames a folder, moves nothing
//! that is under way. The calls go through the symbols of the C library, not by bare system calls as elsewhere in this
//! room: a library that is loaded before it can delay and fail them, which is how `tests/shim` tries us and others. A
//! signal in the middle of a call is no error: it is made again.
#![allow(
    unsafe_code,
    reason = "the safe wrappers make bare system calls, which nothing can be put in front of"
)]

use libc::{c_char, c_int};
use std::ffi::{CStr, CString};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Rights of a file that is made: its owner writes, others read, as far as the process's mask lets them.
const MODE: libc::c_uint = 0o644;
const FOLDER_MODE: libc::mode_t = 0o755;

/// Pieces that one call writes.
const PIECES_MAX: usize = 64;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To write: it is made, or emptied.
    Create,
    /// To write after what is there; it is made if there is none.
    Append,
    /// To read.
    Read,
}

/// What the system is told about how a file is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// It is read from its beginning to its end.
    Sequential,
    /// This part will be read soon.
    WillNeed,
    /// This part will not be read soon: it need not stay in memory.
    DontNeed,
}

/// Which file it is, and how often it has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Device and number: the same file has the same.
    pub identity: (u64, u64),
    /// Its length.
    pub bytes: u64,
    /// Names that it has.
    pub names: u64,
}

/// What the system says, without the number of the error.
pub fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Opens a folder.
///
/// # Errors
///
/// What the system says.
pub fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero and outlives the call.
    let fd = again(|| unsafe { libc::open(path.as_ptr(), flags) } as isize)?;
    // SAFETY: the call has just returned this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// Opens a file in a folder.
///
/// # Errors
///
/// What the system says.
pub fn open(folder: impl AsFd, name: &str, how: Open) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    let flags = libc::O_CLOEXEC
        | match how {
            Open::Create => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
            Open::Append => libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND,
            Open::Read => libc::O_RDONLY,
        };
    let folder = folder.as_fd().as_raw_fd();
    // SAFETY: the name ends with a zero and outlives the call.
    let fd = again(|| unsafe { libc::openat(folder, name.as_ptr(), flags, MODE) } as isize)?;
    // SAFETY: the call has just returned this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// Gives a file another name in its folder; who had that name has it no longer.
///
/// # Errors
///
/// What the system says.
pub fn rename(folder: impl AsFd, from: &str, to: &str) -> io::Result<()> {
    with_names(folder, from, to, |folder, from, to| {
        // SAFETY: both names end with a zero and outlive the call.
        unsafe { libc::renameat(folder, from, folder, to) }
    })
}

/// Gives a file another name in another folder; who had that name has it no longer.
///
/// # Errors
///
/// What the system says.
pub fn move_to(folder: impl AsFd, from: &str, other: impl AsFd, to: &str) -> io::Result<()> {
    let other = other.as_fd().as_raw_fd();
    with_names(folder, from, to, |folder, from, to| {
        // SAFETY: both names end with a zero and outlive the call.
        unsafe { libc::renameat(folder, from, other, to) }
    })
}

/// Makes a folder in a folder; one that is there is left as it is.
///
/// # Errors
///
/// What the system says.
pub fn make_folder(folder: impl AsFd, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    let folder = folder.as_fd().as_raw_fd();
    // SAFETY: the name ends with a zero and outlives the call.
    match again(|| unsafe { libc::mkdirat(folder, name.as_ptr(), FOLDER_MODE) } as isize) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map(drop),
    }
}

/// Gives a file one more name in its folder.
///
/// # Errors
///
/// What the system says; also when somebody has that name.
pub fn link(folder: impl AsFd, from: &str, to: &str) -> io::Result<()> {
    with_names(folder, from, to, |folder, from, to| {
        // SAFETY: both names end with a zero and outlive the call.
        unsafe { libc::linkat(folder, from, folder, to, 0) }
    })
}

/// Gives a file the same name in another folder as well.
///
/// # Errors
///
/// What the system says, also where that name is taken.
pub fn link_into(folder: impl AsFd, other: impl AsFd, name: &str) -> io::Result<()> {
    let other = other.as_fd().as_raw_fd();
    with_names(folder, name, name, |folder, from, to| {
        // SAFETY: both names end with a zero and outlive the call.
        unsafe { libc::linkat(folder, from, other, to, 0) }
    })
}

/// Takes a file's name away.
///
/// # Errors
///
/// What the system says.
pub fn unlink(folder: impl AsFd, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    let folder = folder.as_fd().as_raw_fd();
    // SAFETY: the name ends with a zero and outlives the call.
    again(|| unsafe { libc::unlinkat(folder, name.as_ptr(), 0) } as isize).map(drop)
}

/// Returns when the bytes of a file, and its length, are durable.
///
/// # Errors
///
/// What the system says; then nobody knows what is durable, and asking again tells nothing.
pub fn sync_data(file: impl AsFd) -> io::Result<()> {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the call takes no memory.
    again(|| unsafe { libc::fdatasync(file) } as isize).map(drop)
}

/// Returns when all that a file or a folder is, is durable: of a folder that are its names.
///
/// # Errors
///
/// As [`sync_data`].
pub fn sync_all(file: impl AsFd) -> io::Result<()> {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the call takes no memory.
    again(|| unsafe { libc::fsync(file) } as isize).map(drop)
}

/// Cuts a file to a length.
///
/// # Errors
///
/// What the system says.
pub fn truncate(file: impl AsFd, bytes: u64) -> io::Result<()> {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the call takes no memory.
    again(|| unsafe { libc::ftruncate(file, bytes as libc::off_t) } as isize).map(drop)
}

/// Writes pieces where the file stands; returns how many bytes were taken.
///
/// # Errors
///
/// What the system says.
pub fn write(file: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let file = file.as_fd().as_raw_fd();
    let count = pieces.len().min(PIECES_MAX);
    match pieces {
        // SAFETY: the slice is as long as it says.
        [one] => again(|| unsafe { libc::write(file, one.as_ptr().cast(), one.len()) }),
        // SAFETY: an `IoSlice` is laid out as an `iovec`, and there are `count` of them.
        _ => again(|| unsafe { libc::writev(file, pieces.as_ptr().cast(), count as c_int) }),
    }
}

/// Writes at an offset; returns how many bytes were taken.
///
/// # Errors
///
/// What the system says.
pub fn write_at(file: impl AsFd, bytes: &[u8], offset: u64) -> io::Result<usize> {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the slice is as long as it says.
    again(|| unsafe { libc::pwrite(file, bytes.as_ptr().cast(), bytes.len(), offset as libc::off_t) })
}

/// Reads where the file stands, at most as much as the buffer has room for; nothing is read at the end.
///
/// # Errors
///
/// What the system says.
pub fn read(file: impl AsFd, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let file = file.as_fd().as_raw_fd();
    let spare = buffer.spare_capacity_mut();
    let (start, room) = (spare.as_mut_ptr(), spare.len());
    // SAFETY: the system writes at most `room` bytes, which are the free part of the buffer.
    let read = again(|| unsafe { libc::read(file, start.cast(), room) })?;
    // SAFETY: the system has written as many bytes after the old length as it says.
    unsafe { buffer.set_len(buffer.len() + read) };
    Ok(read)
}

/// Tells the system how a part of a file is used; a length of zero means up to its end. It may not care.
pub fn advise(file: impl AsFd, offset: u64, bytes: u64, advice: Advice) {
    let advice = match advice {
        Advice::Sequential => libc::POSIX_FADV_SEQUENTIAL,
        Advice::WillNeed => libc::POSIX_FADV_WILLNEED,
        Advice::DontNeed => libc::POSIX_FADV_DONTNEED,
    };
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the call takes no memory.
    unsafe { libc::posix_fadvise(file, offset as libc::off_t, bytes as libc::off_t, advice) };
}

/// Which file it is, how long, and how often it has a name.
///
/// # Errors
///
/// What the system says.
pub fn status(file: impl AsFd) -> io::Result<Status> {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: a `stat` of zeros is a valid value, and the call only writes into it.
    let stat = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        again(|| libc::fstat(file, &mut stat) as isize)?;
        stat
    };
    Ok(Status {
        identity: (stat.st_dev as u64, stat.st_ino as u64),
        bytes: stat.st_size as u64,
        names: stat.st_nlink as u64,
    })
}

/// The names in a folder, in order, without those of the folder itself and of the one above it.
///
/// # Errors
///
/// What the system says.
pub fn list(folder: impl AsFd) -> io::Result<Vec<String>> {
    // The place in a listing belongs to the descriptor, so each listing has one of its own.
    let own = open(folder, ".", Open::Read)?;
    // SAFETY: the descriptor is open; when the call succeeds it belongs to what it returns.
    let stream = unsafe { libc::fdopendir(own.as_raw_fd()) };
    if stream.is_null() {
        return Err(io::Error::last_os_error());
    }
    std::mem::forget(own);
    let mut names = Vec::new();
    // SAFETY: the stream is open, only this thread has it, and what an entry says is copied before the next is asked for.
    unsafe {
        loop {
            let entry = libc::readdir(stream);
            if entry.is_null() {
                break;
            }
            let name = CStr::from_ptr((&raw const (*entry).d_name).cast::<c_char>());
            if ![c".", c".."].contains(&name) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        libc::closedir(stream);
    }
    names.sort();
    Ok(names)
}

/// Makes a call that takes two names in a folder.
fn with_names(
    folder: impl AsFd,
    from: &str,
    to: &str,
    call: impl Fn(c_int, *const c_char, *const c_char) -> c_int,
) -> io::Result<()> {
    let (from, to) = (CString::new(from)?, CString::new(to)?);
    let folder = folder.as_fd().as_raw_fd();
    again(|| call(folder, from.as_ptr(), to.as_ptr()) as isize).map(drop)
}

/// Makes a call until no signal interrupts it.
fn again(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(number) => return Ok(number),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_renamed_linked_read_and_removed_in_an_open_folder() {
        let path = std::env::temp_dir().join(format!("waterwheel-files-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder can be made");
        let folder = open_folder(&path).expect("it is there");
        // The folder gets another name: who holds it does not notice.
        let moved = path.with_extension("moved");
        std::fs::rename(&path, &moved).expect("it can be moved");
        let file = open(&folder, "a", Open::Create).expect("it can be made");
        let pieces = [IoSlice::new(b"one "), IoSlice::new(b"two")];
        assert_eq!(write(&file, &pieces).expect("there is room"), 7);
        assert_eq!(write_at(&file, b"ONE", 0).expect("there is room"), 3);
        truncate(&file, 6).expect("it can be cut");
        sync_data(&file).and_then(|()| sync_all(&folder)).expect("a disk can be synced");
        rename(&folder, "a", "b").and_then(|()| link(&folder, "b", "c")).expect("the names are free");
        assert_eq!(list(&folder).expect("it can be read"), ["b", "c"]);
        assert_eq!(status(&file).expect("it is open").names, 2);
        let file = open(&folder, "c", Open::Append).expect("it is there");
        assert_eq!(write(&file, &[IoSlice::new(b"!")]).expect("there is room"), 1);
        let file = open(&folder, "c", Open::Read).expect("it is there");
        let mut text = Vec::with_capacity(100);
        while read(&file, &mut text).expect("it can be read") > 0 {}
        assert_eq!(text, b"ONE tw!");
        unlink(&folder, "b").and_then(|()| unlink(&folder, "c")).expect("they are there");
        let missing = open(&folder, "c", Open::Read).expect_err("it is gone");
        assert_eq!(error_text(&missing), "No such file or directory");
        std::fs::remove_dir(&moved).expect("it is empty");
    }
}
