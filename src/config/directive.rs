//! One directive: a row of the table, and how its value is parsed, kept, shown and compared.
//!
//! A row names its directive, its kind, its default (as text, in the form in which CONFIG GET shows it) and the
//! field of [`Config`] that holds the value. Directives without an effect have no field: their values
//! lie in a generic store under their names. The rows are made with the constructors below:
//!
//! ```ignore
//! number("tcp-backlog", "511", 0, I32, |c| &mut c.tcp_backlog).immutable()
//!     .doc("Connections that may wait for accept, per listener.")
//! ```
//!
//! Accessors borrow mutably; reading works on a copy of the configuration (see [`Config::get`]), which is rare
//! enough not to matter and halves the rows.

use super::number::{Unit, format_number, parse_number};
use super::settings::Config;
use super::values::{Choice, Integer};

/// Where a value comes from: a few directives behave differently at start and at run time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A configuration file or the command line.
    File,
    /// CONFIG SET.
    Client,
}

/// Reads the arguments of a directive with a syntax of its own into the configuration.
pub type SpecialSet = fn(&mut Config, &[&[u8]], Source) -> Result<(), String>;

/// A condition on a value, which is given as CONFIG GET would show it. The error is Redis's.
pub type Check = fn(&[u8]) -> Result<(), &'static str>;

/// How the value of a directive is written, and where it is kept.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Bool(Option<fn(&mut Config) -> &mut bool>),
    /// One name of a list.
    Choice {
        /// The names, in the order in which the error text lists them.
        names: &'static [&'static str],
        /// The typed field.
        field: Option<fn(&mut Config) -> &mut dyn Choice>,
    },
    /// An integer within bounds, both inclusive.
    Number {
        /// The smallest value.
        min: i128,
        /// The largest value.
        max: i128,
        /// The notation.
        unit: Unit,
        /// The typed field.
        field: Option<fn(&mut Config) -> &mut dyn Integer>,
    },
    /// Text.
    Text {
        /// An empty text means 'not set': CONFIG REWRITE then removes the line.
        empty_is_unset: bool,
        /// The typed field.
        field: Option<fn(&mut Config) -> &mut String>,
    },
    /// Any bytes; empty means 'not set'.
    Bytes(fn(&mut Config) -> &mut Vec<u8>),
    /// A syntax of its own.
    Special {
        /// Reads the arguments.
        set: SpecialSet,
        /// Shows the value as CONFIG GET does.
        get: fn(&Config) -> String,
        /// The lines of CONFIG REWRITE, where they are not simply the name and the value.
        lines: Option<fn(&Config) -> Vec<Line>>,
    },
    /// A directive of files only; CONFIG GET and SET do not know it.
    FileOnly,
}

/// One line that CONFIG REWRITE wants: its text after the name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What follows the name and a space.
    pub value: String,
    /// Append the line even where the old file has none to replace.
    pub forced: bool,
}

/// What a directive allows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Flags {
    /// Fixed at start: CONFIG SET refuses.
    pub immutable: bool,
    /// CONFIG GET shows it only under its exact name.
    pub hidden: bool,
    /// CONFIG SET needs `enable-protected-configs`.
    pub protected: bool,
    /// Part of the crash report.
    pub debug: bool,
    /// Kept out of logs, MONITOR and SLOWLOG.
    pub sensitive: bool,
    /// Takes several arguments.
    pub multi: bool,
    /// CONFIG SET refuses while the dataset is loading.
    pub deny_loading: bool,
}

/// Whether a directive does anything here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The server reads it.
    Active,
    /// The server reads it, but what it is mainly for is missing.
    Partial(Why),
    /// Accepted and shown, without effect.
    Inert(Why),
}

/// Why a directive has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Defragmentation as an activity of its own does not exist.
    Defrag,
    /// There is one thread.
    Threads,
    /// The allocator has no threads of its own.
    Allocator,
    /// Threads are not pinned.
    Pinning,
    /// Timers run on the wheel, not on a cron.
    Wheel,
    /// The dict grows in slices of its own.
    Rehashing,
    /// No TLS.
    Tls,
    /// No cluster.
    Cluster,
    /// No RDMA.
    Rdma,
    /// No loadable modules.
    Modules,
    /// Still to come.
    Persistence,
    /// Still to come.
    Replication,
    /// Still to come.
    Crash,
    /// Still to come.
    Valkey,
}

