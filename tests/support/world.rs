//! One server in its world: clients that send and look at what came, time that passes, jobs that are done.

use super::host::FakeHost;
use super::reply::Resp;
use super::{BEGIN_UNIX_MS, encoded, table};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use waterwheel::base::id::ClientId;
use waterwheel::base::quote::split_args;
use waterwheel::base::time::Now;
use waterwheel::config::Config;
use waterwheel::engine::client::Address;
use waterwheel::engine::disk::{FileDone, FileJob, FileResult, LogJob};
use waterwheel::engine::host::ProcessNames;
use waterwheel::engine::input::Peeked;
use waterwheel::engine::recorder::Phase;
use waterwheel::engine::replay::ReplayError;
use waterwheel::engine::turn::{Shell, turn};
use waterwheel::engine::{Done, Engine, Host, Job};
use waterwheel::resp::Args;
use waterwheel::resp::reply::encode_request;

/// An engine and all that it sees of the outside.
pub struct World {
    /// The server.
    pub engine: Engine,
    /// Its model of a shell.
    pub host: FakeHost,
    clients: BTreeMap<String, Connection>,
    /// The client that replays.
    replaying: Option<ClientId>,
    peeked: Peeked,
    jobs: VecDeque<Job>,
    jobs_held: bool,
    /// Jobs of the thread of files: when each is done, its number, and what it is.
    file_jobs: VecDeque<(u64, u64, FileJob)>,
    files_due_us: u64,
    /// As well, of the thread of the log.
    log_jobs: VecDeque<(u64, u64, LogJob)>,
    log_due_us: u64,
    /// So many more jobs for the disk are done; then it does nothing any more.
    pub disk_jobs_left: u64,
    /// A mistake in the order in which files are made durable.
    pub mistake: Option<Mistake>,
    /// Syncs that a mistake has put off.
    put_off: Vec<FileJob>,
    /// Files are maintained once whenever something happens, however much there is left to do, and each look at the counter takes
    /// so many ticks meanwhile.
    pub slices_ticks: Option<u64>,
    /// Files were maintained since something happened.
    has_maintained: bool,
    /// The last turn did a job.
    has_worked: bool,
    /// The code with which the process was to end.
    pub exit: Option<i32>,
    /// Syncs of the log that were asked for.
    pub log_syncs: u64,
    /// Pieces of bytes that clients sent.
    sent: u64,
    /// Connections that the server has asked for: the client, the host and the port.
    pub wanted: VecDeque<(ClientId, String, u16)>,
    /// Connections that were full and are to be read again.
    pub read_on: Vec<ClientId>,
}

/// A mistake in the order in which files are made durable: whoever looks at what a crash leaves has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Folders are not synced.
    NoFolderSync,
    /// A file gets its name before it is synced.
    RenameBeforeSync,
    /// What a sync of the log was to make durable is said to be so before it is.
    LogNotSynced,
    /// A file that is replaced, the manifest among them, is not synced before it gets its name.
    ReplacedBeforeSync,
    /// What a rewrite makes superfluous is removed when the base has its name, before the manifest names it.
    HistoryRemovedEarly,
    /// The commands of a transaction are logged without MULTI and EXEC.
    HalfTransactions,
    /// Replies leave before the sync that they wait for is done.
    RepliesBeforeSync,
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

impl World {
    /// A server with the default settings and no save points.
    pub fn new() -> World {
        World::with_seed(1)
    }

    /// As [`World::new`], with other chances.
    pub fn with_seed(seed: u64) -> World {
        let now = Now { unix_us: BEGIN_UNIX_MS * 1000, mono_us: 1_000_000 };
        let mut host = FakeHost::new(now, seed);
        let mut conf = Config::new();
        conf.save.clear();
        let mut engine = Engine::new(table(), conf, ProcessNames::default(), &mut host);
        engine.follow_feed(true);
        World {
            engine,
            host,
            clients: BTreeMap::new(),
            replaying: None,
            peeked: Peeked::default(),
            jobs: VecDeque::new(),
            jobs_held: false,
            file_jobs: VecDeque::new(),
            files_due_us: 0,
            log_jobs: VecDeque::new(),
            log_due_us: 0,
            disk_jobs_left: u64::MAX,
            mistake: None,
            put_off: Vec::new(),
            slices_ticks: None,
            has_maintained: false,
            has_worked: false,
            exit: None,
            log_syncs: 0,
            sent: 0,
            wanted: VecDeque::new(),
            read_on: Vec::new(),
        }
    }

