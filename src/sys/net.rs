//! Sockets with the options that the standard library does not set.
#![allow(unsafe_code, reason = "the mark of a socket has no safe face")]

use rustix::fd::AsFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

/// A listening TCP socket that does not block; a `mark` that is not 0 is set for packet filters.
///
/// # Errors
///
/// What the system says, such as an address in use.
pub fn listen_tcp(address: SocketAddr, backlog: i32, mark: u32) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if mark != 0 {
        set_mark(socket.as_fd(), mark)?;
    }
    bind(&socket, &address)?;
    listen(&socket, backlog)?;
    Ok(TcpListener::from(socket))
}

/// Marks a socket for packet filters.
fn set_mark(socket: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    let size = size_of::<u32>() as libc::socklen_t;
    let value = std::ptr::from_ref(&mark).cast();
    // SAFETY: the option takes a pointer to so many bytes and does not keep it.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MARK, value, size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A listening unix socket that does not block.
///
/// # Errors
///
/// What the system says.
pub fn listen_unix(path: &Path, backlog: i32) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &rustix::net::SocketAddrUnix::new(path)?)?;
    listen(&socket, backlog)?;
    Ok(UnixListener::from(socket))
}

/// A TCP socket that connects to an address without waiting for it, from an address of this machine if one is given.
///
/// # Errors
///
/// What the system says. That the other end does not listen is told later, by the socket.
pub fn connect_tcp(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if let Some(source) = source {
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(TcpStream::from(socket))
}

/// Lets the system look after `idle` whether the other end is still there; three probes a third as far apart.
///
/// # Errors
///
/// What the system says.
pub fn keep_alive(socket: impl AsFd, idle: Duration) -> io::Result<()> {
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, idle)?;
    sockopt::set_tcp_keepintvl(&socket, (idle / 3).max(Duration::from_secs(1)))?;
    sockopt::set_tcp_keepcnt(&socket, 3)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_may_have_a_mark() {
        let address = "127.0.0.1:0".parse().expect("it is an address");
        let plain = listen_tcp(address, 5, 0).expect("some port is free");
        let at = plain.local_addr().expect("it is bound");
        std::net::TcpStream::connect(at).expect("it listens");
        // A mark needs a right that not every process has.
        match listen_tcp(address, 5, 7) {
            Ok(marked) => assert!(marked.local_addr().is_ok()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    }
}
