//! What both sides have to agree on.

/// A system call of a process.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The process.
    pub pid: u32,
    /// The number of the call.
    pub number: u32,
}
