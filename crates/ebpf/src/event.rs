//! Filling the start of event records.

use aya_ebpf::helpers::bpf_get_current_uid_gid;
use aya_ebpf::helpers::generated::{bpf_get_current_cgroup_id, bpf_get_smp_processor_id, bpf_ktime_get_boot_ns};
use ebpflab_common::{
    event::{Header, Kind},
    filter::Task as _,
};

use crate::task::{Current, ns_pid};

/// Who runs this program, where and now.
#[inline(always)]
pub fn header(kind: Kind) -> Header {
    let (pid, tid) = Current.pid_tid();
    let uid_gid = bpf_get_current_uid_gid();
    // SAFETY: no arguments, no side effects.
    let (time, cgroup, cpu) =
        unsafe { (bpf_ktime_get_boot_ns(), bpf_get_current_cgroup_id(), bpf_get_smp_processor_id()) };
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
