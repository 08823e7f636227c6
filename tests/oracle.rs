//! The transcripts, replayed against a real Redis: `WATERWHEEL_ORACLE=path/to/redis-server cargo test --test oracle`. Those of
//! what Redis 8.0 does not know, `newer-8.6.txt`, are replayed against Redis 8.6, which `WATERWHEEL_ORACLE86` names.
//!
//! Without the variables nothing is done. The feed is not compared, for Redis has none that can be seen. A reply that is
//! meant to be another one stands in tests/oracle/explained.txt, for Redis 8.6 in explained-8.6.txt: what the transcript has, what Redis says (both may
//! have a `*`), and why, with ` || ` between them. A row that explains nothing is an error.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers and reads files"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::peer::Peer;
use support::reply::Resp;
use support::transcript::{self, Action, Block, Scene, matches, one_line};
use waterwheel::resp::reply::encode_request;

/// How long a client that is owed a reply is waited for.
const PATIENCE: Duration = Duration::from_millis(400);

/// After so long without a word nothing more is expected of a client that is owed none.
const QUIET: Duration = Duration::from_millis(8);

#[test]
fn redis_gives_the_replies_of_the_transcripts() {
    // What is newer than the peer is compared with a newer one.
    compare_transcripts("WATERWHEEL_ORACLE", "explained.txt", |name| !name.starts_with("newer"));
}

#[test]
fn redis_86_gives_the_replies_of_what_is_newer() {
    compare_transcripts("WATERWHEEL_ORACLE86", "explained-8.6.txt", |name| name == "newer-8.6.txt");
}

/// Plays the transcripts of these names against the server that a variable names, and compares its replies but for those that
/// stand in a file of explanations.
fn compare_transcripts(variable: &str, explained: &str, is_wanted: fn(&str) -> bool) {
    let Some(program) = std::env::var_os(variable) else {
        println!("{variable} names no redis-server: nothing was compared");
        return;
    };
    let peer = Peer::start(&program.to_string_lossy());
    let path = format!("{}/tests/oracle/{explained}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(" || ").collect())
        .collect();
    let mut used = BTreeSet::new();
    let (mut wrong, mut replies) = (Vec::new(), 0);
    let left_out = peer.left_out("transcripts");
    for (name, transcript) in transcript::all().into_iter().filter(|(name, _)| is_wanted(name)) {
        for scene in &transcript.scenes {
            if left_out.contains(&format!("{}, {}", name.trim_end_matches(".txt"), title(scene)).as_str()) {
                continue;
            }
            for &version in &scene.versions {
                // A real server has a real clock: a scene that differs because a millisecond went by is played again.
                for is_last in [false, true] {
                    let mut replay = Replay::new(&peer, version);
                    let mut differences = Vec::new();
                    for block in &scene.blocks {
                        replies += replay.compare(block, &mut |ours, theirs| {
                            let row =
                                rows.iter().position(|row| matches(row[0], ours) && matches(row[1], theirs));
                            used.extend(row);
                            if row.is_none() {
                                differences.push(format!(
                                    "{name}, {}, resp {version}\n  we     {ours}\n  Redis  {theirs}",
                                    title(scene)
                                ));
                            }
                        });
                    }
                    if differences.is_empty() || is_last {
                        wrong.append(&mut differences);
                        break;
                    }
                }
            }
        }
    }
    let unused = (0..rows.len()).filter(|row| !used.contains(row));
    wrong.extend(unused.map(|row| format!("explains nothing: {}", rows[row].join(" || "))));
    println!("{replies} replies compared, {} rows of explained differences", rows.len());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

fn title(scene: &Scene) -> &str {
    scene.title.lines().next().unwrap_or_default()
}

/// A scene on its way through a real server.
struct Replay<'a> {
    peer: &'a Peer,
    version: u8,
    clients: BTreeMap<String, Connection>,
}

struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    closed: bool,
    /// What came in this block.
    lines: Vec<String>,
}

