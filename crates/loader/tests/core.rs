//! CO-RE: where the embedded objects look for kernel fields, on every kernel that we claim, without any of them.
//! `btf/MACHINE/SERIES.btf` is the type information of a kernel, cut down to what the objects ask for. After a change of
//! the fields in crates/ebpf/build.rs: `scripts/btf-fixtures`, and a row in each table of fields from the kernel's own
//! (`bpftool btf dump file VMLINUX`), not from what this test says.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use aya_obj::{btf::Btf, generated::bpf_insn};
use ebpflab::objects;
use object::{Object as _, ObjectSection as _};

/// A machine that there are objects for, and what its kernels should answer.
struct Machine {
    name: &'static str,
    /// Debian's kernels; x86_64's 6.18 is a micro-VM's (6.18.44-fc).
    kernels: &'static [(&'static str, &'static [u8])],
    /// Offsets in bytes, in the order of the kernels.
    fields: &'static [(&'static str, &'static [u64])],
}

const X86_64: Machine = Machine {
    name: "x86_64",
    kernels: &[
        ("5.10", include_bytes!("btf/x86_64/5.10.btf")),
        ("6.1", include_bytes!("btf/x86_64/6.1.btf")),
        ("6.12", include_bytes!("btf/x86_64/6.12.btf")),
        ("6.18", include_bytes!("btf/x86_64/6.18.btf")),
        ("7.3", include_bytes!("btf/x86_64/7.3.btf")),
    ],
    fields: X86_64_FIELDS,
};

const AARCH64: Machine = Machine {
    name: "aarch64",
    kernels: &[
        ("6.1", include_bytes!("btf/aarch64/6.1.btf")),
        ("6.12", include_bytes!("btf/aarch64/6.12.btf")),
        ("7.3", include_bytes!("btf/aarch64/7.3.btf")),
    ],
    fields: AARCH64_FIELDS,
};

const MACHINES: [&Machine; 2] = [&X86_64, &AARCH64];

/// In the place of an offset: this kernel has no such field.
const NONE: u64 = u64::MAX;

