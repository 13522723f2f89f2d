"""Answers as learners give them that are not right: the solution with some of its text replaced."""

from __future__ import annotations

from dataclasses import dataclass

import ebpflab


@dataclass(frozen=True)
class Wrong:
    """A wrong answer.

    Attributes:
        stem: The lesson.
        mistake: What is wrong, in a word or two.
        replaced: Texts of the solution, and what stands in their place.
        fails: A part of the requirement that is not met.
        says: What the check says of it.

    """

    stem: str
    mistake: str
    replaced: tuple[tuple[str, str], ...]
    fails: str
    says: str


#: Where `filename` is in `struct linux_binprm` on this kernel.
FILENAME = next(member.offset for member in ebpflab.btf("linux_binprm").members if member.name == "filename")

WRONG = (
    Wrong(
        "ex1_kprobe_open",
        "tid for tgid",
        (("(bpf_get_current_pid_tgid() >> 32) as u32", "bpf_get_current_pid_tgid() as u32"),),
        "`pid` is the id of the process",
        "These are ids of threads. That of the process is in the upper half",
    ),
    Wrong(
        "ex1_kprobe_open",
        "the kernel's helper for memory of the process",
        (("bpf_probe_read_user_str_bytes", "bpf_probe_read_kernel_str_bytes"),),
        "`name` is the name",
        "the helper for processes",
    ),
    Wrong(
        "ex1_kprobe_open",
        "a name that is cut",
        (("filename, &mut (*event).name)", "filename, &mut (&mut (*event).name)[..64])"),),
        "`name` is the name",
        "The name is cut after 63 bytes",
    ),
    Wrong(
        "ex1_kprobe_open",
        "another struct",
        (
            ("static EVENTS: RingBuf<OpenEvent,", "static EVENTS: RingBuf<[u8; 64],"),
            ("(*event).name", "(*event.cast::<OpenEvent>()).name"),
            ("(*event).pid", "(*event.cast::<OpenEvent>()).pid"),
        ),
        "The kernel takes the program",
        "the verifier refuses it",
    ),
    Wrong(
        "ex1_kprobe_open",
        "nothing is given back",
        (("room.submit(0);", "core::mem::forget(room);"),),
        "The kernel takes the program",
        "leak",
    ),
    Wrong(
        "ex2_kprobe_counter",
        "tid for tgid",
        (("(bpf_get_current_pid_tgid() >> 32) as u32", "bpf_get_current_pid_tgid() as u32"),),
        "The keys are the ids of processes",
        "Among these are ids of threads: the lower half",
    ),
    Wrong(
        "ex2_kprobe_counter",
        "both ids as the key",
        (("(bpf_get_current_pid_tgid() >> 32) as u32", "bpf_get_current_pid_tgid()"), ("HashMap<u32,", "HashMap<u64,")),
        "The keys are the ids of processes",
        "The keys are both ids in one",
    ),
    Wrong(
        "ex2_kprobe_counter",
        "always one",
        (("*counter += 1", "*counter = 1"),),
        "The value is the number of files",
        "A count is always 1",
    ),
    Wrong(
        "ex2_kprobe_counter",
        "the first call twice",
        (("COUNTS.insert(&pid, &0, BPF_NOEXIST)", "COUNTS.insert(&pid, &1, BPF_NOEXIST)"),),
        "The value is the number of files",
        "is counted twice, by the insert and after it",
    ),
    Wrong(
        "ex3_tracepoint_exec",
        "a field before",
        (("const PID: usize = 12", "const PID: usize = 8"),),
        "`pid` is the process",
        "it is the field filename",
    ),
    Wrong(
        "ex3_tracepoint_exec",
        "off by one",
        (("const PID: usize = 12", "const PID: usize = 13"),),
        "`pid` is the process",
        "an offset is wrong, by some bytes perhaps",
    ),
    Wrong(
        "ex3_tracepoint_exec",
        "the other id",
        (("const PID: usize = 12", "const PID: usize = 16"),),
        "`pid` is the process",
        "ids from before the exec",
    ),
    Wrong(
        "ex3_tracepoint_exec",
        "the length in the offset",
        (("(location & 0xffff) as usize", "location as usize"),),
        "with the whole name",
        "The offset is in the lower 16 bits only",
    ),
    Wrong(
        "ex4_xdp_counter",
        "no bounds check",
        (("if start + offset + size_of::<T>() > end {", "if start > end {"),),
        "The kernel takes the program",
        "packet",
    ),
    Wrong(
        "ex4_xdp_counter",
        "the type of the frame not looked at",
        (("u16::from_be_bytes(unsafe { *ether_type }) != IPV4", "u16::from_be_bytes(unsafe { *ether_type }) == 1"),),
        "Each packet is counted once",
        "IPv6 and ARP are counted by a byte that is no protocol there",
    ),
    Wrong(
        "ex4_xdp_counter",
        "little endian",
        (("u16::from_be_bytes(unsafe", "u16::from_le_bytes(unsafe"),),
        "Each packet is counted once",
        "Is the type turned from big endian",
    ),
    Wrong(
        "ex4_xdp_counter",
        "short frames thrown away",
        (
            (
                "let protocol = protocol(&ctx).unwrap_or(OTHER);",
                "let Some(protocol) = protocol(&ctx) else { return 1 };",
            ),
        ),
        "Every packet goes its way",
        "Frames that are too short are dropped",
    ),
    Wrong(
        "ex5_dashboard",
        "one helper for both memories",
        (
            (
                "Name::Kernel(from) => bpf_probe_read_kernel_str_bytes",
                "Name::Kernel(from) => bpf_probe_read_user_str_bytes",
            ),
        ),
        "`name` is the whole name",
        "Executed programs have no name",
    ),
    Wrong(
        "ex5_dashboard",
        "one kind for both",
        (("(*event).kind = kind;", "(*event).kind = OPEN;"),),
        "`kind` says which",
        "All events say the same",
    ),
    Wrong(
        "ex5_dashboard",
        "tid for tgid",
        (("(bpf_get_current_pid_tgid() >> 32) as u32", "bpf_get_current_pid_tgid() as u32"),),
        "`pid` is the process",
        "Among these are ids of threads",
    ),
    Wrong(
        "ex5_dashboard",
        "no comm",
        (("(*event).comm = bpf_get_current_comm().unwrap_or_default();", "(*event).comm = [0; 16];"),),
        "`comm` is what the thread is called",
        "It is not set",
    ),
    Wrong(
        "kretprobe",
        "entries of successes are left",
        (
            ("    CALLS.remove(&tid).ok()?;\n", ""),
            ("    let errno = -result;\n", "    CALLS.remove(&tid).ok()?;\n    let errno = -result;\n"),
        ),
        "CALLS has calls that have not returned",
        "Calls that are over stay",
    ),
    Wrong(
        "kretprobe",
        "successes are told",
        (("    if result >= 0 {\n        return None;\n    }\n", ""),),
        "Each file that could not be opened",
        "Opened files are told too",
    ),
    Wrong(
        "kretprobe",
        "one error only",
        (("result >= 0", "result != -2"),),
        "Each file that could not be opened",
        "a failure is any result below 0",
    ),
    Wrong(
        "kretprobe",
        "the minus of the result",
        (("let errno = -result;", "let errno = result;"),),
        "`errno` is the error",
        "It still has the minus of the result",
    ),
    Wrong(
        "kretprobe",
        "tid for tgid",
        (("(*event).pid = (ids >> 32) as u32", "(*event).pid = ids as u32"),),
        "`pid` is the id of the process",
        "These are ids of threads",
    ),
    Wrong(
        "kretprobe",
        "tgid for tid",
        (
            ("bpf_get_current_pid_tgid() as u32", "(bpf_get_current_pid_tgid() >> 32) as u32"),
            ("let tid = ids as u32", "let tid = (ids >> 32) as u32"),
        ),
        "CALLS has calls that have not returned",
        "keep each by that of the thread",
    ),
    Wrong(
        "kretprobe",
        "the helper for the kernel's memory",
        (("bpf_probe_read_user_str_bytes", "bpf_probe_read_kernel_str_bytes"),),
        "`name` is the name",
        "by the helper for processes",
    ),
    Wrong(
        "uprobe",
        "entries are left",
        (("    CALLS.remove(&tid).ok()?;\n", ""),),
        "Nothing of calls that are over",
        "remove the entry at the return",
    ),
    Wrong(
        "uprobe",
        "the helper for the kernel's memory",
        (("bpf_probe_read_user_str_bytes", "bpf_probe_read_kernel_str_bytes"),),
        "`text` is what the function was given",
        "by the helper for processes",
    ),
    Wrong(
        "uprobe",
        "16 bits of the result",
        (("event.result = ctx.ret();", "event.result = ctx.ret::<u16>().into();"),),
        "`result` is what it returned",
        "Only some bits of the result are there",
    ),
    Wrong(
        "uprobe",
        "tid for tgid",
        (("pid: (ids >> 32) as u32", "pid: ids as u32"),),
        "`pid` is the id of the process",
        "These are ids of threads",
    ),
    Wrong(
        "raw_tracepoint",
        "where calls end",
        (('tracepoint = "sys_enter"', 'tracepoint = "sys_exit"'),),
        "The keys are processes with the numbers",
        "is it argument 1 (TODO 2) of sys_enter (TODO 1)?",
    ),
    Wrong(
        "raw_tracepoint",
        "the wrong argument",
        (("ctx.arg(1)", "ctx.arg(0)"),),
        "The keys are processes with the numbers",
        "is it argument 1 (TODO 2) of sys_enter (TODO 1)?",
    ),
    Wrong(
        "raw_tracepoint",
        "tid for tgid",
        (("(bpf_get_current_pid_tgid() >> 32) as u32", "bpf_get_current_pid_tgid() as u32"),),
        "The keys are processes with the numbers",
        "Among the keys are ids of threads",
    ),
    Wrong(
        "raw_tracepoint",
        "the first call not counted",
        (
            (
                "        let _ = COUNTS.insert(&call, &0, 1);\n        COUNTS.get_ptr_mut(&call)\n    })?;",
                "        let _ = COUNTS.insert(&call, &0, 1);\n        None\n    })?;",
            ),
        ),
        "The value is how often",
        "Each count is one too small",
    ),
    Wrong(
        "tc",
        "the type of the frame not looked at",
        (("if ether_type != IPV4 {", "if ether_type == 1 {"),),
        "Each packet is counted once",
        "IPv6 and ARP are counted by a byte that is no protocol there",
    ),
    Wrong(
        "tc",
        "one for each packet",
        (("u64::from(ctx.len())", "1"),),
        "Its bytes are counted with it",
        "It is one for each packet: add ctx.len()",
    ),
    Wrong(
        "tc",
        "packets are dropped",
        (("    TC_ACT_OK\n", "    2\n"),),
        "Every packet goes its way",
        "The program drops packets",
    ),
    Wrong(
        "tc",
        "little endian",
        (("u16::from_be(", "u16::from_le("),),
        "Each packet is counted once",
        "All packets are counted as other",
    ),
    Wrong(
        "cgroup_skb",
        "the bytes of the port in the wrong order",
        (("u16::from_be(ctx.load::<u16>(TO_PORT).ok()?)", "ctx.load::<u16>(TO_PORT).ok()?"),),
        "Packets to the port BLOCKED are refused",
        "u16::from_be turns them",
    ),
    Wrong(
        "cgroup_skb",
        "where it is from",
        (("20 + 2", "20"),),
        "Packets to the port BLOCKED are refused",
        "is it the second of both ports",
    ),
    Wrong(
        "cgroup_skb",
        "as with XDP, behind a link header",
        (("20 + 2", "14 + 20 + 2"),),
        "Packets to the port BLOCKED are refused",
        "No packet is refused",
    ),
    Wrong(
        "cgroup_skb",
        "counted as sent before it is refused",
        (
            ("if port == blocked {", "add(&SENT, port)?;\n    if port == blocked {"),
            ("    add(&SENT, port)?;\n    Some(ALLOW)", "    Some(ALLOW)"),
        ),
        "SENT has how many",
        "What is forbidden is counted as sent too",
    ),
    Wrong(
        "percpu_hash_map",
        "one count for all CPUs",
        (("PerCpuHashMap", "HashMap"),),
        "Each CPU has a count of its own",
        "COUNTS is no PerCpuHashMap (TODO 1)",
    ),
    Wrong(
        "percpu_hash_map",
        "the insert overwrites",
        (
            ("COUNTS.get_ptr_mut(&pid).or_else(|| {", "Some(()).and_then(|()| {"),
            ("COUNTS.insert(&pid, &0, 1)", "COUNTS.insert(&pid, &0, 0)"),
        ),
        "All together is the number",
        "the insert overwrites what is there",
    ),
    Wrong(
        "percpu_hash_map",
        "the first call twice",
        (("COUNTS.insert(&pid, &0, 1)", "COUNTS.insert(&pid, &1, 1)"),),
        "All together is the number",
        "the call that makes the entry is counted by the insert and after it",
    ),
    Wrong(
        "percpu_hash_map",
        "tid for tgid",
        (("(bpf_get_current_pid_tgid() >> 32) as u32", "bpf_get_current_pid_tgid() as u32"),),
        "The keys are the ids of processes",
        "Among these are ids of threads",
    ),
    Wrong(
        "lpm_trie",
        "not all bits",
        (("Key::new(32, source)", "Key::new(24, source)"),),
        "Each packet is counted for the rule",
        "The longest rules are never found: the key has to have all 32 bits",
    ),
    Wrong(
        "lpm_trie",
        "where it goes to",
        (("14 + 12", "14 + 16"),),
        "Each packet is counted for the rule",
        "No rule is ever found. Is the source looked up",
    ),
    Wrong(
        "lpm_trie",
        "the bytes turned around",
        (("let source = unsafe { *source };", "let source = u32::from_be_bytes(unsafe { *source }).to_le_bytes();"),),
        "Each packet is counted for the rule",
        "its bytes as they are on the wire?",
    ),
    Wrong(
        "lpm_trie",
        "no bounds check",
        (("if start + offset + size_of::<T>() > end {", "if start + offset > end {"),),
        "The kernel takes the program",
        "packet",
    ),
    Wrong(
        "program_array",
        "no options",
        (("usize::from(header[0] & 0x0f) * 4", "20"),),
        "PORTS is how many packets",
        "Options are taken for ports",
    ),
    Wrong(
        "program_array",
        "words for bytes",
        (("usize::from(header[0] & 0x0f) * 4", "usize::from(header[0] & 0x0f)"),),
        "PORTS is how many packets",
        "in words of four bytes",
    ),
    Wrong(
        "program_array",
        "the offset from the header of IP",
        (("IP + usize::from(", "usize::from("),),
        "PORTS is how many packets",
        "OFFSET is counted from the beginning of the frame",
    ),
    Wrong(
        "program_array",
        "nothing is handed on",
        (("    unsafe { *OFFSET.get_ptr_mut(0)? = offset as u32 };\n", "    let _ = offset;\n"),),
        "PORTS is how many packets",
        "It is always port 0",
    ),
    Wrong(
        "program_array",
        "little endian",
        (("u16::from_be_bytes", "u16::from_le_bytes"),),
        "PORTS is how many packets",
        "The bytes of the ports are in the wrong order",
    ),
    Wrong(
        "program_array",
        "where it is from",
        (("offset + TO_PORT", "offset"),),
        "PORTS is how many packets",
        "These are the ports that packets come from",
    ),
    Wrong(
        "program_array",
        "what is missed is not counted",
        (("        add(&MISSED);\n", ""),),
        "MISSED is how many packets",
        "behind the call come those packets that there was no program for",
    ),
    Wrong(
        "program_array",
        "each packet is missed",
        (
            ("        add(&MISSED);\n", ""),
            ("        unsafe { PROGRAMS.tail_call", "        add(&MISSED);\n        unsafe { PROGRAMS.tail_call"),
        ),
        "MISSED is how many packets",
        "count behind the call, not before it",
    ),
    Wrong(
        "program_array",
        "another slot",
        (("protocol.into()", "u32::from(protocol) - 1"),),
        "MISSED is how many packets",
        "the index is the protocol of the packet",
    ),
    Wrong(
        "program_array",
        "what is refused passes",
        (("    XDP_DROP\n", "    XDP_PASS\n"),),
        "What `refuse` gets is dropped",
        "it has to return XDP_DROP",
    ),
    Wrong(
        "program_array",
        "what is counted is dropped",
        (
            (
                "        let _ = add_port(port);\n    }\n    XDP_PASS",
                "        let _ = add_port(port);\n    }\n    XDP_DROP",
            ),
        ),
        "What `refuse` gets is dropped",
        "What `ports` counts is dropped",
    ),
    Wrong(
        "co_re",
        "the offset that it has on this kernel",
        (("read(bprm, linux_binprm_filename())", f"read(bprm, {FILENAME})"),),
        "The program asks the kernel",
        "An offset is a number in the program",
    ),
    Wrong(
        "co_re",
        "the thread of the parent",
        (("read(parent, task_struct_tgid())", "read(parent, task_struct_pid())"),),
        "`parent` is the id",
        "These are ids of threads",
    ),
    Wrong(
        "co_re",
        "the process itself",
        (("read(parent, task_struct_tgid())", "read(task, task_struct_tgid())"),),
        "`parent` is the id",
        "These are the processes themselves",
    ),
    Wrong(
        "co_re",
        "the address of the parent's struct",
        (("event.parent = read(parent, task_struct_tgid())?;", "event.parent = parent as u32;"),),
        "`parent` is the id",
        "These are no ids of the workload",
    ),
    Wrong(
        "co_re",
        "the address of the name for the name",
        (
            (
                "*const u8 = read(bprm, linux_binprm_filename())?",
                "*const u8 = bprm.wrapping_add(linux_binprm_filename() as usize)",
            ),
        ),
        "`filename` is the name",
        "In the struct is the address of the name",
    ),
    Wrong(
        "loss_accounting",
        "what is lost is not counted",
        (("        add(DROPPED)?;\n", ""),),
        "DROPPED is how many were lost",
        "Events were lost, and nobody counted them",
    ),
    Wrong(
        "loss_accounting",
        "submitted counted too early",
        (
            ("    add(SUBMITTED)?;\n", ""),
            ("let number = add(SEEN)?;", "let number = add(SEEN)?;\n    add(SUBMITTED)?;"),
        ),
        "SUBMITTED is how many events",
        "Lost events are counted as submitted",
    ),
    Wrong(
        "loss_accounting",
        "only what is handed over is seen",
        (
            ("let number = add(SEEN)?;", "let mut number = 0;"),
            ("    room.write(", "    number += add(SEEN)?;\n    room.write("),
        ),
        "SEEN is how many files",
        "Only what was handed over is counted",
    ),
    Wrong(
        "loss_accounting",
        "room that is not given back",
        (("    room.submit(0);\n", "    core::mem::forget(room);\n"),),
        "The kernel takes the program",
        "leak",
    ),
    Wrong(
        "verifier",
        "compared with where the port begins",
        (("if ctx.data() + TO_PORT + 2 >", "if ctx.data() + TO_PORT >"),),
        "ports is taken",
        "TODO 1: protocol() asked for 34 bytes",
    ),
    Wrong(
        "verifier",
        "more bytes asked for than there are",
        (("if ctx.data() + TO_PORT + 2 >", "if ctx.data() + TO_PORT + 20 >"),),
        "ports is taken",
        "Nothing is counted: are more bytes asked for",
    ),
    Wrong(
        "verifier",
        "unwrap",
        (
            (
                "let Some(count) = ASKED.get_ptr_mut(&protocol) else { return XDP_PASS };",
                "let count = ASKED.get_ptr_mut(&protocol).unwrap();",
            ),
        ),
        "asked is taken",
        "TODO 2: unwrap panics where there is nothing",
    ),
    Wrong(
        "verifier",
        "an entry made for every protocol",
        (
            (
                "    let Some(count) = ASKED",
                "    let _ = ASKED.insert(&protocol, &0, BPF_NOEXIST);\n    let Some(count) = ASKED",
            ),
        ),
        "asked is taken",
        "There are counts that nobody asked for",
    ),
    Wrong(
        "verifier",
        "all that is refused left out",
        (
            (
                "        unsafe { generated::bpf_xdp_adjust_tail(ctx.ctx, CUT as i32 - length as i32) };\n",
                "        let _ = generated::bpf_xdp_adjust_tail;\n",
            ),
        ),
        "cut is taken",
        "No frame is cut",
    ),
    Wrong(
        "verifier",
        "so many bytes cut off",
        (("CUT as i32 - length as i32", "-(CUT as i32)"),),
        "cut is taken",
        "Frames are cut in other places",
    ),
    Wrong(
        "verifier",
        "too many rounds",
        (("for _ in 0..2 {", "for _ in 0..100_000 {"),),
        "lengths is taken",
        "TODO 4: where the map is full",
    ),
    Wrong(
        "verifier",
        "one round",
        (("for _ in 0..2 {", "for _ in 0..1 {"),),
        "lengths is taken",
        "The frame that makes an entry is not counted there",
    ),
    Wrong(
        "verifier",
        "no room, and not counted",
        (("if let Some(count) = NO_ROOM.get_ptr_mut(0) {", "if let Some(count) = NO_ROOM.get_ptr_mut(1) {"),),
        "lengths is taken",
        "Frames that have no room are not counted",
    ),
    Wrong(
        "verifier",
        "zeros where nothing was written",
        (("flags: BPF_NOEXIST }", "flags: 0 }"),),
        "first is taken",
        "These are the last packets",
    ),
    Wrong(
        "verifier",
        "only entries that are there",
        (("flags: BPF_NOEXIST }", "flags: 2 }"),),
        "first is taken",
        "these flags make no entries",
    ),
    Wrong(
        "verifier",
        "the copy left out",
        (("    FRAMES.set(to, frame, 0).is_ok()\n", "    to == frame.length as u32\n"),),
        "frames is taken",
        "Nothing is moved on",
    ),
    Wrong(
        "verifier",
        "half of a frame",
        (("bytes: [[u8; 8]; 31],", "bytes: [[u8; 8]; 15],"), ("bytes: [[0; 8]; 31] }", "bytes: [[0; 8]; 15] }")),
        "frames is taken",
        "Not even the last frame is there whole",
    ),
    Wrong(
        "verifier",
        "moved on in the wrong order",
        (("    move_on(1, 2);\n    move_on(0, 1);\n", "    move_on(0, 1);\n    move_on(1, 2);\n"),),
        "frames is taken",
        "The entries are moved on to other places",
    ),
)