impl<'a> Replay<'a> {
    fn new(peer: &'a Peer, version: u8) -> Replay<'a> {
        // The connections of the scene before are gone when nobody else is listed.
        let deadline = Instant::now() + PATIENCE;
        while peer.ask(&["CLIENT", "LIST"]).matches("id=").count() > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        for request in [&["FLUSHALL"][..], &["CLIENT", "UNPAUSE"], &["SLOWLOG", "RESET"]] {
            peer.ask(request);
        }
        std::thread::sleep(Duration::from_millis(3));
        Replay { peer, version, clients: BTreeMap::new() }
    }

    /// Plays a block and tells of each line that is not as expected; returns how many were.
    fn compare(&mut self, block: &Block, differs: &mut dyn FnMut(&str, &str)) -> usize {
        let expected = block.expected(self.version);
        let owed = |client: &str| expected.iter().filter(|l| l.split(": ").next() == Some(client)).count();
        for action in &block.actions {
            match action {
                Action::Send(client, requests, _) => {
                    let mut bytes = Vec::new();
                    requests.iter().for_each(|words| encode_request(words, &mut bytes));
                    let count = requests.len();
                    let connection = self.connect(client);
                    connection.send(&bytes);
                    let all = owed(client);
                    let begun = connection.lines.len();
                    connection.gather((begun + count).min(all), Duration::from_millis(60));
                }
                Action::SendBytes(client, bytes) => {
                    let connection = self.connect(client);
                    connection.send(bytes);
                    connection.gather(usize::MAX, Duration::from_millis(20));
                }
                Action::Wait(ms) => std::thread::sleep(Duration::from_millis(*ms)),
                Action::Leave(client) => drop(self.clients.remove(client)),
            }
        }
        let mut compared = 0;
        for (client, connection) in &mut self.clients {
            connection.gather(owed(client), PATIENCE);
            connection.gather(usize::MAX, QUIET);
            let lines: Vec<String> =
                connection.lines.drain(..).map(|line| format!("{client}: {line}")).collect();
            let expected: Vec<&String> =
                expected.iter().filter(|l| l.split(": ").next() == Some(client)).collect();
            for at in 0..lines.len().max(expected.len()) {
                let ours = expected.get(at).map_or("(nothing)", |line| line.as_str());
                let theirs = lines.get(at).map_or("(nothing)", |line| line.as_str());
                compared += 1;
                if !matches(ours, theirs) {
                    differs(ours, theirs);
                }
            }
        }
        self.clients.retain(|_, connection| !connection.closed);
        compared
    }

    fn connect(&mut self, client: &str) -> &mut Connection {
        let is_gone = self.clients.get_mut(client).is_some_and(|connection| {
            connection.gather(usize::MAX, Duration::from_millis(1));
            connection.closed
        });
        let lines = if is_gone { self.clients.remove(client).map(|gone| gone.lines) } else { None };
        let (peer, version) = (self.peer, self.version);
        self.clients.entry(client.to_owned()).or_insert_with(|| {
            let socket = peer.connect();
            let mut connection = Connection { socket, buffer: Vec::new(), closed: false, lines: Vec::new() };
            if version == 3 {
                connection.send(b"HELLO 3\r\n");
                connection.gather(1, PATIENCE);
            }
            connection.lines = lines.unwrap_or_default();
            connection
        })
    }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) {
        // Who is closed meanwhile is seen when it is read.
        let _ = self.socket.write_all(bytes);
    }

    /// Reads until there are so many lines, or until nothing comes for so long.
    fn gather(&mut self, lines: usize, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).expect("a time-out can be set");
        let mut piece = [0; 65536];
        while self.lines.len() < lines && !self.closed {
            match self.socket.read(&mut piece) {
                Ok(0) => self.close(),
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
                Err(_) => self.close(),
            }
            while let Some((reply, len)) = Resp::first(&self.buffer).filter(|(_, len)| *len > 0) {
                self.buffer.drain(..len);
                self.lines.insert(self.lines.len() - usize::from(self.closed), one_line(&reply));
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.lines.push("(closed)".to_owned());
    }
}
