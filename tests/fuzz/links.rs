//! Peers that lie: a primary that answers anything, and replicas that say anything. It costs them their link and nobody else anything: no
//! panic, no memory without bound, and the server goes on to serve.

use super::generate::{Generator, any};
use super::rounds::rounds;
use super::{ALLOCATED_BYTES_MAX, LEFT_BYTES_MAX, alone};
use crate::support::World;
use waterwheel::base::rng::Rng;
use waterwheel::sys::alloc;

/// Pieces of a round.
const ROUND: u64 = 400;

/// Bytes that are claimed, and do not come.
const LENGTHS: &[&str] =
    &["0", "1", "-1", "9", "1000", "4294967296", "18446744073709551615", "99999999999999999999", "x", ""];

/// The dump of a server with some of everything, and without anything.
fn dumps(seed: u64) -> Vec<Vec<u8>> {
    let full: &[&str] = &[
        "SET k v PX 1000000",
        "RPUSH l a b c",
        "HSET h f v g w",
        "HPEXPIRE h 1000000 FIELDS 1 f",
        "ZADD z 1 a 2.5 b",
        "SADD s a b c",
        "XADD x 1-1 f v",
        "XGROUP CREATE x g 0",
        "SELECT 3",
        "SET other 12345",
    ];
    let of = |lines: &[&str]| {
        let mut world = World::with_seed(seed);
        for line in lines {
            world.run(line);
        }
        assert_eq!(world.run("SAVE"), "OK");
        world.host.disk.get("dump.rdb").expect("it was saved").to_vec()
    };
    vec![of(full), of(&[])]
}

fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..1 + rng.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(4) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes.truncate(at),
            2 => bytes.insert(at, rng.next_u64() as u8),
            _ => bytes[at] = 0xff,
        }
    }
}

/// What a primary says next, to a replica that has said this. Most of it is right, or nothing would get far.
struct Liar {
    dumps: Vec<Vec<u8>>,
    history: String,
    /// The dump has been sent, or what stands for it.
    has_sent: bool,
}

impl Liar {
    fn answer(&mut self, rng: &mut Rng, generator: &Generator, asked: &[u8]) -> Vec<u8> {
        if rng.below(12) == 0 {
            return self.nonsense(rng, generator);
        }
        let said = asked.to_ascii_uppercase();
        let has = |word: &[u8]| said.windows(word.len()).any(|part| part == word);
        if has(b"\nPSYNC\r\n") || has(b"\nSYNC\r\n") {
            return self.begin(rng);
        }
        if has(b"PING") {
            return b"+PONG\r\n".to_vec();
        }
        let options = said.windows(8).filter(|part| *part == b"REPLCONF").count();
        if options > 0 && !self.has_sent {
            return b"+OK\r\n".repeat(options);
        }
        let mut feed = match rng.below(6) {
            0 => b"\n".repeat(1 + rng.below(5000) as usize),
            1 => b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n".to_vec(),
            2 => b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n".to_vec(),
            3 => b"*1\r\n$4\r\nEXEC\r\n*1\r\n$4\r\nPING\r\n".to_vec(),
            _ => generator.input(rng),
        };
        if rng.below(4) == 0 {
            damage(rng, &mut feed);
        }
        feed
    }

    /// The answer to PSYNC, with the dump.
    fn begin(&mut self, rng: &mut Rng) -> Vec<u8> {
        self.has_sent = true;
        let offset = *any(
            rng,
            &["0", "1", "1000", "123456", "-1", "9223372036854775807", "18446744073709551616", "x"],
        );
        let mut out = match rng.below(8) {
            0 => b"+CONTINUE\r\n".to_vec(),
            1 => format!("+CONTINUE {}\r\n", "b".repeat(rng.below(80) as usize)).into_bytes(),
            2 => b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n".to_vec(),
            3 => b"+FULLRESYNC\r\n".to_vec(),
            _ => format!("+FULLRESYNC {} {offset}\r\n", self.history).into_bytes(),
        };
        let mut dump = any(rng, &self.dumps).clone();
        if rng.below(3) == 0 {
            damage(rng, &mut dump);
        }
        let mark = "e".repeat(40);
        let how = rng.below(8);
        match how {
            0..4 => out.extend(format!("$EOF:{mark}\r\n").bytes()),
            4 => out.extend(format!("${}\r\n", any(rng, LENGTHS)).bytes()),
            _ => out.extend(format!("${}\r\n", dump.len()).bytes()),
        }
        out.extend(dump);
        if how < 4 && rng.below(8) > 0 {
            out.extend(mark.bytes());
        }
        out
    }

