//! The records that tools give out: lines of `--json`, and what the Python classes are made from.

use ebpflab_common::{event::Kind, ledger, packet::Traffic, traffic::Reason};

use crate::{
    btf::Data,
    names::{ErrorName, FlagNames, Words},
    schema::{Optional, Record, Schema, Text, Texts, Type, Value, record},
    verifier::{
        ExplainedStep, Explanation, RegisterHistory, SourceLine,
        zoo::{Broken, Trial},
    },
};

record! {
    /// The first line: everything is attached and counting.
    pub struct Attached = "attached" {
        /// The tool's name.
        pub command: String,
        /// The programs and where they are attached.
        pub hooks: Vec<Hook>,
        /// What these hooks cannot see: `compat` (32-bit callers), `io_uring`, `kernel` (programs that the kernel starts by itself), `containers` (their cgroups are in hierarchies of v1), `invalid_how` (openat2 calls refused for a bad struct open_how).
        pub blind_to: Vec<String>,
        /// Size of the event buffer in bytes; null for tools that count.
        pub buffer: Option<u64>,
        /// The kernel's release, as `uname -r` gives it.
        pub kernel: String,
        /// XDP only: the mode asked for and the mode that the kernel took.
        pub mode: Optional<Mode>,
    }

    /// A program and where it is attached.
    pub struct Hook {
        /// Name of the program.
        pub program: String,
        /// Kind of hook: `fentry`, `fexit`, `kprobe`, `kprobe_multi`, `kretprobe`, `raw_tracepoint`, `tracepoint`, `xdp`, `tcx`, `clsact`, `cgroup_skb`, `cgroup_sock`, `uprobe`, `uretprobe`, `perf_event`.
        pub kind: String,
        /// Kernel function, tracepoint, function of a program or library, interface or cgroup and direction, or clocks and how often they tick.
        pub target: String,
        /// Why this one: `first choice`, `asked for`, or what was wrong with those before it.
        pub reason: String,
    }

    /// The mode of an XDP program.
    pub struct Mode {
        /// `auto`, `skb`, `drv` or `hw`.
        pub asked: String,
        /// `skb` (generic), `drv` (native) or `hw` (offloaded).
        pub got: String,
    }

    /// What became of everything a tool saw. At the end of every run, exactly: `seen` = `filtered` + `submitted` + `dropped` + `unpaired` + `pending` for a tool that has events, `seen` = `filtered` + `submitted` + `map_full` for one that counts (and `unpaired` + `pending` where it counts at the return), and `submitted` = `received`.
    pub struct Ledger {
        /// Times the hook found what the tool watches, before any filter.
        pub seen: u64,
        /// Left out because a filter said so.
        pub filtered: u64,
        /// Handed to user space: an event written, or a count added to.
        pub submitted: u64,
        /// Events that did not fit into the buffer.
        pub dropped: u64,
        /// Entries whose return could not be matched.
        pub unpaired: u64,
        /// Entries still in flight at the end.
        pub pending: u64,
        /// Counts lost because the map had no room for a new key.
        pub map_full: u64,
        /// Runs that the kernel skipped, and processes of a tree (`--tree`) that there was no room for, whose events are `filtered`; null where it does not tell.
        pub missed: Option<u64>,
        /// Events that lack something because memory could not be read.
        pub faults: u64,
        /// Events that hold less than the whole of something.
        pub truncated: u64,
        /// What user space got: events, or the sum of the counts.
        pub received: u64,
        /// What was given out.
        pub shown: u64,
    }

    /// The last line: the whole run.
    pub struct Summary = "summary" {
        /// What became of everything.
        pub ledger: Ledger,
        /// From attached to the end, in seconds.
        pub duration_s: f64,
        /// Tools that count only: the totals, as in their readings.
        pub counts: Optional<Counts>,
        /// Tools with several kinds of events only (the dashboard, `exec --exits`): the ledger of each kind; `ledger` is their sum.
        pub ledgers: Optional<Ledgers>,
        /// `xdp` with rules only: what they did.
        pub firewall: Optional<Firewall>,
        /// `xdp --top` only: where packets came from.
        pub sources: Optional<Sources>,
        /// `xdp --pcap` only: what became of the packets for the file; `shown` are those that are in it.
        pub capture: Optional<Ledger>,
    }

    /// The ledgers of a tool with several kinds of events.
    pub struct Ledgers {
        /// Of opened files; the dashboard only.
        pub open: Optional<Ledger>,
        /// Of executed programs.
        pub exec: Ledger,
        /// Of processes that ended.
        pub exit: Ledger,
    }

