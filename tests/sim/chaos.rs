//! Many clients that do anything. The feed has to tell all of it, each request has to get its reply, and nothing may be
//! left when they are gone.

use crate::follower::{Fault, Follower};
use crate::support::World;
use crate::support::reply::Resp;
use crate::support::requests::{Drawn, Lives, Requests};
use crate::support::templates::{BITS, DATA, HASHES, LISTS, SETS, STREAMS, Template};
use crate::with_seeds;
use crate::wraps::{self, BLOCKING};
use std::collections::VecDeque;
use waterwheel::base::rng::Rng;
use waterwheel::config::Permission;
use waterwheel::resp::reply::encode_request;

/// Steps of a run.
const STEPS: usize = 600;

/// Clients at a time.
const CLIENTS: usize = 12;

/// What the tables and wheels of all databases may keep for the next keys, in bytes.
const EMPTY_BYTES_MAX: usize = 512 * 1024;

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: u64 = 365 * 86_400_000;

const fn t(weight: u32, text: &'static str) -> Template {
    Template { weight, text }
}

/// What only a world that is watched can be asked.
const CONTROL: &[Template] = &[
    t(12, "CLIENT REPLY (ON|ON|OFF|SKIP|SKIP)"),
    t(2, "CLIENT PAUSE <offset> (|WRITE|ALL)"),
    t(2, "CLIENT UNPAUSE"),
    t(1, "CLIENT KILL ID <offset>"),
    t(3, "SCAN <int> (|COUNT <small>)"),
    t(2, "CLIENT LIST"),
    t(1, "CLIENT INFO"),
    t(2, "WAIT 1 <until>"),
    t(2, "WAITAOF 0 1 <until>"),
    t(1, "DEBUG SET-ACTIVE-EXPIRE (0|1|1)"),
    t(20, "XADD <stream> (|MAXLEN <small>) (IDMP <group> <consumer>|IDMPAUTO <group>) * <fields>"),
    t(3, "XCFGSET <stream> (IDMP-MAXSIZE (1|3|100)|IDMP-DURATION (1|300))"),
    t(1, "HOTKEYS (START METRICS 2 CPU NET|START METRICS 1 NET SAMPLE 3|STOP|GET|RESET)"),
    t(1, "CONFIG SET key-memory-histograms (no|no|yes)"),
    t(1, "INFO (|all|memory|keyspace|clients)"),
    t(1, "MEMORY STATS"),
    t(1, "CONFIG SET notify-keyspace-events (KEA|)"),
    t(1, "CONFIG SET timeout 0"),
    t(1, "CONFIG SET maxmemory (0|0|40000|80000|200000)"),
    t(1, "CONFIG SET maxmemory-policy (allkeys-random|volatile-random|allkeys-lru)"),
    t(1, "CONFIG SET maxmemory-samples (1|5|10)"),
    t(1, "LATENCY RESET"),
    t(1, "SLOWLOG GET"),
];

/// What a client waits for.
#[derive(Debug)]
enum Awaited {
    /// The reply to this.
    #[expect(dead_code, reason = "it is for whoever reads the panic")]
    Reply(String),
    /// Its own word back.
    Tag(u64),
}

struct SimClient {
    name: String,
    /// Bytes that have not left it.
    unsent: Vec<u8>,
    awaited: VecDeque<Awaited>,
    /// What was answered last, for whoever looks into a run that failed.
    answered: VecDeque<String>,
    reply_off: bool,
    skip_next: bool,
}

struct Chaos {
    leader: World,
    follower: Follower,
    requests: Requests,
    rng: Rng,
    clients: Vec<SimClient>,
    born: u64,
    tag: u64,
    /// Connections that ended without being asked to by their own client, while nobody kills any.
    kills: bool,
}

impl Chaos {
    fn new(seed: u64, fault: Fault) -> Chaos {
        let mut leader = World::with_seed(seed);
        leader.engine.conf.enable_debug_command = Permission::Yes;
        let mut requests =
            Requests::new(seed, Lives::Short, &[DATA, LISTS, STREAMS, SETS, HASHES, BITS, CONTROL, BLOCKING]);
        requests.keys = [4, 40, 400][seed as usize % 3];
        requests.databases = if seed.is_multiple_of(2) { 2 } else { 16 };
        let mut chaos = Chaos {
            leader,
            follower: Follower::new(seed, fault),
            requests,
            rng: Rng::from_seed(!seed),
            clients: Vec::new(),
            born: 0,
            tag: 0,
            kills: seed.is_multiple_of(4),
        };
        (0..CLIENTS).for_each(|_| chaos.connect());
        chaos
    }