    fn nonsense(&self, rng: &mut Rng, generator: &Generator) -> Vec<u8> {
        match rng.below(6) {
            0 => b"-ERR unknown command\r\n".to_vec(),
            1 => vec![b'x'; 20_000],
            2 => format!("${}\r\n", any(rng, LENGTHS)).into_bytes(),
            3 => format!("*{}\r\n${}\r\n", any(rng, LENGTHS), any(rng, LENGTHS)).into_bytes(),
            4 => (0..rng.below(300)).map(|_| rng.next_u64() as u8).collect(),
            _ => generator.input(rng),
        }
    }
}

/// Whether the server still serves, and holds no more than it may.
fn look(world: &mut World, client: &str) {
    assert_eq!(world.exit, None, "the process ends");
    let allocated = alloc::allocated_bytes();
    assert!(allocated < ALLOCATED_BYTES_MAX, "{allocated} bytes are allocated");
    let answer = world.run_as(client, "INFO replication");
    assert!(answer.contains("role:"), "{answer}");
    let answer = world.run_as(client, "PING");
    assert!(answer == "PONG" || answer.starts_with("(error) LOADING"), "{answer}");
}

#[test]
fn a_primary_that_lies_costs_its_link() {
    let generator = Generator::new(true);
    let dumps = dumps(1);
    let before = {
        let _alone = alone();
        alloc::allocated_bytes()
    };
    let mut was_up = 0;
    rounds(ROUND, 8, |seed, rng| {
        let _alone = alone();
        let mut world = World::with_seed(seed);
        let load = *any(rng, &["disabled", "on-empty-db", "swapdb"]);
        world.run_as("admin", &format!("CONFIG SET repl-diskless-load {load}"));
        world.run_as("admin", "SET own value");
        world.run_as("admin", "REPLICAOF liar 7000");
        let (mut links, mut left) = (0, ROUND);
        while left > 0 {
            // After failures of one kind it rests for a minute at most.
            let Some((id, _, _)) = (0..70).find_map(|_| {
                let wanted = world.wanted.pop_front();
                if wanted.is_none() {
                    world.advance_ms(1000);
                }
                wanted
            }) else {
                panic!("it does not try again: {}", world.run_as("admin", "INFO replication"));
            };
            links += 1;
            let name = format!("link{links}");
            if rng.below(20) == 0 {
                world.refuse(id);
                left -= 1;
                continue;
            }
            world.plug(&name, id);
            let history = "a".repeat(if rng.below(8) == 0 { rng.below(80) as usize } else { 40 });
            let mut liar = Liar { dumps: dumps.clone(), history, has_sent: false };
            let (mut asked, mut is_up) = (Vec::new(), false);
            for _ in 0..1 + rng.below(30) {
                if world.has_closed(&name) || left == 0 {
                    break;
                }
                left -= 1;
                asked.extend(world.received_bytes(&name));
                let answer = liar.answer(rng, &generator, &asked);
                asked.clear();
                let mut rest = answer.as_slice();
                let bits = rng.below(17);
                let piece = 1 + answer.len() as u64 / 64 + rng.below(1 << bits);
                while !rest.is_empty() && !world.has_closed(&name) {
                    let id = world.id_of(&name);
                    if world.engine.is_full(id) {
                        world.advance_ms(10);
                        break;
                    }
                    let n = (1 + rng.below(piece) as usize).min(rest.len());
                    world.send_bytes(&name, &rest[..n]);
                    rest = &rest[n..];
                }
                if rng.below(3) == 0 {
                    let ms = rng.below(1500);
                    world.advance_ms(ms);
                }
                is_up |= world.engine.replication.primary.as_ref().is_some_and(|primary| primary.is_up());
            }
            was_up += u64::from(is_up);
            world.disconnect(&name);
            look(&mut world, "admin");
        }
        world.run_as("admin", "REPLICAOF NO ONE");
        world.advance_ms(100);
        assert_eq!(world.run_as("admin", "SET own again"), "OK");
        drop(world);
        let kept = alloc::allocated_bytes().saturating_sub(before);
        assert!(kept < LEFT_BYTES_MAX, "{kept} bytes are left of the engine");
    });
    println!("{was_up} links were up");
    assert!(was_up > 0, "no lie was believed: nothing behind the dump was tried");
}

