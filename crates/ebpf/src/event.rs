//! Filling the start of event records.
//!
//! A module of each object that has events.

use aya_ebpf::helpers::bpf_get_current_uid_gid;
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns};
use ebpflab_common::{
    event::{Header, Kind},
    filter::Task as _,
};
use ebpflab_ebpf::task::{Current, ns_pid};

use crate::cgroups;

/// Who runs this program, where and now.
#[inline(always)]
pub(crate) fn header(kind: Kind) -> Header {
    let (pid, tid) = Current.pid_tid();
    let uid_gid = bpf_get_current_uid_gid();
    // SAFETY: no arguments, no side effects.
    let (time, cpu) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_smp_processor_id()) };
    let cgroup = cgroups::current();
    let comm = Current.comm();
    Header {
        time,
        cgroup,
        pid,
        tid,
        uid: uid_gid as u32,
        gid: (uid_gid >> 32) as u32,
        comm,
        cpu,
        kind: kind as u16,
        marks: 0,
        ns_pid: ns_pid(pid),
        padding: 0,
    }
}
