//! The kinds of refusals: how kernels word them, what they mean, and what mends them in a program by aya.

/// A kind of refusal.
#[derive(Debug)]
pub struct Kind {
    /// Its stable name.
    pub id: &'static str,
    /// What it is in a few words.
    pub title: &'static str,
    /// Whether it lies in the program, or in the kernel and the privileges that it is loaded with.
    pub cause: Cause,
    /// How kernels word it, `*` for whatever differs.
    pub messages: &'static [&'static str],
    /// What it means.
    pub meaning: &'static str,
    /// What mends it.
    pub fix: &'static str,
    /// What it looks like, and mended; for those that have no program in the zoo.
    pub example: Option<(&'static str, &'static str)>,
}

/// Where the cause of a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel, its settings, or what the process may do.
    Environment,
    /// The program.
    Program,
    /// Nobody knows.
    Unknown,
}

impl Cause {
    /// As records have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Program => "program",
            Self::Unknown => "unknown",
        }
    }
}

impl Kind {
    /// Which of the kinds a line of a log is of.
    pub(super) fn position(line: &str) -> Option<usize> {
        KINDS.iter().position(|kind| kind.messages.iter().any(|message| matches(message, line)))
    }
}

/// Whether a text is a pattern, where `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// For a log that has none of the messages.
pub static UNKNOWN: Kind = Kind {
    id: "unknown",
    title: "a reason that is not known here",
    cause: Cause::Unknown,
    messages: &[],
    meaning: "The log has none of the messages that this version of ebpflab knows. It is told whole.",
    fix: "Read the end of the log: the last instruction is the one that was refused, the line after it says why.",
    example: None,
};

