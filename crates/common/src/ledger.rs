//! The loss ledger: what became of everything a tool saw. Each term is counted in the kernel where it happens,
//! none is computed from the others, so that it proves something when they add up: at the end of every run
//!
//! * event tools: seen = filtered + submitted + dropped + unpaired + pending, and submitted = received;
//! * counting tools: seen = filtered + submitted + map_full, and submitted = the sum of the values read.

/// One CPU's counters, in the map `LEDGER` of every object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Times the hook found what the tool watches, before any filter.
    pub seen: u64,
    /// Left out because the user's filter said so.
    pub filtered: u64,
    /// Handed to user space: an event written, or a count added to.
    pub submitted: u64,
    /// Events that did not fit into the buffer.
    pub dropped: u64,
    /// Entries whose return could not be matched: the in-flight map was full, or the same thread entered again.
    pub unpaired: u64,
    /// Counts lost because the map had no room for a new key.
    pub map_full: u64,
    /// Submitted events that lack something because memory could not be read.
    pub faults: u64,
    /// Submitted events that hold less than the whole of something.
    pub truncated: u64,
}

const _: () = assert!(size_of::<Ledger>() == 64);
crate::pod!(Ledger);

impl Ledger {
    /// Adds another CPU's counters to these.
    pub fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.filtered += other.filtered;
        self.submitted += other.submitted;
        self.dropped += other.dropped;
        self.unpaired += other.unpaired;
        self.map_full += other.map_full;
        self.faults += other.faults;
        self.truncated += other.truncated;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_every_term() {
        let one = Ledger {
            seen: 1,
            filtered: 2,
            submitted: 3,
            dropped: 4,
            unpaired: 5,
            map_full: 6,
            faults: 7,
            truncated: 8,
        };
        let mut sum = one;
        sum.add(&one);
        let doubled = Ledger {
            seen: 2,
            filtered: 4,
            submitted: 6,
            dropped: 8,
            unpaired: 10,
            map_full: 12,
            faults: 14,
            truncated: 16,
        };
        assert_eq!(sum, doubled);
    }
}
