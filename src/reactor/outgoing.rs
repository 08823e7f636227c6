//! Connections that this server makes: to a primary, and to servers that keys go to.
//!
//! An address is connected to at once, without waiting for the other end; a name is first looked up by the helper thread, since
//! that may take seconds. That the connection is there, or cannot be had, is told when the poll says that the socket can be
//! written.

use super::host::ShellHost;
use super::socket::Socket;
use crate::base::id::ClientId;
use crate::engine::Engine;
use crate::engine::client::Address;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// A host to connect to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The client that is to be connected.
    pub id: ClientId,
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address of this machine to use; empty for any.
    pub source: String,
}

impl Target {
    /// Looks the name up: its addresses. It may take long.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs().map_err(|error| error.to_string())?;
        Ok(found.collect())
    }

    /// The address, where the host is one.
    fn address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

impl ShellHost {
    /// Begins to connect a client to a host.
    pub fn connect(&mut self, engine: &mut Engine, target: Target) {
        match target.address() {
            Some(address) => self.connect_to(engine, &target, Ok(vec![address])),
            None => self.helper.resolve(target),
        }
    }

    /// Begins to connect to the first address that does not refuse at once, if one was found.
    pub fn connect_to(
        &mut self,
        engine: &mut Engine,
        target: &Target,
        found: Result<Vec<SocketAddr>, String>,
    ) {
        if engine.client(target.id).is_none() {
            // Nobody waits for it any more, and its place may be another's.
            return;
        }
        let begun = found.and_then(|addresses| {
            let mut error = format!("there is no address of {}", target.host);
            for address in addresses {
                match self.begin_to_connect(target, address) {
                    Ok(()) => return Ok(()),
                    Err(refusal) => error = refusal.to_string(),
                }
            }
            Err(error)
        });
        if let Err(error) = begun {
            engine.not_connected(target.id, &error, false);
        }
    }

    fn begin_to_connect(&mut self, target: &Target, address: SocketAddr) -> io::Result<()> {
        let source = target.source.parse::<IpAddr>().ok();
        let mut socket = Socket::connect(address, source)?;
        socket.register(self.poll.registry(), target.id)?;
        self.connections.insert_connecting(target.id, socket);
        Ok(())
    }

    /// A socket that was being connected can be written, or has failed.
    pub fn finish_connecting(&mut self, engine: &mut Engine, id: ClientId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        match connection.finish_connecting() {
            Ok(Some((peer, local, number))) => {
                engine.connected(id, Address::Ip(peer), Address::Ip(local), number)
            }
            // It goes on.
            Ok(None) => {}
            Err(error) => engine.not_connected(id, &crate::sys::file::error_text(&error), true),
        }
    }
}
