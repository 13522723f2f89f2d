//! What both sides have to agree on.

/// For how many processes there is room.
pub const MAX_ENTRIES: usize = 10_240;