/// What a replica says.
fn claim(rng: &mut Rng, generator: &Generator, id: &str, offset: u64) -> Vec<u8> {
    let number = match rng.below(4) {
        0 => (*any(rng, LENGTHS)).to_owned(),
        1 => (offset + 1).to_string(),
        _ => rng.below(offset + 10).to_string(),
    };
    let history = match rng.below(4) {
        0 => "?".to_owned(),
        1 => "c".repeat(rng.below(80) as usize),
        _ => id.to_owned(),
    };
    let mut line = match rng.below(12) {
        0 => format!("REPLCONF listening-port {number}"),
        1 => format!("REPLCONF ip-address {}", "h".repeat(rng.below(300) as usize)),
        2 => "REPLCONF capa eof capa psync2 capa what".to_owned(),
        3 => format!("REPLCONF rdb-only {number}"),
        4 => format!("REPLCONF rdb-filter-only {}", any(rng, &["functions", "keys", ""])),
        5 => format!("REPLCONF version {number}"),
        6 | 7 => format!("REPLCONF ACK {number}"),
        8 => format!("REPLCONF ACK {number} FACK {number}"),
        9 => format!("PSYNC {history} {number}"),
        10 => (*any(rng, &["SYNC", "PSYNC ? -1", "REPLCONF GETACK *", "PING", "FAILOVER"])).to_owned(),
        _ => return generator.input(rng),
    }
    .into_bytes();
    line.extend(b"\r\n");
    if rng.below(8) == 0 {
        damage(rng, &mut line);
    }
    line
}

#[test]
fn replicas_that_lie_cost_their_link() {
    let generator = Generator::new(true);
    let before = {
        let _alone = alone();
        alloc::allocated_bytes()
    };
    let mut synced = 0;
    rounds(ROUND, 8, |seed, rng| {
        let _alone = alone();
        let mut world = World::with_seed(seed);
        world.engine.conf.proto_max_bulk_len_bytes = super::ARGUMENT_BYTES_MAX;
        for line in ["CONFIG SET repl-diskless-sync-delay 0", "CONFIG SET repl-timeout 20", "SET own value"] {
            world.run_as("admin", line);
        }
        let straight = *any(rng, &["yes", "no"]);
        world.run_as("admin", &format!("CONFIG SET repl-diskless-sync {straight}"));
        let mut offset = 0;
        for i in 0..ROUND {
            let name = format!("replica{}", rng.below(4));
            let id = world.engine.replication.id.clone();
            let input = claim(rng, &generator, &id, world.engine.replication.offset());
            match rng.below(20) {
                0 => world.disconnect(&name),
                _ => world.send_bytes(&name, &input),
            }
            // Every other one reads nothing.
            if rng.below(2) == 0 {
                drop(world.received_bytes(&name));
            }
            if rng.below(3) == 0 {
                let line = format!("SET key{} {}", rng.below(20), "v".repeat(rng.below(2000) as usize));
                world.run_as("writer", &line);
            }
            if rng.below(6) == 0 {
                let ms = rng.below(3000);
                world.advance_ms(ms);
            }
            let now = world.engine.replication.offset();
            assert!(
                now >= offset || world.engine.replication.id != id,
                "the offset goes back: {offset}, {now}"
            );
            offset = now;
            if i % 32 == 0 {
                look(&mut world, "admin");
            }
        }
        let replication = &world.engine.replication;
        synced += replication.full_syncs.min(replication.partial_syncs);
        drop(world);
        let kept = alloc::allocated_bytes().saturating_sub(before);
        assert!(kept < LEFT_BYTES_MAX, "{kept} bytes are left of the engine");
    });
    println!("{synced} syncs of both kinds");
    assert!(synced > 0, "nobody got a dump and went on where it was");
}
