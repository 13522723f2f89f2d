//! Capabilities: what this process has, and what it would need.

use std::fs;

use crate::error::{Error, Result};

/// A capability by the number it has in include/uapi/linux/capability.h.
type Capability = (&'static str, u32);

const CAP_NET_ADMIN: Capability = ("CAP_NET_ADMIN", 12);
const CAP_SYS_ADMIN: Capability = ("CAP_SYS_ADMIN", 21);
const CAP_PERFMON: Capability = ("CAP_PERFMON", 38);
const CAP_BPF: Capability = ("CAP_BPF", 39);

/// What tracing tools need (5.8 and later): to load programs and make maps, and to read kernel memory.
pub(crate) const TRACING: &[Capability] = &[CAP_BPF, CAP_PERFMON];
/// What programs on packets need; CAP_PERFMON because they compute with packet pointers.
pub(crate) const NETWORK: &[Capability] = &[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN];

/// Checks that the process holds the capabilities, before anything is tried.
///
/// # Errors
/// [`Error::Privilege`] names those that are missing.
pub(crate) fn require(operation: &str, needed: &[Capability]) -> Result<()> {
    let held = effective();
    // CAP_SYS_ADMIN stands for all of them in the kernel's own checks (bpf_capable, perfmon_capable).
    let has = |(_, bit): Capability| held & (1 << bit | 1 << CAP_SYS_ADMIN.1) != 0;
    let missing: Vec<_> = needed.iter().filter(|cap| !has(**cap)).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let fix = "run it as root (sudo), or as a service with these as ambient capabilities".to_owned();
    Err(Error::Privilege { operation: operation.to_owned(), missing, fix })
}

/// The kernel said EPERM although [`require`] found nothing missing.
pub(crate) fn refused(operation: &str) -> Error {
    Error::NotSupported {
        feature: operation.to_owned(),
        needs: "a kernel that is not locked down (see /sys/kernel/security/lockdown), outside of a user namespace \
                and of a seccomp filter that forbids bpf(2)"
            .to_owned(),
        reason: "the kernel refuses it (EPERM) although no capability is missing".to_owned(),
    }
}

/// The effective set of this thread; all of it where the kernel does not tell, so that the kernel decides.
fn effective() -> u64 {
    fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        })
        .unwrap_or(u64::MAX)
}
