//! What the BPF programs and the loader share: layouts of maps and records, the loss ledger, and the pure logic
//! that runs in the kernel, written so that `cargo test` runs the same lines.
#![cfg_attr(not(test), no_std)]

pub mod calls;
pub mod cgroup;
pub mod cidr;
pub mod count;
pub mod event;
pub mod exec;
pub mod exit;
pub mod filter;
pub mod flows;
pub mod ip;
pub mod latency;
pub mod ledger;
pub mod open;
pub mod packet;
pub mod returns;
pub mod runqueue;
pub mod stacks;
pub mod syscall;
pub mod syscalls;
pub mod trace;
pub mod traffic;
pub mod who;
pub mod xdp;

/// `Pod` for layouts without padding, where the loader reads them out of maps.
macro_rules! pod {
    ($($layout:ty),+) => {
        $(
            #[cfg(feature = "user")]
            // SAFETY: `repr(C)`, plain integers only, no padding (the size is asserted beside each layout).
            unsafe impl aya::Pod for $layout {}
        )+
    };
}
pub(crate) use pod;
