//! Vector sets: elements with a vector each, found by what they are near to.
//!
//! * [`Graph`] has the vectors; a node of it has a number, and numbers have no holes.
//! * [`Label`] is what else there is of an element, by that number: its name, and its attributes.
//! * [`Names`] finds the number of a name, and has the names in order.
//!
//! A value that is handed out in pieces, or searched in slices, is a [`frozen`](VectorSet::frozen) copy, which shares the memory
//! of what does not change meanwhile.

mod names;

use crate::base::hash::{HashKey, siphash13};
use crate::keyspace::value::{Collection, Type, Value};
use crate::structures::hnsw::load::Corrupted;
use crate::structures::hnsw::pages::Pages;
use crate::structures::hnsw::{Graph, Loading, Placement, Projection, Quant};
use names::Names;
use std::ops::Bound;
use std::sync::Arc;

/// The most numbers of a vector. Redis: `VSET_MAX_VECTOR_DIM`.
pub const DIM_MAX: usize = 1 << 16;
/// Links of a node where nobody says how many. Redis: `HNSW_DEFAULT_M`.
pub const M_DEFAULT: usize = 16;
/// The fewest links of a node that may be asked for. Redis: `HNSW_MIN_M`.
pub const M_MIN: usize = 4;
/// The most. Redis: `HNSW_MAX_M`.
pub const M_MAX: usize = 4096;
/// Bits of the number that is a set's own.
const UID_BITS: u32 = 48;

/// Elements with vectors. See the head of the file.
#[derive(Clone, Debug)]
pub struct VectorSet {
    graph: Graph,
    labels: Pages<Label>,
    names: Names,
    /// How vectors that come are made shorter.
    projection: Option<Arc<Projection>>,
    /// Elements with attributes.
    attributes: usize,
    /// Bytes of the labels.
    label_bytes: usize,
    /// The number that is this set's own.
    uid: u64,
    /// How many elements were ever added.
    last_id: u64,
}

/// The name of an element and its attributes in one piece of memory: the length of the name in LEB128, the name, the rest.
#[derive(Clone, Debug)]
struct Label(Box<[u8]>);

impl Label {
    fn new(name: &[u8], attributes: &[u8]) -> Label {
        let mut bytes = Vec::with_capacity(2 + name.len() + attributes.len());
        let mut len = name.len();
        while len >= 128 {
            bytes.push(len as u8 | 128);
            len >>= 7;
        }
        bytes.push(len as u8);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(attributes);
        Label(bytes.into_boxed_slice())
    }

    /// Its name and its attributes.
    #[inline]
    fn parts(&self) -> (&[u8], &[u8]) {
        let (mut len, mut at) = (0, 0);
        loop {
            let byte = self.0[at];
            len |= usize::from(byte & 127) << (7 * at);
            at += 1;
            if byte < 128 {
                return self.0[at..].split_at(len);
            }
        }
    }

    #[inline]
    fn name(&self) -> &[u8] {
        self.parts().0
    }

    /// Memory behind it, rounded as allocators do.
    fn heap_bytes(&self) -> usize {
        self.0.len().next_multiple_of(8)
    }
}

/// What a vector set is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Numbers of a vector, as they come.
    pub dim: usize,
    /// Numbers of a vector as it is kept, where that is fewer.
    pub reduced: Option<usize>,
    /// How numbers are kept.
    pub quant: Quant,
    /// Links of a node.
    pub m: usize,
}

impl VectorSet {
    /// A set without elements. `uid` is drawn by chance, and tells it from others.
    #[must_use]
    pub fn new(shape: Shape, uid: u64) -> VectorSet {
        let projection = shape.reduced.map(|to| Arc::new(Projection::new(shape.dim, to)));
        let dim = shape.reduced.unwrap_or(shape.dim);
        VectorSet::of(Graph::new(dim, shape.quant, shape.m), projection, uid)
    }

    fn of(graph: Graph, projection: Option<Arc<Projection>>, uid: u64) -> VectorSet {
        VectorSet {
            graph,
            labels: Pages::default(),
            names: Names::default(),
            projection,
            attributes: 0,
            label_bytes: 0,
            uid: uid >> (64 - UID_BITS),
            last_id: 0,
        }
    }

    /// The same for whoever only reads it, in slices: names cannot be looked for in it.
    #[must_use]
    pub fn frozen(&self) -> VectorSet {
        VectorSet {
            graph: self.graph.clone(),
            labels: self.labels.clone(),
            names: Names::default(),
            projection: self.projection.clone(),
            ..*self
        }
    }

