//! What the program writes and user space reads.

/// Room for a file name and the zero byte at its end.
pub const NAME_LEN: usize = 256;

/// A file that could not be opened.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FailedOpen {
    /// The process.
    pub pid: u32,
    /// Why, as errno(3) has it: 2 is ENOENT.
    pub errno: i32,
    /// The name as the process gave it, up to a zero byte.
    pub name: [u8; NAME_LEN],
}
