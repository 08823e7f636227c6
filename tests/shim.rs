//! A library in front of the C library fails and delays what servers do to their files: ours, and a real Redis if it is
//! there.
//!
//! `tests/shim/shim.c` says how it is told. A server whose sync fails answers an error and leaves the old file; one whose
//! sync takes long answers late, and ours answers everybody else meanwhile.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it builds a library, starts servers and talks to them"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a sync takes when it is told to.
const DELAY: Duration = Duration::from_millis(1000);

/// The library, built once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/shim.c");
        let built = Command::new("cc")
            .args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        assert!(built.expect("there is a compiler for C").success(), "the library is built");
        library
    })
}

/// A server with the library in front of it.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(program: &Path) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let folder = std::env::temp_dir().join(format!("waterwheel-shim-{port}"));
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(folder.join("conf"), format!("port {port}\nsave \"\"\n")).expect("there is room");
        let child = Command::new(program)
            .arg(folder.join("conf"))
            .current_dir(&folder)
            .env("LD_PRELOAD", library())
            .env("SHIM_FILE", folder.join("rules"))
            .stdout(fs::File::create(folder.join("log")).expect("there is room"))
            .stderr(Stdio::null())
            .spawn()
            .expect("the program can be started");
        let server = Server { child, port, folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{} does not answer", program.display());
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn rules(&self, text: &str) {
        fs::write(self.folder.join("rules"), text).expect("there is room");
    }

    fn conf(&self) -> String {
        fs::read_to_string(self.folder.join("conf")).expect("it is there")
    }

    fn send(&self, line: &str) -> TcpStream {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the server accepts");
        socket.write_all(format!("{line}\r\n").as_bytes()).expect("a request can be sent");
        socket
    }

    fn ask(&self, line: &str) -> String {
        reply(&mut self.send(line))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A reply of one line.
fn reply(socket: &mut TcpStream) -> String {
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with("\r\n") && socket.read(&mut byte).expect("a reply can be read") == 1 {
        text.push(char::from(byte[0]));
    }
    text.trim_end().to_owned()
}

/// What holds for every server whose files fail.
fn a_rewrite_that_fails_leaves_the_old_file(server: &Server) {
    let before = server.conf();
    assert_eq!(server.ask("CONFIG SET maxmemory 100mb"), "+OK");
    let ways = [
        ("sync errno=5", "Input/output error"),
        ("write path=conf errno=28", "No space left on device"),
        ("rename errno=13", "Permission denied"),
    ];
    for (rules, text) in ways {
        server.rules(rules);
        let said = server.ask("CONFIG REWRITE");
        assert_eq!(said, format!("-ERR Rewriting config file: {text}"), "{rules}");
        assert_eq!(server.conf(), before, "{rules}");
        let names: Vec<_> = fs::read_dir(&server.folder).expect("it is there").flatten().collect();
        assert_eq!(names.len(), 3, "{rules}: the configuration, the log and the rules: {names:?}");
    }
    // Writes of a few bytes at a time are gone on with.
    server.rules("write path=conf short=7");
    assert_eq!(server.ask("CONFIG REWRITE"), "+OK");
    assert!(server.conf().contains("maxmemory 100mb"), "{}", server.conf());
    server.rules(&format!("sync delay_us={}", DELAY.as_micros()));
    let begin = Instant::now();
    assert_eq!(server.ask("CONFIG REWRITE"), "+OK");
    assert!(begin.elapsed() >= DELAY, "it waits for the disk");
}

#[test]
fn our_server_tells_of_a_disk_that_fails_and_waits_for_none() {
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_waterwheel")));
    a_rewrite_that_fails_leaves_the_old_file(&server);
    // One client waits for the disk; nobody else does.
    let begin = Instant::now();
    let mut waiting = server.send("CONFIG REWRITE");
    std::thread::sleep(Duration::from_millis(20));
    let asked = Instant::now();
    assert_eq!(server.ask("SET key value"), "+OK");
    assert!(asked.elapsed() < DELAY / 2, "the loop waited {:?}", asked.elapsed());
    assert_eq!(reply(&mut waiting), "+OK");
    assert!(begin.elapsed() >= DELAY);
    // A script that is slow does not hold the answer back.
    assert_eq!(server.ask("CONFIG SET busy-reply-threshold 20"), "+OK");
    let mut waiting = server.send("CONFIG REWRITE");
    std::thread::sleep(Duration::from_millis(20));
    let end = "local function us() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end \
               local begin = us() while us() - begin < 4000000 do end return 'over'";
    let mut busy = server.send(&format!("EVAL \"{end}\" 0"));
    assert_eq!(reply(&mut waiting), "+OK");
    assert!(begin.elapsed() < 5 * DELAY, "it came only with the end of the script");
    assert!(server.ask("GET key").starts_with("-BUSY"));
    assert_eq!(reply(&mut busy), "$4");
    // What was asked for is done before the end, although nobody waits for it any more.
    assert_eq!(server.ask("CONFIG SET maxmemory 300mb"), "+OK");
    drop(server.send("CONFIG REWRITE"));
    std::thread::sleep(Duration::from_millis(20));
    drop(server.send("SHUTDOWN NOSAVE"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !server.conf().contains("maxmemory 300mb") {
        assert!(Instant::now() < deadline, "the file is not written");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The two numbers that WAITAOF answers.
fn waited(socket: &mut TcpStream) -> [String; 2] {
    assert_eq!(reply(socket), "*2");
    [reply(socket), reply(socket)]
}

/// A field of `INFO persistence`.
fn persistence(server: &Server, field: &str) -> String {
    let mut socket = server.send("INFO persistence");
    let mut found = None;
    loop {
        let line = reply(&mut socket);
        if let Some(value) = line.strip_prefix(field) {
            found = Some(value.trim_start_matches(':').to_owned());
        }
        if line.starts_with("aof_delayed_fsync") || line.is_empty() && found.is_some() {
            return found.expect("there is such a field");
        }
    }
}

#[test]
fn who_waits_for_a_log_that_begins_sees_the_end_of_its_rewrite() {
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_waterwheel")));
    assert_eq!(server.ask("CONFIG SET appendfsync always"), "+OK");
    for _ in 0..2 {
        assert_eq!(server.ask("CONFIG SET appendonly yes"), "+OK");
        let mut waiting = server.send("WAITAOF 1 0 10000");
        assert_eq!(waited(&mut waiting), [":1", ":0"]);
        assert_eq!(persistence(&server, "aof_rewrite_in_progress"), "0");
        assert_eq!(server.ask("CONFIG SET appendonly no"), "+OK");
        // From the second time on there are files to be forgotten, and that the manifest says so takes long.
        server.rules("sync path=manifest delay_us=300000");
    }
    assert_eq!(server.ask("CONFIG SET appendonly yes"), "+OK");
    let mut answered = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2000) {
        assert_eq!(server.ask("SET key value"), "+OK");
        let mut waiting = server.send("WAITAOF 1 0 20");
        if waited(&mut waiting) == [":1", ":0"] {
            answered += 1;
            assert_eq!(persistence(&server, "aof_rewrite_in_progress"), "0", "{:?}", begin.elapsed());
        }
    }
    assert!(answered > 0);
}

#[test]
fn who_waits_for_a_log_that_begins_does_not_wait_for_those_who_write_on() {
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_waterwheel")));
    assert_eq!(server.ask("CONFIG SET appendfsync everysec"), "+OK");
    server.rules("sync path=manifest delay_us=300000");
    assert_eq!(server.ask("CONFIG SET appendonly yes"), "+OK");
    let mut waiting = server.send("WAITAOF 1 0 6000");
    let begin = Instant::now();
    let mut writer = server.send("PING");
    assert_eq!(reply(&mut writer), "+PONG");
    while begin.elapsed() < Duration::from_millis(4000) {
        writer.write_all(b"INCR counter\r\n").expect("a request can be sent");
        assert!(reply(&mut writer).starts_with(':'));
    }
    waiting.set_read_timeout(Some(Duration::from_millis(500))).expect("it is a socket");
    assert_eq!(waited(&mut waiting), [":1", ":0"]);
}

#[test]
fn it_works_on_a_real_redis() {
    let home = std::env::var("HOME").unwrap_or_default();
    let known = Path::new(&home).join(".cache/waterwheel-peers/redis-8/src/redis-server");
    let program = std::env::var_os("WATERWHEEL_ORACLE").map_or(known, PathBuf::from);
    if !program.exists() {
        eprintln!("there is no redis-server here");
        return;
    }
    a_rewrite_that_fails_leaves_the_old_file(&Server::start(&program));
}
