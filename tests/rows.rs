//! Every row of the table against Redis 8.0 and Valkey 9.1: COMMAND INFO and COMMAND DOCS field by field, HELP line by
//! line, and the sections and fields of INFO.
//!
//! * `tests/rows/redis-8.0.tsv` and `tests/rows/valkey-9.1.tsv` are what these say: a subject, a field and its value a
//!   line. They are data, not prose: of a sentence only a checksum is kept, which tells whether ours is the same.
//! * Where the two differ we follow Redis. So a difference from Valkey counts only in what Redis does not have, or where
//!   we differ from Redis as well.
//! * `tests/rows/explained.tsv` has every difference that counts, with its reason: patterns of subject and field, and the
//!   reason. A line that explains nothing any more is an error, too.
//! * `tests/rows/check` gathers the data anew from real servers and compares it with the files; it runs this test with
//!   `ROWS_PEER` set to a server's address and `ROWS_FILE` to its file. With `BLESS=1` it writes the files.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads files, and speaks with a server"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::World;
use support::reply::Resp;
use waterwheel::base::glob::glob_match;
use waterwheel::config::Permission;
use waterwheel::resp::reply::encode_request;

/// What a server says of itself: subject and field, and the value.
type Facts = BTreeMap<(String, String), String>;

/// The last word of a conversation.
const END: &str = "that was all";

const REDIS: &str = "redis-8.0.tsv";
const VALKEY: &str = "valkey-9.1.tsv";

/// Groups without any exception, and the commands and subcommands that both have at least.
const DATA_TYPES: &[(&str, usize)] = &[
    ("string", 20),
    ("list", 20),
    ("set", 15),
    ("hash", 25),
    ("sorted-set", 30),
    ("stream", 20),
    ("bitmap", 7),
    ("hyperloglog", 5),
    ("geo", 10),
];

