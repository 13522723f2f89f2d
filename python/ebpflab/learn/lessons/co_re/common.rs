//! What the program writes and user space reads.

/// Room for the name of a file and the zero byte at its end.
pub const NAME_LEN: usize = 128;

/// A program that was executed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Executed {
    /// The process.
    pub pid: u32,
    /// The process that started it.
    pub parent: u32,
    /// The file, up to a zero byte.
    pub filename: [u8; NAME_LEN],
}