impl Why {
    /// The reason, to follow "no effect, because".
    pub const fn reason(self) -> &'static str {
        match self {
            Why::Defrag => "there is no background defragmentation to steer",
            Why::Threads => "one thread serves all clients",
            Why::Allocator => "the allocator runs no background thread",
            Why::Pinning => "no thread is pinned to a processor",
            Why::Wheel => "timers fire on the wheel at their deadline, not in a periodic job",
            Why::Rehashing => "tables grow a few buckets at a time by themselves",
            Why::Tls => "TLS is not spoken",
            Why::Cluster => "the cluster does not exist here",
            Why::Rdma => "RDMA is not spoken",
            Why::Modules => "modules cannot be loaded",
            Why::Persistence => "persistence is still to come",
            Why::Replication => "replication is still to come",
            Why::Crash => "the report of a crash is still to come",
            Why::Valkey => "what Valkey does with it is still to come",
        }
    }
}

/// Which servers know a directive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Redis 7.0, Redis 8.0 and Valkey 9.1.
    All,
    /// Redis 8.0 and Valkey 9.1.
    SinceRedis8,
    /// Redis 7.0 and 8.0.
    Redis,
    /// Redis 7.0 only.
    Redis7,
    /// Redis 8.0 only.
    Redis8,
    /// Redis 8.6, and not 8.0.
    Redis86,
    /// Redis 8.10 only.
    Redis810,
    /// Valkey 9.1 only.
    Valkey,
    /// None of them.
    Ours,
}

impl Origin {
    /// The servers, in words.
    pub const fn servers(self) -> &'static str {
        match self {
            Origin::All => "Redis 7.0 and later, Valkey",
            Origin::SinceRedis8 => "Redis 8.0, Valkey",
            Origin::Redis => "Redis 7.0 and later",
            Origin::Redis7 => "Redis 7.0",
            Origin::Redis8 => "Redis 8.0",
            Origin::Redis86 => "Redis 8.6",
            Origin::Redis810 => "Redis 8.10",
            Origin::Valkey => "Valkey 9.1",
            Origin::Ours => "Waterwheel only",
        }
    }
}

/// What has to happen outside the configuration when a value has changed. The caller of
/// [`Config::set`] carries it out, once per effect and transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Nothing: the value is read where it is needed.
    None,
    /// Listen on the new port.
    Port,
    /// Listen on the new addresses.
    Bind,
    /// Change the working directory, then write the absolute path back to `dir`.
    Dir,
    /// Check that the system grants that many descriptors.
    MaxClients,
    /// Write the OOM score of the process.
    OomScore,
    /// Check and set the collation locale.
    Locale,
    /// Set the title of the process.
    ProcTitle,
    /// Set level, format or time stamps of the log.
    Log,
    /// Start evicting if the new limit is below what is used.
    Maxmemory,
    /// Choose the keys to evict by the new policy.
    Eviction,
    /// Recount the memory of the clients.
    ClientMemory,
    /// Count the memory of collections no longer.
    KeyMemory,
    /// Tell the keyspace which events somebody wants.
    Notifications,
    /// Hold or release the removal of expired keys.
    ImportMode,
    /// Resize the logs of commands, and set what enters them.
    CommandLogs,
    /// Look for latency spikes of the new length.
    LatencyMonitor,
    /// Arm the timers of idle clients.
    IdleTimers,
    /// Set the password of the default user.
    RequirePass,
    /// Look anew whether a dump is to be saved, and whether writes are refused.
    Saving,
    /// Install or remove the handlers of the crash report.
    CrashLog,
    /// Arm or stop the watchdog.
    Watchdog,
    /// Start or stop the append only file.
    AppendOnly,
    /// Wait for syncs that are under way.
    AppendFsync,
    /// Remove history files of the append only file.
    AofGarbage,
    /// Look anew when a sealed backup is removed.
    Backup,
    /// Resize the replication backlog.
    Backlog,
    /// Count the replicas that are near enough.
    GoodReplicas,
    /// What a replica may do without its primary.
    Role,
}

