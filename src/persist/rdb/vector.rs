//! Vector sets: in the form of Redis's module `vectorset`, which is a list of typed parts.
//!
//! ```text
//! name and version of the module's form, in 64 bits
//! numbers of a vector   elements   quantization + 256 links   flags        numbers
//! numbers of a vector before it is made shorter   the matrix               number, string: where flags say so
//! name   attributes   vector   how many numbers follow                     each; attributes where flags say so
//!   id   level   ( links   room for links   id ... )   length + range      numbers, links for each level
//! end
//! ```
//!
//! Attributes that are not there are an empty string. Ids are those of the nodes, from 1. What is said of a node is written in
//! the first form, without the farthest link, which a reader finds itself; it is read in both.

use super::encode::Writer;
use super::error::Stop;
use super::file::module;
use super::read::Reader;
use super::{Options, Version, kind, seal};
use crate::base::hash::HashKey;
use crate::keyspace::types::VectorSet;
use crate::keyspace::types::vector::{DIM_MAX, LoadingSet, M_DEFAULT, M_MAX};
use crate::structures::hnsw::load::NUMBERS_MAX;
use crate::structures::hnsw::{Projection, Quant};

/// Redis 8.0 brought the module.
const VERSION_OF_VECTORS: u16 = 12;
/// No version can hold it.
const NO_VERSION: u16 = u16::MAX;

/// The matrix of a projection follows.
const HAS_PROJECTION: u64 = 1;
/// Elements have attributes.
const HAS_ATTRIBUTES: u64 = 2;

/// Elements that one piece of a set holds.
const ELEMENTS_A_PIECE: u32 = 64;
/// Elements whose links are looked at in one go.
const CONNECTED_A_CALL: usize = 512;

impl Writer<'_> {
    fn number_part(&mut self, number: u64) {
        self.len(module::UNSIGNED);
        self.len(number);
    }

    fn text_part(&mut self, text: &[u8]) {
        self.len(module::STRING);
        self.text(text);
    }

    /// Bytes that are not worth an attempt to compress them.
    fn blob_part(&mut self, bytes: &[u8]) {
        self.len(module::STRING);
        self.len(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn vectors(&mut self, vectors: &VectorSet) -> u16 {
        let version = self.begin_vectors(vectors);
        let mut next = 0;
        while self.go_on_with_vectors(vectors, &mut next) {}
        version
    }

    /// All that stands before the elements. Returns the lowest version of the format that knows the type.
    pub(super) fn begin_vectors(&mut self, vectors: &VectorSet) -> u16 {
        self.kind(kind::MODULE_2);
        self.len(module::VECTOR_SET);
        let (graph, projection) = (vectors.graph(), vectors.projection());
        let encoding = graph.encoding();
        self.number_part(encoding.dim as u64);
        self.number_part(vectors.len() as u64);
        self.number_part(u64::from(encoding.quant.number()) | (graph.m() as u64) << 8);
        let attributes = if vectors.attributes_len() > 0 { HAS_ATTRIBUTES } else { 0 };
        self.number_part(attributes | if projection.is_some() { HAS_PROJECTION } else { 0 });
        if let Some(projection) = projection {
            self.number_part(projection.from as u64);
            self.blob_part(&projection.to_bytes());
        }
        // Valkey has no such module.
        if self.version == Version::Valkey { NO_VERSION } else { VERSION_OF_VECTORS }
    }

    /// The elements from `next` on, some of them. True when there are more.
    pub(super) fn go_on_with_vectors(&mut self, vectors: &VectorSet, next: &mut u32) -> bool {
        let end = (*next + ELEMENTS_A_PIECE).min(vectors.len() as u32);
        let mut bytes = Vec::new();
        for node in *next..end {
            self.text_part(vectors.name(node));
            if vectors.attributes_len() > 0 {
                self.text_part(vectors.attributes(node));
            }
            bytes.clear();
            let graph = vectors.graph();
            graph.encoding().to_bytes(graph.vector(node).0, &mut bytes);
            self.blob_part(&bytes);
            self.node_of_graph(vectors, node);
        }
        *next = end;
        let more = (end as usize) < vectors.len();
        if !more {
            self.len(module::END);
        }
        more
    }

    fn node_of_graph(&mut self, vectors: &VectorSet, node: u32) {
        let graph = vectors.graph();
        let id = |node: u32| u64::from(node) + 1;
        let levels = 0..=graph.level(node);
        let links: usize = levels.clone().map(|level| 2 + graph.links(node, level).len()).sum();
        self.number_part(3 + links as u64);
        self.number_part(id(node));
        self.number_part(graph.level(node) as u64);
        for level in levels {
            let links = graph.links(node, level);
            self.number_part(links.len() as u64);
            self.number_part(graph.links_max(level) as u64);
            links.iter().for_each(|link| self.number_part(id(*link)));
        }
        let (length, range) = (graph.length(node).to_bits(), graph.vector(node).1.to_bits());
        self.number_part(u64::from(length) | u64::from(range) << 32);
    }
}

/// The payload of a set, as DUMP gives it, made in pieces.
#[derive(Debug)]
pub struct VectorPayload {
    bytes: Vec<u8>,
    next: u32,
}

impl VectorPayload {
    /// Begins with what stands before the elements.
    #[must_use]
    pub fn new(vectors: &VectorSet) -> VectorPayload {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, Options { compress: false }).begin_vectors(vectors);
        VectorPayload { bytes, next: 0 }
    }

    /// Adds some elements. True when there are more.
    pub fn step(&mut self, vectors: &VectorSet) -> bool {
        let mut writer = Writer::new(&mut self.bytes, Options { compress: false });
        writer.go_on_with_vectors(vectors, &mut self.next)
    }

    /// The payload with version and checksum.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        seal(&mut self.bytes, VERSION_OF_VECTORS);
        self.bytes
    }
}