#[test]
fn rows_are_those_of_redis_and_valkey_but_for_what_is_explained() {
    let (redis, valkey) = (read_facts(&file(REDIS)), read_facts(&file(VALKEY)));
    let ours = our_facts();
    let from_redis = differences(&ours, &redis);
    let mut from_valkey = differences(&ours, &valkey);
    from_valkey.retain(|(key, _)| !follows_redis(key, &redis, &from_redis));
    let mut explained = read_explained(&file("explained.tsv"));
    let mut found = Vec::new();
    let all = [("Redis", from_redis), ("Valkey", from_valkey)];
    for (peer, ((subject, field), problem)) in
        all.iter().flat_map(|(peer, all)| all.iter().map(move |d| (peer, d)))
    {
        let matches = |known: &&mut Explained| {
            glob_match(known.subject.as_bytes(), subject.as_bytes(), false)
                && glob_match(known.field.as_bytes(), field.as_bytes(), false)
        };
        match explained.iter_mut().find(matches) {
            Some(known) => known.used += 1,
            None => found.push(format!("{subject}\t{field}\t{problem} ({peer})")),
        }
    }
    for known in explained.iter().filter(|known| known.used == 0) {
        found.push(format!("{}\t{}\tis explained, but there is no difference", known.subject, known.field));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_command_of_the_data_types_is_there() {
    let ours = our_facts();
    let group_of = |facts: &Facts, group: &str| -> Vec<String> {
        let quoted = format!("\"{group}\"");
        let of_group = facts.iter().filter(|((_, field), value)| field == "docs.group" && **value == quoted);
        of_group.map(|((subject, _), _)| subject.clone()).collect()
    };
    for (group, commands) in DATA_TYPES {
        let here = group_of(&ours, group);
        for peer in [REDIS, VALKEY] {
            let theirs = group_of(&read_facts(&file(peer)), group);
            assert!(theirs.len() >= *commands, "{peer} has {} commands of {group}", theirs.len());
            let missing: Vec<&String> = theirs.iter().filter(|name| !here.contains(name)).collect();
            assert!(missing.is_empty(), "{peer}, group {group}: {missing:?}");
        }
    }
}

/// Whether a difference from Valkey is one between Valkey and Redis, where we do as Redis does.
fn follows_redis(key: &(String, String), redis: &Facts, from_redis: &[((String, String), String)]) -> bool {
    let same = |(subject, field): &(String, String)| {
        // HELP that is shorter than that of Redis has only lines of Redis.
        let is_field = if key.1.starts_with("help") { field == "help" } else { *field == key.1 };
        *subject == key.0 && is_field
    };
    redis.keys().any(|(subject, _)| *subject == key.0) && !from_redis.iter().any(|(other, _)| same(other))
}

/// What our server says of itself.
fn our_facts() -> Facts {
    let mut world = World::new();
    world.engine.conf.enable_debug_command = Permission::Yes;
    gather(&mut |requests| {
        world.send_bytes("rows", requests);
        world.received_bytes("rows")
    })
}

#[test]
fn a_file_is_what_its_server_says() {
    // Without a server to ask there is nothing to check: tests/rows/check starts one.
    let Some(address) = std::env::var_os("ROWS_PEER") else { return };
    let address = address.into_string().expect("an address is text");
    let name = std::env::var("ROWS_FILE").expect("ROWS_PEER comes with ROWS_FILE");
    let facts = gather(&mut |requests| ask(&address, requests));
    let line =
        |((subject, field), value): (&(String, String), &String)| format!("{subject}\t{field}\t{value}\n");
    let text: String = facts.iter().map(line).collect();
    let path = file(&name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).expect("the file can be written");
        return;
    }
    let stale: Vec<String> = differences(&read_facts(&path), &facts)
        .into_iter()
        .map(|((s, f), p)| format!("{s} {f} {p}"))
        .collect();
    assert!(stale.is_empty(), "\n{}\n", stale.join("\n"));
}

/// Sends requests to a server and gives all that it answers.
fn ask(address: &str, requests: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out is legal");
    socket.write_all(requests).expect("the server reads");
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while !bytes.ends_with(format!("{END}\r\n").as_bytes()) {
        let n = socket.read(&mut buffer).expect("the server answers");
        assert_ne!(n, 0, "the server closed the connection");
        bytes.extend_from_slice(&buffer[..n]);
    }
    bytes
}

/// Asks a server for all that is compared.
fn gather(ask: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Facts {
    let mut replies = |lines: &[String]| -> Vec<Resp> {
        let mut bytes = Vec::new();
        for line in lines.iter().map(String::as_str).chain(["HELLO 3"]) {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            encode_request(&words, &mut bytes);
        }
        encode_request(&[b"ECHO".as_slice(), END.as_bytes()], &mut bytes);
        let mut replies = Resp::all(&ask(&bytes));
        replies.truncate(lines.len());
        replies
    };
    let mut facts = Facts::new();
    let table = replies(&["HELLO 3".to_owned(), "COMMAND INFO".to_owned(), "COMMAND DOCS".to_owned()]);
    let mut containers = vec!["debug".to_owned()];
    for row in items(&table[1]) {
        note_row(row, &mut facts, &mut containers);
    }
    for (name, docs) in pairs(&table[2]) {
        note_docs(&text(name), docs, &mut facts);
    }
    let requests: Vec<String> = containers.iter().map(|name| format!("{name} HELP")).collect();
    for (name, reply) in containers.iter().zip(replies(&requests)) {
        let lines = match &reply {
            Resp::Array(lines) => {
                lines.iter().map(|line| checksum(&text(line))).collect::<Vec<_>>().join(" ")
            }
            other => rendered(other),
        };
        facts.insert((name.clone(), "help".to_owned()), lines);
    }
    // What some of the fields need to show.
    let lines = [
        "SET key value PX 1000000",
        "GET key",
        "NOSUCHCOMMAND",
        "CONFIG SET latency-tracking yes",
        "INFO everything",
    ];
    let replies = replies(&lines.map(str::to_owned));
    note_info(&text(&replies[4]), &mut facts);
    facts
}

/// One row of COMMAND INFO, and those of its subcommands.
fn note_row(row: &Resp, facts: &mut Facts, containers: &mut Vec<String>) {
    let fields = items(row);
    let name = text(&fields[0]);
    let names = ["arity", "flags", "first-key", "last-key", "step", "acl", "tips", "key-specs"];
    for (field, value) in names.iter().zip(&fields[1..]) {
        facts.insert((name.clone(), (*field).to_owned()), rendered(value));
    }
    let subs = items(&fields[9]);
    let mut sub_names: Vec<String> = subs.iter().map(|sub| text(&items(sub)[0])).collect();
    sub_names.sort();
    let kind = rendered(&fields[9]).chars().next().unwrap_or(' ');
    facts.insert((name.clone(), "subcommands".to_owned()), format!("{kind} {}", sub_names.join(" ")));
    if sub_names.iter().any(|sub| sub.ends_with("|help")) {
        containers.push(name);
    }
    for sub in subs {
        note_row(sub, facts, containers);
    }
}

/// One row of COMMAND DOCS, and those of its subcommands.
fn note_docs(name: &str, docs: &Resp, facts: &mut Facts) {
    for (field, value) in pairs(docs) {
        let field = text(field);
        let value = match field.as_str() {
            "subcommands" => {
                for (sub, docs) in pairs(value) {
                    note_docs(&text(sub), docs, facts);
                }
                continue;
            }
            "summary" | "complexity" | "replaced_by" => checksum(&text(value)),
            "history" => {
                let changes: Vec<String> =
                    items(value).iter().map(|change| checksum(&rendered(change))).collect();
                facts.insert((name.to_owned(), "docs.history-text".to_owned()), changes.join(" "));
                items(value).iter().map(|change| text(&items(change)[0])).collect::<Vec<_>>().join(" ")
            }
            _ => rendered(value),
        };
        facts.insert((name.to_owned(), format!("docs.{field}")), value);
    }
}

/// The names of sections and fields of INFO, in order.
fn note_info(info: &str, facts: &mut Facts) {
    let (mut section, mut number) = (String::new(), 0);
    let mut sections = Vec::new();
    for line in info.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            section = format!("INFO {}", name.to_lowercase());
            sections.push(name.to_owned());
            number = 0;
        } else if let Some((field, _)) = line.split_once(':') {
            // Which of these there are depends on what ran before.
            let changing = ["cmdstat_", "latency_percentiles_usec_", "errorstat_"];
            if !changing.iter().any(|prefix| field.starts_with(prefix)) {
                facts.insert((section.clone(), field.to_owned()), number.to_string());
                number += 1;
            }
        }
    }
    facts.insert(("INFO".to_owned(), "sections".to_owned()), sections.join(" "));
}

