//! What the repository asks of its own files, as far as a test can see it.
//!
//! * The rooms of `src/` import only those below them, and only the shell knows sockets, files, clocks and threads.
//! * One file of the shell sees the descriptors of connections.
//! * Files are short, open with their idea, and hold no half-done work.
//! * `unsafe`, and commands that are given the whole engine, are counted: both lists are below.
//! * Every dependency has its reason in `docs/decisions.md`.
//! * The mistakes of `tests/planted/run` can be made: the text that each of them changes is there once.
//! * Links in the documents lead somewhere. A link to a line whose text is code, like `` [`fn main`](main.rs#L5) ``, has
//!   to lead to a line with that code, or near it; `BLESS=1 cargo test --test tidy` writes the lines anew.
#![allow(clippy::disallowed_methods, reason = "it reads the repository")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use waterwheel::commands;
use waterwheel::config::Standing;
use waterwheel::engine::spec::Run;
use waterwheel::engine::table::Table;

/// A room and the rooms that it may import besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("sys", &["base"]),
    ("structures", &["base"]),
    ("resp", &["base"]),
    ("keyspace", &["base", "structures"]),
    ("persist", &["base", "structures", "resp", "keyspace"]),
    ("replication", &["base", "structures", "resp"]),
    ("config", &["base", "keyspace"]),
    ("lua", &["base", "resp"]),
    ("engine", &["base", "structures", "resp", "keyspace", "persist", "replication", "config", "lua"]),
    ("commands", &["base", "structures", "resp", "keyspace", "persist", "replication", "config", "engine"]),
    ("reactor", &["base", "sys", "resp", "keyspace", "config", "engine"]),
    ("check.rs", &["base", "keyspace", "persist", "config"]),
    ("check", &["base", "resp", "persist", "config"]),
];

/// Crates that speak with the system, and the rooms that may know them; `main.rs` is a room here.
const SYSTEM_CRATES: &[(&str, &[&str])] = &[
    ("libc", &["sys"]),
    ("rustix", &["sys"]),
    ("mio", &["reactor", "main.rs"]),
    ("signal_hook", &["reactor"]),
    ("simple_logger", &["reactor"]),
    ("clap", &["config"]),
];

/// Files that may lift the lints of clippy.toml on clocks, threads, sockets, files and chance.
const MAY_REACH_OUT: &[&str] = &["src/sys/mod.rs", "src/reactor/mod.rs", "src/check.rs", "src/main.rs"];

/// Words that stand for a descriptor, or for the stream of a connection.
const DESCRIPTORS: &[&str] = &[
    "AsFd",
    "as_fd",
    "AsRawFd",
    "as_raw_fd",
    "FromRawFd",
    "from_raw_fd",
    "IntoRawFd",
    "into_raw_fd",
    "RawFd",
    "OwnedFd",
    "BorrowedFd",
    "SourceFd",
    "TcpStream",
    "UnixStream",
];

/// Files of the shell that see descriptors, and of what. Those of connections are seen by one file alone, so that a connection
/// that encrypts can be made there.
const SEES_DESCRIPTORS: &[(&str, &str)] = &[
    ("src/reactor/disk/files.rs", "folders in which files are opened by their names"),
    ("src/reactor/disk/open_file.rs", "a file"),
    ("src/reactor/event_loop.rs", "the alarm, for which the poll waits"),
    ("src/reactor/signals.rs", "the pairs of sockets on which handlers of signals write"),
    ("src/reactor/socket.rs", "connections"),
];