/// 5.10, 6.1, 6.12, 6.18, 7.3.
const X86_64_FIELDS: &[(&str, &[u64])] = &[
    ("cgroup.kn", &[248, 248, 256, 256, 296]),
    ("cgroup.root", &[480, 656, 720, 696, 808]),
    ("cgroup.self.parent", &[192, 192, 192, 184, 184]),
    ("cgroup_root.hierarchy_id", &[12, 12, 12, 12, 12]),
    ("cgroup_subsys_state.cgroup", &[0, 0, 0, 0, 0]),
    ("cred.uid.val", &[8, 8, 8, 8, 8]),
    ("css_set.dfl_cgrp", &[120, 128, 128, 112, 128]),
    ("css_set.subsys[0]", &[0, 0, 0, 0, 0]),
    ("dentry.d_hash.pprev", &[16, 16, 16, 16, 16]),
    ("dentry.d_name.len", &[36, 36, 36, 36, 36]),
    ("dentry.d_name.name", &[40, 40, 40, 40, 40]),
    ("dentry.d_parent", &[24, 24, 24, 24, 24]),
    ("fdtable.fd", &[8, 8, 8, 8, 8]),
    ("fdtable.max_fds", &[0, 0, 0, 0, 0]),
    ("file.f_inode", &[32, 32, 40, 32, 32]),
    ("file.f_path.dentry", &[24, 24, 72, 72, 72]),
    ("file.f_path.mnt", &[16, 16, 64, 64, 64]),
    ("file.private_data", &[200, 200, 32, 24, 24]),
    ("files_struct.fdt", &[32, 32, 32, 32, 32]),
    ("fs_struct.pwd.dentry", &[48, 48, 48, 48, 48]),
    ("fs_struct.pwd.mnt", &[40, 40, 40, 40, 40]),
    ("fs_struct.root.dentry", &[32, 32, 32, 32, 32]),
    ("fs_struct.root.mnt", &[24, 24, 24, 24, 24]),
    ("inode.i_ino", &[64, 64, 64, 64, 64]),
    ("inode.i_sb", &[40, 40, 40, 40, 40]),
    ("kernfs_node.id", &[104, 104, 96, 96, 96]),
    ("linux_binprm.filename", &[96, 96, 96, 96, 120]),
    ("mm_struct.arg_end", &[320, 320, 384, 488, 736]),
    ("mm_struct.arg_start", &[312, 312, 376, 480, 728]),
    ("mm_struct.exe_file", &[928, 944, 1168, 1312, 1536]),
    ("mm_struct.start_stack", &[304, 304, 368, 472, 720]),
    ("mount.mnt.mnt_root", &[32, 32, 32, 32, 32]),
    ("mount.mnt_mountpoint", &[24, 24, 24, 24, 24]),
    ("mount.mnt_parent", &[16, 16, 16, 16, 16]),
    ("pid.level", &[4, 4, 4, 4, 4]),
    ("pid.numbers[0].nr", &[96, 96, 112, 144, 128]),
    ("pt_regs.orig_ax", &[120, 120, 120, 120, 120]),
    ("signal_struct.flags", &[116, 116, 116, 116, 116]),
    ("signal_struct.group_exit_code", &[96, 96, 96, 96, 96]),
    ("signal_struct.live.counter", &[4, 4, 4, 4, 4]),
    ("sock_common.skc_family", &[16, 16, 16, 16, 16]),
    ("socket.sk", &[24, 24, 24, 24, 24]),
    ("super_block.s_dev", &[16, 16, 16, 16, 16]),
    ("task_struct.__state", &[NONE, 24, 24, 24, 24]),
    ("task_struct.cgroups", &[3328, 3600, 3584, 2376, 4072]),
    ("task_struct.comm[0]", &[2736, 2976, 2976, 1752, 3408]),
    ("task_struct.cred", &[2720, 2960, 2960, 1736, 3392]),
    ("task_struct.exit_code", &[2136, 2312, 2332, 1164, 2772]),
    ("task_struct.files", &[2808, 3048, 3048, 1824, 3488]),
    ("task_struct.fs", &[2800, 3040, 3040, 1816, 3480]),
    ("task_struct.group_leader", &[2296, 2480, 2496, 1328, 2936]),
    ("task_struct.loginuid.val", &[2936, 3176, 3176, 1952, 3624]),
    ("task_struct.mm", &[2056, 2272, 2304, 1136, 2744]),
    ("task_struct.on_cpu", &[44, 52, 52, 52, 52]),
    ("task_struct.pid", &[2232, 2416, 2432, 1264, 2872]),
    ("task_struct.real_parent", &[2248, 2432, 2448, 1280, 2888]),
    ("task_struct.signal", &[2832, 3072, 3072, 1848, 3520]),
    ("task_struct.start_boottime", &[2544, 2784, 2784, 1560, 3224]),
    ("task_struct.state", &[16, NONE, NONE, NONE, NONE]),
    ("task_struct.tgid", &[2236, 2420, 2436, 1268, 2876]),
    ("task_struct.thread_info.status", &[8, 16, 16, 16, 16]),
    ("task_struct.thread_pid", &[2336, 2520, 2536, 1368, 2976]),
    ("vfsmount.mnt_root", &[0, 0, 0, 0, 0]),
];

