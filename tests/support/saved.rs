//! What tests of files and of replicas have in common: a keyspace with everything in it, and ways to wait.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it waits for a real server")]

use super::peer::{Connection, Peer};
use super::reply::Resp;
use std::time::{Duration, Instant};

/// A field of INFO.
pub fn info(peer: &Peer, field: &str) -> String {
    let text = peer.ask(&["INFO", "everything"]);
    let found = text.split("\\r\\n").find_map(|line| line.strip_prefix(&format!("{field}:")));
    found.unwrap_or_else(|| panic!("INFO has no {field}: {text}")).to_owned()
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Has a server follow another.
pub fn follow(replica: &Peer, primary: &Peer) {
    let reply = replica.ask(&["REPLICAOF", "127.0.0.1", &info(primary, "tcp_port")]);
    assert!(reply.starts_with("OK"), "{reply}");
}

/// Waits until a replica has its dataset and the feed.
#[track_caller]
pub fn until_linked(replica: &Peer) {
    until("the link is up", || info(replica, "master_link_status") == "up");
}

/// Keys of all types, small and large ones.
pub fn fill(peer: &Peer) {
    let mut requests: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut add = |words: &[&str]| requests.push(words.iter().map(|w| w.as_bytes().to_vec()).collect());
    for i in 0..700 {
        let (member, value) = (format!("member:{i}"), format!("{i}-{}", "v".repeat(i % 90)));
        add(&["SET", &format!("string:{i}"), &value]);
        add(&["SADD", &format!("set:{}", i % 3), &member]);
        add(&["ZADD", &format!("zset:{}", i % 3), &i.to_string(), &member]);
        add(&["HSET", &format!("hash:{}", i % 3), &member, &value]);
        add(&["RPUSH", &format!("list:{}", i % 3), &value]);
        add(&["XADD", &format!("stream:{}", i % 3), &format!("{}-1", i + 1), "field", &value]);
    }
    add(&["SADD", "ints", "1", "2", "3"]);
    add(&["SADD", "few", "a", "b"]);
    add(&["SET", "number", "12345"]);
    add(&["SET", "long", &"x".repeat(200_000)]);
    add(&["SET", "dated", "value", "PXAT", "4000000000000"]);
    add(&["HPEXPIREAT", "hash:0", "4000000000000", "FIELDS", "1", "member:0"]);
    add(&["XGROUP", "CREATE", "stream:0", "group", "0"]);
    add(&["XREADGROUP", "GROUP", "group", "somebody", "COUNT", "20", "STREAMS", "stream:0", ">"]);
    add(&["FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 7 end)"]);
    add(&["SELECT", "9"]);
    add(&["SET", "elsewhere", "value"]);
    for reply in Connection::new(peer).ask(&requests) {
        assert!(!matches!(reply, Resp::Error(_)), "{reply:?}");
    }
}

/// DEBUG DIGEST.
pub fn digest(peer: &Peer) -> String {
    peer.ask(&["DEBUG", "DIGEST"])
}