    /// A program that is about to run; or, with `exec -x`, a call of execve or execveat that failed, when it returned.
    pub struct ExecEvent<'a> = "exec" as row {
        /// When: nanoseconds since the epoch.
        pub time: u64,
        /// CPU it happened on.
        pub cpu: u32,
        /// Process id, in the initial PID namespace.
        pub pid: u32,
        /// Process id in the PID namespace of the process itself (its container).
        pub ns_pid: u32,
        /// The parent's process id, in the initial PID namespace.
        pub ppid: u32,
        /// Name of the parent: of its first thread.
        pub parent_comm: Text<'a>,
        /// Real user id, in the initial user namespace.
        pub uid: u32,
        /// Real group id, in the initial user namespace.
        pub gid: u32,
        /// Id of the user who logged in, whoever the process has become since (loginuid, audit(8)); null where nobody did, and on kernels that do not tell.
        pub loginuid: Option<u32>,
        /// Name of the process from now on; of a call that failed, of the thread that made it.
        pub comm: Text<'a>,
        /// Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy with the controller memory, or else pids, cpu, any.
        pub cgroup: u64,
        /// Where the cgroup is in that hierarchy; null where it is not known: the hierarchy is not mounted, or too many were made and removed at once.
        pub cgroup_path: Option<&'a Text<'static>>,
        /// The container that the cgroup is of; null where it is of none.
        pub container: Option<&'a Container>,
        /// The file as it was given (for execveat the kernel puts `/dev/fd/N/` before it, unless the call failed); null where it could not be read.
        pub filename: Option<Text<'a>>,
        /// The file that runs, for a script that is its interpreter: the names from the file itself up to the root of the process (its chroot, its container), so that links, mounts and `..` are gone. Without a `/` in front for what is not below that root. Null for a call that failed, and where `path_fault` says so.
        pub exe: Option<Text<'a>>,
        /// The working directory, in the same way: where a relative `filename` starts from.
        pub cwd: Option<Text<'a>>,
        /// `filename` has more than 4,095 bytes, and these are its first; or `exe` or `cwd` has more than 4,095 bytes, or both together about 780 names, and this is its end, without a `/` in front.
        pub path_truncated: bool,
        /// What could not be had: `filename`, `exe`, `cwd`, `filename and exe` and so on, `filename, exe and cwd`; null where nothing is missing.
        pub path_fault: Option<&'static str>,
        /// What is special: `unlinked` (the executable has no name, any more or ever: it was removed, or is a memfd), `outside_root` (it is not below the root of the process), `cwd_unlinked` (the working directory was removed), `cwd_outside_root`.
        pub path_notes: Words,
        /// All arguments, the program's own name first; null where they could not be read.
        pub argv: Option<Texts<'a>>,
        /// How many arguments there are, those included that `argv` lacks; null where that could not be read, and for a call that failed where `argv` is cut.
        pub argc: Option<u32>,
        /// The arguments have more than 8,192 bytes (for a call that failed: or there are more than 128), and these are the first, the last of them cut.
        pub argv_truncated: bool,
        /// 0, or the negative errno of a call that failed.
        pub ret: i32,
        /// Name of the errno, `ENOENT` and so on; null for a program that runs.
        pub error: ErrorName,
    }

    /// A process that ended: its last thread did. Also one that never executed a program.
    pub struct ExitEvent<'a> = "exit" as row {
        /// When: nanoseconds since the epoch.
        pub time: u64,
        /// CPU it happened on.
        pub cpu: u32,
        /// Process id, in the initial PID namespace.
        pub pid: u32,
        /// Process id in the PID namespace of the process itself (its container).
        pub ns_pid: u32,
        /// The parent's process id, in the initial PID namespace.
        pub ppid: u32,
        /// Real user id, in the initial user namespace.
        pub uid: u32,
        /// Real group id, in the initial user namespace.
        pub gid: u32,
        /// Name of the thread that ended last.
        pub comm: Text<'a>,
        /// Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy with the controller memory, or else pids, cpu, any.
        pub cgroup: u64,
        /// Where the cgroup is in that hierarchy; null where it is not known: the hierarchy is not mounted, or too many were made and removed at once.
        pub cgroup_path: Option<&'a Text<'static>>,
        /// The container that the cgroup is of; null where it is of none.
        pub container: Option<&'a Container>,
        /// What it exited with, 0 to 255; null if a signal killed it.
        pub exit_code: Option<u32>,
        /// Number of the signal that killed it; null if it exited by itself.
        pub signal: Option<u32>,
        /// Whether the signal made it dump its memory.
        pub core: bool,
        /// From the start of the process (its fork), in nanoseconds.
        pub duration_ns: u64,
        /// From the last time that it executed a program, in nanoseconds; null where `exec_time` is.
        pub exec_duration_ns: Option<u64>,
        /// When it last executed a program: the `time` of that event. Null if it never did, or not since this tool was attached, and where 32,768 other processes were remembered.
        pub exec_time: Option<u64>,
    }

    /// A call of open, creat, openat or openat2, when it returned.
    pub struct OpenEvent<'a> = "open" as row {
        /// When it returned: nanoseconds since the epoch.
        pub time: u64,
        /// CPU it returned on.
        pub cpu: u32,
        /// Process id, in the initial PID namespace.
        pub pid: u32,
        /// Thread id, in the initial PID namespace.
        pub tid: u32,
        /// Process id in the PID namespace of the process itself (its container).
        pub ns_pid: u32,
        /// Real user id, in the initial user namespace.
        pub uid: u32,
        /// Real group id, in the initial user namespace.
        pub gid: u32,
        /// Name of the thread.
        pub comm: Text<'a>,
        /// Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy with the controller memory, or else pids, cpu, any.
        pub cgroup: u64,
        /// Where the cgroup is in that hierarchy; null where it is not known: the hierarchy is not mounted, or too many were made and removed at once.
        pub cgroup_path: Option<&'a Text<'static>>,
        /// The container that the cgroup is of; null where it is of none.
        pub container: Option<&'a Container>,
        /// The path as given; null where it could not be read.
        pub path: Option<Text<'a>>,
        /// Where that is, from the root of the process that opened it (its chroot, its container): of an opened file, the names from the file itself up, so that links, mounts and `..` are gone; of one that could not be opened, the folder that the path starts from and the path as given. Without a `/` in front for what is not below that root. Null for what has no name (a pipe) and where `path_fault` says why.
        pub full_path: Option<Text<'a>>,
        /// The path as given has more than 4,095 bytes, and these are its first; or the whole path has more than 8,191 bytes or about 780 names, and this is its end, without a `/` in front.
        pub path_truncated: bool,
        /// What could not be had: `path` (its memory could not be read), `folder` (that it starts from), `file` (the descriptor was closed or replaced meanwhile), `path and file`; null where nothing is missing.
        pub path_fault: Option<&'static str>,
        /// What is special: `tmpfile` (made by `O_TMPFILE`, its name is not its own), `unlinked` (the name is gone), `magic_link` (the path leads through a link of procfs to a file that was open already; known by the usual names of those links), `outside_root` (not below the root of the process).
        pub path_notes: Words,
        /// File descriptor of the folder that a relative path starts from; -100 (`AT_FDCWD`) is the working directory.
        pub dirfd: i32,
        /// `O_RDONLY` and so on, or-ed, as the kernel takes them: without bits that mean nothing, and without `O_LARGEFILE`, which it adds itself.
        pub flags: u64,
        /// The same by their names, the access mode first.
        pub flag_names: FlagNames,
        /// Permission bits for a file that may be created, before the umask; 0 for others.
        pub mode: u32,
        /// The new file descriptor, or a negative errno.
        pub ret: i32,
        /// Name of the errno, `ENOENT` and so on; null for an opened file.
        pub error: ErrorName,
        /// From entry to return, in nanoseconds.
        pub latency_ns: u64,
        /// Inode number of the opened file; null where none was opened.
        pub inode: Option<u64>,
        /// Device of the opened file's file system, as `st_dev` of stat(2) has it; null where none was opened. (On btrfs and overlayfs stat(2) may give another.)
        pub device: Option<u64>,
    }

    /// A call of a function that is traced, when it returned.
    pub struct TraceEvent<'a> = "trace" as row {
        /// When it returned: nanoseconds since the epoch.
        pub time: u64,
        /// CPU it returned on.
        pub cpu: u32,
        /// Process id, in the initial PID namespace.
        pub pid: u32,
        /// Thread id, in the initial PID namespace.
        pub tid: u32,
        /// Process id in the PID namespace of the process itself (its container).
        pub ns_pid: u32,
        /// Real user id, in the initial user namespace.
        pub uid: u32,
        /// Real group id, in the initial user namespace.
        pub gid: u32,
        /// Name of the thread.
        pub comm: Text<'a>,
        /// Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy with the controller memory, or else pids, cpu, any.
        pub cgroup: u64,
        /// Where the cgroup is in that hierarchy; null where it is not known: the hierarchy is not mounted, or too many were made and removed at once.
        pub cgroup_path: Option<&'a Text<'static>>,
        /// The container that the cgroup is of; null where it is of none.
        pub container: Option<&'a Container>,
        /// What the call returned; null for a function that returns nothing.
        pub value: Option<i64>,
        /// From entry to return, in nanoseconds.
        pub latency_ns: u64,
        /// The string, or the bytes, that were asked for, as they are at the return; null where none were, where the address is NULL, where the call returned no number of bytes above 0, and where `data_fault` is true.
        pub data: Option<Text<'a>>,
        /// There are more than 4,095 bytes, and these are the first.
        pub data_truncated: bool,
        /// The memory could not be read.
        pub data_fault: bool,
    }

    /// A container, known by the path of its cgroup.
    pub struct Container {
        /// Its id: 64 hexadecimal digits.
        pub id: String,
        /// What runs it: `docker`, `podman`, `containerd` or `cri-o`.
        pub runtime: &'static str,
        /// Its name, which Docker or Podman are asked for by their sockets; null where they have not answered yet, and where there is none of them.
        pub name: Option<String>,
    }

    /// Packets by protocol since the start.
    pub struct PacketReading = "xdp" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// The interface.
        pub iface: String,
        /// By protocol.
        pub counts: PacketCounts,
        /// With rules only: what they did.
        pub firewall: Optional<Firewall>,
        /// With `--top` only: where packets came from.
        pub sources: Optional<Sources>,
        /// With `--pcap` only: what became of the packets for the file; `shown` are those that are in it.
        pub capture: Optional<Ledger>,
    }

    /// An XDP program that is pinned: it stays until it is unpinned (`ebpflab xdp --unpin`).
    pub struct PinnedXdp = "pinned" {
        /// Its interface; null where that has gone, or is in another network namespace.
        pub iface: Option<String>,
        /// The folder that holds it, its link and its maps.
        pub folder: String,
        /// Id of the program that packets come to first.
        pub program: u32,
        /// `skb` (generic), `drv` (native) or `hw` (offloaded); null where it is attached no more, or that is not known.
        pub mode: Option<&'static str>,
        /// By protocol, since it was pinned.
        pub counts: PacketCounts,
        /// What its rules did; null where it has none.
        pub firewall: Option<Firewall>,
    }

    /// What rules did with packets since the start. `dropped` and `passed` are all packets together, but for packets that were on their way when it was read.
    pub struct Firewall {
        /// How many rules are in force.
        pub active: u64,
        /// Packets that rules blocked.
        pub dropped: PacketCount,
        /// All others.
        pub passed: PacketCount,
        /// Those of them that no rule is about.
        pub unmatched: PacketCount,
        /// What each rule did, the busiest first. Of more than 1,000 rules those that met a packet; of rules that were replaced as well.
        pub rules: Vec<RuleCount>,
    }

    /// What a rule did with packets since the start.
    pub struct RuleCount {
        /// The range of source addresses.
        pub cidr: String,
        /// `block` or `allow`.
        pub action: &'static str,
        /// Whether it is in force; it is not where it was replaced.
        pub active: bool,
        /// Frames that it was the longest prefix for.
        pub packets: u64,
        /// Their bytes, link headers included.
        pub bytes: u64,
    }

    /// Where packets came from since the start.
    pub struct Sources {
        /// The sources with the most packets.
        pub top: Vec<SourceCount>,
        /// How many sources were counted.
        pub tracked: u64,
        /// Packets of sources that there was no room to count.
        pub untracked: PacketCount,
    }

    /// Packets from an address.
    pub struct SourceCount {
        /// The address.
        pub address: String,
        /// Frames.
        pub packets: u64,
        /// Their bytes, link headers included.
        pub bytes: u64,
    }

    /// Packets of each protocol.
    pub struct PacketCounts {
        /// TCP over IPv4 or IPv6.
        pub tcp: PacketCount,
        /// UDP over IPv4 or IPv6.
        pub udp: PacketCount,
        /// ICMP over IPv4, ICMPv6 over IPv6.
        pub icmp: PacketCount,
        /// ARP.
        pub arp: PacketCount,
        /// Anything else, and everything short or malformed.
        pub other: PacketCount,
    }

    /// Packets and bytes.
    pub struct PacketCount {
        /// Frames.
        pub packets: u64,
        /// Bytes of the frames, link headers included.
        pub bytes: u64,
    }

    /// Packets of a cgroup since the start.
    pub struct CgroupReading = "cgroup" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// The directory of the cgroup.
        pub cgroup: Text<'static>,
        /// What passed, and what was denied.
        pub counts: CgroupCounts,
    }

    /// Packets of a cgroup and of those below it.
    pub struct CgroupCounts {
        /// Those that passed, those with most bytes first.
        pub groups: Vec<GroupCount>,
        /// Those that were denied, by rule.
        pub denied: Vec<DeniedCount>,
    }

    /// Packets of one cgroup, protocol and direction.
    pub struct GroupCount {
        /// Id of the cgroup of the socket; 0 where the kernel does not know it.
        pub cgroup: u64,
        /// Where it is in the hierarchy of v2; null if it was removed before it was read.
        pub cgroup_path: Option<Text<'static>>,
        /// The container that it is of; null where it is of none.
        pub container: Option<Container>,
        /// `ingress` for what sockets of the cgroup received, `egress` for what they sent.
        pub direction: &'static str,
        /// What the packets carry: `tcp`, `udp`, `icmp`, `icmpv6` and so on, `ip-N` for numbers that have no name here.
        pub protocol: String,
        /// Packets, as the sockets send and receive them: one that is merged of several, or to be cut to several, is one.
        pub packets: u64,
        /// Bytes of these from the network header on, so without link headers.
        pub bytes: u64,
        /// Bytes per second since the last reading.
        pub rate: f64,
    }

    /// Packets that a rule denied.
    pub struct DeniedCount {
        /// The rule, as it was given.
        pub rule: String,
        /// Packets.
        pub packets: u64,
        /// Bytes of these from the network header on.
        pub bytes: u64,
    }

    /// Packets by flow since the start, those with most bytes first.
    pub struct FlowReading = "flows" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// The interface.
        pub iface: String,
        /// By flow.
        pub counts: Vec<FlowCount>,
    }

    /// Packets of one flow: those that have the same of all that is not counted here.
    pub struct FlowCount {
        /// `ingress` for what the interface received, `egress` for what it sent.
        pub direction: &'static str,
        /// What the IP packets carry: `tcp`, `udp`, `icmp`, `icmpv6` and so on, `ip-N` for numbers that have no name here; of frames that are not IP what they are: `arp`, `lldp` and so on, `0x1234` for others, `ipv4` and `ipv6` for those whose IP header is wrong.
        pub protocol: String,
        /// Source address; null for what is not IP.
        pub source: Option<String>,
        /// Source port; null for protocols without, and for all fragments of a packet but the first.
        pub source_port: Option<u32>,
        /// Destination address.
        pub destination: Option<String>,
        /// Destination port.
        pub destination_port: Option<u32>,
        /// Id of the VLAN, of the outermost if there are several; null for none.
        pub vlan: Option<u32>,
        /// Frames, as the kernel hands them to the interface or gets them from it: one that is merged of several, or to be cut to several, is one.
        pub packets: u64,
        /// Bytes of these, link headers included.
        pub bytes: u64,
        /// Bytes per second since the last reading.
        pub rate: f64,
    }

    /// Packets by process since the start, and those of none.
    pub struct TrafficReading = "traffic" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// The interface.
        pub iface: String,
        /// What was counted.
        pub counts: TrafficCounts,
    }

    /// Packets of TCP and UDP by process, and all others by the reason why they are of none. Together these are all packets of the interface.
    pub struct TrafficCounts {
        /// By process, those with most bytes first.
        pub processes: Vec<ProcessCount>,
        /// Those of no process, by reason; only reasons that were met.
        pub unattributed: Vec<UnattributedCount>,
        /// What the interface received by its own counters since the start. They are read after the others, so packets that pass meanwhile are a difference.
        pub received: PacketCount,
        /// What the interface sent by its own counters.
        pub sent: PacketCount,
    }

    /// Packets of one process, protocol and direction.
    pub struct ProcessCount {
        /// The process that made or accepted the sockets, in the initial PID namespace.
        pub pid: u32,
        /// Name that its thread had when it made or accepted the first of them.
        pub comm: Text<'static>,
        /// `ingress` for what it received, `egress` for what it sent.
        pub direction: &'static str,
        /// `tcp` or `udp`.
        pub protocol: &'static str,
        /// Frames, as the kernel hands them to the interface or gets them from it: one that is merged of several, or to be cut to several, is one.
        pub packets: u64,
        /// Bytes of these, link headers included but on lo.
        pub bytes: u64,
        /// Bytes per second since the last reading.
        pub rate: f64,
    }

    /// Packets of no process.
    pub struct UnattributedCount {
        /// `ingress` for what the interface received, `egress` for what it sent.
        pub direction: &'static str,
        /// `not_ip` (or malformed), `other_protocol` (neither TCP nor UDP), `no_ports` (a later fragment that arrives, or one that is cut), `no_socket` (nobody here has one for it), `unknown_process` (of a socket of the kernel's own, or from before the start that could not be asked for), `map_full` (there was no room for another process).
        pub reason: &'static str,
        /// Frames.
        pub packets: u64,
        /// Bytes of these, link headers included but on lo.
        pub bytes: u64,
    }

    /// Calls since the start, the most frequent first. Targets that were not called are not there.
    pub struct CallReading = "calls" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// By target, and whatever else was asked for.
        pub counts: Vec<CallCount>,
    }

    /// Calls that have the same of all that they are told apart by.
    pub struct CallCount {
        /// What was called: `vfs_read`, `libc:malloc`, `tracepoint:sched:sched_switch`, `raw_tracepoint:sys_enter`.
        pub target: String,
        /// Process id, in the initial PID namespace; null where processes are not told apart.
        pub pid: Option<u32>,
        /// Name of the thread; where only processes are told apart that of the process, read from /proc, and null for one that was gone by then; null where neither is asked for.
        pub comm: Option<Text<'static>>,
        /// Id of the cgroup; null where cgroups are not told apart.
        pub cgroup: Option<u64>,
        /// Where it is in its hierarchy; null where it is not known, or not asked for.
        pub cgroup_path: Option<Text<'static>>,
        /// The container that it is of; null where it is of none, or not asked for.
        pub container: Option<Container>,
        /// Calls.
        pub count: u64,
        /// Calls per second since the last reading.
        pub rate: f64,
    }

    /// How long calls of a function took since the start.
    pub struct LatencyReading = "latency" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// The function, as it was given.
        pub target: String,
        /// How many took how long.
        pub counts: LatencyCounts,
    }

    /// What calls of a function returned since the start.
    pub struct ReturnReading = "returns" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// The function, as it was given.
        pub target: String,
        /// How many bits of what was returned are the value: as the kernel tells of its functions, or was asked for; else 64.
        pub bits: u32,
        /// Whether one of them is a sign.
        pub signed: bool,
        /// By whatever was asked for, the most frequent first; one at most unless something was.
        pub counts: Vec<ReturnCount>,
    }

    /// Calls that have the same of all that they are told apart by, and what they returned.
    pub struct ReturnCount {
        /// Process id, in the initial PID namespace; null where processes are not told apart.
        pub pid: Option<u32>,
        /// Name of the thread at the return; where only processes are told apart that of the process, read from /proc, and null for one that was gone by then; null where neither is asked for.
        pub comm: Option<Text<'static>>,
        /// Id of the cgroup; null where cgroups are not told apart.
        pub cgroup: Option<u64>,
        /// Where it is in its hierarchy; null where it is not known, or not asked for.
        pub cgroup_path: Option<Text<'static>>,
        /// The container that it is of; null where it is of none, or not asked for.
        pub container: Option<Container>,
        /// Calls that returned.
        pub count: u64,
        /// What they returned, all of it together, as far as 64 bits hold it.
        pub sum: i64,
        /// The least.
        pub min: i64,
        /// The most.
        pub max: i64,
        /// How many values were below zero: they are in no bucket.
        pub negative: u64,
        /// The histogram of the others, from the first bucket that has a value to the last.
        pub buckets: Vec<ValueBucket>,
        /// Calls per second since the last reading.
        pub rate: f64,
    }

    /// Values of so much: 0, 1, and powers of two from 2 on, or with `--linear` a step.
    pub struct ValueBucket {
        /// Its first value.
        pub start: u64,
        /// The first value that is not of it; null for the last step, which is all that is more.
        pub below: Option<u64>,
        /// Calls that returned one of these.
        pub count: u64,
    }

    /// How long tasks waited for a CPU since the start.
    pub struct RunqueueReading = "runqueue" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// How many waits took how long.
        pub counts: LatencyCounts,
    }

    /// How many calls of a function took how long; of `runqueue`, waits of tasks.
    pub struct LatencyCounts {
        /// Since the start, by whatever was asked for, the most frequent first; one at most unless something was.
        pub rows: Vec<LatencyCount>,
        /// With `--slower` only: calls or waits that took longer, which no reading before this one had.
        pub slow: Vec<SlowCall>,
        /// Those that took longer and that there was no room to tell.
        pub slow_lost: u64,
    }

    /// Calls, or waits, that have the same of all that they are told apart by. Percentiles are the ends of their buckets, of which there are 16 for each power of two, or of their steps, but never more than the longest.
    pub struct LatencyCount {
        /// Process id, in the initial PID namespace; null where processes are not told apart.
        pub pid: Option<u32>,
        /// Name of the thread at the end; where only processes are told apart that of the process, read from /proc, and null for one that was gone by then; null where neither is asked for.
        pub comm: Option<Text<'static>>,
        /// Id of the cgroup; null where cgroups are not told apart.
        pub cgroup: Option<u64>,
        /// Where it is in its hierarchy; null where it is not known, or not asked for.
        pub cgroup_path: Option<Text<'static>>,
        /// The container that it is of; null where it is of none, or not asked for.
        pub container: Option<Container>,
        /// Calls that returned; waits that ended.
        pub count: u64,
        /// From entry to return, or from ready to running, of all of them together, in nanoseconds.
        pub total_ns: u64,
        /// Half of them took no longer, in nanoseconds.
        pub p50_ns: u64,
        /// 90 in 100 took no longer, in nanoseconds.
        pub p90_ns: u64,
        /// 99 in 100 took no longer, in nanoseconds.
        pub p99_ns: u64,
        /// The longest, in nanoseconds.
        pub max_ns: u64,
        /// The histogram, from the first bucket that has a call to the last.
        pub buckets: Vec<BucketCount>,
        /// How many per second since the last reading.
        pub rate: f64,
    }

    /// Calls or waits that took so long: a power of two, or with `--linear` a step.
    pub struct BucketCount {
        /// Its first nanosecond.
        pub from_ns: u64,
        /// The first nanosecond that is not of it; null for the last step, which is all that is longer.
        pub below_ns: Option<u64>,
        /// How many.
        pub count: u64,
    }

    /// A call or a wait that took long.
    pub struct SlowCall {
        /// When it ended: nanoseconds since the epoch.
        pub time: u64,
        /// Process id, in the initial PID namespace.
        pub pid: u32,
        /// Thread id, in the initial PID namespace.
        pub tid: u32,
        /// Name of the thread.
        pub comm: Text<'static>,
        /// How long it took, in nanoseconds.
        pub latency_ns: u64,
    }

    /// Stacks since the start, the most frequent first.
    pub struct StackReading = "stacks" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// By stack, and whatever else was asked for.
        pub counts: Vec<StackCount>,
    }

    /// Stacks that are the same, with the same of all that they are told apart by.
    pub struct StackCount {
        /// Process id, in the initial PID namespace; null where processes are not told apart.
        pub pid: Option<u32>,
        /// Name of the thread; where only processes are told apart that of the process, read from /proc, and null for one that was gone by then; null where neither is asked for.
        pub comm: Option<Text<'static>>,
        /// Id of the cgroup; null where cgroups are not told apart.
        pub cgroup: Option<u64>,
        /// Where it is in its hierarchy; null where it is not known, or not asked for.
        pub cgroup_path: Option<Text<'static>>,
        /// The container that it is of; null where it is of none, or not asked for.
        pub container: Option<Container>,
        /// Functions of the kernel, the innermost first; `[unknown]` for one without a name, `[truncated]` for all that come behind 127. Empty where the process was in user space.
        pub kernel: Vec<String>,
        /// Functions of the process, the innermost first; `FILE+0xPLACE` for code of a file without names, otherwise the same. Empty for threads of the kernel.
        pub user: Vec<String>,
        /// How often it was seen.
        pub count: u64,
    }

    /// System calls since the start, the most frequent first.
    pub struct SyscallReading = "syscalls" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// By what was asked for.
        pub counts: Vec<SyscallCount>,
    }

    /// System calls that have the same of all that they are told apart by.
    pub struct SyscallCount {
        /// Name of the call, `nr-N` for a number without one; null where calls are not told apart.
        pub syscall: Option<String>,
        /// Its number; null where calls are not told apart.
        pub number: Option<u32>,
        /// The interface that it came through: `x86_64`, `i386`, `x32`, `aarch64` or `arm`; null where calls are not told apart.
        pub abi: Option<&'static str>,
        /// Process id, in the initial PID namespace; null where processes are not told apart.
        pub pid: Option<u32>,
        /// Name of the thread when the call returned; where only processes are told apart that of the process, read from /proc, and null for one that was gone by then; null where neither is asked for.
        pub comm: Option<Text<'static>>,
        /// Id of the cgroup; null where cgroups are not told apart.
        pub cgroup: Option<u64>,
        /// Where it is in its hierarchy; null where it is not known, or not asked for.
        pub cgroup_path: Option<Text<'static>>,
        /// The container that it is of; null where it is of none, or not asked for.
        pub container: Option<Container>,
        /// Calls that returned (exit and exit_group: that were made).
        pub count: u64,
        /// Those of them that failed.
        pub failed: u64,
        /// The same by error, the most frequent first.
        pub errors: Vec<ErrorCount>,
        /// From entry to return, of all of them together, in nanoseconds.
        pub total_ns: u64,
        /// Of the longest, in nanoseconds.
        pub max_ns: u64,
        /// Calls per second since the last reading.
        pub rate: f64,
    }

    /// Calls that failed in one way.
    pub struct ErrorCount {
        /// Name of the errno, `ENOENT` and so on; `ERESTARTSYS` and its kin where a signal came first, and the call is made again or ends with EINTR.
        pub error: String,
        /// How many.
        pub count: u64,
    }

    /// Opens by process since the start, the busiest first.
    pub struct PidReading = "counts" {
        /// When it was read: nanoseconds since the epoch.
        pub time: u64,
        /// By process.
        pub counts: Vec<PidCount>,
    }

    /// How often a process opened files.
    pub struct PidCount {
        /// Process id, in the initial PID namespace.
        pub pid: u32,
        /// Its name, read from /proc when the count had changed; null for a process that was gone by then.
        pub comm: Option<Text<'static>>,
        /// Opens since the start.
        pub count: u64,
        /// Opens per second since the last reading.
        pub rate: f64,
    }
}

