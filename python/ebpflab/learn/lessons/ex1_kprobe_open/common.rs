//! What the program writes and user space reads.

/// Room for a file name and the zero byte at its end.
pub const NAME_LEN: usize = 256;

/// A file that is opened. Both sides have to agree on every byte, and so has the check: `repr(C)` keeps the order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenEvent {
    /// The process that opens it.
    pub pid: u32,
    /// The name as the process gave it, up to a zero byte.
    pub name: [u8; NAME_LEN],
}
