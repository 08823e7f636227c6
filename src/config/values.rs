//! The types of directives that are more than a number or a text.

use std::fmt;

/// A type whose values have the names of a list.
pub trait Choice {
    /// The place of the value in the list.
    fn chosen(&self) -> usize;
    /// Takes the value at a place of the list.
    fn choose(&mut self, index: usize);
}

/// Declares an enum whose variants carry the names that files use. The first one is the blank state.
macro_rules! choices {
    ($($(#[$doc:meta])* pub enum $type:ident { $first:ident = $first_name:literal, $($variant:ident = $name:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum $type {
            #[doc = concat!("`", $first_name, "`.")]
            #[default]
            $first,
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl $type {
            /// The names, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$first_name, $($name,)*];
            const VALUES: &'static [$type] = &[$type::$first, $($type::$variant,)*];

            /// The name of the value.
            pub fn name(self) -> &'static str {
                $type::NAMES[self as usize]
            }
        }

        impl Choice for $type {
            fn chosen(&self) -> usize {
                *self as usize
            }

            fn choose(&mut self, index: usize) {
                *self = $type::VALUES[index];
            }
        }
    )*};
}

choices! {
    /// Which keys are evicted first.
    pub enum MaxmemoryPolicy {
        VolatileLru = "volatile-lru",
        VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl",
        VolatileLrm = "volatile-lrm",
        AllkeysLru = "allkeys-lru",
        AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random",
        AllkeysLrm = "allkeys-lrm",
        NoEviction = "noeviction",
    }

    /// Least important messages that are logged.
    pub enum LogLevel {
        Debug = "debug",
        Verbose = "verbose",
        Notice = "notice",
        Warning = "warning",
        Nothing = "nothing",
    }

    /// Form of a line of the log.
    pub enum LogFormat {
        Legacy = "legacy",
        Logfmt = "logfmt",
        Json = "json",
    }

    /// Form of the time in a line of the log.
    pub enum LogTimestamp {
        Legacy = "legacy",
        Iso8601 = "iso8601",
        Milliseconds = "milliseconds",
    }

    /// The supervisor that is told when the server is ready.
    pub enum Supervised {
        Upstart = "upstart",
        Systemd = "systemd",
        Auto = "auto",
        No = "no",
    }

    /// Facility of the system logger.
    pub enum SyslogFacility {
        User = "user",
        Local0 = "local0",
        Local1 = "local1",
        Local2 = "local2",
        Local3 = "local3",
        Local4 = "local4",
        Local5 = "local5",
        Local6 = "local6",
        Local7 = "local7",
    }

    /// When the append only file is synced.
    pub enum AppendFsync {
        Everysec = "everysec",
        Always = "always",
        No = "no",
    }

    /// How a replica loads a full synchronization.
    pub enum DisklessLoad {
        Disabled = "disabled",
        OnEmptyDb = "on-empty-db",
        Swapdb = "swapdb",
        Flushdb = "flushdb",
        FlushBeforeLoad = "flush-before-load",
    }

    /// The channels of a new user.
    pub enum AclPubsubDefault {
        AllChannels = "allchannels",
        ResetChannels = "resetchannels",
    }

    /// Whose packed values are checked in full.
    pub enum SanitizeDump {
        No = "no",
        Yes = "yes",
        Clients = "clients",
    }

    /// The version of the format of dump files that are written.
    pub enum RdbVersion {
        Auto = "auto",
        V10 = "10",
        V11 = "11",
        V12 = "12",
        V13 = "13",
        V80 = "80",
    }

    /// What becomes of dump files of an unknown version.
    pub enum RdbVersionCheck {
        Strict = "strict",
        Relaxed = "relaxed",
    }

    /// Who may do something dangerous.
    pub enum Permission {
        No = "no",
        Yes = "yes",
        Local = "local",
    }

    /// What follows when a propagated command fails.
    pub enum PropagationError {
        Ignore = "ignore",
        Panic = "panic",
        PanicOnReplicas = "panic-on-replicas",
    }
}

impl Permission {
    /// Whether a client may, which is connected from this machine or not.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Permission::No => false,
            Permission::Yes => true,
            Permission::Local => local,
        }
    }
}

/// How the kernel's out-of-memory score is adjusted. Two names mean the same, and the first of them is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OomScoreAdj {
    /// Not at all.
    #[default]
    No,
    /// By values added to the score at start.
    Relative,
    /// By values that replace it.
    Absolute,
}

impl OomScoreAdj {
    /// The names, in the order of the error text.
    pub const NAMES: &'static [&'static str] = &["no", "yes", "relative", "absolute"];
}

impl Choice for OomScoreAdj {
    fn chosen(&self) -> usize {
        match self {
            OomScoreAdj::No => 0,
            OomScoreAdj::Relative => 1,
            OomScoreAdj::Absolute => 3,
        }
    }

    fn choose(&mut self, index: usize) {
        *self = [OomScoreAdj::No, OomScoreAdj::Relative, OomScoreAdj::Relative, OomScoreAdj::Absolute][index];
    }
}

