//! What both sides have to agree on: which count is where in the array.

/// TCP over IPv4.
pub const TCP: u32 = 0;
/// UDP over IPv4.
pub const UDP: u32 = 1;
/// ICMP over IPv4.
pub const ICMP: u32 = 2;
/// All other frames: other protocols, ARP, IPv6, and frames that are too short to tell.
pub const OTHER: u32 = 3;