impl Effect {
    /// Whether the old value does not bring back what was before. Such effects come last, when nothing can fail any
    /// more: an evicted key stays away, and the default user may have had another password than `requirepass`.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Effect::Maxmemory | Effect::RequirePass)
    }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Directive {
    /// The name, in lower case.
    pub name: &'static str,
    /// A second name for the same value.
    pub alias: Option<&'static str>,
    /// How the value is written, and where it is kept.
    pub kind: Kind,
    /// The default, as CONFIG GET shows it.
    pub default: &'static str,
    /// What it allows.
    pub flags: Flags,
    /// What a change asks for.
    pub effect: Effect,
    /// Whether it does anything.
    pub standing: Standing,
    /// Which servers know it.
    pub origin: Origin,
    /// What it means, in one sentence, with the unit.
    pub doc: &'static str,
    /// A further condition on the new value, given as CONFIG GET would show it.
    pub check: Option<Check>,
    /// Puts the value in order after it was set.
    pub settle: Option<fn(&mut Config, Source)>,
}

impl Directive {
    const fn new(name: &'static str, default: &'static str, kind: Kind) -> Directive {
        Directive {
            name,
            alias: None,
            kind,
            default,
            flags: Flags {
                immutable: false,
                hidden: false,
                protected: false,
                debug: false,
                sensitive: false,
                multi: false,
                deny_loading: false,
            },
            effect: Effect::None,
            standing: Standing::Active,
            origin: Origin::All,
            doc: "",
            check: None,
            settle: None,
        }
    }

    /// Gives a second name.
    pub(super) const fn alias(mut self, alias: &'static str) -> Directive {
        self.alias = Some(alias);
        self
    }

    /// Fixes the value at start.
    pub(super) const fn immutable(mut self) -> Directive {
        self.flags.immutable = true;
        self
    }

    /// Hides it from patterns.
    pub(super) const fn hidden(mut self) -> Directive {
        self.flags.hidden = true;
        self
    }

    /// Lets only those change it whom `enable-protected-configs` allows.
    pub(super) const fn protected(mut self) -> Directive {
        self.flags.protected = true;
        self
    }

    /// Puts it into the crash report.
    pub(super) const fn debug(mut self) -> Directive {
        self.flags.debug = true;
        self
    }

    /// Keeps its value out of logs.
    pub(super) const fn sensitive(mut self) -> Directive {
        self.flags.sensitive = true;
        self
    }

    /// Lets it take several arguments.
    pub(super) const fn multi(mut self) -> Directive {
        self.flags.multi = true;
        self
    }

    /// Forbids a change while loading.
    pub(super) const fn deny_loading(mut self) -> Directive {
        self.flags.deny_loading = true;
        self
    }

    /// Says what a change asks for.
    pub(super) const fn applies(mut self, effect: Effect) -> Directive {
        self.effect = effect;
        self
    }

    /// Says that it has only part of its effect, and why.
    pub(super) const fn partial(mut self, why: Why) -> Directive {
        self.standing = Standing::Partial(why);
        self
    }

    /// Says that it has no effect, and why.
    pub(super) const fn inert(mut self, why: Why) -> Directive {
        self.standing = Standing::Inert(why);
        self
    }

    /// Says which servers know it.
    pub(super) const fn origin(mut self, origin: Origin) -> Directive {
        self.origin = origin;
        self
    }

    /// Adds a condition on the new value.
    pub(super) const fn check(mut self, check: Check) -> Directive {
        self.check = Some(check);
        self
    }

    /// Adds a step after setting.
    pub(super) const fn settle(mut self, settle: fn(&mut Config, Source)) -> Directive {
        self.settle = Some(settle);
        self
    }

    /// The sentence for the reader.
    pub(super) const fn doc(mut self, doc: &'static str) -> Directive {
        self.doc = doc;
        self
    }
}

/// Largest value of a signed 32-bit directive.
pub(super) const I32: i128 = i32::MAX as i128;
/// Largest value of a signed 64-bit directive.
pub(super) const I64: i128 = i64::MAX as i128;
/// Largest value of an unsigned 64-bit directive.
pub(super) const U64: i128 = u64::MAX as i128;
/// Largest port.
pub(super) const PORT: i128 = 65535;

/// A yes/no directive.
pub(super) const fn flag(
    name: &'static str,
    default: &'static str,
    field: fn(&mut Config) -> &mut bool,
) -> Directive {
    Directive::new(name, default, Kind::Bool(Some(field)))
}

/// A directive with one name of a list.
pub(super) const fn choice(
    name: &'static str,
    default: &'static str,
    names: &'static [&'static str],
    field: fn(&mut Config) -> &mut dyn Choice,
) -> Directive {
    Directive::new(name, default, Kind::Choice { names, field: Some(field) })
}

