//! What the engine asks of the real world.

use super::connections::{Connections, Served, run_pieces, serve};
use super::disk::Disk;
use super::disk::files::Files;
use super::event_loop::{ALARM, FIRST_SPECIAL, SIGNALS, WAKER};
use super::helper::Helper;
use super::listeners::Listeners;
use super::outgoing::Target;
use crate::base::id::ClientId;
use crate::base::limit::MESSAGES_US_PER_TURN;
use crate::base::time::Now;
use crate::config::{Config, Effect, OomScoreAdj};
use crate::engine::host::{Crash, Host, ProcessFacts, Request};
use crate::engine::{Engine, Job};
use crate::sys::clock::Ticks;
use crate::sys::file::error_text;
use crate::sys::title::Title;
use crate::sys::{alloc, memory, process};
use mio::{Events, Poll, Registry, Token};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

/// Events that a poll in the middle of a script takes.
const BREATH_EVENTS: usize = 256;

/// The real host.
pub struct ShellHost {
    /// What tells which sockets are ready.
    pub poll: Poll,
    /// The listening sockets.
    pub listeners: Listeners,
    /// The sockets of clients.
    pub connections: Connections,
    /// Connections that may have something to read.
    pub ready: VecDeque<ClientId>,
    /// Something happened while a script let others speak that only the loop can deal with.
    pub has_missed: bool,
    /// The thread that frees.
    pub helper: Helper,
    /// The threads of the disk.
    disk: Disk,
    registry: Registry,
    /// Room for what a poll in the middle of a script tells.
    breath_events: Option<Events>,
    ticks: Ticks,
    start: Instant,
    title: Option<Title>,
    config_file: Option<PathBuf>,
    oom_score_at_start: i32,
    /// The name under which the program was started.
    program: String,
}

impl ShellHost {
    /// A host with nothing open yet.
    pub fn new(
        poll: Poll,
        registry: Registry,
        threads: (Helper, Disk),
        title: Option<Title>,
        config_file: Option<PathBuf>,
        program: String,
    ) -> ShellHost {
        ShellHost {
            poll,
            listeners: Listeners::default(),
            connections: Connections::default(),
            ready: VecDeque::new(),
            has_missed: false,
            helper: threads.0,
            disk: threads.1,
            registry,
            breath_events: None,
            ticks: Ticks::new(),
            start: Instant::now(),
            title,
            config_file,
            oom_score_at_start: process::oom_score_adj().unwrap_or(0),
            program,
        }
    }

    /// Opens the listeners of a configuration.
    ///
    /// # Errors
    ///
    /// The text for the log.
    pub fn listen(&mut self, conf: &Config) -> Result<(), String> {
        self.listeners = Listeners::open(&self.registry, conf)?;
        Ok(())
    }

