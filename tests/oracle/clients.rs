//! Five clients at once, at Waterwheel and at a real Redis: they wait, watch, listen, cache, end each other and leave.
//!
//! `tests/oracle/run --clients` starts it. In each step one client sends some requests in one write, to both servers,
//! and nobody goes on before both are quiet: another connection has asked several times, and no time-out is in force
//! any more. Then all that each client was sent has to be the same, pushed messages included, and so has what INFO and
//! CLIENT LIST say of the clients. At the end of an episode the datasets are compared.
//!
//! An episode that differs is played again without one step or request after the other, as long as anything differs; the
//! shortest one is shown, in a form that `--replay FILE` plays (`-` is the standard input).
//!
//! What is not compared: in which order a server tells of keys that caches have to forget and where in between, and
//! messages for several patterns.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers and reads clocks"
)]

mod steps;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use steps::{CLIENTS, Step};
use support::peer::Peer;
use support::reply::{Resp, extent};
use waterwheel::resp::reply::encode_request;

/// How often a server is asked before what it had to do counts as done.
const ROUNDS: usize = 3;

/// How long a client that has left may still be there.
const PATIENCE: Duration = Duration::from_secs(2);

/// New processes that have to differ in the same way.
const RESTARTS: usize = 5;

/// The longest search for a shorter episode.
const SHRINKING: Duration = Duration::from_secs(40);

/// Fields of INFO that have to be the same after every step.
const FIELDS: &[&str] = &[
    "connected_clients",
    "blocked_clients",
    "tracking_clients",
    "pubsub_clients",
    "watching_clients",
    "clients_in_timeout_table",
    "total_watched_keys",
    "total_blocking_keys",
    "total_blocking_keys_on_nokey",
    "pubsub_channels",
    "pubsub_patterns",
    "pubsubshard_channels",
    "tracking_total_keys",
    "tracking_total_prefixes",
    "total_error_replies",
    "expired_keys",
];

