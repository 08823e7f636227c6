//! The digits of a double: few, and they read back as the same double.
//!
//! Grisu2: the double and the borders to its neighbours are scaled by a power of ten, kept to 64 bits, so that
//! the digits of the upper border can be split off with integers; as soon as the rest is within the borders,
//! the digits are enough, and the last one is lowered while that comes nearer to the double. Because 64 bits
//! are not exact, one of 500 doubles gets a digit more than it needs, or not the nearest of its shortest
//! texts. Redis has the same blur, and replies are compared with those of Redis, so it is wanted here.
//!
//! * Always reads back as the same double.
//!
//! The cost: 30 ns; a table of 87 powers, computed by the compiler.
//! After Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers" (2010).

/// More digits than any double needs.
pub(super) const DIGITS_MAX: usize = 18;

/// `digits[..count]` times ten to the power of `scale`.
pub(super) struct Decimal {
    pub(super) digits: [u8; DIGITS_MAX],
    pub(super) count: usize,
    pub(super) scale: i32,
}

/// `fraction * 2^exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    fraction: u64,
    exponent: i32,
}

const FRACTION_BITS: u32 = 52;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;

impl Scaled {
    fn of(value: f64) -> Scaled {
        let bits = value.to_bits();
        let fraction = bits & (HIDDEN_BIT - 1);
        match (bits >> FRACTION_BITS) as i32 & 0x7ff {
            0 => Scaled { fraction, exponent: 1 - 1075 },
            biased => Scaled { fraction: fraction | HIDDEN_BIT, exponent: biased - 1075 },
        }
    }

    /// The same number with its highest bit set.
    fn normalized(self) -> Scaled {
        let shift = self.fraction.leading_zeros();
        Scaled { fraction: self.fraction << shift, exponent: self.exponent - shift as i32 }
    }

