//! `waterwheel check-aof FILE`: is an append-only file whole, and up to where?
//!
//! It says what `redis-check-aof` says, and ends with the same status. The file is a manifest, whose files are all looked at,
//! or one file of its own, with a dump at its beginning or without. With `--fix` the last file is cut after what is whole,
//! after a question; with `--truncate-to-timestamp N` where the first time after `N` is noted.

use super::{Check, Within, tell, tuning};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use waterwheel::base::crc::crc64;
use waterwheel::config::REDIS_VERSION;
use waterwheel::persist::aof::manifest::Manifest;
use waterwheel::persist::aof::scan::{BadAof, Cause, Item, Next, Scanner, Within as Inside};
use waterwheel::persist::aof::seal::Seal;
use waterwheel::persist::rdb::file::{BadData, ReadOptions};
use waterwheel::resp::args::Args;

/// Names of the program by which it is known as this checker and nothing else.
pub const NAMES: [&str; 3] = ["redis-check-aof", "valkey-check-aof", "waterwheel-check-aof"];

/// A file is read in pieces of so many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// What is asked for.
#[derive(Clone, Copy, Default)]
struct Options {
    fix: bool,
    /// Cut what happened after this second; zero stands for no such option, as in Redis.
    to_timestamp: i64,
}

/// The check ends here, for a reason that was said.
struct Told;

/// What became of one file.
enum Verdict {
    Valid,
    Empty,
    Cut,
    CutToTimestamp,
}

/// A file to be looked at.
struct Target<'a> {
    /// As it is named in what is said.
    name: String,
    path: &'a Path,
    /// No other file follows, so it may be cut.
    is_last: bool,
}

