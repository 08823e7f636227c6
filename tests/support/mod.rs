//! A world in which an [`Engine`] runs without a machine: its clock stands until it is told to go on, its chance is
//! seeded, its connections are buffers.
//!
//! ```ignore
//! let mut world = World::new();
//! assert_eq!(world.run("SET key value PX 100"), "OK");
//! world.advance_ms(100);
//! assert_eq!(world.run("GET key"), "(nil)");
//! assert_eq!(world.feed(), "SELECT 0 | SET key value PXAT 1700000000100 | DEL key");
//! ```
//!
//! * [`World::run`] is a client called `a`; [`World::run_as`] is any other, which connects when it is first named.
//! * Replies are written as `redis-cli` writes them.
//! * What the engine wants done by the helper thread is done when the request that asked for it is over, in order;
//!   while [`World::hold_jobs`] is in force it waits for [`World::do_jobs`].

#![allow(dead_code, reason = "not every test needs all of it")]

pub mod fingerprint;
pub mod peer;
pub mod reply;
pub mod requests;
pub mod templates;
pub mod transcript;

use reply::Resp;
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::OnceLock;
use waterwheel::base::id::ClientId;
use waterwheel::base::quote::split_args;
use waterwheel::base::rng::Rng;
use waterwheel::base::time::Now;
use waterwheel::commands;
use waterwheel::config::{Config, Effect};
use waterwheel::engine::client::Address;
use waterwheel::engine::disk::{FileDone, FileJob, FileResult};
use waterwheel::engine::host::{ProcessFacts, ProcessNames, Request};
use waterwheel::engine::input::Peeked;
use waterwheel::engine::table::Table;
use waterwheel::engine::{Done, Engine, Host, Job};
use waterwheel::resp::reply::encode_request;

/// The wall clock when a world begins, in milliseconds since 1970.
pub const BEGIN_UNIX_MS: u64 = 1_700_000_000_000;

/// Ticks of the modelled counter in a millisecond.
const TICKS_PER_MS: u64 = 1_000_000;

/// An engine and all that it sees of the outside.
pub struct World {
    /// The server.
    pub engine: Engine,
    /// Its model of a shell.
    pub host: FakeHost,
    clients: BTreeMap<String, Connection>,
    peeked: Peeked,
    jobs: VecDeque<Job>,
    jobs_held: bool,
    /// Pieces of bytes that clients sent.
    sent: u64,
}

/// Requests as they are sent.
pub fn encoded(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|words| encode_request(words, &mut bytes));
    bytes
}

/// The other end of a connection.
struct Connection {
    id: ClientId,
    /// What came and was not looked at.
    received: Vec<u8>,
    /// The engine closed it.
    closed: bool,
    /// It takes nothing.
    stopped: bool,
}

/// A shell without a machine.
pub struct FakeHost {
    /// Both clocks.
    pub now: Now,
    rng: Rng,
    /// What the allocator is said to have given away.
    pub allocated_bytes: usize,
    /// What the engine asked for, by name.
    pub requests: Vec<String>,
    /// Files by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The effect of a changed configuration that it cannot carry out.
    pub refused: Option<Effect>,
}

impl World {
    /// A server with the default settings and no save points.
    pub fn new() -> World {
        World::with_seed(1)
    }

    /// As [`World::new`], with other chances.
    pub fn with_seed(seed: u64) -> World {
        let now = Now { unix_us: BEGIN_UNIX_MS * 1000, mono_us: 1_000_000 };
        let (requests, files) = (Vec::new(), BTreeMap::new());
        let mut host =
            FakeHost { now, rng: Rng::from_seed(seed), allocated_bytes: 0, requests, files, refused: None };
        let mut conf = Config::new();
        conf.save.clear();
        let mut engine = Engine::new(table(), conf, ProcessNames::default(), &mut host);
        engine.follow_feed(true);
        World {
            engine,
            host,
            clients: BTreeMap::new(),
            peeked: Peeked::default(),
            jobs: VecDeque::new(),
            jobs_held: false,
            sent: 0,
        }
    }

    /// Sends a line as the client `a` and gives what it is answered.
    #[track_caller]
    pub fn run(&mut self, line: &str) -> String {
        self.run_as("a", line)
    }

    /// Sends a line as any client and gives what it is answered, line by line if that is more than one reply.
    #[track_caller]
    pub fn run_as(&mut self, client: &str, line: &str) -> String {
        self.send(client, line);
        self.received(client)
    }

    /// Sends requests at once, and gives a reply each.
    pub fn ask(&mut self, client: &str, requests: &[Vec<Vec<u8>>]) -> Vec<Resp> {
        self.send_bytes(client, &encoded(requests));
        self.take_replies(client).0
    }

