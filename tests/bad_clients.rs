//! Clients that mean harm, or do not care, against the server as it is shipped; beside them one that only wants service.
//!
//! Whoever misbehaves gets Redis's error, or is closed with a line in the log; nobody else notices: a polite client
//! measures its latency all the while. Takes about half a minute and up to 20,000 descriptors, so it runs only when
//! asked for:
//!
//! ```text
//! cargo test --release --test bad_clients -- --ignored --nocapture
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts a server and connects to it"
)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use waterwheel::sys::process::raise_descriptors;

/// Clients that the server is told to take, if the system has descriptors for them.
const CLIENTS: u64 = 20_000;

/// How long the polite client may wait for a reply, save one in a hundred.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long it may ever wait. The machine of a test does other things, too.
const PATIENCE_MAX: Duration = Duration::from_millis(500);

struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
    maxclients: u64,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    fn start() -> Server {
        // Both ends of each connection are on this machine, and each process has its own limit.
        let maxclients = raise_descriptors(CLIENTS + 200).saturating_sub(200).min(CLIENTS);
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a port is free")
            .local_addr()
            .expect("it is bound")
            .port();
        let folder = std::env::temp_dir().join(format!("waterwheel-bad-clients-{port}"));
        fs::create_dir_all(&folder).expect("the folder can be made");
        let child = Command::new(env!("CARGO_BIN_EXE_waterwheel"))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--logfile", "log"])
            .args(["--maxclients", &maxclients.to_string(), "--loglevel", "verbose"])
            .args(["--client-output-buffer-limit", "normal 8mb 0 0", "--dir"])
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Server { child, port, folder, maxclients };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the server does not listen: {}", server.log());
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn connect(&self) -> Client {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the server accepts");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("the time-out is legal");
        socket.set_nodelay(true).expect("the option is known");
        Client(socket)
    }

    /// A field of INFO.
    fn info(&self, field: &str) -> u64 {
        let mut text = String::from_utf8_lossy(&self.connect().ask(b"INFO everything\r\n")).into_owned();
        // Those who took all the room are going.
        while text.starts_with("-ERR max number of clients") {
            thread::sleep(Duration::from_millis(50));
            text = String::from_utf8_lossy(&self.connect().ask(b"INFO everything\r\n")).into_owned();
        }
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("INFO has no {field}"))
    }

    /// Waits until a field of INFO is so.
    fn wait_for(&self, field: &str, is_so: impl Fn(u64) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so(self.info(field)) {
            assert!(Instant::now() < deadline, "{field} stays at {}", self.info(field));
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A socket to the server.
struct Client(TcpStream);

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    /// Sends a request and reads one reply of a line or a bulk string.
    fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.send(request);
        let mut reply = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = self.0.read(&mut buffer).expect("the server answers");
            assert_ne!(n, 0, "the server closed the connection after {reply:?}");
            reply.extend_from_slice(&buffer[..n]);
            let Some(end) = reply.windows(2).position(|pair| pair == b"\r\n") else { continue };
            let length = match reply[0] {
                b'$' => String::from_utf8_lossy(&reply[1..end]).parse().map_or(0, |n: usize| n + 2),
                _ => 0,
            };
            if reply.len() >= end + 2 + length {
                return reply;
            }
        }
    }

    /// All that the server sends until it closes.
    fn until_closed(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => {}
            // What we sent and it did not read makes a close a reset.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection stays open: {error}"),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A client that asks a little, all the time, and notes how long it waits.
struct Polite {
    stop: Arc<AtomicBool>,
    waits: JoinHandle<Vec<Duration>>,
}

impl Polite {
    fn start(server: &Server) -> Polite {
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = server.connect();
        let stopped = Arc::clone(&stop);
        let waits = thread::spawn(move || {
            let mut waits = Vec::new();
            while !stopped.load(Relaxed) {
                let begin = Instant::now();
                assert_eq!(client.ask(b"SET polite value\r\n"), b"+OK\r\n");
                assert_eq!(client.ask(b"GET polite\r\n"), b"$5\r\nvalue\r\n");
                waits.push(begin.elapsed());
                thread::sleep(Duration::from_millis(2));
            }
            waits
        });
        Polite { stop, waits }
    }

    fn end(self, what: &str) {
        // What was started may have its effect after it was sent.
        thread::sleep(Duration::from_millis(500));
        self.stop.store(true, Relaxed);
        let mut waits = self.waits.join().expect("the polite client is served");
        waits.sort();
        let at = |part: usize| waits[(waits.len() - 1) * part / 100];
        println!("{what}: two requests took {:?}, p99 {:?}, at most {:?}", at(50), at(99), at(100));
        assert!(at(99) < PATIENCE, "{what}: one in a hundred waits {:?}", at(99));
        assert!(at(100) < PATIENCE_MAX, "{what}: one waits {:?}", at(100));
    }
}

#[test]
#[ignore = "needs the release build, half a minute and many descriptors"]
fn bad_clients_harm_nobody_but_themselves() {
    let mut server = Server::start();
    type Case = (&'static str, fn(&Server));
    let cases: [Case; 8] = [
        ("huge lengths", send_huge_lengths),
        ("promises", promise_much),
        ("no reading", never_read),
        ("single bytes", send_single_bytes),
        ("half-closes", half_close),
        ("resets", reset),
        ("garbage", send_garbage),
        ("too many clients", connect_too_often),
    ];
    for (what, case) in cases {
        let polite = Polite::start(&server);
        case(&server);
        polite.end(what);
        assert!(server.child.try_wait().expect("it is our child").is_none(), "{what}: the server is gone");
        // The one that asks.
        server.wait_for("connected_clients", |clients| clients == 1);
    }
    let recorder = String::from_utf8_lossy(&server.connect().ask(b"INFO recorder\r\n")).into_owned();
    print!("{}", recorder.replace('\r', ""));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

fn send_huge_lengths(server: &Server) {
    let long_line = [b'x'; 70_000];
    let long_count = [b"*".as_slice(), &[b'1'; 70_000]].concat();
    let cases: [(&[u8], &str); 7] = [
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n", "invalid bulk length"),
        (b"*1\r\n$-5\r\n", "invalid bulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (&long_line, "too big inline request"),
        (&long_count, "too big mbulk count string"),
    ];
    for (bytes, error) in cases {
        let mut client = server.connect();
        // The server may close before it has all.
        let _ = client.0.write_all(bytes);
        let said = client.until_closed();
        assert!(said == format!("-ERR Protocol error: {error}\r\n") || said.is_empty(), "{said}");
        assert!(server.log().contains(error), "the log says nothing of: {error}");
    }
}

/// Announces far more than it sends.
fn promise_much(server: &Server) {
    let before = server.info("used_memory_rss");
    let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        match i % 2 {
            0 => client.send(b"*2147483647\r\n$3\r\nDEL\r\n"),
            _ => client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nthe beginning"),
        }
    }
    server.wait_for("connected_clients", |clients| clients == 102);
    let grown = server.info("used_memory_rss").saturating_sub(before);
    assert!(grown < 32 << 20, "promises take {grown} bytes of memory");
}

fn never_read(server: &Server) {
    let mut setter = server.connect();
    let value = vec![b'v'; 1 << 20];
    setter.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${}\r\n", value.len()).as_bytes());
    setter.send(&value);
    assert_eq!(setter.ask(b"\r\n"), b"+OK\r\n");
    let before = server.info("client_output_buffer_limit_disconnections");
    let mut idle: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut idle {
        // 100 MB of replies, of which the sockets hold a few.
        client.send(&b"GET big\r\n".repeat(100));
    }
    server.wait_for("client_output_buffer_limit_disconnections", |closed| closed == before + 20);
    assert!(server.log().contains("overcoming of output buffer limits"));
    // The same from small replies, which are copied.
    let mut client = server.connect();
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.0.write_all(&b"GET polite\r\n".repeat(10_000)).is_ok() {
        assert!(Instant::now() < deadline, "a client may send without reading for ever");
    }
}

fn send_single_bytes(server: &Server) {
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for byte in b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$10\r\n0123456789\r" {
        for client in &mut clients {
            client.send(&[*byte]);
        }
    }
    for client in &mut clients {
        assert_eq!(client.ask(b"\n"), b"+OK\r\n");
    }
}

fn half_close(server: &Server) {
    for _ in 0..200 {
        let mut client = server.connect();
        client.send(b"PING\r\nGET polite\r\nPING");
        client.0.shutdown(Shutdown::Write).expect("the connection is open");
        assert_eq!(client.until_closed(), "+PONG\r\n$5\r\nvalue\r\n");
    }
}

fn reset(server: &Server) {
    for i in 0..500 {
        let mut client = server.connect();
        client.send(&b"GET polite\r\n".repeat(1 + i % 50));
        client.send(b"*2\r\n$3\r\nGET\r\n$100000\r\nhalf");
        if i % 2 == 0 {
            // Replies that were received and not read make the close a reset.
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn send_garbage(server: &Server) {
    let mut word = 1_u64;
    let mut random = || {
        // Marsaglia's xorshift: garbage needs no better one.
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word as u8
    };
    for _ in 0..300 {
        let mut client = server.connect();
        let bytes: Vec<u8> = (0..4000).map(|_| random()).collect();
        let _ = client.0.write_all(&bytes);
    }
    let mut client = server.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(client.until_closed(), "");
    assert!(server.log().contains("Possible SECURITY ATTACK detected"));
}

fn connect_too_often(server: &Server) {
    let before = server.info("used_memory");
    let mut clients: Vec<Client> = Vec::new();
    // The polite one and this one are there already.
    let room = server.maxclients - 1;
    while (clients.len() as u64) < room {
        let mut client = server.connect();
        if clients.len().is_multiple_of(100) {
            assert_eq!(client.ask(b"PING\r\n"), b"+PONG\r\n");
        }
        clients.push(client);
    }
    for client in clients.iter_mut().rev().take(50) {
        assert_eq!(client.ask(b"PING\r\n"), b"+PONG\r\n");
    }
    for _ in 0..100 {
        assert_eq!(server.connect().until_closed(), "-ERR max number of clients reached\r\n");
    }
    let text = String::from_utf8_lossy(&clients[0].ask(b"INFO memory\r\n")).into_owned();
    let used = text.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse::<u64>().ok());
    let each = used.expect("INFO has it").saturating_sub(before) / room;
    println!("{room} clients take {each} bytes each");
    assert!(each < 1024, "an idle client takes {each} bytes");
}
