//! What the program writes and user space reads.

/// Room for a file name and the zero byte at its end.
pub const NAME_LEN: usize = 256;
/// The `kind` of an event: a file is opened.
pub const OPEN: u32 = 1;
/// A program is executed.
pub const EXEC: u32 = 2;

/// What somebody did. Both sides have to agree on every byte, and so has the check: `repr(C)` keeps the order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ActivityEvent {
    /// `OPEN` or `EXEC`.
    pub kind: u32,
    /// The process.
    pub pid: u32,
    /// What the thread is called, up to a zero byte.
    pub comm: [u8; 16],
    /// The file that is opened or executed, up to a zero byte.
    pub name: [u8; NAME_LEN],
}
