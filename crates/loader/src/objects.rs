//! The BPF objects, embedded by build.rs.

/// Embeds the object of a stem.
macro_rules! object {
    ($name:ident, $file:literal, $doc:literal) => {
        #[doc = $doc]
        pub static $name: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/", $file));
    };
}

object!(COUNT, "count.o", "crates/ebpf/src/count.rs");
object!(DASHBOARD, "dashboard.o", "crates/ebpf/src/dashboard.rs");
object!(EXEC, "exec.o", "crates/ebpf/src/exec.rs");
object!(OPEN, "open.o", "crates/ebpf/src/open.rs");
object!(XDP, "xdp.o", "crates/ebpf/src/xdp.rs");
