//! The record of an opened file.

use crate::{event::Header, syscall::Syscall};

/// Longest path in bytes, its closing NUL not counted (`PATH_MAX` counts it).
pub const PATH_LEN: usize = 4_095;

/// Longest whole path in bytes: one of `PATH_LEN` bytes, relative to a folder whose path is as long.
pub const FULL_PATH_LEN: usize = 2 * PATH_LEN + 1;

/// The fixed part; `path_len` bytes of path follow, then `full_path_len` bytes of whole path.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Who and when: at the return.
    pub header: Header,
    /// As given: `O_RDONLY` and so on.
    pub flags: u64,
    /// As given, for a file that is created.
    pub mode: u32,
    /// The folder that a relative path starts from: a file descriptor, or `AT_FDCWD` (-100).
    pub dirfd: i32,
    /// The new file descriptor, or a negative errno.
    pub ret: i32,
    /// Bytes of path that follow.
    pub path_len: u32,
    /// Nanoseconds from entry to return.
    pub latency: u64,
    /// Of the opened file; zero where none was opened.
    pub inode: u64,
    /// Of the opened file's file system, as the kernel has it (`MKDEV`, include/linux/kdev_t.h).
    pub device: u32,
    /// Bytes of whole path that follow.
    pub full_path_len: u32,
}

const _: () = assert!(size_of::<Open>() == 112);
crate::pod!(Open);

/// What [`Header::marks`] may say of an open, beside what it may say of any event.
impl Open {
    /// The whole path is not known: the file or the folder could not be found any more.
    pub const FULL_PATH_FAULT: u16 = 1 << 2;
    /// The start of the whole path is missing.
    pub const FULL_PATH_TRUNCATED: u16 = 1 << 3;
    /// The whole path is the path as given, and does not follow it.
    pub const FULL_PATH_IS_PATH: u16 = 1 << 4;
    /// The file is not below the root of the task.
    pub const OUTSIDE: u16 = 1 << 5;
    /// The file has no name any more.
    pub const UNLINKED: u16 = 1 << 6;
}

/// A call that has not returned: the value of the map `CALLS`, by thread id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Address of the path in the process.
    pub path: u64,
    /// Address of the `struct open_how` in the process, for openat2; zero for the others.
    pub how: u64,
    /// As given, but for openat2.
    pub flags: u64,
    /// As given, but for openat2.
    pub mode: u32,
    /// As given; `AT_FDCWD` for open and creat.
    pub dirfd: i32,
    /// When: nanoseconds since boot.
    pub time: u64,
}

const _: () = assert!(size_of::<Call>() == 40);
crate::pod!(Call);

/// `AT_FDCWD`, include/uapi/linux/fcntl.h
pub const AT_FDCWD: i32 = -100;
/// `O_CREAT | O_WRONLY | O_TRUNC`: what creat means.
pub const CREAT_FLAGS: u64 = 0o100 | 0o1 | 0o1000;

/// `__O_TMPFILE` without `O_DIRECTORY`; the same on x86_64 and arm64.
const TMPFILE: u64 = 0o20_000_000;
/// `O_PATH`; the same on both.
const PATH: u64 = 0o10_000_000;
/// `O_CLOEXEC`; the same on both.
const CLOEXEC: u64 = 0o2_000_000;
/// Every flag that means something (`VALID_OPEN_FLAGS`, include/linux/fcntl.h): all bits up to the last but four.
const VALID: u64 = 0o37_777_777 & !0o74;

#[cfg(any(bpf_target_arch = "aarch64", target_arch = "aarch64"))]
mod arch {
    pub(super) const DIRECTORY: u64 = 0o40_000;
    pub(super) const NOFOLLOW: u64 = 0o100_000;
    pub(super) const LARGEFILE: u64 = 0o400_000;
}

#[cfg(not(any(bpf_target_arch = "aarch64", target_arch = "aarch64")))]
mod arch {
    pub(super) const DIRECTORY: u64 = 0o200_000;
    pub(super) const NOFOLLOW: u64 = 0o400_000;
    pub(super) const LARGEFILE: u64 = 0o100_000;
}

