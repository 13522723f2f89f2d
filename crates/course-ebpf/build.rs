//! Hands to the linker what a lesson has beside its program.

use std::fs;

const LESSONS: &str = "../../python/ebpflab/learn/lessons";

fn main() {
    println!("cargo::rerun-if-changed={LESSONS}");
    for entry in fs::read_dir(LESSONS).expect("list the lessons") {
        let lesson = entry.expect("list the lessons");
        let Ok(ir) = fs::canonicalize(lesson.path().join("core.ll")) else { continue };
        println!("cargo::rerun-if-changed={}", ir.display());
        println!("cargo::rustc-link-arg-bin={}={}", lesson.file_name().display(), ir.display());
    }
}
