//! Writes the LLVM IR that rustc cannot emit yet, and the Rust names for it (`kernel_fields.rs`):
//!
//! * for each field in [`FIELDS`] a getter of its offset and one of its existence, which carry CO-RE relocation
//!   records: the loader patches them with the offsets of the running kernel. (rust-lang/rust#158412)
//! * `atomic_add_u64`: `AtomicU64::fetch_add` does not compile for BPF, and `+= 1` loses counts.
//!
//! bpf-linker takes the IR as one more input and inlines the getters into the programs.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use Type::{Long, Pointer, UInt};

/// The fields of kernel structs that the programs use: `struct.member`, or `struct.member.member` through
/// embedded structs, or `struct.member[0]` for the first element of an array, with the type of the last.
/// `___name` after a struct's name makes another flavour of it.
/// The first element says on which architectures (as in `bpf_target_arch`) the kernel has it.
const FIELDS: &[(&[&str], &str, Type)] = &[
    (&["x86_64"], "task_struct.thread_info.status", UInt),
    (&["aarch64"], "task_struct.thread_info.flags", Long),
    (ANY, "task_struct.comm[0]", UInt),
    (ANY, "task_struct.exit_code", UInt),
    (ANY, "task_struct.cgroups", Pointer),
    (ANY, "task_struct.cred", Pointer),
    (ANY, "task_struct.files", Pointer),
    (ANY, "task_struct.fs", Pointer),
    (ANY, "task_struct.group_leader", Pointer),
    (ANY, "task_struct.loginuid.val", UInt),
    (ANY, "task_struct.mm", Pointer),
    (ANY, "task_struct.on_cpu", UInt),
    (ANY, "task_struct.pid", UInt),
    (ANY, "task_struct.real_parent", Pointer),
    (ANY, "task_struct.signal", Pointer),
    (ANY, "task_struct.start_boottime", Long),
    // From 5.14 on.
    (ANY, "task_struct.__state", UInt),
    // Before.
    (ANY, "task_struct.state", UInt),
    (ANY, "task_struct.tgid", UInt),
    (ANY, "task_struct.thread_pid", Pointer),
    (ANY, "cred.uid.val", UInt),
    (ANY, "signal_struct.flags", UInt),
    (ANY, "signal_struct.group_exit_code", UInt),
    (ANY, "signal_struct.live.counter", UInt),
    (ANY, "css_set.subsys[0]", Pointer),
    (ANY, "css_set.dfl_cgrp", Pointer),
    (ANY, "cgroup_subsys_state.cgroup", Pointer),
    (ANY, "cgroup.kn", Pointer),
    (ANY, "cgroup.root", Pointer),
    (ANY, "cgroup.self.parent", Pointer),
    (ANY, "cgroup_root.hierarchy_id", UInt),
    (ANY, "kernfs_node.id", Long),
    (ANY, "pid.level", UInt),
    (ANY, "pid.numbers[0].nr", UInt),
    (ANY, "fs_struct.root.dentry", Pointer),
    (ANY, "fs_struct.root.mnt", Pointer),
    (ANY, "fs_struct.pwd.dentry", Pointer),
    (ANY, "fs_struct.pwd.mnt", Pointer),
    (ANY, "files_struct.fdt", Pointer),
    (ANY, "fdtable.fd", Pointer),
    (ANY, "fdtable.max_fds", UInt),
    (ANY, "file.f_path.dentry", Pointer),
    (ANY, "file.f_path.mnt", Pointer),
    (ANY, "file.f_inode", Pointer),
    (ANY, "file.private_data", Pointer),
    (ANY, "socket.sk", Pointer),
    (ANY, "sock_common.skc_family", UInt),
    (ANY, "inode.i_ino", Long),
    (ANY, "inode.i_sb", Pointer),
    (ANY, "super_block.s_dev", UInt),
    (ANY, "dentry.d_hash.pprev", Pointer),
    (ANY, "dentry.d_name.len", UInt),
    (ANY, "dentry.d_name.name", Pointer),
    (ANY, "dentry.d_parent", Pointer),
    (ANY, "vfsmount.mnt_root", Pointer),
    (ANY, "mount.mnt.mnt_root", Pointer),
    (ANY, "mount.mnt_mountpoint", Pointer),
    (ANY, "mount.mnt_parent", Pointer),
    (ANY, "mm_struct.arg_start", Long),
    (ANY, "mm_struct.arg_end", Long),
    (ANY, "mm_struct.exe_file", Pointer),
    (ANY, "mm_struct.start_stack", Long),
    (ANY, "linux_binprm.filename", Pointer),
    (&["x86_64"], "pt_regs.orig_ax", Long),
    (&["aarch64"], "pt_regs.syscallno", UInt),
];

const ANY: &[&str] = &["x86_64", "aarch64"];

