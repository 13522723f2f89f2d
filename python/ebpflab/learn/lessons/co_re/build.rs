//! Hands src/core.ll to the linker, beside the program.

fn main() {
    let file = format!("{}/src/core.ll", std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed={file}");
    println!("cargo::rustc-link-arg-bins={file}");
}
