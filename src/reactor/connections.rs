//! Connections of clients: they are read into the one shared buffer, and written with one `writev`.

use super::host::ShellHost;
use super::socket::Socket;
use crate::base::id::ClientId;
use crate::base::limit::{READ_BYTES, READ_BYTES_PER_SERVING, WRITE_BYTES_PER_TURN};
use crate::engine::Engine;
use crate::engine::input::Peeked;
use mio::Registry;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

/// Connections that are read before the first of their requests runs.
pub const SIDE_BY_SIDE: usize = 8;

/// What each of them may be read at first.
const PIECE_BYTES: usize = READ_BYTES / SIDE_BY_SIDE;

/// A place in a group of connections that nobody takes.
pub const NO_CLIENT: ClientId = ClientId { slot: u32::MAX, generation: 0 };

/// Pieces of one `writev`.
const SLICES: usize = 64;

/// One client's socket.
#[derive(Debug)]
pub struct Connection {
    id: ClientId,
    socket: Socket,
    /// It is on the ready list.
    pub is_ready: bool,
    /// The other end closed: a short read is not the last.
    pub read_to_end: bool,
    /// The socket took less than it was given; the system tells when it takes more.
    pub is_stuffed: bool,
    /// It is not connected yet.
    pub is_connecting: bool,
}

impl Connection {
    /// Looks whether a connection is there by now: the other end, this end, and the number of the descriptor.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub fn finish_connecting(&mut self) -> io::Result<Option<(SocketAddr, SocketAddr, i32)>> {
        let Some((peer, local)) = self.socket.ends()? else { return Ok(None) };
        self.is_connecting = false;
        Ok(Some((peer, local, self.socket.number())))
    }
}

/// What a serving left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Nothing: the socket is empty, or gone.
    All,
    /// The socket may hold more.
    More,
}

/// All sockets of clients, by slot.
#[derive(Debug)]
pub struct Connections {
    slots: Vec<Option<Connection>>,
    buffer: Box<[u8]>,
    /// Buffers of connections that are served side by side.
    pieces: [Box<[u8]>; SIDE_BY_SIDE],
    /// Whose bytes lie in each of them, and how many are still to be run.
    batch: [(ClientId, usize); SIDE_BY_SIDE],
}

impl Default for Connections {
    fn default() -> Connections {
        Connections {
            slots: Vec::new(),
            buffer: vec![0; READ_BYTES].into(),
            pieces: std::array::from_fn(|_| vec![0; PIECE_BYTES].into()),
            batch: [(NO_CLIENT, 0); SIDE_BY_SIDE],
        }
    }
}

impl Connections {
    /// Adds a socket.
    pub fn insert(&mut self, id: ClientId, socket: Socket) {
        let slot = id.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let connection = Connection {
            id,
            socket,
            is_ready: false,
            read_to_end: false,
            is_stuffed: false,
            is_connecting: false,
        };
        self.slots[slot] = Some(connection);
    }

    /// Adds a socket that is not connected yet.
    pub fn insert_connecting(&mut self, id: ClientId, socket: Socket) {
        self.insert(id, socket);
        if let Some(connection) = self.get_mut(id) {
            connection.is_connecting = true;
        }
    }

    /// The connection of a client that is still there.
    #[inline]
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Connection> {
        self.slots.get_mut(id.slot as usize)?.as_mut().filter(|c| c.id == id)
    }

    /// The buffer for reading. While it is lent out, a script that lets others speak gets another one.
    fn lend_buffer(&mut self) -> Box<[u8]> {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() { vec![0; READ_BYTES].into() } else { buffer }
    }

    /// Writes what waits for a client, as much as its socket takes.
    pub fn write(&mut self, engine: &mut Engine, id: ClientId) {
        let Some(connection) = self.slots.get_mut(id.slot as usize).and_then(Option::as_mut) else { return };
        if connection.id != id {
            return;
        }
        let mut written = 0;
        loop {
            let Some(outgoing) = engine.output(id) else { return };
            if written >= WRITE_BYTES_PER_TURN {
                // Its turn is over; the rest goes with the next.
                engine.write_later(id);
                return;
            }
            let waiting = outgoing.bytes();
            let done = match outgoing.one_piece(WRITE_BYTES_PER_TURN) {
                Some(piece) => connection.socket.write(piece),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let filled = outgoing.gather(&mut slices, WRITE_BYTES_PER_TURN);
                    connection.socket.write_pieces(&slices[..filled])
                }
            };
            match done {
                Ok(n) => {
                    written += n;
                    engine.sent(id, n);
                    if n == waiting {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.is_stuffed = true;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("Error writing to client: {error}");
                    engine.failed(id);
                    return;
                }
            }
        }
    }

    /// Lets the system gather small pieces for a client before it sends them.
    pub fn gather_small(&mut self, id: ClientId) {
        if let Some(connection) = self.get_mut(id)
            && let Err(error) = connection.socket.gather_small()
        {
            log::debug!("a connection takes no options: {error}");
        }
    }

    /// Closes a socket.
    pub fn close(&mut self, registry: &Registry, id: ClientId) {
        let Some(slot) = self.slots.get_mut(id.slot as usize) else { return };
        if let Some(mut connection) = slot.take_if(|c| c.id == id) {
            connection.socket.deregister(registry);
        }
    }
}

