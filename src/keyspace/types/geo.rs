//! Places as scores: 52 bits of longitude and latitude, interleaved, so that near places have near scores.
//!
//! A *hash* of `steps` bits a coordinate names a cell of a grid over the world; the places in a cell are one range of
//! scores. To find what lies in a circle, a box or a polygon, the cells are chosen so large that the one with the centre
//! and its eight neighbours cover the shape; their ranges are walked, and each place is looked at exactly.
//!
//! Every formula is the one that Redis computes, in the same order, for replies show the last digit.
//! After Niemeyer's geohash and Morton (1966); distances by the haversine.

use super::zset::{ScoreBound, ZsetRef};
use crate::structures::listpack::Element;

/// Bits of a coordinate in a score.
const STEPS: u32 = 26;
const LON_MAX: f64 = 180.0;
/// Where the map of Mercator ends.
const LAT_MAX: f64 = 85.051_128_78;
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half of the length of the equator.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const RADIANS_A_DEGREE: f64 = std::f64::consts::PI / 180.0;
const EVEN_BITS: u64 = 0x5555_5555_5555_5555;
const ODD_BITS: u64 = !EVEN_BITS;

/// A place in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// From -180 to 180.
    pub lon: f64,
    /// From -85.05112878 to 85.05112878.
    pub lat: f64,
}

/// What is searched. Lengths are in metres.
#[derive(Clone, Debug, PartialEq)]
pub enum Area {
    /// Within a distance from the centre.
    Circle {
        /// The distance.
        radius_m: f64,
    },
    /// Within half of the width and of the height from the centre.
    Box {
        /// From west to east.
        width_m: f64,
        /// From south to north.
        height_m: f64,
    },
    /// Inside these corners.
    Polygon(Vec<Place>),
}

/// A place that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The member.
    pub member: Element<'a>,
    /// Its score.
    pub score: f64,
    /// Its place.
    pub place: Place,
    /// From the centre.
    pub distance_m: f64,
}

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

/// The borders of a cell.
struct Borders {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_A_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_A_DEGREE
}

/// The bits of `even` at even positions, those of `odd` between them.
fn interleave(even: u32, odd: u32) -> u64 {
    spread(even) | spread(odd) << 1
}

fn spread(value: u32) -> u64 {
    let mut x = u64::from(value);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, EVEN_BITS),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// The bits at even positions.
fn squeeze(bits: u64) -> u32 {
    let mut x = bits & EVEN_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

impl Place {
    /// The place, if there is such a one on the map.
    pub fn new(lon: f64, lat: f64) -> Option<Place> {
        ((-LON_MAX..=LON_MAX).contains(&lon) && (-LAT_MAX..=LAT_MAX).contains(&lat))
            .then_some(Place { lon, lat })
    }

    /// The score of the place.
    pub fn score(self) -> f64 {
        Cell::at(self, STEPS, LAT_MAX).bits as f64
    }

    /// The middle of the cell of a score; of one that no place has, where Redis on x86-64 puts it.
    pub fn from_score(score: f64) -> Place {
        let cell = Cell { bits: score_bits(score), steps: STEPS };
        let Borders { west, east, south, north } = cell.borders();
        Place {
            lon: ((west + east) / 2.0).clamp(-LON_MAX, LON_MAX),
            lat: ((south + north) / 2.0).clamp(-LAT_MAX, LAT_MAX),
        }
    }

    /// The distance to another place in metres.
    pub fn distance_m(self, other: Place) -> f64 {
        let (lon1, lon2) = (radians(self.lon), radians(other.lon));
        let v = ((lon2 - lon1) / 2.0).sin();
        if v == 0.0 {
            return self.lat_distance_m(other);
        }
        let (lat1, lat2) = (radians(self.lat), radians(other.lat));
        let u = ((lat2 - lat1) / 2.0).sin();
        let a = u * u + lat1.cos() * lat2.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }

    fn lat_distance_m(self, other: Place) -> f64 {
        EARTH_RADIUS_M * (radians(other.lat) - radians(self.lat)).abs()
    }

    /// The eleven signs of the standard geohash, whose map reaches to the poles.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::at(self, STEPS, 90.0).bits;
        // The last sign would need three bits more than there are.
        std::array::from_fn(
            |i| if i == 10 { b'0' } else { ALPHABET[(bits >> (52 - 5 * (i + 1)) & 31) as usize] },
        )
    }
}

