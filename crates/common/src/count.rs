//! Which system calls open files, by number: what the raw tracepoints `sys_enter` and `sys_exit` are asked.

/// Most processes the map `COUNTS` holds unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 10_240;

/// Set in the number of a call made through the x32 interface; the open calls have the same numbers there.
/// arch/x86/include/uapi/asm/unistd.h
const X32_SYSCALL_BIT: u64 = 0x4000_0000;

/// The native numbers of open, creat, openat and openat2 on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl).
#[inline(always)]
pub const fn opens_x86_64(nr: u64) -> bool {
    matches!(nr & !X32_SYSCALL_BIT, 2 | 85 | 257 | 437)
}

/// The same calls made through the 32-bit interface of x86_64 (arch/x86/entry/syscalls/syscall_32.tbl).
#[inline(always)]
pub const fn opens_i386(nr: u64) -> bool {
    matches!(nr, 5 | 8 | 295 | 437)
}

/// openat and openat2 on arm64, which has no others (include/uapi/asm-generic/unistd.h).
#[inline(always)]
pub const fn opens_aarch64(nr: u64) -> bool {
    matches!(nr, 56 | 437)
}

/// open, creat, openat and openat2 made by a 32-bit program on arm64 (arch/arm/tools/syscall.tbl).
#[inline(always)]
pub const fn opens_arm(nr: u64) -> bool {
    matches!(nr, 5 | 8 | 322 | 437)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(opens: impl Fn(u64) -> bool) -> Vec<u64> {
        (0..1_000).filter(|nr| opens(*nr)).collect()
    }

    #[test]
    fn the_open_calls_of_each_interface_and_no_other() {
        assert_eq!(numbers(opens_x86_64), [2, 85, 257, 437]);
        assert_eq!(numbers(opens_i386), [5, 8, 295, 437]);
        assert_eq!(numbers(opens_aarch64), [56, 437]);
        assert_eq!(numbers(opens_arm), [5, 8, 322, 437]);
        assert_eq!(numbers(|nr| opens_x86_64(nr | 0x4000_0000)), [2, 85, 257, 437]);
    }

    #[test]
    fn the_native_numbers_are_those_of_libc() {
        #[cfg(target_arch = "x86_64")]
        let (opens, calls): (fn(u64) -> bool, _) =
            (opens_x86_64, [libc::SYS_open, libc::SYS_creat, libc::SYS_openat, libc::SYS_openat2]);
        #[cfg(target_arch = "aarch64")]
        let (opens, calls): (fn(u64) -> bool, _) = (opens_aarch64, [libc::SYS_openat, libc::SYS_openat2]);
        assert_eq!(numbers(opens), calls.map(|nr| nr as u64));
    }
}
