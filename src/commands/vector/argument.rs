//! The vector of a request: `[REDUCE dim] FP32 bytes` or `VALUES count number ...`.

use crate::base::double::parse_double;
use crate::base::number::parse_i64;
use crate::engine::error::CmdError;
use crate::keyspace::types::VectorSet;
use crate::keyspace::types::vector::DIM_MAX;
use crate::resp::Args;

const INVALID: CmdError = CmdError::coded("ERR invalid vector specification");

/// A vector that came.
pub(super) struct Vector {
    pub numbers: Vec<f32>,
    /// To how many numbers vectors of the set are to be reduced.
    pub reduced: Option<usize>,
    /// The argument after it.
    pub end: usize,
}

impl Vector {
    /// The vector at argument `at`; `REDUCE` may stand in front where `reduces` says so.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn parse(args: Args<'_>, mut at: usize, reduces: bool) -> Result<Vector, CmdError> {
        let mut reduced = None;
        if reduces && args.len() > at + 2 && args.is(at, "reduce") {
            let dim = parse_i64(args.at(at + 1)).and_then(|dim| usize::try_from(dim).ok());
            reduced = Some(dim.filter(|dim| *dim > 0).ok_or(INVALID)?);
            at += 2;
        }
        let (numbers, end) = if args.len() < at + 2 {
            return Err(INVALID);
        } else if args.is(at, "fp32") {
            (floats(args.at(at + 1)).ok_or(INVALID)?, at + 2)
        } else if args.is(at, "values") {
            let count = parse_i64(args.at(at + 1)).and_then(|count| usize::try_from(count).ok());
            let count = count.filter(|count| (1..=DIM_MAX).contains(count)).ok_or(INVALID)?;
            let end = at + 2 + count;
            if args.len() < end {
                return Err(INVALID);
            }
            let numbers = args.iter_from(at + 2).take(count).map(|text| parse_double(text).map(|x| x as f32));
            (numbers.collect::<Option<Vec<f32>>>().ok_or(INVALID)?, end)
        } else {
            return Err(INVALID);
        };
        if reduced.is_some_and(|reduced| reduced > numbers.len()) {
            return Err(INVALID);
        }
        Ok(Vector { numbers, reduced, end })
    }
}

fn floats(bytes: &[u8]) -> Option<Vec<f32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    let is_whole = rest.is_empty() && (1..=DIM_MAX).contains(&numbers.len());
    is_whole.then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

/// The answer to a vector with another number of numbers than those of a set have.
pub(super) fn mismatch(dim: usize, set: &VectorSet) -> CmdError {
    let expected = set.graph().encoding().dim;
    CmdError::err(format!("Vector dimension mismatch - got {dim} but set has {expected}"))
}

/// Makes a vector shorter, as those of a set are.
///
/// # Errors
///
/// When it is not as long as they were.
pub(super) fn project(set: &VectorSet, numbers: Vec<f32>) -> Result<Vec<f32>, CmdError> {
    let Some(projection) = set.projection() else { return Ok(numbers) };
    if numbers.len() != projection.from {
        return Err(CmdError::err(format!(
            "Input dimension mismatch for projection - got {} but projection expects {}",
            numbers.len(),
            projection.from
        )));
    }
    Ok(projection.apply(&numbers))
}