/// Looks at the file that the arguments name.
pub fn run(program: &str, arguments: &[OsString]) -> ExitCode {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(|word| &**word).collect();
    let options = match words[..] {
        ["-v" | "--version"] => {
            println!("redis-check-aof {REDIS_VERSION}");
            return ExitCode::SUCCESS;
        }
        [_] => Options::default(),
        ["--fix", _] => Options { fix: true, ..Options::default() },
        ["--truncate-to-timestamp", time, _] => match time.parse() {
            Ok(to_timestamp) => Options { to_timestamp, ..Options::default() },
            Err(_) => {
                println!("Invalid timestamp, aborting...");
                return ExitCode::FAILURE;
            }
        },
        _ => {
            println!("Usage: {program} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>");
            return ExitCode::FAILURE;
        }
    };
    let path = Path::new(&arguments[arguments.len() - 1]);
    let mut checker = Checker { options, out: String::new(), lines: 1 };
    let result = checker.check(path);
    checker.flush();
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a text is a manifest: the first line that is no remark names a file.
fn is_manifest(start: &[u8]) -> bool {
    let mut lines = start.split(|&byte| byte == b'\n');
    lines.find(|line| !line.starts_with(b"#")).is_some_and(|line| line.starts_with(b"file"))
}

/// Says what is found, and counts on from file to file.
struct Checker {
    options: Options,
    /// What was not printed yet.
    out: String,
    /// Lines of commands, from one on, in all files.
    lines: u64,
}

impl Checker {
    fn flush(&mut self) {
        // Whoever does not want the rest of the lines may close the pipe.
        let _ = std::io::stdout().write_all(self.out.as_bytes());
        let _ = std::io::stdout().flush();
        self.out.clear();
    }

    fn say(&mut self, line: impl std::fmt::Display) {
        let _ = writeln!(self.out, "{line}");
    }

    /// Says why the check ends.
    fn end<T>(&mut self, line: impl std::fmt::Display) -> Result<T, Told> {
        self.say(line);
        Err(Told)
    }

    fn check(&mut self, path: &Path) -> Result<(), Told> {
        let mut start = Vec::new();
        let name = path.to_string_lossy().into_owned();
        let opened = File::open(path).and_then(|file| file.take(PIECE_BYTES as u64).read_to_end(&mut start));
        if let Err(error) = opened {
            return self.end(format!("Cannot open file {name}: {}", reason(&error)));
        }
        if is_manifest(&start) {
            return self.check_parts(path, &name);
        }
        self.say("Start checking Old-Style AOF");
        let target = Target { name, path, is_last: true };
        let verdict = self.check_file(&target)?;
        self.judge(&verdict, "AOF", &target.name);
        Ok(())
    }

    fn check_parts(&mut self, path: &Path, name: &str) -> Result<(), Told> {
        self.say("Start checking Multi Part AOF");
        let mut text = Vec::new();
        if let Err(error) = File::open(path).and_then(|mut file| file.read_to_end(&mut text)) {
            let reason = reason(&error);
            return self
                .end(format!("Fatal error: can't open the AOF manifest file {name} for reading: {reason}"));
        }
        let manifest = match Manifest::parse(&text) {
            Ok(manifest) => manifest,
            Err(bad) => {
                bad.log_lines().iter().for_each(|line| self.say(line));
                return Err(Told);
            }
        };
        let seal = match Seal::parse(&text) {
            Ok(seal) => seal,
            Err(what) => return self.end(format!("AOF manifest {name} is not valid: {what}")),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As at a start, what comes after the last that holds anything does not count.
        let holds = |name: &[u8]| {
            std::fs::metadata(folder.join(OsStr::from_bytes(name))).is_ok_and(|metadata| metadata.len() > 0)
        };
        let last = manifest.needed().enumerate().filter(|(_, file)| holds(&file.name)).map(|(i, _)| i).last();
        for (i, file) in manifest.needed().enumerate() {
            let path = folder.join(OsStr::from_bytes(&file.name));
            let is_base = i == 0 && manifest.base().is_some();
            if let Some(seal) = &seal {
                self.check_sum(&path, &file.name, seal)?;
            }
            if is_base {
                let form = match begins_with_dump(&path) {
                    Ok(true) => "RDB",
                    Ok(false) => "RESP",
                    Err(error) => {
                        return self.end(format!("Cannot open file {}: {}", path.display(), reason(&error)));
                    }
                };
                self.say(format!("Start to check BASE AOF ({form} format)."));
            } else if i == usize::from(manifest.base().is_some()) {
                self.say("Start to check INCR files.");
            }
            let name = String::from_utf8_lossy(&file.name).into_owned();
            let target = Target { name, path: &path, is_last: i >= last.unwrap_or(0) };
            let verdict = self.check_file(&target)?;
            self.judge(&verdict, if is_base { "BASE AOF" } else { "INCR AOF" }, &target.name);
        }
        self.say("All AOF files and manifest are valid");
        Ok(())
    }

    /// Whether a file of a backup has the bytes that it was sealed with.
    fn check_sum(&mut self, path: &Path, name: &[u8], seal: &Seal) -> Result<(), Told> {
        let shown = String::from_utf8_lossy(name).into_owned();
        let Some(sum) = seal.of(name) else {
            return self.end(format!("AOF file {shown} has no checksum in the manifest of the backup"));
        };
        let mut piece = vec![0; PIECE_BYTES];
        let (mut crc, mut bytes) = (0, 0);
        let read = File::open(path).and_then(|mut file| {
            loop {
                let count = file.read(&mut piece)?;
                if count == 0 {
                    return Ok(());
                }
                (crc, bytes) = (crc64(crc, &piece[..count]), bytes + count as u64);
            }
        });
        if let Err(error) = read {
            return self.end(format!("Cannot open file {}: {}", path.display(), reason(&error)));
        }
        if (crc, bytes) != (sum.crc, sum.bytes) {
            return self.end(format!(
                "AOF file {shown} is not as it was sealed: {bytes} bytes with checksum {crc:016x}, not {} with {:016x}",
                sum.bytes, sum.crc
            ));
        }
        Ok(())
    }

    fn judge(&mut self, verdict: &Verdict, what: &str, name: &str) {
        let time = self.options.to_timestamp;
        match verdict {
            Verdict::Valid => self.say(format!("{what} {name} is valid")),
            Verdict::Empty => self.say(format!("{what} {name} is empty")),
            Verdict::Cut => self.say(format!("Successfully truncated AOF {name}")),
            Verdict::CutToTimestamp => {
                self.say(format!("Successfully truncated AOF {name} to timestamp {time}"))
            }
        }
    }

    fn check_file(&mut self, target: &Target<'_>) -> Result<Verdict, Told> {
        let shown = target.path.to_string_lossy();
        let mut file = match OpenOptions::new().read(true).write(true).open(target.path) {
            Ok(file) => file,
            Err(error) => {
                return self.end(format!("Cannot open file {shown}: {}, aborting...", reason(&error)));
            }
        };
        let size = match file.metadata() {
            Ok(metadata) => metadata.len(),
            Err(_) => return self.end(format!("Cannot stat file: {}, aborting...", target.name)),
        };
        if size == 0 {
            return Ok(Verdict::Empty);
        }
        let options = ReadOptions { pass_over_modules: true, ..ReadOptions::default() };
        let mut scan = Scan { scanner: Scanner::new(options, Some(size)), dump: None };
        let result = self.read(&mut scan, &mut file, target);
        self.lines += scan.scanner.lines();
        let mut whole = scan.scanner.whole_up_to();
        match result {
            Err(Stop::Told) => return Err(Told),
            Err(Stop::Cut(at)) => return self.cut_to_timestamp(&file, at, target),
            Err(Stop::Bad(line)) => line.into_iter().for_each(|line| self.say(line)),
            Err(Stop::Misplaced(line, before)) => {
                self.say(line);
                whole = before;
            }
            Ok(()) => {}
        }
        self.end_of_file(&file, size, whole, target)
    }

    /// Reads a file, and says what there is to say of its dump.
    fn read(&mut self, scan: &mut Scan, file: &mut File, target: &Target<'_>) -> Result<(), Stop> {
        let mut piece = vec![0; PIECE_BYTES];
        let tuning = tuning();
        loop {
            if scan.dump.is_some() && scan.scanner.dump().is_none() {
                self.end_of_dump(scan);
            }
            let (whole, was_open) = (scan.scanner.whole_up_to(), scan.scanner.is_in_transaction());
            match scan.scanner.next(&tuning) {
                Ok(Next::Need) => match file.read(&mut piece) {
                    Ok(0) => scan.scanner.finish(),
                    Ok(bytes) => scan.scanner.feed(&piece[..bytes]),
                    Err(_) => {
                        self.say(format!("Failed to read from AOF {}, aborting...", target.name));
                        return Err(Stop::Told);
                    }
                },
                Ok(Next::More) => {}
                Ok(Next::End) => return Ok(()),
                Ok(Next::Item(Item::Command(args))) => {
                    let word = match bracket(args) {
                        Some(true) if was_open => "MULTI",
                        Some(false) if !was_open => "EXEC",
                        _ => continue,
                    };
                    let text = format!("Unexpected {word} in AOF {}", target.path.display());
                    return Err(Stop::Misplaced(at(scan.scanner.looked_at(), &text), whole));
                }
                Ok(Next::Item(Item::Timestamp(time))) => {
                    if self.options.to_timestamp != 0 {
                        self.check_time(time, scan.scanner.cut_before(), target)?;
                    }
                }
                Ok(Next::Item(Item::Dump(item))) => {
                    if scan.dump.is_none() {
                        self.say(format!("[offset 0] Checking RDB file {}", target.path.display()));
                    }
                    let line = scan.dump.get_or_insert_with(Check::now).note(item);
                    if let Some(line) = line {
                        self.say(format!("[offset {}] {line}", scan.scanner.offset()));
                    }
                }
                Err(bad) => return Err(self.bad(bad, scan, target)),
            }
        }
    }

    fn end_of_dump(&mut self, scan: &mut Scan) {
        let offset = scan.scanner.offset();
        self.say(format!("[offset {offset}] \\o/ RDB looks OK! \\o/"));
        if let Some(check) = scan.dump.take() {
            check.counts(&mut self.out);
        }
        self.say("RDB preamble is OK, proceeding with AOF tail...");
    }

    /// A file is wrong: what is to be said of that.
    fn bad(&mut self, bad: BadAof, scan: &mut Scan, target: &Target<'_>) -> Stop {
        if let Some(synced) = bad.synced {
            self.say(format!(
                "AOF {} is damaged at offset {} although {synced} bytes of it were durable: the disk has lost some. A server \
                 refuses to start with it, and --fix cuts what was durable",
                target.name, bad.at
            ));
        }
        match bad.cause {
            Cause::Dump(what) => {
                let within = scan.scanner.dump().map(|dump| Within::of(dump.place()));
                if scan.dump.is_none() {
                    self.say(format!("[offset 0] Checking RDB file {}", target.path.display()));
                }
                let mut check = scan.dump.take().unwrap_or_else(Check::now);
                if let Some(within) = within {
                    tell(&BadData { at: bad.at, what }, &within, &mut self.out);
                    check.keys += u64::from(within.key.is_some());
                }
                check.counts(&mut self.out);
                self.say("RDB preamble of AOF file is not sane, aborting.");
                Stop::Told
            }
            Cause::NoCommand(_) => {
                self.say(format!("AOF {} format error", target.name));
                Stop::Bad(None)
            }
            Cause::Ends(Inside::Command) if scan.scanner.is_in_transaction() => {
                Stop::Bad(Some(at(bad.at, &Cause::Ends(Inside::Transaction).to_string())))
            }
            Cause::Ends(Inside::Command) => Stop::Bad(None),
            cause => Stop::Bad(Some(at(bad.at, &cause.to_string()))),
        }
    }

    /// Looks whether the file is to be cut before this time.
    fn check_time(&mut self, time: Option<i64>, offset: u64, target: &Target<'_>) -> Result<(), Stop> {
        let (path, limit) = (target.path.display(), self.options.to_timestamp);
        match time {
            None => self.say("Invalid timestamp annotation"),
            Some(time) if time <= limit => return Ok(()),
            Some(_) if offset == 0 => {
                self.say(format!("AOF {path} has nothing before timestamp {limit}, aborting..."));
            }
            Some(_) if !target.is_last => {
                self.say(format!(
                    "Failed to truncate AOF {path} to timestamp {limit} to offset {offset} because it is not the last \
                     file.\nIf you insist, please delete all files after this file according to the manifest file and \
                     delete the corresponding records in manifest file manually. Then re-run redis-check-aof."
                ));
            }
            Some(_) => return Err(Stop::Cut(offset)),
        }
        Err(Stop::Told)
    }

    fn cut_to_timestamp(&mut self, file: &File, at: u64, target: &Target<'_>) -> Result<Verdict, Told> {
        match file.set_len(at) {
            Ok(()) => Ok(Verdict::CutToTimestamp),
            Err(_) => {
                let (path, time) = (target.path.display(), self.options.to_timestamp);
                self.end(format!("Failed to truncate AOF {path} to timestamp {time}"))
            }
        }
    }

    fn end_of_file(
        &mut self,
        file: &File,
        size: u64,
        whole: u64,
        target: &Target<'_>,
    ) -> Result<Verdict, Told> {
        let (name, diff) = (&target.name, size - whole);
        if diff == 0 && self.options.to_timestamp != 0 {
            self.say(format!("Truncate nothing in AOF {name} to timestamp {}", self.options.to_timestamp));
            return Ok(Verdict::Valid);
        }
        let lines = self.lines;
        self.say(format!(
            "AOF analyzed: filename={name}, size={size}, ok_up_to={whole}, ok_up_to_line={lines}, diff={diff}"
        ));
        if diff == 0 {
            return Ok(Verdict::Valid);
        }
        if !self.options.fix {
            return self.end(format!("AOF {name} is not valid. Use the --fix option to try fixing it."));
        }
        if !target.is_last {
            return self.end(format!("Failed to truncate AOF {name} because it is not the last file"));
        }
        self.say(format!(
            "This will shrink the AOF {name} from {size} bytes, with {diff} bytes, to {whole} bytes"
        ));
        self.out.push_str("Continue? [y/N]: ");
        self.flush();
        let mut answer = [0];
        let is_yes =
            std::io::stdin().read(&mut answer).is_ok_and(|bytes| bytes == 1) && answer[0] | 0x20 == b'y';
        if !is_yes {
            return self.end("Aborting...");
        }
        match file.set_len(whole) {
            Ok(()) => Ok(Verdict::Cut),
            Err(_) => self.end(format!("Failed to truncate AOF {name}")),
        }
    }
}

/// How far a file was read.
struct Scan {
    scanner: Scanner,
    /// What is counted in the dump, while that is being read.
    dump: Option<Check>,
}

/// Why a file is not read on.
enum Stop {
    /// It was said already, and is the end.
    Told,
    /// The file is to be cut here.
    Cut(u64),
    /// The file is wrong, as this line says.
    Bad(Option<String>),
    /// MULTI or EXEC stands where it should not, as this line says; what stands before this place is whole.
    Misplaced(String, u64),
}

/// Whether a command opens a transaction, or closes one.
fn bracket(args: Args<'_>) -> Option<bool> {
    match args.get(0)? {
        name if name.eq_ignore_ascii_case(b"multi") => Some(true),
        name if name.eq_ignore_ascii_case(b"exec") => Some(false),
        _ => None,
    }
}

/// What was found at this place of the file. A zero ends the line, as it does in C.
fn at(place: u64, text: &str) -> String {
    format!("0x{place:>16x}: {}", text.split('\0').next().unwrap_or_default())
}

fn begins_with_dump(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(6).read_to_end(&mut start)?;
    Ok(start.starts_with(b"REDIS") || start == b"VALKEY")
}

/// A reason as C words it, without the number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
