//! Keys that go to and fro between two servers while others write them: each is on one side or the other, nobody sees it on
//! both, and no write is lost.

use crate::support::World;
use crate::support::link::{End, Link};
use crate::support::several::Several;
use crate::with_seeds;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use waterwheel::base::rng::Rng;

const KEYS: u64 = 6;
const STEPS: u64 = 400;

/// A connection that one server has made to the other.
struct Road {
    from: usize,
    name: String,
    link: Link,
}

/// What is under way.
struct Traffic {
    both: Several,
    rng: Rng,
    roads: Vec<Road>,
    /// Requests that were not answered: which server, and the keys that are to move.
    moving: BTreeMap<String, (usize, Vec<String>)>,
    /// Requests that were not answered: which server, and the key that is to grow.
    growing: BTreeMap<String, (usize, String)>,
    /// How long each key has to be.
    lengths: BTreeMap<String, u64>,
    /// Keys of which nobody can say where they are: an answer got lost.
    uncertain: BTreeSet<String>,
    clients: u64,
    moved: u64,
}

fn has(world: &World, key: &str) -> bool {
    world
        .engine
        .dbs
        .iter()
        .next()
        .is_some_and(|db| db.find(key.as_bytes(), db.hash(key.as_bytes())).is_some())
}

impl Traffic {
    fn new(seed: u64) -> Traffic {
        let mut both = Several::new(seed, &[0, 0]);
        let mut lengths = BTreeMap::new();
        for number in 0..KEYS {
            let key = format!("key:{number}");
            both.servers[number as usize % 2].run(&format!("RPUSH {key} x"));
            lengths.insert(key, 1);
        }
        Traffic {
            both,
            rng: Rng::from_seed(seed),
            roads: Vec::new(),
            moving: BTreeMap::new(),
            growing: BTreeMap::new(),
            lengths,
            uncertain: BTreeSet::new(),
            clients: 0,
            moved: 0,
        }
    }

    fn new_client(&mut self, kind: &str) -> String {
        self.clients += 1;
        format!("{kind}{}", self.clients)
    }

    fn key(&mut self) -> String {
        format!("key:{}", self.rng.below(KEYS))
    }

    fn begin_move(&mut self) {
        let (from, client) = (self.rng.below(2) as usize, self.new_client("m"));
        let keys: BTreeSet<String> = (0..=self.rng.below(3)).map(|_| self.key()).collect();
        let keys: Vec<String> = keys.into_iter().collect();
        let line = format!("MIGRATE other 1 \"\" 0 2000 KEYS {}", keys.join(" "));
        self.both.servers[from].send(&client, &line);
        self.moving.insert(client, (from, keys));
    }

    fn begin_to_grow(&mut self) {
        let (at, client, key) = (self.rng.below(2) as usize, self.new_client("w"), self.key());
        let line = match self.rng.below(3) {
            0 => format!("EVAL \"return redis.call('RPUSHX', KEYS[1], 'x')\" 1 {key}"),
            _ => format!("RPUSHX {key} x"),
        };
        self.both.servers[at].send(&client, &line);
        self.growing.insert(client, (at, key));
    }

    /// Two look for a key at the same time, one on each side.
    fn look(&mut self) {
        let (client, key) = (self.new_client("r"), self.key());
        assert!(self.both.servers.iter().any(|world| has(world, &key)), "{key} is nowhere");
        let seen = |world: &mut World| world.run_as(&client, &format!("EXISTS {key}")) == "(integer) 1";
        let seen = self.both.servers.iter_mut().map(seen).filter(|is_seen| *is_seen).count();
        assert!(seen <= 1 || self.uncertain.contains(&key), "{key} is seen on both sides");
    }