/// Every file with `unsafe`, and why. It grows only with a measured gain.
const UNSAFE: &[(&str, &str)] = &[
    (
        "src/lua/debugger/interpreter.rs",
        "locals and calls of a script can be seen only through Lua's debug library",
    ),
    ("src/lua/face.rs", "the wrapper of the interpreter has no functions that take the place of others"),
    (
        "src/lua/matching.rs",
        "a matcher that can be ended has to take the place of a function of the interpreter",
    ),
    ("src/lua/stack.rs", "EVALSHA takes half the instructions when values are pushed without a guard each"),
    (
        "src/structures/bits.rs",
        "code for AVX2 and AVX-512 runs only where the processor has it, which is asked first: 5 times as fast",
    ),
    (
        "src/structures/dict/bucket.rs",
        "one comparison of all tags takes 4 instructions, the same in whole words 25",
    ),
    (
        "src/structures/hnsw/distance.rs",
        "code for AVX2 and AVX-512 runs only where the processor has it, which is asked first: 4 to 12 times as fast",
    ),
    ("src/structures/prefetch.rs", "the hint has no safe form; it may not change what a program computes"),
    ("src/sys/alloc.rs", "a global allocator is an unsafe trait; it forwards each call"),
    ("src/sys/clock.rs", "reading the counter is an intrinsic; it saves 15 ns a command"),
    ("src/sys/file.rs", "the safe wrappers make bare system calls, which nothing can be put in front of"),
    ("src/sys/memory.rs", "mallopt and malloc_trim are calls of the C library without a safe face"),
    ("src/sys/net.rs", "the mark of a socket has no safe face"),
    ("src/sys/pages.rs", "it maps and hands out memory; 20 to 30 % less user time a command"),
    ("src/sys/process.rs", "getrusage of one thread and the collation locale have no safe face"),
    ("src/sys/read.rs", "clearing 1 MiB before each large read costs as much as the read itself"),
    ("src/sys/title.rs", "the title is the memory of the arguments, to which no safe reference exists"),
];

/// Every command that is given the whole engine; its row says why.
const GLOBAL: &str = "
    acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users
    acl|whoami auth backup|abort backup|cleanup backup|list backup|seal backup|start backup|status bgrewriteaof bgsave client|caching client|getname client|getredir client|id client|info client|kill
    client|list client|pause client|setinfo client|setname client|tracking client|trackinginfo client|unblock
    client|unpause commandlog|get commandlog|len commandlog|reset config|get config|resetstat config|rewrite config|set
    debug discard eval eval_ro evalsha evalsha_ro exec failover fcall fcall_ro flushall flushdb function|delete
    function|dump function|flush function|kill function|list function|load function|restore function|stats hello
    hotkeys|get hotkeys|reset hotkeys|start hotkeys|stop info
    lastsave latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset memory|doctor
    memory|stats migrate monitor psubscribe psync publish pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels
    pubsub|shardnumsub punsubscribe readonly readwrite replconf replicaof reset role save script|debug script|exists script|flush
    script|kill script|load script|show shutdown slaveof slowlog|get slowlog|len slowlog|reset spublish ssubscribe
    subscribe sunsubscribe sync time unsubscribe unwatch VADD VSIM wait waitaof watch";

/// How far a link may be from its code: as far as a reader still sees it.
const LINES_OFF_MAX: usize = 12;
const LINES_MAX: usize = 800;
const TEST_LINES_MAX: usize = 150;
const WORDS_OF_A_REASON: usize = 3;

/// A file of the repository.
struct File {
    /// From the root of the repository, with slashes.
    path: String,
    text: String,
}

impl File {
    /// The folder of `src/` that it lies in, or its own name if it lies in `src/` itself.
    fn room(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner)
    }

    /// The code without the tests at its end.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || !self.path.starts_with("src/")
    }

    /// The lines of the code, numbered from 1, without comments.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.code().lines().map(|line| match line.find("//") {
            // Not the slashes of an address in a string.
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            _ => line,
        });
        code.enumerate().map(|(i, line)| (i + 1, line))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder whose name ends so.
fn files(folder: &str, ending: &str) -> Vec<File> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), ending, &mut paths);
    paths.sort();
    let read = |path: PathBuf| File {
        path: path.strip_prefix(root()).expect("it lies below").to_string_lossy().replace('\\', "/"),
        text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    paths.into_iter().map(read).collect()
}

/// All Rust files.
fn rust_files() -> Vec<File> {
    ["src", "tests", "benches"].into_iter().flat_map(|folder| files(folder, ".rs")).collect()
}

/// Fails with all that was found.
#[track_caller]
fn report(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The identifier at the start of a text.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether a text has this identifier in it as a whole.
fn has_word(text: &str, wanted: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(wanted)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + wanted.len()..].starts_with(is_part))
}

