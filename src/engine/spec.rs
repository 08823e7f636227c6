//! A command as a row: its name, its handler, and everything that can be said about it.
//!
//! From the rows follow dispatch, arity and subcommand errors, the flags that admit or refuse a command, the keys of a
//! request, ACL categories, COMMAND in all its forms, HELP, and docs/COMMANDS.md. A row is a constant; its argument
//! syntax is one string that is parsed only when COMMAND DOCS asks (see [`super::syntax`]).

use super::ctx::Ctx;
use super::error::CmdResult;
use super::keys::KeyAt;
use super::table::Row;
use super::{Call, Engine};
use crate::resp::Args;

/// The handler of a command that needs what the [`Ctx`] lends.
pub type Handler = fn(&mut Ctx<'_>) -> CmdResult;

/// How a command runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// It needs its client, its database and what the [`Ctx`] lends.
    Local(Handler),
    /// It needs the whole engine; the text says why.
    Global(fn(&mut Engine, &mut Call<'_>) -> CmdResult, &'static str),
    /// It only has subcommands.
    Container,
}

/// What a command does and where it may run, one bit each; the names are those of COMMAND INFO.
pub mod flag {
    #![allow(missing_docs, reason = "the names are those that COMMAND INFO documents")]
    pub const WRITE: u32 = 1;
    pub const READONLY: u32 = 1 << 1;
    pub const DENYOOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const NOSCRIPT: u32 = 1 << 5;
    pub const BLOCKING: u32 = 1 << 6;
    pub const LOADING: u32 = 1 << 7;
    pub const STALE: u32 = 1 << 8;
    pub const SKIP_MONITOR: u32 = 1 << 9;
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    pub const ASKING: u32 = 1 << 11;
    pub const FAST: u32 = 1 << 12;
    pub const NO_AUTH: u32 = 1 << 13;
    pub const MAY_REPLICATE: u32 = 1 << 14;
    pub const NO_MANDATORY_KEYS: u32 = 1 << 15;
    pub const PROTECTED: u32 = 1 << 16;
    pub const NO_ASYNC_LOADING: u32 = 1 << 17;
    pub const NO_MULTI: u32 = 1 << 18;
    pub const ALLOW_BUSY: u32 = 1 << 19;
    pub const MOVABLEKEYS: u32 = 1 << 20;
    pub const TOUCHES_ARBITRARY_KEYS: u32 = 1 << 21;
    /// Ends a batch of requests that were parsed ahead: what follows may be parsed under other rules.
    pub const BARRIER: u32 = 1 << 22;
    /// The first argument is a channel.
    pub const CHANNEL: u32 = 1 << 23;
    /// All arguments are channels.
    pub const CHANNELS: u32 = 1 << 24;
    /// All arguments are patterns of channels.
    pub const PATTERNS: u32 = 1 << 25;
    /// Runs at once between MULTI and EXEC.
    pub const RUNS_IN_MULTI: u32 = 1 << 26;
    /// A client of RESP2 may run it while it has subscriptions.
    pub const RUNS_SUBSCRIBED: u32 = 1 << 27;
    /// Runs what its client has queued.
    pub const RUNS_QUEUE: u32 = 1 << 28;
    /// What CLIENT CACHING said outlasts it.
    pub const KEEPS_CACHING: u32 = 1 << 29;
    /// `enable-module-command` allows it, not `enable-debug-command`.
    pub const LOADS_MODULES: u32 = 1 << 30;

    /// Is an access also of a client that leaves no trace of its accesses: CLIENT NO-TOUCH.
    pub const ALWAYS_TOUCHES: u32 = 1 << 31;

    /// Flags of a container that its subcommands have, too.
    pub const INHERITED: u32 = KEEPS_CACHING;

    /// Names in the order in which COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (MOVABLEKEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// ACL categories, one bit each.
pub mod acl {
    #![allow(missing_docs, reason = "the names are those that ACL CAT documents")]
    pub const KEYSPACE: u32 = 1;
    pub const READ: u32 = 1 << 1;
    pub const WRITE: u32 = 1 << 2;
    pub const SET: u32 = 1 << 3;
    pub const SORTEDSET: u32 = 1 << 4;
    pub const LIST: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const STRING: u32 = 1 << 7;
    pub const BITMAP: u32 = 1 << 8;
    pub const HYPERLOGLOG: u32 = 1 << 9;
    pub const GEO: u32 = 1 << 10;
    pub const STREAM: u32 = 1 << 11;
    pub const PUBSUB: u32 = 1 << 12;
    pub const ADMIN: u32 = 1 << 13;
    pub const FAST: u32 = 1 << 14;
    pub const SLOW: u32 = 1 << 15;
    pub const BLOCKING: u32 = 1 << 16;
    pub const DANGEROUS: u32 = 1 << 17;
    pub const CONNECTION: u32 = 1 << 18;
    pub const TRANSACTION: u32 = 1 << 19;
    pub const SCRIPTING: u32 = 1 << 20;

    /// Names in the order in which COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (KEYSPACE, "keyspace"),
        (READ, "read"),
        (WRITE, "write"),
        (SET, "set"),
        (SORTEDSET, "sortedset"),
        (LIST, "list"),
        (HASH, "hash"),
        (STRING, "string"),
        (BITMAP, "bitmap"),
        (HYPERLOGLOG, "hyperloglog"),
        (GEO, "geo"),
        (STREAM, "stream"),
        (PUBSUB, "pubsub"),
        (ADMIN, "admin"),
        (FAST, "fast"),
        (SLOW, "slow"),
        (BLOCKING, "blocking"),
        (DANGEROUS, "dangerous"),
        (CONNECTION, "connection"),
        (TRANSACTION, "transaction"),
        (SCRIPTING, "scripting"),
    ];
}

/// What a command does to the keys of one key spec, one bit each; the names are those of COMMAND INFO.
pub mod key {
    #![allow(missing_docs, reason = "the names are those that COMMAND INFO documents")]
    pub const RO: u32 = 1;
    pub const RW: u32 = 1 << 1;
    pub const OW: u32 = 1 << 2;
    pub const RM: u32 = 1 << 3;
    pub const ACCESS: u32 = 1 << 4;
    pub const UPDATE: u32 = 1 << 5;
    pub const INSERT: u32 = 1 << 6;
    pub const DELETE: u32 = 1 << 7;
    pub const NOT_KEY: u32 = 1 << 8;
    pub const INCOMPLETE: u32 = 1 << 9;
    pub const VARIABLE_FLAGS: u32 = 1 << 10;

    /// Names in the order in which COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

/// Where the keys of a request are.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Bits of [`key`].
    pub flags: u32,
    /// Where the search begins.
    pub begin: Begin,
    /// Which arguments from there on are keys.
    pub find: Find,
    /// A remark that COMMAND INFO shows; mostly empty.
    pub notes: &'static str,
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument.
    Index(i32),
    /// Behind this word, looked for from this argument on (negative: from the end, backwards).
    Keyword(&'static str, i32),
    /// Only the handler knows.
    Unknown,
}

/// Which arguments are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to the argument `last` (relative to the first; negative: from the end) in steps; `limit` above 1 stops at
    /// that fraction of the rest.
    Range {
        /// Last key, relative to the first, or from the end when negative.
        last: i32,
        /// Distance between keys.
        step: i32,
        /// Fraction of the rest to look at: 0 and 1 all, 2 the first half.
        limit: i32,
    },
    /// An argument counts the keys.
    Keynum {
        /// Where the count is, relative to the begin.
        keynum: i32,
        /// Where the first key is, relative to the begin.
        first: i32,
        /// Distance between keys.
        step: i32,
    },
    /// Only the handler knows.
    Unknown,
}

/// The groups of COMMAND DOCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Any key.
    Generic,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Streams.
    Stream,
    /// Strings as arrays of bits.
    Bitmap,
    /// Strings that estimate cardinalities.
    Hyperloglog,
    /// Sorted sets of places.
    Geo,
    /// Connections.
    Connection,
    /// The server.
    Server,
    /// Publish and subscribe.
    Pubsub,
    /// Transactions.
    Transactions,
    /// Scripts and functions.
    Scripting,
    /// Cluster mode.
    Cluster,
    /// What is a module's in Redis.
    Module,
}

