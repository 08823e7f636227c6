//! Another server: a program that is started on a free port, and ended by its process id.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers and reads files"
)]

use super::encoded;
use super::reply::Resp;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use waterwheel::resp::reply::encode_request;

/// A server of those that `tests/peers/prepare` builds; none, and a note, where it is not there.
pub fn built(name: &str) -> Option<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let peers = std::env::var("PEERS").unwrap_or_else(|_| format!("{home}/.cache/waterwheel-peers"));
    let path = format!("{peers}/{name}");
    let is_there = PathBuf::from(&path).exists();
    if !is_there {
        println!("note: left out, for it is not built here: {name}");
    }
    is_there.then_some(path)
}

/// A server of our own, in a folder of its own.
pub struct Peer {
    program: String,
    arguments: Vec<String>,
    port: u16,
    child: Child,
    folder: PathBuf,
}

impl Peer {
    /// Starts a program that takes the arguments of a redis-server.
    pub fn start(program: &str) -> Peer {
        Peer::start_with(program, &[])
    }

    /// As [`Peer::start`], with more arguments.
    pub fn start_with(program: &str, arguments: &[&str]) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let folder = std::env::temp_dir().join(format!("waterwheel-peer-{port}"));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = spawn(program, port, &folder, &arguments);
        let peer = Peer { program: program.to_owned(), arguments, port, child, folder };
        peer.await_ready();
        peer
    }

    /// Ends it as a crash would, and starts it again: what it held and did not save is lost.
    pub fn restart(&mut self) {
        self.end();
        self.start_again(true);
    }

    /// Starts it again after it has ended; `awaits` says that it has to take connections.
    pub fn start_again(&mut self, awaits: bool) {
        self.child = spawn(&self.program, self.port, &self.folder, &self.arguments);
        if awaits {
            self.await_ready();
        }
    }

    /// Adds arguments for the next start.
    pub fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
    }

    /// Takes other arguments for the next start.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is a child of ours").is_some()
    }

    /// Its working directory.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended, and gives its exit code, if it was not killed.
    pub fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child of ours") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "{} does not end", self.program);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "{} does not answer", self.program);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it runs.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A new connection.
    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the server accepts");
        socket.set_nodelay(true).expect("a socket has this option");
        socket
    }

    /// Asks over a connection of its own, and gives the reply as redis-cli shows it.
    pub fn ask(&self, words: &[&str]) -> String {
        let mut socket = self.connect();
        let (mut request, mut buffer, mut piece) = (Vec::new(), Vec::new(), [0; 65536]);
        encode_request(words, &mut request);
        socket.write_all(&request).expect("a request can be sent");
        loop {
            let n = socket.read(&mut piece).expect("a reply can be read");
            buffer.extend_from_slice(&piece[..n]);
            if let Some((reply, _)) = Resp::first(&buffer) {
                return reply.shown();
            }
            assert!(n > 0, "the server went away");
        }
    }

    /// What a part of the tests leaves out with this Redis, because it is older than the reference: tests/peers/lower.tsv.
    pub fn left_out(&self, part: &str) -> Vec<&'static str> {
        let number = |version: &str| {
            let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
            parts
        };
        let info = self.ask(&["INFO", "server"]);
        let here = info.split("redis_version:").nth(1).and_then(|rest| rest.split("\\r").next());
        let here = here.expect("INFO shows a version");
        let mut left_out = Vec::new();
        for row in include_str!("../peers/lower.tsv").lines().filter(|row| !row.starts_with('#')) {
            let cells: Vec<&str> = row.split('\t').collect();
            if cells[1] == part && number(here) < number(cells[0]) {
                println!("note: left out, for Redis is {here} here: {}: {}", cells[2], cells[3]);
                left_out.push(cells[2]);
            }
        }
        left_out
    }

    /// Ends it as a crash would.
    pub fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request whose words are separated by one space each.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// A connection that waits for its replies.
pub struct Connection(TcpStream);

impl Connection {
    /// A new connection to a server.
    pub fn new(peer: &Peer) -> Connection {
        let socket = peer.connect();
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out can be set");
        Connection(socket)
    }

    /// Sends requests at once, and gives a reply each.
    pub fn ask(&mut self, requests: &[Vec<Vec<u8>>]) -> Vec<Resp> {
        self.try_ask(requests).unwrap_or_else(|| panic!("the server went away at {requests:?}"))
    }

    /// As [`Connection::ask`]; none when the server went away.
    pub fn try_ask(&mut self, requests: &[Vec<Vec<u8>>]) -> Option<Vec<Resp>> {
        self.0.write_all(&encoded(requests)).ok()?;
        let (mut bytes, mut piece, mut replies) = (Vec::new(), [0; 65536], Vec::new());
        while replies.len() < requests.len() {
            let n = self.0.read(&mut piece).ok().filter(|n| *n > 0)?;
            bytes.extend_from_slice(&piece[..n]);
            while let Some((reply, len)) = Resp::first(&bytes).filter(|(_, len)| *len > 0) {
                replies.push(reply);
                bytes.drain(..len);
            }
        }
        Some(replies)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(program: &str, port: u16, folder: &PathBuf, arguments: &[String]) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log can be written");
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--enable-debug-command", "yes", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdout(log)
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} cannot be started: {e}"))
}
