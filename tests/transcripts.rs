//! The transcripts, played in a simulated world; and that each row of the table of commands has its own.
//!
//! `BLESS=1` writes down what comes. A line that holds a `*` and still matches is kept; long replies are cut to their
//! beginning and a `*`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers and reads files"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};
use support::World;
use support::reply::Resp;
use support::transcript::{self, Action, Block, Scene, Transcript, matches, one_line};
use waterwheel::commands::FAMILIES;
use waterwheel::config::Permission;
use waterwheel::engine::syntax::{self, Argument};
use waterwheel::engine::table::{Row, Table};
use waterwheel::resp::Args;
use waterwheel::resp::reply::encode_request;

/// Longest line that is written down as it is.
const LINE_CHARS_MAX: usize = 400;

/// Options that cannot be taken in a transcript: the row, the word, and why.
const NEVER_TAKEN: &[(&str, &str, &str)] = &[("hotkeys|start", "SLOTS", "cluster mode is off")];

/// Rows that cannot succeed in a transcript.
const NEVER_SUCCEED: &[(&str, &str)] = &[
    ("function", "a container"),
    ("function|kill", "nothing runs between two requests; Redis's own tests have it"),
    ("script", "a container"),
    ("script|kill", "nothing runs between two requests; Redis's own tests have it"),
    ("script|debug", "a session takes over the connection; tests/debugger.rs has it"),
    ("psync", "the feed is no reply; tests/sim/replicas.rs has it"),
    ("sync", "the feed is no reply; tests/sim/replicas.rs has it"),
    ("failover", "it needs a replica; tests/sim/replicas.rs has it"),
    ("acl", "a container"),
    ("backup", "a container"),
    ("acl|load", "the server runs without an ACL file"),
    ("acl|save", "the server runs without an ACL file"),
    ("cluster", "a container"),
    ("commandlog", "a container"),
    ("config", "a container"),
    ("client", "a container"),
    ("hotkeys", "a container"),
    ("latency", "a container"),
    ("memory", "a container"),
    ("module", "a container"),
    ("object", "a container"),
    ("pubsub", "a container"),
    ("slowlog", "a container"),
    ("xgroup", "a container"),
    ("xinfo", "a container"),
    ("asking", "cluster mode is off"),
    ("readonly", "cluster mode is off"),
    ("readwrite", "cluster mode is off"),
    ("module|load", "there are no modules"),
    ("module|loadex", "there are no modules"),
    ("module|unload", "there are no modules"),
    ("shutdown", "it would end the server that the transcript is replayed against"),
    ("config|rewrite", "the server runs without a configuration file"),
];

/// What a run of a scene has shown.
#[derive(Default)]
struct Seen {
    /// Version, row.
    succeeded: BTreeSet<(u8, u16)>,
    wrong_arity: BTreeSet<u16>,
    /// Row and word.
    options: BTreeSet<(u16, String)>,
}

fn table() -> &'static Table {
    Box::leak(Box::new(Table::new(FAMILIES)))
}

