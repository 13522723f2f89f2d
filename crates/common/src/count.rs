//! Opens by process.

/// Most processes the map `COUNTS` holds unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 10_240;