    /// Sends a line without looking at what comes.
    #[track_caller]
    pub fn send(&mut self, client: &str, line: &str) {
        let words = split_args(line.as_bytes()).expect("quotes of a test line are closed");
        let mut bytes = Vec::new();
        encode_request(&words, &mut bytes);
        self.send_bytes(client, &bytes);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, client: &str, bytes: &[u8]) {
        let id = self.connection(client).id;
        self.engine.set_now(self.host.now, self.host.now.mono_us * TICKS_PER_MS / 1000);
        // The shell looks ahead where it can; every other time nobody does.
        self.sent += 1;
        let looks_ahead = self.sent.is_multiple_of(2) && self.engine.takes_small_reads(id);
        match looks_ahead && self.engine.peek(&mut self.peeked, id, bytes) {
            true => self.engine.input_peeked(&mut self.host, &self.peeked, id, bytes),
            false => self.engine.input(&mut self.host, id, bytes),
        }
        self.turn();
    }

    /// Sends bytes as a shell does that reads large arguments straight into their buffers. True when it could do so
    /// whenever the engine offered one.
    pub fn read_into_target(&mut self, client: &str, bytes: &[u8]) -> bool {
        let id = self.connection(client).id;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.engine.read_target(id) {
                Some((target, missing)) => {
                    let n = missing.min(rest.len()).min(target.capacity() - target.len());
                    if n == 0 {
                        return false;
                    }
                    target.extend_from_slice(&rest[..n]);
                    rest = &rest[n..];
                    self.engine.filled(&mut self.host, id, n);
                    self.turn();
                }
                None => {
                    self.send_bytes(client, rest);
                    rest = &[];
                }
            }
        }
        true
    }

    /// What a client was sent and has not looked at yet.
    pub fn received(&mut self, client: &str) -> String {
        let connection = self.connection(client);
        let bytes = std::mem::take(&mut connection.received);
        let mut replies: Vec<String> = Resp::all(&bytes).iter().map(Resp::shown).collect();
        if connection.closed {
            self.clients.remove(client);
            replies.push("(closed)".to_owned());
        }
        replies.join("\n")
    }

    /// What a client was sent and has not looked at yet, as values, and whether its connection was closed.
    pub fn take_replies(&mut self, client: &str) -> (Vec<Resp>, bool) {
        let connection = self.connection(client);
        let bytes = std::mem::take(&mut connection.received);
        let closed = connection.closed;
        if closed {
            self.clients.remove(client);
        }
        (Resp::all(&bytes), closed)
    }

    /// From now on a client reads nothing: what it is sent piles up.
    pub fn stop_reading(&mut self, client: &str) {
        self.connection(client).stopped = true;
    }

    /// Whether a client is connected, and was not closed as far as it has looked.
    pub fn is_connected(&self, client: &str) -> bool {
        self.clients.contains_key(client)
    }

    /// The connection of a client, which connects when it is first named.
    pub fn id_of(&mut self, client: &str) -> ClientId {
        self.connection(client).id
    }

    /// Sets the wall clock forward or back; the monotonic clock does not notice.
    pub fn set_wall_by_ms(&mut self, ms: i64) {
        self.host.now.unix_us = self.host.now.unix_us.saturating_add_signed(ms * 1000);
        self.turn();
    }

    /// Says that as much is allocated as the databases, the clients and the waiting garbage hold.
    pub fn model_memory(&mut self) {
        let keys: usize = self.engine.dbs.iter().map(|db| db.used_bytes() + db.free_bytes()).sum();
        let clients: usize = self.engine.clients.iter().map(|(_, c)| c.memory_bytes()).sum();
        let garbage = |job: &Job| if let Job::Free(garbage, _) = job { garbage.heap_bytes() } else { 0 };
        self.host.allocated_bytes = keys + clients + self.jobs.iter().map(garbage).sum::<usize>();
    }

    /// As [`World::received`], the bytes as they came.
    pub fn received_bytes(&mut self, client: &str) -> Vec<u8> {
        std::mem::take(&mut self.connection(client).received)
    }

    /// Lets time pass, on both clocks; what falls due is done.
    pub fn advance_ms(&mut self, ms: u64) {
        self.host.now = self.host.now.after_us(ms * 1000);
        self.turn();
    }

    /// What was propagated since the last call, as values.
    pub fn feed_requests(&mut self) -> Vec<Resp> {
        Resp::all(&self.engine.replication.feed.take())
    }

    /// What was propagated since the last call: words of a request between spaces, requests between bars.
    pub fn feed(&mut self) -> String {
        let bytes = self.engine.replication.feed.take();
        let requests = Resp::all(&bytes).into_iter().map(|request| request.words().join(" "));
        requests.collect::<Vec<_>>().join(" | ")
    }

    /// Lets the work of the helper thread wait.
    pub fn hold_jobs(&mut self) {
        self.jobs_held = true;
    }

    /// Does the work of the helper thread that waits.
    pub fn do_jobs(&mut self) {
        self.jobs_held = false;
        self.turn();
    }

    /// Ends a connection from outside.
    pub fn disconnect(&mut self, client: &str) {
        if let Some(connection) = self.clients.remove(client) {
            self.engine.closed(&mut self.host, connection.id);
            self.turn();
        }
    }

    /// Turns the loop until nothing is left to do now.
    fn turn(&mut self) {
        loop {
            let ticks = self.host.ticks();
            self.engine.set_now(self.host.now, ticks);
            while self.engine.serve_waiting(&mut self.host) {}
            let more = self.engine.tick(&mut self.host);
            self.take_output();
            self.engine.evict_clients();
            while let Some(job) = self.engine.poll_job() {
                self.jobs.push_back(job);
            }
            let worked = self.work();
            self.engine.end_turn(0, 0);
            if !more && !worked && !self.engine.has_runnable() {
                return;
            }
        }
    }

    fn take_output(&mut self) {
        while let Some(id) = self.engine.poll_output().or_else(|| self.engine.poll_message()) {
            let Some(connection) = self.clients.values_mut().find(|c| c.id == id) else { continue };
            if connection.stopped {
                continue;
            }
            while let Some(outgoing) = self.engine.output(id) {
                let mut slices = [IoSlice::new(&[]); 16];
                let filled = outgoing.gather(&mut slices, usize::MAX);
                let sent = slices[..filled].iter().map(|slice| slice.len()).sum();
                for slice in &slices[..filled] {
                    connection.received.extend_from_slice(slice);
                }
                self.engine.sent(id, sent);
            }
        }
    }

    /// Does the jobs that may be done. True when there was one.
    fn work(&mut self) -> bool {
        let mut worked = false;
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Job::Free(garbage, number) if !self.jobs_held => {
                    worked = true;
                    let done = Done::Freed { bytes: garbage.heap_bytes(), objects: garbage.objects() };
                    self.engine.completed(&mut self.host, number, done);
                }
                Job::File(number, job) if !self.jobs_held => {
                    worked = true;
                    let done = Done::File(self.host.do_file(job));
                    self.engine.completed(&mut self.host, number, done);
                }
                Job::Close(id) => {
                    worked = true;
                    if let Some(connection) = self.clients.values_mut().find(|c| c.id == id) {
                        connection.closed = true;
                    }
                    self.engine.closed(&mut self.host, id);
                }
                later => self.jobs.push_back(later),
            }
        }
        worked
    }

    fn connection(&mut self, name: &str) -> &mut Connection {
        if !self.clients.contains_key(name) {
            let address: std::net::SocketAddr = "127.0.0.1:50000".parse().expect("the address is right");
            let accepted = self.engine.accept(Address::Ip(address), Address::Ip(address), 0);
            let id = accepted.expect("a world has room for its clients");
            let connection = Connection { id, received: Vec::new(), closed: false, stopped: false };
            self.clients.insert(name.to_owned(), connection);
        }
        self.clients.get_mut(name).expect("it is there or was inserted")
    }
}

