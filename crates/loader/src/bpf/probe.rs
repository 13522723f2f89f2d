//! What the kernel takes: types of programs and maps, and helpers, each tried with the smallest program or map there is.

use std::io;

use aya::{
    maps::{Array, MapType},
    programs::{ProgramError, ProgramType},
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};

use super::{is_refusal, kernel_btf, sys};
use crate::{
    btf,
    error::{Error, Result, with_causes},
    privilege,
};

/// An answer: yes, no, or why it cannot be known.
pub(crate) type Known = std::result::Result<bool, Unknown>;

/// Why a probe has no answer.
pub(crate) struct Unknown {
    /// What the kernel said.
    pub(crate) reason: String,
    /// Whether it said EPERM.
    pub(crate) is_refusal: bool,
}

impl Unknown {
    fn new(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { reason: with_causes(error), is_refusal: is_refusal(error) }
    }
}

/// Types of programs by the names that bpftool gives them, with what they are for.
const PROGRAM_TYPES: [(&str, ProgramType, &str); 8] = [
    ("kprobe", ProgramType::KProbe, "kprobe, kretprobe, uprobe and uretprobe programs"),
    ("tracepoint", ProgramType::TracePoint, "tracepoint programs"),
    ("raw_tracepoint", ProgramType::RawTracePoint, "raw tracepoint programs"),
    ("tracing", ProgramType::Tracing, "fentry and fexit programs"),
    ("xdp", ProgramType::Xdp, "XDP programs"),
    ("sched_cls", ProgramType::SchedClassifier, "tc programs"),
    ("cgroup_skb", ProgramType::CgroupSkb, "programs on a cgroup's packets"),
    ("cgroup_sock", ProgramType::CgroupSock, "programs on a cgroup's sockets"),
];

/// Types of maps by the names that bpftool gives them.
const MAP_TYPES: [(&str, MapType); 11] = [
    ("hash", MapType::Hash),
    ("lru_hash", MapType::LruHash),
    ("array", MapType::Array),
    ("percpu_array", MapType::PerCpuArray),
    ("percpu_hash", MapType::PerCpuHash),
    ("perf_event_array", MapType::PerfEventArray),
    ("ringbuf", MapType::RingBuf),
    ("lpm_trie", MapType::LpmTrie),
    ("prog_array", MapType::ProgramArray),
    ("cgroup_array", MapType::CgroupArray),
    ("sk_storage", MapType::SkStorage),
];

/// The helpers that the embedded tracing programs call.
const HELPERS: [(&str, BpfHelper); 21] = [
    ("bpf_map_lookup_elem", BpfHelper::BPF_FUNC_map_lookup_elem),
    ("bpf_map_update_elem", BpfHelper::BPF_FUNC_map_update_elem),
    ("bpf_map_delete_elem", BpfHelper::BPF_FUNC_map_delete_elem),
    ("bpf_tail_call", BpfHelper::BPF_FUNC_tail_call),
    ("bpf_get_smp_processor_id", BpfHelper::BPF_FUNC_get_smp_processor_id),
    ("bpf_get_current_pid_tgid", BpfHelper::BPF_FUNC_get_current_pid_tgid),
    ("bpf_get_current_uid_gid", BpfHelper::BPF_FUNC_get_current_uid_gid),
    ("bpf_get_attach_cookie", BpfHelper::BPF_FUNC_get_attach_cookie),
    ("bpf_get_current_comm", BpfHelper::BPF_FUNC_get_current_comm),
    ("bpf_perf_event_output", BpfHelper::BPF_FUNC_perf_event_output),
    ("bpf_get_stackid", BpfHelper::BPF_FUNC_get_stackid),
    ("bpf_get_current_task", BpfHelper::BPF_FUNC_get_current_task),
    ("bpf_current_task_under_cgroup", BpfHelper::BPF_FUNC_current_task_under_cgroup),
    ("bpf_get_current_cgroup_id", BpfHelper::BPF_FUNC_get_current_cgroup_id),
    ("bpf_probe_read_user", BpfHelper::BPF_FUNC_probe_read_user),
    ("bpf_probe_read_kernel", BpfHelper::BPF_FUNC_probe_read_kernel),
    ("bpf_probe_read_user_str", BpfHelper::BPF_FUNC_probe_read_user_str),
    ("bpf_probe_read_kernel_str", BpfHelper::BPF_FUNC_probe_read_kernel_str),
    ("bpf_ktime_get_boot_ns", BpfHelper::BPF_FUNC_ktime_get_boot_ns),
    ("bpf_ringbuf_output", BpfHelper::BPF_FUNC_ringbuf_output),
    ("bpf_ringbuf_query", BpfHelper::BPF_FUNC_ringbuf_query),
];

/// The helpers that only programs on packets call, each with a type of programs that does.
const PACKET_HELPERS: [(&str, BpfHelper, ProgramType); 8] = [
    ("bpf_skb_cgroup_id", BpfHelper::BPF_FUNC_skb_cgroup_id, ProgramType::CgroupSkb),
    ("bpf_skb_load_bytes", BpfHelper::BPF_FUNC_skb_load_bytes, ProgramType::SchedClassifier),
    ("bpf_sk_fullsock", BpfHelper::BPF_FUNC_sk_fullsock, ProgramType::SchedClassifier),
    ("bpf_get_listener_sock", BpfHelper::BPF_FUNC_get_listener_sock, ProgramType::SchedClassifier),
    ("bpf_sk_lookup_tcp", BpfHelper::BPF_FUNC_sk_lookup_tcp, ProgramType::SchedClassifier),
    ("bpf_sk_lookup_udp", BpfHelper::BPF_FUNC_sk_lookup_udp, ProgramType::SchedClassifier),
    ("bpf_sk_release", BpfHelper::BPF_FUNC_sk_release, ProgramType::SchedClassifier),
    ("bpf_sk_storage_get", BpfHelper::BPF_FUNC_sk_storage_get, ProgramType::SchedClassifier),
];

