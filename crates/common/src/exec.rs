//! The record of an executed program.

use crate::event::Header;

/// Longest file name in bytes, its closing NUL not counted.
pub const FILENAME_LEN: usize = 4_095;
/// Most bytes of arguments, their closing NULs counted.
pub const ARGS_LEN: usize = 8_192;

/// The fixed part; `filename_len` bytes of file name follow, then `args_len` bytes of arguments, each closed by NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// Who and when; the name is the new one.
    pub header: Header,
    /// The parent's process id.
    pub ppid: u32,
    /// Bytes of file name that follow.
    pub filename_len: u32,
    /// Bytes of arguments that follow.
    pub args_len: u32,
    /// Bytes of arguments that there are.
    pub args_total: u32,
}

const _: () = assert!(size_of::<Exec>() == 80);
crate::pod!(Exec);

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
