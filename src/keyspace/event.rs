//! What happened to a key, for whoever asked to be told.

/// The classes of `notify-keyspace-events`, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventClass {
    /// `g`: commands of any type.
    Generic = 1 << 2,
    /// `$`: strings.
    String = 1 << 3,
    /// `l`: lists.
    List = 1 << 4,
    /// `s`: sets.
    Set = 1 << 5,
    /// `h`: hashes.
    Hash = 1 << 6,
    /// `z`: sorted sets.
    Zset = 1 << 7,
    /// `x`: a key died at its deadline.
    Expired = 1 << 8,
    /// `e`: a key was evicted.
    Evicted = 1 << 9,
    /// `t`: streams.
    Stream = 1 << 10,
    /// `m`: a read found nothing. Not in `A`.
    Miss = 1 << 11,
    /// `d`: modules.
    Module = 1 << 13,
    /// `n`: a key was created. Not in `A`.
    New = 1 << 14,
    /// `o`: a value took the place of another one. Not in `A`.
    Overwritten = 1 << 15,
    /// `c`: it is of another type than the one before. Not in `A`.
    TypeChanged = 1 << 16,
    /// `t` as well: groups and consumers of a stream, and its last id, by which its entries do not change.
    StreamState = 1 << 10 | 1 << 20,
    /// No letter: a change of which nobody is told by its name.
    Silent = 1 << 21,
}

impl EventClass {
    /// The classes of events after which a key is not what it was.
    pub const CHANGES: u32 = EventClass::Generic as u32
        | EventClass::String as u32
        | EventClass::List as u32
        | EventClass::Set as u32
        | EventClass::Hash as u32
        | EventClass::Zset as u32
        | EventClass::Expired as u32
        | EventClass::Evicted as u32
        | EventClass::Stream as u32
        | EventClass::Silent as u32;

    /// Whether a key is not what it was after an event of this class.
    pub fn is_change(self) -> bool {
        EventClass::CHANGES & self as u32 != 0 && !matches!(self, EventClass::StreamState)
    }
}

/// `K`: publish to the channel of the key.
pub const KEYSPACE: u32 = 1;
/// `E`: publish to the channel of the event.
pub const KEYEVENT: u32 = 1 << 1;
/// Both kinds of channel.
pub const CHANNELS: u32 = KEYSPACE | KEYEVENT;

/// One event.
#[derive(Clone, Debug)]
pub struct KeyEvent {
    /// Its class.
    pub class: EventClass,
    /// Its name, as subscribers see it.
    pub name: &'static str,
    /// The key.
    pub key: bytes::Bytes,
    /// The number of its database.
    pub db: u32,
    /// The kinds of channel to which it is published: [`KEYSPACE`], [`KEYEVENT`], both or none.
    pub channels: u32,
}