/// A plain integer.
pub(super) const fn number(
    name: &'static str,
    default: &'static str,
    min: i128,
    max: i128,
    field: fn(&mut Config) -> &mut dyn Integer,
) -> Directive {
    Directive::new(name, default, Kind::Number { min, max, unit: Unit::Plain, field: Some(field) })
}

/// A number of bytes, which may be given with a unit.
pub(super) const fn memory(
    name: &'static str,
    default: &'static str,
    min: i128,
    max: i128,
    field: fn(&mut Config) -> &mut dyn Integer,
) -> Directive {
    Directive::new(name, default, Kind::Number { min, max, unit: Unit::Memory, field: Some(field) })
}

/// A number in another notation.
pub(super) const fn number_in(
    unit: Unit,
    name: &'static str,
    default: &'static str,
    min: i128,
    max: i128,
    field: fn(&mut Config) -> &mut dyn Integer,
) -> Directive {
    Directive::new(name, default, Kind::Number { min, max, unit, field: Some(field) })
}

/// A text that may be empty.
pub(super) const fn text(
    name: &'static str,
    default: &'static str,
    field: fn(&mut Config) -> &mut String,
) -> Directive {
    Directive::new(name, default, Kind::Text { empty_is_unset: false, field: Some(field) })
}

/// A text that is not set by default.
pub(super) const fn optional(name: &'static str, field: fn(&mut Config) -> &mut String) -> Directive {
    Directive::new(name, "", Kind::Text { empty_is_unset: true, field: Some(field) })
}

/// Bytes that are not set by default.
pub(super) const fn bytes(name: &'static str, field: fn(&mut Config) -> &mut Vec<u8>) -> Directive {
    Directive::new(name, "", Kind::Bytes(field))
}

/// A directive with a syntax of its own.
pub(super) const fn special(
    name: &'static str,
    default: &'static str,
    set: SpecialSet,
    get: fn(&Config) -> String,
    lines: Option<fn(&Config) -> Vec<Line>>,
) -> Directive {
    Directive::new(name, default, Kind::Special { set, get, lines })
}

/// A directive that only files may hold.
pub(super) const fn file_only(name: &'static str) -> Directive {
    Directive::new(name, "", Kind::FileOnly).immutable().multi()
}

/// The same constructors for directives that nobody reads: no field, but a reason.
pub(super) mod unread {
    use super::{Directive, Kind, Unit, Why};

    /// A yes/no directive without effect.
    pub const fn flag(name: &'static str, default: &'static str, why: Why) -> Directive {
        Directive::new(name, default, Kind::Bool(None)).inert(why)
    }

    /// A choice without effect.
    pub const fn choice(
        name: &'static str,
        default: &'static str,
        names: &'static [&'static str],
        why: Why,
    ) -> Directive {
        Directive::new(name, default, Kind::Choice { names, field: None }).inert(why)
    }

    /// An integer without effect.
    pub const fn number(
        name: &'static str,
        default: &'static str,
        min: i128,
        max: i128,
        why: Why,
    ) -> Directive {
        number_in(Unit::Plain, name, default, min, max, why)
    }

    /// A number in another notation without effect.
    pub const fn number_in(
        unit: Unit,
        name: &'static str,
        default: &'static str,
        min: i128,
        max: i128,
        why: Why,
    ) -> Directive {
        Directive::new(name, default, Kind::Number { min, max, unit, field: None }).inert(why)
    }

    /// A text without effect, which may be empty.
    pub const fn text(name: &'static str, default: &'static str, why: Why) -> Directive {
        Directive::new(name, default, Kind::Text { empty_is_unset: false, field: None }).inert(why)
    }

    /// A text without effect that is not set by default.
    pub const fn optional(name: &'static str, why: Why) -> Directive {
        Directive::new(name, "", Kind::Text { empty_is_unset: true, field: None }).inert(why)
    }
}

impl Directive {
    /// Parses the arguments and puts the value into `config`, which is left in an unknown state on an error: work
    /// on a copy. The error is the text after the dash in Redis's reply.
    pub(super) fn assign(&self, config: &mut Config, args: &[&[u8]], source: Source) -> Result<(), String> {
        match self.kind {
            Kind::Special { set, .. } => set(config, args, source)?,
            _ => self.assign_one(config, args)?,
        }
        if let Some(check) = self.check {
            check(&self.value(config))?;
        }
        if let Some(settle) = self.settle {
            settle(config, source);
        }
        Ok(())
    }