    fn connect(&mut self) {
        self.born += 1;
        self.clients.push(SimClient {
            name: format!("client {}", self.born),
            unsent: Vec::new(),
            awaited: VecDeque::new(),
            answered: VecDeque::new(),
            reply_off: false,
            skip_next: false,
        });
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..=39 => self.write_requests(),
            40..=84 => self.deliver(),
            85..=92 => {
                let longest = [3, 60, 60, 3000][self.rng.below(4) as usize];
                let ms = self.rng.below(longest);
                self.leader.advance_ms(ms);
            }
            93 => self.leader.set_wall_by_ms(if self.rng.below(2) == 0 { HOUR_MS } else { -HOUR_MS }),
            94 => self.leader.hold_jobs(),
            95..=96 => self.leader.do_jobs(),
            97 => {
                let at = self.rng.below(self.clients.len() as u64) as usize;
                let gone = self.clients.swap_remove(at);
                self.leader.disconnect(&gone.name);
                self.connect();
            }
            _ => {}
        }
        self.leader.model_memory();
        self.look();
        self.follower.follow(&mut self.leader);
    }

    /// A client makes up requests, each followed by a word that has to come back behind its reply.
    fn write_requests(&mut self) {
        self.requests.now_unix_ms = self.leader.host.now.unix_ms();
        let at = self.rng.below(self.clients.len() as u64) as usize;
        let most = [1, 4, 60][self.rng.below(3) as usize];
        for _ in 0..1 + self.rng.below(most) {
            if self.rng.below(8) == 0 {
                let client = &mut self.clients[at];
                for wrapped in wraps::draw(&mut self.requests) {
                    encode_request(&wrapped.words, &mut client.unsent);
                    client.expect(&wrapped);
                }
                continue;
            }
            let drawn = self.requests.draw();
            let is_kill = drawn.words.get(1).is_some_and(|w| w.eq_ignore_ascii_case(b"KILL"));
            if (is_kill && !self.kills) || (drawn.spoiled && is_control(&drawn)) {
                continue;
            }
            let client = &mut self.clients[at];
            encode_request(&drawn.words, &mut client.unsent);
            client.expect(&drawn);
            if self.rng.below(3) == 0 {
                self.tag += 1;
                encode_request(&["ECHO".to_owned(), format!("tag {}", self.tag)], &mut client.unsent);
                if !client.is_muted() {
                    client.awaited.push_back(Awaited::Tag(self.tag));
                }
            }
        }
    }

    /// Some of what a client has to say arrives.
    fn deliver(&mut self) {
        let at = self.rng.below(self.clients.len() as u64) as usize;
        let client = &mut self.clients[at];
        if client.unsent.is_empty() {
            return;
        }
        let whole = self.rng.below(2) == 0;
        let len =
            if whole { client.unsent.len() } else { self.rng.below(client.unsent.len() as u64 + 1) as usize };
        let bytes: Vec<u8> = client.unsent.drain(..len).collect();
        if self.rng.below(2) == 0 {
            self.leader.send_bytes(&client.name, &bytes);
        } else {
            assert!(self.leader.read_into_target(&client.name, &bytes), "a target of no room");
        }
    }

    /// Every client looks at what it was sent.
    fn look(&mut self) {
        let mut gone = Vec::new();
        for (at, client) in self.clients.iter_mut().enumerate() {
            if !self.leader.is_connected(&client.name) {
                continue;
            }
            let (replies, closed) = self.leader.take_replies(&client.name);
            for reply in replies.into_iter().filter(|reply| !matches!(reply, Resp::Push(_))) {
                client.receive(&reply);
            }
            if closed {
                assert!(self.kills, "{} was closed", client.name);
                gone.push(at);
            }
        }
        for at in gone.into_iter().rev() {
            self.clients.swap_remove(at);
            self.connect();
        }
    }

    /// Whatever is due has happened when this ends.
    fn come_to_rest(&mut self) {
        for at in 0..self.clients.len() {
            let bytes = std::mem::take(&mut self.clients[at].unsent);
            self.leader.send_bytes(&self.clients[at].name, &bytes);
        }
        // Longer than any pause and any wait, also one behind another.
        for _ in 0..40 {
            self.leader.do_jobs();
            self.leader.advance_ms(500);
            self.look();
        }
        self.leader.engine.switches.active_expire = true;
        self.leader.engine.conf.maxmemory_bytes = 0;
        self.leader.advance_ms(1);
        self.look();
        for client in &self.clients {
            assert!(client.awaited.is_empty(), "{} still waits for {:?}", client.name, client.awaited);
        }
        self.no_key_outlives_its_deadline();
    }

    fn no_key_outlives_its_deadline(&self) {
        let now_ms = self.leader.host.now.unix_ms();
        for db in self.leader.engine.dbs.iter() {
            let mut cursor = 0;
            loop {
                cursor = db.scan(cursor, |handle| {
                    let deadline = db.deadline(handle);
                    assert!(deadline.is_none_or(|ms| ms >= now_ms), "{:?} should be gone", db.key(handle));
                });
                if cursor == 0 {
                    break;
                }
            }
        }
    }

    /// All clients go; the engine must not remember any.
    fn all_leave(mut self) {
        for client in std::mem::take(&mut self.clients) {
            self.leader.disconnect(&client.name);
        }
        self.leader.run_as("last", "CONFIG SET maxmemory 0");
        assert_eq!(self.leader.run_as("last", "FLUSHALL"), "OK");
        self.leader.disconnect("last");
        self.leader.do_jobs();
        // Whatever the date was when a deadline was registered: by then it is over.
        self.leader.advance_ms(60 * 86_400_000);
        self.leader.advance_ms(1000);
        self.leader.advance_ms(1000);
        let engine = &self.leader.engine;
        assert!(engine.clients.is_empty(), "clients are left");
        assert_eq!(engine.blocked_clients(), 0);
        assert_eq!(engine.pending_free_objects(), 0, "garbage is left");
        assert!(!engine.has_runnable(), "a turn is owed to nobody");
        // What is left of deadlines in the far future finds nobody; a bounded number of them may stay.
        let next_ms = engine.next_deadline_in_us().map(|us| us.div_ceil(1000));
        assert!(next_ms.is_none_or(|ms| ms > YEAR_MS), "a timer is left: {next_ms:?}");
        let registrations: usize = engine.dbs.iter().map(|db| db.registrations()).sum();
        assert!(registrations < 512, "{registrations} deadlines of no key are left");
        self.leader.model_memory();
        let used = self.leader.engine.used_memory(&self.leader.host);
        assert!(used <= EMPTY_BYTES_MAX, "{used} bytes are in use by nobody");
    }
}