record! {
    /// The start of a recording: the first line of JSON lines, `ebpflab.recording` in the metadata of other files.
    pub struct Recording = "recording" {
        /// Version of the fields; another one means that some have changed their meaning or their type.
        pub version: u32,
        /// Name of the machine.
        pub host: String,
        /// The command line; empty where it was recorded from Python and not told.
        pub command: Vec<String>,
        /// When it began: nanoseconds since the epoch.
        pub start: u64,
        /// What was attached.
        pub attached: Attached,
    }

    /// The end of a recording: the last line of JSON lines, `ebpflab.recorded` in the metadata of other files.
    pub struct Recorded = "recorded" {
        /// When it ended: nanoseconds since the epoch; of one that was recovered, the time of its last event.
        pub end: u64,
        /// Events in the file.
        pub rows: u64,
        /// Whether the recording goes on in another file of its folder.
        pub continued: bool,
        /// Whether its writer was killed, and `ebpflab recover` ended it.
        pub recovered: bool,
        /// What became of everything; null for one that was recovered, or goes on.
        pub ledger: Option<Ledger>,
        /// Tools with several kinds of events only: the ledger of each kind.
        pub ledgers: Optional<Ledgers>,
    }
}

record! {
    /// What `doctor` found out about one feature of the kernel, the machine or the process, by trying it.
    pub struct Feature = "feature" {
        /// What it is a part of: `kernel`, `capability`, `hook`, `program type`, `map type`, `helper`, `cgroup`, `xdp` or `leftovers`.
        pub group: String,
        /// Its name.
        pub name: String,
        /// `yes`, `no` or `unknown`.
        pub answer: String,
        /// What was found, or why there is no answer.
        pub found: String,
        /// What it costs the user; null where it costs nothing.
        pub costs: Option<String>,
        /// What mends it: a mount, a sysctl, a capability, a kernel option; null where nothing has to be done.
        pub fix: Option<String>,
    }