    fn assign_one(&self, config: &mut Config, args: &[&[u8]]) -> Result<(), String> {
        let &[arg] = args else {
            return Err("wrong number of arguments".to_owned());
        };
        match self.kind {
            Kind::Bool(field) => {
                let value = parse_bool(arg).ok_or("argument must be 'yes' or 'no'")?;
                match field {
                    Some(field) => *field(config) = value,
                    None => self.store(config, yes_no(value).as_bytes()),
                }
            }
            Kind::Choice { names, field } => {
                let index = names
                    .iter()
                    .position(|name| name.as_bytes().eq_ignore_ascii_case(arg))
                    .ok_or_else(|| one_of(names))?;
                match field {
                    Some(field) => field(config).choose(index),
                    None => self.store(config, names[index].as_bytes()),
                }
            }
            Kind::Number { min, max, unit, field } => {
                let value = parse_number(arg, unit, min, max)?;
                match field {
                    Some(field) => field(config).put(value),
                    None => self.store(config, format_number(value, unit).as_bytes()),
                }
            }
            Kind::Text { field, .. } => match field {
                Some(field) => {
                    let text = str::from_utf8(arg).map_err(|_| "argument must be valid UTF-8")?;
                    text.clone_into(field(config));
                }
                None => self.store(config, arg),
            },
            Kind::Bytes(field) => arg.clone_into(field(config)),
            Kind::Special { .. } | Kind::FileOnly => return Err("wrong number of arguments".to_owned()),
        }
        Ok(())
    }

    fn store(&self, config: &mut Config, value: &[u8]) {
        config.unread.insert(self.name, value.to_vec());
    }

    /// The value as CONFIG GET shows it. `config` is only read.
    pub(super) fn value(&self, config: &mut Config) -> Vec<u8> {
        match self.kind {
            Kind::Bool(Some(field)) => yes_no(*field(config)).as_bytes().to_vec(),
            Kind::Choice { names, field: Some(field) } => names[field(config).chosen()].as_bytes().to_vec(),
            Kind::Number { unit, field: Some(field), .. } => {
                format_number(field(config).value(), unit).into_bytes()
            }
            Kind::Text { field: Some(field), .. } => field(config).clone().into_bytes(),
            Kind::Bytes(field) => field(config).clone(),
            Kind::Special { get, .. } => get(config).into_bytes(),
            Kind::FileOnly => Vec::new(),
            _ => config.unread.get(self.name).cloned().unwrap_or_else(|| self.default.as_bytes().to_vec()),
        }
    }

    /// What `--help` and the manual call the kind of value.
    pub fn kind_in_words(&self) -> String {
        match self.kind {
            Kind::Bool(_) => "yes or no".to_owned(),
            Kind::Choice { names, .. } => names.join(", "),
            Kind::Number { min, max, unit, .. } => {
                let notation = match unit {
                    Unit::Plain => "integer",
                    Unit::Memory => "bytes",
                    Unit::SignedMemory => "bytes, or a negative number",
                    Unit::MemoryOrPercent => return "bytes, or a percentage".to_owned(),
                    Unit::Octal => return format!("octal, {min:o} to {max:o}"),
                };
                match max {
                    I64 | U64 => format!("{notation}, from {min}"),
                    I32 if min == i128::from(i32::MIN) => notation.to_owned(),
                    I32 => format!("{notation}, from {min}"),
                    _ => format!("{notation}, {min} to {max}"),
                }
            }
            Kind::Text { .. } | Kind::Bytes(_) => "text".to_owned(),
            Kind::Special { .. } if self.flags.multi => "list".to_owned(),
            Kind::Special { .. } => "text".to_owned(),
            Kind::FileOnly => "list, in files only".to_owned(),
        }
    }
}

/// `yes` or `no` in any case.
fn parse_bool(arg: &[u8]) -> Option<bool> {
    if arg.eq_ignore_ascii_case(b"yes") {
        Some(true)
    } else if arg.eq_ignore_ascii_case(b"no") {
        Some(false)
    } else {
        None
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// The complaint about a name that is not in the list.
pub(super) fn one_of(names: &[&str]) -> String {
    format!("argument(s) must be one of the following: {}", names.join(", "))
}