/// A set of which a part is read.
#[derive(Debug)]
pub(super) struct VectorReader {
    key: HashKey,
    /// Elements that are still to come.
    left: u64,
    has_attributes: bool,
    stage: Stage,
    /// Scratch: what is said of a node.
    numbers: Vec<u64>,
}

#[derive(Debug)]
enum Stage {
    /// Before what stands before the elements.
    Head,
    /// Before an element, or the end.
    Elements(Box<LoadingSet>),
    /// All was read; links are looked at.
    Links(Box<LoadingSet>),
    /// It is whole.
    Done(Box<LoadingSet>),
}

const BAD_VECTORS: Stop = Stop::Bad("Vector set node index loading error");

fn number(reader: &mut Reader<'_>) -> Result<u64, Stop> {
    match reader.len()? {
        module::UNSIGNED => reader.len(),
        _ => Err(Stop::Bad("Not a number in the data of a vector set")),
    }
}

fn text<'r>(reader: &mut Reader<'r>) -> Result<super::read::Text<'r>, Stop> {
    match reader.len()? {
        module::STRING => reader.text(),
        _ => Err(Stop::Bad("Not a string in the data of a vector set")),
    }
}

impl VectorReader {
    /// Behind the name of the module.
    pub(super) fn new(key: HashKey) -> VectorReader {
        VectorReader { key, left: 0, has_attributes: false, stage: Stage::Head, numbers: Vec::new() }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    /// Reads the next part, or does some of the work after the last one.
    pub(super) fn part(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Head) {
            Stage::Head => Stage::Elements(self.head(reader)?),
            Stage::Elements(mut set) => {
                // What is not all there comes again.
                match self.element(&mut set, reader) {
                    Ok(true) => Stage::Elements(set),
                    Ok(false) => Stage::Links(set),
                    Err(stop) => {
                        self.stage = Stage::Elements(set);
                        return Err(stop);
                    }
                }
            }
            Stage::Links(mut set) => match set.connect(CONNECTED_A_CALL).map_err(|_| BAD_VECTORS)? {
                true => Stage::Links(set),
                false => Stage::Done(set),
            },
            Stage::Done(set) => Stage::Done(set),
        };
        Ok(())
    }

    fn head(&mut self, reader: &mut Reader<'_>) -> Result<Box<LoadingSet>, Stop> {
        let (dim, elements, config, flags) =
            (number(reader)?, number(reader)?, number(reader)?, number(reader)?);
        let dim = usize::try_from(dim).unwrap_or(usize::MAX);
        if dim == 0 || dim > DIM_MAX {
            return Err(Stop::Bad("Invalid vector dimension in RDB"));
        }
        let quant = Quant::from_number(config as u8).ok_or(Stop::Bad("Unknown quantization in RDB"))?;
        let m = match (config >> 8 & 0xffff) as usize {
            0 => M_DEFAULT,
            m => m.min(M_MAX),
        };
        let mut set = Box::new(LoadingSet::new(dim, quant, m, &self.key));
        if flags & HAS_PROJECTION != 0 {
            let from = usize::try_from(number(reader)?).unwrap_or(usize::MAX);
            if from > DIM_MAX || dim > from {
                return Err(Stop::Bad("Invalid projection matrix dimensions"));
            }
            let projection = Projection::from_bytes(from, dim, &text(reader)?);
            set.set_projection(projection.ok_or(Stop::Bad("Mismatching projection matrix length"))?);
        }
        self.left = elements;
        self.has_attributes = flags & HAS_ATTRIBUTES != 0;
        Ok(set)
    }

    /// Reads an element; false at the end of the set.
    fn element(&mut self, set: &mut LoadingSet, reader: &mut Reader<'_>) -> Result<bool, Stop> {
        if self.left == 0 {
            return match reader.len()? {
                module::END => Ok(false),
                _ => Err(Stop::Bad("Something stands behind the data of a vector set")),
            };
        }
        let name = text(reader)?;
        let attributes = if self.has_attributes { Some(text(reader)?) } else { None };
        let vector = text(reader)?;
        if vector.len() != set.vector_bytes() {
            return Err(Stop::Bad("Mismatching vector dimension"));
        }
        let count = number(reader)?;
        if count > NUMBERS_MAX as u64 {
            return Err(BAD_VECTORS);
        }
        self.numbers.clear();
        for _ in 0..count {
            self.numbers.push(number(reader)?);
        }
        let attributes = attributes.as_deref().unwrap_or_default();
        set.add(&name, attributes, &vector, &self.numbers).map_err(|_| BAD_VECTORS)?;
        self.left -= 1;
        Ok(true)
    }

    /// The set; none when it has no elements, and a key needs some.
    pub(super) fn finish(self) -> Result<Option<Box<VectorSet>>, Stop> {
        let Stage::Done(set) = self.stage else { return Ok(None) };
        let set = set.finish().map_err(|_| BAD_VECTORS)?;
        Ok((!set.is_empty()).then(|| Box::new(set)))
    }
}