/// A field that holds an integer of some width. The bounds of the row keep the value within it.
pub trait Integer {
    /// Puts a value into the field.
    fn put(&mut self, value: i128);
    /// The value of the field.
    fn value(&self) -> i128;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Integer for $type {
            fn put(&mut self, value: i128) {
                *self = <$type>::try_from(value).expect("the bounds of a row fit its field");
            }

            fn value(&self) -> i128 {
                i128::from(*self)
            }
        }
    )*};
}

integers! { u16 u32 u64 i32 i64 }

/// How much output a class of clients may leave unread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputLimit {
    /// Bytes at which a client is disconnected at once; 0 sets no limit.
    pub hard_bytes: u64,
    /// Bytes at which it is disconnected after `soft_seconds`; 0 sets no limit.
    pub soft_bytes: u64,
    /// Seconds for which it may stay above `soft_bytes`.
    pub soft_seconds: u64,
}

impl OutputLimit {
    /// Place of normal clients in [`Config::client_output_buffer_limits`](super::Config).
    pub const NORMAL: usize = 0;
    /// Place of replicas.
    pub const REPLICA: usize = 1;
    /// Place of subscribers.
    pub const PUBSUB: usize = 2;
}

/// What a signal asks of a shutdown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShutdownOn {
    /// Save a dump even without save points.
    pub save: bool,
    /// Save no dump even with save points.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Go on although saving fails.
    pub force: bool,
}

impl ShutdownOn {
    /// The names, in the order of the error text.
    pub const NAMES: &'static [&'static str] = &["default", "save", "nosave", "now", "force"];
}

impl fmt::Display for ShutdownOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chosen = [(self.save, "save"), (self.nosave, "nosave"), (self.now, "now"), (self.force, "force")]
            .iter()
            .filter_map(|&(set, name)| set.then_some(name))
            .collect::<Vec<_>>();
        f.write_str(if chosen.is_empty() { "default" } else { "" })?;
        f.write_str(&chosen.join(" "))
    }
}

/// Classes of key events that are published: a set of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Notifications(pub u32);

impl Notifications {
    /// `K`: publish to the channel of the key.
    pub const KEYSPACE: u32 = 1 << 0;
    /// `E`: publish to the channel of the event.
    pub const KEYEVENT: u32 = 1 << 1;
    /// `g`: commands of no type.
    pub const GENERIC: u32 = 1 << 2;
    /// `$`: strings.
    pub const STRING: u32 = 1 << 3;
    /// `l`: lists.
    pub const LIST: u32 = 1 << 4;
    /// `s`: sets.
    pub const SET: u32 = 1 << 5;
    /// `h`: hashes.
    pub const HASH: u32 = 1 << 6;
    /// `z`: sorted sets.
    pub const ZSET: u32 = 1 << 7;
    /// `x`: expired keys.
    pub const EXPIRED: u32 = 1 << 8;
    /// `e`: evicted keys.
    pub const EVICTED: u32 = 1 << 9;
    /// `t`: streams.
    pub const STREAM: u32 = 1 << 10;
    /// `m`: reads of keys that do not exist.
    pub const MISS: u32 = 1 << 11;
    /// `d`: types of modules.
    pub const MODULE: u32 = 1 << 13;
    /// `n`: keys that were not there before.
    pub const NEW: u32 = 1 << 14;
    /// `o`: values that took the place of others.
    pub const OVERWRITTEN: u32 = 1 << 15;
    /// `c`: keys whose values are of another type than before.
    pub const TYPE_CHANGED: u32 = 1 << 16;
    /// `A`: all classes but misses, new keys, and what took the place of others.
    pub const ALL: u32 = Self::GENERIC
        | Self::STRING
        | Self::LIST
        | Self::SET
        | Self::HASH
        | Self::ZSET
        | Self::EXPIRED
        | Self::EVICTED
        | Self::STREAM
        | Self::MODULE;

    /// The letters within `A`, in the order in which they are shown, and those after it.
    const LETTERS: [(u8, u32); 16] = [
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'n', Self::NEW),
        (b'o', Self::OVERWRITTEN),
        (b'c', Self::TYPE_CHANGED),
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::MISS),
    ];

    /// Reads the letters. `None`: one of them is unknown.
    pub fn parse(letters: &[u8]) -> Option<Notifications> {
        letters.iter().try_fold(Notifications(0), |sum, &letter| {
            let bits = if letter == b'A' {
                Self::ALL
            } else {
                Self::LETTERS.iter().find(|(known, _)| *known == letter)?.1
            };
            Some(Notifications(sum.0 | bits))
        })
    }

    /// Whether any of these classes is published.
    pub fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

impl fmt::Display for Notifications {
    /// Behind an `A` the letter `n` is not shown, as in Redis.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0 & Self::ALL == Self::ALL;
        let covered = if all { Self::ALL | Self::NEW } else { 0 };
        f.write_str(if all { "A" } else { "" })?;
        for (letter, bit) in Self::LETTERS {
            if self.0 & bit & !covered != 0 {
                write!(f, "{}", char::from(letter))?;
            }
        }
        Ok(())
    }
}
