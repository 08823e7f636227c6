//! The title of the process, as `ps` shows it.
//!
//! The kernel shows the memory in which it put the arguments, and goes on into the environment after them if the last
//! byte of the arguments is not zero. So the title is written over both, after the environment was copied elsewhere.
//! Where the memory is, `/proc/self/stat` tells.
#![allow(unsafe_code, reason = "the title is the memory of the arguments, to which no safe reference exists")]

use std::fs;

/// The memory that shows the title.
#[derive(Debug)]
pub struct Title {
    start: usize,
    len: usize,
}

impl Title {
    /// Finds the memory and moves the environment out of it.
    ///
    /// Call it once, before any thread is started.
    pub fn new() -> Option<Title> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        // Fields 48 to 51 of proc(5), counted from the one after the name, which is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
        let (start, arguments_end) = (field(48)?, field(49)?);
        let (environment, end) = (field(50)?, field(51)?);
        let end = if environment == arguments_end { end } else { arguments_end };
        if start == 0 || end <= start {
            return None;
        }
        for (name, value) in std::env::vars_os() {
            // SAFETY: there is one thread, so nobody reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
        Some(Title { start, len: end - start })
    }

    /// Shows `title`, cut to the room there is.
    pub fn set(&self, title: &str) {
        let shown = title.len().min(self.len - 1);
        // SAFETY: the kernel mapped these bytes for the arguments and the environment of this process, writable and
        // for as long as it lives; nothing reads them as Rust values, because the standard library keeps copies of
        // the arguments' pointers only for `env::args`, which was read before, and the environment was moved.
        unsafe {
            let memory = std::slice::from_raw_parts_mut(self.start as *mut u8, self.len);
            memory.fill(0);
            memory[..shown].copy_from_slice(&title.as_bytes()[..shown]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    #[test]
    fn a_title_is_cut_to_its_memory_and_ends_with_a_zero() {
        static MEMORY: [AtomicU8; 8] = [const { AtomicU8::new(b'#') }; 8];
        let title = Title { start: MEMORY.as_ptr() as usize, len: MEMORY.len() };
        for (shown, expected) in [("ab", *b"ab\0\0\0\0\0\0"), ("much too long", *b"much to\0"), ("", [0; 8])]
        {
            title.set(shown);
            assert_eq!(MEMORY.each_ref().map(|byte| byte.load(Relaxed)), expected);
        }
    }
}
