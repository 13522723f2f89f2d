//! The BPF objects, embedded by build.rs.

use crate::bpf;

/// Embeds the object of a stem.
macro_rules! object {
    ($name:ident, $file:literal, $doc:literal) => {
        #[doc = $doc]
        pub static $name: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/", $file));
    };
}

/// All embedded objects.
pub const ALL: [&[u8]; 17] = [
    CALLS, CGROUP, COUNT, DASHBOARD, EXEC, FLOWS, LATENCY, OPEN, PROBE, RETURNS, RUNQUEUE, STACKS, SYSCALLS, TRACE,
    TRAFFIC, XDP, ZOO,
];

object!(CALLS, "calls.o", "crates/ebpf/src/calls.rs");
object!(CGROUP, "cgroup.o", "crates/ebpf/src/cgroup.rs");
object!(COUNT, "count.o", "crates/ebpf/src/count.rs");
object!(DASHBOARD, "dashboard.o", "crates/ebpf/src/dashboard.rs");
object!(EXEC, "exec.o", "crates/ebpf/src/exec.rs");
object!(FLOWS, "flows.o", "crates/ebpf/src/flows.rs");
object!(LATENCY, "latency.o", "crates/ebpf/src/latency.rs");
object!(OPEN, "open.o", "crates/ebpf/src/open.rs");
object!(PROBE, "probe.o", "crates/ebpf/src/probe.rs");
object!(RETURNS, "returns.o", "crates/ebpf/src/returns.rs");
object!(RUNQUEUE, "runqueue.o", "crates/ebpf/src/runqueue.rs");
object!(STACKS, "stacks.o", "crates/ebpf/src/stacks.rs");
object!(TRACE, "trace.o", "crates/ebpf/src/trace.rs");
object!(TRAFFIC, "traffic.o", "crates/ebpf/src/traffic.rs");
object!(SYSCALLS, "syscalls.o", "crates/ebpf/src/syscalls.rs");
object!(XDP, "xdp.o", "crates/ebpf/src/xdp.rs");
object!(ZOO, "zoo.o", "crates/ebpf/src/zoo.rs");

/// The names of all programs in them.
pub fn program_names() -> Vec<String> {
    let programs = |elf: &&[u8]| bpf::program_names(elf).unwrap_or_default();
    ALL.iter().flat_map(programs).collect()
}