/// Fields of CLIENT LIST that have to be the same after every step.
const OF_CLIENTS: &[&str] =
    &["id", "name", "db", "sub", "psub", "ssub", "multi", "watch", "flags", "cmd", "user", "redir", "resp"];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seconds, mut seed, mut kills, mut episodes) = (20, 1, false, u64::MAX);
    let (mut replay, mut programs) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().expect("a value follows");
        let number = |text: String| text.parse().expect("a number follows");
        match argument.as_str() {
            "--seconds" => seconds = number(next()),
            "--seed" => seed = number(next()),
            "--episodes" => episodes = number(next()),
            "--kills" => kills = true,
            "--replay" => replay = Some(next()),
            _ => programs.push(argument),
        }
    }
    let [theirs, ours] = programs.as_slice() else {
        eprintln!(
            "usage: tests/oracle/run --clients [--kills] [--seconds N] [--seed S] [--episodes N] [--replay FILE] \
             [REFERENCE [WATERWHEEL]]"
        );
        return ExitCode::from(2);
    };
    let mut both = [Server::start(theirs), Server::start(ours)];
    if let Some(file) = replay {
        let file = if file == "-" { "/dev/stdin" } else { &file };
        let text = std::fs::read_to_string(file).expect("the file can be read");
        let different = play(&mut both, &Step::read(&text));
        println!("{}", different.as_deref().unwrap_or("no difference"));
        return if different.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let begun = Instant::now();
    let (mut played, mut steps, mut differences, mut once, mut chance, mut crashes) = (0, 0, 0, 0, 0, 0);
    while begun.elapsed().as_secs() < seconds && played < episodes && differences < 10 {
        let episode = steps::draw(seed + played, kills);
        played += 1;
        steps += episode.len();
        let Some(first) = play(&mut both, &episode) else { continue };
        if both[0].is_gone {
            crashes += 1;
            println!("seed {}: the reference crashed {first}", seed + played - 1);
            continue;
        }
        // What comes once only is the machine's: it was busy elsewhere for longer than a time-out.
        if play(&mut both, &episode).is_none() {
            once += 1;
            println!("seed {}: different once, and not again: {first}", seed + played - 1);
            continue;
        }
        let shortest = shortest(&mut both, episode);
        // In which order Redis serves the keys of databases that change places depends on the seed of its hashes.
        let by_chance = (0..RESTARTS).any(|_| {
            both.iter_mut().for_each(|server| server.is_gone = true);
            play(&mut both, &shortest).is_none()
        });
        if by_chance {
            chance += 1;
            println!("seed {}: not with every seed of the hashes: {first}", seed + played - 1);
            continue;
        }
        differences += 1;
        println!("DIFFERENT: seed {}, the shortest episode:", seed + played - 1);
        shortest.iter().for_each(|step| println!("    {}", step.shown().replace('\n', "\n    ")));
        println!("{}", play(&mut both, &shortest).unwrap_or_else(|| format!("not again; at first: {first}")));
    }
    println!(
        "seeds {seed} to {}: {steps} steps of {CLIENTS} clients in {:.0} s; {differences} differences, {once} that came \
         once, {chance} with some hashes only; the reference crashed {crashes} times",
        seed + played - 1,
        begun.elapsed().as_secs_f64()
    );
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays an episode on both servers, which begin with nothing. What is different, if anything is.
fn play(both: &mut [Server; 2], episode: &[Step]) -> Option<String> {
    both.iter_mut().for_each(Server::begin_anew);
    // Both give the same ids to those who come now.
    let [theirs, ours] = both.each_mut().map(|server| server.next_id());
    both[0].skip_ids(ours.saturating_sub(theirs));
    both[1].skip_ids(theirs.saturating_sub(ours));
    for step in episode {
        let heard = both.each_mut().map(|server| {
            let heard = server.take(step);
            server.is_gone |= heard.is_none();
            heard
        });
        let different = match &heard {
            [Some(theirs), Some(ours)] if theirs == ours => continue,
            [Some(theirs), Some(ours)] => told(theirs, ours),
            [None, _] => "    Redis is gone".to_owned(),
            [_, None] => format!("    we are gone; the end of the log:\n{}", tail(&both[1].peer.log())),
        };
        return Some(format!("after {}\n{different}", step.shown()));
    }
    let [theirs, ours] = both.each_mut().map(Server::dataset);
    if theirs != ours {
        return Some(format!("at the end\n    Redis {theirs:?}\n    we    {ours:?}"));
    }
    let remaining = both[1].await_departures()?;
    Some(format!("when all had left, there were still {remaining}"))
}

/// Leaves out what an episode does not need to be different.
fn shortest(both: &mut [Server; 2], mut episode: Vec<Step>) -> Vec<Step> {
    let begun = Instant::now();
    let mut piece = episode.len() / 2;
    while piece > 0 && begun.elapsed() < SHRINKING {
        let mut at = 0;
        while at < episode.len() && begun.elapsed() < SHRINKING {
            let mut without = episode.clone();
            without.drain(at..(at + piece).min(episode.len()));
            match play(both, &without) {
                Some(_) if !both[0].is_gone => episode = without,
                _ => at += piece,
            }
        }
        piece /= 2;
    }
    for step in (0..episode.len()).rev() {
        for request in (0..episode[step].requests.len()).rev() {
            let mut without = episode.clone();
            without[step].requests.remove(request);
            let has_any = !without[step].requests.is_empty() || without[step].leaves;
            if has_any && begun.elapsed() < SHRINKING && play(both, &without).is_some() && !both[0].is_gone {
                episode = without;
            }
        }
    }
    episode
}

/// What was heard after a step: lines of each client, and what the server says of them.
#[derive(Debug, PartialEq)]
struct Heard {
    of_clients: Vec<Vec<String>>,
    /// Keys that caches have to forget.
    to_forget: Vec<Vec<String>>,
    state: BTreeMap<String, String>,
}

fn told(theirs: &Heard, ours: &Heard) -> String {
    let mut text = String::new();
    let mut tell = |what: String, theirs: String, ours: String| {
        text += &format!("    {what}\n        Redis {theirs}\n        we    {ours}\n");
    };
    for at in 0..CLIENTS {
        let name = char::from(b'a' + at as u8);
        if theirs.of_clients[at] != ours.of_clients[at] {
            tell(name.to_string(), theirs.of_clients[at].join(" | "), ours.of_clients[at].join(" | "));
        }
        if theirs.to_forget[at] != ours.to_forget[at] {
            tell(
                format!("{name}, to forget"),
                theirs.to_forget[at].join(" | "),
                ours.to_forget[at].join(" | "),
            );
        }
    }
    for (name, theirs) in &theirs.state {
        let ours = ours.state.get(name).cloned().unwrap_or_default();
        if *theirs != ours {
            tell(name.clone(), theirs.clone(), ours);
        }
    }
    for (name, ours) in ours.state.iter().filter(|(name, _)| !theirs.state.contains_key(*name)) {
        tell(name.clone(), String::new(), ours.clone());
    }
    text.trim_end().to_owned()
}

/// A server and its clients.
struct Server {
    peer: Peer,
    control: TcpStream,
    clients: [Option<Client>; CLIENTS],
    /// What clients have heard who are gone.
    last_words: [Vec<u8>; CLIENTS],
    ids: [u64; CLIENTS],
    /// Whether somebody has asked to be told of all keys with some beginning.
    has_prefixes: bool,
    is_gone: bool,
}

struct Client {
    socket: TcpStream,
    /// Whether it was blocked after the last step: then it has requests before it that the server has not seen.
    waits: bool,
}

impl Server {
    fn start(program: &str) -> Server {
        let peer = Peer::start(program);
        let control = control(&peer);
        let clients = std::array::from_fn(|_| None);
        Server {
            peer,
            control,
            clients,
            last_words: Default::default(),
            ids: [0; CLIENTS],
            has_prefixes: false,
            is_gone: false,
        }
    }

    /// All clients leave, and the server forgets what they have done.
    fn begin_anew(&mut self) {
        if self.is_gone {
            self.peer.restart();
            self.control = control(&self.peer);
            self.is_gone = false;
        }
        self.last_words = Default::default();
        self.has_prefixes = false;
        let requests = [
            "FLUSHALL",
            "SWAPDB 0 1",
            "SCRIPT FLUSH",
            "FUNCTION FLUSH",
            "SELECT 0",
            "CONFIG SET notify-keyspace-events",
            "CONFIG RESETSTAT",
        ];
        self.await_departures();
        for request in requests {
            let mut words: Vec<&str> = request.split(' ').collect();
            if words.len() == 3 && words[0] == "CONFIG" {
                words.push("");
            }
            self.ask(&words);
        }
    }

    /// All clients leave. Who is still there after a while; such a server is started again.
    fn await_departures(&mut self) -> Option<String> {
        self.clients = std::array::from_fn(|_| None);
        let begun = Instant::now();
        loop {
            let list = self.ask(&["CLIENT", "LIST"])?.shown();
            if list.matches("id=").count() <= 1 {
                return None;
            }
            if begun.elapsed() > PATIENCE {
                self.is_gone = true;
                return Some(list);
            }
        }
    }

    fn ask(&mut self, words: &[&str]) -> Option<Resp> {
        let mut bytes = Vec::new();
        encode_request(words, &mut bytes);
        let reply = exchange(&mut self.control, &bytes);
        self.is_gone |= reply.is_none();
        reply
    }

    /// A client takes a step, and what all have heard then; none when the server is gone.
    fn take(&mut self, step: &Step) -> Option<Heard> {
        if self.clients[step.client].is_none() {
            self.connect(step.client)?;
        }
        let mut bytes = Vec::new();
        let waits = self.clients[step.client].as_ref().is_some_and(|client| client.waits);
        for words in step.requests.iter().filter(|words| !waits || words[0] != b"QUIT") {
            let words: Vec<Vec<u8>> = words.iter().map(|word| self.word(word)).collect();
            encode_request(&words, &mut bytes);
        }
        let client = self.clients[step.client].as_mut()?;
        self.has_prefixes |= bytes.windows(5).any(|part| part == b"BCAST");
        // Whom the server has closed is seen when it is read.
        let _ = client.socket.write_all(&bytes);
        if step.leaves {
            self.clients[step.client] = None;
        }
        let begun = Instant::now();
        loop {
            for _ in 0..ROUNDS {
                self.ask(&["ECHO", "quiet"])?;
            }
            let state = self.state()?;
            let is_flushing = |text: &String| text.contains("cmd=flush") && !text.contains("flags=N");
            let is_waiting = state.get("clients_in_timeout_table").is_some_and(|count| count != "0")
                || state.values().any(is_flushing);
            if !is_waiting || begun.elapsed().as_millis() > 500 {
                return Some(self.hear(state));
            }
            std::thread::sleep(Duration::from_millis(8));
        }
    }

    /// Connects a client; every other one speaks version 3 at first.
    fn connect(&mut self, at: usize) -> Option<()> {
        let mut socket = self.peer.connect();
        socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let Some(Resp::Int(id)) = exchange(&mut socket, b"CLIENT ID\r\n") else { return None };
        self.ids[at] = id as u64;
        if at % 2 == 1 {
            exchange(&mut socket, b"HELLO 3\r\n")?;
        }
        socket.set_nonblocking(true).ok()?;
        self.last_words[at].clear();
        self.clients[at] = Some(Client { socket, waits: false });
        Some(())
    }

    /// The id of one who comes and leaves.
    fn next_id(&self) -> u64 {
        match exchange(&mut self.peer.connect(), b"CLIENT ID\r\n") {
            Some(Resp::Int(id)) => id as u64,
            _ => 0,
        }
    }

    /// So many connect and leave.
    fn skip_ids(&self, count: u64) {
        for _ in 0..count {
            exchange(&mut self.peer.connect(), b"PING\r\n");
        }
    }

    /// A word of a request, with the id for the number of a client.
    fn word(&self, word: &[u8]) -> Vec<u8> {
        match word {
            [b'@', number @ b'0'..=b'9'] => self.ids[usize::from(number - b'0')].to_string().into_bytes(),
            _ => word.to_vec(),
        }
    }

    /// What INFO and CLIENT LIST say.
    fn state(&mut self) -> Option<BTreeMap<String, String>> {
        let (Resp::Bulk(info), Resp::Bulk(list)) = (self.ask(&["INFO"])?, self.ask(&["CLIENT", "LIST"])?)
        else {
            return None;
        };
        let (info, list) = (String::from_utf8_lossy(&info), String::from_utf8_lossy(&list));
        let mut state: BTreeMap<String, String> = info
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| FIELDS.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for line in list.lines() {
            let fields = line
                .split(' ')
                .filter(|field| field.split_once('=').is_some_and(|(name, _)| OF_CLIENTS.contains(&name)));
            let fields: Vec<&str> = fields.collect();
            let id = fields.first().copied().unwrap_or_default().to_owned();
            if fields.contains(&"cmd=client|list") {
                continue; // who asks
            }
            state.insert(format!("client {id}"), fields.join(" "));
        }
        Some(state)
    }

    /// What all clients have been sent.
    fn hear(&mut self, state: BTreeMap<String, String>) -> Heard {
        let (mut of_clients, mut all_to_forget, mut somebody_went_on) = (Vec::new(), Vec::new(), false);
        for at in 0..CLIENTS {
            let (mut lines, mut to_forget) = (Vec::new(), Vec::new());
            if let Some(client) = &mut self.clients[at] {
                let bytes = &mut self.last_words[at];
                let closed = read_all(&mut client.socket, bytes);
                sort_out(bytes, &mut lines, &mut to_forget);
                // One turn of a server tells of all such keys at once, and where a turn ends is nobody's promise.
                if self.has_prefixes {
                    to_forget.dedup();
                }
                let was_waiting = std::mem::replace(&mut client.waits, is_waiting(&state, self.ids[at]));
                somebody_went_on |= was_waiting && (!client.waits || !lines.is_empty());
                if closed {
                    lines.push("(closed)".to_owned());
                    self.clients[at] = None;
                    self.last_words[at].clear();
                }
            }
            of_clients.push(lines);
            all_to_forget.push(to_forget);
        }
        // Whether one who goes on to track, or to track no longer, does so before others are told: likewise.
        if self.has_prefixes && somebody_went_on {
            all_to_forget.iter_mut().for_each(Vec::clear);
        }
        Heard { of_clients, to_forget: all_to_forget, state }
    }

    /// All that is in the first two databases.
    fn dataset(&mut self) -> Option<Vec<String>> {
        let mut dataset = Vec::new();
        for db in ["0", "1"] {
            self.ask(&["SELECT", db])?;
            for key in ["l1", "l2", "l3", "z1", "z2", "s1", "s2", "k1", "k2"] {
                let Resp::Status(of) = self.ask(&["TYPE", key])? else { return None };
                let request: &[&str] = match of.as_str() {
                    "string" => &["GET", key],
                    "list" => &["LRANGE", key, "0", "-1"],
                    "zset" => &["ZRANGE", key, "0", "-1", "WITHSCORES"],
                    "stream" => &["XRANGE", key, "-", "+"],
                    _ => continue,
                };
                dataset.push(format!("{db} {key} {}", self.ask(request)?.shown().replace('\n', " ")));
                // Who has seen an entry when is left out: what is to be acknowledged, and by whom, is not.
                if of == "stream"
                    && let Resp::Array(groups) = self.ask(&["XINFO", "GROUPS", key])?
                {
                    dataset.extend(groups.iter().map(|group| group.shown().replace('\n', " ")));
                }
            }
        }
        self.ask(&["SELECT", "0"])?;
        Some(dataset)
    }
}

fn is_waiting(state: &BTreeMap<String, String>, id: u64) -> bool {
    state.get(&format!("client id={id}")).is_some_and(|fields| fields.contains("flags=b"))
}

fn control(peer: &Peer) -> TcpStream {
    let socket = peer.connect();
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has time-outs");
    socket
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Sends a request and reads its reply; none when the server is gone.
fn exchange(socket: &mut TcpStream, bytes: &[u8]) -> Option<Resp> {
    socket.write_all(bytes).ok()?;
    let (mut buffer, mut piece) = (Vec::new(), [0; 16384]);
    loop {
        let n = socket.read(&mut piece).ok().filter(|n| *n > 0)?;
        buffer.extend_from_slice(&piece[..n]);
        if let Some((reply, _)) = Resp::first(&buffer) {
            return Some(reply);
        }
    }
}

/// Reads what has come. True when nothing more will.
fn read_all(socket: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16384];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => return true,
            Ok(n) => into.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

/// Takes whole values out of a buffer: in order, but for keys to forget and for messages to several patterns.
fn sort_out(buffer: &mut Vec<u8>, lines: &mut Vec<String>, to_forget: &mut Vec<String>) {
    let mut at = 0;
    while at < buffer.len()
        && let Some(len) = extent(&buffer[at..])
    {
        let (value, _) = Resp::first(&buffer[at..]).expect("a value is whole");
        at += len;
        let parts = match &value {
            Resp::Push(parts) | Resp::Array(parts) => parts.as_slice(),
            _ => &[],
        };
        let is = |at: usize, text: &str| matches!(parts.get(at), Some(Resp::Bulk(word)) if word == text.as_bytes());
        if is(0, "invalidate") || is(0, "message") && is(1, "__redis__:invalidate") {
            match parts.last() {
                Some(Resp::Array(keys)) => to_forget.extend(keys.iter().map(Resp::shown)),
                _ => to_forget.push("all".to_owned()),
            }
        } else if is(0, "tracking-redir-broken") {
            to_forget.push("the one who was to be told is gone".to_owned());
        } else {
            let line = value.shown().replace('\n', " ");
            // HELLO tells the version and the modules.
            let line = if line.contains("\"standalone\"") { "hello".to_owned() } else { line };
            // The messages for several patterns follow each other: these are put in order.
            let before =
                lines.iter().rev().take_while(|other| is(0, "pmessage") && other.contains("\"pmessage\""));
            let place = lines.len() - before.take_while(|other| ***other > *line).count();
            lines.insert(place, line);
        }
    }
    buffer.drain(..at);
    to_forget.sort_unstable();
}