/// 6.1, 6.12, 7.3. A C compiler has the same, of what bpftool makes of each kernel's BTF (`format c`, offsetof).
const AARCH64_FIELDS: &[(&str, &[u64])] = &[
    ("cgroup.kn", &[248, 256, 296]),
    ("cgroup.root", &[656, 720, 808]),
    ("cgroup.self.parent", &[192, 192, 184]),
    ("cgroup_root.hierarchy_id", &[12, 12, 12]),
    ("cgroup_subsys_state.cgroup", &[0, 0, 0]),
    ("cred.uid.val", &[8, 8, 8]),
    ("css_set.dfl_cgrp", &[128, 128, 128]),
    ("css_set.subsys[0]", &[0, 0, 0]),
    ("dentry.d_hash.pprev", &[16, 16, 16]),
    ("dentry.d_name.len", &[36, 36, 36]),
    ("dentry.d_name.name", &[40, 40, 40]),
    ("dentry.d_parent", &[24, 24, 24]),
    ("fdtable.fd", &[8, 8, 8]),
    ("fdtable.max_fds", &[0, 0, 0]),
    ("file.f_inode", &[32, 40, 32]),
    ("file.f_path.dentry", &[24, 72, 72]),
    ("file.f_path.mnt", &[16, 64, 64]),
    ("file.private_data", &[200, 32, 24]),
    ("files_struct.fdt", &[32, 32, 32]),
    ("fs_struct.pwd.dentry", &[48, 48, 48]),
    ("fs_struct.pwd.mnt", &[40, 40, 40]),
    ("fs_struct.root.dentry", &[32, 32, 32]),
    ("fs_struct.root.mnt", &[24, 24, 24]),
    ("inode.i_ino", &[64, 64, 64]),
    ("inode.i_sb", &[40, 40, 40]),
    ("kernfs_node.id", &[104, 96, 96]),
    ("linux_binprm.filename", &[96, 96, 120]),
    ("mm_struct.arg_end", &[304, 368, 640]),
    ("mm_struct.arg_start", &[296, 360, 632]),
    ("mm_struct.exe_file", &[816, 1048, 1344]),
    ("mm_struct.start_stack", &[288, 352, 624]),
    ("mount.mnt.mnt_root", &[32, 32, 32]),
    ("mount.mnt_mountpoint", &[24, 24, 24]),
    ("mount.mnt_parent", &[16, 16, 16]),
    ("pid.level", &[4, 4, 4]),
    ("pid.numbers[0].nr", &[96, 112, 128]),
    ("pt_regs.syscallno", &[280, 280, 280]),
    ("signal_struct.flags", &[116, 116, 116]),
    ("signal_struct.group_exit_code", &[96, 96, 96]),
    ("signal_struct.live.counter", &[4, 4, 4]),
    ("sock_common.skc_family", &[16, 16, 16]),
    ("socket.sk", &[24, 24, 24]),
    ("super_block.s_dev", &[16, 16, 16]),
    ("task_struct.__state", &[24, 24, 32]),
    ("task_struct.cgroups", &[2384, 2376, 2928]),
    ("task_struct.comm[0]", &[1912, 1920, 2416]),
    ("task_struct.cred", &[1896, 1904, 2400]),
    ("task_struct.exit_code", &[1248, 1276, 1780]),
    ("task_struct.files", &[1984, 1992, 2496]),
    ("task_struct.fs", &[1976, 1984, 2488]),
    ("task_struct.group_leader", &[1416, 1440, 1944]),
    ("task_struct.loginuid.val", &[2112, 2120, 2632]),
    ("task_struct.mm", &[1208, 1248, 1752]),
    ("task_struct.on_cpu", &[52, 52, 60]),
    ("task_struct.pid", &[1352, 1376, 1880]),
    ("task_struct.real_parent", &[1368, 1392, 1896]),
    ("task_struct.signal", &[2008, 2016, 2528]),
    ("task_struct.start_boottime", &[1720, 1728, 2232]),
    ("task_struct.state", &[NONE, NONE, NONE]),
    ("task_struct.tgid", &[1356, 1380, 1884]),
    ("task_struct.thread_info.flags", &[0, 0, 0]),
    ("task_struct.thread_pid", &[1456, 1480, 1984]),
    ("vfsmount.mnt_root", &[0, 0, 0]),
];

