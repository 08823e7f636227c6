//! One node of a list: a listpack, one large element, or either of them compressed.

use std::borrow::Cow;

use bytes::Bytes;

use crate::base::number::I64_BYTES_MAX;
use crate::structures::listpack::{Element, Iter, Listpack, Packed};
use crate::structures::lzf;

/// Shorter nodes are not compressed.
const COMPRESS_FROM_BYTES: usize = 48;
/// What compression must save.
const COMPRESS_GAIN_BYTES: usize = 8;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Packed(Listpack),
    /// One element; replies may share it.
    Plain(Bytes),
    Compressed(Compressed),
}

/// A compressed node.
#[derive(Clone, Debug)]
pub(super) struct Compressed {
    stream: Box<[u8]>,
    raw_bytes: u32,
    is_plain: bool,
}

impl Compressed {
    fn raw(&self) -> Vec<u8> {
        lzf::decompress(&self.stream, self.raw_bytes as usize).expect("we compressed it ourselves")
    }
}

impl Node {
    /// A node with the one element `text`.
    pub(super) fn with(text: &[u8], is_plain: bool) -> Node {
        if is_plain {
            return Node::Plain(Bytes::copy_from_slice(text));
        }
        let mut list = Listpack::with_capacity(Listpack::size_of(text) + 7);
        list.push(text);
        Node::Packed(list)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Node::Packed(list) => list.len(),
            Node::Plain(_) => 1,
            // Whoever needs the length of a compressed node has it in the entry.
            Node::Compressed(compressed) if compressed.is_plain => 1,
            Node::Compressed(compressed) => Listpack::from_bytes(compressed.raw()).len(),
        }
    }

    /// Bytes of content before compression, as `ql_uncompressed_size` counts them.
    pub(super) fn raw_bytes(&self) -> usize {
        match self {
            Node::Packed(list) => list.bytes_len(),
            Node::Plain(text) => text.len(),
            Node::Compressed(compressed) => compressed.raw_bytes as usize,
        }
    }

    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Node::Packed(list) => list.heap_bytes(),
            Node::Plain(text) => text.len(),
            Node::Compressed(compressed) => compressed.stream.len(),
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        match self {
            Node::Packed(_) => false,
            Node::Plain(_) => true,
            Node::Compressed(compressed) => compressed.is_plain,
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Node::Compressed(_))
    }

    /// Compresses the node if that pays.
    pub(super) fn compress(&mut self) {
        let (raw, is_plain) = match self {
            Node::Packed(list) => (list.bytes(), false),
            Node::Plain(text) => (&text[..], true),
            Node::Compressed(_) => return,
        };
        if raw.len() < COMPRESS_FROM_BYTES || raw.len() > u32::MAX as usize {
            return;
        }
        let raw_bytes = raw.len() as u32;
        if let Some(stream) = lzf::compress(raw, raw.len() - COMPRESS_GAIN_BYTES) {
            *self = Node::Compressed(Compressed { stream: stream.into_boxed_slice(), raw_bytes, is_plain });
        }
    }

    pub(super) fn decompress(&mut self) {
        if let Node::Compressed(compressed) = self {
            let raw = compressed.raw();
            *self = if compressed.is_plain {
                Node::Plain(Bytes::from(raw))
            } else {
                Node::Packed(Listpack::from_bytes(raw))
            };
        }
    }

    /// The content to be read; a compressed node is decompressed into memory of the view's own.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Node::Packed(list) => View::Packed(Cow::Borrowed(list.bytes())),
            Node::Plain(text) => View::Plain(Cow::Borrowed(text)),
            Node::Compressed(compressed) if compressed.is_plain => {
                View::Plain(Cow::Owned(Bytes::from(compressed.raw())))
            }
            Node::Compressed(compressed) => View::Packed(Cow::Owned(compressed.raw())),
        }
    }
}

/// The content of a node, to be read.
#[derive(Debug)]
pub enum View<'a> {
    /// A listpack.
    Packed(Cow<'a, [u8]>),
    /// One large element.
    Plain(Cow<'a, Bytes>),
}

impl View<'_> {
    /// The elements; can be walked from either end.
    #[inline]
    #[must_use]
    pub fn items(&self) -> Items<'_> {
        match self {
            View::Packed(bytes) => Items::Packed(Packed::new(bytes).iter()),
            View::Plain(text) => Items::Plain(Some(text)),
        }
    }

    /// The elements from the one with this index on.
    #[must_use]
    pub fn items_from(&self, index: usize) -> Items<'_> {
        match self {
            View::Packed(bytes) => {
                let packed = Packed::new(bytes);
                let pos = packed.seek(index as i64).unwrap_or(packed.end());
                Items::Packed(packed.iter_between(pos, packed.end()))
            }
            View::Plain(text) => Items::Plain(if index == 0 { Some(text) } else { None }),
        }
    }

    /// The elements up to the one with this index, to be walked from there to the front.
    #[must_use]
    pub fn items_to(&self, index: usize) -> Items<'_> {
        match self {
            View::Packed(bytes) => {
                let packed = Packed::new(bytes);
                Items::Packed(packed.seek(index as i64).map_or(packed.iter(), |pos| packed.iter_to(pos)))
            }
            View::Plain(text) => Items::Plain(Some(text)),
        }
    }
}

/// An element of a list.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// Part of a listpack.
    Near(Element<'a>),
    /// A large one in memory of its own.
    Far(&'a Bytes),
}

impl<'a> Item<'a> {
    /// Its text; a number's is written into `buf`.
    #[inline]
    #[must_use]
    pub fn bytes<'b>(self, buf: &'b mut [u8; I64_BYTES_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Item::Near(element) => element.bytes(buf),
            Item::Far(text) => text,
        }
    }

    /// Its text in memory of its own.
    #[must_use]
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut [0; I64_BYTES_MAX]).to_vec()
    }

    /// Bytes of its text.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Item::Near(element) => element.len(),
            Item::Far(text) => text.len(),
        }
    }

    /// Is its text empty?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A text to look for; its number is worked out once.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    text: &'a [u8],
    number: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Looks for `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Needle<'a> {
        Needle { text, number: crate::base::number::parse_i64(text) }
    }

    /// Is `item` the text?
    #[inline]
    #[must_use]
    pub fn is(&self, item: Item<'_>) -> bool {
        match item {
            Item::Near(Element::Int(value)) => self.number == Some(value),
            Item::Near(Element::Text(text)) => text == self.text,
            Item::Far(text) => text == self.text,
        }
    }
}

/// The elements of a node.
#[derive(Clone, Debug)]
pub enum Items<'a> {
    /// Those of a listpack.
    Packed(Iter<'a>),
    /// A large one.
    Plain(Option<&'a Bytes>),
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Items::Packed(iter) => iter.next().map(Item::Near),
            Items::Plain(text) => text.take().map(Item::Far),
        }
    }
}

impl DoubleEndedIterator for Items<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Items::Packed(iter) => iter.next_back().map(Item::Near),
            Items::Plain(text) => text.take().map(Item::Far),
        }
    }
}
