//! Reading and writing sockets by the bare system call, which a library call wraps in a check for the cancellation of
//! threads; and reading into the free part of a buffer, without clearing it first.
#![allow(unsafe_code, reason = "clearing 1 MiB before each large read costs as much as the read itself")]

use rustix::fd::AsFd;
use std::io::{self, IoSlice};

/// Reads into a buffer.
///
/// # Errors
///
/// What the system says.
#[inline]
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(fd, buffer)?)
}

/// Writes one piece.
///
/// # Errors
///
/// What the system says.
#[inline]
pub fn write(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(fd, bytes, rustix::net::SendFlags::NOSIGNAL)?)
}

/// Writes several pieces with one call.
///
/// # Errors
///
/// What the system says.
pub fn write_pieces(fd: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::writev(fd, pieces)?)
}

/// Reads at most `max` bytes into the spare capacity of a buffer.
///
/// # Errors
///
/// What the system says; nothing was appended.
pub fn read_into_spare(fd: impl AsFd, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    let before = buffer.len();
    let spare = buffer.spare_capacity_mut();
    let room = spare.len().min(max);
    let (filled, _) = rustix::io::read(fd, &mut spare[..room])?;
    let read = filled.len();
    // SAFETY: the bytes after the old length are within the capacity, and the system wrote `read` of them.
    unsafe { buffer.set_len(before + read) };
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_read_fills_the_spare_room_and_no_more() {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets can be made");
        assert_eq!(write(&theirs, &[7; 100]).expect("there is room"), 100);
        let mut buffer = Vec::with_capacity(40);
        buffer.extend_from_slice(b"front");
        let room = buffer.capacity() - buffer.len();
        assert_eq!(read_into_spare(&ours, &mut buffer, 10).expect("there are bytes"), 10);
        assert_eq!(buffer, [&b"front"[..], &[7; 10]].concat());
        assert_eq!(read_into_spare(&ours, &mut buffer, usize::MAX).expect("there are bytes"), room - 10);
        assert_eq!(buffer.len(), buffer.capacity());
        assert_eq!(read_into_spare(&ours, &mut buffer, usize::MAX).expect("nothing is asked for"), 0);
    }
}
