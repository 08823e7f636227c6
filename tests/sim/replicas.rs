//! Four servers that follow each other, over links that delay, cut and lose; roles change, dumps go straight or by way of a file,
//! and the wall clocks are a month ahead or behind.
//!
//! When all is quiet and one of them is the primary of all others, directly or not, all hold the same: keys, deadlines, groups of
//! streams, libraries. On the way nobody is ever further than whom it follows, and behind a dump with a mark a primary waits for the
//! word of its replica. Some replicas take nothing for a while, and some writes are large, so that the backlog is left behind.
//!
//! Some servers log, on disks that are late, and dumps are saved and logs rewritten beside all that. Whoever starts with such a log
//! holds what its server held.

mod watch;

use crate::support::contents::{contents, differences};
use crate::support::disk::Faults;
use crate::support::fingerprint::fingerprint;
use crate::support::link::{End, Link};
use crate::support::requests::{Lives, Requests};
use crate::support::several::Several;
use crate::support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS};
use crate::support::{World, encoded};
use crate::{with_costly_seeds, with_seeds};
use std::cell::RefCell;
use std::collections::BTreeSet;
use watch::Watch;
use waterwheel::base::rng::Rng;

/// Servers of a run.
const SERVERS: usize = 4;
/// Steps in which things happen.
const STEPS: usize = 150;
/// Steps in which all has to come to rest.
const REST_STEPS: usize = 600;
/// What a server reads at once.
const READ_BYTES: usize = 64 * 1024;
/// The port of the first server.
const PORT: u16 = 7000;
const MONTH_MS: i64 = 30 * 86_400_000;

/// A connection between two servers.
struct Wire {
    near: usize,
    far: usize,
    name: String,
    link: Link,
    watch: Watch,
    /// Who has connected takes nothing.
    is_stuck: bool,
}

/// What was met in all runs.
#[derive(Debug, Default)]
struct Met {
    full: u64,
    partial: u64,
    refused: u64,
    promotions: u64,
    cuts: u64,
    lost_bytes: usize,
    failovers: u64,
    stuck: u64,
    logs: u64,
    received_bases: u64,
}

struct Servers {
    several: Several,
    wires: Vec<Wire>,
    rng: Rng,
    wires_made: u64,
    /// Links that were full: nobody reads them before the engine asks for it.
    resting: BTreeSet<(usize, u32)>,
    met: Met,
}

impl Servers {
    fn new(seed: u64) -> Servers {
        let mut rng = Rng::from_seed(seed);
        let skews: Vec<i64> = (0..SERVERS).map(|_| (rng.below(3) as i64 - 1) * MONTH_MS).collect();
        let mut several = Several::new(seed * 100, &skews);
        for (world, port) in several.servers.iter_mut().zip(PORT..) {
            world.engine.conf.port = port;
            world.engine.follow_feed(false);
            world.engine.conf.appendonly = rng.below(2) == 0;
            world.start();
            let load = ["disabled", "on-empty-db", "swapdb", "flush-before-load"][rng.below(4) as usize];
            let straight = ["yes", "no"][rng.below(2) as usize];
            let backlog = [16_384, 65_536, 1 << 20][rng.below(3) as usize];
            for line in [
                format!("CONFIG SET repl-diskless-load {load}"),
                format!("CONFIG SET repl-diskless-sync {straight}"),
                format!("CONFIG SET repl-backlog-size {backlog}"),
                "CONFIG SET repl-diskless-sync-delay 0".to_owned(),
                "CONFIG SET client-query-buffer-limit 100mb".to_owned(),
            ] {
                assert_eq!(world.run(&line), "OK", "{line}");
            }
            world.host.disk.faults.late_ms = [0, 3, 40][rng.below(3) as usize];
        }
        let resting = BTreeSet::new();
        Servers { several, wires: Vec::new(), rng, wires_made: 0, resting, met: Met::default() }
    }

    fn world(&mut self, at: usize) -> &mut World {
        &mut self.several.servers[at]
    }

    /// Connects whoever has asked for it.
    fn connect(&mut self) {
        for near in 0..SERVERS {
            while let Some((id, _, port)) = self.world(near).wanted.pop_front() {
                let far = usize::from(port - PORT);
                if self.rng.below(10) == 0 {
                    self.world(near).refuse(id);
                    continue;
                }
                self.wires_made += 1;
                let name = format!("wire{}", self.wires_made);
                self.world(far).id_of(&name);
                self.world(near).plug(&name, id);
                let delay_us = [0, 3_000, 200_000][self.rng.below(3) as usize];
                let link = Link::new(self.wires_made, delay_us);
                self.wires.push(Wire { near, far, name, link, watch: Watch::default(), is_stuck: false });
            }
        }
    }