/// The names behind `crate::`, also those in braces.
fn imported_rooms(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, found) in text.match_indices("crate::") {
        let rest = &text[at + found.len()..];
        match rest.strip_prefix('{') {
            None => rooms.push(word(rest).to_owned()),
            Some(list) => {
                let mut depth = 0;
                for part in list.split_inclusive(['{', '}', ',']) {
                    if depth == 0 && !word(part.trim_start()).is_empty() {
                        rooms.push(word(part.trim_start()).to_owned());
                    }
                    depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
                    if depth < 0 {
                        break;
                    }
                }
            }
        }
    }
    rooms
}

#[test]
fn layers_only_import_the_layers_below_them() {
    let mut found = Vec::new();
    for file in files("src", ".rs").iter().filter(|f| !["lib.rs", "main.rs"].contains(&f.room())) {
        let Some((room, below)) = LAYERS.iter().find(|(room, _)| *room == file.room()) else {
            found.push(format!("{}: this room is not in LAYERS", file.path));
            continue;
        };
        // Tests in the same file keep to the rule, too.
        for imported in imported_rooms(&file.text) {
            if imported != *room && !below.contains(&imported.as_str()) {
                found.push(format!("{}: {room} may not import {imported}", file.path));
            }
        }
        // `super` must not lead out of the room: so many of them reach the root of the crate.
        let inner = file.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        let to_root = "super::".repeat(inner.split('/').count());
        for (at, _) in file.code().match_indices(&to_root) {
            let name = word(&file.code()[at + to_root.len()..]);
            if LAYERS.iter().any(|(room, _)| *room == name) {
                found.push(format!("{}: say crate::{name}, not {to_root}{name}", file.path));
            }
        }
    }
    report(&found);
}

#[test]
fn only_the_shell_knows_the_system() {
    let mut found = Vec::new();
    for file in files("src", ".rs") {
        for (name, rooms) in SYSTEM_CRATES {
            for (number, line) in file.lines() {
                let named = line.contains(&format!("{name}::")) && has_word(line, name);
                if named && !line.contains(&format!("::{name}::")) && !rooms.contains(&file.room()) {
                    found.push(format!("{}:{number}: only {rooms:?} may know {name}", file.path));
                }
            }
        }
        for lint in ["disallowed_methods", "disallowed_types"] {
            if has_word(&file.text, lint) && !file.is_test() && !MAY_REACH_OUT.contains(&file.path.as_str()) {
                found.push(format!("{}: may not lift {lint}", file.path));
            }
        }
    }
    report(&found);
}

#[test]
fn one_file_sees_the_descriptors_of_connections() {
    let mut found = Vec::new();
    for file in files("src/reactor", ".rs") {
        let seen: Vec<(usize, &str)> = file
            .lines()
            .filter_map(|(number, line)| {
                DESCRIPTORS.iter().find(|word| has_word(line, word)).map(|word| (number, *word))
            })
            .collect();
        match SEES_DESCRIPTORS.iter().any(|(path, _)| *path == file.path) {
            true if seen.is_empty() => found.push(format!("{}: sees no descriptor any more", file.path)),
            true => {}
            false => found.extend(
                seen.iter().map(|(number, word)| format!("{}:{number}: {word}: ask a Socket", file.path)),
            ),
        }
    }
    report(&found);
}

#[test]
fn files_are_short_and_open_with_their_idea() {
    let mut found = Vec::new();
    for file in rust_files() {
        if !file.text.starts_with("//! ") {
            found.push(format!("{}: does not open with its idea, in lines of //!", file.path));
        }
        let (all, code) = (file.text.lines().count(), file.code().lines().count());
        if code > LINES_MAX {
            found.push(format!("{}: has {code} lines, more than {LINES_MAX}", file.path));
        }
        if all - code > TEST_LINES_MAX {
            let sibling = file.path.replace(".rs", "/tests.rs");
            found.push(format!("{}: has {} lines of tests, move them to {sibling}", file.path, all - code));
        }
    }
    report(&found);
}

