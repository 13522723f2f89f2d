//! Builds src/ebpf.rs for BPF, so that the user side can have the object inside of it.

mod toolchain;

use aya_build::{Package, Toolchain, build_ebpf};

fn main() -> anyhow::Result<()> {
    let toolchain = toolchain::find()?;
    toolchain.set_bootstrap();
    let package = Package { name: "lesson-ebpf", root_dir: "../src", ..Package::default() };
    build_ebpf([package], Toolchain::Custom(&toolchain.name))
}