/// Serves several connections, in their order. All are read before the first request runs, so that the memory of one
/// client's key is fetched while another's socket is read. Tells which may hold more: bit i for `ids[i]`.
pub fn serve_several(
    engine: &mut Engine,
    host: &mut ShellHost,
    ids: &[ClientId],
    peeks: &mut [Peeked; SIDE_BY_SIDE],
) -> u32 {
    debug_assert!(ids.len() <= SIDE_BY_SIDE);
    let connections = &mut host.connections;
    let mut is_peeked = [false; SIDE_BY_SIDE];
    let mut unfinished = 0;
    for (i, &id) in ids.iter().enumerate() {
        connections.batch[i] = (id, 0);
        let mut piece = std::mem::take(&mut connections.pieces[i]);
        let connection = connections.get_mut(id).filter(|_| engine.takes_small_reads(id));
        match connection.map(|connection| (connection.socket.read(&mut piece), connection)) {
            Some((Ok(n), connection)) => {
                if n == 0 {
                    connection.read_to_end = true;
                    unfinished |= 1 << i;
                }
                connections.batch[i].1 = n;
                is_peeked[i] = engine.peek(&mut peeks[i], id, &piece[..n]);
            }
            Some((Err(error), connection)) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.is_ready = false;
            }
            // What is no plain read of something is looked at when its turn comes.
            _ => unfinished |= 1 << i,
        }
        connections.pieces[i] = piece;
    }
    for (peeked, _) in peeks.iter().zip(is_peeked).filter(|(_, is_peeked)| *is_peeked) {
        engine.fetch_peeked(peeked);
    }
    for (i, (peeked, is_peeked)) in peeks.iter().zip(is_peeked).take(ids.len()).enumerate() {
        unfinished |= u32::from(run_piece(engine, host, i, is_peeked.then_some(peeked))) << i;
    }
    let mut more = 0;
    for (i, &id) in ids.iter().enumerate().filter(|(i, _)| unfinished >> i & 1 == 1) {
        if serve(engine, host, id) == Served::More {
            more |= 1 << i;
        }
    }
    more
}

/// Runs what was read from one of the connections that are served side by side, unless that was done already; the
/// engine may have peeked at it. True when its socket may hold more.
fn run_piece(engine: &mut Engine, host: &mut ShellHost, i: usize, peeked: Option<&Peeked>) -> bool {
    let (id, n) = host.connections.batch[i];
    if n == 0 {
        return false;
    }
    host.connections.batch[i].1 = 0;
    let piece = std::mem::take(&mut host.connections.pieces[i]);
    if engine.is_busy() {
        engine.input_while_busy(host, id, &piece[..n]);
    } else if let Some(peeked) = peeked {
        engine.input_peeked(host, peeked, id, &piece[..n]);
    } else {
        engine.input(host, id, &piece[..n]);
    }
    let has_more = n == piece.len();
    host.connections.pieces[i] = piece;
    match host.connections.get_mut(id) {
        Some(connection) if !has_more && !connection.read_to_end => {
            connection.is_ready = false;
            false
        }
        connection => connection.is_some(),
    }
}

/// While a script lets others speak: runs what was read from those after its own client.
pub fn run_pieces(engine: &mut Engine, host: &mut ShellHost) {
    for i in 0..SIDE_BY_SIDE {
        let id = host.connections.batch[i].0;
        if run_piece(engine, host, i, None) {
            host.ready.push_back(id);
        }
    }
}

/// A connection is not read until the engine asks for it.
fn connection_rests(host: &mut ShellHost, id: ClientId) {
    if let Some(connection) = host.connections.get_mut(id) {
        connection.is_ready = false;
    }
}

/// Reads from a socket and hands the bytes to the engine, up to a quota.
pub fn serve(engine: &mut Engine, host: &mut ShellHost, id: ClientId) -> Served {
    let mut buffer = host.connections.lend_buffer();
    let served = serve_with(engine, host, id, &mut buffer);
    host.connections.buffer = buffer;
    served
}

fn serve_with(engine: &mut Engine, host: &mut ShellHost, id: ClientId, buffer: &mut [u8]) -> Served {
    let mut read = 0;
    while read < READ_BYTES_PER_SERVING {
        let Some(connection) = host.connections.get_mut(id) else { return Served::All };
        if engine.is_full(id) {
            // The client left the ready list when its inbox was full; it has to be looked at again. A primary says when.
            if engine.is_link(id) {
                connection_rests(host, id);
                return Served::All;
            }
            return Served::More;
        }
        let (direct, got, wanted) = match engine.read_target(id) {
            Some((target, missing)) => (true, connection.socket.read_into_spare(target, missing), missing),
            None => (false, connection.socket.read(buffer), buffer.len()),
        };
        match got {
            Ok(0) => {
                connection.is_ready = false;
                engine.half_closed(id);
                return Served::All;
            }
            Ok(n) => {
                read += n;
                let is_last = n < wanted && !connection.read_to_end;
                if direct {
                    engine.filled(host, id, n);
                } else if engine.is_busy() {
                    engine.input_while_busy(host, id, &buffer[..n]);
                } else {
                    engine.input(host, id, &buffer[..n]);
                }
                if is_last {
                    if let Some(connection) = host.connections.get_mut(id) {
                        connection.is_ready = false;
                    }
                    return Served::All;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.is_ready = false;
                return Served::All;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                connection.is_ready = false;
                log::debug!("Reading from client: {error}");
                engine.failed(id);
                return Served::All;
            }
        }
    }
    Served::More
}