/// The table of all commands, one for all worlds.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(commands::FAMILIES))
}

impl FakeHost {
    /// Carries out a job for the disk.
    fn do_file(&mut self, job: FileJob) -> FileResult {
        if let FileJob::Replace(replace) = job {
            self.files.insert(replace.name, replace.bytes);
        }
        Ok(FileDone::default())
    }
}

impl Host for FakeHost {
    fn now(&mut self) -> Now {
        self.now
    }

    fn ticks(&mut self) -> u64 {
        self.now.mono_us * TICKS_PER_MS / 1000
    }

    fn ticks_per_ms(&self) -> u64 {
        TICKS_PER_MS
    }

    fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn allocated_bytes(&self) -> usize {
        self.allocated_bytes
    }

    fn facts(&mut self) -> ProcessFacts {
        ProcessFacts { rss_bytes: self.allocated_bytes, ..ProcessFacts::default() }
    }

    fn apply(&mut self, request: Request<'_>) -> Result<String, String> {
        let name = match request {
            Request::Sleep(us) => {
                self.now = self.now.after_us(us);
                "sleep"
            }
            Request::Configure(effect, _) if self.refused == Some(effect) => return Err("no".to_owned()),
            Request::Configure(..) => "configure",
            Request::ReadFile(path, into) => {
                let text = self.files.get(path).ok_or("No such file or directory")?;
                into.clone_from(text);
                "read file"
            }
            Request::Disk(jobs, result) => {
                jobs.into_iter().for_each(|job| drop(self.do_file(job)));
                *result = Ok(FileDone::default());
                "files"
            }
            Request::ReadConfigFile => "read config",
            Request::ReleaseMemory => "release memory",
            Request::Crash(_) => "crash",
        };
        self.requests.push(name.to_owned());
        Ok(String::new())
    }

    /// Nobody speaks in the middle of a command; a client that is waited for leaves.
    fn breathe(&mut self, engine: &mut Engine, wait_ms: u64) {
        if let Some(id) = engine.busy_client().filter(|_| wait_ms > 0) {
            engine.half_closed(id);
        }
    }
}
