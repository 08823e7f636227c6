//! A key is there until its deadline by the wall clock, and not a moment longer: against a model of a page.

use crate::support::World;
use crate::with_seeds;
use std::collections::BTreeMap;
use waterwheel::base::rng::Rng;
use waterwheel::config::Permission;

const STEPS: usize = 500;
const KEYS: u64 = 12;
const HOUR_MS: i64 = 3_600_000;

/// A value and its deadline in Unix milliseconds.
type Entry = (String, Option<i64>);

struct Deadlines {
    world: World,
    rng: Rng,
    model: BTreeMap<String, Entry>,
    /// Keys die although nobody looks.
    active: bool,
    /// Monotonic milliseconds at which the pause ends; 0 without one.
    paused_until_ms: u64,
    values: u64,
}

impl Deadlines {
    fn new(seed: u64) -> Deadlines {
        let mut world = World::with_seed(seed);
        world.engine.conf.enable_debug_command = Permission::Yes;
        let active = !seed.is_multiple_of(3);
        if !active {
            world.run("DEBUG SET-ACTIVE-EXPIRE 0");
        }
        let rng = Rng::from_seed(seed);
        Deadlines { world, rng, model: BTreeMap::new(), active, paused_until_ms: 0, values: 0 }
    }

    fn now_ms(&self) -> i64 {
        self.world.host.now.unix_ms() as i64
    }

    fn is_paused(&self) -> bool {
        self.paused_until_ms > 0
    }

    fn is_expired(&self, key: &str) -> bool {
        let now_ms = self.now_ms();
        self.model.get(key).is_some_and(|(_, deadline)| deadline.is_some_and(|ms| ms < now_ms))
    }

    /// A turn of the loop went by.
    fn turned(&mut self) {
        if self.is_paused() && self.world.host.now.mono_ms() >= self.paused_until_ms {
            self.paused_until_ms = 0;
        }
        if self.active && !self.is_paused() {
            let now_ms = self.now_ms();
            self.model.retain(|_, (_, deadline)| deadline.is_none_or(|ms| ms >= now_ms));
        }
    }

    /// The entry of a key that a command looks at: an expired one is not seen, and goes.
    fn seen(&mut self, key: &str) -> Option<Entry> {
        if self.is_expired(key) {
            if !self.is_paused() {
                self.model.remove(key);
            }
            return None;
        }
        self.model.get(key).cloned()
    }

    #[track_caller]
    fn check(&mut self, line: &str, expected: &str) {
        let shown = self.world.run(line);
        assert_eq!(shown, expected, "{line} at {}, the model has {:?}", self.now_ms(), self.model);
        self.turned();
    }

    fn key(&mut self) -> String {
        format!("k{}", self.rng.below(KEYS))
    }

    fn other_than(&mut self, key: &str) -> String {
        let others: Vec<String> = (0..KEYS).map(|n| format!("k{n}")).filter(|other| other != key).collect();
        others[self.rng.below(others.len() as u64) as usize].clone()
    }