impl Group {
    /// What COMMAND DOCS calls it.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::Hyperloglog => "hyperloglog",
            Group::Geo => "geo",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Cluster => "cluster",
            Group::Module => "module",
        }
    }
}

/// One command or subcommand.
#[derive(Clone, Copy)]
pub struct Spec {
    /// In small letters; a subcommand without its container's name.
    pub name: &'static str,
    /// Number of arguments, names included; negative: at least so many.
    pub arity: i16,
    /// How it runs.
    pub run: Run,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Bits of [`acl`], without those that follow from the flags.
    pub acl: u32,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Command tips.
    pub tips: &'static [&'static str],
    /// Subcommands.
    pub subs: &'static [Spec],
    /// Group in COMMAND DOCS.
    pub group: Group,
    /// First version of Redis that had it.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Cost in big-O notation.
    pub complexity: &'static str,
    /// Arguments, in the notation of [`super::syntax`].
    pub syntax: &'static str,
    /// Versions in which it changed, and how.
    pub history: &'static [(&'static str, &'static str)],
    /// Version since which it should not be used, and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Lines of HELP between the title and the line about HELP itself; only of containers.
    pub help: &'static [&'static str],
    /// A wait for keys that ends without them is answered by a null array, not by a null; one for replicas and the log by two
    /// zeros, not by one.
    pub replies_array: bool,
    /// Argument that names a member of the collection at the first key, whose memory is fetched ahead; 0: none.
    pub member: usize,
    /// The flags of a request, where they depend on what it runs; none: those of the row.
    pub flags_of: Option<FlagsOf>,
    /// Finds the keys that the key specs leave out.
    pub keys_of: Option<KeysOf>,
    /// What is done to the keys of a spec with [`key::VARIABLE_FLAGS`].
    pub key_flags_of: Option<KeyFlagsOf>,
    /// Which arguments nobody else may see.
    pub is_secret: Option<IsSecret>,
    /// Which arguments name databases.
    pub databases_of: Option<DatabasesOf>,
    /// It works on all databases.
    pub on_all_databases: bool,
    /// Who waits for its key also waits for the key to go.
    pub waits_for_loss: bool,
    /// It tells that all is well, so it is refused where writes are because a save failed.
    pub tells_health: bool,
    /// A primary sends it by its link, and means it.
    pub serves_links: bool,
    /// The module that has it in Redis. Such commands have no ACL categories there.
    pub module: Option<&'static str>,
}

