//! Programs that do nothing, one of each kind: whether they can be loaded and attached tells what a kernel and the
//! privileges of a process allow (`ebpflab doctor`). They are loaded alone and gone at once.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{TC_ACT_UNSPEC, xdp_action::XDP_PASS},
    macros::{
        cgroup_skb, cgroup_sock, classifier, fentry, fexit, kprobe, kretprobe, perf_event, raw_tracepoint, tracepoint,
        uprobe, uretprobe, xdp,
    },
    programs::{
        FEntryContext, FExitContext, PerfEventContext, ProbeContext, RawTracePointContext, RetProbeContext,
        SkBuffContext, SockContext, TcContext, TracePointContext, XdpContext,
    },
};
// For the licence and the panic handler.
use ebpflab_ebpf as _;

#[cgroup_skb(ingress)]
fn probe_cgroup(_ctx: SkBuffContext) -> i32 {
    const PASS: i32 = 1;
    PASS
}

#[cgroup_sock(sock_create)]
fn probe_sock(_ctx: SockContext) -> i32 {
    const PASS: i32 = 1;
    PASS
}

#[fentry(function = "do_sys_openat2")]
fn probe_fentry(_ctx: FEntryContext) -> i32 {
    0
}

#[fexit(function = "do_sys_openat2")]
fn probe_fexit(_ctx: FExitContext) -> i32 {
    0
}

#[kprobe(function = "do_sys_openat2")]
fn probe_kprobe(_ctx: ProbeContext) -> u32 {
    0
}

#[kretprobe(function = "do_sys_openat2")]
fn probe_kretprobe(_ctx: RetProbeContext) -> u32 {
    0
}

#[perf_event]
fn probe_perf(_ctx: PerfEventContext) -> u32 {
    0
}

#[raw_tracepoint(tracepoint = "sys_enter")]
fn probe_raw_tp(_ctx: RawTracePointContext) -> i32 {
    0
}

#[tracepoint(category = "sched", name = "sched_process_exec")]
fn probe_tp(_ctx: TracePointContext) -> u32 {
    0
}

#[classifier]
fn probe_tc(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

#[uprobe]
fn probe_uprobe(_ctx: ProbeContext) -> u32 {
    0
}

#[uretprobe]
fn probe_uretprobe(_ctx: RetProbeContext) -> u32 {
    0
}

#[xdp]
fn probe_xdp(_ctx: XdpContext) -> u32 {
    XDP_PASS
}