#[test]
fn the_transcripts_are_what_happens() {
    let bless = env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, mut transcript) in transcript::all() {
        for scene in &mut transcript.scenes {
            play(scene, bless, &mut wrong, &name, &mut Seen::default());
        }
        if bless {
            let path = format!("{}/tests/transcripts/{name}", env!("CARGO_MANIFEST_DIR"));
            fs::write(path, transcript.written()).expect("a transcript can be written");
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines differ (BLESS=1 writes them anew):\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Plays a scene in its versions; where something else comes, it is noted, or written down if `bless`.
fn play(scene: &mut Scene, bless: bool, wrong: &mut Vec<String>, file: &str, seen: &mut Seen) {
    let title = scene.title.clone();
    for &version in &scene.versions {
        let mut player = Player::new(version);
        for block in &mut scene.blocks {
            let lines = player.play(block, seen);
            let feed = player.feed();
            let expected = block.expected(version).to_vec();
            let same =
                lines.len() == expected.len() && expected.iter().zip(&lines).all(|(e, l)| matches(e, l));
            let only = scene.versions.len() == 1;
            if bless && !same {
                let key = if only { 2 } else { version };
                block
                    .expected
                    .insert(key, blessed(&lines, block.expected.get(&version).unwrap_or(&expected)));
                if version == 2 {
                    block.expected.remove(&3);
                }
            } else if !same {
                let differs = || {
                    format!("{file}, {title}, resp {version}\n  is      {lines:?}\n  not     {expected:?}")
                };
                wrong.push(differs());
            }
            if bless {
                block.feed = feed;
            } else if block.feed != feed {
                wrong.push(format!("{file}, {title}: the feed is {feed:?}, not {:?}", block.feed));
            }
        }
    }
}

/// New lines, but old ones where they are patterns that still match.
fn blessed(lines: &[String], old: &[String]) -> Vec<String> {
    let line = |(at, line): (usize, &String)| match old.get(at) {
        Some(pattern) if pattern.contains('*') && matches(pattern, line) => pattern.clone(),
        _ if line.chars().count() > LINE_CHARS_MAX => {
            let beginning: String = line.chars().take(LINE_CHARS_MAX / 2).collect();
            format!("{beginning}*")
        }
        _ => line.clone(),
    };
    lines.iter().enumerate().map(line).collect()
}

/// A server, and clients of one version of the protocol.
struct Player {
    world: World,
    version: u8,
    clients: BTreeSet<String>,
    began: bool,
}

impl Player {
    fn new(version: u8) -> Player {
        let mut world = World::new();
        world.engine.conf.enable_debug_command = Permission::Yes;
        Player { world, version, clients: BTreeSet::new(), began: false }
    }

    fn play(&mut self, block: &Block, seen: &mut Seen) -> Vec<String> {
        let mut lines = Vec::new();
        for action in &block.actions {
            let sender = match action {
                Action::Send(client, requests, _) => {
                    self.connect(client);
                    let mut bytes = Vec::new();
                    requests.iter().for_each(|words| encode_request(words, &mut bytes));
                    self.world.send_bytes(client, &bytes);
                    Some((client, requests.as_slice()))
                }
                Action::SendBytes(client, bytes) => {
                    self.connect(client);
                    self.world.send_bytes(client, bytes);
                    Some((client, &[][..]))
                }
                Action::Wait(ms) => {
                    self.world.advance_ms(*ms);
                    None
                }
                Action::Leave(client) => {
                    self.world.disconnect(client);
                    self.clients.remove(client);
                    None
                }
            };
            if let Some((client, requests)) = sender {
                let replies = self.look(client, &mut lines);
                seen.note(self.version, &self.world, requests, &replies);
            }
            for client in self.clients.clone() {
                self.look(&client, &mut lines);
            }
        }
        lines
    }

    fn connect(&mut self, client: &str) {
        if self.clients.insert(client.to_owned()) && self.version == 3 {
            self.world.send(client, "HELLO 3");
            self.world.take_replies(client);
        }
    }

    /// Writes down what a client was sent.
    fn look(&mut self, client: &str, lines: &mut Vec<String>) -> Vec<Resp> {
        if !self.clients.contains(client) {
            return Vec::new();
        }
        let (replies, closed) = self.world.take_replies(client);
        lines.extend(replies.iter().map(|reply| format!("{client}: {}", one_line(reply))));
        if closed {
            lines.push(format!("{client}: (closed)"));
            self.clients.remove(client);
        }
        replies
    }

    /// What was propagated since the last block; the first frame is always for database 0.
    fn feed(&mut self) -> Option<String> {
        let feed = self.world.feed();
        let told = if self.began { feed.as_str() } else { feed.strip_prefix("SELECT 0 | ").unwrap_or(&feed) };
        self.began |= !feed.is_empty();
        (!told.is_empty()).then(|| told.escape_debug().to_string().replace("\\\"", "\""))
    }
}

impl Seen {
    /// Notes what rows and options the requests of one line have shown.
    fn note(&mut self, version: u8, world: &World, requests: &[Vec<Vec<u8>>], replies: &[Resp]) {
        let table = world.engine.table;
        let paired = replies.len() == requests.len();
        for (at, words) in requests.iter().enumerate() {
            let words: Vec<bytes::Bytes> = words.iter().map(|w| bytes::Bytes::copy_from_slice(w)).collect();
            let Ok(row) = table.resolve(&Args::Owned(&words)) else { continue };
            let reply = if paired { Some(&replies[at]) } else { None };
            let failed = match reply {
                Some(Resp::Error(text)) => {
                    if text.contains("wrong number of arguments") && !row.admits(words.len()) {
                        self.wrong_arity.insert(row.id);
                    }
                    true
                }
                Some(_) => false,
                None => replies.iter().any(|reply| matches!(reply, Resp::Error(_))),
            };
            if failed {
                continue;
            }
            self.succeeded.insert((version, row.id));
            for word in &words {
                self.options.insert((row.id, String::from_utf8_lossy(word).to_ascii_uppercase()));
            }
        }
    }
}

/// Words that the syntax of a row writes as they are.
fn options_of(row: &Row) -> Vec<&'static str> {
    fn collect(arguments: &[Argument], into: &mut Vec<&'static str>) {
        for argument in arguments {
            into.extend(argument.token.filter(|token| !token.is_empty()));
            collect(&argument.parts, into);
        }
    }
    let mut options = Vec::new();
    collect(&syntax::parse(row.spec.syntax).expect("a syntax can be read"), &mut options);
    options
}

// A wrong type is not asked for: as long as strings are the only type, there is none.
#[test]
fn every_row_has_transcripts_of_success_wrong_arity_and_each_option() {
    let mut seen = Seen::default();
    for (name, mut transcript) in transcript::all() {
        for scene in &mut transcript.scenes {
            play(scene, false, &mut Vec::new(), &name, &mut seen);
        }
    }
    let mut missing = Vec::new();
    for row in table().rows() {
        let name = row.full_name;
        let only_error =
            NEVER_SUCCEED.iter().any(|(exempt, _)| *exempt == name) || name.starts_with("cluster|");
        let succeeded = |version: u8| seen.succeeded.contains(&(version, row.id));
        if only_error {
            assert!(!succeeded(2), "{name} does succeed");
        } else {
            let versions = [2, 3].into_iter().filter(|version| !succeeded(*version));
            missing.extend(versions.map(|version| format!("{name}: success in resp {version}")));
            let unseen = |option: &&str| {
                !NEVER_TAKEN.iter().any(|(row, word, _)| *row == name && word == option)
                    && !seen.options.contains(&(row.id, (*option).to_owned()))
            };
            missing.extend(options_of(row).into_iter().filter(unseen).map(|o| format!("{name}: option {o}")));
        }
        let names = if row.is_sub() { 2 } else { 1 };
        let can_be_wrong = row.spec.arity > 0 || row.spec.arity.unsigned_abs() > names;
        if can_be_wrong && !seen.wrong_arity.contains(&row.id) {
            missing.push(format!("{name}: wrong arity"));
        }
    }
    assert!(missing.is_empty(), "{} transcripts are missing:\n{}", missing.len(), missing.join("\n"));
}

/// tests/transcripts/arity.txt follows from the table.
#[test]
fn the_transcript_of_wrong_arities_has_all_rows() {
    let mut scenes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in table().rows() {
        let spec = row.spec;
        let container = row.parent.map(|id| table().at(id).spec.name.to_ascii_uppercase());
        let mut words: Vec<String> = container.into_iter().chain([spec.name.to_ascii_uppercase()]).collect();
        let names = words.len();
        let least = spec.arity.unsigned_abs() as usize;
        let mut lines = Vec::new();
        if least > names {
            words.resize(least - 1, "x".to_owned());
            lines.push(format!("a> {}", words.join(" ")));
        }
        if spec.arity > 0 {
            words.resize(least + 1, "x".to_owned());
            lines.push(format!("a> {}", words.join(" ")));
        }
        if !lines.is_empty() {
            scenes.insert(row.full_name.to_owned(), lines);
        }
    }
    let path = format!("{}/tests/transcripts/arity.txt", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("BLESS").is_some() && !fs::exists(&path).unwrap_or(false) {
        fs::write(&path, "# Nothing.\na> PING\n----\n").expect("a transcript can be written");
    }
    let mut kept = Transcript::parse(&fs::read_to_string(&path).expect("arity.txt can be read"));
    let mut lines = vec!["# Too few arguments, and too many, of every command.".to_owned()];
    lines.extend(scenes.into_values().flatten());
    let wanted = Transcript::parse(&lines.join("\n"));
    let requests = |t: &Transcript| {
        t.written().lines().filter(|l| l.contains("> ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let same = requests(&kept) == requests(&wanted);
    if env::var_os("BLESS").is_some() && !same {
        kept = wanted;
        for scene in &mut kept.scenes {
            play(scene, true, &mut Vec::new(), "arity.txt", &mut Seen::default());
        }
        fs::write(&path, kept.written()).expect("a transcript can be written");
        return;
    }
    assert!(same, "tests/transcripts/arity.txt is stale: BLESS=1 cargo test --test transcripts");
}
