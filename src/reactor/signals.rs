//! Signals, as bytes on a socket that the loop polls.
//!
//! SIGINT and SIGTERM ask for an orderly end; what a second one means is the engine's affair.

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
        Ok(Signals { sources })
    }

    /// A signal that came.
    pub fn take(&mut self) -> Option<Signal> {
        for (source, name) in &mut self.sources {
            let mut byte = [0];
            if matches!(source.read(&mut byte), Ok(1)) {
                return Some(Signal::Terminate(name));
            }
        }
        None
    }
}
