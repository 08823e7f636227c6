//! Transcripts: what clients send, and what they are answered.
//!
//! ```text
//! # A key dies at its deadline.
//! a> SET k v PX 100 | GET k
//! wait 100 ms
//! b> GET k
//! ----
//! a: OK
//! a: "v"
//! b: (nil)
//! feed: SET k v PXAT 1700000000100 | DEL k
//! ---- resp 3
//! ...
//! ```
//!
//! * A scene begins with a sentence behind `#` and with an empty server; blank lines divide it into blocks.
//! * `a>` sends requests, divided by ` | `, in one piece; `a>>` sends the bytes of one quoted string as they are;
//!   `wait` lets time pass; `a leaves` closes a connection from outside.
//! * Below the line stands a line for each reply, as `redis-cli` shows it, but in one line. A `*` stands for anything.
//! * A scene is played in both versions of the protocol; where the replies to a client of version 3 differ, they stand
//!   in a part of their own. A line `only resp 2` or `only resp 3` behind the sentence says that the other makes no sense.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it talks to real servers and reads files"
)]

use super::reply::Resp;
use std::collections::BTreeMap;
use waterwheel::base::quote::{repr, split_args};

/// One file.
pub struct Transcript {
    /// Lines in front of the first scene.
    pub preface: Vec<String>,
    /// Its scenes.
    pub scenes: Vec<Scene>,
}

/// What happens to one server.
pub struct Scene {
    /// The sentence.
    pub title: String,
    /// Versions in which it is played.
    pub versions: Vec<u8>,
    /// Its parts.
    pub blocks: Vec<Block>,
}

/// Some actions, and what has to come of them.
pub struct Block {
    /// What is done, line by line.
    pub actions: Vec<Action>,
    /// What comes, by version.
    pub expected: BTreeMap<u8, Vec<String>>,
    /// The feed, if anything is propagated.
    pub feed: Option<String>,
}

/// One line above the line.
pub enum Action {
    /// A client sends requests.
    Send(String, Vec<Vec<Vec<u8>>>, String),
    /// A client sends bytes.
    SendBytes(String, Vec<u8>),
    /// Time passes.
    Wait(u64),
    /// A connection is closed from outside.
    Leave(String),
}

impl Transcript {
    /// Reads a file.
    ///
    /// # Panics
    ///
    /// When it is not in the notation.
    pub fn parse(text: &str) -> Transcript {
        let mut transcript = Transcript { preface: Vec::new(), scenes: Vec::new() };
        let mut sentence: Vec<&str> = Vec::new();
        for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
            let comments: Vec<&str> = paragraph.lines().take_while(|line| line.starts_with('#')).collect();
            let rest: Vec<&str> = paragraph.lines().skip(comments.len()).collect();
            if rest.is_empty() {
                transcript.preface.extend(comments.iter().map(|line| (*line).to_owned()));
                continue;
            }
            if !comments.is_empty() {
                sentence = comments;
                let title = sentence.join("\n");
                transcript.scenes.push(Scene { title, versions: vec![2, 3], blocks: Vec::new() });
            }
            let scene = transcript.scenes.last_mut();
            let scene = scene.unwrap_or_else(|| panic!("a scene begins with a sentence: {paragraph}"));
            scene.read_block(&rest);
        }
        assert!(!sentence.is_empty(), "a transcript without a scene");
        transcript
    }

    /// Writes the file.
    pub fn written(&self) -> String {
        let mut text = String::new();
        for line in &self.preface {
            text += &format!("{line}\n");
        }
        for scene in &self.scenes {
            text += &format!("{}{}\n", if text.is_empty() { "" } else { "\n" }, scene.title);
            if let [only] = scene.versions.as_slice() {
                text += &format!("only resp {only}\n");
            }
            let blocks: Vec<String> = scene.blocks.iter().map(Block::written).collect();
            text += &blocks.join("\n");
        }
        text
    }
}

impl Scene {
    fn read_block(&mut self, lines: &[&str]) {
        let mut block = Block { actions: Vec::new(), expected: BTreeMap::new(), feed: None };
        let mut version = None;
        for line in lines {
            match (*line, version) {
                ("only resp 2", None) => self.versions = vec![2],
                ("only resp 3", None) => self.versions = vec![3],
                ("----", _) => version = Some(2),
                ("---- resp 3", _) => version = Some(3),
                (line, None) => block.actions.push(Action::parse(line)),
                (line, Some(_)) if line.starts_with("feed: ") => block.feed = Some(line[6..].to_owned()),
                (line, Some(version)) => {
                    block.expected.entry(version).or_default().push(line.to_owned());
                }
            }
        }
        self.blocks.push(block);
    }
}

impl Block {
    /// What has to come in a version: what stands there for it, or for the other.
    pub fn expected(&self, version: u8) -> &[String] {
        let found = self.expected.get(&version).or_else(|| self.expected.get(&2));
        found.map_or(&[], Vec::as_slice)
    }

    fn written(&self) -> String {
        let mut text = String::new();
        for action in &self.actions {
            text += &action.written();
            text.push('\n');
        }
        text += "----\n";
        for line in self.expected.get(&2).into_iter().flatten() {
            text += &format!("{line}\n");
        }
        if let Some(feed) = &self.feed {
            text += &format!("feed: {feed}\n");
        }
        if let Some(expected) = self.expected.get(&3) {
            text += "---- resp 3\n";
            for line in expected {
                text += &format!("{line}\n");
            }
        }
        text
    }
}

impl Action {
    fn parse(line: &str) -> Action {
        if let Some(ms) = line.strip_prefix("wait ").and_then(|rest| rest.strip_suffix(" ms")) {
            return Action::Wait(ms.parse().unwrap_or_else(|_| panic!("{line}: no number")));
        }
        if let Some(client) = line.strip_suffix(" leaves") {
            return Action::Leave(client.to_owned());
        }
        let (client, rest) = line.split_once('>').unwrap_or_else(|| panic!("{line}: nobody does this"));
        let client = client.to_owned();
        let words =
            |text: &str| split_args(text.as_bytes()).unwrap_or_else(|| panic!("{line}: a quote is open"));
        match rest.strip_prefix('>') {
            Some(bytes) => Action::SendBytes(client, words(bytes).concat()),
            None => Action::Send(client, rest.split(" | ").map(words).collect(), rest.trim().to_owned()),
        }
    }

    fn written(&self) -> String {
        match self {
            Action::Send(client, _, line) => format!("{client}> {line}"),
            Action::SendBytes(client, bytes) => format!("{client}>> {}", repr(bytes)),
            Action::Wait(ms) => format!("wait {ms} ms"),
            Action::Leave(client) => format!("{client} leaves"),
        }
    }
}

/// A reply in one line.
pub fn one_line(reply: &Resp) -> String {
    let shown = reply.shown();
    let lines: Vec<&str> = shown.lines().map(str::trim_start).collect();
    lines.join(" ")
}

/// Whether a line is what was expected; a `*` there stands for anything.
pub fn matches(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// All transcripts, by the names of their files.
pub fn all() -> Vec<(String, Transcript)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let entries = std::fs::read_dir(folder).expect("there is a folder of transcripts");
    let mut names: Vec<String> = entries
        .map(|e| e.expect("the folder can be read").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let read =
        |name: &String| std::fs::read_to_string(format!("{folder}/{name}")).expect("a transcript is text");
    names.iter().map(|name| (name.clone(), Transcript::parse(&read(name)))).collect()
}