    fn times(self, other: Scaled) -> Scaled {
        let product = u128::from(self.fraction) * u128::from(other.fraction) + (1 << 63);
        Scaled { fraction: (product >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// The shortest digits, as near as Grisu2 comes, of a positive finite double.
pub(super) fn digits_of(value: f64) -> Decimal {
    let double = Scaled::of(value);
    // Half-way to the neighbours; the lower one is nearer below a power of two.
    let upper = Scaled { fraction: double.fraction * 2 + 1, exponent: double.exponent - 1 }.normalized();
    let nearer = if double.fraction == HIDDEN_BIT { 2 } else { 1 };
    let lower = Scaled { fraction: (double.fraction << nearer) - 1, exponent: double.exponent - nearer };
    let lower =
        Scaled { fraction: lower.fraction << (lower.exponent - upper.exponent), exponent: upper.exponent };
    let (power, ten_exponent) = power_for(upper.exponent);
    let double = double.normalized().times(power);
    // Each product may be wrong by one in its last place: stay inside.
    let upper = Scaled { fraction: upper.times(power).fraction - 1, ..double };
    let lower = lower.times(power).fraction + 1;
    split_digits(double.fraction, upper, upper.fraction - lower, -ten_exponent)
}

/// Splits digits off `upper` until the rest is below `room`, the distance of the borders.
fn split_digits(double: u64, upper: Scaled, mut room: u64, scale: i32) -> Decimal {
    let mut decimal = Decimal { digits: [0; DIGITS_MAX], count: 0, scale };
    let shift = upper.exponent.unsigned_abs(); // 32 to 60: the whole part has at most ten digits
    let one = 1u64 << shift;
    let mut whole = upper.fraction >> shift;
    let mut part = upper.fraction & (one - 1);
    let mut too_much = upper.fraction - double;
    let mut unit = 10u64.pow(9);
    for left in (0..10).rev() {
        decimal.push(whole / unit);
        whole %= unit;
        let rest = (whole << shift) + part;
        if rest <= room {
            decimal.scale += left;
            decimal.lower_last(room, rest, unit << shift, too_much);
            return decimal;
        }
        unit /= 10;
    }
    loop {
        part *= 10;
        room *= 10;
        too_much = too_much.wrapping_mul(10);
        decimal.scale -= 1;
        decimal.push(part >> shift);
        part &= one - 1;
        if part < room {
            decimal.lower_last(room, part, one, too_much);
            return decimal;
        }
    }
}

impl Decimal {
    fn push(&mut self, digit: u64) {
        if digit != 0 || self.count > 0 {
            self.digits[self.count] = b'0' + digit as u8;
            self.count += 1;
        }
    }

    /// The digits stand for `rest` below the upper border and the double for `too_much` below it: lowers the
    /// last digit, which is worth `unit`, while that is allowed and comes nearer.
    fn lower_last(&mut self, room: u64, mut rest: u64, unit: u64, too_much: u64) {
        while rest < too_much
            && room - rest >= unit
            && (rest + unit < too_much || too_much - rest > rest + unit - too_much)
        {
            self.digits[self.count - 1] -= 1;
            rest += unit;
        }
    }
}

const POWERS: usize = 87;
const POWER_FIRST: i32 = -348;
const POWER_STEP: i32 = 8;

/// A power of ten that brings a number with this binary exponent to one of -60 to -32, and its exponent.
fn power_for(exponent: i32) -> (Scaled, i32) {
    let wanted = -(f64::from(exponent) + POWERS as f64) * std::f64::consts::LOG10_2;
    let mut index = ((wanted - f64::from(POWER_FIRST)) / f64::from(POWER_STEP)) as usize;
    loop {
        let power = TABLE[index];
        match exponent + power.exponent + 64 {
            ..-60 => index += 1,
            -31.. => index -= 1,
            _ => return (power, POWER_FIRST + index as i32 * POWER_STEP),
        }
    }
}

static TABLE: [Scaled; POWERS] = powers_of_ten();

/// 10^-348, 10^-340, ... 10^340, each rounded to 64 bits. Starts with the highest, times a power of two so
/// large that every quotient has enough bits, and divides on; rounding down is exact over many divisions.
const fn powers_of_ten() -> [Scaled; POWERS] {
    const LIMBS: usize = 80;
    const SHIFT_LIMBS: usize = 44;
    let mut limbs = [0u32; LIMBS];
    limbs[SHIFT_LIMBS] = 10_000;
    let mut step = 0;
    while step < 42 {
        let mut carry = 0u64;
        let mut i = SHIFT_LIMBS;
        while i < LIMBS {
            carry += limbs[i] as u64 * 100_000_000;
            limbs[i] = carry as u32;
            carry >>= 32;
            i += 1;
        }
        step += 1;
    }
    let mut powers = [Scaled { fraction: 0, exponent: 0 }; POWERS];
    let mut index = POWERS;
    while index > 0 {
        index -= 1;
        let mut top = LIMBS - 1;
        while limbs[top] == 0 {
            top -= 1;
        }
        let highest = (limbs[top] as u128) << 64 | (limbs[top - 1] as u128) << 32 | limbs[top - 2] as u128;
        let spare = 32 - limbs[top].leading_zeros();
        // `highest` has 64 + spare bits, spare 1 to 32.
        let rounded = (highest + (1 << (spare - 1))) >> spare;
        powers[index] = Scaled {
            fraction: rounded as u64,
            exponent: 32 * (top as i32 - 2 - SHIFT_LIMBS as i32) + spare as i32,
        };
        let mut rest = 0u64;
        let mut i = LIMBS;
        while i > 0 {
            i -= 1;
            rest = rest << 32 | limbs[i] as u64;
            limbs[i] = (rest / 100_000_000) as u32;
            rest %= 100_000_000;
        }
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_rounded_to_64_bits() {
        let exact = |index: usize| (TABLE[index].fraction, TABLE[index].exponent);
        assert_eq!(exact(44), (10_000 << 50, -50)); // 10^4
        assert_eq!(exact(45), (10u64.pow(12) << 24, -24));
        assert_eq!(exact(43), (0xd1b7_1758_e219_652c, -77)); // 10^-4
        assert!(TABLE.iter().all(|power| power.fraction >> 63 == 1));
        assert_eq!(TABLE[86].exponent, 1066); // 10^340
    }

    #[test]
    fn the_blur_is_the_one_of_redis() {
        for (value, text) in [
            (1_793_864_421_228_312.8, "17938644212283127"),
            (6.195626866399892e-221, "61956268663998915"),
            (503.6479611848508, "50364796118485077"),
            (631_565_117_587_497.2, "6315651175874973"),
            (893_820_188_866.593_8, "8938201888665937"),
            (0.1, "1"),
            (5e-324, "5"),
            (f64::MAX, "17976931348623157"),
        ] {
            let decimal = digits_of(value);
            assert_eq!(std::str::from_utf8(&decimal.digits[..decimal.count]), Ok(text));
        }
    }
}
