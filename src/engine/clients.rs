//! The connections, by slot.
//!
//! A slot is used again when its client is gone; a generation tells the two apart, so that an id of a client that is gone
//! finds nobody.
//!
//! The engine has clients of its own, which run what was propagated before (see [`super::replay`]). They have slots, since
//! that is how commands know their client, but are connections of nobody: they are not counted, listed, killed or weighed.

use super::Engine;
use super::client::Client;
use crate::base::id::ClientId;
use slab::Slab;
use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

/// The CLIENT ID of the engine's own clients, which no connection ever has. Redis: `CLIENT_ID_AOF`.
const OWN_ID: u64 = u64::MAX;

/// All connections.
#[derive(Debug, Default)]
pub struct Clients {
    slab: Slab<Client>,
    /// How many of the slab are the engine's own.
    own: usize,
    /// Generation of the client that last used each slot.
    generations: Vec<u32>,
    /// The last CLIENT ID that was given.
    last_id: u64,
    /// CLIENT ID to connection.
    by_id: BTreeMap<u64, ClientId>,
}

impl Index<usize> for Clients {
    type Output = Client;

    #[inline]
    fn index(&self, slot: usize) -> &Client {
        &self.slab[slot]
    }
}

impl IndexMut<usize> for Clients {
    #[inline]
    fn index_mut(&mut self, slot: usize) -> &mut Client {
        &mut self.slab[slot]
    }
}

impl Clients {
    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.slab.len() - self.own
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All connections, with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Client)> {
        self.slab.iter().filter(|(_, client)| client.id != OWN_ID)
    }

    /// The client in a slot, whoever it is.
    #[inline]
    pub fn get(&self, slot: usize) -> Option<&Client> {
        self.slab.get(slot)
    }

    /// The client in a slot, whoever it is, to change.
    #[inline]
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Client> {
        self.slab.get_mut(slot)
    }

    /// Adds a client, which is made from its id and its CLIENT ID; returns its slot.
    pub(super) fn add(&mut self, make: impl FnOnce(ClientId, u64) -> Client) -> usize {
        let handle = self.next_handle();
        self.last_id += 1;
        self.by_id.insert(self.last_id, handle);
        self.slab.insert(make(handle, self.last_id))
    }

    /// Adds a client of the engine's own, which is made from its id and [`OWN_ID`]; returns its slot.
    pub(super) fn add_own(&mut self, make: impl FnOnce(ClientId, u64) -> Client) -> usize {
        let handle = self.next_handle();
        self.own += 1;
        self.slab.insert(make(handle, OWN_ID))
    }

    /// A client of the engine's own becomes one of the connections.
    pub(super) fn show(&mut self, slot: usize) {
        let client = &mut self.slab[slot];
        if client.id == OWN_ID {
            self.own -= 1;
            self.last_id += 1;
            client.id = self.last_id;
            self.by_id.insert(client.id, client.handle);
        }
    }

    /// The id of the client that is inserted next.
    fn next_handle(&mut self) -> ClientId {
        let slot = self.slab.vacant_key();
        if self.generations.len() <= slot {
            self.generations.resize(slot + 1, 0);
        }
        self.generations[slot] = self.generations[slot].wrapping_add(1);
        ClientId { slot: slot as u32, generation: self.generations[slot] }
    }

    /// Removes the client in a slot.
    pub(super) fn remove(&mut self, slot: usize) {
        let client = self.slab.remove(slot);
        self.own -= usize::from(client.id == OWN_ID);
        self.by_id.remove(&client.id);
    }

    /// The connection that has a CLIENT ID.
    pub fn by_id(&self, id: u64) -> Option<ClientId> {
        self.by_id.get(&id).copied()
    }

    /// All connections, oldest first.
    pub fn by_age(&self) -> impl Iterator<Item = ClientId> {
        self.by_id.values().copied()
    }
}

impl Engine {
    /// The slot of a client that is still there.
    #[inline]
    pub fn slot_of(&self, id: ClientId) -> Option<usize> {
        let slot = id.slot as usize;
        self.clients.get(slot).filter(|c| c.handle == id).map(|_| slot)
    }

    /// A client that is still there.
    #[inline]
    pub fn client(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(id.slot as usize).filter(|c| c.handle == id)
    }

    /// A client that is still there, to change.
    #[inline]
    pub fn client_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(id.slot as usize).filter(|c| c.handle == id)
    }
}