/// For each type of programs: its name, what it is for, and whether the kernel loads one.
pub(crate) fn program_types() -> Vec<(&'static str, &'static str, Known)> {
    PROGRAM_TYPES
        .map(|(name, kind, what)| (name, what, is_program_supported(kind).map_err(|e| Unknown::new(&e))))
        .into()
}

/// For each type of maps: its name, and whether the kernel makes one.
pub(crate) fn map_types() -> Vec<(&'static str, Known)> {
    MAP_TYPES.map(|(name, kind)| (name, is_map_supported(kind).map_err(|error| Unknown::new(&error)))).into()
}

/// For each helper: its name, and whether a program may call it.
pub(crate) fn helpers() -> Vec<(&'static str, Known)> {
    let tracing = HELPERS.iter().map(|(name, helper)| (*name, helper_of_tracing(*helper)));
    let packets = PACKET_HELPERS.iter().map(|(name, helper, kind)| (*name, helper_of(*kind, *helper)));
    tracing.chain(packets).collect()
}

/// Whether programs at perf events are told of which event it was (5.15).
pub(crate) fn has_cookies() -> bool {
    matches!(helper_of(ProgramType::KProbe, BpfHelper::BPF_FUNC_get_attach_cookie), Ok(true))
}

/// Checks that the kernel lets tracing programs call what these programs of an object call. Under lockdown it refuses
/// the helpers that read its memory.
///
/// # Errors
/// [`Error::NotSupported`] names a helper that is refused.
pub(crate) fn check_helpers<'a>(elf: &[u8], programs: impl Iterator<Item = &'a str>) -> Result<()> {
    let object = aya_obj::Object::parse(elf).map_err(|error| Error::Object(with_causes(&error)))?;
    let functions = programs.filter_map(|name| object.functions.get(&object.programs.get(name)?.function_key()));
    let called: Vec<_> = functions.flat_map(calls).collect();
    let refused = HELPERS
        .iter()
        .find(|(_, helper)| called.contains(&(*helper as u32)) && matches!(helper_of_tracing(*helper), Ok(false)));
    refused.map_or(Ok(()), |(name, _)| {
        Err(Error::NotSupported {
            feature: format!("calling {name}"),
            needs: privilege::POLICY.to_owned(),
            reason: format!("the kernel refuses its programs the helper {name}"),
        })
    })
}

/// Numbers of the helpers that a function calls: `BPF_JMP | BPF_CALL` without a pseudo source.
fn calls(function: &aya_obj::Function) -> impl Iterator<Item = u32> + '_ {
    const CALL: u8 = 0x85;
    function.instructions.iter().filter(|ins| ins.code == CALL && ins.src_reg() == 0).map(|ins| ins.imm as u32)
}

/// Raw tracepoint programs may call what kprobe programs may; the second is asked where the first says no.
fn helper_of_tracing(helper: BpfHelper) -> Known {
    match helper_of(ProgramType::RawTracePoint, helper)? {
        true => Ok(true),
        false => helper_of(ProgramType::KProbe, helper),
    }
}

fn helper_of(kind: ProgramType, helper: BpfHelper) -> Known {
    is_helper_supported(kind, helper).map_err(|error: ProgramError| Unknown::new(&error))
}

/// Whether the kernel describes its own types.
///
/// # Errors
/// [`crate::error::Error::NotSupported`] says why not.
pub(crate) fn btf() -> Result<()> {
    kernel_btf(&mut None, "BTF", btf::functions).map(drop)
}

/// Whether a map of that many bytes can be made: before 5.11 maps are charged against RLIMIT_MEMLOCK.
pub(crate) fn map_of(bytes: usize) -> Known {
    const ENTRY: usize = 4_096;
    match Array::<_, [u8; ENTRY]>::create((bytes / ENTRY) as u32, 0) {
        Ok(_) => Ok(true),
        Err(error) => Err(Unknown::new(&error)),
    }
}

/// Whether programs may write to perf buffers, and be attached to kprobes and tracepoints, which are perf events too.
///
/// # Errors
/// [`crate::error::Error::NotSupported`] says why not.
pub(crate) fn perf_events() -> Result<()> {
    sys::open_perf_event().map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => privilege::perf_refused("opening a perf event"),
        _ => Error::os("open a perf event")(error),
    })
}

/// Names and ids of the programs that are loaded; the kernel tells CAP_SYS_ADMIN only.
///
/// # Errors
/// What the kernel said.
pub(crate) fn loaded_programs() -> std::result::Result<Vec<(u32, String)>, String> {
    aya::programs::loaded_programs()
        .map(|info| {
            let info = info.map_err(|error| with_causes(&error))?;
            Ok((info.id(), info.name_as_str().unwrap_or_default().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::objects;

    fn called(elf: &[u8]) -> Vec<u32> {
        let object = aya_obj::Object::parse(elf).expect("an object");
        object.functions.values().flat_map(calls).collect()
    }

    #[test]
    fn the_helpers_are_those_that_our_programs_call() {
        // What the zoo calls is none of the tools' business.
        let tools = objects::ALL.iter().filter(|elf| **elf != objects::ZOO);
        let called: BTreeSet<_> = tools.flat_map(|elf| called(elf)).collect();
        let tracing = HELPERS.iter().map(|(_, helper)| *helper as u32);
        let packets = PACKET_HELPERS.iter().map(|(_, helper, _)| *helper as u32);
        let listed: BTreeSet<_> = tracing.chain(packets).collect();
        assert_eq!(called, listed);
    }
}
