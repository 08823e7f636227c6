//! Where connections come from: TCP addresses and the unix socket.
//!
//! A turn accepts a bounded number of connections, so that a storm of them delays nobody for long. When descriptors
//! run out, the connection stays in the system's queue, and is asked for again at the next turn that has room.

use super::connections::Connections;
use super::event_loop::FIRST_SPECIAL;
use super::socket::Socket;
use crate::base::id::ClientId;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::client::Address;
use crate::sys::net;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// All listening sockets.
#[derive(Debug, Default)]
pub struct Listeners {
    listeners: Vec<(Listener, bool)>,
    unix_path: String,
}

/// An address of `bind`: where to listen, and whether it may be missing.
fn addresses(bind: &[String], port: u16) -> Vec<(String, Option<IpAddr>, bool)> {
    bind.iter()
        .map(|text| {
            let (name, optional) = text.strip_prefix('-').map_or((text.as_str(), false), |rest| (rest, true));
            let ip = match name {
                "*" => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                "::*" => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
                name => name.parse().ok().or_else(|| resolve(name, port)),
            };
            (name.to_owned(), ip, optional)
        })
        .collect()
}

fn resolve(name: &str, port: u16) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    (name, port).to_socket_addrs().ok()?.next().map(|a| a.ip())
}

impl Listeners {
    /// Opens the TCP addresses and the unix socket that the configuration names.
    ///
    /// # Errors
    ///
    /// The port that could not be listened on, when one of them cannot be had.
    pub fn open(registry: &Registry, conf: &Config) -> Result<Listeners, String> {
        let mut all = Listeners::default();
        all.open_tcp(registry, conf)?;
        if !conf.unixsocket.is_empty() {
            all.open_unix(registry, conf)?;
        }
        Ok(all)
    }

    fn open_tcp(&mut self, registry: &Registry, conf: &Config) -> Result<(), String> {
        let port = conf.port;
        if port == 0 {
            return Ok(());
        }
        let mut opened = 0;
        for (name, ip, optional) in addresses(&conf.bind, port) {
            let listening = match ip {
                Some(ip) => {
                    net::listen_tcp(SocketAddr::new(ip, port), conf.tcp_backlog as i32, conf.socket_mark_id)
                }
                None => Err(io::Error::other("Name or service not known")),
            };
            match listening {
                Ok(listener) => {
                    opened += 1;
                    self.add(registry, Listener::Tcp(TcpListener::from_std(listener)));
                }
                Err(error) => {
                    let text = error.to_string();
                    let reason = text.split(" (os error").next().unwrap_or(&text);
                    log::warn!(
                        "Warning: Could not create server TCP listening socket {name}:{port}: bind: {reason}"
                    );
                    if !(optional && is_unavailable(&error)) {
                        return Err(format!("Failed listening on port {port} (tcp), aborting."));
                    }
                }
            }
        }
        if opened == 0 && !conf.bind.is_empty() {
            return Err(format!("Failed listening on port {port} (tcp), aborting."));
        }
        Ok(())
    }

