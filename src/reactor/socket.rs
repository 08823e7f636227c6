//! The socket of a connection: the only file that sees descriptors of connections.
//!
//! Whoever reads or writes asks a [`Socket`], and does not learn of which kind it is. A kind that encrypts would be one more
//! [`Stream`], with buffers of its own; nothing outside of this file would have to know.
//!
//! A socket never blocks: what it does not do at once is the error `WouldBlock`. It is closed when it is dropped.

use crate::base::id::ClientId;
use crate::sys::{net, read};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// A connected socket, or one that is being connected.
#[derive(Debug)]
pub struct Socket(Stream);

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A listener has accepted it.
impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Socket {
        Socket(Stream::Tcp(stream))
    }
}

/// A listener has accepted it.
impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Socket {
        Socket(Stream::Unix(stream))
    }
}

impl Socket {
    /// Begins to connect to an address, from an address of this machine if one is given.
    ///
    /// # Errors
    ///
    /// What the system says at once. That the other end does not listen is told later, by [`Socket::ends`].
    pub fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Socket> {
        Ok(Socket(Stream::Tcp(TcpStream::from_std(net::connect_tcp(address, source)?))))
    }

    /// Looks whether a socket that was being connected is there by now: the other end and this end. None: not yet, or it is
    /// a unix socket, which has no addresses.
    ///
    /// # Errors
    ///
    /// Why the connection cannot be had.
    pub fn ends(&self) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
        let Stream::Tcp(stream) = &self.0 else { return Ok(None) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(peer) => Ok(Some((peer, stream.local_addr()?))),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The address of this end, if it has one.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Number of the descriptor, as clients are shown it.
    pub fn number(&self) -> i32 {
        self.fd().as_raw_fd()
    }

    #[inline]
    fn fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    /// Reads into a buffer.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        read::read(self.fd(), buffer)
    }

    /// Reads at most `max` bytes into the spare capacity of a buffer.
    ///
    /// # Errors
    ///
    /// What the system says; nothing was appended.
    #[inline]
    pub fn read_into_spare(&self, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        read::read_into_spare(self.fd(), buffer, max)
    }

    /// Writes one piece, for which the system has a cheaper call than for several.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[inline]
    pub fn write(&self, piece: &[u8]) -> io::Result<usize> {
        read::write(self.fd(), piece)
    }

    /// Writes several pieces with one call.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[inline]
    pub fn write_pieces(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        read::write_pieces(self.fd(), pieces)
    }

    /// Writes what fits of a farewell to a connection that may not stay.
    pub fn refuse(&self, text: &[u8]) {
        // It is closed next; that it may not hear why cannot be helped.
        let _ = self.write(text);
    }

    /// Sets the options of a connection that was accepted: what is written leaves at once, and after so many seconds of
    /// silence, unless they are 0, the system looks whether the other end is still there.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_options(&self, keepalive_s: u32) -> io::Result<()> {
        let Stream::Tcp(stream) = &self.0 else { return Ok(()) };
        stream.set_nodelay(true)?;
        match keepalive_s {
            0 => Ok(()),
            s => net::keep_alive(stream, Duration::from_secs(u64::from(s))),
        }
    }

    /// Lets the system gather small pieces before it sends them.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn gather_small(&self) -> io::Result<()> {
        match &self.0 {
            Stream::Tcp(stream) => stream.set_nodelay(false),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// Asks the poll for both directions, once and for all.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn register(&mut self, registry: &Registry, id: ClientId) -> io::Result<()> {
        let token = Token(id.to_word() as usize);
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut self.0 {
            Stream::Tcp(stream) => registry.register(stream, token, both),
            Stream::Unix(stream) => registry.register(stream, token, both),
        }
    }

    /// Leaves the poll.
    pub fn deregister(&mut self, registry: &Registry) {
        let done = match &mut self.0 {
            Stream::Tcp(stream) => registry.deregister(stream),
            Stream::Unix(stream) => registry.deregister(stream),
        };
        if let Err(error) = done {
            log::debug!("a socket left the poll: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until there is an answer: also within one machine it takes a moment until the other end sees what was done.
    fn patiently<T>(mut ask: impl FnMut() -> Option<T>) -> T {
        for _ in 0..10_000 {
            if let Some(answer) = ask() {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("there is no answer for ten seconds");
    }

    #[test]
    fn both_kinds_read_and_write_the_same() {
        let (unix, other_unix) = UnixStream::pair().expect("a pair of sockets can be made");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let tcp = Socket::connect(listener.local_addr().expect("it is bound"), None).expect("it listens");
        let (other_tcp, _) = listener.accept().expect("somebody connects");
        other_tcp.set_nonblocking(true).expect("the option is there");
        patiently(|| tcp.ends().expect("it is accepted"));
        let others = [Socket::from(TcpStream::from_std(other_tcp)), Socket::from(other_unix)];
        for (ours, theirs) in [tcp, Socket::from(unix)].iter().zip(&others) {
            assert_eq!(ours.write(b"one").expect("there is room"), 3);
            let pieces = [IoSlice::new(b" two"), IoSlice::new(b" three")];
            assert_eq!(ours.write_pieces(&pieces).expect("there is room"), 10);
            let mut first = [0];
            assert_eq!(patiently(|| theirs.read(&mut first).ok()), 1);
            let mut got = Vec::with_capacity(64);
            got.extend_from_slice(&first);
            while got.len() < 13 {
                patiently(|| theirs.read_into_spare(&mut got, 8).ok());
            }
            assert_eq!(got, b"one two three");
            let empty = theirs.read(&mut first).expect_err("it is empty");
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn a_connection_that_is_refused_says_so() {
        // Nobody listens on the first port.
        let address = "127.0.0.1:1".parse().expect("it is an address");
        let refused = match Socket::connect(address, None) {
            Err(error) => error,
            Ok(socket) => patiently(|| socket.ends().err()),
        };
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
