//! The system calls that open files, by number: what the raw tracepoints `sys_enter` and `sys_exit` are asked.

/// One of the four calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syscall {
    /// `open(path, flags, mode)`
    Open,
    /// `creat(path, mode)`
    Creat,
    /// `openat(dirfd, path, flags, mode)`
    Openat,
    /// `openat2(dirfd, path, how, size)`
    Openat2,
}

impl Syscall {
    /// By its native number on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl).
    #[inline(always)]
    pub const fn x86_64(nr: u64) -> Option<Self> {
        // Through the x32 interface these have the same numbers.
        match nr & !X32_SYSCALL_BIT {
            2 => Some(Self::Open),
            85 => Some(Self::Creat),
            257 => Some(Self::Openat),
            437 => Some(Self::Openat2),
            _ => None,
        }
    }

    /// By its number through the 32-bit interface of x86_64 (arch/x86/entry/syscalls/syscall_32.tbl).
    #[inline(always)]
    pub const fn i386(nr: u64) -> Option<Self> {
        match nr {
            5 => Some(Self::Open),
            8 => Some(Self::Creat),
            295 => Some(Self::Openat),
            437 => Some(Self::Openat2),
            _ => None,
        }
    }

    /// By its number on arm64, which has no open and no creat (include/uapi/asm-generic/unistd.h).
    #[inline(always)]
    pub const fn aarch64(nr: u64) -> Option<Self> {
        match nr {
            56 => Some(Self::Openat),
            437 => Some(Self::Openat2),
            _ => None,
        }
    }

    /// By its number from a 32-bit program on arm64 (arch/arm/tools/syscall.tbl).
    #[inline(always)]
    pub const fn arm(nr: u64) -> Option<Self> {
        match nr {
            5 => Some(Self::Open),
            8 => Some(Self::Creat),
            322 => Some(Self::Openat),
            437 => Some(Self::Openat2),
            _ => None,
        }
    }
}

/// One of the two calls that execute programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecSyscall {
    /// `execve(path, argv, envp)`
    Execve,
    /// `execveat(dirfd, path, argv, envp, flags)`
    Execveat,
}

impl ExecSyscall {
    /// By its native number on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl), or by that of the x32 interface, which
    /// has numbers of its own for these.
    #[inline(always)]
    pub const fn x86_64(nr: u64) -> Option<Self> {
        match nr {
            59 | X32_EXECVE => Some(Self::Execve),
            322 | X32_EXECVEAT => Some(Self::Execveat),
            _ => None,
        }
    }

    /// By its number through the 32-bit interface of x86_64 (arch/x86/entry/syscalls/syscall_32.tbl).
    #[inline(always)]
    pub const fn i386(nr: u64) -> Option<Self> {
        match nr {
            11 => Some(Self::Execve),
            358 => Some(Self::Execveat),
            _ => None,
        }
    }

    /// By its number on arm64 (include/uapi/asm-generic/unistd.h).
    #[inline(always)]
    pub const fn aarch64(nr: u64) -> Option<Self> {
        match nr {
            221 => Some(Self::Execve),
            281 => Some(Self::Execveat),
            _ => None,
        }
    }

    /// By its number from a 32-bit program on arm64 (arch/arm/tools/syscall.tbl).
    #[inline(always)]
    pub const fn arm(nr: u64) -> Option<Self> {
        match nr {
            11 => Some(Self::Execve),
            387 => Some(Self::Execveat),
            _ => None,
        }
    }

    /// Whether a native number on x86_64 is one of the x32 interface, whose pointers have 4 bytes.
    #[inline(always)]
    pub const fn is_x32(nr: u64) -> bool {
        matches!(nr, X32_EXECVE | X32_EXECVEAT)
    }
}

/// One of the two calls that accept a connection; on i386 the first is one of those of `socketcall`, which is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptSyscall {
    /// `accept(fd, address, length)`
    Accept,
    /// `accept4(fd, address, length, flags)`
    Accept4,
}

impl AcceptSyscall {
    /// By its native number on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl); those of the x32 interface are the same.
    #[inline(always)]
    pub const fn x86_64(nr: u64) -> Option<Self> {
        match nr & !X32_SYSCALL_BIT {
            43 => Some(Self::Accept),
            288 => Some(Self::Accept4),
            _ => None,
        }
    }

    /// By its number through the 32-bit interface of x86_64 (arch/x86/entry/syscalls/syscall_32.tbl).
    #[inline(always)]
    pub const fn i386(nr: u64) -> Option<Self> {
        match nr {
            364 => Some(Self::Accept4),
            _ => None,
        }
    }

    /// By its number on arm64 (include/uapi/asm-generic/unistd.h).
    #[inline(always)]
    pub const fn aarch64(nr: u64) -> Option<Self> {
        match nr {
            202 => Some(Self::Accept),
            242 => Some(Self::Accept4),
            _ => None,
        }
    }

    /// By its number from a 32-bit program on arm64 (arch/arm/tools/syscall.tbl).
    #[inline(always)]
    pub const fn arm(nr: u64) -> Option<Self> {
        match nr {
            285 => Some(Self::Accept),
            366 => Some(Self::Accept4),
            _ => None,
        }
    }
}

/// Whether a number is that of exit or exit_group: those two never return.
pub mod ends {
    /// Native on x86_64, x32 too.
    #[inline(always)]
    pub const fn x86_64(nr: u64) -> bool {
        matches!(nr & !super::X32_SYSCALL_BIT, 60 | 231)
    }

    /// Through the 32-bit interface of x86_64.
    #[inline(always)]
    pub const fn i386(nr: u64) -> bool {
        matches!(nr, 1 | 252)
    }

