//! Builds the programs of the lessons, where there is a BPF toolchain. Where there is none the binaries say so: the rest
//! of the workspace builds without.

#[path = "../../python/ebpflab/learn/template/toolchain.rs"]
mod toolchain;

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain, build_ebpf};

const LESSONS: &str = "../../python/ebpflab/learn/lessons";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed={LESSONS}");
    println!("cargo::rerun-if-changed=build.rs");
    // They stay so where there is no toolchain, and where AYA_BUILD_SKIP=1 says that only the source is looked at.
    empty_objects()?;
    match toolchain::find() {
        Ok(toolchain) => {
            toolchain.set_bootstrap();
            let root = fs::canonicalize("../course-ebpf")?;
            let root_dir = root.to_str().context("the path of the sources is not UTF-8")?;
            let package = Package { name: "ebpflab-course-ebpf", root_dir, ..Package::default() };
            build_ebpf([package], Toolchain::Custom(&toolchain.name))
        }
        Err(missing) => {
            println!("cargo::warning=the lessons' programs are not built: {missing}; run scripts/setup");
            // There is no such file, so this is asked again whenever something is built.
            println!("cargo::rerun-if-changed=until-there-is-a-toolchain");
            Ok(())
        }
    }
}

/// An empty object for each lesson, by which its binary knows.
fn empty_objects() -> Result<()> {
    let out = env::var("OUT_DIR")?;
    for entry in fs::read_dir(LESSONS).context("cannot list the lessons")? {
        let entry = entry?;
        if entry.path().is_dir() {
            fs::write(Path::new(&out).join(entry.file_name()), [])?;
        }
    }
    Ok(())
}
