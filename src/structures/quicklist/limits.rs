//! How much a node of a list may hold.

/// Bytes of a node by `list-max-listpack-size` -1 to -5.
const BYTES_BY_LEVEL: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
/// A node that is limited by its count has at most so many bytes.
const SAFETY_BYTES_MAX: usize = 8192;
/// What the estimate of a node's size adds for a new element besides its text.
const ELEMENT_OVERHEAD_BYTES: usize = 8;

/// The settings of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `list-max-listpack-size`: elements of a node, or if negative a level of its bytes.
    pub fill: i32,
    /// `list-compress-depth`: so many nodes at either end are not compressed; zero compresses none.
    pub depth: u32,
    /// An element of at least so many bytes has a node of its own; zero derives it from `fill`.
    pub plain_from_bytes: usize,
}

impl Limits {
    /// From the settings.
    #[must_use]
    pub fn new(fill: i32, depth: u32) -> Limits {
        Limits { fill, depth, plain_from_bytes: 0 }
    }

    /// Is a node of so many bytes and elements too large?
    #[inline]
    #[must_use]
    pub fn exceeded(&self, bytes: usize, elements: usize) -> bool {
        if self.fill < 0 {
            bytes > self.bytes_max()
        } else {
            bytes > SAFETY_BYTES_MAX || elements > self.elements_max()
        }
    }

    /// May `added` bytes of one more element join a node of so many bytes and elements?
    #[inline]
    #[must_use]
    pub(super) fn allows(&self, bytes: usize, elements: usize, added: usize) -> bool {
        !self.is_plain(added) && !self.exceeded(bytes + added + ELEMENT_OVERHEAD_BYTES, elements + 1)
    }

    /// Has an element of so many bytes a node of its own?
    #[inline]
    #[must_use]
    pub fn is_plain(&self, bytes: usize) -> bool {
        if self.plain_from_bytes != 0 {
            bytes >= self.plain_from_bytes
        } else {
            bytes > if self.fill < 0 { self.bytes_max() } else { SAFETY_BYTES_MAX }
        }
    }

    /// Is a node of so many bytes and elements within half of what is allowed?
    #[must_use]
    pub fn within_half(&self, bytes: usize, elements: usize) -> bool {
        if self.fill < 0 { bytes <= self.bytes_max() / 2 } else { elements <= self.elements_max() / 2 }
    }

    /// Bytes that a node is expected to reach.
    pub(super) fn node_bytes(&self) -> usize {
        if self.fill < 0 { self.bytes_max() } else { SAFETY_BYTES_MAX }
    }

    #[inline]
    fn bytes_max(&self) -> usize {
        BYTES_BY_LEVEL[(self.fill.unsigned_abs() as usize - 1).min(BYTES_BY_LEVEL.len() - 1)]
    }

    #[inline]
    fn elements_max(&self) -> usize {
        self.fill.max(1) as usize
    }
}
