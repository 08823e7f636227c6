//! The `redis` crate: pipelines, transactions, scripts, streams, scans and messages, sync and with tokio, in both
//! protocols, against a server that it starts itself from the binary that is its first argument.
//!
//! It is a crate of its own, so that what it needs is no dependency of the server or its tests.

use futures_util::StreamExt;
use redis::aio::ConnectionManager;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Commands, ProtocolVersion, RedisResult, Script};
use std::collections::{BTreeSet, HashMap};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server of its own on a free port of the loopback interface, ended by its pid.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Server {
        let binary = std::env::args().nth(1).expect("the first argument is the server's binary");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let process = Command::new(binary)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Server { process, port };
        until("the server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn client(&self, protocol: ProtocolVersion) -> redis::Client {
        let suffix = if protocol == ProtocolVersion::RESP3 { "?protocol=resp3" } else { "" };
        redis::Client::open(format!("redis://127.0.0.1:{}/{suffix}", self.port)).expect("the address is one")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let running = self.process.try_wait().expect("its state can be asked for").is_none();
        let killed = self.process.kill();
        let waited = self.process.wait();
        if !std::thread::panicking() {
            assert!(running, "the server has ended by itself: {waited:?} {killed:?}");
        }
    }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn data(client: &redis::Client) -> RedisResult<()> {
    let mut db = client.get_connection()?;
    let _: () = redis::cmd("FLUSHALL").query(&mut db)?;
    let _: () = db.set("number", 41)?;
    assert_eq!(db.incr::<_, _, i64>("number", 1)?, 42);
    assert_eq!(db.get::<_, Option<String>>("none")?, None);
    let _: () = db.hset_multiple("user", &[("name", "Ada"), ("visits", "1")])?;
    let user: HashMap<String, String> = db.hgetall("user")?;
    assert_eq!((user.len(), user["name"].as_str()), (2, "Ada"));
    let _: () = db.zadd_multiple("scores", &[(1.5, "a"), (2.5, "b"), (f64::INFINITY, "c")])?;
    let scores: Vec<(String, f64)> = db.zrange_withscores("scores", 0, -1)?;
    assert_eq!(scores, [("a".into(), 1.5), ("b".into(), 2.5), ("c".into(), f64::INFINITY)]);
    let wrong: RedisResult<i64> = db.lpush("number", "x");
    assert_eq!(wrong.expect_err("it is no list").code(), Some("WRONGTYPE"));

    let (one, members): (i64, BTreeSet<i64>) = redis::pipe()
        .atomic()
        .incr("one", 1)
        .sadd("set", &[3, 1, 2])
        .ignore()
        .smembers("set")
        .query(&mut db)?;
    assert_eq!((one, members), (1, BTreeSet::from([1, 2, 3])));
    let doubled: (i64,) = redis::transaction(&mut db, &["number"], |db, pipe| {
        let number: i64 = db.get("number")?;
        pipe.set("number", number * 2).ignore().incr("number", 0).query(db)
    })?;
    assert_eq!(doubled, (84,));

    let mut pipe = redis::pipe();
    for number in 0..3000 {
        pipe.set(format!("scan:{number}"), number).ignore();
    }
    let _: () = pipe.query(&mut db)?;
    let found: BTreeSet<String> = db.scan_match::<_, String>("scan:*")?.collect::<RedisResult<_>>()?;
    assert_eq!(found.len(), 3000);

    let limit = Script::new(
        "local used = redis.call('INCR', KEYS[1])
         if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
         return used <= tonumber(ARGV[1])",
    );
    let allowed = (0..10).map(|_| limit.key("limit").arg(4).arg(60_000).invoke(&mut db));
    let allowed: Vec<bool> = allowed.collect::<RedisResult<_>>()?;
    assert_eq!(allowed.iter().filter(|allowed| **allowed).count(), 4);

    let _: String = db.xgroup_create_mkstream("jobs", "workers", "0")?;
    for number in 0..10 {
        let _: String = db.xadd("jobs", "*", &[("number", number)])?;
    }
    let options = StreamReadOptions::default().group("workers", "w1").count(6);
    let read: StreamReadReply = db.xread_options(&["jobs"], &[">"], &options)?;
    let ids: Vec<String> = read.keys[0].ids.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!((ids.len(), db.xack::<_, _, _, i64>("jobs", "workers", &ids)?), (6, 6));
    Ok(())
}

fn messages(client: &redis::Client) -> RedisResult<()> {
    let (mut listener, mut speaker) = (client.get_connection()?, client.get_connection()?);
    let mut room = listener.as_pubsub();
    room.subscribe("room")?;
    room.psubscribe("ro*")?;
    for number in 0..100 {
        assert_eq!(speaker.publish::<_, _, i64>("room", number)?, 2);
    }
    for number in 0..200 {
        let message = room.get_message()?;
        assert_eq!(message.get_payload::<i64>()?, number / 2);
        assert_eq!((message.get_channel_name(), message.from_pattern()), ("room", number % 2 == 1));
    }
    Ok(())
}

async fn with_tokio(client: &redis::Client) -> RedisResult<()> {
    let db = ConnectionManager::new(client.clone()).await?;
    let _: () = db.clone().del("counter").await?;
    let many = (0..500).map(|_| {
        let mut db = db.clone();
        async move { db.incr::<_, _, i64>("counter", 1).await }
    });
    let mut counts = futures_util::future::try_join_all(many).await?;
    counts.sort_unstable();
    assert!(counts.into_iter().eq(1..=500), "each sees its own count");

    let mut blocked = client.get_multiplexed_async_connection().await?;
    let mut other = db.clone();
    let (popped, pushed) = tokio::join!(blocked.blpop::<_, (String, i64)>("list", 0.4), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        other.rpush::<_, _, i64>("list", 7).await
    });
    assert_eq!((popped?, pushed?), (("list".to_owned(), 7), 1));

    let mut room = client.get_async_pubsub().await?;
    room.subscribe("hall").await?;
    let _: i64 = db.clone().publish("hall", "hello").await?;
    let message = tokio::time::timeout(Duration::from_secs(10), room.on_message().next()).await;
    assert_eq!(message.expect("in time").expect("a message").get_payload::<String>()?, "hello");
    Ok(())
}

fn main() -> RedisResult<()> {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let client = server.client(protocol);
        data(&client)?;
        messages(&client)?;
        runtime.block_on(with_tokio(&client))?;
    }
    Ok(())
}
