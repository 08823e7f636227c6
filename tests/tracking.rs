//! Client-side caching, from the side of the cache: what a client keeps is never stale, whatever happens to the keys.

mod support;

use std::collections::BTreeMap;
use support::World;
use support::reply::Resp;
use waterwheel::base::rng::Rng;

const KEYS: u64 = 12;

/// A client that keeps what it reads until it is told that it changed.
struct Cache {
    name: &'static str,
    /// What it has read, by key.
    kept: BTreeMap<String, String>,
}

impl Cache {
    /// Takes in what came, in its order: keeps the reply as what it has just read, drops what it is told of.
    fn take_in(&mut self, world: &mut World, reading: Option<&str>) {
        for value in world.take_replies(self.name).0 {
            match &value {
                Resp::Push(parts) if parts.first().is_some_and(|p| p.shown() == "\"invalidate\"") => {
                    match &parts[1] {
                        Resp::Array(keys) => {
                            for key in keys {
                                self.kept.remove(key.shown().trim_matches('"'));
                            }
                        }
                        _ => self.kept.clear(),
                    }
                }
                value => {
                    if let Some(key) = reading {
                        self.kept.insert(key.to_owned(), value.shown());
                    }
                }
            }
        }
    }

    fn read(&mut self, world: &mut World, key: &str) {
        self.take_in(world, None);
        if !self.kept.contains_key(key) {
            world.send(self.name, &format!("GET {key}"));
            self.take_in(world, Some(key));
        }
    }
}

/// Something that may change keys.
fn disturb(world: &mut World, rng: &mut Rng, by: &str) {
    let mut key = || format!("k{}", rng.below(KEYS));
    let (one, other) = (key(), key());
    let n = rng.below(1000);
    let line = match rng.below(16) {
        0 => format!("DEL {one}"),
        1 => format!("SET {one} {n} PX {}", 1 + n % 50),
        2 => format!("RENAME {one} {other}"),
        3 => format!("COPY {one} {other} REPLACE"),
        4 => format!("MSET {one} {n} {other} {n}"),
        5 => format!("APPEND {one} x"),
        6 => format!("GETDEL {one}"),
        7 => format!("PEXPIRE {one} 5"),
        8 if n < 100 => "FLUSHALL".to_owned(),
        9 => format!("EVAL \"redis.call('set', KEYS[1], ARGV[1])\" 1 {one} {n}"),
        10 => format!("MOVE {one} 0"),
        11 => format!("GETEX {one} PX 20"),
        _ => format!("SET {one} {n}"),
    };
    if n.is_multiple_of(7) {
        world.send(by, "MULTI");
        world.send(by, &line);
        world.send(by, "EXEC");
    } else {
        world.send(by, &line);
    }
}

#[test]
fn a_cache_is_never_stale() {
    for seed in 0..20 {
        let mut rng = Rng::from_seed(seed);
        let mut world = World::with_seed(seed);
        let mode =
            ["", "BCAST", "BCAST PREFIX k", "BCAST PREFIX k1 PREFIX k2 PREFIX k0", ""][seed as usize % 5];
        let prefixed =
            |key: &str| !mode.contains("k1") || ["k0", "k1", "k2"].iter().any(|p| key.starts_with(p));
        let mut caches = ["a", "b"].map(|name| Cache { name, kept: BTreeMap::new() });
        if seed % 2 == 1 {
            // A table that is too small forgets, but says so.
            world.run_as("other", "CONFIG SET tracking-table-max-keys 5");
        }
        for cache in &caches {
            world.run_as(cache.name, "HELLO 3");
            assert_eq!(world.run_as(cache.name, &format!("CLIENT TRACKING ON {mode}")), "OK");
        }
        for step in 0..1500 {
            match rng.below(10) {
                0..5 => {
                    let key = format!("k{}", rng.below(KEYS));
                    caches[rng.below(2) as usize].read(&mut world, &key);
                }
                // A cache changes keys, too, and hears of it.
                5 => {
                    let name = caches[rng.below(2) as usize].name;
                    disturb(&mut world, &mut rng, name);
                }
                6 => world.advance_ms(rng.below(10)),
                _ => disturb(&mut world, &mut rng, "other"),
            }
            for cache in &mut caches {
                cache.take_in(&mut world, None);
                for (key, kept) in cache.kept.iter().filter(|(key, _)| prefixed(key)) {
                    let now = world.run_as("judge", &format!("GET {key}"));
                    assert_eq!(*kept, now, "seed {seed}, step {step}: {} keeps {key}", cache.name);
                }
            }
        }
        let info = world.run_as("other", "INFO stats");
        assert_eq!(info.contains("tracking_total_keys:0"), !mode.is_empty(), "seed {seed}");
    }
}

#[test]
fn nobody_is_left_when_all_who_track_are_gone() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.run_as(name, "CLIENT TRACKING ON BCAST PREFIX x PREFIX y");
    }
    assert!(world.run("INFO clients").contains("tracking_clients:2"));
    assert!(world.run("INFO stats").contains("tracking_total_prefixes:2"));
    world.run_as("b", "RESET");
    assert!(world.run("INFO clients").contains("tracking_clients:1"));
    world.disconnect("a");
    assert!(world.run_as("c", "INFO clients").contains("tracking_clients:0"));
    assert!(world.run_as("c", "INFO stats").contains("tracking_total_prefixes:0"));
}

#[test]
fn who_begins_to_track_is_not_told_of_what_its_own_transaction_did_before() {
    let mut world = World::new();
    for (client, line) in
        [("b", "HELLO 3"), ("b", "CLIENT TRACKING ON"), ("b", "GET other"), ("a", "HELLO 3")]
    {
        world.run_as(client, line);
    }
    for line in ["MULTI", "SET k 1", "CLIENT TRACKING ON", "GET k"] {
        world.run_as("a", line);
    }
    let got = world.run_as("a", "EXEC");
    assert!(!got.contains("invalidate"), "{got}");
    assert!(
        world.run_as("b", "SET k 2") == "OK" && world.received("a").contains("invalidate"),
        "it is told later"
    );
}

#[test]
fn who_watches_sees_databases_that_change_places_within_a_transaction() {
    let mut world = World::new();
    world.run("SET k v");
    world.run_as("b", "WATCH k");
    for line in ["MULTI", "SWAPDB 0 1", "SELECT 1", "DEL k", "EXEC"] {
        world.run(line);
    }
    world.run_as("b", "MULTI");
    assert_eq!(world.run_as("b", "EXEC"), "(nil array)");
}