    /// Notes which connections and listeners are ready, and writes to those that take more, to `only` one if there is one: to all
    /// others at the next turn. True when there is something that only the loop can deal with.
    pub fn take_events(&mut self, engine: &mut Engine, events: &Events, only: Option<ClientId>) -> bool {
        let mut for_loop = false;
        for event in events {
            match event.token() {
                SIGNALS | WAKER | ALARM => for_loop = true,
                Token(token) if token >= FIRST_SPECIAL => self.listeners.note_ready(token),
                Token(token) => {
                    let id = ClientId::from_word(token as u64);
                    let Some(connection) = self.connections.get_mut(id) else { continue };
                    if connection.is_connecting {
                        self.finish_connecting(engine, id);
                    }
                    let Some(connection) = self.connections.get_mut(id) else { continue };
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        connection.read_to_end |= event.is_read_closed() || event.is_error();
                        if !std::mem::replace(&mut connection.is_ready, true) {
                            self.ready.push_back(id);
                        }
                    }
                    if event.is_writable() && std::mem::take(&mut connection.is_stuffed) {
                        match only.is_none_or(|only| only == id) {
                            true => self.connections.write(engine, id),
                            false => engine.write_later(id),
                        }
                    }
                }
            }
        }
        for_loop
    }

    /// Tells the engine what other threads have done.
    pub fn take_done(&mut self, engine: &mut Engine) {
        while let Some((target, found)) = self.helper.take_resolved() {
            self.connect_to(engine, &target, found);
        }
        while let Some((job, done)) = self.helper.take_done().or_else(|| self.disk.take_done()) {
            engine.completed(self, job, done);
        }
    }

    /// Hands a job to the thread that does it.
    pub fn hand_over(&self, job: Job) {
        match job {
            Job::Free(garbage, number) => self.helper.free(garbage, number),
            Job::File(number, job) => self.disk.do_file(number, job),
            Job::Close(_) | Job::Exit(_) | Job::Connect { .. } | Job::ReadOn(_) | Job::Gather(_) => {
                unreachable!("the loop does these itself")
            }
        }
    }

    /// A connection that was left is read again.
    pub fn read_on(&mut self, id: ClientId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !std::mem::replace(&mut connection.is_ready, true)
        {
            self.ready.push_back(id);
        }
    }

    /// Has what was propagated written to the log.
    pub fn write_log(&mut self, engine: &mut Engine) {
        engine.hand_over_log(self);
        while let Some((number, job)) = engine.poll_log_job() {
            if let Some(done) = self.disk.do_log(number, job) {
                // What the thread has done was asked for before.
                self.take_done(engine);
                engine.completed(self, number, done);
            }
        }
    }

    /// Closes the listeners, and waits until all is done that the disk was asked for.
    pub fn close(mut self) {
        self.listeners.close_all();
        self.disk.finish();
    }

    /// Accepts connections.
    pub fn accept(&mut self, engine: &mut Engine) {
        self.listeners.accept(&self.registry, engine, &mut self.connections, &mut self.ready);
    }

    /// Writes all replies; what they tell of was written to the log before.
    pub fn write_replies(&mut self, engine: &mut Engine) {
        while let Some(id) = engine.poll_output() {
            self.connections.write(engine, id);
        }
    }

    /// Writes messages to clients that did not ask for them just now, for a bounded time.
    pub fn write_messages(&mut self, engine: &mut Engine) {
        let mut end = None;
        while let Some(id) = engine.poll_message() {
            self.connections.write(engine, id);
            let now = self.ticks();
            if now > *end.get_or_insert(now + MESSAGES_US_PER_TURN * self.ticks_per_ms() / 1000) {
                break;
            }
        }
    }

    /// Shows the title of the process.
    pub fn show_title(&self, conf: &Config) {
        if let Some(title) = self.title.as_ref().filter(|_| conf.set_proc_title) {
            title.set(&self.render_title(conf));
        }
    }

    fn configure(&mut self, effect: Effect, conf: &mut Config) -> Result<(), String> {
        match effect {
            Effect::Port => self
                .listeners
                .reopen(&self.registry, conf)
                .map_err(|_| "Unable to listen on this port. Check server logs.".to_owned()),
            Effect::Bind => self
                .listeners
                .reopen(&self.registry, conf)
                .map_err(|_| "Failed to bind to specified addresses.".to_owned()),
            Effect::Dir => {
                env::set_current_dir(&conf.dir).map_err(|error| error_text(&error))?;
                conf.dir = env::current_dir().map_err(|e| error_text(&e))?.to_string_lossy().into_owned();
                Ok(())
            }
            Effect::MaxClients => {
                let wanted = u64::from(conf.maxclients) + crate::base::limit::RESERVED_DESCRIPTORS;
                let granted = process::raise_descriptors(wanted);
                if granted >= wanted {
                    return Ok(());
                }
                Err("The operating system is not able to handle the specified number of clients, try with "
                    .to_owned()
                    + &granted.saturating_sub(crate::base::limit::RESERVED_DESCRIPTORS).to_string())
            }
            Effect::OomScore => self.set_oom_score(conf),
            Effect::Locale => match process::set_collation(&conf.locale_collate) {
                true => Ok(()),
                false => Err("Invalid locale name".to_owned()),
            },
            Effect::ProcTitle => {
                self.show_title(conf);
                Ok(())
            }
            Effect::Log => {
                super::log::set_level(conf.loglevel);
                Ok(())
            }
            // The engine carries out all others by itself.
            _ => Ok(()),
        }
    }

    /// `proc-title-template` with its words filled in.
    fn render_title(&self, conf: &Config) -> String {
        let bind = conf.bind.first().map_or("*", |b| b.strip_prefix('-').unwrap_or(b));
        let listen = match conf.port {
            0 => format!("unixsocket:{}", conf.unixsocket),
            port => format!("{bind}:{port}"),
        };
        let mode = if conf.cluster_enabled { "[cluster]" } else { "" };
        let file = self.config_file.as_ref().map_or(String::new(), |f| f.to_string_lossy().into_owned());
        conf.proc_title_template
            .replace("{title}", &self.program)
            .replace("{listen-addr}", &listen)
            .replace("{server-mode}", mode)
            .replace("{port}", &conf.port.to_string())
            .replace("{tls-port}", "0")
            .replace("{unixsocket}", &conf.unixsocket)
            .replace("{config-file}", &file)
            .trim_end()
            .to_owned()
    }

    fn set_oom_score(&self, conf: &Config) -> Result<(), String> {
        let value = conf.oom_score_adj_values[0];
        let score = match conf.oom_score_adj {
            OomScoreAdj::No => self.oom_score_at_start,
            OomScoreAdj::Relative => self.oom_score_at_start + value,
            OomScoreAdj::Absolute => value,
        };
        if process::oom_score_adj().is_ok_and(|now| now == score) {
            return Ok(());
        }
        process::set_oom_score_adj(score.clamp(-1000, 1000)).map_err(|error| {
            log::warn!("Unable to write oom_score_adj: {error}");
            "Failed to apply new oom_score_adj configuration, check server logs.".to_owned()
        })
    }
}

impl Host for ShellHost {
    fn now(&mut self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { unix_us: unix.as_micros() as u64, mono_us: self.start.elapsed().as_micros() as u64 }
    }

