//! System calls by number and result: the layouts of the maps, and what a result means.

use crate::who::Who;

/// Most counters the map `TIMES` holds unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 10_240;

/// Most calls that are waited for at once: one for each thread.
pub const MAX_CALLS: u32 = 65_536;

/// Beside those of [`Who`]: calls are told apart by their number and interface.
pub const BY_SYSCALL: u32 = 1 << 8;

/// A call that has not returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was made: nanoseconds since boot.
    pub start: u64,
    /// Its number.
    pub number: u32,
    /// Whether it came through the 32-bit interface, 0 or 1.
    pub compat: u32,
}

const _: () = assert!(size_of::<Call>() == 16);
crate::pod!(Call);

/// Calls that are counted together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose they are.
    pub who: Who,
    /// As in [`Call`]; zero where calls are not told apart.
    pub number: u32,
    /// The same.
    pub compat: u32,
    /// Number of the error; zero for calls that succeeded.
    pub errno: u32,
    /// No padding that would not be initialised.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Key>() == 48);
crate::pod!(Key);

/// How many there were and how long they took, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Calls.
    pub count: u64,
    /// From entry to return, of all of them: nanoseconds.
    pub total_ns: u64,
    /// Of the longest.
    pub max_ns: u64,
}

const _: () = assert!(size_of::<Times>() == 24);
crate::pod!(Times);

impl Times {
    /// Adds another CPU's.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.total_ns += other.total_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

/// The error in what a call returned, zero if it is none (include/linux/err.h, `IS_ERR_VALUE`): addresses may be negative
/// numbers too.
#[inline(always)]
pub const fn errno(ret: i64) -> u32 {
    const MAX_ERRNO: i64 = 4_095;
    if ret < 0 && ret >= -MAX_ERRNO { -ret as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_the_last_page_of_numbers() {
        for (ret, expected) in [(0, 0), (1, 0), (-1, 1), (-2, 2), (-4_095, 4_095), (-4_096, 0), (i64::MIN, 0)] {
            assert_eq!(errno(ret), expected, "{ret}");
        }
    }

    #[test]
    fn the_longest_is_that_of_any_cpu() {
        let mut sum = Times { count: 1, total_ns: 5, max_ns: 5 };
        sum.add(&Times { count: 2, total_ns: 11, max_ns: 9 });
        sum.add(&Times { count: 1, total_ns: 3, max_ns: 3 });
        assert_eq!(sum, Times { count: 4, total_ns: 19, max_ns: 9 });
    }
}
