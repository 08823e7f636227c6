//! Signals, as bytes on a socket that the loop polls.
//!
//! The first SIGINT or SIGTERM asks for an orderly end; a second SIGINT ends the process at once, as people expect who
//! press the keys twice.

use super::event_loop::SIGNALS;
use mio::net::UnixStream;
use mio::{Interest, Poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The end; the name of the signal.
    Terminate(&'static str),
}

/// The sockets on which the handlers write, one a signal.
#[derive(Debug)]
pub struct Signals {
    sources: Vec<(UnixStream, &'static str)>,
    interrupted: bool,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn install(poll: &Poll) -> io::Result<Signals> {
        let mut sources = Vec::new();
        for (signal, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
            let (read, write) = std::os::unix::net::UnixStream::pair()?;
            read.set_nonblocking(true)?;
            pipe::register(signal, write)?;
            let mut read = UnixStream::from_std(read);
            poll.registry().register(&mut read, SIGNALS, Interest::READABLE)?;
            sources.push((read, name));
        }
        Ok(Signals { sources, interrupted: false })
    }

    /// A signal that came.
    pub fn take(&mut self) -> Option<Signal> {
        for (source, name) in &mut self.sources {
            let mut byte = [0];
            if matches!(source.read(&mut byte), Ok(1)) {
                if *name == "SIGINT" && std::mem::replace(&mut self.interrupted, true) {
                    log::warn!("You insist... exiting now.");
                    std::process::exit(1);
                }
                return Some(Signal::Terminate(name));
            }
        }
        None
    }
}