    /// Lets bytes through; true when any came.
    fn pump(&mut self) -> bool {
        self.connect();
        let now_us = self.several.mono_us();
        let mut moved = false;
        for at in 0..SERVERS {
            for id in std::mem::take(&mut self.world(at).read_on) {
                self.resting.remove(&(at, id.slot));
            }
        }
        let mut wires = std::mem::take(&mut self.wires);
        wires.retain_mut(|wire| {
            let ends = [(wire.near, End::Far, End::Near), (wire.far, End::Near, End::Far)];
            for (at, to, here) in ends {
                let out = self.world(at).received_bytes(&wire.name);
                if at == wire.far {
                    wire.watch.tells(&out).unwrap_or_else(|error| panic!("server {at}: {error}"));
                }
                // As much as one read takes.
                for piece in out.chunks(READ_BYTES) {
                    wire.link.send(to, now_us, piece);
                }
                while !self.world(at).has_closed(&wire.name) {
                    let id = self.world(at).id_of(&wire.name);
                    if self.resting.contains(&(at, id.slot)) {
                        break;
                    }
                    if self.world(at).engine.is_full(id) {
                        if self.world(at).engine.is_link(id) {
                            self.resting.insert((at, id.slot));
                        }
                        break;
                    }
                    let Some(bytes) = wire.link.receive(here, now_us) else { break };
                    moved = true;
                    if at == wire.far {
                        wire.watch.hears(&bytes);
                    }
                    self.world(at).send_bytes(&wire.name, &bytes);
                }
            }
            let is_open =
                !self.world(wire.near).has_closed(&wire.name) && !self.world(wire.far).has_closed(&wire.name);
            if !is_open {
                self.break_wire(wire);
            }
            is_open
        });
        wires.append(&mut self.wires);
        self.wires = wires;
        moved
    }

    fn break_wire(&mut self, wire: &mut Wire) {
        for at in [wire.near, wire.far] {
            let slot = self.world(at).id_of(&wire.name).slot;
            self.resting.remove(&(at, slot));
        }
        self.met.lost_bytes += wire.link.cut().iter().sum::<usize>();
        self.world(wire.near).disconnect(&wire.name);
        self.world(wire.far).disconnect(&wire.name);
    }

    fn cut_one(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let at = self.rng.below(self.wires.len() as u64) as usize;
        let mut wire = self.wires.swap_remove(at);
        self.break_wire(&mut wire);
        self.met.cuts += 1;
    }

    /// Somebody takes nothing any more of what its primary says, or goes on.
    fn stick_one(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let at = self.rng.below(self.wires.len() as u64) as usize;
        self.set_stuck(at, !self.wires[at].is_stuck);
        self.met.stuck += u64::from(self.wires[at].is_stuck);
    }

    fn set_stuck(&mut self, at: usize, is_stuck: bool) {
        let wire = &mut self.wires[at];
        wire.is_stuck = is_stuck;
        let (far, name) = (wire.far, wire.name.clone());
        match is_stuck {
            true => self.world(far).stop_reading(&name),
            false => self.world(far).read_again(&name),
        }
    }

    fn pass(&mut self, ms: u64) {
        self.several.advance_ms(ms);
        while self.pump() {}
        self.look();
    }

    /// Nobody is further than whom it follows, as long as both are in one history.
    fn look(&mut self) {
        for at in 0..SERVERS {
            let engine = &self.several.servers[at].engine;
            let Some(primary) = engine.replication.primary.as_ref().filter(|primary| primary.is_up()) else {
                continue;
            };
            let other = &self.several.servers[usize::from(primary.port - PORT)].engine;
            if other.replication.id == engine.replication.id {
                let (here, there) = (engine.replication.offset(), other.replication.offset());
                assert!(here <= there, "server {at} is at {here}, its primary at {there}");
            }
        }
    }