#[test]
fn every_file_belongs_to_the_crate() {
    // A file that no `mod` names is not compiled; one of src/commands would be missing from the table.
    fn visit(file: &Path, seen: &mut BTreeSet<String>) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        seen.insert(file.strip_prefix(root()).expect("it lies below").to_string_lossy().into_owned());
        let stem = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let folder = file.parent().expect("a file lies in a folder");
        let inner = match stem.as_str() {
            "lib" | "main" | "mod" => folder.to_path_buf(),
            name => folder.join(name),
        };
        for line in text.lines() {
            let Some(at) = line.find("mod ").filter(|_| line.ends_with(';')) else { continue };
            if !line[..at].is_empty() && !line.starts_with("pub") {
                continue;
            }
            let name = word(&line[at + 4..]);
            let paths = [inner.join(format!("{name}.rs")), inner.join(name).join("mod.rs")];
            for path in paths.iter().filter(|path| path.exists()) {
                visit(path, seen);
            }
        }
    }
    let mut seen = BTreeSet::new();
    visit(&root().join("src/lib.rs"), &mut seen);
    visit(&root().join("src/main.rs"), &mut seen);
    let lost = files("src", ".rs").into_iter().filter(|file| !seen.contains(&file.path));
    report(&lost.map(|file| format!("{}: no `mod` names it", file.path)).collect::<Vec<_>>());
}

#[test]
fn every_table_of_commands_is_among_the_families() {
    let families = fs::read_to_string(root().join("src/commands/mod.rs")).expect("the file is there");
    let (_, families) = families.split_once("FAMILIES").expect("it lists the families");
    let mut found = Vec::new();
    for file in files("src/commands", ".rs") {
        if !file.code().contains("pub(super) const COMMANDS: &[Spec]") {
            continue;
        }
        let inner =
            file.path.trim_start_matches("src/commands/").trim_end_matches(".rs").trim_end_matches("/mod");
        let listed = match inner.split_once('/') {
            None => format!("{inner}::COMMANDS"),
            Some((folder, name)) => format!("{folder}::{}", name.to_uppercase()),
        };
        if !families.contains(&listed) {
            found.push(format!("{}: {listed} is not in FAMILIES of src/commands/mod.rs", file.path));
        }
    }
    report(&found);
}

#[test]
fn unsafe_is_where_the_list_says() {
    let mut found = Vec::new();
    let mut listed: BTreeSet<&str> = UNSAFE.iter().map(|(path, _)| *path).collect();
    for file in files("src", ".rs").iter().filter(|file| file.path != "src/lib.rs") {
        let with_tests = File { path: file.path.clone(), text: file.text.replace("#[cfg(test)]", "") };
        let has_unsafe = with_tests.lines().any(|(_, line)| has_word(line, "unsafe"));
        let allowed = file.text.contains("unsafe_code");
        if has_unsafe != allowed {
            found.push(format!("{}: unsafe: {has_unsafe}, allowed: {allowed}", file.path));
        }
        if !allowed {
            continue;
        }
        let attribute = file.text.split("unsafe_code,").nth(1).unwrap_or_default();
        let given = attribute.split('"').nth(1).unwrap_or_default();
        match UNSAFE.iter().find(|(path, _)| *path == file.path) {
            None => found.push(format!("{}: is not in the list of files with unsafe code", file.path)),
            Some((_, reason)) if *reason != given => {
                found.push(format!("{}: gives another reason for unsafe than the list", file.path));
            }
            Some(_) => {}
        }
        listed.remove(file.path.as_str());
    }
    found.extend(listed.iter().map(|path| format!("{path}: is listed, but has no unsafe code")));
    report(&found);
}

#[test]
fn commands_that_are_given_the_whole_engine_are_counted() {
    let table = Table::new(commands::FAMILIES);
    let mut found = Vec::new();
    let mut listed: BTreeSet<&str> = GLOBAL.split_whitespace().collect();
    for row in table.rows() {
        let Run::Global(_, why) = row.spec.run else { continue };
        if why.split_whitespace().count() < WORDS_OF_A_REASON {
            found.push(format!("{}: does not say why it needs the whole engine", row.full_name));
        }
        if !listed.remove(row.full_name) {
            found.push(format!("{}: is not in the list of commands with the whole engine", row.full_name));
        }
    }
    found.extend(listed.iter().map(|name| format!("{name}: is listed, but is given less")));
    report(&found);
}