impl Machine {
    /// By name. Those of this machine as they are embedded, the others as they are committed.
    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let folder = format!("{}/bpf/{}", env!("CARGO_MANIFEST_DIR"), self.name);
        let files = fs::read_dir(folder).expect("it is committed").map(|file| file.expect("readable").path());
        let mut objects: BTreeMap<_, _> = files
            .map(|file| {
                (file.file_stem().expect("a name").to_string_lossy().into_owned(), fs::read(file).expect("readable"))
            })
            .collect();
        assert_eq!(objects.len(), objects::ALL.len());
        if self.name == env::consts::ARCH {
            objects = objects.into_keys().zip(objects::ALL.map(<[u8]>::to_vec)).collect();
        }
        objects
    }
}

/// What a record asks about a field (`enum bpf_core_relo_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Offset,
    Exists,
}

/// One instruction that the loader adapts to the running kernel.
struct Record {
    section: String,
    /// Of the instruction, in bytes from the start of the section.
    offset: usize,
    /// `struct.member`, or `struct.member.member`.
    field: String,
    question: Question,
}

/// Sections `.BTF` and `.BTF.ext`; layout in the kernel's Documentation/bpf/btf.rst.
struct LocalBtf<'a> {
    strings: &'a [u8],
    /// By id, from 1 on, the bytes of each type.
    types: Vec<&'a [u8]>,
}

fn word(data: &[u8], at: usize) -> usize {
    u32::from_le_bytes(*data[at..].first_chunk().expect("four bytes")) as usize
}

impl<'a> LocalBtf<'a> {
    fn parse(btf: &'a [u8]) -> Self {
        let body = &btf[word(btf, 4)..];
        let (types, strings) = (&body[word(btf, 8)..][..word(btf, 12)], &body[word(btf, 16)..][..word(btf, 20)]);
        let (mut at, mut parsed) = (0, vec![&types[..0]]);
        while at < types.len() {
            let (kind, count) = (types[at + 7] & 0x1f, word(types, at + 4) & 0xffff);
            let size = 12
                + match kind {
                    1 | 14 | 17 => 4,              // int, var, decl_tag
                    3 => 12,                       // array
                    4 | 5 | 15 | 19 => 12 * count, // struct, union, datasec, enum64
                    6 | 13 => 8 * count,           // enum, func_proto
                    _ => 0,
                };
            parsed.push(&types[at..at + size]);
            at += size;
        }
        Self { strings, types: parsed }
    }

    fn string(&self, at: usize) -> &'a str {
        let bytes = self.strings[at..].split(|byte| *byte == 0).next().expect("split gives one piece at least");
        str::from_utf8(bytes).expect("a name")
    }

    /// A struct and the members on the way, by the indices that the record holds: `0:1:0` -> `struct.member.member`,
    /// or `struct.member[0]`.
    fn path(&self, mut id: usize, access: &str) -> String {
        let mut path = self.string(word(self.types[id], 0)).to_owned();
        // The first index is that of an array of structs.
        for index in access.split(':').skip(1) {
            const ARRAY: u8 = 3;
            if self.types[id][7] & 0x1f == ARRAY {
                path = format!("{path}[{index}]");
                id = word(self.types[id], 12);
                continue;
            }
            let member = &self.types[id][12 + 12 * index.parse::<usize>().expect("an index")..];
            path = format!("{path}.{}", self.string(word(member, 0)));
            id = word(member, 4);
        }
        path
    }
}

