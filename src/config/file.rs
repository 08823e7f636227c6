//! Configuration files: one directive a line, `#` before a comment, words quoted as in [`crate::base::quote`].
//!
//! The command line is translated into the same lines (see [`super::arguments`]) and read after the file, so that
//! there is one reader and one kind of error report.

use std::fmt;

use super::directive::{Kind, Source};
use super::table::{self, IGNORED_IN_FILES};
use super::{Config, REDIS_VERSION};
use crate::base::quote::split_args;

/// How deep files may include files.
const INCLUDE_DEPTH_MAX: usize = 32;

/// Reads the text of an included file; a path with `*`, `?` or `[` stands for all files that match, one after the
/// other, which may be none. An error is the whole report, such as `Fatal error, can't open config file …`.
pub type Include<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Vec<u8>, String>;

/// A `user` line, whose rules are for others to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserLine {
    /// The name and its rules.
    pub words: Vec<Vec<u8>>,
    /// Number of the line, from 1.
    pub number: usize,
    /// Its text.
    pub text: String,
}

/// Why a configuration cannot be used. `Display` is the report for standard error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileError {
    /// A line is wrong.
    Line {
        /// Its number, from 1.
        number: usize,
        /// Its text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The lines are fine, but do not go together.
    Whole(String),
    /// A file that is included cannot be read.
    Include(String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***");
        match self {
            FileError::Line { number, text, reason } => {
                write!(
                    f,
                    "\n{title}\nReading the configuration file, at line {number}\n>>> '{text}'\n{reason}\n"
                )
            }
            FileError::Whole(reason) => write!(f, "\n{title}\n{reason}\n"),
            FileError::Include(report) => writeln!(f, "{report}"),
        }
    }
}

impl Config {
    /// Reads a configuration file on top of the present values.
    ///
    /// Whether the commands of `rename-command` and the rules of `user` exist is for the caller to see.
    pub fn parse_file(&mut self, text: &[u8], include: Include<'_>) -> Result<(), FileError> {
        let mut reader = Reader { config: self, include, save_seen: false, place: (0, String::new()) };
        reader.read(text, 0)?;
        if self.cluster_enabled {
            if self.replicaof.is_some() {
                return Err(FileError::Whole("replicaof directive not allowed in cluster mode".to_owned()));
            }
            self.databases = 1;
        }
        Ok(())
    }
}

struct Reader<'a> {
    config: &'a mut Config,
    include: Include<'a>,
    /// The first `save` of all replaces the default, the others add to it.
    save_seen: bool,
    /// Number and text of the line that is being read.
    place: (usize, String),
}

impl Reader<'_> {
    fn read(&mut self, text: &[u8], depth: usize) -> Result<(), FileError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            self.place = (index + 1, String::from_utf8_lossy(line).into_owned());
            self.line(line, depth).map_err(|error| match error {
                LineError::Reason(reason) => {
                    let text = String::from_utf8_lossy(line).into_owned();
                    FileError::Line { number: index + 1, text, reason }
                }
                LineError::Included(error) => error,
            })?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], depth: usize) -> Result<(), LineError> {
        let words = split_args(line).ok_or("Unbalanced quotes in configuration line")?;
        let Some((name, args)) = words.split_first() else { return Ok(()) };
        let name = name.to_ascii_lowercase();
        let Some(row) = table::find(&name) else {
            return unknown(&name, args).map_err(LineError::from);
        };
        if let Kind::FileOnly = row.kind {
            return self.file_only(row.name, args, depth);
        }
        if !row.flags.multi && args.len() != 1 {
            return Err("wrong number of arguments".into());
        }
        // A list may come as one word: `save "900 1"`.
        let list = match args {
            [only] if row.flags.multi && !only.is_empty() => split_args(only).unwrap_or_default(),
            _ => args.to_vec(),
        };
        if row.name == "save" && !self.save_seen {
            self.save_seen = true;
            self.config.save.clear();
        }
        let list: Vec<&[u8]> = list.iter().map(Vec::as_slice).collect();
        row.assign(self.config, &list, Source::File).map_err(LineError::Reason)
    }

    fn file_only(&mut self, name: &str, args: &[Vec<u8>], depth: usize) -> Result<(), LineError> {
        match (name, args) {
            ("include", [path]) => {
                if depth == INCLUDE_DEPTH_MAX {
                    return Err("files include each other too deeply".into());
                }
                let text =
                    (self.include)(path).map_err(|report| LineError::Included(FileError::Include(report)))?;
                self.read(&text, depth + 1).map_err(LineError::Included)?;
            }
            ("rename-command", [old, new]) => self.config.rename_commands.push((old.clone(), new.clone())),
            ("user", [_, ..]) => {
                let (number, text) = self.place.clone();
                self.config.users.push(UserLine { words: args.to_vec(), number, text });
            }
            ("loadmodule", [_, ..]) => self.config.load_modules.push(args.to_vec()),
            _ => return Err(BAD_DIRECTIVE.into()),
        }
        Ok(())
    }
}

const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

/// A name without a row: ignored where older servers knew it.
fn unknown(name: &[u8], args: &[Vec<u8>]) -> Result<(), &'static str> {
    if args.len() == 1 && IGNORED_IN_FILES.iter().any(|known| known.as_bytes() == name) {
        Ok(())
    } else if name == b"sentinel" {
        Err("sentinel directive while not in sentinel mode")
    } else {
        Err(BAD_DIRECTIVE)
    }
}

/// What is wrong with a line: itself, or something within the file that it includes.
enum LineError {
    Reason(String),
    Included(FileError),
}

impl From<&str> for LineError {
    fn from(reason: &str) -> LineError {
        LineError::Reason(reason.to_owned())
    }
}

/// Cuts off the white space that may surround a line.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(|byte| !is_space(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}