#[test]
fn a_setting_without_effect_is_read_by_nobody() {
    // Each field of the configuration says first which directive it is of.
    let settings = fs::read_to_string(root().join("src/config/settings.rs")).expect("the file is there");
    let mut fields: Vec<(&str, &str)> = Vec::new();
    let mut directive = None;
    for line in settings.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("/// `") {
            directive = doc.split('`').next();
        } else if let Some(field) = line.strip_prefix("pub ")
            && let Some(directive) = directive.take()
        {
            fields.push((directive, word(field)));
        }
    }
    assert!(fields.len() > 100, "the fields are found");
    let is_inert = |name: &str| {
        let row = waterwheel::config::find(name.as_bytes()).unwrap_or_else(|| panic!("{name} has a row"));
        matches!(row.standing, Standing::Inert(_))
    };
    let inert: Vec<(&str, &str)> = fields.into_iter().filter(|(name, _)| is_inert(name)).collect();
    let mut found = Vec::new();
    for file in files("src", ".rs").iter().filter(|file| file.room() != "config") {
        for (number, line) in file.lines() {
            for (name, field) in &inert {
                let is_read = line.match_indices(&format!(".{field}")).any(|(at, m)| {
                    !line[at + m.len()..].starts_with(|c: char| c.is_alphanumeric() || "_(".contains(c))
                });
                if is_read {
                    found.push(format!("{}:{number}: {name} is said to have no effect", file.path));
                }
            }
        }
    }
    report(&found);
}

#[test]
fn nothing_gives_up_without_a_reason() {
    let mut found = Vec::new();
    for file in files("src", ".rs").iter().filter(|file| !file.is_test()) {
        let code = file.code();
        for (at, call) in code.match_indices(".expect(") {
            let argument = code[at + call.len()..].trim_start();
            let Some(text) = argument.strip_prefix('"') else { continue };
            let reason = text.split('"').next().unwrap_or_default();
            if reason.split_whitespace().count() < WORDS_OF_A_REASON {
                let number = code[..at].lines().count();
                found.push(format!("{}:{number}: \"{reason}\" says too little", file.path));
            }
        }
        for (number, line) in file.lines().filter(|(_, line)| line.contains(".unwrap()")) {
            found.push(format!("{}:{number}: {}", file.path, line.trim()));
        }
    }
    report(&found);
}

#[test]
fn every_dependency_has_its_reason() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("the file is there");
    let (manifest, decisions) = (read("Cargo.toml"), read("docs/decisions.md"));
    let (mut is_listed, mut count, mut found) = (false, 0, Vec::new());
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_listed = line.ends_with("dependencies]");
        } else if is_listed && let Some((name, _)) = line.split_once(" = ") {
            count += 1;
            if !decisions.contains(&format!("\n- **{name}**")) {
                found.push(format!("{name}: docs/decisions.md does not say what it is for"));
            }
        }
    }
    assert!(count > 5, "the manifest lists dependencies");
    report(&found);
}

#[test]
fn nothing_is_half_done() {
    let mut found = Vec::new();
    for file in files("src", ".rs") {
        for (i, line) in file.text.lines().enumerate() {
            let small = line.to_lowercase();
            let marks = ["todo", "fixme", "xxx", "unimplemented", "stub", "for now"];
            for mark in marks.into_iter().filter(|mark| has_word(&small, mark)) {
                // The name of an ACL or a test datum in quotes is no remark.
                if !line.contains(&format!("\"{mark}")) {
                    found.push(format!("{}:{}: {mark}", file.path, i + 1));
                }
            }
        }
    }
    report(&found);
}

#[test]
fn planted_mistakes_can_be_made() {
    let list = fs::read_to_string(root().join("tests/planted/mistakes.txt")).expect("the list is there");
    let (mut found, mut count) = (Vec::new(), 0);
    for mistake in list.split("\n== ").skip(1) {
        let name = mistake.lines().next().unwrap_or_default();
        let mut parts = mistake.split("\n-- ").skip(1);
        while let Some((path, text)) = parts.next().and_then(|part| part.split_once('\n')) {
            let source = fs::read_to_string(root().join(path)).unwrap_or_default();
            let times = source.matches(text.trim_matches('\n')).count();
            if times != 1 || !parts.next().is_some_and(|part| part.starts_with("becomes\n")) {
                found.push(format!("{name}: {path} has the text {times} times"));
            }
            count += 1;
        }
    }
    assert!(count > 15, "the list has mistakes");
    report(&found);
}

