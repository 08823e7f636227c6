//! Reading into the free part of a buffer, without clearing it first.
#![allow(unsafe_code, reason = "clearing 1 MiB before each large read costs as much as the read itself")]

use rustix::fd::AsFd;
use std::io;

/// Reads at most `max` bytes behind what `buffer` holds; its capacity bounds it too.
///
/// # Errors
///
/// What the system says; nothing was appended.
pub fn read_behind(fd: impl AsFd, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    let before = buffer.len();
    let spare = buffer.spare_capacity_mut();
    let room = spare.len().min(max);
    let (filled, _) = rustix::io::read(fd, &mut spare[..room])?;
    let read = filled.len();
    // SAFETY: the bytes behind the old length are within the capacity, and the system wrote `read` of them.
    unsafe { buffer.set_len(before + read) };
    Ok(read)
}