    /// What `doctor` says about a tool: whether it will work here, and by which hook.
    pub struct Verdict = "verdict" {
        /// Its name.
        pub tool: String,
        /// Whether it works.
        pub works: bool,
        /// Why it does not; null where it does.
        pub reason: Option<String>,
        /// What would mend that; null where it works, or nothing does.
        pub fix: Option<String>,
        /// Its hooks, in the order of preference.
        pub hooks: Vec<HookVerdict>,
    }

    /// What `doctor` says about one hook of a tool.
    pub struct HookVerdict {
        /// What the hook is for: `opens`, `execs`, `packets`, `sockets` or `accepts`.
        pub part: String,
        /// Its kind, as `--hook` takes it.
        pub hook: String,
        /// Whether it works.
        pub works: bool,
        /// Whether the tool takes it when no hook is asked for.
        pub taken: bool,
        /// Why it does not work, or is not taken; null for the one that is.
        pub reason: Option<String>,
        /// What would mend that; null where nothing has to be.
        pub fix: Option<String>,
    }
}

record! {
    /// A program that is loaded into the kernel, of whomever.
    pub struct Program = "program" {
        /// The kernel's id of it.
        pub id: u32,
        /// `enum bpf_prog_type`: `xdp`, `raw_tracepoint` and so on; `tracing` is fentry, fexit and their kin.
        pub kind: String,
        /// Its first 15 bytes.
        pub name: String,
        /// A hash of its instructions, in hexadecimal.
        pub tag: String,
        /// When it was loaded: nanoseconds since the epoch.
        pub loaded: u64,
        /// User id of who loaded it.
        pub uid: u32,
        /// Instructions, as they are after the verifier.
        pub instructions: u32,
        /// Bytes of machine code; 0 where it is interpreted.
        pub jited_bytes: u32,
        /// Bytes of memory that the kernel charges for it; null where it does not tell.
        pub memory_bytes: Option<u64>,
        /// How many instructions the verifier went through; null before 5.16.
        pub verified_instructions: Option<u32>,
        /// Runs that the kernel skipped because the program was running on that CPU already; null before 5.12.
        pub missed: Option<u64>,
        /// Runs that were measured: while somebody asked for it (`--stats`, sysctl kernel.bpf_stats_enabled).
        pub run_count: u64,
        /// How long those took, in nanoseconds.
        pub run_time_ns: u64,
        /// Ids of the maps that it uses.
        pub maps: Vec<u32>,
        /// The processes that hold it by a file descriptor, itself or a link of it.
        pub holders: Vec<Holder>,
    }

