//! Nobody is left, and nothing of them: after a wild mix of clients a server says of itself what a fresh one says.
//!
//! Five clients take random steps (those of `tests/oracle/run --clients --kills`): they wait, watch, listen, cache, queue,
//! run scripts, leave and end each other. Beside them some monitor, stop reading, or leave in the middle of a request.
//! Then all leave, all keys go, and the fields of INFO that count clients, keys and memory have to be those of before.
//! Played in the world of the tests, and with the real binary over real sockets, which must not be busy thereafter.
//!
//! `EPISODES=n SEED=n` for more, and for others.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts a server and reads the environment"
)]

#[path = "oracle/steps.rs"]
#[allow(dead_code, reason = "the oracle also shows steps and reads them")]
mod steps;
mod support;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use steps::{CLIENTS, Step};
use support::World;
use support::peer::Peer;
use waterwheel::resp::reply::encode_request;

/// Fields that have to be the same again.
const SAME: &[&str] = &[
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
    "tracking_total_items",
    "tracking_total_prefixes",
    "number_of_cached_scripts",
    "number_of_functions",
    "lazyfree_pending_objects",
    "mem_clients_slaves",
    "mem_overhead_db_hashtable_rehashing",
    "io_thread_0",
];

/// Fields that may be larger by so many bytes: tables keep some room, and so do the buffers of the one that asks.
const NEAR: &[(&str, u64)] =
    &[("mem_clients_normal", 16 << 10), ("used_memory", 192 << 10), ("used_memory_overhead", 64 << 10)];

/// The largest part of a processor that a server may take for nobody.
const IDLE_PERCENT_MAX: f64 = 30.0;

/// Where clients can connect.
trait Place {
    /// A client sends bytes; it connects when it is not there.
    fn send(&mut self, client: usize, bytes: &[u8]);
    /// A client leaves.
    fn leave(&mut self, client: usize);
    /// The id of a client, which connects when it is not there.
    fn id(&mut self, client: usize) -> String;
    /// Who connected first, and stays, asks something.
    fn ask(&mut self, line: &str) -> String;
    /// Some milliseconds go by.
    fn wait(&mut self, ms: u64);
    /// Clients read what they were sent, all but the last of them.
    fn read(&mut self);
}

/// Clients behind those that take steps: they monitor, do not read, and send half a request.
const MONITOR: usize = CLIENTS;
const GREEDY: usize = CLIENTS + 1;
const HALF: usize = CLIENTS + 2;
const ALL: usize = CLIENTS + 3;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn encoded(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requests.iter().for_each(|words| encode_request(words, &mut bytes));
    bytes
}