    /// The vectors.
    #[inline]
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How vectors that come are made shorter.
    #[must_use]
    pub fn projection(&self) -> Option<&Projection> {
        self.projection.as_deref()
    }

    /// Elements.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.graph.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements with attributes.
    #[must_use]
    pub fn attributes_len(&self) -> usize {
        self.attributes
    }

    /// A number that is this set's own.
    #[must_use]
    pub fn uid(&self) -> u64 {
        self.uid
    }

    /// How many elements were ever added, updates among them.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Memory behind it, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.graph.heap_bytes()
            + self.labels.heap_bytes()
            + self.label_bytes
            + self.names.heap_bytes()
            + self.projection.as_ref().map_or(0, |projection| projection.heap_bytes())
    }

    /// The name of an element.
    #[inline]
    #[must_use]
    pub fn name(&self, node: u32) -> &[u8] {
        self.labels.get(node).name()
    }

    /// The attributes of an element; empty: it has none.
    #[inline]
    #[must_use]
    pub fn attributes(&self, node: u32) -> &[u8] {
        self.labels.get(node).parts().1
    }

    /// The element with this name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.names.find(name, |node| self.name(node))
    }

    /// The elements whose names lie between two, in order.
    pub fn range<'s>(&'s self, from: Bound<&[u8]>) -> impl Iterator<Item = &'s [u8]> {
        self.names.from(from, |node| self.name(node)).map(|node| self.name(node))
    }

    /// Adds an element that is not there, at the place that was found for its vector.
    pub fn add(&mut self, name: &[u8], attributes: &[u8], placement: Placement) {
        let node = self.graph.place(placement);
        debug_assert_eq!(node as usize, self.labels.count());
        self.push_label(name, attributes);
        let VectorSet { names, labels, .. } = self;
        names.insert(node, |node| labels.get(node).name());
        self.last_id += 1;
    }

    fn push_label(&mut self, name: &[u8], attributes: &[u8]) {
        let label = Label::new(name, attributes);
        self.label_bytes += label.heap_bytes();
        self.attributes += usize::from(!attributes.is_empty());
        self.labels.push(label);
    }

    /// Gives an element another vector, at the place that was found for it.
    pub fn replace(&mut self, node: u32, attributes: &[u8], placement: Placement) {
        let new = self.graph.place(placement);
        let name = self.name(node).to_vec();
        self.push_label(&name, attributes);
        let VectorSet { names, labels, .. } = self;
        names.renumber(node, new, |node| labels.get(node).name());
        self.last_id += 1;
        self.remove_node(node);
    }

    /// Removes an element; another one may have its number then.
    pub fn remove(&mut self, node: u32) {
        let VectorSet { names, labels, .. } = self;
        names.remove(node, |node| labels.get(node).name());
        self.remove_node(node);
    }

    /// Removes a node whose name is not its own any more.
    fn remove_node(&mut self, node: u32) {
        let last = self.graph.remove(node);
        if let Some(last) = last {
            let VectorSet { names, labels, .. } = self;
            names.renumber(last, node, |node| labels.get(node).name());
        }
        let Some(mut gone) = self.labels.pop() else { return };
        if last.is_some() {
            std::mem::swap(self.labels.get_mut(node), &mut gone);
        }
        self.label_bytes -= gone.heap_bytes();
        self.attributes -= usize::from(!gone.parts().1.is_empty());
    }

    /// Sets the attributes of an element; empty: it has none then.
    pub fn set_attributes(&mut self, node: u32, attributes: &[u8]) {
        let new = Label::new(self.name(node), attributes);
        self.label_bytes += new.heap_bytes();
        self.attributes += usize::from(!attributes.is_empty());
        let old = std::mem::replace(self.labels.get_mut(node), new);
        self.label_bytes -= old.heap_bytes();
        self.attributes -= usize::from(!old.parts().1.is_empty());
    }

    /// Fails where it is not what it has to be; for tests.
    pub fn check(&self) {
        self.graph.check();
        assert_eq!(self.labels.count(), self.len());
        let all: Vec<&[u8]> = self.range(Bound::Unbounded).collect();
        assert!(all.len() == self.len() && all.windows(2).all(|two| two[0] < two[1]));
        assert!((0..self.len() as u32).all(|node| self.find(self.name(node)) == Some(node)));
        let labels = (0..self.len() as u32).map(|node| self.labels.get(node));
        assert_eq!(self.label_bytes, labels.map(Label::heap_bytes).sum::<usize>());
        let with_attributes = (0..self.len() as u32).filter(|node| !self.attributes(*node).is_empty());
        assert_eq!(self.attributes, with_attributes.count());
    }
}