impl Cell {
    /// The cell of a place on a map that ends at a latitude.
    fn at(place: Place, steps: u32, lat_max: f64) -> Cell {
        let cells = (1u64 << steps) as f64;
        let lat = (place.lat + lat_max) / (2.0 * lat_max) * cells;
        let lon = (place.lon + LON_MAX) / (2.0 * LON_MAX) * cells;
        Cell { bits: interleave(lat as u32, lon as u32), steps }
    }

    fn borders(self) -> Borders {
        let (lat, lon) = (f64::from(squeeze(self.bits)), f64::from(squeeze(self.bits >> 1)));
        let cells = (1u64 << self.steps) as f64;
        let at = |index: f64, max: f64| -max + (index / cells) * (max + max);
        Borders {
            west: at(lon, LON_MAX),
            east: at(lon + 1.0, LON_MAX),
            south: at(lat, LAT_MAX),
            north: at(lat + 1.0, LAT_MAX),
        }
    }

    /// The cell so many columns to the east and rows to the north, around the edges of the map.
    fn moved(self, east: i8, north: i8) -> Cell {
        let used = u64::MAX >> (64 - 2 * self.steps);
        let step = |bits: u64, own: u64, other: u64, by: i8| match by {
            0 => bits & own,
            1 => (bits & own).wrapping_add((other & used) + 1) & own & used,
            _ => (bits & own | other & used).wrapping_sub((other & used) + 1) & own & used,
        };
        let columns = step(self.bits, ODD_BITS, EVEN_BITS, east);
        let rows = step(self.bits, EVEN_BITS, ODD_BITS, north);
        Cell { bits: columns | rows, steps: self.steps }
    }

    /// The scores in the cell: from the first up to the second, which is outside.
    fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.steps);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }
}