/// Keys of a request that its key specs cannot tell: all of them where a spec says [`Begin::Unknown`] or is
/// [`key::INCOMPLETE`], else those that the
/// handler finds besides, where a word of a spec stands more than once.
pub type KeysOf = fn(Args<'_>) -> Vec<KeyAt>;

/// What a request does to its keys, where that depends on its options: bits of [`key`].
pub type KeyFlagsOf = fn(Args<'_>) -> u32;

/// Whether the argument of a request at an index is a secret.
pub type IsSecret = fn(Args<'_>, usize) -> bool;

/// The arguments of a request that are numbers of databases. A request that is wrong names none.
pub type DatabasesOf = fn(Args<'_>) -> Vec<usize>;

/// The bits of [`flag`] of a request of the client in a slot.
pub type FlagsOf = fn(&Engine, usize, &Row, Args<'_>) -> u32;

impl Spec {
    /// A row with nothing but the obligatory.
    pub const fn new(name: &'static str, arity: i16, run: Run) -> Spec {
        Spec {
            name,
            arity,
            run,
            flags: 0,
            acl: 0,
            keys: &[],
            tips: &[],
            subs: &[],
            group: Group::Generic,
            since: "1.0.0",
            summary: "",
            complexity: "",
            syntax: "",
            history: &[],
            deprecated: None,
            help: &[],
            replies_array: false,
            member: 0,
            flags_of: None,
            keys_of: None,
            key_flags_of: None,
            is_secret: None,
            databases_of: None,
            on_all_databases: false,
            waits_for_loss: false,
            tells_health: false,
            serves_links: false,
            module: None,
        }
    }

    /// A command that needs only what [`Ctx`] lends.
    pub const fn local(name: &'static str, arity: i16, run: fn(&mut Ctx<'_>) -> CmdResult) -> Spec {
        Spec::new(name, arity, Run::Local(run))
    }

    /// A command that needs the whole engine, and why.
    pub const fn global(
        name: &'static str,
        arity: i16,
        run: fn(&mut Engine, &mut Call<'_>) -> CmdResult,
        why: &'static str,
    ) -> Spec {
        Spec::new(name, arity, Run::Global(run, why))
    }

    /// A command that only has subcommands.
    pub const fn container(name: &'static str, subs: &'static [Spec]) -> Spec {
        Spec { subs, ..Spec::new(name, -2, Run::Container) }
    }

    /// Sets the subcommands of a command that also runs without one.
    pub const fn subs(self, subs: &'static [Spec]) -> Spec {
        Spec { subs, ..self }
    }

    /// Sets bits of [`flag`].
    pub const fn flags(self, flags: u32) -> Spec {
        Spec { flags: self.flags | flags, ..self }
    }

    /// Sets bits of [`acl`].
    pub const fn acl(self, acl: u32) -> Spec {
        Spec { acl, ..self }
    }

    /// Sets the argument that names a member of the collection at the first key.
    pub const fn member(self, member: usize) -> Spec {
        Spec { member, ..self }
    }

    /// Sets what tells the flags of a request that runs others.
    pub const fn runs_others(self, flags_of: FlagsOf) -> Spec {
        Spec { flags_of: Some(flags_of), ..self }
    }

    /// Sets what finds the keys that the key specs leave out.
    pub const fn keys_by(self, keys_of: KeysOf) -> Spec {
        Spec { keys_of: Some(keys_of), ..self }
    }

    /// Sets what tells what a request does to its keys.
    pub const fn key_flags(self, key_flags_of: KeyFlagsOf) -> Spec {
        Spec { key_flags_of: Some(key_flags_of), ..self }
    }

    /// Sets which arguments are secret.
    pub const fn secrets(self, is_secret: IsSecret) -> Spec {
        Spec { is_secret: Some(is_secret), ..self }
    }

    /// Sets which arguments name databases.
    pub const fn databases(self, databases_of: DatabasesOf) -> Spec {
        Spec { databases_of: Some(databases_of), ..self }
    }

    /// It works on all databases.
    pub const fn on_all_databases(self) -> Spec {
        Spec { on_all_databases: true, ..self }
    }

    /// Who waits for its key also waits for the key to go.
    pub const fn waits_for_loss(self) -> Spec {
        Spec { waits_for_loss: true, ..self }
    }

    /// It tells that all is well, so it is refused where writes are because a save failed.
    pub const fn tells_health(self) -> Spec {
        Spec { tells_health: true, ..self }
    }

    /// Sets the key specs.
    pub const fn keys(self, keys: &'static [KeySpec]) -> Spec {
        Spec { keys, ..self }
    }

    /// Sets the command tips.
    pub const fn tips(self, tips: &'static [&'static str]) -> Spec {
        Spec { tips, ..self }
    }

    /// Sets group, first version, sentence and cost.
    pub const fn doc(
        self,
        group: Group,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Spec {
        Spec { group, since, complexity, summary, ..self }
    }

    /// Sets the argument syntax.
    pub const fn syntax(self, syntax: &'static str) -> Spec {
        Spec { syntax, ..self }
    }

    /// Sets the versions in which it changed.
    pub const fn history(self, history: &'static [(&'static str, &'static str)]) -> Spec {
        Spec { history, ..self }
    }

    /// Sets since when something else should be used.
    pub const fn deprecated(self, since: &'static str, replaced_by: &'static str) -> Spec {
        Spec { deprecated: Some((since, replaced_by)), ..self }
    }

    /// Sets the lines of HELP.
    pub const fn help(self, help: &'static [&'static str]) -> Spec {
        Spec { help, ..self }
    }

    /// A primary sends it by its link, and means it.
    pub const fn serves_links(self) -> Spec {
        Spec { serves_links: true, ..self }
    }

    /// Sets the module that has it in Redis.
    pub const fn of_module(self, module: &'static str) -> Spec {
        Spec { module: Some(module), ..self }
    }

    /// A wait for keys that ends without them is answered by a null array.
    pub const fn replies_array(self) -> Spec {
        Spec { replies_array: true, ..self }
    }

    /// All ACL categories: the explicit ones and those that follow from the flags.
    pub fn categories(&self) -> u32 {
        if self.module.is_some() {
            return 0;
        }
        let implied = [
            (flag::WRITE, acl::WRITE),
            (flag::READONLY, if self.acl & acl::SCRIPTING == 0 { acl::READ } else { 0 }),
            (flag::ADMIN, acl::ADMIN | acl::DANGEROUS),
            (flag::PUBSUB, acl::PUBSUB),
            (flag::FAST, acl::FAST),
            (flag::BLOCKING, acl::BLOCKING),
        ];
        let all = implied.iter().filter(|(f, _)| self.flags & f != 0).fold(self.acl, |all, (_, a)| all | a);
        if all & acl::FAST == 0 { all | acl::SLOW } else { all }
    }

    /// First key, last key and step, as COMMAND INFO shows them: of the one range that covers all key specs.
    pub fn legacy_range(&self) -> (i32, i32, i32) {
        let mut range: Option<(i32, i32, i32)> = None;
        for spec in self.keys {
            let (Begin::Index(begin), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
                continue;
            };
            let end = if last < 0 { last } else { begin + last };
            range = Some(match range {
                None => (begin, end, step),
                Some((first, old_end, old_step)) => {
                    let end = if old_end < 0 || end < 0 { old_end.min(end) } else { old_end.max(end) };
                    (first.min(begin), end, old_step.min(step).max(1))
                }
            });
        }
        range.unwrap_or((0, 0, 0))
    }
}

/// One key at argument `index`.
pub const fn key_at(index: i32, flags: u32) -> KeySpec {
    keys_from(index, 0, 1, flags)
}

/// Keys from argument `index` to `last` (relative, or from the end when negative) in steps.
pub const fn keys_from(index: i32, last: i32, step: i32, flags: u32) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, notes: "" }
}
