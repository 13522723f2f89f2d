//! The record of an executed program, or of a call that failed to execute one.

use crate::{event::Header, filter::COMM_LEN};

/// Longest file name in bytes, its closing NUL not counted.
pub const FILENAME_LEN: usize = 4_095;
/// Most bytes of arguments, their closing NULs counted.
pub const ARGS_LEN: usize = 8_192;
/// Most arguments of a call that failed.
pub const MOST_ARGS: u64 = 128;
/// Longest path of the executable and of the working directory in bytes.
pub const PATH_LEN: usize = 4_095;

/// The fixed part; `filename_len` bytes of file name follow, then `args_len` bytes of arguments, each closed by NUL, then
/// `exe_len` bytes of the path of the executable and `cwd_len` of that of the working directory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// Who and when; the name is the new one.
    pub header: Header,
    /// The parent's process id.
    pub ppid: u32,
    /// How many arguments there are, or [`Exec::UNKNOWN`].
    pub argc: u32,
    /// Who logged in (`loginuid`, audit(8)), or [`Exec::UNKNOWN`]: nobody, and what the kernel says for nobody.
    pub loginuid: u32,
    /// Zero, or a negative errno.
    pub ret: i32,
    /// Bytes of file name that follow.
    pub filename_len: u32,
    /// Bytes of arguments that follow.
    pub args_len: u32,
    /// Bytes of the path of the executable that follow.
    pub exe_len: u32,
    /// Bytes of the path of the working directory that follow.
    pub cwd_len: u32,
    /// Name of the parent's first thread, padded with NUL bytes.
    pub parent_comm: [u8; COMM_LEN],
}

const _: () = assert!(size_of::<Exec>() == 112);
crate::pod!(Exec);

/// What [`Header::marks`] may say of an exec, beside what it may say of any event: there [`Header::FAULT`] means the
/// file name, and [`Header::TRUNCATED`] the arguments.
impl Exec {
    /// The arguments could not be read.
    pub const ARGS_FAULT: u16 = 1 << 2;
    /// By how many bits the marks of the executable's path are shifted.
    pub const EXE: u16 = 3;
    /// The same for the working directory.
    pub const CWD: u16 = 7;
    /// The file name is longer than the record has room for, and its end is missing.
    pub const FILENAME_TRUNCATED: u16 = 1 << 11;

    /// The path is not known.
    pub const PATH_FAULT: u16 = 1;
    /// The start of the path is missing.
    pub const PATH_TRUNCATED: u16 = 1 << 1;
    /// The path is not below the root of the task.
    pub const PATH_OUTSIDE: u16 = 1 << 2;
    /// There is no such path any more, or never was.
    pub const PATH_UNLINKED: u16 = 1 << 3;

    /// The marks of one of the two paths.
    pub fn path_marks(&self, which: u16) -> u16 {
        self.header.marks >> which & 0xf
    }

    /// Stands for a number that is not known. No count of arguments comes up to it (`MAX_ARG_STRINGS`,
    /// include/uapi/linux/binfmts.h), and no user has it as an id (`AUDIT_UID_UNSET`, include/linux/audit.h).
    pub const UNKNOWN: u32 = u32::MAX;

    /// A number that may not be known.
    pub fn known(number: u32) -> Option<u32> {
        (number != Self::UNKNOWN).then_some(number)
    }
}

/// A call that has not returned: the value of the map `EXEC_CALLS`, by thread id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecCall {
    /// Address of the file name in the process.
    pub filename: u64,
    /// Address of the arguments' addresses.
    pub argv: u64,
    /// Bytes of each of these.
    pub pointer_len: u64,
}

const _: () = assert!(size_of::<ExecCall>() == 24);
crate::pod!(ExecCall);

/// The arguments, of which the last is cut where not all of them are there.
pub fn arguments(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let closed = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    // No bytes are no arguments; a NUL alone is one empty argument.
    let some = !bytes.is_empty();
    closed.split(|byte| *byte == 0).take(if some { usize::MAX } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: &[u8]) -> Vec<&[u8]> {
        arguments(bytes).collect()
    }

    #[test]
    fn arguments_end_at_their_nul() {
        assert_eq!(split(b"ls\0-l\0/tmp\0"), [&b"ls"[..], b"-l", b"/tmp"]);
        assert_eq!(split(b"a b\n\xff\0"), [b"a b\n\xff"]);
    }

    #[test]
    fn empty_arguments_are_arguments() {
        assert_eq!(split(b"ls\0\0\0"), [&b"ls"[..], b"", b""]);
        assert_eq!(split(b"\0"), [b""]);
        assert!(split(b"").is_empty());
    }

    #[test]
    fn what_was_cut_stands_last() {
        assert_eq!(split(b"ls\0-l\0/t"), [&b"ls"[..], b"-l", b"/t"]);
        assert_eq!(split(b"ls\0-l\0"), [&b"ls"[..], b"-l"]);
    }
}