/// The cells around one, in the order in which they are searched: columns to the east, rows to the north.
const NEIGHBOURS: [(i8, i8); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

impl Area {
    /// The centre of a polygon: the mean of its corners in space, seen from the middle of the earth.
    pub fn centre(&self) -> Option<Place> {
        let Area::Polygon(corners) = self else { return None };
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in corners {
            let (lon, lat) = (radians(corner.lon), radians(corner.lat));
            x += lat.cos() * lon.cos();
            y += lat.cos() * lon.sin();
            z += lat.sin();
        }
        // Valkey's way to the last bit: `hypot` rounds otherwise, and a stored distance shows it.
        Some(Place { lon: degrees(y.atan2(x)), lat: degrees(z.atan2((x * x + y * y).sqrt())) })
    }

    /// The distance of a place from the centre, if it is inside.
    fn distance_inside(&self, centre: Place, place: Place) -> Option<f64> {
        match self {
            Area::Circle { radius_m } => {
                let distance = centre.distance_m(place);
                (distance <= *radius_m).then_some(distance)
            }
            Area::Box { width_m, height_m } => {
                if place.lat_distance_m(centre) > height_m / 2.0 {
                    return None;
                }
                let beside = Place { lon: centre.lon, lat: place.lat };
                if place.distance_m(beside) > width_m / 2.0 {
                    return None;
                }
                Some(centre.distance_m(place))
            }
            Area::Polygon(corners) => has_inside(corners, place).then(|| centre.distance_m(place)),
        }
    }

    /// West, south, east and north of what has to be searched.
    fn bounds(&self, centre: Place) -> Borders {
        let (width, height) = match self {
            Area::Circle { radius_m } => (*radius_m, *radius_m),
            Area::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
            Area::Polygon(corners) => {
                let least = |of: fn(&Place) -> f64| corners.iter().map(of).fold(f64::INFINITY, f64::min);
                let most = |of: fn(&Place) -> f64| corners.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
                return Borders {
                    west: least(|place| place.lon),
                    east: most(|place| place.lon),
                    south: least(|place| place.lat),
                    north: most(|place| place.lat),
                };
            }
        };
        let lat_delta = degrees(height / EARTH_RADIUS_M);
        // The circle of latitude that is nearer to the equator is the longer one.
        let towards_pole = if centre.lat < 0.0 { centre.lat - lat_delta } else { centre.lat + lat_delta };
        let lon_delta = degrees(width / EARTH_RADIUS_M / radians(towards_pole).cos());
        Borders {
            west: centre.lon - lon_delta,
            east: centre.lon + lon_delta,
            south: centre.lat - lat_delta,
            north: centre.lat + lat_delta,
        }
    }

    /// The radius of a circle around the centre with all of it inside.
    fn reach_m(&self, centre: Place) -> f64 {
        match self {
            Area::Circle { radius_m } => *radius_m,
            Area::Box { width_m, height_m } => {
                (width_m / 2.0 * (width_m / 2.0) + height_m / 2.0 * (height_m / 2.0)).sqrt()
            }
            Area::Polygon(_) => {
                // The size of the cells follows from it, and from these the order of what is found.
                let Borders { west, south, east, north } = self.bounds(centre);
                let corners = [(west, north), (east, north), (west, south), (east, south)];
                let distances = corners.map(|(lon, lat)| centre.distance_m(Place { lon, lat }));
                distances.into_iter().fold(0.0, f64::max)
            }
        }
    }

    /// The cells to be searched, in order.
    fn cells(&self, centre: Place) -> Vec<Cell> {
        let bounds = self.bounds(centre);
        let mut steps = steps_for(self.reach_m(centre), centre.lat);
        let mut cell = Cell::at(centre, steps, LAT_MAX);
        let is_too_small = |cell: Cell| {
            cell.moved(0, 1).borders().north < bounds.north
                || cell.moved(0, -1).borders().south > bounds.south
                || cell.moved(1, 0).borders().east < bounds.east
                || cell.moved(-1, 0).borders().west > bounds.west
        };
        // For circles and boxes one step is enough; a polygon may lie anywhere around its centre.
        while steps > 1 && is_too_small(cell) {
            steps -= 1;
            cell = Cell::at(centre, steps, LAT_MAX);
            if !matches!(self, Area::Polygon(_)) {
                break;
            }
        }
        let own = cell.borders();
        let is_useless = |(east, north): (i8, i8)| {
            north < 0 && own.south < bounds.south
                || north > 0 && own.north > bounds.north
                || east < 0 && own.west < bounds.west
                || east > 0 && own.east > bounds.east
        };
        let mut cells: Vec<Cell> = Vec::with_capacity(NEIGHBOURS.len());
        for (index, (east, north)) in NEIGHBOURS.into_iter().enumerate() {
            let next = cell.moved(east, north);
            let is_left_out = steps >= 2 && is_useless((east, north));
            // Of a coarse grid two neighbours may be the same cell. As in Redis, the first is not compared with.
            let is_repeated = index > 1 && cells.len() > 1 && cells.last() == Some(&next);
            if !is_left_out && !is_repeated {
                cells.push(next);
            }
        }
        cells
    }

    /// The places of a sorted set that lie inside; with a limit, some that are as many.
    pub fn search<'a>(&self, zset: ZsetRef<'a>, centre: Place, limit: Option<usize>) -> Vec<Found<'a>> {
        let mut found = Vec::new();
        let is_enough = |found: &Vec<Found<'a>>| limit.is_some_and(|limit| found.len() >= limit);
        for cell in self.cells(centre) {
            let (min, max) = cell.scores();
            let min = ScoreBound { score: min, exclusive: false };
            let max = ScoreBound { score: max, exclusive: true };
            for (member, score) in zset.range(zset.ranks_by_score(min, max)) {
                if is_enough(&found) {
                    return found;
                }
                let place = Place::from_score(score);
                if let Some(distance_m) = self.distance_inside(centre, place) {
                    found.push(Found { member, score, place, distance_m });
                }
            }
        }
        found
    }
}