    /// Carries what is on its way and has come.
    fn carry(&mut self) {
        let now_us = self.both.mono_us();
        for from in 0..2 {
            while let Some((id, _, _)) = self.both.servers[from].wanted.pop_front() {
                let (name, seed) = (self.new_client("link"), self.rng.next_u64());
                self.both.servers[from].plug(&name, id);
                self.roads.push(Road { from, name, link: Link::new(seed, 10_000) });
            }
        }
        for road in &mut self.roads {
            let (near, far) = (road.from, 1 - road.from);
            let said = self.both.servers[near].received_bytes(&road.name);
            road.link.send(End::Far, now_us, &said);
            while let Some(bytes) = road.link.receive(End::Far, now_us) {
                self.both.servers[far].send_bytes(&road.name, &bytes);
            }
            let answer = self.both.servers[far].received_bytes(&road.name);
            road.link.send(End::Near, now_us, &answer);
            while let Some(bytes) = road.link.receive(End::Near, now_us) {
                self.both.servers[near].send_bytes(&road.name, &bytes);
            }
        }
    }

    /// Breaks a connection.
    fn cut(&mut self) {
        if self.roads.is_empty() {
            return;
        }
        let at = self.rng.below(self.roads.len() as u64) as usize;
        let Road { from, name, mut link } = self.roads.swap_remove(at);
        link.cut();
        self.both.servers[from].disconnect(&name);
        self.both.servers[1 - from].disconnect(&name);
    }

    /// Takes what clients were answered.
    fn take_replies(&mut self) {
        for (client, (at, keys)) in self.moving.clone() {
            let reply = self.both.servers[at].received(&client);
            if reply.is_empty() {
                continue;
            }
            self.moving.remove(&client);
            match reply.as_str() {
                "OK" => self.moved += 1,
                "NOKEY" => {}
                _ => self.uncertain.extend(keys),
            }
        }
        for (client, (at, key)) in self.growing.clone() {
            let reply = self.both.servers[at].received(&client);
            if !reply.is_empty() {
                self.growing.remove(&client);
                let length = self.lengths.get_mut(&key).expect("the key was made");
                *length += u64::from(reply != "(integer) 0");
            }
        }
    }

    fn run(&mut self, breaks: bool) {
        for _ in 0..STEPS {
            match self.rng.below(20) {
                0..4 => self.begin_move(),
                4..10 => self.begin_to_grow(),
                10 if breaks && self.rng.below(10) == 0 => self.cut(),
                _ => self.look(),
            }
            self.carry();
            self.take_replies();
            let ms = self.rng.below(4);
            self.both.advance_ms(ms);
        }
        // Two that wait for each other need as long as their patience lasts, and so do those behind them.
        for _ in 0..50_000 {
            if self.moving.is_empty() && self.growing.is_empty() {
                break;
            }
            self.carry();
            self.both.advance_ms(5);
            self.take_replies();
        }
        assert!(self.moving.is_empty() && self.growing.is_empty(), "everybody is answered");
        for (key, length) in &self.lengths {
            let lengths: Vec<String> =
                self.both.servers.iter_mut().map(|world| world.run(&format!("LLEN {key}"))).collect();
            if !self.uncertain.contains(key) {
                let wanted = format!("(integer) {length}");
                let none = "(integer) 0".to_owned();
                assert!(
                    lengths == [wanted.clone(), none.clone()] || lengths == [none, wanted.clone()],
                    "{key} is to be of length {wanted}: {lengths:?}"
                );
            }
        }
    }
}

#[test]
fn keys_on_the_move_are_on_one_side_or_the_other() {
    let moved = Cell::new(0);
    with_seeds("keys_on_the_move_are_on_one_side_or_the_other", 20, |seed| {
        let mut traffic = Traffic::new(seed);
        traffic.run(false);
        assert!(traffic.uncertain.is_empty(), "nothing is lost on whole connections");
        moved.set(moved.get() + traffic.moved);
    });
    assert!(moved.get() > 0, "some keys have moved");
}

#[test]
fn keys_on_the_move_survive_connections_that_break() {
    let (uncertain, all) = (Cell::new(0), Cell::new(0));
    with_seeds("keys_on_the_move_survive_connections_that_break", 20, |seed| {
        let mut traffic = Traffic::new(seed);
        traffic.run(true);
        uncertain.set(uncertain.get() + traffic.uncertain.len());
        all.set(all.get() + traffic.lengths.len());
    });
    assert!(uncertain.get() * 4 < all.get() * 3, "of many keys it is known where they are");
}
