//! What the program writes and user space reads.

/// Room for a text and the zero byte at its end.
pub const TEXT_LEN: usize = 12;

/// A call of a64l that has returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Decoded {
    /// The process.
    pub pid: u32,
    /// What the function was given, up to a zero byte.
    pub text: [u8; TEXT_LEN],
    /// What it returned.
    pub result: i64,
}