    /// On arm64.
    #[inline(always)]
    pub const fn aarch64(nr: u64) -> bool {
        matches!(nr, 93 | 94)
    }

    /// From a 32-bit program on arm64.
    #[inline(always)]
    pub const fn arm(nr: u64) -> bool {
        matches!(nr, 1 | 248)
    }
}

/// Set in the number of a call made through the x32 interface.
pub const X32_SYSCALL_BIT: u64 = 0x4000_0000;
const X32_EXECVE: u64 = X32_SYSCALL_BIT | 520;
const X32_EXECVEAT: u64 = X32_SYSCALL_BIT | 545;

#[cfg(test)]
mod tests {
    use super::AcceptSyscall::{self, Accept, Accept4};
    use super::ExecSyscall::{self, Execve, Execveat};
    use super::Syscall::{self, Creat, Open, Openat, Openat2};
    use super::ends;

    fn known<T>(table: impl Fn(u64) -> Option<T>) -> Vec<(u64, T)> {
        (0..1_000).filter_map(|nr| Some((nr, table(nr)?))).collect()
    }

    #[test]
    fn the_open_calls_of_each_interface_and_no_other() {
        let x86_64 = [(2, Open), (85, Creat), (257, Openat), (437, Openat2)];
        assert_eq!(known(Syscall::x86_64), x86_64);
        assert_eq!(known(|nr| Syscall::x86_64(nr | 0x4000_0000)), x86_64);
        assert_eq!(known(Syscall::i386), [(5, Open), (8, Creat), (295, Openat), (437, Openat2)]);
        assert_eq!(known(Syscall::aarch64), [(56, Openat), (437, Openat2)]);
        assert_eq!(known(Syscall::arm), [(5, Open), (8, Creat), (322, Openat), (437, Openat2)]);
    }

    #[test]
    fn the_exec_calls_of_each_interface_and_no_other() {
        assert_eq!(known(ExecSyscall::x86_64), [(59, Execve), (322, Execveat)]);
        assert_eq!(known(|nr| ExecSyscall::x86_64(nr | 0x4000_0000)), [(520, Execve), (545, Execveat)]);
        assert_eq!(known(ExecSyscall::i386), [(11, Execve), (358, Execveat)]);
        assert_eq!(known(ExecSyscall::aarch64), [(221, Execve), (281, Execveat)]);
        assert_eq!(known(ExecSyscall::arm), [(11, Execve), (387, Execveat)]);
        assert!(ExecSyscall::is_x32(0x4000_0000 | 520) && !ExecSyscall::is_x32(59));
        #[cfg(target_arch = "x86_64")]
        let table = ExecSyscall::x86_64;
        #[cfg(target_arch = "aarch64")]
        let table = ExecSyscall::aarch64;
        let calls = [(libc::SYS_execve as u64, Execve), (libc::SYS_execveat as u64, Execveat)];
        assert_eq!(known(table), calls);
    }

    #[test]
    fn the_accept_calls_of_each_interface_and_no_other() {
        assert_eq!(known(AcceptSyscall::x86_64), [(43, Accept), (288, Accept4)]);
        assert_eq!(known(|nr| AcceptSyscall::x86_64(nr | 0x4000_0000)), [(43, Accept), (288, Accept4)]);
        assert_eq!(known(AcceptSyscall::i386), [(364, Accept4)]);
        assert_eq!(known(AcceptSyscall::aarch64), [(202, Accept), (242, Accept4)]);
        assert_eq!(known(AcceptSyscall::arm), [(285, Accept), (366, Accept4)]);
        #[cfg(target_arch = "x86_64")]
        let table = AcceptSyscall::x86_64;
        #[cfg(target_arch = "aarch64")]
        let table = AcceptSyscall::aarch64;
        let calls = [(libc::SYS_accept as u64, Accept), (libc::SYS_accept4 as u64, Accept4)];
        assert_eq!(known(table), calls);
    }

    #[test]
    fn the_calls_that_never_return_and_no_other() {
        let known = |ends: fn(u64) -> bool| (0..1_000).filter(|nr| ends(*nr)).collect::<Vec<_>>();
        assert_eq!(known(ends::x86_64), [60, 231]);
        assert_eq!(known(|nr| ends::x86_64(nr | super::X32_SYSCALL_BIT)), [60, 231]);
        assert_eq!(known(ends::i386), [1, 252]);
        assert_eq!(known(ends::aarch64), [93, 94]);
        assert_eq!(known(ends::arm), [1, 248]);
        #[cfg(target_arch = "x86_64")]
        let native = ends::x86_64;
        #[cfg(target_arch = "aarch64")]
        let native = ends::aarch64;
        assert_eq!(known(native), [libc::SYS_exit as u64, libc::SYS_exit_group as u64]);
    }

    #[test]
    fn the_native_numbers_are_those_of_libc() {
        #[cfg(target_arch = "x86_64")]
        let (table, calls): (fn(u64) -> _, _) = (
            Syscall::x86_64,
            vec![
                (libc::SYS_open, Open),
                (libc::SYS_creat, Creat),
                (libc::SYS_openat, Openat),
                (libc::SYS_openat2, Openat2),
            ],
        );
        #[cfg(target_arch = "aarch64")]
        let (table, calls): (fn(u64) -> _, _) =
            (Syscall::aarch64, vec![(libc::SYS_openat, Openat), (libc::SYS_openat2, Openat2)]);
        let calls: Vec<_> = calls.into_iter().map(|(nr, call)| (nr as u64, call)).collect();
        assert_eq!(known(table), calls);
    }
}
