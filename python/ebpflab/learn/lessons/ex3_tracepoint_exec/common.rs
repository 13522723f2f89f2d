//! What the program writes and user space reads.

/// Room for a file name and the zero byte at its end.
pub const NAME_LEN: usize = 256;

/// A program that is executed. Both sides have to agree on every byte, and so has the check: `repr(C)` keeps the order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ExecEvent {
    /// The process that executes it.
    pub pid: u32,
    /// The id that the thread had before which called for it.
    pub old_pid: u32,
    /// The file, as it was named to the kernel, up to a zero byte.
    pub filename: [u8; NAME_LEN],
}