    fn change_role(&mut self) {
        let at = self.rng.below(SERVERS as u64) as usize;
        let to = self.rng.below(SERVERS as u64) as usize;
        let line = match self.rng.below(4) {
            0 => "FAILOVER TIMEOUT 2000".to_owned(),
            1 => "REPLICAOF NO ONE".to_owned(),
            _ if at != to => format!("REPLICAOF host {}", PORT + to as u16),
            _ => return,
        };
        let was_replica = self.world(at).engine.is_replica();
        let reply = self.world(at).run_as("admin", &line);
        self.met.promotions += u64::from(was_replica && line.ends_with("NO ONE"));
        self.met.failovers += u64::from(line.starts_with("FAILOVER") && reply == "OK");
    }

    fn write(&mut self, requests: &mut Requests) {
        let primaries: Vec<usize> =
            (0..SERVERS).filter(|&at| !self.several.servers[at].engine.is_replica()).collect();
        if primaries.is_empty() {
            return;
        }
        let at = primaries[self.rng.below(primaries.len() as u64) as usize];
        requests.now_unix_ms = self.world(at).host.now.unix_ms();
        let mut batch = Vec::new();
        let count = 1 + self.rng.below(6);
        let is_transaction = self.rng.below(4) == 0;
        if is_transaction {
            batch.push(vec![b"MULTI".to_vec()]);
        }
        batch.extend((0..count).map(|_| requests.draw().words));
        if self.rng.below(12) == 0 {
            let value = vec![b'v'; 4000 + self.rng.below(20_000) as usize];
            batch.push(vec![b"SET".to_vec(), format!("large{}", self.rng.below(3)).into_bytes(), value]);
        }
        if is_transaction {
            batch.push(vec![b"EXEC".to_vec()]);
        }
        let client = if self.rng.below(2) == 0 { "writer" } else { "other" };
        self.world(at).send_bytes(client, &encoded(&batch));
        drop(self.world(at).received_bytes(client));
    }

    /// A dump is saved, or a log rewritten.
    fn save(&mut self) {
        let at = self.rng.below(SERVERS as u64) as usize;
        let line = ["BGSAVE", "BGREWRITEAOF"][self.rng.below(2) as usize];
        self.world(at).run_as("admin", line);
    }

    /// Whoever logs is started again with what it has logged.
    fn start_with_logs(&mut self) {
        // All bases are written, and all is synced.
        for world in &mut self.several.servers {
            world.host.disk.faults = Faults::default();
            world.run_as("admin", "CONFIG SET appendfsync always");
        }
        (0..4).for_each(|_| self.pass(1000));
        for (at, world) in std::mem::take(&mut self.several.servers).into_iter().enumerate() {
            if !world.engine.conf.appendonly {
                continue;
            }
            self.met.logs += 1;
            self.met.received_bases += u64::from(world.engine.durability.rewrites.begun == 0);
            let (before, expected) = (contents(&world.engine.dbs), fingerprint(&world.engine));
            let mut after = world.crash(1);
            after.engine.conf.appendonly = true;
            // So that it keeps what is past its deadline, as the one before.
            after.engine.conf.replicaof = Some(("host".to_owned(), PORT));
            after.start();
            assert!(after.exit.is_none(), "server {at} does not start");
            if fingerprint(&after.engine) != expected {
                let loaded = contents(&after.engine.dbs);
                panic!("server {at} has another log: {}", differences(&before, &loaded));
            }
        }
    }

    /// One is the primary of all; they come to rest.
    fn settle(&mut self) {
        (0..self.wires.len()).for_each(|at| self.set_stuck(at, false));
        for at in 0..SERVERS {
            self.world(at).run_as("admin", "FAILOVER ABORT");
        }
        self.world(0).run_as("admin", "REPLICAOF NO ONE");
        let mut ports: Vec<u16> =
            (0..SERVERS as u64).map(|at| PORT + self.rng.below(at.max(1)) as u16).collect();
        for _ in 0..REST_STEPS {
            for (at, wanted) in ports.iter_mut().enumerate().skip(1) {
                let primary = self.several.servers[at].engine.replication.primary.as_ref();
                let port = primary.map(|primary| primary.port);
                if port == Some(*wanted) {
                    continue;
                }
                // One that was asked to take over follows the first; one that is loading does not listen.
                if port.is_none() {
                    *wanted = PORT;
                }
                let line = format!("REPLICAOF host {wanted}");
                self.several.servers[at].run_as("admin", &line);
            }
            self.pass(500);
            let offset = self.several.servers[0].engine.replication.offset();
            let is_at_rest = self.several.servers[1..].iter().all(|world| {
                let replication = &world.engine.replication;
                replication.offset() == offset && replication.primary.as_ref().is_some_and(|p| p.is_up())
            });
            if is_at_rest {
                return;
            }
        }
        let states: Vec<String> =
            self.several.servers.iter_mut().map(|world| world.run_as("admin", "INFO replication")).collect();
        panic!("they do not come to rest:\n{}", states.join("\n"));
    }
}