    /// What programs of ours, and the process that reads from them, cost while it was measured.
    pub struct Cost = "cost" {
        /// `process`: a process and the programs that it holds; `pinned`: programs that no process holds; `all`: all of these, each program and process once.
        pub of: &'static str,
        /// The process; null for `pinned` and `all`.
        pub pid: Option<u32>,
        /// Its name; null for `pinned` and `all`.
        pub comm: Option<Text<'static>>,
        /// How many programs these are.
        pub programs: u32,
        /// How long it was measured, in seconds.
        pub seconds: f64,
        /// How often they ran.
        pub runs: u64,
        /// How long these runs took together, in nanoseconds.
        pub run_time_ns: u64,
        /// The same in percent of one CPU.
        pub programs_percent: f64,
        /// CPU time of the process in percent of one CPU; the kernel counts it in hundredths of a second.
        pub reader_percent: f64,
        /// Resident memory of the process.
        pub memory_bytes: u64,
    }

    /// A map, of whomever.
    pub struct Map = "map" {
        /// The kernel's id of it.
        pub id: u32,
        /// `enum bpf_map_type`: `hash`, `ringbuf` and so on.
        pub kind: String,
        /// Its first 15 bytes.
        pub name: String,
        /// Bytes of a key.
        pub key_bytes: u32,
        /// Bytes of a value, on one CPU.
        pub value_bytes: u32,
        /// Most entries; of a ring buffer its bytes.
        pub max_entries: u32,
        /// Flags that it was made with, or-ed (`BPF_F_...`).
        pub flags: u32,
        /// Bytes of memory that the kernel charges for it; null where it does not tell.
        pub memory_bytes: Option<u64>,
        /// The processes that hold it by a file descriptor.
        pub holders: Vec<Holder>,
    }

