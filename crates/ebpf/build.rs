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
/// embedded structs, with the type of the last member. `___name` after a struct's name makes another flavour of it.
/// The first element says on which architectures (as in `bpf_target_arch`) the kernel has it.
const FIELDS: &[(&[&str], &str, Type)] = &[
    (&["x86_64"], "task_struct.thread_info.status", UInt),
    (&["aarch64"], "task_struct.thread_info.flags", Long),
    (&["x86_64", "aarch64"], "task_struct.mm", Pointer),
    (&["x86_64", "aarch64"], "task_struct.real_parent", Pointer),
    (&["x86_64", "aarch64"], "task_struct.tgid", UInt),
    (&["x86_64", "aarch64"], "mm_struct.arg_start", Long),
    (&["x86_64", "aarch64"], "mm_struct.arg_end", Long),
    (&["x86_64", "aarch64"], "linux_binprm.filename", Pointer),
    (&["x86_64"], "pt_regs.orig_ax", Long),
    (&["aarch64"], "pt_regs.syscallno", UInt),
];

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

/// `task_struct.thread_info.status` -> `task_struct_thread_info_status`
fn ident(path: &str) -> String {
    path.replace('.', "_")
}

fn rust_names(fields: &[(&str, Type)]) -> String {
    let mut out = String::new();
    for (path, _) in fields {
        let name = ident(path);
        write!(
            out,
            "unsafe extern \"C\" {{\n    fn off_{name}() -> u64;\n    fn has_{name}() -> u64;\n}}\n\
             /// Offset of `{path}` in bytes, `None` on a kernel without it.\n\
             #[inline(always)]\n\
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
}

impl Member {
    fn size(&self) -> u64 {
        match self {
            Self::Scalar(_) => 8,
            Self::Struct(inner) => inner.size(),
        }
    }
}

impl Struct {
    fn size(&self) -> u64 {
        self.members.iter().map(|(_, member)| member.size()).sum()
    }

    /// Adds a member, and the structs on the way to it.
    fn add(&mut self, path: &str, r#type: Type) {
        let Some((head, rest)) = path.split_once('.') else {
            self.members.push((path.to_owned(), Member::Scalar(r#type)));
            return;
        };
        if !self.members.iter().any(|(name, _)| name == head) {
            self.members.push((head.to_owned(), Member::Struct(Self::default())));
        }
        let inner = self.members.iter_mut().find(|(name, _)| name == head);
        match inner {
            Some((_, Member::Struct(inner))) => inner.add(rest, r#type),
            _ => panic!("{head} is a scalar and a struct"),
        }
    }

    /// The member indices and the offset of a path: CO-RE's access path, and what its local value would be.
    fn resolve(&self, path: &str) -> (Vec<usize>, u64) {
        let (head, rest) = path.split_once('.').unwrap_or((path, ""));
        let index = self.members.iter().position(|(name, _)| name == head).expect("the member was added");
        let offset = self.members[..index].iter().map(|(_, member)| member.size()).sum();
        match &self.members[index].1 {
            Member::Scalar(_) => (vec![index], offset),
            Member::Struct(inner) => {
                let (mut indices, inner_offset) = inner.resolve(rest);
                indices.insert(0, index);
                (indices, offset + inner_offset)
            }
        }
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
            let base =
                match kind {
                    Member::Scalar(Type::UInt) => self
                        .node("!DIBasicType(name: \"unsigned int\", size: 32, encoding: DW_ATE_unsigned)".to_owned()),
                    Member::Scalar(Type::Long) => self
                        .node("!DIBasicType(name: \"unsigned long\", size: 64, encoding: DW_ATE_unsigned)".to_owned()),
                    Member::Scalar(Type::Pointer) => {
                        self.node("!DIDerivedType(tag: DW_TAG_pointer_type, baseType: null, size: 64)".to_owned())
                    }
                    // The kernel's embedded structs are named after the member often enough; CO-RE compares member
                    // names and kinds on the way, not the names of embedded structs.
                    Member::Struct(inner) => self.struct_node(member, inner, file),
                };
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
