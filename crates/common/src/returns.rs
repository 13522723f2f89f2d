//! What calls of a function return: the layouts of the maps, and the buckets of the histogram.

use crate::latency::LAST_STEP;

/// How much of the register that a function returns its value in is the value. What else there is in it means nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// 1 to 64, the lowest.
    pub bits: u32,
    /// Whether the highest of them is a sign: 0 or 1.
    pub signed: u32,
}

const _: () = assert!(size_of::<Value>() == 8);
crate::pod!(Value);

impl Value {
    /// `long`, and pointers, of which those that stand for errors are negative.
    pub const LONG: Self = Self { bits: 64, signed: 1 };

    /// The value in a register. All 64 bits are signed in any case.
    #[inline(always)]
    pub const fn of(self, register: u64) -> i64 {
        let unused = 64_u32.wrapping_sub(self.bits);
        let shifted = register.wrapping_shl(unused);
        if self.signed != 0 { (shifted as i64).wrapping_shr(unused) } else { shifted.wrapping_shr(unused) as i64 }
    }
}

/// Values of a bucket, of one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// How many.
    pub count: u64,
    /// Of all of them, as far as 64 bits hold it.
    pub sum: i64,
    /// The least, if there is any.
    pub min: i64,
    /// The most, if there is any.
    pub max: i64,
}

const _: () = assert!(size_of::<Values>() == 32);
crate::pod!(Values);

impl Values {
    /// Puts others to these.
    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// The bucket of all negative values.
pub const NEGATIVE: u32 = u32::MAX;

/// The bucket of a value: by steps of so many, or, where that is 0, of powers of two: 0 for 0, 1 for 1, 2 for 2 and 3.
#[inline(always)]
pub const fn bucket(value: i64, step: u64) -> u32 {
    if value < 0 {
        return NEGATIVE;
    }
    let value = value as u64;
    if let Some(number) = value.checked_div(step) {
        return if number < LAST_STEP as u64 { number as u32 } else { LAST_STEP };
    }
    64 - value.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_as_long_as_it_is_told() {
        const GARBAGE: u64 = 0xdead_beef_0000_0000;
        let value = |bits, signed| Value { bits, signed };
        for (value, register, expected) in [
            (Value::LONG, u64::MAX, -1),
            (Value::LONG, 5, 5),
            (value(32, 1), GARBAGE | 0xffff_fffb, -5),
            (value(32, 0), GARBAGE | 0xffff_fffb, 4_294_967_291),
            (value(32, 1), GARBAGE | 7, 7),
            (value(8, 0), 0xff01, 1),
            (value(8, 1), 0x80, -128),
            (value(1, 0), 3, 1),
        ] {
            assert_eq!(value.of(register), expected, "{value:?} {register:#x}");
        }
    }

    #[test]
    fn buckets_are_powers_of_two() {
        for (value, expected) in [
            (i64::MIN, NEGATIVE),
            (-1, NEGATIVE),
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 3),
            (7, 3),
            (8, 4),
            (i64::MAX, 63),
        ] {
            assert_eq!(bucket(value, 0), expected, "{value}");
        }
    }

    #[test]
    fn steps_end_with_all_that_is_more() {
        for (value, expected) in
            [(-1, NEGATIVE), (0, 0), (9, 0), (10, 1), (9_999, 999), (10_000, 1_000), (i64::MAX, 1_000)]
        {
            assert_eq!(bucket(value, 10), expected, "{value}");
        }
    }

    #[test]
    fn cpus_that_have_none_do_not_count() {
        let mut all = Values::default();
        for one in [
            Values::default(),
            Values { count: 2, sum: 14, min: 5, max: 9 },
            Values { count: 1, sum: -3, min: -3, max: -3 },
        ] {
            all.add(&one);
        }
        all.add(&Values::default());
        assert_eq!(all, Values { count: 3, sum: 11, min: -3, max: 9 });
    }
}