impl Call {
    /// The call with its arguments in the order of the system call.
    #[inline(always)]
    pub fn new(syscall: Syscall, [a, b, c, d]: [u64; 4]) -> Self {
        let at = Self { path: b, dirfd: a as i32, ..Self::default() };
        let path = Self { path: a, dirfd: AT_FDCWD, ..Self::default() };
        match syscall {
            Syscall::Open => path.with(b, c),
            Syscall::Creat => path.with(CREAT_FLAGS, b),
            Syscall::Openat => at.with(c, d),
            Syscall::Openat2 => Self { how: c, ..at },
        }
    }

    /// Flags and mode as the kernel takes them before it goes on (`build_open_how`, fs/open.c), so that a hook at the
    /// system call tells the same as one inside: bits without a meaning count for nothing, O_PATH beats most others,
    /// and the mode matters only for a file that may be created.
    #[inline(always)]
    fn with(self, flags: u64, mode: u64) -> Self {
        let mut flags = flags & VALID;
        if flags & PATH != 0 {
            flags &= arch::DIRECTORY | arch::NOFOLLOW | PATH | CLOEXEC;
        }
        let creates = flags & (CREAT_FLAGS & 0o100 | TMPFILE) != 0;
        Self { flags, mode: if creates { mode as u32 & 0o7777 } else { 0 }, ..self }
    }

    /// The flags without `O_LARGEFILE`, which the kernel adds to every call of a 64-bit program.
    #[inline(always)]
    pub fn shown_flags(&self) -> u64 {
        self.flags & !arch::LARGEFILE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREAT: u64 = libc::O_CREAT as u64;

    #[test]
    fn arguments_go_where_each_call_has_them() {
        let call = |syscall, arguments| Call::new(syscall, arguments);
        let path = Call { path: 7, dirfd: AT_FDCWD, ..Call::default() };
        assert_eq!(call(Syscall::Open, [7, CREAT, 0o644, 9]), Call { flags: CREAT, mode: 0o644, ..path });
        assert_eq!(call(Syscall::Creat, [7, 0o600, 9, 9]), Call { flags: CREAT_FLAGS, mode: 0o600, ..path });
        // The upper half of an int argument is not defined.
        let dirfd = 0xdead_beef_ffff_ff9c;
        let at = Call { path: 7, dirfd: AT_FDCWD, ..Call::default() };
        assert_eq!(call(Syscall::Openat, [dirfd, 7, CREAT, 0o644]), Call { flags: CREAT, mode: 0o644, ..at });
        assert_eq!(call(Syscall::Openat2, [dirfd, 7, 8, 24]), Call { how: 8, ..at });
    }

    #[test]
    fn flags_and_mode_are_those_that_the_kernel_takes() {
        let taken = |flags: i32, mode| {
            let call = Call::new(Syscall::Open, [7, flags as u64, mode, 0]);
            (call.shown_flags() as i32, call.mode)
        };
        assert_eq!(taken(libc::O_RDONLY, 0o666), (libc::O_RDONLY, 0), "no file is created");
        assert_eq!(taken(libc::O_CREAT, 0o100_666), (libc::O_CREAT, 0o666));
        assert_eq!(taken(libc::O_TMPFILE | libc::O_RDWR, 0o600), (libc::O_TMPFILE | libc::O_RDWR, 0o600));
        assert_eq!(taken(1 << 30 | libc::O_WRONLY, 0), (libc::O_WRONLY, 0), "a bit that means nothing");
        let path = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        assert_eq!(taken(path | libc::O_CREAT | libc::O_RDWR, 0o666), (path, 0), "O_PATH beats the others");
        let every = [
            libc::O_ACCMODE,
            libc::O_CREAT,
            libc::O_EXCL,
            libc::O_NOCTTY,
            libc::O_TRUNC,
            libc::O_APPEND,
            libc::O_NONBLOCK,
            libc::O_SYNC,
            libc::O_DSYNC,
            libc::O_ASYNC,
            libc::O_DIRECT,
            libc::O_DIRECTORY,
            libc::O_NOFOLLOW,
            libc::O_NOATIME,
            libc::O_CLOEXEC,
            libc::O_PATH,
            libc::O_TMPFILE,
        ];
        let every = every.into_iter().fold(arch::LARGEFILE, |all, flag| all | flag as u64);
        assert_eq!(VALID, every);
    }

    #[test]
    fn creat_means_what_libc_says() {
        assert_eq!(CREAT_FLAGS, (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64);
        assert_eq!(AT_FDCWD, libc::AT_FDCWD);
        assert_eq!(PATH_LEN + 1, libc::PATH_MAX as usize);
    }
}
