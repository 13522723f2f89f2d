//! What both sides have to agree on.

/// TCP over IPv4: where its traffic is in the array.
pub const TCP: u32 = 0;
/// UDP over IPv4.
pub const UDP: u32 = 1;
/// All other frames.
pub const OTHER: u32 = 2;

/// Packets, and how many bytes they have in all, from the link header on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Traffic {
    /// How many.
    pub packets: u64,
    /// How much.
    pub bytes: u64,
}
