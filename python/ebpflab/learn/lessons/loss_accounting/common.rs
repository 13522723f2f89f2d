//! What both sides have to agree on.

/// An opened file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenEvent {
    /// The number of this event: the first is 1.
    pub number: u64,
    /// The thread that opened it.
    pub tid: u32,
    /// Nothing: a struct with an u64 is a multiple of 8 bytes long.
    pub padding: u32,
}
