//! What the embedded objects are made of; needs neither root nor a BPF toolchain.

use ebpflab::objects;
use object::{Object as _, ObjectSection as _};

const ALL: [&[u8]; 5] = [objects::COUNT, objects::DASHBOARD, objects::EXEC, objects::OPEN, objects::XDP];

/// How many CO-RE relocations an object carries: field accesses that the loader adapts to the running kernel.
/// Section `.BTF.ext`, layout in the kernel's Documentation/bpf/btf.rst.
fn core_relocations(elf: &[u8]) -> usize {
    let file = object::File::parse(elf).expect("an ELF object");
    let ext = file.section_by_name(".BTF.ext").expect("line info is kept").data().expect("readable");
    let word = |at: usize| u32::from_le_bytes(*ext[at..].first_chunk().expect("four bytes")) as usize;
    let (header, start, len) = (word(4), word(24), word(28));
    let (mut at, end) = (header + start + 4, header + start + len);
    let record = if len == 0 { 0 } else { word(at - 4) };
    let mut count = 0;
    while at < end {
        let in_section = word(at + 4);
        count += in_section;
        at += 8 + in_section * record;
    }
    count
}

/// Illegal opcodes instead of relocations are what bpf-linker leaves behind when it is not told to emit BTF, and
/// it says nothing: so each object's number is written down here.
#[test]
fn core_relocations_are_there() {
    // Whether there is the field, and where: the thread's compat status at sys_enter and sys_exit, and the number
    // of the call that returns.
    assert_eq!(core_relocations(objects::COUNT), 6);
    // The thread's compat status at sys_enter, for the number and for the arguments.
    assert_eq!(core_relocations(objects::OPEN), 4);
    // In each of two programs: mm, both ends of the arguments, the parent and its pid; in one the file name.
    assert_eq!(core_relocations(objects::EXEC), 22);
    assert_eq!(core_relocations(objects::DASHBOARD), 4 + 22);
    // Packets are no kernel structs.
    assert_eq!(core_relocations(objects::XDP), 0);
}

#[test]
fn debug_information_is_stripped_but_btf_is_not() {
    for elf in ALL {
        let file = object::File::parse(elf).expect("an ELF object");
        let names: Vec<_> = file.sections().filter_map(|section| section.name().ok().map(str::to_owned)).collect();
        assert!(names.iter().any(|name| name == ".BTF"));
        assert!(!names.iter().any(|name| name.starts_with(".debug")), "{names:?}");
    }
}

#[test]
fn no_path_of_the_machine_that_built_them_is_in_them() {
    for elf in ALL {
        let text = String::from_utf8_lossy(elf);
        let home = std::env::var("HOME").expect("cargo needs it");
        for path in [env!("CARGO_MANIFEST_DIR"), "/home/", &home] {
            assert!(!text.contains(path), "{path}");
        }
        assert!(text.contains("crates/ebpf/src/"), "the paths that should be there are");
    }
}