#[test]
fn servers_that_follow_each_other_come_to_hold_the_same() {
    let all = RefCell::new(Met::default());
    with_seeds("servers_that_follow_each_other_come_to_hold_the_same", 500, |seed| {
        let mut servers = Servers::new(seed);
        let mut requests = Requests::new(seed, Lives::Short, &[DATA, LISTS, STREAMS, SETS, HASHES, BITS]);
        for at in 1..SERVERS {
            let to = servers.rng.below(at as u64) as u16;
            servers.world(at).run_as("admin", &format!("REPLICAOF host {}", PORT + to));
        }
        for _ in 0..STEPS {
            match servers.rng.below(34) {
                0 => servers.change_role(),
                1 => servers.cut_one(),
                30 => servers.stick_one(),
                31..=33 => servers.save(),
                2..=4 => {
                    let ms = servers.rng.below(3000);
                    servers.pass(ms);
                }
                5..=9 => servers.pass(1),
                _ => servers.write(&mut requests),
            }
        }
        servers.settle();
        let expected = fingerprint(&servers.several.servers[0].engine);
        for at in 1..SERVERS {
            if fingerprint(&servers.several.servers[at].engine) != expected {
                let [one, other] = [0, at].map(|i| contents(&servers.several.servers[i].engine.dbs));
                panic!("server {at} differs: {}", differences(&one, &other));
            }
        }
        let mut all = all.borrow_mut();
        for world in &servers.several.servers {
            let replication = &world.engine.replication;
            all.full += replication.full_syncs;
            all.partial += replication.partial_syncs;
            all.refused += replication.refused_partial_syncs;
        }
        servers.start_with_logs();
        let Met { promotions, cuts, lost_bytes, failovers, stuck, logs, received_bases, .. } = servers.met;
        all.stuck += stuck;
        all.logs += logs;
        all.received_bases += received_bases;
        all.promotions += promotions;
        all.cuts += cuts;
        all.lost_bytes += lost_bytes;
        all.failovers += failovers;
    });
    let all = all.into_inner();
    let syncs = [all.full, all.partial, all.refused];
    let others = [
        all.promotions,
        all.cuts,
        all.lost_bytes as u64,
        all.failovers,
        all.stuck,
        all.logs,
        all.received_bases,
    ];
    let is_met = syncs.iter().chain(&others).all(|&count| count > 0);
    assert!(is_met || all.full < 1000, "{all:?}");
}

/// Who was promoted goes on in the history of its primary up to where it has branched off, to the byte, and no further.
#[test]
fn a_history_goes_on_up_to_where_it_branches_off() {
    with_costly_seeds("a_history_goes_on_up_to_where_it_branches_off", 20, 20, |seed| {
        let mut servers = Servers::new(seed);
        let mut requests = Requests::new(seed, Lives::Short, &[DATA]);
        servers.world(1).run_as("admin", &format!("REPLICAOF host {PORT}"));
        for round in 0..60 {
            let ms = servers.rng.below(500);
            servers.pass(if round < 20 { 500 } else { ms });
            let batch: Vec<_> = (0..2).map(|_| requests.draw().words).collect();
            servers.world(0).send_bytes("writer", &encoded(&batch));
        }
        let state = |servers: &Servers, at: usize| {
            let replication = &servers.several.servers[at].engine.replication;
            (replication.id.clone(), replication.offset())
        };
        for _ in 0..200 {
            servers.pass(100);
            if state(&servers, 0) == state(&servers, 1) {
                break;
            }
        }
        let (id, end) = state(&servers, 0);
        servers.world(1).run_as("admin", "REPLICAOF NO ONE");
        for at in [0, 1] {
            servers.world(at).run_as("writer", &format!("SET branch {at}"));
        }
        for round in 0..8 {
            let apart = [0, 1, 2, -1, servers.rng.below(40) as i64 - 30][(round % 5) as usize];
            let asked = end as i64 + 1 + apart;
            let name = format!("fake{round}");
            servers.world(1).run_as(&name, "REPLCONF capa eof capa psync2");
            servers.world(1).send(&name, &format!("PSYNC {id} {asked}"));
            let answer = servers.world(1).received_bytes(&name);
            let goes_on = answer.starts_with(b"+CONTINUE");
            assert_eq!(goes_on, apart <= 0, "{asked} of {end}: {}", answer.escape_ascii());
            if goes_on {
                let line = answer.iter().position(|&byte| byte == b'\n').expect("the answer is a line") + 1;
                let was = servers.several.servers[0].engine.replication.feed.copy_from(asked as u64 - 1);
                let was = &was[..(end + 1 - asked as u64) as usize];
                assert!(answer[line..].starts_with(was), "from {asked} on comes something else");
            }
            servers.world(1).disconnect(&name);
        }
    });
}