    /// A connection that the server has asked for is there, under this name.
    pub fn plug(&mut self, name: &str, id: ClientId) {
        let connection = Connection { id, received: Vec::new(), closed: false, stopped: false };
        self.clients.insert(name.to_owned(), connection);
        let address: std::net::SocketAddr = "127.0.0.1:50000".parse().expect("the address is right");
        self.engine.connected(id, Address::Ip(address), Address::Ip(address), 0);
        self.turn();
    }

    /// A connection that the server has asked for cannot be had.
    pub fn refuse(&mut self, id: ClientId) {
        self.engine.not_connected(id, "Connection refused", true);
        self.turn();
    }

    /// Whether the server has closed a connection.
    pub fn has_closed(&self, name: &str) -> bool {
        self.clients.get(name).is_none_or(|connection| connection.closed)
    }

    /// The power fails: the server, its clients and all that was not synced are gone. What lies on the disk is given to
    /// another one that starts.
    pub fn crash(mut self, seed: u64) -> World {
        self.host.disk.crash(seed);
        let mut after = World::with_seed(seed);
        after.host.now = self.host.now;
        after.host.disk = self.host.disk;
        after
    }

    /// Loads the dump file, as the server does at its start.
    pub fn load(&mut self) {
        self.engine.begin_loading();
        self.turn();
    }