    /// A link, which attaches a program as long as somebody holds it.
    pub struct Link = "link" {
        /// The kernel's id of it.
        pub id: u32,
        /// `enum bpf_link_type`: `tracing`, `perf_event` and so on.
        pub kind: String,
        /// Id of the program.
        pub program: u32,
        /// What it is attached to; null where the kernel does not tell (of perf events before 6.6).
        pub target: Option<String>,
        /// The processes that hold it by a file descriptor.
        pub holders: Vec<Holder>,
    }

    /// An entry of a map. Integers, truth values and numbers are what they are in JSON; an array of `char` that is a text is a string, one of other bytes a list of integers, as is memory of unknown type; a value of an enum is its name, or an integer that has none; a struct or a union is an object, with the members of those in it that have no name as its own; an array is a list; a pointer is an integer.
    pub struct MapEntry = "map_entry" {
        /// Its key, by the map's type information; of arrays always the index.
        pub key: Data,
        /// Its value. Of a map with a value on each CPU: numbers are added up, of all else it is what those CPUs have that have any (no zeros), or null where it is not the same.
        pub value: Data,
        /// With `--per-cpu`, of a map with a value on each CPU: that of each that there may ever be, from CPU 0 on; else null.
        pub values: Option<Vec<Data>>,
    }

    /// A tracepoint of this kernel.
    pub struct Tracepoint = "tracepoint" {
        /// Its category; null where tracefs cannot be read, or does not have it.
        pub category: Option<String>,
        /// Its name.
        pub name: String,
        /// The fields of its record, in the order of tracefs; null where tracefs does not tell.
        pub fields: Option<Vec<TracepointField>>,
        /// What a program gets that is attached to it as a raw tracepoint; null where the kernel's type information does not tell (that of modules is not looked at).
        pub arguments: Option<Vec<TracepointArgument>>,
    }

    /// A field of a tracepoint's record.
    pub struct TracepointField {
        /// Its name.
        pub name: String,
        /// Its type in C; `__data_loc` before it: the record has an offset in the lower 16 bits and a length in the upper.
        pub c_type: String,
        /// Where it is in the record, in bytes.
        pub offset: u32,
        /// Its size in bytes.
        pub bytes: u32,
        /// Whether it is an integer that may be below zero.
        pub signed: bool,
    }