#[test]
fn links_lead_somewhere() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut found = Vec::new();
    let mut pages: Vec<File> = ["docs", "tests"].into_iter().flat_map(|f| files(f, ".md")).collect();
    for name in ["README.md", "CHANGELOG.md"] {
        if let Ok(text) = fs::read_to_string(root().join(name)) {
            pages.push(File { path: name.to_owned(), text });
        }
    }
    for page in &mut pages {
        let mut text = String::with_capacity(page.text.len());
        let mut rest = page.text.as_str();
        while let Some(middle) = rest.find("](") {
            let Some(length) = rest[middle..].find(')') else { break };
            let (before, behind) = rest.split_at(middle + length + 1);
            let label = &before[before[..middle].rfind('[').map_or(0, |at| at + 1)..middle];
            let target = &before[middle + 2..before.len() - 1];
            text.push_str(&before[..middle + 2]);
            match checked_link(&page.path, label, target) {
                Ok(right) => {
                    if right != target && !bless {
                        found.push(format!("{}: [{label}]({target}) should be {right}", page.path));
                    }
                    text.push_str(&right);
                }
                Err(problem) => {
                    found.push(format!("{}: [{label}]({target}): {problem}", page.path));
                    text.push_str(target);
                }
            }
            text.push(')');
            rest = behind;
        }
        text.push_str(rest);
        if bless && text != page.text {
            fs::write(root().join(&page.path), text).expect("the page can be written");
        }
    }
    if found.iter().any(|line| line.contains("should be")) {
        found.push("BLESS=1 cargo test --test tidy writes them".to_owned());
    }
    report(&found);
}

/// The target of a link as it should be: with the line that holds the code which the label names.
fn checked_link(page: &str, label: &str, target: &str) -> Result<String, String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(target.to_owned());
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => root().join(page),
        _ => root().join(page).parent().expect("a page lies in a folder").join(path),
    };
    if !file.exists() {
        return Err("there is no such file".to_owned());
    }
    if anchor.is_empty() {
        return Ok(target.to_owned());
    }
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let Some(number) = anchor.strip_prefix('L').and_then(|n| n.parse::<usize>().ok()) else {
        let is_heading = |line: &str| line.starts_with('#') && slug(line) == anchor;
        return match text.lines().any(is_heading) {
            true => Ok(target.to_owned()),
            false => Err("there is no such heading".to_owned()),
        };
    };
    let Some(code) = label.strip_prefix('`').and_then(|l| l.strip_suffix('`')) else {
        return match number <= text.lines().count() {
            true => Ok(target.to_owned()),
            false => Err("the file is shorter".to_owned()),
        };
    };
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains(code)).map(|(i, _)| i + 1);
    let bless = std::env::var_os("BLESS").is_some();
    match lines.min_by_key(|line| line.abs_diff(number)) {
        None => Err("no line has this code".to_owned()),
        // A reader sees it, and not every change has to touch the documents.
        Some(line) if line.abs_diff(number) <= LINES_OFF_MAX && !bless => Ok(target.to_owned()),
        Some(line) => Ok(format!("{path}#L{line}")),
    }
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn words_and_imports_are_seen() {
    assert!(has_word("let stub = 1", "stub") && !has_word("stubborn", "stub"));
    let text = "use crate::base::id; use crate::{sys::net, engine::{Host, spec}, resp}; crate::keyspace::Db";
    assert_eq!(imported_rooms(text), ["base", "sys", "engine", "resp", "keyspace"]);
    assert_eq!(slug("## What is there, and what not"), "what-is-there-and-what-not");
}

/// The longest function, in lines.
const FUNCTION_LINES_MAX: usize = 100;

/// Fields of the engine: more of them belong together under a name.
const ENGINE_FIELDS_MAX: usize = 30;

/// Words of src/engine that are no command although a command has that name, and what they are.
const NO_COMMAND: &[(&str, &str)] = &[
    ("src/engine/spec.rs", "names of flags, categories and groups"),
    ("src/engine/syntax.rs", "kinds of arguments"),
    ("src/engine/acl/check.rs", "reasons in ACL LOG"),
    ("src/engine/acl/log.rs", "contexts in ACL LOG"),
    ("src/engine/acl/user.rs", "rules of users"),
    ("src/engine/slowlog.rs", "events of LATENCY"),
    ("src/engine/listeners.rs", "events of the keyspace"),
    ("src/engine/migrate/", "events of the keyspace"),
    ("src/engine/recorder.rs", "phases of a turn"),
    ("src/engine/script/", "functions of Lua's libraries and kinds of its values"),
];