/// All records of an object.
fn records(elf: &[u8]) -> Vec<Record> {
    let file = object::File::parse(elf).expect("an ELF object");
    let section = |name| file.section_by_name(name).expect("it is kept").data().expect("readable");
    let (btf, ext) = (LocalBtf::parse(section(".BTF")), section(".BTF.ext"));
    let table = &ext[word(ext, 4) + word(ext, 24)..][..word(ext, 28)];
    let mut records = Vec::new();
    let mut at = 4;
    while at < table.len() {
        let (name, count) = (btf.string(word(table, at)), word(table, at + 4));
        at += 8;
        for _ in 0..count {
            records.push(Record {
                section: name.to_owned(),
                offset: word(table, at),
                field: btf.path(word(table, at + 4), btf.string(word(table, at + 8))),
                question: match word(table, at + 12) {
                    0 => Question::Offset,
                    2 => Question::Exists,
                    kind => panic!("crates/ebpf/build.rs writes no records of kind {kind}"),
                },
            });
            at += word(table, 0);
        }
    }
    records
}

/// The number that the loader put into an instruction; `None` if it made it one that no kernel takes: a call of a
/// function that there is not.
fn answer(instruction: &bpf_insn) -> Option<u64> {
    const CALL: u8 = 0x85;
    const POISON: i32 = 0x0bad_2310;
    if (instruction.code, instruction.imm) == (CALL, POISON) {
        return None;
    }
    let number = match instruction.code & 0x07 {
        // Loads and stores.
        1..=3 => instruction.off.into(),
        // Constants; none of ours needs the second half of a 64-bit one.
        0 | 4 | 7 => instruction.imm,
        class => panic!("an instruction of class {class} has no place for a number"),
    };
    Some(number.try_into().expect("an offset"))
}

/// Relocates an object as the loader does, and reads what became of its records. All that ask the same got the same
/// answer.
fn answers(elf: &[u8], kernel: &[u8]) -> BTreeMap<(String, Question), Option<u64>> {
    let file = object::File::parse(elf).expect("an ELF object");
    let mut object = aya_obj::Object::parse(elf).expect("a BPF object");
    let btf = Btf::parse(kernel, object.endianness).expect("BTF");
    object.relocate_btf(&btf).expect("it fits");

    let mut answers = BTreeMap::new();
    for record in records(elf) {
        let section = file.section_by_name(&record.section).expect("a section of programs").index();
        let inside =
            |start: usize, count: usize| (start..start + count * size_of::<bpf_insn>()).contains(&record.offset);
        let function = object.functions.values().find(|function| {
            function.section_index.0 == section.0 && inside(function.section_offset, function.instructions.len())
        });
        let function = function.expect("records are of instructions");
        let index = (record.offset - function.section_offset) / size_of::<bpf_insn>();
        let answer = answer(&function.instructions[index]);
        let before = answers.insert((record.field.clone(), record.question), answer);
        assert!(before.is_none_or(|before| before == answer), "{} in {}", record.field, function.name);
    }
    answers
}

/// What the records of an object should become on a kernel without those fields that have `lacking` in their path.
fn expected(machine: &Machine, elf: &[u8], kernel: usize, lacking: &str) -> BTreeMap<(String, Question), Option<u64>> {
    let answer = |record: &Record| {
        let row = machine.fields.iter().find(|(field, _)| *field == record.field);
        let (field, offsets) = row.unwrap_or_else(|| panic!("{} has no row for {}", record.field, machine.name));
        let exists = offsets[kernel] != NONE && !names(field).any(|name| name == lacking);
        match record.question {
            Question::Exists => Some(u64::from(exists)),
            Question::Offset => exists.then_some(offsets[kernel]),
        }
    };
    records(elf).iter().map(|record| ((record.field.clone(), record.question), answer(record))).collect()
}

/// The struct and the members of a field.
fn names(field: &str) -> impl DoubleEndedIterator<Item = &str> {
    field.split('.').map(|name| name.trim_end_matches("[0]"))
}

#[test]
fn every_field_is_where_the_kernel_has_it() {
    for machine in MACHINES {
        let objects = machine.objects();
        for (index, (series, btf)) in machine.kernels.iter().enumerate() {
            for (name, elf) in &objects {
                let expected = expected(machine, elf, index, "nothing");
                assert_eq!(answers(elf, btf), expected, "{name} of {} on {series}", machine.name);
            }
        }
    }
}