    /// An argument of a raw tracepoint.
    pub struct TracepointArgument {
        /// Its name.
        pub name: String,
        /// Its type in C.
        pub c_type: String,
        /// Its number, from 0 on: it is at 8 times that in the context.
        pub index: u32,
        /// The size of its type in bytes; the context has 8 bytes for each.
        pub bytes: u32,
    }

    /// A type of the kernel, or a function.
    pub struct BtfType = "btf_type" {
        /// Its name.
        pub name: String,
        /// `struct`, `union`, `enum`, `typedef`, `int`, `float` or `function`.
        pub kind: String,
        /// Its size in bytes; null for a function, and what has none.
        pub bytes: Option<u64>,
        /// Of a typedef the type that it is a name of, of a function its declaration; else null.
        pub target: Option<String>,
        /// Of a struct or a union (or a typedef of one).
        pub members: Vec<BtfMember>,
        /// Of an enum (or a typedef of one).
        pub enumerators: Vec<BtfEnumerator>,
    }

    /// A member of a struct or a union.
    pub struct BtfMember {
        /// Its name; empty for a struct or a union without one.
        pub name: String,
        /// Its type in C.
        pub c_type: String,
        /// Where it begins, in bytes from the start of the outermost struct.
        pub offset: u64,
        /// The size of its type in bytes.
        pub bytes: u64,
        /// Of a bit field: its first bit in the byte at `offset`; else null.
        pub bit: Option<u32>,
        /// Of a bit field: how many bits it has; else null.
        pub bits: Option<u32>,
        /// Of a struct or a union its members.
        pub members: Members,
    }

    /// A value of an enum.
    pub struct BtfEnumerator {
        /// Its name.
        pub name: String,
        /// Its value.
        pub value: i128,
    }

    /// A process that holds something by a file descriptor.
    pub struct Holder {
        /// Process id, in the PID namespace of whoever asks.
        pub pid: u32,
        /// Its name; null for one that was gone by then.
        pub comm: Option<Text<'static>>,
    }
}

/// Members of a member.
#[derive(Clone, Debug, PartialEq)]
pub struct Members(pub Vec<BtfMember>);

impl Value for Members {
    const TYPE: Type = Type::Array(&Type::Named("BtfMember"));

    fn write<M: serde::ser::SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, &self.0)
    }
}

/// The descriptions of all records: those that are lines, then their parts.
pub const SCHEMAS: &[&Schema] = &[
    &Attached::SCHEMA,
    &CallReading::SCHEMA,
    &Broken::SCHEMA,
    &BtfType::SCHEMA,
    &CgroupReading::SCHEMA,
    &Cost::SCHEMA,
    &ExecEvent::SCHEMA,
    &ExitEvent::SCHEMA,
    &TraceEvent::SCHEMA,
    &Explanation::SCHEMA,
    &Feature::SCHEMA,
    &FlowReading::SCHEMA,
    &LatencyReading::SCHEMA,
    &Link::SCHEMA,
    &Map::SCHEMA,
    &MapEntry::SCHEMA,
    &OpenEvent::SCHEMA,
    &PacketReading::SCHEMA,
    &PidReading::SCHEMA,
    &PinnedXdp::SCHEMA,
    &Program::SCHEMA,
    &Recorded::SCHEMA,
    &Recording::SCHEMA,
    &ReturnReading::SCHEMA,
    &RunqueueReading::SCHEMA,
    &StackReading::SCHEMA,
    &Summary::SCHEMA,
    &TrafficReading::SCHEMA,
    &SyscallReading::SCHEMA,
    &Tracepoint::SCHEMA,
    &Trial::SCHEMA,
    &Verdict::SCHEMA,
    &BtfEnumerator::SCHEMA,
    &BtfMember::SCHEMA,
    &CgroupCounts::SCHEMA,
    &Container::SCHEMA,
    &DeniedCount::SCHEMA,
    &ExplainedStep::SCHEMA,
    &FlowCount::SCHEMA,
    &GroupCount::SCHEMA,
    &Holder::SCHEMA,
    &Hook::SCHEMA,
    &HookVerdict::SCHEMA,
    &Mode::SCHEMA,
    &Ledgers::SCHEMA,
    &Ledger::SCHEMA,
    &PacketCounts::SCHEMA,
    &PacketCount::SCHEMA,
    &Firewall::SCHEMA,
    &RegisterHistory::SCHEMA,
    &RuleCount::SCHEMA,
    &Sources::SCHEMA,
    &SourceCount::SCHEMA,
    &SourceLine::SCHEMA,
    &PidCount::SCHEMA,
    &TrafficCounts::SCHEMA,
    &ProcessCount::SCHEMA,
    &UnattributedCount::SCHEMA,
    &CallCount::SCHEMA,
    &LatencyCounts::SCHEMA,
    &LatencyCount::SCHEMA,
    &BucketCount::SCHEMA,
    &SlowCall::SCHEMA,
    &ReturnCount::SCHEMA,
    &ValueBucket::SCHEMA,
    &StackCount::SCHEMA,
    &SyscallCount::SCHEMA,
    &ErrorCount::SCHEMA,
    &TracepointArgument::SCHEMA,
    &TracepointField::SCHEMA,
];

impl Ledger {
    /// What the kernel counted, with what only user space knows.
    pub(crate) fn new(kernel: ledger::Ledger, missed: Option<u64>, pending: u64, received: u64, shown: u64) -> Self {
        let ledger::Ledger { seen, filtered, submitted, dropped, unpaired, map_full, faults, truncated } = kernel;
        Self {
            seen,
            filtered,
            submitted,
            dropped,
            unpaired,
            pending,
            map_full,
            missed,
            faults,
            truncated,
            received,
            shown,
        }
    }
}

impl Ledger {
    /// Both together, but for `missed`.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            seen: self.seen + other.seen,
            filtered: self.filtered + other.filtered,
            submitted: self.submitted + other.submitted,
            dropped: self.dropped + other.dropped,
            unpaired: self.unpaired + other.unpaired,
            pending: self.pending + other.pending,
            map_full: self.map_full + other.map_full,
            missed: None,
            faults: self.faults + other.faults,
            truncated: self.truncated + other.truncated,
            received: self.received + other.received,
            shown: self.shown + other.shown,
        }
    }
}

impl From<Traffic> for PacketCount {
    fn from(Traffic { packets, bytes }: Traffic) -> Self {
        Self { packets, bytes }
    }
}

/// What a reading may have beside its counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct More {
    /// What rules did.
    pub firewall: Optional<Firewall>,
    /// Where packets came from.
    pub sources: Optional<Sources>,
    /// What became of packets for a file.
    pub capture: Optional<Ledger>,
}