    fn open_unix(&mut self, registry: &Registry, conf: &Config) -> Result<(), String> {
        let path = Path::new(&conf.unixsocket);
        // A socket of a server that is gone stands in the way.
        let _ = fs::remove_file(path);
        let listener = net::listen_unix(path, conf.tcp_backlog as i32)
            .map_err(|error| format!("Failed opening Unix socket: bind: {error}"))?;
        if let Some(group) = group_id(&conf.unixsocketgroup)
            && let Err(error) = std::os::unix::fs::chown(path, None, Some(group))
        {
            log::warn!("Failed to set the group of the unix socket: {error}");
        }
        if conf.unixsocketperm != 0 {
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(conf.unixsocketperm));
        }
        self.unix_path = conf.unixsocket.clone();
        self.add(registry, Listener::Unix(UnixListener::from_std(listener)));
        Ok(())
    }

    fn add(&mut self, registry: &Registry, mut listener: Listener) {
        let token = Token(FIRST_SPECIAL + self.listeners.len());
        let registered = match &mut listener {
            Listener::Tcp(l) => registry.register(l, token, Interest::READABLE),
            Listener::Unix(l) => registry.register(l, token, Interest::READABLE),
        };
        if let Err(error) = registered {
            log::warn!("a listener cannot be polled: {error}");
        }
        self.listeners.push((listener, true));
    }

    /// Opens the TCP listeners anew; the old ones stay if the new ones cannot be had.
    ///
    /// # Errors
    ///
    /// The text of the start-up error.
    pub fn reopen(&mut self, registry: &Registry, conf: &Config) -> Result<(), String> {
        let old: Vec<(Listener, bool)> = std::mem::take(&mut self.listeners);
        let (unix, tcp): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|(l, _)| matches!(l, Listener::Unix(_)));
        for (mut listener, _) in tcp {
            deregister(registry, &mut listener);
        }
        let result = self.open_tcp(registry, conf);
        for (mut listener, _) in unix {
            deregister(registry, &mut listener);
            self.add(registry, listener);
        }
        result
    }

    /// The system told that a listener has a connection.
    pub fn note_ready(&mut self, token: usize) {
        if let Some((_, ready)) = self.listeners.get_mut(token - FIRST_SPECIAL) {
            *ready = true;
        }
    }

    /// Whether a listener was left before it was empty.
    pub fn has_waiting(&self) -> bool {
        self.listeners.iter().any(|(_, ready)| *ready)
    }

    /// Accepts connections, a bounded number from each listener.
    pub fn accept(
        &mut self,
        registry: &Registry,
        engine: &mut Engine,
        connections: &mut Connections,
        ready: &mut VecDeque<ClientId>,
    ) {
        for (listener, is_ready) in &mut self.listeners {
            for _ in 0..engine.conf().max_new_connections_per_cycle {
                if !*is_ready {
                    break;
                }
                match accept_one(listener) {
                    Ok(accepted) => admit(registry, engine, connections, ready, accepted),
                    Err(error) => {
                        *is_ready = false;
                        if error.kind() != io::ErrorKind::WouldBlock {
                            log::warn!("Accepting client connection: {error}");
                        }
                    }
                }
            }
        }
    }

    /// Closes all and removes the unix socket.
    pub fn close_all(&mut self) {
        self.listeners.clear();
        if !self.unix_path.is_empty() {
            log::info!("Removing the unix socket file.");
            let _ = fs::remove_file(&self.unix_path);
        }
    }
}

/// Number of a group by its name, or of a number.
fn group_id(name: &str) -> Option<u32> {
    if name.is_empty() {
        return None;
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    });
    named.or_else(|| name.parse().ok())
}

/// A connection that was accepted: its socket, the other end, this end.
type Accepted = (Socket, Address, Address);

fn accept_one(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept()?;
            let socket = Socket::from(stream);
            let local = socket.local_address().map_or(Address::None, Address::Ip);
            Ok((socket, Address::Ip(peer), local))
        }
        Listener::Unix(listener) => {
            let (stream, _) = listener.accept()?;
            Ok((Socket::from(stream), Address::Unix, Address::Unix))
        }
    }
}

fn admit(
    registry: &Registry,
    engine: &mut Engine,
    connections: &mut Connections,
    ready: &mut VecDeque<ClientId>,
    accepted: Accepted,
) {
    let (mut socket, peer, local) = accepted;
    if let Err(error) = socket.set_options(engine.conf().tcp_keepalive_s) {
        log::debug!("a new connection takes no options: {error}");
    }
    match engine.accept(peer, local, socket.number()) {
        Err(farewell) => socket.refuse(farewell),
        Ok(id) => match socket.register(registry, id) {
            Ok(()) => {
                connections.insert(id, socket);
                if let Some(connection) = connections.get_mut(id) {
                    // What it sent before it was registered is read without waiting for an event.
                    connection.is_ready = true;
                    ready.push_back(id);
                }
            }
            Err(error) => {
                log::warn!("Error registering fd event for the new client: {error}");
                engine.failed(id);
            }
        },
    }
}

fn deregister(registry: &Registry, listener: &mut Listener) {
    let done = match listener {
        Listener::Tcp(l) => registry.deregister(l),
        Listener::Unix(l) => registry.deregister(l),
    };
    if let Err(error) = done {
        log::debug!("a listener left the poll: {error}");
    }
}

fn is_unavailable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(97)
}