/// How fine a grid may be so that nine cells cover a circle.
fn steps_for(radius_m: f64, lat: f64) -> u32 {
    if radius_m == 0.0 {
        return STEPS;
    }
    let (mut range, mut steps) = (radius_m, 1);
    while range < MERCATOR_MAX_M {
        range *= 2.0;
        steps += 1;
    }
    // So that the range is inside in most of the base cases; towards the poles cells become narrow.
    steps -= 2;
    if !(-66.0..=66.0).contains(&lat) {
        steps -= 1;
        if !(-80.0..=80.0).contains(&lat) {
            steps -= 1;
        }
    }
    steps.clamp(1, STEPS as i32) as u32
}

/// Does a ray from the place to the east cross the sides of the polygon an odd number of times?
fn has_inside(corners: &[Place], place: Place) -> bool {
    let Some(mut before) = corners.last() else { return false };
    let mut is_inside = false;
    for corner in corners {
        if (corner.lat > place.lat) != (before.lat > place.lat) {
            let share = (place.lat - corner.lat) / (before.lat - corner.lat);
            if place.lon < corner.lon + share * (before.lon - corner.lon) {
                is_inside = !is_inside;
            }
        }
        before = corner;
    }
    is_inside
}

/// The integer in a score. Those outside of 0 to 2^64 wrap as the x86-64 instructions do that C compilers choose.
fn score_bits(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    let truncated = |value: f64| if value.abs() < HALF { value as i64 as u64 } else { 1 << 63 };
    if score < HALF { truncated(score) } else { truncated(score - HALF) ^ (1 << 63) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const PALERMO: Place = Place { lon: 13.361389, lat: 38.115556 };
    const CATANIA: Place = Place { lon: 15.087269, lat: 37.502669 };

    #[test]
    fn places_scores_and_distances_are_those_of_redis() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
        assert_eq!(CATANIA.score(), 3_479_447_370_796_909.0);
        let (a, b) = (Place::from_score(PALERMO.score()), Place::from_score(CATANIA.score()));
        assert_eq!((a.lon, a.lat), (13.361389338970184, 38.1155563954963));
        assert_eq!(&a.geohash(), b"sqc8b49rny0");
        assert_eq!(format!("{:.4}", a.distance_m(b)), "166274.1516");
        assert_eq!(Place::new(180.1, 0.0), None);
        assert_eq!(Place::new(0.0, -85.06), None);
    }

    #[test]
    fn bits_are_interleaved_and_squeezed_out_again() {
        let mut rng = Rng::from_seed(1);
        for _ in 0..1_000 {
            let (even, odd) = (rng.next_u64() as u32, rng.next_u64() as u32);
            let bits = interleave(even, odd);
            assert_eq!((squeeze(bits), squeeze(bits >> 1)), (even, odd));
        }
    }

    #[test]
    fn a_cell_moved_there_and_back_is_the_same() {
        let mut rng = Rng::from_seed(2);
        for _ in 0..1_000 {
            let steps = 1 + rng.below(26) as u32;
            let cell = Cell { bits: rng.next_u64() >> (64 - 2 * steps), steps };
            for (east, north) in NEIGHBOURS {
                assert_eq!(cell.moved(east, north).moved(-east, -north), cell);
            }
        }
    }

    #[test]
    fn the_centre_of_a_polygon_is_that_of_valkey_to_the_last_bit() {
        let corners = [(8.0, 42.0), (12.0, 43.0), (10.0, 48.0)];
        let area = Area::Polygon(corners.into_iter().map(|(lon, lat)| Place { lon, lat }).collect());
        let centre = area.centre().expect("a polygon has one");
        assert_eq!(centre.lat, 44.344756571873376);
    }

    #[test]
    fn a_ray_tells_inside_from_outside() {
        let place = |lon, lat| Place { lon, lat };
        let corners = [place(0.0, 0.0), place(4.0, 0.0), place(4.0, 4.0), place(2.0, 1.0), place(0.0, 4.0)];
        for (lon, lat, inside) in
            [(1.0, 1.0, true), (2.0, 3.0, false), (3.9, 3.0, true), (5.0, 1.0, false), (-1.0, 0.5, false)]
        {
            assert_eq!(has_inside(&corners, place(lon, lat)), inside, "{lon} {lat}");
        }
        assert!(!has_inside(&[], place(0.0, 0.0)));
    }
}