/// All kinds, those whose cause is outside of the program first, and of two whose messages are alike the narrower one.
pub static KINDS: &[Kind] = &[
    Kind {
        id: "missing-capability",
        title: "a capability is missing",
        cause: Cause::Environment,
        messages: &[
            "*allowed for CAP_BPF and CAP_SYS_ADMIN*",
            "*needs CAP_*",
            "*CAP_* missing*",
            "* prohibited for !root",
            "*allowed for root only*",
            "R* leaks addr *",
            "R* pointer comparison prohibited",
            "attempt to corrupt spilled pointer on stack",
        ],
        meaning: "The kernel takes from this process less than from a privileged one, or nothing at all. The program may \
                  be right.",
        fix: "Load it as root (sudo), or as a service with CAP_BPF, CAP_PERFMON and for packets CAP_NET_ADMIN as ambient \
              capabilities. `ebpflab doctor` says which of them are there.",
        example: None,
    },
    Kind {
        id: "lockdown",
        title: "the kernel is locked down",
        cause: Cause::Environment,
        messages: &["*Lockdown: *", "*kernel_lockdown*", "*locked down*"],
        meaning: "The kernel was started so that not even root may read its memory by BPF (Secure Boot mostly means this).",
        fix: "Programs that read the kernel's memory need a kernel whose /sys/kernel/security/lockdown is [none], or \
              [integrity] at most. `ebpflab doctor` says what it is here.",
        example: None,
    },
    Kind {
        id: "memlock",
        title: "too little memory may be locked",
        cause: Cause::Environment,
        messages: &["*RLIMIT_MEMLOCK*"],
        meaning: "Kernels before 5.11 count maps and programs as locked memory, and the limit is often 64 KiB.",
        fix: "ulimit -l unlimited, LimitMEMLOCK=infinity for a service, or CAP_SYS_RESOURCE, with which aya raises it by \
              itself.",
        example: None,
    },
    Kind {
        id: "missing-kernel-field",
        title: "this kernel has no such field",
        cause: Cause::Environment,
        messages: &["invalid func unknown#195896080", "*<invalid CO-RE relocation>*"],
        meaning: "The program asks for a field, type or enum value that the running kernel does not have (CO-RE), and the \
                  loader put an instruction in its place that no kernel takes.",
        fix: "Ask whether the field exists before it is read, so that the verifier finds that branch dead; ebpflab's own \
              programs get an Option for each field.",
        example: Some((
            "let state = read(task.add(off_task_struct_state()))?;",
            "let offset = kernel::task_struct_state().or(kernel::task_struct___state())?;\n\
             let state = read(task.add(offset))?;",
        )),
    },
    Kind {
        id: "missing-helper",
        title: "this kernel has no such helper",
        cause: Cause::Environment,
        messages: &["invalid func unknown#*", "invalid func bpf_*"],
        meaning: "The program calls a helper by a number that the running kernel does not know: the helper came later.",
        fix: "Use an older helper that does the same, or put the call into a program of its own and load that only where \
              `ebpflab doctor` lists the helper; a branch that is not taken does not save it.",
        example: None,
    },
    Kind {
        id: "unknown-instruction",
        title: "this kernel does not know an instruction",
        cause: Cause::Environment,
        messages: &[
            "unknown opcode *",
            "unknown insn class *",
            "BPF_* uses reserved fields",
            "BPF_* uses invalid * opcode*",
            "BPF_STX uses reserved fields",
            "invalid atomic operand size",
        ],
        meaning: "Compilers for a newer instruction set emit instructions that older kernels do not have (atomics that \
                  fetch came with 5.12). Or the object is damaged: so it is where bpf-linker was not told to emit BTF.",
        fix: "Build with -C target-cpu=v2 or v3 for old kernels, take atomic adds that return nothing, and give \
              bpf-linker --btf and debug information (aya-build does).",
        example: Some((
            "let before = intrinsics::atomic_xadd(counter, 1);",
            "// The IR of crates/ebpf/build.rs: adds, and returns nothing.\natomic_add(counter, 1);",
        )),
    },
    Kind {
        id: "no-kernel-types",
        title: "this kernel does not describe its types",
        cause: Cause::Environment,
        messages: &[
            "*CONFIG_DEBUG_INFO_BTF*",
            "*in-kernel BTF is malformed*",
            "*find valid kernel BTF*",
            "*/sys/kernel/btf/vmlinux*",
        ],
        meaning: "fentry, fexit, LSM and tp_btf programs and CO-RE need the kernel's own type information.",
        fix: "A kernel built with CONFIG_DEBUG_INFO_BTF=y; without it kprobes, tracepoints and raw tracepoints still work.",
        example: None,
    },
    Kind {
        id: "attach-target",
        title: "this kernel has no such function to attach to",
        cause: Cause::Environment,
        messages: &[
            "attach_btf_id * is not a function",
            "attach_btf_id * doesn't have a name",
            "FENTRY/FEXIT program can only be attached to *",
            "func '*' doesn't have *argument",
            "The address of function * cannot be found",
            "* is not modifiable",
        ],
        meaning: "What the program is to be attached to is not in the running kernel, or has other arguments there.",
        fix: "Look at its prototype in this kernel's types (bpftool btf dump file /sys/kernel/btf/vmlinux format c), and \
              have another hook for kernels that lack it, as `ebpflab open` has.",
        example: None,
    },
    Kind {
        id: "needs-jit",
        title: "the kernel's compiler for BPF is off",
        cause: Cause::Environment,
        messages: &["*in non-JITed programs*", "JIT does not support *", "*without JIT*", "*requires JIT*"],
        meaning: "Some things the kernel does only with programs that it compiles to machine code.",
        fix: "sysctl net.core.bpf_jit_enable=1, on a machine whose JIT has the feature.",
        example: None,
    },
    Kind {
        id: "gpl-only",
        title: "a helper for GPL-compatible programs only",
        cause: Cause::Program,
        messages: &["cannot call GPL-restricted function from non-GPL compatible program"],
        meaning: "Most helpers that read the kernel's memory are for programs whose licence is compatible with the GPL.",
        fix: "Put the licence into the object, in its section `license`.",
        example: Some((
            "// no licence",
            "#[unsafe(link_section = \"license\")]\n#[unsafe(no_mangle)]\n\
             static LICENSE: [u8; 13] = *b\"Dual MIT/GPL\\0\";",
        )),
    },
    Kind {
        id: "may-sleep",
        title: "it may sleep where nothing may",
        cause: Cause::Program,
        messages: &[
            "helper call might sleep *",
            "* is sleepable within *",
            "program must be sleepable to call *",
            "global functions that may sleep are not allowed *",
        ],
        meaning: "A helper that may wait for memory (bpf_copy_from_user) is called where the kernel cannot wait.",
        fix: "Make the program sleepable (#[uprobe(sleepable)], #[fentry(sleepable)], #[lsm(sleepable)]), or use \
              bpf_probe_read_user, which fails instead of waiting.",
        example: Some((
            "#[uprobe]\nfn opened(ctx: ProbeContext) -> u32 { /* bpf_copy_from_user */ }",
            "#[uprobe(sleepable)]\nfn opened(ctx: ProbeContext) -> u32 { /* bpf_copy_from_user */ }",
        )),
    },
    Kind {
        id: "helper-not-allowed",
        title: "a helper that this type of program may not call",
        cause: Cause::Program,
        messages: &[
            "unknown func *",
            "program of this type cannot use helper *",
            "helper call is not allowed in probe",
            "calling kernel function * is not allowed",
        ],
        meaning: "Each type of program may call some helpers and no others: a packet has no current process, a tracepoint \
                  cannot redirect. The kernel knows the helper, but not for this type.",
        fix: "Ask where the answer exists: on a hook of another type, and hand it over in a map.",
        example: None,
    },
    Kind {
        id: "unbounded-loop",
        title: "a loop whose end cannot be proved",
        cause: Cause::Program,
        messages: &["infinite loop detected at insn *", "back-edge from insn * to insn *", "loop is not bounded*"],
        meaning: "The verifier came to the same instruction twice in the same state, so the loop may run for ever.",
        fix: "Give it a constant number of rounds: `for _ in 0..16 { if done { break } … }`.",
        example: None,
    },
    Kind {
        id: "too-complex",
        title: "too much to go through",
        cause: Cause::Program,
        messages: &[
            "BPF program is too large. Processed *",
            "The sequence of * jumps is too complex*",
            "too many states*",
        ],
        meaning: "The verifier goes through every way that a program may take, at most 1,000,000 instructions and 8,192 \
                  open branches: rounds of a loop times the branches in each are soon more.",
        fix: "Fewer rounds, or fewer branches in each; keep a loop's state in a map value instead of registers, so that \
              rounds look alike; split the work by tail calls; bpf_loop from 5.17 on.",
        example: Some((
            "for _ in 0..10_000 {\n    if *word != 0 { return XDP_DROP; }\n}",
            "for _ in 0..100 {\n    if *word != 0 { return XDP_DROP; }\n}",
        )),
    },
    Kind {
        id: "uninitialised-register",
        title: "a register that nothing was written to",
        cause: Cause::Program,
        messages: &["R* !read_ok"],
        meaning: "On this way nothing was ever put into the register. A call takes R1 to R5 away, and a function that \
                  returns nothing leaves no R0.",
        fix: "In Rust this comes of MaybeUninit::assume_init, of a subprogram that returns a struct (make it \
              #[inline(always)]), or of assembly: give the value on every way.",
        example: Some((
            "fn split(word: u64) -> (u32, u32) { … } // a subprogram",
            "#[inline(always)]\nfn split(word: u64) -> (u32, u32) { … }",
        )),
    },
    Kind {
        id: "stack-bounds",
        title: "an access outside of the stack",
        cause: Cause::Program,
        messages: &[
            "invalid*stack R* off=* size=*",
            "invalid stack off=* size=*",
            "invalid stack type R* off=* access_size=*",
            "invalid*variable-offset *stack*",
            "R* variable stack access prohibited*",
            "R* unbounded indirect variable offset stack access*",
        ],
        meaning: "A frame has 512 bytes below R10, and the access would be outside of it, or may be: its offset is not \
                  known.",
        fix: "Move large or indexed buffers to a PerCpuArray, and compare an index right before it is used.",
        example: Some((
            "let mut buffer = [0u8; 64];\nbuffer.as_mut_ptr().add(index).write(1);",
            "if let Some(byte) = buffer.get_mut(index & 63) {\n    *byte = 1;\n}",
        )),
    },
    Kind {
        id: "uninitialised-stack",
        title: "stack that nothing was written to",
        cause: Cause::Program,
        messages: &["invalid*read from stack*"],
        meaning: "A helper may read bytes of the stack that the program has not written: padding between the fields of a \
                  struct, or a buffer that is filled up to a length that varies. Newer kernels take that from the \
                  privileged; the bytes are then whatever was there.",
        fix: "Write all of it first: `let mut buffer = [0u8; 8]`, and for padding a field of its own (`_pad: [0; 7]`).",
        example: None,
    },
    Kind {
        id: "stack-limit",
        title: "more stack than there is",
        cause: Cause::Program,
        messages: &[
            "*stack size of * is *. Too large*",
            "*previous frames is * bytes. Too large*",
            "the call stack of * frames is too deep*",
        ],
        meaning: "All frames of a chain of calls together may have 512 bytes, and there may be eight of them.",
        fix: "Put large values where they do not count: into a PerCpuArray used as scratch, or straight into the ring \
              buffer (RingBuf::reserve).",
        example: None,
    },
    Kind {
        id: "packet-bounds",
        title: "a packet that may be shorter",
        cause: Cause::Program,
        messages: &["invalid access to packet*", "R* offset is outside of the packet"],
        meaning: "Nothing before this access proves that the packet has so many bytes. The comparison has to be with \
                  `data_end`, and of the same pointer that is read through.",
        fix: "Compare first: `if ctx.data() + offset + size_of::<T>() > ctx.data_end() { return … }`, and again after \
              whatever changes the packet (bpf_xdp_adjust_head, bpf_skb_pull_data).",
        example: None,
    },
    Kind {
        id: "unbounded-size",
        title: "a size that may be anything",
        cause: Cause::Program,
        messages: &[
            "R* unbounded memory access, use 'var &= const'*",
            "R* min value is negative, either use unsigned or 'var &= const'",
            "R* invalid zero-sized read*",
        ],
        meaning: "A helper is to copy as many bytes as a number says that nothing bounds.",
        fix: "Bound it in the type that is passed on: `let len = len as u32 & 255`, or `if len > MAX { return … }` right \
              before the call; the compiler drops comparisons that it thinks it knows.",
        example: None,
    },
    Kind {
        id: "memory-bounds",
        title: "an access outside of a value",
        cause: Cause::Program,
        messages: &[
            "invalid access to map value*",
            "invalid access to memory*",
            "invalid access to key*",
            "invalid * buffer access*",
            "R* unbounded memory access, make sure to bounds check*",
            "R* max value is outside of the *",
            "R* min value is outside of the *",
            "R* min value is negative, either use unsigned index*",
        ],
        meaning: "The value that the pointer leads to (of a map, a ring buffer) has fewer bytes than the offset may be.",
        fix: "Index by `get(index)`, or mask with a power of two right before: `table.get(index & 15)`.",
        example: None,
    },
    Kind {
        id: "missing-null-check",
        title: "a pointer that may be null",
        cause: Cause::Program,
        messages: &[
            "R* invalid mem access '*_or_null*'",
            "R* pointer arithmetic on *_or_null prohibited*",
            "R* type=*_or_null expected=*",
            "R* is ptr_or_null_*",
            "Possibly NULL pointer passed *",
        ],
        meaning: "A lookup in a map, or a reserve in a ring buffer, may find nothing, and nobody has looked.",
        fix: "`let Some(value) = MAP.get(&key) else { return … };`, also for an array whose index is surely there: the \
              verifier does not know that.",
        example: None,
    },
    Kind {
        id: "not-a-pointer",
        title: "a number that is read through like a pointer",
        cause: Cause::Program,
        messages: &[
            "R* invalid mem access 'inv'",
            "R* invalid mem access 'scalar'",
            "R* invalid mem access 'imm'",
            "R* invalid mem access 'unknown*'",
            "R* invalid mem access 'untrusted_ptr*'",
        ],
        meaning: "Pointers of the kernel and of processes, out of registers and structs, are plain numbers to the verifier. \
                  So is a pointer of the program itself after arithmetic that it does not follow.",
        fix: "Read through a helper: `bpf_probe_read_kernel(pointer)`, or bpf_probe_read_user for memory of a process. In \
              fentry, LSM and tp_btf programs arguments of kernel types can be read directly.",
        example: None,
    },
    Kind {
        id: "context-access",
        title: "an access to the context that is none",
        cause: Cause::Program,
        messages: &[
            "invalid bpf_context access *",
            "dereference of modified ctx ptr *",
            "negative offset ctx ptr *",
            "variable ctx access *",
        ],
        meaning: "What a program gets (R1) has a few fields for each type of program, at fixed offsets, and each may be \
                  read in its own size only.",
        fix: "Use the methods of aya's context, or name a field: `(*ctx.ctx).rx_queue_index`. A tracepoint's offsets are \
              those of its format file on the running kernel.",
        example: None,
    },
    Kind {
        id: "reference-leak",
        title: "something taken and never given back",
        cause: Cause::Program,
        messages: &["Unreleased reference id=*", "*would lead to reference leak"],
        meaning: "A way out of the program keeps what it took: an entry of a ring buffer, a socket.",
        fix: "On every way `entry.submit(0)` or `entry.discard(0)`; that includes each `return` and `?` in between.",
        example: None,
    },
    Kind {
        id: "return-value",
        title: "a return value that the hook does not know",
        cause: Cause::Program,
        messages: &["At * R0 has * should have been in *", "At * the register R0 is not a known value*"],
        meaning: "The verifier knows what each hook understands, and what the program may return is something else.",
        fix: "Return one of the hook's constants (cgroup_skb: 0 or 1; LSM: 0 or a negative errno; fentry and tp_btf: 0).",
        example: None,
    },
    Kind {
        id: "no-exit",
        title: "a way that runs past the end",
        cause: Cause::Program,
        messages: &["last insn is not an exit or jmp", "no exit*"],
        meaning: "A function ends without a return. In Rust that is a panic: its handler never returns, so what follows \
                  the call is left out. Indexing, unwrap, division and overflow checks can panic.",
        fix: "`get` instead of `[…]`, `let … else` instead of `unwrap`, wrapping or checked arithmetic, and a release \
              build.",
        example: None,
    },
    Kind {
        id: "unreachable-code",
        title: "an instruction that nothing leads to",
        cause: Cause::Program,
        messages: &["unreachable insn *", "jump out of range from insn *", "jump into the middle of ldimm64 insn *"],
        meaning: "Jumps of the program lead nowhere, or past some of it; compilers leave such code behind a call that never \
                  returns.",
        fix: "Look for a panic, as for no-exit, and for `loop {}` and unreachable_unchecked().",
        example: Some((
            "match kind { 0 => a(), 1 => b(), _ => unsafe { unreachable_unchecked() } }",
            "match kind { 0 => a(), 1 => b(), _ => return 0 }",
        )),
    },
    Kind {
        id: "pointer-arithmetic",
        title: "arithmetic that makes a pointer useless",
        cause: Cause::Program,
        messages: &[
            "math between *",
            "R* pointer arithmetic *prohibited*",
            "R* bitwise operator * on pointer*",
            "R* 32-bit pointer arithmetic prohibited",
            "R* tried to * from different maps, paths or scalars",
            "R* tried to *pointer*",
            "R* pointer -= pointer prohibited",
            "R* subtraction from stack pointer prohibited",
            "R* has pointer with unsupported alu operation*",
            "R* has unknown scalar with mixed signed bounds*",
            "value * makes * pointer be out of bounds",
        ],
        meaning: "A number may be added to a pointer only where its bounds are known, and few other operations leave a \
                  pointer a pointer.",
        fix: "Bound the number right before it is added: `data + (offset & 0xff) as usize`; keep it unsigned, and compare \
              the sum with the end afterwards.",
        example: None,
    },
    Kind {
        id: "map-kind",
        title: "a map that the helper does not take",
        cause: Cause::Program,
        messages: &["cannot pass map_type * into func *", "* is not supported by *map*"],
        meaning: "Each helper works with some kinds of maps: bpf_ringbuf_output with ring buffers, bpf_tail_call with \
                  program arrays.",
        fix: "Declare the map with the type of aya that has the method that is called.",
        example: Some((
            "bpf_ringbuf_output((&raw const COUNTS).cast_mut().cast(), …)",
            "static EVENTS: RingBuf<Event, 4096> = RingBuf::new();\nEVENTS.output(&event, 0)",
        )),
    },
    Kind {
        id: "argument-type",
        title: "an argument that the helper does not take",
        cause: Cause::Program,
        messages: &[
            "R* type=* expected=*",
            "R* must point to *",
            "R* is of type * but * is expected",
            "arg#* expected *",
            "R* must be a *",
        ],
        meaning: "A helper wants a pointer of a certain kind, often to memory of the program itself, and gets another kind \
                  or a number.",
        fix: "Copy it first: `let value = bpf_probe_read_kernel(pointer)?;`, then pass a reference to the copy.",
        example: None,
    },
    Kind {
        id: "read-only",
        title: "a write to what may only be read",
        cause: Cause::Program,
        messages: &[
            "cannot write into *",
            "write into map forbidden*",
            "R* cannot write into *",
            "only read is supported",
            "read into map forbidden*",
        ],
        meaning: "Frozen globals, read-only maps, packets of some hooks and structs of the kernel may only be read.",
        fix: "Write to a map of the program, or through the helper that is for it (bpf_skb_store_bytes).",
        example: Some((
            "#[unsafe(no_mangle)]\nstatic COUNT: Global<u64> = …; // frozen",
            "static COUNT: Array<u64, 1> = Array::new();",
        )),
    },
    Kind {
        id: "misaligned",
        title: "an access that is not aligned",
        cause: Cause::Program,
        messages: &["misaligned * access *", "misaligned access *"],
        meaning: "The stack must be accessed at multiples of the size, and so must other memory on some machines.",
        fix: "read_unaligned for packets, and #[repr(C)] instead of #[repr(packed)] on the stack.",
        example: Some((
            "#[repr(C, packed)]\nstruct Key { kind: u8, address: u32 }",
            "#[repr(C)]\nstruct Key { address: u32, kind: u8, _pad: [u8; 3] }",
        )),
    },
    Kind {
        id: "tail-call",
        title: "a tail call where there may be none",
        cause: Cause::Program,
        messages: &["*tail_call*", "*tail call*"],
        meaning: "Tail calls are for programs, or for functions of programs only from 5.10 on x86-64 and 6.0 on arm64, and \
                  never while something is held.",
        fix: "Call it from the program's own function (#[inline(always)] on what calls it), after all was given back.",
        example: Some((
            "#[inline(never)]\nfn next(ctx: &XdpContext) { JUMPS.tail_call(ctx, 1); }",
            "#[inline(always)]\nfn next(ctx: &XdpContext) { JUMPS.tail_call(ctx, 1); }",
        )),
    },
    Kind {
        id: "subprogram-arguments",
        title: "a function that cannot take or return that",
        cause: Cause::Program,
        messages: &[
            "caller passes invalid args into func#*",
            "Caller passes invalid args *",
            "cannot return stack pointer *",
        ],
        meaning: "Functions of a program take at most five arguments in registers and return one number.",
        fix: "#[inline(always)], or hand structs over in a map value.",
        example: Some((
            "#[inline(never)]\nfn parse(packet: &Packet) -> Option<Headers> { … }",
            "#[inline(always)]\nfn parse(packet: &Packet) -> Option<Headers> { … }",
        )),
    },
    Kind {
        id: "lock",
        title: "a lock that is not held or not given back",
        cause: Cause::Program,
        messages: &[
            "*bpf_spin_lock*",
            "*bpf_spin_unlock*",
            "*bpf_rcu_read_*lock*",
            "*bpf_preempt_*able*",
            "function calls are not allowed while holding a lock",
        ],
        meaning: "Between lock and unlock nothing may be called, and every way out has to unlock.",
        fix: "Keep what is between them to loads and stores; for a counter an atomic add needs no lock.",
        example: Some((
            "bpf_spin_lock(lock);\ncount(now());\nbpf_spin_unlock(lock);",
            "let time = now();\nbpf_spin_lock(lock);\n(*value).time = time;\nbpf_spin_unlock(lock);",
        )),
    },
    Kind {
        id: "kernel-struct",
        title: "an access outside of a struct of the kernel",
        cause: Cause::Program,
        messages: &[
            "access beyond struct *",
            "access beyond the end of member *",
            "cannot access ptr member *",
            "* is not a member of *",
        ],
        meaning: "The pointer is one to a struct that the kernel describes, and at that offset it has no such field.",
        fix: "Take the offset from the running kernel (CO-RE), never from bindings of another one.",
        example: Some((
            "let pid = *task.cast::<u8>().add(2248).cast::<u32>();",
            "let offset = kernel::task_struct_tgid()?;\nlet pid = *task.cast::<u8>().add(offset).cast::<u32>();",
        )),
    },
    Kind {
        id: "not-permitted",
        title: "the kernel did not permit it, and says no more",
        cause: Cause::Environment,
        messages: &["*Operation not permitted*", "*(EPERM)*"],
        meaning: "EPERM without a word of the verifier: a capability that is missing, lockdown, a seccomp filter (that of a \
                  container), or a limit on locked memory before 5.11.",
        fix: "`ebpflab doctor` tries what this process may do here, and says what mends it.",
        example: None,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("R* !read_ok", "R0 !read_ok", true),
            ("R* !read_ok", "R0 !read_ok ", false),
            ("R* type=*_or_null expected=*", "R1 type=map_value_or_null expected=fp, pkt", true),
            ("*a*", "bab", true),
            ("a*ba", "aba", true),
            ("a*ba", "aa", false),
            ("ab*b", "ab", false),
            ("loop", "loop", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn each_has_a_name_of_its_own_and_something_to_say() {
        let ids: BTreeSet<_> = KINDS.iter().chain([&UNKNOWN]).map(|kind| kind.id).collect();
        assert_eq!(ids.len(), KINDS.len() + 1);
        for kind in KINDS {
            assert!(!kind.messages.is_empty() && kind.meaning.ends_with('.'), "{}", kind.id);
        }
    }
}
