//! What a verb may ask of the shell that drives it.

use super::Engine;
use super::disk::{FileJob, FileResult};
use crate::base::id::ClientId;
use crate::base::time::Now;

/// Facts about the process that only the system knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFacts {
    /// Resident memory, in bytes.
    pub rss_bytes: usize,
    /// Processor time of the process in user space, in microseconds.
    pub cpu_user_us: u64,
    /// Processor time of the process in the kernel, in microseconds.
    pub cpu_system_us: u64,
    /// Processor time of the event loop's thread in user space, in microseconds.
    pub main_cpu_user_us: u64,
    /// Processor time of the event loop's thread in the kernel, in microseconds.
    pub main_cpu_system_us: u64,
    /// Memory of the machine, in bytes.
    pub system_memory_bytes: u64,
}

/// Names that do not change while the process runs.
#[derive(Clone, Debug, Default)]
pub struct ProcessNames {
    /// Process id.
    pub pid: u32,
    /// Operating system, release and machine.
    pub os: String,
    /// Path of the executable.
    pub executable: String,
    /// Path of the configuration file; empty without one.
    pub config_file: String,
    /// Name and version of the allocator.
    pub allocator: String,
    /// Version of the compiler's C library or the like.
    pub compiler: String,
}

/// A short job whose result the reply needs.
pub enum Request<'a> {
    /// Carries out an effect of a changed configuration that only the shell can.
    Configure(crate::config::Effect, &'a mut crate::config::Config),
    /// Reads the configuration file.
    ReadConfigFile,
    /// Whether there is a file of this path: an error says that there is none.
    Exists(&'a str),
    /// Reads the whole file of this path into a buffer.
    ReadFile(&'a str, &'a mut Vec<u8>),
    /// Does these jobs for the disk at once, where nobody can wait. The first error is their result, or what all of them did
    /// together; the folders and files that they open are theirs alone.
    Disk(Vec<FileJob>, &'a mut FileResult),
    /// Tells whether a process with this id lives.
    IsAlive(u32, &'a mut bool),
    /// Tells whoever started the server that it is ready.
    TellReady(crate::config::Supervised),
    /// Stops the whole server for so many microseconds (DEBUG SLEEP).
    Sleep(u64),
    /// Gives free memory back to the system.
    ReleaseMemory,
    /// Ends the process at once, as a crash would.
    Crash(Crash),
}

/// How DEBUG ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// A read of an address that is not mapped.
    Segfault,
    /// An orderly panic with a report.
    Panic,
}

/// The shell: sockets, files and clocks, or their model in the simulator.
pub trait Host {
    /// Both clocks.
    fn now(&mut self) -> Now;
    /// A counter that never decreases and costs a few nanoseconds to read.
    fn ticks(&mut self) -> u64;
    /// Ticks in a millisecond.
    fn ticks_per_ms(&self) -> u64;
    /// A random word that nobody can predict.
    fn random(&mut self) -> u64;
    /// Bytes that are allocated.
    fn allocated_bytes(&self) -> usize;
    /// The most bytes that were ever allocated at once, as far as the shell saw.
    fn facts(&mut self) -> ProcessFacts;
    /// Carries out a short job; the answer's meaning depends on the request.
    ///
    /// # Errors
    ///
    /// The text that the client is to see.
    fn apply(&mut self, request: Request<'_>) -> Result<String, String>;
    /// Lets the shell append input, note closings and flush output while a command that takes too long goes on. When nobody
    /// has anything to say it waits for that, for `wait_ms` milliseconds at most.
    fn breathe(&mut self, engine: &mut Engine, wait_ms: u64);
    /// Serves one connection of the engine's own, and nobody else: makes it if it is to be made, writes and reads. When there is
    /// nothing to do it waits, for `wait_ms` milliseconds at most. The engine is told the time.
    fn attend(&mut self, engine: &mut Engine, id: ClientId, wait_ms: u64);
}