/// What differs, in words.
fn differences(ours: &Facts, theirs: &Facts) -> Vec<((String, String), String)> {
    let subjects = |facts: &Facts, subject: &str| facts.keys().any(|(s, _)| s == subject);
    let mut all = Vec::new();
    let mut seen = String::new();
    for key @ (subject, _) in ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(key))) {
        let is_row = !subject.starts_with("INFO");
        let problem = match (ours.get(key), theirs.get(key)) {
            // The order of fields is compared below: numbers shift behind a field that only one of them has.
            (Some(_), Some(_)) if !is_row => continue,
            (Some(ours), Some(theirs)) if ours == theirs => continue,
            (Some(ours), Some(theirs)) if key.1 == "help" => {
                let (ours, theirs): (Vec<&str>, Vec<&str>) =
                    (ours.split(' ').collect(), theirs.split(' ').collect());
                let mut rest = theirs.iter();
                let is_shorter = ours.iter().all(|line| rest.any(|other| other == line));
                let field = if is_shorter { "help-shorter" } else { "help" };
                let own = ours.iter().enumerate().filter(|(_, line)| !theirs.contains(line));
                let own: Vec<usize> = own.map(|(i, _)| i + 1).collect();
                let missing = theirs.iter().enumerate().filter(|(_, line)| !ours.contains(line));
                let missing: Vec<usize> = missing.map(|(i, _)| i + 1).collect();
                let problem = format!("lines {own:?} are our own, lines {missing:?} of theirs are missing");
                all.push(((subject.clone(), field.to_owned()), problem));
                continue;
            }
            (Some(ours), Some(theirs)) => format!("{ours}, there {theirs}"),
            (missing, _) if is_row && !subjects(if missing.is_some() { theirs } else { ours }, subject) => {
                if seen == *subject {
                    continue;
                }
                seen.clone_from(subject);
                let group = theirs.get(&(subject.clone(), "docs.group".to_owned()));
                let field = match (missing, group) {
                    (Some(_), _) => "own".to_owned(),
                    (None, group) => {
                        format!("missing-{}", group.map_or("", String::as_str).trim_matches('"'))
                    }
                };
                all.push(((subject.clone(), field), "the whole row".to_owned()));
                continue;
            }
            (Some(ours), None) => format!("{ours}, there nothing"),
            (None, theirs) => format!("nothing, there {}", theirs.map_or("", String::as_str)),
        };
        all.push((key.clone(), problem));
    }
    all.extend(out_of_order(ours, theirs));
    all
}