/// The object still fits; the program asks whether there is the field, and what it does if there is cannot run. BTF has
/// each name once, so all that is called the same is lacking at the same time.
#[test]
fn a_field_that_a_kernel_lacks_is_said_not_to_exist() {
    for machine in MACHINES {
        let members: BTreeSet<_> = machine.fields.iter().filter_map(|(field, _)| names(field).next_back()).collect();
        let objects = machine.objects();
        for (index, (series, btf)) in machine.kernels.iter().enumerate() {
            for member in &members {
                let name = format!("\0{member}\0").into_bytes();
                let places: Vec<_> = (0..btf.len()).filter(|at| btf[*at..].starts_with(&name)).collect();
                let lacks = |(field, offsets): &(&str, &[u64])| {
                    offsets[index] == NONE || !names(field).any(|name| name == *member)
                };
                if machine.fields.iter().all(lacks) {
                    assert!(places.is_empty(), "{series} of {} has no {member}", machine.name);
                    continue;
                }
                let [at] = places[..] else { panic!("{member} should be once in the BTF of {series}: {places:?}") };
                let mut without = btf.to_vec();
                without[at + 1] = b'?';
                for elf in objects.values() {
                    let expected = expected(machine, elf, index, member);
                    assert_eq!(answers(elf, &without), expected, "{series} of {} without {member}", machine.name);
                }
            }
        }
    }
}

/// Illegal opcodes instead of relocations are what bpf-linker leaves behind when it is not told to emit BTF, and
/// it says nothing: so how many fields each object asks for is written down here.
#[test]
fn the_records_are_there() {
    for machine in MACHINES {
        let objects = machine.objects();
        let fields =
            |name| records(&objects[name]).into_iter().map(|record| record.field).collect::<BTreeSet<_>>().len();
        // The thread's compat status and the number of the call that returns; the cgroup of a v1 hierarchy (5 fields),
        // and for a tree what a process is called (1) and whether it ends (2).
        assert_eq!(fields("count"), 10);
        // The cgroup of a v1 hierarchy, a tree, and what a cgroup that is made belongs to (2); and the compat status.
        assert_eq!(["calls", "latency", "stacks", "syscalls"].map(fields), [10, 10, 10, 11]);
        assert_eq!(fields("returns"), 10);
        // And the process's own number (4 fields).
        assert_eq!(fields("trace"), 14);
        // The same of any task: who it is (3; that it ends is known), its user (2), its state (2) and CPU; its cgroup of v2
        // and what that is in (2).
        assert_eq!(fields("runqueue"), 19);
        // All of those of `count`; the process's own number (4 fields); what a cgroup that is made belongs to (2); an
        // open file (6), its identity (4) and whether it is unlinked; the working directory and the root (5); the way
        // up (7).
        assert_eq!(fields("open"), 39);
        // The first two lines; mm, its arguments, stack and executable, the parent and its name, who logged in, the file
        // name; how a process ended; paths as for opens.
        assert_eq!(fields("exec"), 44);
        // All of both.
        assert_eq!(fields("dashboard"), 52);
        // The status and the number of the call that returns; an open file (4), and what of it is a socket (3).
        assert_eq!(fields("traffic"), 9);
        // Packets are no kernel structs, the probes do nothing, and the zoo asks no kernel about its own.
        assert_eq!(["cgroup", "flows", "xdp", "probe", "zoo"].map(fields), [0; 5]);
    }
}

#[test]
fn no_row_is_left_over() {
    for machine in MACHINES {
        let objects = machine.objects();
        let used: BTreeSet<_> = objects.values().flat_map(|elf| records(elf)).map(|record| record.field).collect();
        let rows: Vec<_> = machine.fields.iter().map(|(field, _)| (*field).to_owned()).collect();
        assert_eq!(used.into_iter().collect::<Vec<_>>(), rows);
    }
}