/// A set with much more room for links than what is said of it takes is refused: it is an attempt to take memory. So many bytes
/// are room for links without anything being said, and so many for each byte that is read.
const ROOM_BYTES_BASE: usize = 128 << 10;
const ROOM_BYTES_EACH: usize = 200;

/// A vector set that is being read from a dump.
#[derive(Debug)]
pub struct LoadingSet {
    graph: Loading,
    set: VectorSet,
    /// Memory for links, in bytes.
    room_bytes: usize,
    /// Bytes that were read, about.
    read_bytes: usize,
}

impl LoadingSet {
    /// Begins with a set whose vectors are kept as `dim` numbers. The key is a secret.
    #[must_use]
    pub fn new(dim: usize, quant: Quant, m: usize, key: &HashKey) -> LoadingSet {
        let graph = Loading::new(dim, quant, m, *key);
        let seed = siphash13(key, &[b"vector set".as_slice(), &dim.to_le_bytes()].concat());
        let set = VectorSet::of(Graph::new(dim, quant, m), None, seed);
        LoadingSet { graph, set, room_bytes: 0, read_bytes: 0 }
    }

    /// How its vectors were made shorter.
    pub fn set_projection(&mut self, projection: Projection) {
        self.set.projection = Some(Arc::new(projection));
    }

    /// Bytes of a vector.
    #[must_use]
    pub fn vector_bytes(&self) -> usize {
        let encoding = self.graph.graph().encoding();
        encoding.quant.bytes(encoding.dim)
    }

    /// Adds an element with the bytes of its vector, and what is said of its node.
    ///
    /// # Errors
    ///
    /// [`Corrupted`] when that makes no sense, or the name is there already.
    pub fn add(
        &mut self,
        name: &[u8],
        attributes: &[u8],
        vector: &[u8],
        numbers: &[u64],
    ) -> Result<(), Corrupted> {
        let node = self.set.labels.count() as u32;
        let levels = numbers.get(1).map_or(0, |level| (level & 0xff) as usize);
        self.room_bytes += self.set.graph.room_bytes(levels);
        self.read_bytes += name.len() + attributes.len() + vector.len() + 2 * numbers.len();
        if self.room_bytes > ROOM_BYTES_BASE + self.read_bytes * ROOM_BYTES_EACH {
            return Err(Corrupted);
        }
        self.graph.add(vector, numbers)?;
        self.set.push_label(name, attributes);
        let VectorSet { names, labels, .. } = &mut self.set;
        if names.insert(node, |node| labels.get(node).name()) { Ok(()) } else { Err(Corrupted) }
    }

    /// All elements are there: looks at some `budget` of them. True when there is more to do.
    ///
    /// # Errors
    ///
    /// [`Corrupted`] when links are not what they have to be.
    pub fn connect(&mut self, budget: usize) -> Result<bool, Corrupted> {
        self.graph.connect(budget)
    }

    /// The set.
    ///
    /// # Errors
    ///
    /// [`Corrupted`] when links are not what they have to be.
    pub fn finish(mut self) -> Result<VectorSet, Corrupted> {
        self.set.last_id = self.graph.last_id();
        self.set.graph = self.graph.finish()?;
        Ok(self.set)
    }
}

/// A vector set as commands take it out of the keyspace.
impl From<Box<VectorSet>> for Value {
    fn from(value: Box<VectorSet>) -> Value {
        Value::Vector(value)
    }
}

impl Collection for Box<VectorSet> {
    const TYPE: Type = Type::Vector;

    fn new() -> Box<VectorSet> {
        let shape = Shape { dim: 1, reduced: None, quant: Quant::Q8, m: M_DEFAULT };
        Box::new(VectorSet::new(shape, 0))
    }

    fn from_value(value: Value) -> Option<Box<VectorSet>> {
        if let Value::Vector(value) = value { Some(value) } else { None }
    }

    fn len(&self) -> usize {
        VectorSet::len(self)
    }
}

#[cfg(test)]
mod tests;
