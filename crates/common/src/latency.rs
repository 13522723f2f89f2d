//! How long calls of a function take: the layouts of the maps, and the buckets of the histogram.

use crate::{filter::COMM_LEN, who::Who};

/// Most buckets the map `BUCKETS` holds unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 16_384;

/// Most calls that are waited for at once.
pub const MAX_CALLS: u32 = 65_536;

/// A call that has not returned. Where its frame is on the stack tells it from those of the same function that it is in,
/// or that are in it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Address of the `struct task_struct`.
    pub task: u64,
    /// Address on the stack.
    pub stack: u64,
}

const _: () = assert!(size_of::<Frame>() == 16);
crate::pod!(Frame);

/// Calls that are counted together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose they are.
    pub who: Who,
    /// The [`bucket`].
    pub bucket: u32,
    /// No padding that would not be initialised.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Key>() == 40);
crate::pod!(Key);

/// A call that took longer than was asked for: a record of the ring buffer `SLOW`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slow {
    /// When it returned: nanoseconds since boot.
    pub time: u64,
    /// How long it took, in nanoseconds.
    pub latency_ns: u64,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread, padded with NUL bytes.
    pub comm: [u8; COMM_LEN],
}

const _: () = assert!(size_of::<Slow>() == 40);
crate::pod!(Slow);

/// Buckets of each power of two, as a power of two.
const SUB_BITS: u32 = 4;
const SUB: u64 = 1 << SUB_BITS;

/// The last bucket of steps: all that is longer.
pub const LAST_STEP: u32 = 1_000;

/// The bucket of a time: by steps of so many nanoseconds, or, where that is 0, 16 of each power of two.
#[inline(always)]
pub const fn bucket(ns: u64, step: u64) -> u32 {
    if let Some(number) = ns.checked_div(step) {
        return if number < LAST_STEP as u64 { number as u32 } else { LAST_STEP };
    }
    if ns < SUB {
        return ns as u32;
    }
    let exponent = 63 - ns.leading_zeros();
    let sub = (ns >> (exponent - SUB_BITS)) & (SUB - 1);
    (exponent - SUB_BITS + 1) * SUB as u32 + sub as u32
}

/// The first nanosecond of a bucket.
pub const fn start(bucket: u32, step: u64) -> u64 {
    if step != 0 {
        return bucket as u64 * step;
    }
    let (octave, sub) = (bucket >> SUB_BITS, bucket as u64 & (SUB - 1));
    if octave == 0 { sub } else { (SUB + sub) << (octave - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        for number in 1..976 {
            let first = start(number, 0);
            assert_eq!((bucket(first, 0), bucket(first - 1, 0)), (number, number - 1), "{first}");
        }
        assert_eq!(bucket(u64::MAX, 0), 975);
        assert_eq!(start(0, 0), 0);
    }

    #[test]
    fn a_bucket_is_a_sixteenth_of_what_it_begins_with_at_most() {
        for number in 16..975 {
            assert!((start(number + 1, 0) - start(number, 0)) * SUB <= start(number, 0), "{number}");
        }
    }

    #[test]
    fn powers_of_two_begin_buckets() {
        for exponent in 0..64 {
            assert_eq!(start(bucket(1 << exponent, 0), 0), 1 << exponent);
        }
    }

    #[test]
    fn steps_end_with_all_that_is_longer() {
        for (ns, expected) in [(0, 0), (9, 0), (10, 1), (9_999, 999), (10_000, 1_000), (u64::MAX, 1_000)] {
            assert_eq!(bucket(ns, 10), expected, "{ns}");
        }
        assert_eq!((start(1, 10), start(1_000, 10)), (10, 10_000));
    }
}