/// Public functions that only tests call, and why they stay.
const FOR_TESTS: &[(&str, &str)] = &[
    ("follow_feed", "replicas will follow; until then the simulator does"),
    ("take_feed", "the feed is taken by the simulator until replicas are positions in it"),
    ("overflow_buckets", "the measure of how crowded a dict is"),
    ("clients_weigh", "what client eviction believes, to be compared with the truth"),
    ("file_bytes_in_flight", "the snapshot will pause by it"),
    ("begin_walk", "the snapshot will walk large values"),
    ("end_walk", "the snapshot will walk large values"),
    ("walk", "the snapshot will walk large values"),
    ("stash_bytes", "the snapshot will show what it holds"),
    ("parse_u64", "the widest number, to hold the parser of the others to"),
    ("candidates", "all entries that a look-up may meet, to be compared with those that are there"),
    ("check_threads", "a part of a test of another file, which shares its counters"),
    ("of_value", "errors of values, for the libraries of scripts"),
];

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for file in rust_files() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = &line[..line.len() - code.len()];
            let head = code.split('(').next().unwrap_or_default();
            if !head.contains("fn ") || code.starts_with("//") {
                continue;
            }
            let end = lines[i..].iter().position(|line| line.strip_prefix(indent) == Some("}"));
            if end.is_some_and(|lines| lines >= FUNCTION_LINES_MAX) {
                found.push(format!("{}:{}: has {} lines", file.path, i + 1, end.unwrap_or_default() + 1));
            }
        }
    }
    report(&found);
}

#[test]
fn the_engine_has_few_fields() {
    let text = fs::read_to_string(root().join("src/engine/mod.rs")).expect("the file is there");
    let (_, fields) = text.split_once("pub struct Engine {").expect("it has the engine");
    let (fields, _) = fields.split_once("\n}").expect("it ends");
    let count =
        fields.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains(": ")).count();
    assert!(
        (20..=ENGINE_FIELDS_MAX).contains(&count),
        "{count} fields: make a thing of those that belong together"
    );
}

#[test]
fn the_engine_knows_no_command_by_its_name() {
    let table = Table::new(commands::FAMILIES);
    let names: BTreeSet<&str> = table.rows().iter().map(|row| row.full_name).collect();
    let mut found = Vec::new();
    for file in files("src/engine", ".rs").iter().filter(|file| !file.is_test()) {
        if NO_COMMAND.iter().any(|(path, _)| file.path.starts_with(path)) {
            continue;
        }
        for (number, line) in file.lines() {
            let words = line.split('"').skip(1).step_by(2);
            for word in words.filter(|word| names.contains(word)) {
                found.push(format!(
                    "{}:{number}: {word:?} is a command: let its row say what is special",
                    file.path
                ));
            }
        }
    }
    report(&found);
}

#[test]
fn every_file_of_the_engine_is_on_the_map() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the file is there");
    let is_on_map = |path: &str| map.contains(&format!("](../{path})"));
    let mut found = Vec::new();
    for file in files("src/engine", ".rs").iter().filter(|file| !file.is_test()) {
        // A folder stands for its files.
        let inner = file.path.trim_start_matches("src/engine/");
        let place = match inner.split_once('/') {
            Some((folder, _)) => format!("src/engine/{folder}/mod.rs"),
            None => file.path.clone(),
        };
        if !is_on_map(&place) {
            found.push(format!("{place} is not on the map of docs/ARCHITECTURE.md"));
        }
    }
    found.dedup();
    report(&found);
}

#[test]
fn public_functions_have_callers() {
    let sources = files("src", ".rs");
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for file in sources.iter().filter(|file| !file.is_test()) {
        for (_, line) in file.lines() {
            for word in line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
            {
                *uses.entry(word).or_default() += 1;
            }
        }
    }
    let mut found = Vec::new();
    for file in sources.iter().filter(|file| !file.is_test()) {
        for (number, line) in file.lines() {
            let Some((_, rest)) = line.split_once("pub fn ").or_else(|| line.split_once("pub const fn "))
            else {
                continue;
            };
            let name = word(rest);
            if uses.get(name) == Some(&1) && !FOR_TESTS.iter().any(|(known, _)| *known == name) {
                found.push(format!("{}:{number}: nobody calls {name}", file.path));
            }
        }
    }
    report(&found);
}