/// What a member is; CO-RE matches members by name and by kind, of integers the size does not matter.
#[derive(Clone, Copy, PartialEq)]
enum Type {
    UInt,
    Long,
    Pointer,
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_CFG_BPF_TARGET_ARCH");
    // Set by aya-build; without it this is the build for the host, which takes nothing from here.
    let Ok(arch) = env::var("CARGO_CFG_BPF_TARGET_ARCH") else { return };
    let fields: Vec<_> = FIELDS
        .iter()
        .filter(|(arches, ..)| arches.contains(&arch.as_str()))
        .map(|(_, path, r#type)| (*path, *r#type))
        .collect();

    let out_dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let ir = Path::new(&out_dir).join("kernel_fields.ll");
    fs::write(&ir, Ir::default().module(&fields)).expect("write the IR");
    fs::write(ir.with_extension("rs"), rust_names(&fields)).expect("write the Rust names");
    println!("cargo::rustc-link-arg-bins={}", ir.display());
}

/// `task_struct.thread_info.status` -> `task_struct_thread_info_status`, `pid.numbers[0].nr` -> `pid_numbers_nr`
fn ident(path: &str) -> String {
    path.replace("[0]", "").replace('.', "_")
}

fn rust_names(fields: &[(&str, Type)]) -> String {
    let mut out = String::new();
    for (path, _) in fields {
        let name = ident(path);
        let expected =
            if name.contains("__") { "#[expect(non_snake_case, reason = \"the kernel's own name\")]\n" } else { "" };
        write!(
            out,
            "unsafe extern \"C\" {{\n    fn off_{name}() -> u64;\n    fn has_{name}() -> u64;\n}}\n\
             /// Offset of `{path}` in bytes, `None` on a kernel without it.\n\
             {expected}#[inline(always)]\n\
             pub fn {name}() -> Option<usize> {{\n    \
             // SAFETY: constants, patched in by the loader.\n    \
             unsafe {{ (has_{name}() != 0).then(|| off_{name}() as usize) }}\n}}\n"
        )
        .expect("write to a string");
    }
    out
}

/// A struct as CO-RE has to know it: only the members used, laid out one after the other. What offsets they have
/// here is of no consequence, the loader looks members up by name.
#[derive(Default)]
struct Struct {
    members: Vec<(String, Member)>,
}

enum Member {
    Scalar(Type),
    Struct(Struct),
    /// Of one element: only the first is asked for.
    Array(Box<Member>),
}

impl Member {
    fn size(&self) -> u64 {
        match self {
            Self::Scalar(_) => 8,
            Self::Struct(inner) => inner.size(),
            Self::Array(element) => element.size(),
        }
    }

    /// The member indices and the offset of a path inside of it.
    fn resolve(&self, path: &str) -> (Vec<usize>, u64) {
        match self {
            Self::Scalar(_) => (Vec::new(), 0),
            Self::Struct(inner) => inner.resolve(path),
            Self::Array(element) => {
                let (indices, offset) = element.resolve(path);
                ([vec![0], indices].concat(), offset)
            }
        }
    }
}

impl Struct {
    fn size(&self) -> u64 {
        self.members.iter().map(|(_, member)| member.size()).sum()
    }

    /// Adds a member, and the structs on the way to it.
    fn add(&mut self, path: &str, r#type: Type) {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        let (name, is_array) = head.strip_suffix("[0]").map_or((head, false), |name| (name, true));
        if !self.members.iter().any(|(known, _)| known == name) {
            let member = if rest.is_some() { Member::Struct(Self::default()) } else { Member::Scalar(r#type) };
            self.members.push((name.to_owned(), if is_array { Member::Array(Box::new(member)) } else { member }));
        }
        let Some(rest) = rest else { return };
        let (_, member) = self.members.iter_mut().find(|(known, _)| known == name).expect("it was added");
        let element = if let Member::Array(element) = member { &mut **element } else { member };
        match element {
            Member::Struct(inner) => inner.add(rest, r#type),
            _ => panic!("{head} is a scalar and a struct"),
        }
    }

    /// The member indices and the offset of a path: CO-RE's access path, and what its local value would be.
    fn resolve(&self, path: &str) -> (Vec<usize>, u64) {
        let (head, rest) = path.split_once('.').unwrap_or((path, ""));
        let head = head.strip_suffix("[0]").unwrap_or(head);
        let index = self.members.iter().position(|(name, _)| name == head).expect("the member was added");
        let before: u64 = self.members[..index].iter().map(|(_, member)| member.size()).sum();
        let (indices, offset) = self.members[index].1.resolve(rest);
        ([vec![index], indices].concat(), before + offset)
    }
}

/// The text of the IR module: declarations and functions, and numbered metadata nodes.
#[derive(Default)]
struct Ir {
    text: String,
    nodes: Vec<String>,
}

impl Ir {
    fn node(&mut self, node: String) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn module(mut self, fields: &[(&str, Type)]) -> String {
        let file = self.node("!DIFile(filename: \"kernel_fields.ll\", directory: \".\")".to_owned());
        let unit = self.node(format!(
            "distinct !DICompileUnit(language: DW_LANG_C11, file: !{file}, isOptimized: true, runtimeVersion: 0, \
             emissionKind: FullDebug)"
        ));
        let dwarf = self.node("!{i32 7, !\"Dwarf Version\", i32 5}".to_owned());
        let version = self.node("!{i32 2, !\"Debug Info Version\", i32 3}".to_owned());
        self.text += "target datalayout = \"e-m:e-p:64:64-i64:64-i128:128-n32:64-S128\"\n\
             target triple = \"bpf\"\n\
             define void @atomic_add_u64(ptr %p, i64 %v) #1 {\n  \
             %1 = atomicrmw add ptr %p, i64 %v monotonic, align 8\n  ret void\n}\n";

        let mut structs = BTreeMap::<&str, Struct>::new();
        for (path, r#type) in fields {
            let (name, member) = path.split_once('.').expect("a field is struct.member");
            structs.entry(name).or_default().add(member, *r#type);
        }
        let nodes: BTreeMap<_, _> =
            structs.iter().map(|(name, layout)| (*name, self.struct_node(name, layout, file))).collect();
        for (path, _) in fields {
            let (name, member) = path.split_once('.').expect("a field is struct.member");
            let (indices, offset) = structs[name].resolve(member);
            self.getters(path, name, &indices, offset, nodes[name]);
        }

        self.text += "attributes #0 = { \"btf_ama\" }\nattributes #1 = { alwaysinline nounwind }\n";
        write!(self.text, "!llvm.dbg.cu = !{{!{unit}}}\n!llvm.module.flags = !{{!{dwarf}, !{version}}}\n")
            .expect("write to a string");
        for (number, node) in self.nodes.iter().enumerate() {
            writeln!(self.text, "!{number} = {node}").expect("write to a string");
        }
        self.text
    }

    /// The debug type of a struct; returns its node.
    fn struct_node(&mut self, name: &str, layout: &Struct, file: usize) -> usize {
        let mut offset = 0;
        let mut members = Vec::new();
        for (member, kind) in &layout.members {
            let base = self.member_node(member, kind, file);
            let bits = if matches!(kind, Member::Scalar(Type::UInt)) { 32 } else { kind.size() * 8 };
            members.push(self.node(format!(
                "!DIDerivedType(tag: DW_TAG_member, name: \"{member}\", file: !{file}, line: 1, baseType: !{base}, \
                 size: {bits}, offset: {})",
                offset * 8
            )));
            offset += kind.size();
        }
        let list: Vec<_> = members.iter().map(|node| format!("!{node}")).collect();
        let elements = self.node(format!("!{{{}}}", list.join(", ")));
        self.node(format!(
            "distinct !DICompositeType(tag: DW_TAG_structure_type, name: \"{name}\", file: !{file}, line: 1, \
             size: {}, elements: !{elements})",
            layout.size() * 8
        ))
    }

    /// The debug type of a member; returns its node.
    fn member_node(&mut self, name: &str, kind: &Member, file: usize) -> usize {
        match kind {
            Member::Scalar(Type::UInt) => {
                self.node("!DIBasicType(name: \"unsigned int\", size: 32, encoding: DW_ATE_unsigned)".to_owned())
            }
            Member::Scalar(Type::Long) => {
                self.node("!DIBasicType(name: \"unsigned long\", size: 64, encoding: DW_ATE_unsigned)".to_owned())
            }
            Member::Scalar(Type::Pointer) => {
                self.node("!DIDerivedType(tag: DW_TAG_pointer_type, baseType: null, size: 64)".to_owned())
            }
            // The kernel's embedded structs are named after the member often enough; CO-RE compares member names
            // and kinds on the way, not the names of embedded structs.
            Member::Struct(inner) => self.struct_node(name, inner, file),
            Member::Array(element) => {
                let base = self.member_node(name, element, file);
                let range = self.node("!DISubrange(count: 1)".to_owned());
                let ranges = self.node(format!("!{{!{range}}}"));
                let bits = kind.size() * 8;
                self.node(format!(
                    "!DICompositeType(tag: DW_TAG_array_type, baseType: !{base}, size: {bits}, elements: !{ranges})"
                ))
            }
        }
    }

    /// `off_*` and `has_*` of a field. The name of each global is the relocation record: struct, kind (0 byte
    /// offset, 2 exists), the value without relocation, access path.
    fn getters(&mut self, path: &str, name: &str, indices: &[usize], offset: u64, node: usize) {
        let ident = ident(path);
        let access: String = indices.iter().map(|index| format!(":{index}")).collect();
        let off = format!("@\"llvm.{name}:0:{offset}$0{access}\"");
        let has = format!("@\"llvm.{name}:2:1$0{access}\"");
        write!(
            self.text,
            "{off} = external global i64, !llvm.preserve.access.index !{node} #0\n\
             {has} = external global i32, !llvm.preserve.access.index !{node} #0\n\
             define i64 @off_{ident}() #1 {{\n  %1 = load i64, ptr {off}\n  ret i64 %1\n}}\n\
             define i64 @has_{ident}() #1 {{\n  %1 = load i32, ptr {has}\n  %2 = zext i32 %1 to i64\n  ret i64 %2\n}}\n"
        )
        .expect("write to a string");
    }
}
