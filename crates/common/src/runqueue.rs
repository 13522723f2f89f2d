//! How long tasks wait for a CPU: the size of the map.

/// Most tasks that are waited for at once.
pub const MAX_WAITS: u32 = 65_536;
