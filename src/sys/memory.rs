//! What the process holds, as the kernel counts it.
#![allow(unsafe_code, reason = "mallopt and malloc_trim are calls of the C library without a safe face")]

use std::fs;

/// Resident memory of this process, in bytes.
pub fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size()
}

/// Memory of the machine, in bytes.
pub fn total_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}

/// Gives free memory of the allocator back to the system.
pub fn release() {
    // SAFETY: the call takes no pointer and may run at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the allocator join each freed piece with its neighbours at once. It would keep small ones apart and join all of them
/// in one later call, which takes 20 nanoseconds a piece: 45 milliseconds after two million. Another allocator in its place,
/// as a sanitizer has one, does not know what is asked of it and goes on as it did.
pub fn join_free_pieces_at_once() {
    // SAFETY: the call takes no pointer and may run at any time.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// A random word from the kernel.
pub fn random_word() -> u64 {
    let mut word = [0; 8];
    // Eight bytes come whole; should the kernel not have them yet, what it gives is as good as it gets.
    let _ = rustix::rand::getrandom(&mut word, rustix::rand::GetRandomFlags::empty());
    u64::from_le_bytes(word)
}

/// Forbids huge pages where nobody asked for them: only a kernel that gives them unasked needs to be told. The keyspace
/// goes on asking for its own where the kernel knows the difference, which is from Linux 6.18 on.
pub fn disable_huge_pages() {
    const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;
    let mode = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if !mode.contains("[always]") {
        return;
    }
    // SAFETY: the calls change a flag of the process and take no pointer.
    unsafe {
        if libc::prctl(libc::PR_SET_THP_DISABLE, 1, EXCEPT_ADVISED, 0, 0) != 0 {
            libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_small_piece_waits_to_be_joined() {
        join_free_pieces_at_once();
        let mut pieces: Vec<Box<[u8; 40]>> = (0..10_000).map(|_| Box::new([1; 40])).collect();
        let mut number = 0;
        pieces.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        // SAFETY: the call takes no pointer and may run at any time.
        let waiting = unsafe { libc::mallinfo2() }.fsmblks;
        assert!(waiting < 64 << 10, "{waiting} bytes, of this test or of what ran before it");
        assert_eq!(pieces.len(), 5000);
    }

    #[test]
    fn what_is_held_survives_a_release() {
        let held = vec![3_u8; 1 << 20];
        release();
        assert!(held.iter().all(|byte| *byte == 3));
        assert!(resident_bytes() > held.len() && (resident_bytes() as u64) < total_bytes());
        assert_ne!(random_word(), random_word());
    }
}
