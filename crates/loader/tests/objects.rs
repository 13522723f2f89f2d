//! What the embedded objects are made of; needs neither root nor a BPF toolchain.

use ebpflab::objects;
use object::{Object as _, ObjectSection as _};

#[test]
fn debug_information_is_stripped_but_btf_is_not() {
    for elf in objects::ALL {
        let file = object::File::parse(elf).expect("an ELF object");
        let names: Vec<_> = file.sections().filter_map(|section| section.name().ok().map(str::to_owned)).collect();
        assert!(names.iter().any(|name| name == ".BTF"));
        assert!(!names.iter().any(|name| name.starts_with(".debug")), "{names:?}");
    }
}

#[test]
fn no_path_of_the_machine_that_built_them_is_in_them() {
    for elf in objects::ALL {
        let text = String::from_utf8_lossy(elf);
        let home = std::env::var("HOME").expect("cargo needs it");
        for path in [env!("CARGO_MANIFEST_DIR"), "/home/", &home] {
            assert!(!text.contains(path), "{path}");
        }
        assert!(text.contains("crates/ebpf/src/"), "the paths that should be there are");
    }
}