/// Sections of INFO whose common fields come in another order.
fn out_of_order(ours: &Facts, theirs: &Facts) -> Vec<((String, String), String)> {
    let order = |facts: &Facts, others: &Facts, section: &str| -> Vec<String> {
        let common = facts.iter().filter(|(key, _)| key.0 == section && others.contains_key(key));
        let mut fields: Vec<(usize, String)> =
            common.map(|(key, number)| (number.parse().unwrap_or(0), key.1.clone())).collect();
        fields.sort();
        fields.into_iter().map(|(_, field)| field).collect()
    };
    let mut sections: Vec<&String> = ours.keys().map(|(s, _)| s).filter(|s| s.starts_with("INFO ")).collect();
    sections.dedup();
    let mut all = Vec::new();
    for section in sections {
        let (ours, theirs) = (order(ours, theirs, section), order(theirs, ours, section));
        if let Some((ours, theirs)) = ours.iter().zip(&theirs).find(|(a, b)| a != b) {
            all.push(((section.clone(), "order".to_owned()), format!("{ours} where they have {theirs}")));
        }
    }
    all
}

/// A difference that is meant to be.
struct Explained {
    subject: String,
    field: String,
    used: usize,
}

fn read_explained(path: &Path) -> Vec<Explained> {
    let text = fs::read_to_string(path).expect("the file is there");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let explained = lines.map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
        [subject, field, reason] if reason.split(' ').count() > 2 => {
            Explained { subject: subject.to_owned(), field: field.to_owned(), used: 0 }
        }
        _ => panic!("a line has a subject, a field and a reason: {line}"),
    });
    explained.collect()
}

fn read_facts(path: &Path) -> Facts {
    let text = fs::read_to_string(path).expect("the file is there");
    let fact = |line: &str| {
        let mut parts = line.splitn(3, '\t').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_else(|| panic!("{line}: has three parts"));
        ((next(), next()), next())
    };
    text.lines().map(fact).collect()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rows").join(name)
}

/// The values in a collection.
#[track_caller]
fn items(value: &Resp) -> &[Resp] {
    match value {
        Resp::Array(values) | Resp::Set(values) => values,
        other => panic!("{other:?} is no array"),
    }
}

#[track_caller]
fn pairs(value: &Resp) -> &[(Resp, Resp)] {
    match value {
        Resp::Map(pairs) => pairs,
        other => panic!("{other:?} is no map"),
    }
}

/// A text, whatever kind of it.
#[track_caller]
fn text(value: &Resp) -> String {
    match value {
        Resp::Status(text) => text.clone(),
        Resp::Bulk(bytes) | Resp::Verbatim(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?} is no text"),
    }
}

/// A value in one line; the brackets tell arrays, sets and maps, quotes a bulk string from a status.
fn rendered(value: &Resp) -> String {
    let all = |values: &[Resp]| values.iter().map(rendered).collect::<Vec<_>>().join(" ");
    match value {
        Resp::Status(text) => text.clone(),
        Resp::Error(text) => format!("error {text}"),
        Resp::Int(value) => value.to_string(),
        Resp::Bulk(_) => format!("\"{}\"", text(value)),
        Resp::Array(values) => format!("[{}]", all(values)),
        Resp::Set(values) => format!("{{{}}}", all(values)),
        Resp::Map(pairs) => {
            let pair = |(key, value): &(Resp, Resp)| match text(key).as_str() {
                // Remarks are prose.
                "notes" => format!("notes={}", checksum(&text(value))),
                key => format!("{key}={}", rendered(value)),
            };
            format!("({})", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

/// FNV-1a, enough to tell whether a sentence is the same.
fn checksum(text: &str) -> String {
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}