    #[inline]
    fn ticks(&mut self) -> u64 {
        self.ticks.now()
    }

    fn ticks_per_ms(&self) -> u64 {
        self.ticks.per_ms()
    }

    fn random(&mut self) -> u64 {
        memory::random_word()
    }

    #[inline]
    fn allocated_bytes(&self) -> usize {
        alloc::allocated_bytes()
    }

    fn facts(&mut self) -> ProcessFacts {
        let (all, main) = (process::cpu_time(false), process::cpu_time(true));
        ProcessFacts {
            rss_bytes: memory::resident_bytes(),
            cpu_user_us: all.user_us,
            cpu_system_us: all.system_us,
            main_cpu_user_us: main.user_us,
            main_cpu_system_us: main.system_us,
            system_memory_bytes: memory::total_bytes(),
        }
    }

    fn apply(&mut self, request: Request<'_>) -> Result<String, String> {
        match request {
            Request::Configure(effect, conf) => self.configure(effect, conf).map(|()| String::new()),
            Request::ReadConfigFile => match &self.config_file {
                None => Err("The server is running without a config file".to_owned()),
                Some(path) => fs::read_to_string(path).map_err(|error| error_text(&error)),
            },
            Request::Exists(path) => fs::metadata(path).map(|_| String::new()).map_err(|e| error_text(&e)),
            Request::ReadFile(path, into) => {
                *into = fs::read(path).map_err(|error| error_text(&error))?;
                Ok(String::new())
            }
            Request::Disk(jobs, result) => {
                *result = Files::at_once(jobs);
                Ok(String::new())
            }
            Request::IsAlive(pid, lives) => {
                *lives = process::is_alive(pid);
                Ok(String::new())
            }
            Request::TellReady(supervised) => {
                super::supervisor::tell_ready(supervised);
                Ok(String::new())
            }
            Request::Sleep(us) => {
                std::thread::sleep(Duration::from_micros(us));
                Ok(String::new())
            }
            Request::ReleaseMemory => {
                memory::release();
                Ok(String::new())
            }
            Request::Crash(Crash::Segfault) => process::segfault(),
            Request::Crash(Crash::Panic) => panic!("DEBUG PANIC was asked for"),
        }
    }

    fn breathe(&mut self, engine: &mut Engine, wait_ms: u64) {
        self.write_log(engine);
        self.write_replies(engine);
        let may_sleep = self.ready.is_empty() && !self.listeners.has_waiting();
        let timeout = Duration::from_millis(if may_sleep { wait_ms } else { 0 });
        let mut events = self.breath_events.take().unwrap_or_else(|| Events::with_capacity(BREATH_EVENTS));
        if let Err(error) = self.poll.poll(&mut events, Some(timeout)) {
            log::debug!("poll in the middle of a script: {error}");
        }
        let (now, ticks) = (self.now(), self.ticks());
        engine.set_now(now, ticks);
        self.has_missed |= self.take_events(engine, &events, None);
        self.breath_events = Some(events);
        // The client whose command waits is being served already, so it is in no list; it comes first. What follows from
        // what it says comes before the others, too.
        if let Some(id) = engine.busy_client().filter(|_| wait_ms > 0) {
            let heard = |engine: &Engine| engine.client(id).map(|client| (client.bytes_in, client.state));
            let before = heard(engine);
            serve(engine, self, id);
            if heard(engine) != before {
                return;
            }
        }
        self.accept(engine);
        self.take_done(engine);
        while let Some(job) = engine.poll_job_while_busy() {
            self.hand_over(job);
        }
        run_pieces(engine, self);
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            if serve(engine, self, id) == Served::More {
                self.ready.push_back(id);
            }
        }
        self.write_log(engine);
        self.write_replies(engine);
        self.write_messages(engine);
    }

    fn attend(&mut self, engine: &mut Engine, id: ClientId, wait_ms: u64) {
        if let Some(Job::Connect { id, host, port, source }) = engine.poll_connect(id) {
            self.connect(engine, Target { id, host, port, source });
        }
        self.connections.write(engine, id);
        let is_ready = self.connections.get_mut(id).is_some_and(|connection| connection.is_ready);
        let timeout = Duration::from_millis(if is_ready { 0 } else { wait_ms });
        let mut events = self.breath_events.take().unwrap_or_else(|| Events::with_capacity(BREATH_EVENTS));
        if let Err(error) = self.poll.poll(&mut events, Some(timeout)) {
            log::debug!("poll in the middle of a command: {error}");
        }
        let (now, ticks) = (self.now(), self.ticks());
        engine.set_now(now, ticks);
        self.has_missed |= self.take_events(engine, &events, Some(id));
        self.breath_events = Some(events);
        while let Some((target, found)) = self.helper.take_resolved() {
            self.connect_to(engine, &target, found);
        }
        if self.connections.get_mut(id).is_some_and(|connection| connection.is_ready) {
            serve(engine, self, id);
        }
    }
}
