//! Connections that listen: to channels, to what happens to keys, to what their caches have to forget, and one that
//! monitors all the others.
//!
//! They stand beside the connections that send the random commands. After a batch each of them asks for something,
//! then for a word of its own; all that both servers have sent it until that word has to be the same. The order is
//! compared of what has one: messages for two patterns come in the order of a hash table, and of keys that caches have
//! to forget Redis tells by tables of its own. Of what a monitor is shown, time and address are left out. A message that a key has expired comes when each server has time.

use crate::support::peer::Peer;
use crate::support::reply::extent;
use crate::support::requests::{Lives, Requests};
use crate::support::templates::Template;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use waterwheel::resp::reply::encode_request;

const fn t(weight: u32, text: &'static str) -> Template {
    Template { weight, text }
}

/// What connections send that do not listen.
pub const PUBLISHING: &[Template] = &[
    t(8, "PUBLISH <key> <value>"),
    t(8, "SPUBLISH <key> <value>"),
    t(1, "PUBSUB SHARDCHANNELS (|<pattern>)"),
    t(1, "PUBSUB SHARDNUMSUB (|<keys>)"),
    t(2, "CONFIG SET notify-keyspace-events (KEA|KEA|Kg$|Elshz|KEnm)"),
];

/// What every listener may ask for.
const SUBSCRIBING: &[Template] = &[
    t(8, "SUBSCRIBE <keys>"),
    t(6, "PSUBSCRIBE <pattern>"),
    t(6, "SSUBSCRIBE <key>"),
    t(3, "UNSUBSCRIBE <key>"),
    t(4, "PUNSUBSCRIBE <pattern>"),
    t(3, "SUNSUBSCRIBE <key>"),
    t(2, "SUBSCRIBE (__keyevent@0__:set|__keyevent@0__:del|__keyspace@0__:k1|__keyevent@1__:hset)"),
    t(1, "PSUBSCRIBE (__keyspace@0__:*|__key*__:z*|__keyevent@?__:*)"),
    t(2, "PUNSUBSCRIBE (__keyspace@0__:*|__key*__:z*|__keyevent@?__:*)"),
    t(2, "PING (|<value>)"),
    t(2, "GET <key>"),
];

/// What only those of version 3 ask for, which may go on asking while they listen.
const CACHING: &[Template] = &[
    t(4, "CLIENT TRACKING ON (|||NOLOOP|OPTIN|OPTOUT)"),
    t(3, "CLIENT TRACKING ON BCAST (|PREFIX k1|PREFIX t PREFIX z|NOLOOP)"),
    t(2, "CLIENT TRACKING OFF"),
    t(3, "CLIENT CACHING (YES|NO)"),
    t(2, "CLIENT TRACKINGINFO"),
    t(1, "CLIENT GETREDIR"),
    t(4, "CLIENT REPLY (ON|OFF|SKIP|SKIP)"),
    t(20, "GET <key>"),
    t(10, "MGET <keys>"),
    t(4, "HGET <hash> <field>"),
    t(4, "ZCARD <zkey>"),
    t(4, "SET <key> <value>"),
    t(4, "PUBLISH <key> <value>"),
];

/// Listeners of each server; every other one speaks version 3.
const COUNT: usize = 4;

/// The same listeners at both servers.
pub struct Listeners {
    pairs: Vec<[TcpStream; 2]>,
    monitors: [TcpStream; 2],
    /// What those of version 2 and of version 3 ask for.
    requests: [Requests; 2],
    /// Whether a listener has asked to be told of all keys with some beginning.
    has_prefixes: [bool; COUNT],
    steps: u64,
    /// Messages and answers that were compared.
    pub frames: u64,
    /// Requests that monitors were shown, and that were compared.
    pub monitored: u64,
}

/// What a listener was sent, by what can be compared.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    in_order: Vec<String>,
    of_patterns: Vec<String>,
    to_forget: Vec<String>,
}

impl Listeners {
    /// Connects them.
    pub fn new(seed: u64, keys: u64, theirs: &Peer, ours: &Peer) -> Listeners {
        let requests = |tables: &[&'static [Template]]| {
            let mut requests = Requests::new(!seed, Lives::Long, tables);
            requests.keys = keys;
            requests
        };
        let monitors = [theirs, ours].map(|peer| {
            let mut socket = peer.connect();
            socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has time-outs");
            frames_until(&mut socket, b"MONITOR\r\n", b"OK").expect("a server can be monitored");
            socket
        });
        let pairs = (0..COUNT).map(|_| [theirs.connect(), ours.connect()]).collect();
        let requests = [requests(&[SUBSCRIBING]), requests(&[SUBSCRIBING, CACHING])];
        let has_prefixes = [false; COUNT];
        let mut made =
            Listeners { pairs, monitors, requests, has_prefixes, steps: 0, frames: 0, monitored: 0 };
        made.begin_anew();
        made
    }

    /// They forget what they have asked for.
    pub fn begin_anew(&mut self) {
        self.has_prefixes = [false; COUNT];
        for (at, pair) in self.pairs.iter_mut().enumerate() {
            for socket in pair {
                socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has time-outs");
                let version: &[u8] = if at % 2 == 0 { b"2" } else { b"3" };
                let mut bytes = Vec::new();
                for words in [&[&b"RESET"[..]][..], &[b"HELLO", version], &[b"ECHO", b"begun"]] {
                    encode_request(words, &mut bytes);
                }
                let _ = frames_until(socket, &bytes, b"begun");
            }
        }
    }