    /// Loads what there is, as the server does at its start, and goes on logging if it is to.
    pub fn start(&mut self) {
        self.engine.load_at_start(&mut self.host);
        self.turn();
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
        let ticks = self.host.ticks();
        self.engine.set_now(self.host.now, ticks);
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

    /// Runs a line as a client that replays what was propagated before.
    pub fn replay(&mut self, line: &str) -> Result<(), ReplayError> {
        self.replay_words(split_args(line.as_bytes()).expect("quotes of a test line are closed"))
    }

    /// As [`World::replay`], the words of a request.
    pub fn replay_words(&mut self, words: Vec<Vec<u8>>) -> Result<(), ReplayError> {
        let words: Vec<Bytes> = words.into_iter().map(Bytes::from).collect();
        let ticks = self.host.ticks();
        self.engine.set_now(self.host.now, ticks);
        let id = *self.replaying.get_or_insert_with(|| self.engine.open_replaying_client());
        let done = self.engine.replay(&mut self.host, id, Args::Owned(&words));
        self.turn();
        done
    }

    /// Closes the client that replays.
    pub fn end_replay(&mut self) {
        if let Some(id) = self.replaying.take() {
            self.engine.closed(&mut self.host, id);
        }
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

    /// A client that had stopped reads again, at first all that has piled up.
    pub fn read_again(&mut self, client: &str) {
        let connection = self.connection(client);
        connection.stopped = false;
        let id = connection.id;
        self.take_output_of(id);
        self.turn();
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

    /// Says that as much is allocated as the databases, the clients, a snapshot and the waiting garbage hold.
    pub fn model_memory(&mut self) {
        let keys: usize = self.engine.dbs.iter().map(|db| db.used_bytes() + db.free_bytes()).sum();
        let clients: usize = self.engine.clients.iter().map(|(_, c)| c.memory_bytes()).sum();
        let garbage = |job: &Job| if let Job::Free(garbage, _) = job { garbage.heap_bytes() } else { 0 };
        let held = self.engine.dbs.held_bytes();
        self.host.allocated_bytes = keys + clients + held + self.jobs.iter().map(garbage).sum::<usize>();
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
        Resp::all(&self.engine.take_feed())
    }

    /// What was propagated since the last call: words of a request between spaces, requests between bars.
    pub fn feed(&mut self) -> String {
        let bytes = self.engine.take_feed();
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
        self.has_maintained = false;
        loop {
            let more = turn(self);
            if !more && !self.has_worked && !self.engine.has_runnable() {
                return;
            }
        }
    }

    fn take_output_of(&mut self, id: ClientId) {
        let found = self.clients.values_mut().find(|c| c.id == id);
        let Some(connection) = found.filter(|connection| !connection.stopped) else { return };
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

    /// Does the jobs that may be done. True when there was one.
    fn work(&mut self) -> bool {
        let mut worked = false;
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Job::File(number, job) => {
                    // A thread of the disk works in order: who comes behind one that is late is as late.
                    let late_us = self.host.disk.next_delay_ms() * 1000;
                    self.files_due_us = self.files_due_us.max(self.host.now.mono_us + late_us);
                    self.file_jobs.push_back((self.files_due_us, number, job));
                }
                Job::Free(garbage, number) if !self.jobs_held => {
                    worked = true;
                    let done = Done::Freed { bytes: garbage.heap_bytes(), objects: garbage.objects() };
                    self.engine.completed(&mut self.host, number, done);
                }
                Job::Close(id) => {
                    worked = true;
                    if let Some(connection) = self.clients.values_mut().find(|c| c.id == id) {
                        connection.closed = true;
                    }
                    self.engine.closed(&mut self.host, id);
                }
                Job::Exit(code) => self.exit = Some(code),
                Job::Connect { id, host, port, .. } => self.wanted.push_back((id, host, port)),
                Job::ReadOn(id) => self.read_on.push(id),
                Job::Gather(_) => {}
                later => self.jobs.push_back(later),
            }
        }
        while let Some((_, number, job)) = self.next_due(|world| &mut world.file_jobs) {
            worked = true;
            let done = Done::File(self.do_file(job));
            self.tell_done(number, done);
        }
        while let Some((_, number, job)) = self.next_due(|world| &mut world.log_jobs) {
            worked = true;
            let done = match (self.mistake, job) {
                (Some(Mistake::LogNotSynced), LogJob::Sync(_)) => Ok(FileDone::default()),
                (_, job) => self.do_log(job),
            };
            self.tell_done(number, Done::Log(done));
        }
        worked
    }

    /// Tells the engine how a job for the disk went, unless the power went meanwhile.
    fn tell_done(&mut self, number: u64, done: Done) {
        match self.host.disk.is_dead() {
            true => self.disk_jobs_left = 0,
            false => self.engine.completed(&mut self.host, number, done),
        }
    }

    /// The next job for the disk, if it is done by now.
    fn next_due<J>(
        &mut self,
        queue: fn(&mut World) -> &mut VecDeque<(u64, u64, J)>,
    ) -> Option<(u64, u64, J)> {
        let now_us = self.host.now.mono_us;
        let is_off = self.disk_jobs_left == 0 || self.exit.is_some();
        if self.jobs_held || is_off || queue(self).front()?.0 > now_us {
            return None;
        }
        self.disk_jobs_left -= 1;
        queue(self).pop_front()
    }

    fn do_log(&mut self, job: LogJob) -> FileResult {
        match (self.mistake, job) {
            (Some(Mistake::HalfTransactions), LogJob::Append(file, pieces)) => {
                let without = |bytes: &[u8]| {
                    let mut bytes = bytes.to_vec();
                    for frame in [&b"*1\r\n$5\r\nMULTI\r\n"[..], b"*1\r\n$4\r\nEXEC\r\n"] {
                        while let Some(at) = bytes.windows(frame.len()).position(|window| window == frame) {
                            bytes.drain(at..at + frame.len());
                        }
                    }
                    bytes.into()
                };
                let pieces = pieces.iter().map(|piece| without(piece)).collect();
                self.host.disk.do_log(LogJob::Append(file, pieces))
            }
            (_, job) => self.host.disk.do_log(job),
        }
    }

    fn do_file(&mut self, job: FileJob) -> FileResult {
        match (self.mistake, job) {
            (Some(Mistake::HistoryRemovedEarly), FileJob::Move { from, to, name, new_name }) => {
                let names = self.host.disk.names("appendonlydir");
                let done =
                    self.host.disk.do_file(FileJob::Move { from, to, name, new_name: new_name.clone() })?;
                for old in names.into_iter().filter(|old| old.contains(".base.") && *old != new_name) {
                    self.host.disk.do_file(FileJob::Remove(to, old))?;
                }
                Ok(done)
            }
            (Some(Mistake::NoFolderSync), FileJob::SyncFolder(_)) => Ok(FileDone::default()),
            (Some(Mistake::RenameBeforeSync), job @ (FileJob::Sync(_) | FileJob::Close(_))) => {
                self.put_off.push(job);
                Ok(FileDone::default())
            }
            (Some(Mistake::RenameBeforeSync), job @ FileJob::SyncFolder(_)) => {
                let done = self.host.disk.do_file(job);
                for late in std::mem::take(&mut self.put_off) {
                    self.host.disk.do_file(late)?;
                }
                done
            }
            (Some(Mistake::ReplacedBeforeSync), FileJob::Replace(replace)) => {
                replace.carry_out(|job| match job {
                    FileJob::Sync(_) => Ok(FileDone::default()),
                    job => self.host.disk.do_file(job),
                })
            }
            (_, job) => self.host.disk.do_file(job),
        }
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

/// How a turn is done without a machine. What clients send is handed over before, when a test says so.
impl Shell for World {
    type Host = FakeHost;

    fn parts(&mut self) -> (&mut Engine, &mut FakeHost) {
        (&mut self.engine, &mut self.host)
    }

    /// The clock stands while a turn goes on, so no phase takes any time.
    fn stamp(&mut self, _: Phase) {}

    fn update_time(&mut self) {
        let ticks = self.host.ticks();
        self.engine.set_now(self.host.now, ticks);
    }

    /// Other threads tell what they have done as soon as they have done it: see [`World::work`].
    fn take_events(&mut self) {}

    fn serve(&mut self) {
        while self.engine.serve_waiting(&mut self.host) {}
    }

    /// Its thread writes at once where it has nothing else to do.
    fn write_log(&mut self) {
        self.engine.hand_over_log(&mut self.host);
        while let Some((number, job)) = self.engine.poll_log_job() {
            self.log_syncs += u64::from(matches!(job, LogJob::Sync(_)));
            let writes = matches!(job, LogJob::Append(..)) && !self.jobs_held && self.disk_jobs_left > 0;
            if writes && self.log_jobs.is_empty() {
                self.disk_jobs_left -= 1;
                let done = Done::Log(self.do_log(job));
                self.tell_done(number, done);
                continue;
            }
            let late_us = self.host.disk.next_delay_ms() * 1000;
            self.log_due_us = self.log_due_us.max(self.host.now.mono_us + late_us);
            self.log_jobs.push_back((self.log_due_us, number, job));
        }
    }

    fn write_replies(&mut self) {
        while let Some(id) = self.engine.poll_output() {
            self.take_output_of(id);
        }
    }

    fn write_messages(&mut self) {
        while let Some(id) = self.engine.poll_output().or_else(|| self.engine.poll_message()) {
            self.take_output_of(id);
        }
    }

    /// With small slices it does one, however often the loop turns.
    fn maintain_files(&mut self) -> bool {
        let Some(ticks_a_look) = self.slices_ticks else {
            return self.engine.maintain_files(&mut self.host);
        };
        if !std::mem::replace(&mut self.has_maintained, true) {
            self.host.ticks_a_look = ticks_a_look;
            self.engine.maintain_files(&mut self.host);
            self.host.ticks_a_look = 0;
            // The time of the commands does not pass meanwhile.
            self.update_time();
        }
        false
    }

    fn do_jobs(&mut self) {
        while let Some(job) = self.engine.poll_job() {
            self.jobs.push_back(job);
        }
        self.has_worked = self.work();
    }

    /// The figures of traffic stay as they are: the recorder has nothing to say.
    fn end_turn(&mut self) {
        self.engine.end_turn(0, 0);
    }
}