    /// Milliseconds of a life: short, about an hour, or over.
    fn life_ms(&mut self) -> i64 {
        match self.rng.below(8) {
            0 => -(self.rng.below(HOUR_MS as u64 * 2) as i64),
            1..=3 => HOUR_MS - 5000 + self.rng.below(10_000) as i64,
            4 => 2 * HOUR_MS + self.rng.below(5000) as i64,
            _ => 1 + self.rng.below(300) as i64,
        }
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0..=3 => {
                let ms = self.rng.below(150);
                self.world.advance_ms(ms);
                self.turned();
            }
            4 => {
                let jump = HOUR_MS + self.rng.below(20) as i64 - 10;
                self.world.set_wall_by_ms(if self.rng.below(2) == 0 { jump } else { -jump });
                self.turned();
            }
            5 if !self.is_paused() && self.rng.below(3) == 0 => {
                let ms = 1 + self.rng.below(400);
                self.world.run(&format!("CLIENT PAUSE {ms} WRITE"));
                self.paused_until_ms = self.world.host.now.mono_ms() + ms;
                // What was due at this moment went before the pause began.
            }
            6..=12 if !self.is_paused() => self.write(),
            13 => self.look_at_all(),
            _ => self.read(),
        }
    }

    fn write(&mut self) {
        let key = self.key();
        let found = self.seen(&key);
        self.values += 1;
        let value = format!("v{}", self.values);
        let (now_ms, life) = (self.now_ms(), self.life_ms());
        let at = now_ms + life;
        match self.rng.below(9) {
            0 => {
                self.model.insert(key.clone(), (value.clone(), None));
                self.check(&format!("SET {key} {value}"), "OK");
            }
            1 => {
                let deadline = found.and_then(|(_, deadline)| deadline);
                self.model.insert(key.clone(), (value.clone(), deadline));
                self.check(&format!("SET {key} {value} KEEPTTL"), "OK");
            }
            2 if life > 0 => {
                self.model.insert(key.clone(), (value.clone(), Some(at)));
                self.check(&format!("SET {key} {value} PX {life}"), "OK");
            }
            3 => {
                self.model.insert(key.clone(), (value.clone(), Some(at)));
                self.check(&format!("SET {key} {value} PXAT {at}"), "OK");
            }
            4 | 5 => self.expire(&key, found, life),
            6 => {
                let had = found.as_ref().is_some_and(|(_, deadline)| deadline.is_some());
                if let Some((value, _)) = found {
                    self.model.insert(key.clone(), (value, None));
                }
                self.check(&format!("PERSIST {key}"), &format!("(integer) {}", u8::from(had)));
            }
            7 => {
                let to = self.other_than(&key);
                match found {
                    Some(entry) => {
                        self.model.remove(&key);
                        self.model.insert(to.clone(), entry);
                        self.check(&format!("RENAME {key} {to}"), "OK");
                    }
                    None => self.check(&format!("RENAME {key} {to}"), "(error) ERR no such key"),
                }
            }
            _ => {
                let to = self.other_than(&key);
                let copied = u8::from(found.is_some());
                if let Some(entry) = found {
                    self.model.insert(to.clone(), entry);
                }
                self.check(&format!("COPY {key} {to} REPLACE"), &format!("(integer) {copied}"));
            }
        }
    }

    fn expire(&mut self, key: &str, found: Option<Entry>, life: i64) {
        let option = ["", " NX", " XX", " GT", " LT"][self.rng.below(5) as usize];
        let at = self.now_ms() + life;
        let set = found.as_ref().is_some_and(|(_, deadline)| match option {
            " NX" => deadline.is_none(),
            " XX" => deadline.is_some(),
            " GT" => deadline.is_some_and(|old| at > old),
            " LT" => deadline.is_none_or(|old| at < old),
            _ => true,
        });
        if let Some((value, _)) = found.filter(|_| set) {
            if life > 0 {
                self.model.insert(key.to_owned(), (value, Some(at)));
            } else {
                self.model.remove(key);
            }
        }
        let line = if self.rng.below(2) == 0 {
            format!("PEXPIRE {key} {life}{option}")
        } else {
            format!("PEXPIREAT {key} {at}{option}")
        };
        self.check(&line, &format!("(integer) {}", u8::from(set)));
    }

    fn read(&mut self) {
        let key = self.key();
        let found = self.seen(&key);
        let now_ms = self.now_ms();
        let time = |of: &dyn Fn(i64) -> i64| match &found {
            None => "(integer) -2".to_owned(),
            Some((_, None)) => "(integer) -1".to_owned(),
            Some((_, Some(ms))) => format!("(integer) {}", of(*ms)),
        };
        match self.rng.below(6) {
            0 => self.check(&format!("EXISTS {key}"), &format!("(integer) {}", u8::from(found.is_some()))),
            1 => self.check(&format!("PTTL {key}"), &time(&|ms| ms - now_ms)),
            2 => self.check(&format!("TTL {key}"), &time(&|ms| (ms - now_ms + 500) / 1000)),
            3 => self.check(&format!("PEXPIRETIME {key}"), &time(&|ms| ms)),
            4 => {
                let len = found.map_or(0, |(value, _)| value.len());
                self.check(&format!("STRLEN {key}"), &format!("(integer) {len}"));
            }
            _ => {
                let shown = found.map_or("(nil)".to_owned(), |(value, _)| format!("\"{value}\""));
                self.check(&format!("GET {key}"), &shown);
            }
        }
    }

    /// Commands that look at the whole database see the same keys.
    fn look_at_all(&mut self) {
        let expired: Vec<String> = self.model.keys().filter(|key| self.is_expired(key)).cloned().collect();
        let living = |key: &&String| !expired.contains(*key);
        let keys: Vec<String> = self.model.keys().filter(living).map(|key| format!("\"{key}\"")).collect();
        for (line, skip) in [("KEYS *", 0), ("SCAN 0 COUNT 1000", 1)] {
            let shown = self.world.run(line);
            let mut seen: Vec<String> =
                shown.split('"').skip(1).step_by(2).skip(skip).map(|key| format!("\"{key}\"")).collect();
            seen.sort();
            assert_eq!(seen, keys, "{line} at {}", self.now_ms());
        }
        let drawn = self.world.run("RANDOMKEY");
        // While nothing may go, and all that is there has a deadline, it may be an expired one.
        let all_with_ttl = self.model.values().all(|(_, deadline)| deadline.is_some());
        let may_be_expired =
            self.is_paused() && all_with_ttl && expired.iter().any(|key| drawn == format!("\"{key}\""));
        let is_right = keys.contains(&drawn) || (keys.is_empty() && drawn == "(nil)") || may_be_expired;
        assert!(is_right, "RANDOMKEY gave {drawn}");
        // Which of them removes an expired key that it meets is nobody's business: now all are met.
        for key in expired {
            self.seen(&key);
            self.check(&format!("EXISTS {key}"), "(integer) 0");
        }
        if self.active && !self.is_paused() {
            self.check("DBSIZE", &format!("(integer) {}", keys.len()));
        }
    }
}

fn run(seed: u64) {
    let mut deadlines = Deadlines::new(seed);
    (0..STEPS).for_each(|_| deadlines.step());
}

#[test]
fn a_key_is_there_until_its_deadline_whatever_the_clock_does() {
    with_seeds("a_key_is_there", 400, run);
}
