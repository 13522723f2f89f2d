//! Layouts of `xdp`: rules, the busiest sources, packets for a file.

/// The rule that stands for none, and the slot of its counts.
pub const NO_RULE: u32 = 0;

/// What a rule does, as the sets of rules have it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Where its packets are counted.
    pub slot: u32,
    /// 1: they are dropped; 0: they are passed.
    pub drops: u32,
}

const _: () = assert!(size_of::<Verdict>() == 8);
crate::pod!(Verdict);

/// An address that packets come from.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// 4 or 6.
    pub version: u32,
    /// Of IPv4 the first four bytes; the others are zero.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<Source>() == 20);
crate::pod!(Source);

/// The program at each index of the array of stages.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Network headers, and the rules.
    Network = 0,
    /// The transport header.
    Transport = 1,
}

/// What is written to the packet file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// 0: nothing; else what [`Capture::DROPPED`] and [`Capture::SAMPLED`] say.
    pub what: u32,
    /// Every so many packets of a CPU, for [`Capture::SAMPLED`].
    pub every: u32,
    /// Most bytes of a packet.
    pub snap_len: u32,
}

impl Capture {
    /// Every packet that is dropped.
    pub const DROPPED: u32 = 1;
    /// Some of all packets.
    pub const SAMPLED: u32 = 2;
}

const _: () = assert!(size_of::<Capture>() == 12);
crate::pod!(Capture);

/// A packet for the file; its first bytes follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Boot clock, in nanoseconds.
    pub time: u64,
    /// Bytes of the frame.
    pub size: u32,
    /// How many of them follow.
    pub captured: u32,
    /// The rule that it met, and what became of it.
    pub verdict: Verdict,
}

const _: () = assert!(size_of::<Captured>() == 24);
crate::pod!(Captured);