/// Lets all clients do what they want, and leave.
fn play(place: &mut impl Place, episodes: u64, seed: u64) {
    let fresh = {
        empty(place);
        state(place)
    };
    place.ask(
        "CONFIG SET client-output-buffer-limit 'normal 300000 0 0 pubsub 100000 0 0 replica 300000 0 0'",
    );
    for episode in 0..episodes {
        place.ask(&format!("SET big {}", "x".repeat(60_000)));
        place.send(MONITOR, b"MONITOR\r\n");
        place.send(GREEDY, &b"GET big\r\n".repeat(400));
        place.send(HALF, b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100000\r\nthe beginning");
        for step in steps::draw(seed + episode, true) {
            take(place, &step);
        }
        if episode % 2 == 0 {
            place.send(0, b"CLIENT REPLY OFF\r\nQUIT\r\nPING\r\n");
            place.send(1, b"MULTI\r\nSET k1 v\r\n");
        }
        (0..ALL).for_each(|client| place.leave(client));
    }
    empty(place);
    let begun = Instant::now();
    loop {
        place.wait(20);
        let now = state(place);
        let wrong = differences(&fresh, &now);
        if wrong.is_empty() {
            return;
        }
        let list = place.ask("CLIENT LIST");
        assert!(begun.elapsed() < Duration::from_secs(5), "not as in the beginning: {wrong:#?}\n{list}");
    }
}

fn take(place: &mut impl Place, step: &Step) {
    let mut requests = step.requests.clone();
    for word in requests.iter_mut().flatten() {
        if let [b'@', number @ b'0'..=b'9'] = word.as_slice() {
            let client = usize::from(number - b'0');
            *word = place.id(client).into_bytes();
        }
    }
    place.send(step.client, &encoded(&requests));
    if step.leaves {
        place.leave(step.client);
    }
    place.read();
}

/// Nothing remains of data, scripts and settings.
fn empty(place: &mut impl Place) {
    for line in [
        "EVAL 'return 1' 0",
        "FLUSHALL SYNC",
        "SCRIPT FLUSH SYNC",
        "FUNCTION FLUSH SYNC",
        "CONFIG SET notify-keyspace-events ''",
        "CONFIG SET client-output-buffer-limit 'normal 0 0 0 pubsub 0 0 0'",
        "CONFIG RESETSTAT",
        "LATENCY RESET",
        "SLOWLOG RESET",
        "ACL LOG RESET",
        "MEMORY PURGE",
    ] {
        place.ask(line);
        place.wait(1);
    }
}

fn state(place: &mut impl Place) -> BTreeMap<String, String> {
    let info = place.ask("INFO everything");
    let fields = info.split("\\r\\n").filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn differences(fresh: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in SAME {
        let part =
            |state: &BTreeMap<String, String>| state[*name].split(',').next().unwrap_or_default().to_owned();
        if part(fresh) != part(now) {
            wrong.push(format!("{name}: {} was {}", now[*name], fresh[*name]));
        }
    }
    for (name, margin) in NEAR {
        let bytes =
            |state: &BTreeMap<String, String>| state[*name].parse::<u64>().expect("a number of bytes");
        if bytes(now) > bytes(fresh) + margin {
            wrong.push(format!("{name}: {} was {}", now[*name], fresh[*name]));
        }
    }
    wrong
}

/// The world of the tests.
impl Place for World {
    fn send(&mut self, client: usize, bytes: &[u8]) {
        if client == GREEDY {
            self.stop_reading("c6");
        }
        self.send_bytes(&format!("c{client}"), bytes);
        self.received(&format!("c{client}"));
        self.model_memory();
    }

    fn leave(&mut self, client: usize) {
        self.disconnect(&format!("c{client}"));
    }

    fn id(&mut self, client: usize) -> String {
        let id = self.id_of(&format!("c{client}"));
        self.engine.client(id).map_or(0, |client| client.id).to_string()
    }

    fn ask(&mut self, line: &str) -> String {
        self.model_memory();
        self.run_as("asks", line)
    }

    fn wait(&mut self, ms: u64) {
        self.advance_ms(ms);
    }

    fn read(&mut self) {
        for client in 0..CLIENTS {
            let name = format!("c{client}");
            if self.is_connected(&name) {
                self.received(&name);
            }
        }
        self.advance_ms(40);
    }
}

/// The real binary.
struct Sockets {
    peer: Peer,
    control: TcpStream,
    clients: [Option<(TcpStream, String)>; ALL],
}

impl Sockets {
    fn start() -> Sockets {
        let peer = Peer::start(env!("CARGO_BIN_EXE_waterwheel"));
        let control = peer.connect();
        Sockets { peer, control, clients: std::array::from_fn(|_| None) }
    }

    fn client(&mut self, client: usize) -> &mut (TcpStream, String) {
        let peer = &self.peer;
        self.clients[client].get_or_insert_with(|| {
            let mut socket = peer.connect();
            let id = exchange(&mut socket, "CLIENT ID").replace("(integer) ", "");
            socket.set_nonblocking(true).expect("a socket can be so");
            (socket, id)
        })
    }

    /// Seconds of a processor that the server has used.
    fn cpu_s(&mut self) -> f64 {
        let state = state(self);
        let field = |name: &str| state[name].parse::<f64>().expect("a number of seconds");
        field("used_cpu_sys") + field("used_cpu_user")
    }
}

impl Place for Sockets {
    fn send(&mut self, client: usize, bytes: &[u8]) {
        // Who was closed meanwhile comes again with the next step.
        if self.client(client).0.write_all(bytes).is_err() {
            self.clients[client] = None;
        }
    }

    fn leave(&mut self, client: usize) {
        self.clients[client] = None;
    }

    fn id(&mut self, client: usize) -> String {
        self.client(client).1.clone()
    }

    fn ask(&mut self, line: &str) -> String {
        exchange(&mut self.control, line)
    }

    fn wait(&mut self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn read(&mut self) {
        self.ask("PING");
        let mut piece = [0; 65536];
        for slot in &mut self.clients[..CLIENTS] {
            let Some((socket, _)) = slot else { continue };
            loop {
                match socket.read(&mut piece) {
                    Ok(n) if n > 0 => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    _ => {
                        *slot = None;
                        break;
                    }
                }
            }
        }
    }
}

/// Asks over a socket, and waits for the reply.
fn exchange(socket: &mut TcpStream, line: &str) -> String {
    let words = waterwheel::base::quote::split_args(line.as_bytes()).expect("quotes are closed");
    socket.write_all(&encoded(&[words])).expect("the server reads");
    let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
    loop {
        let n = socket.read(&mut piece).expect("the server answers");
        assert_ne!(n, 0, "the server is gone");
        bytes.extend_from_slice(&piece[..n]);
        if let Some((reply, _)) = support::reply::Resp::first(&bytes) {
            return reply.shown();
        }
    }
}

#[test]
fn nothing_is_left_of_clients_in_a_world() {
    let mut world = World::new();
    play(&mut world, number("EPISODES").unwrap_or(60), number("SEED").unwrap_or(1));
}

#[test]
fn nothing_is_left_of_clients_in_the_real_server() {
    let mut sockets = Sockets::start();
    play(&mut sockets, number("EPISODES").unwrap_or(60), number("SEED").unwrap_or(1));
    let (before, begun) = (sockets.cpu_s(), Instant::now());
    sockets.wait(400);
    let percent = (sockets.cpu_s() - before) / begun.elapsed().as_secs_f64() * 100.0;
    assert!(percent < IDLE_PERCENT_MAX, "the server takes {percent:.0} % of a processor for nobody");
}