impl SimClient {
    /// Notes what a request will be answered.
    fn expect(&mut self, drawn: &Drawn) {
        let word = |at: usize| drawn.words.get(at).map(|w| w.to_ascii_uppercase()).unwrap_or_default();
        let skipped = std::mem::take(&mut self.skip_next);
        if word(0) == b"RESET" && drawn.words.len() == 1 {
            self.reply_off = false;
            if !skipped {
                self.awaited.push_back(Awaited::Reply(drawn.shown()));
            }
            return;
        }
        if word(0) == b"CLIENT" && word(1) == b"REPLY" {
            match word(2).as_slice() {
                b"ON" => {
                    self.reply_off = false;
                    self.awaited.push_back(Awaited::Reply(drawn.shown()));
                }
                b"OFF" => self.reply_off = true,
                _ => self.skip_next = !self.reply_off,
            }
            return;
        }
        if !skipped && !self.reply_off {
            self.awaited.push_back(Awaited::Reply(drawn.shown()));
        }
    }

    /// Whether the next request is not answered; asked once for each.
    fn is_muted(&mut self) -> bool {
        std::mem::take(&mut self.skip_next) || self.reply_off
    }

    fn receive(&mut self, reply: &Resp) {
        let awaited = self.awaited.pop_front();
        self.answered.push_back(format!("{awaited:?}: {}", reply.shown()));
        if self.answered.len() > 12 {
            self.answered.pop_front();
        }
        let is_tag = matches!(reply, Resp::Bulk(bytes) if bytes.starts_with(b"tag "));
        let is_right = match awaited {
            None => false,
            Some(Awaited::Tag(tag)) => *reply == Resp::Bulk(format!("tag {tag}").into_bytes()),
            Some(Awaited::Reply(_)) => !is_tag,
        };
        assert!(is_right, "{} was answered out of order:\n{:#?}", self.name, self.answered);
    }
}

/// Requests of which the client has to know whether they are right.
fn is_control(drawn: &Drawn) -> bool {
    let first = drawn.words[0].to_ascii_uppercase();
    first == b"CLIENT" || first == b"WAIT" || first == b"WAITAOF" || wraps::may_block(&drawn.words)
}

fn run(seed: u64, fault: Fault) -> Result<(), String> {
    let mut chaos = Chaos::new(seed, fault);
    for _ in 0..3 {
        (0..STEPS / 3).for_each(|_| chaos.step());
        chaos.come_to_rest();
        chaos.follower.catch_up(&mut chaos.leader)?;
    }
    chaos.all_leave();
    Ok(())
}

#[test]
fn a_follower_becomes_the_same_and_every_request_is_answered_once() {
    with_seeds("a_follower", 300, |seed| {
        if let Err(differences) = run(seed, Fault::None) {
            panic!("the follower differs {differences}");
        }
    });
}

#[test]
fn a_relative_deadline_in_the_feed_is_found() {
    is_found(Fault::RelativeDeadline);
}

#[test]
fn a_lost_exec_in_the_feed_is_found() {
    is_found(Fault::LostExec);
}

#[test]
fn a_lost_change_of_a_transaction_or_a_script_is_found() {
    is_found(Fault::LostChange);
}

fn is_found(fault: Fault) {
    let found = (1..=10).filter(|seed| run(*seed, fault).is_err()).count();
    assert!(found >= 6, "the planted mistake was found in {found} of 10 runs only");
}