    /// Each asks for something, and what it has heard until then is compared. What is different, if anything is.
    pub fn step(&mut self, compares: bool) -> Option<String> {
        self.steps += 1;
        let mark = |at: usize| format!("mark {}.{at}", self.steps);
        let mut different = None;
        for (at, pair) in self.pairs.iter_mut().enumerate() {
            let mark = mark(at);
            let requests = &mut self.requests[at % 2];
            let (mut bytes, mut asked) = (Vec::new(), String::new());
            for _ in 0..requests.rng.below(4) {
                let drawn = requests.draw();
                // Which of several subscriptions ends first is nobody's promise.
                if drawn.words.len() == 1 && drawn.words[0].to_ascii_uppercase().ends_with(b"UNSUBSCRIBE") {
                    continue;
                }
                self.has_prefixes[at] |= drawn.words.iter().any(|word| word.eq_ignore_ascii_case(b"BCAST"));
                encode_request(&drawn.words, &mut bytes);
                asked += &format!(" | {}", drawn.shown());
            }
            if at % 2 == 1 {
                encode_request(&["CLIENT", "REPLY", "ON"], &mut bytes);
            }
            encode_request(&["PING", &mark], &mut bytes);
            let [theirs, ours] = pair.each_mut().map(|socket| {
                let heard = frames_until(socket, &bytes, mark.as_bytes());
                heard.map(|frames| sorted_out(frames, self.has_prefixes[at]))
            });
            self.frames +=
                ours.as_ref().map_or(0, |heard| heard.in_order.len() + heard.of_patterns.len()) as u64;
            if compares && theirs != ours && different.is_none() {
                different = Some(format!("DIFFERENT: listener {at} after{asked}{}", told(theirs, ours)));
            }
        }
        // The last of the listeners has sent its mark in a request.
        let last = mark(COUNT - 1);
        let [theirs, ours] = self.monitors.each_mut().map(|socket| {
            let frames = frames_until(socket, b"", last.as_bytes())?;
            Some(Heard {
                in_order: frames.iter().map(|frame| monitored(frame)).collect(),
                ..Heard::default()
            })
        });
        self.monitored += ours.as_ref().map_or(0, |heard| heard.in_order.len()) as u64;
        if compares && theirs != ours && different.is_none() {
            different = Some(format!("DIFFERENT: the monitor{}", told(theirs, ours)));
        }
        different
    }
}

/// What only one of two servers has sent, or that the order differs.
fn told(theirs: Option<Heard>, ours: Option<Heard>) -> String {
    let mut lines = String::new();
    let (Some(theirs), Some(ours)) = (theirs, ours) else { return "\n    one of them is gone".to_owned() };
    for (theirs, ours) in [
        (&theirs.in_order, &ours.in_order),
        (&theirs.of_patterns, &ours.of_patterns),
        (&theirs.to_forget, &ours.to_forget),
    ] {
        for (name, these, others) in [("Redis", theirs, ours), ("we", ours, theirs)] {
            let mut others = others.clone();
            for one in these {
                match others.iter().position(|other| other == one) {
                    Some(at) => drop(others.swap_remove(at)),
                    None => lines += &format!("\n    only {name}: {one}"),
                }
            }
        }
    }
    if !lines.is_empty() {
        return lines;
    }
    let turned = theirs.in_order.iter().zip(&ours.in_order).filter(|(a, b)| a != b).take(6);
    let turned = turned.map(|(a, b)| format!("\n    Redis {a}\n    we    {b}"));
    format!("\n    in another order{}", turned.collect::<String>())
}

/// Sends requests and reads all frames up to the one that holds a mark; none when the server is gone.
fn frames_until(socket: &mut TcpStream, bytes: &[u8], mark: &[u8]) -> Option<Vec<Vec<u8>>> {
    socket.write_all(bytes).ok()?;
    let (mut frames, mut buffer, mut piece) = (Vec::new(), Vec::new(), [0; 65536]);
    loop {
        let n = socket.read(&mut piece).ok().filter(|n| *n > 0)?;
        buffer.extend_from_slice(&piece[..n]);
        let mut at = 0;
        while at < buffer.len()
            && let Some(len) = extent(&buffer[at..])
        {
            let frame = buffer[at..at + len].to_vec();
            at += len;
            if frame.windows(mark.len()).any(|part| part == mark) {
                return Some(frames);
            }
            frames.push(frame);
        }
        buffer.drain(..at);
    }
}

/// What a monitor is shown, without time and address: the database, whether a script asks, and the request.
fn monitored(frame: &[u8]) -> String {
    let text = frame.escape_ascii().to_string();
    let parts = text.split_once(" [").and_then(|(_, rest)| rest.split_once("] "));
    let Some((place, request)) = parts else { return text };
    let db = place.split(' ').next().unwrap_or_default();
    format!("{db}{} {request}", if place.ends_with(" lua") { " lua" } else { "" })
}

fn sorted_out(frames: Vec<Vec<u8>>, has_prefixes: bool) -> Heard {
    let mut heard = Heard::default();
    for frame in frames {
        let text = frame.escape_ascii().to_string();
        if text.contains("expired\\r\\n") {
            continue;
        }
        if text.contains("$8\\r\\npmessage\\r\\n") {
            heard.of_patterns.push(text);
        } else if let Some(keys) = text.strip_prefix(">2\\r\\n$10\\r\\ninvalidate\\r\\n") {
            // After the number of keys, each stands behind its length.
            heard
                .to_forget
                .extend(keys.split("\\r\\n").map(str::to_owned).filter(|part| !part.starts_with(['*', '$'])));
        } else {
            heard.in_order.push(text);
        }
    }
    heard.of_patterns.sort_unstable();
    heard.to_forget.sort_unstable();
    // One turn of a server tells of all such keys at once, and where a turn ends is nobody's promise.
    if has_prefixes {
        heard.to_forget.dedup();
    }
    heard
}