/// A dump that goes straight into a replica which loads it slowly is not read faster than it loads, and is read to its end.
#[test]
fn a_replica_that_loads_slowly_is_read_on() {
    const VALUES: usize = 60;
    let mut servers = Servers::new(7);
    for (at, line) in [
        (0, "CONFIG SET repl-diskless-sync yes"),
        (0, "CONFIG SET rdbcompression no"),
        (1, "CONFIG SET repl-diskless-load swapdb"),
        (1, "CONFIG SET key-load-delay 50000"),
    ] {
        assert_eq!(servers.world(at).run(line), "OK");
    }
    for i in 0..VALUES {
        let set = vec![b"SET".to_vec(), format!("k{i}").into_bytes(), vec![b'v'; 1 << 20]];
        servers.world(0).send_bytes("writer", &encoded(&[set]));
    }
    servers.world(1).run("REPLICAOF host 7000");
    let mut was_full = false;
    for _ in 0..400 {
        servers.pass(100);
        was_full |= !servers.resting.is_empty();
        if servers.several.servers[1].engine.replication.primary.as_ref().is_some_and(|p| p.is_up()) {
            break;
        }
    }
    assert!(was_full, "it came faster than it was loaded");
    assert_eq!(servers.world(1).run("DBSIZE"), format!("(integer) {VALUES}"));
}

/// Who leaves after a whole dump without a word could not take it: the next one comes later, each time later still, until one is
/// taken.
#[test]
fn a_replica_that_takes_no_dump_is_sent_the_next_one_later() {
    let mut world = World::new();
    assert_eq!(world.run("CONFIG SET repl-diskless-sync-delay 0"), "OK");
    let mut next_dump = |says: Option<&str>| {
        world.send("replica", "REPLCONF listening-port 7002 capa eof capa psync2");
        world.received_bytes("replica");
        world.send("replica", "PSYNC ? -1");
        let mut waited_ms = 0;
        while !world.received_bytes("replica").windows(5).any(|bytes| bytes == b"$EOF:") {
            world.advance_ms(100);
            waited_ms += 100;
            assert!(waited_ms < 20_000, "no dump comes");
        }
        if let Some(line) = says {
            world.send("replica", line);
        }
        world.disconnect("replica");
        waited_ms
    };
    assert_eq!(next_dump(None), 0);
    for seconds in [1, 3, 7] {
        let waited_ms = next_dump(None);
        assert!((seconds * 1000 - 100..=seconds * 1000 + 1100).contains(&waited_ms), "{waited_ms}");
    }
    assert!(next_dump(Some("REPLCONF ACK 0")) > 10_000);
    assert_eq!(next_dump(None), 0);
}

/// A replica that loads for long says so by newlines, and is not cut; one that says nothing is.
#[test]
fn a_replica_that_loads_for_long_is_not_cut() {
    for (takes_mark, says) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = World::new();
        assert_eq!(world.run("CONFIG SET repl-diskless-sync-delay 0"), "OK");
        assert_eq!(world.run("CONFIG SET repl-timeout 10"), "OK");
        if takes_mark {
            world.send("replica", "REPLCONF capa eof");
        }
        world.send("replica", "PSYNC ? -1");
        world.advance_ms(1000);
        world.received_bytes("replica");
        for _ in 0..30 {
            world.advance_ms(1000);
            if world.has_closed("replica") {
                break;
            }
            world.received_bytes("replica");
            if says {
                world.send_bytes("replica", b"\n");
            }
        }
        assert_eq!(world.has_closed("replica"), !says, "mark {takes_mark}");
    }
}