/// One event of a tool that has events. What it is made of stays where it is: in its record ([`crate::events`]).
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// Of `exec`.
    Exec(ExecEvent<'a>),
    /// Of `exec` that was asked for exits.
    Exit(ExitEvent<'a>),
    /// Of `open`.
    Open(OpenEvent<'a>),
    /// Of `trace`.
    Trace(TraceEvent<'a>),
}

impl Event<'_> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Exec(_) => Kind::Exec,
            Self::Exit(_) => Kind::Exit,
            Self::Open(_) => Kind::Open,
            Self::Trace(_) => Kind::Trace,
        }
    }

    /// When it happened: nanoseconds since the epoch.
    pub fn time(&self) -> u64 {
        match self {
            Self::Exec(event) => event.time,
            Self::Exit(event) => event.time,
            Self::Open(event) => event.time,
            Self::Trace(event) => event.time,
        }
    }

    /// Appends the event as one line of JSON.
    pub fn write_json_line(&self, out: &mut Vec<u8>) {
        match self {
            Self::Exec(event) => event.write_json_line(out),
            Self::Exit(event) => event.write_json_line(out),
            Self::Open(event) => event.write_json_line(out),
            Self::Trace(event) => event.write_json_line(out),
        }
    }
}

/// One reading of a tool that counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Of `calls`.
    Calls(CallReading),
    /// Of `cgroup`.
    Cgroup(CgroupReading),
    /// Of `flows`.
    Flows(FlowReading),
    /// Of `latency`.
    Latency(LatencyReading),
    /// Of `xdp`.
    Packets(Box<PacketReading>),
    /// Of `count`.
    Pids(PidReading),
    /// Of `returns`.
    Returns(ReturnReading),
    /// Of `runqueue`.
    Runqueue(RunqueueReading),
    /// Of `stacks`.
    Stacks(StackReading),
    /// Of `traffic`.
    Traffic(TrafficReading),
    /// Of `syscalls`.
    Syscalls(SyscallReading),
}

impl Reading {
    /// The reading as one line of JSON.
    pub fn to_json_line(&self) -> Vec<u8> {
        match self {
            Self::Calls(reading) => reading.to_json_line(),
            Self::Cgroup(reading) => reading.to_json_line(),
            Self::Flows(reading) => reading.to_json_line(),
            Self::Latency(reading) => reading.to_json_line(),
            Self::Packets(reading) => reading.to_json_line(),
            Self::Pids(reading) => reading.to_json_line(),
            Self::Returns(reading) => reading.to_json_line(),
            Self::Runqueue(reading) => reading.to_json_line(),
            Self::Stacks(reading) => reading.to_json_line(),
            Self::Traffic(reading) => reading.to_json_line(),
            Self::Syscalls(reading) => reading.to_json_line(),
        }
    }

    /// Takes out what stands beside the counts.
    pub fn take_more(&mut self) -> More {
        match self {
            Self::Packets(reading) => More {
                firewall: std::mem::take(&mut reading.firewall),
                sources: std::mem::take(&mut reading.sources),
                capture: std::mem::take(&mut reading.capture),
            },
            Self::Calls(_)
            | Self::Cgroup(_)
            | Self::Flows(_)
            | Self::Latency(_)
            | Self::Pids(_)
            | Self::Returns(_)
            | Self::Runqueue(_)
            | Self::Stacks(_)
            | Self::Syscalls(_)
            | Self::Traffic(_) => More::default(),
        }
    }

    /// When it was read: nanoseconds since the epoch.
    pub fn time(&self) -> u64 {
        match self {
            Self::Calls(reading) => reading.time,
            Self::Cgroup(reading) => reading.time,
            Self::Flows(reading) => reading.time,
            Self::Latency(reading) => reading.time,
            Self::Packets(reading) => reading.time,
            Self::Pids(reading) => reading.time,
            Self::Returns(reading) => reading.time,
            Self::Runqueue(reading) => reading.time,
            Self::Stacks(reading) => reading.time,
            Self::Traffic(reading) => reading.time,
            Self::Syscalls(reading) => reading.time,
        }
    }

    /// Everything counted so far: what the ledger calls received.
    pub fn sum(&self) -> u64 {
        match self {
            Self::Calls(reading) => reading.counts.iter().map(|count| count.count).sum(),
            Self::Cgroup(reading) => {
                let CgroupCounts { groups, denied } = &reading.counts;
                let passed = groups.iter().map(|count| count.packets);
                passed.chain(denied.iter().map(|count| count.packets)).sum()
            }
            Self::Flows(reading) => reading.counts.iter().map(|count| count.packets).sum(),
            Self::Latency(reading) => reading.counts.rows.iter().map(|row| row.count).sum(),
            Self::Packets(reading) => {
                let PacketCounts { tcp, udp, icmp, arp, other } = &reading.counts;
                [tcp, udp, icmp, arp, other].iter().map(|count| count.packets).sum()
            }
            Self::Pids(reading) => reading.counts.iter().map(|count| count.count).sum(),
            Self::Returns(reading) => reading.counts.iter().map(|count| count.count).sum(),
            Self::Runqueue(reading) => reading.counts.rows.iter().map(|row| row.count).sum(),
            Self::Stacks(reading) => reading.counts.iter().map(|count| count.count).sum(),
            Self::Traffic(reading) => {
                let TrafficCounts { processes, unattributed, .. } = &reading.counts;
                // Those that found no room are a term of their own.
                let unattributed = unattributed.iter().filter(|count| count.reason != Reason::MapFull.name());
                let processes = processes.iter().map(|count| count.packets);
                processes.chain(unattributed.map(|count| count.packets)).sum()
            }
            Self::Syscalls(reading) => reading.counts.iter().map(|count| count.count).sum(),
        }
    }
}

/// The counts of a reading, without the rest of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts(pub Reading);

impl Value for Counts {
    const TYPE: Type = Type::Either(&[
        PacketCounts::TYPE,
        CgroupCounts::TYPE,
        TrafficCounts::TYPE,
        LatencyCounts::TYPE,
        <Vec<FlowCount>>::TYPE,
        <Vec<PidCount>>::TYPE,
        <Vec<CallCount>>::TYPE,
        <Vec<ReturnCount>>::TYPE,
        <Vec<StackCount>>::TYPE,
        <Vec<SyscallCount>>::TYPE,
    ]);

    fn write<M: serde::ser::SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        match &self.0 {
            Reading::Calls(reading) => reading.counts.write(name, map),
            Reading::Cgroup(reading) => reading.counts.write(name, map),
            Reading::Flows(reading) => reading.counts.write(name, map),
            Reading::Latency(reading) => reading.counts.write(name, map),
            Reading::Packets(reading) => reading.counts.write(name, map),
            Reading::Pids(reading) => reading.counts.write(name, map),
            Reading::Returns(reading) => reading.counts.write(name, map),
            Reading::Runqueue(reading) => reading.counts.write(name, map),
            Reading::Stacks(reading) => reading.counts.write(name, map),
            Reading::Traffic(reading) => reading.counts.write(name, map),
            Reading::Syscalls(reading) => reading.counts.write(name, map),
        }
    }
}
