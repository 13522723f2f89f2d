//! Chooses the BPF objects that `src/objects.rs` embeds: the committed ones in `bpf/` where they match their
//! sources, so that no BPF toolchain is needed; else it builds them with aya-build, or says what is missing.
//!
//! `EBPFLAB_BPF=prebuilt` or `build` forces either; `refresh` (what `cargo build-ebpf` sets) builds them for every
//! architecture and writes them to `bpf/`. The convention is that of cilium's bpf2go.

// One file for all build scripts that build for BPF, those of the lessons too, which are in the Python package.
#[path = "../../python/ebpflab/learn/template/toolchain.rs"]
mod toolchain;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::exit,
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya_build::{Package, Toolchain};
use object::build::elf::{Builder, SectionData};
use sha2::{Digest as _, Sha256};

use crate::toolchain::BpfToolchain;

/// One object for each tool: the stems of the files in crates/ebpf/src and of `bpf/ARCH/*.o`.
const OBJECTS: &[&str] = &[
    "calls",
    "cgroup",
    "count",
    "dashboard",
    "exec",
    "flows",
    "latency",
    "open",
    "probe",
    "returns",
    "runqueue",
    "stacks",
    "syscalls",
    "trace",
    "traffic",
    "xdp",
    "zoo",
];
/// `bpf_target_arch`: programs read registers and call numbers, so each machine has its own objects.
const ARCHES: &[&str] = &["aarch64", "x86_64"];
const MANIFEST: &str = "bpf/manifest.toml";
const HELP: &str = "run scripts/setup (once) and cargo build-ebpf";

fn main() {
    if let Err(error) = run() {
        println!("cargo::error=BPF objects: {error:#}; {HELP}");
        exit(1);
    }
}

fn run() -> Result<()> {
    println!("cargo::rerun-if-env-changed=EBPFLAB_BPF");
    for path in ["build.rs", "bpf", "../ebpf", "../common/src", "../../Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    if !ARCHES.contains(&arch.as_str()) {
        bail!("there are none for {arch}, only for {}", ARCHES.join(" and "));
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let sources = hash_sources()?;
    match env::var("EBPFLAB_BPF").as_deref() {
        Ok("prebuilt") => embed_prebuilt(&sources, &arch, &out)?,
        Ok("build") => build(&toolchain::find()?, &arch, &out)?,
        Ok("refresh") => {
            refresh(&sources, &out)?;
            embed_prebuilt(&sources, &arch, &out)?;
        }
        Ok(other) if !other.is_empty() => bail!("EBPFLAB_BPF={other} means nothing; it is prebuilt, build or refresh"),
        _ => {
            if let Err(stale) = embed_prebuilt(&sources, &arch, &out) {
                let toolchain = toolchain::find().map_err(|missing| anyhow!("{stale:#}; {missing}"))?;
                build(&toolchain, &arch, &out)?;
            }
        }
    }
    Ok(())
}

/// Copies the committed objects to `OUT_DIR`, if they were built from these sources and are whole.
fn embed_prebuilt(sources: &str, arch: &str, out: &Path) -> Result<()> {
    let manifest: BTreeMap<String, String> =
        toml::from_str(&fs::read_to_string(MANIFEST).with_context(|| format!("cannot read {MANIFEST}"))?)?;
    if manifest.get("sources").map(String::as_str) != Some(sources) {
        bail!("the committed ones are older than their sources");
    }
    for name in OBJECTS {
        let file = object_name(arch, name);
        let path = Path::new("bpf").join(&file);
        let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if manifest.get(&file) != Some(&hex(&Sha256::digest(&object))) {
            bail!("{} is not the one that was built", path.display());
        }
        fs::write(out.join(format!("{name}.o")), object)?;
    }
    Ok(())
}

/// Builds the objects for one architecture into `out`, stripped.
fn build(toolchain: &BpfToolchain, arch: &str, out: &Path) -> Result<()> {
    println!("cargo::warning=BPF objects: building for {arch} with {toolchain}");
    let dir = out.join(arch);
    fs::create_dir_all(&dir)?;
    let root = fs::canonicalize("../..")?;
    let settings = [
        ("CARGO_CFG_TARGET_ARCH", arch.into()),
        ("OUT_DIR", dir.clone().into_os_string()),
        ("RUSTC_WRAPPER", root.join("crates/ebpf/rustc-remap").into_os_string()),
        ("EBPFLAB_ROOT", root.clone().into_os_string()),
    ];
    // SAFETY: a build script's only thread.
    unsafe {
        for (key, value) in settings {
            env::set_var(key, value);
        }
    }
    toolchain.set_bootstrap();
    let root_dir = root.join("crates/ebpf");
    let package = Package {
        name: "ebpflab-ebpf",
        root_dir: root_dir.to_str().context("the path of the sources is not UTF-8")?,
        ..Package::default()
    };
    aya_build::build_ebpf([package], Toolchain::Custom(&toolchain.name))?;
    for name in OBJECTS {
        let object = fs::read(dir.join(name)).with_context(|| format!("no object {name} was built"))?;
        fs::write(out.join(format!("{name}.o")), strip(&object)?)?;
    }
    Ok(())
}

/// Builds the objects for every architecture and puts them and the manifest into `bpf/`.
fn refresh(sources: &str, out: &Path) -> Result<()> {
    let toolchain = toolchain::find()?;
    let mut manifest = BTreeMap::from([
        ("sources".to_owned(), sources.to_owned()),
        ("rustc".to_owned(), toolchain.rustc.clone()),
        ("bpf-linker".to_owned(), toolchain.linker.clone()),
    ]);
    for arch in ARCHES {
        // From nothing: cargo does not know that rustc-remap is part of what it caches.
        let _ = fs::remove_dir_all(out.join(arch));
        build(&toolchain, arch, out)?;
        fs::create_dir_all(Path::new("bpf").join(arch))?;
        for name in OBJECTS {
            let object = fs::read(out.join(format!("{name}.o")))?;
            let file = object_name(arch, name);
            manifest.insert(file.clone(), hex(&Sha256::digest(&object)));
            fs::write(Path::new("bpf").join(file), object)?;
        }
    }
    let text = format!("# Written by `cargo build-ebpf`.\n{}", toml::to_string(&manifest)?);
    fs::write(MANIFEST, text)?;
    Ok(())
}

fn object_name(arch: &str, name: &str) -> String {
    format!("{arch}/{name}.o")
}

/// Takes DWARF out (nine tenths of the file); BTF and BTF.ext, which the kernel and the loader read, stay.
fn strip(object: &[u8]) -> Result<Vec<u8>> {
    let mut elf = Builder::read(object)?;
    for section in &mut elf.sections {
        if section.name.starts_with(b".debug_") || section.name.starts_with(b".rel.debug_") {
            section.delete = true;
        }
    }
    elf.delete_orphans();
    // LLVM puts section names among the symbols' names; the writer wants a table of their own.
    let names = elf.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = object::elf::SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped)?;
    Ok(stripped)
}

/// A hash over all that the objects are made of: the Rust files of both crates (build.rs writes the IR) and the
/// locked versions of what they depend on. Not the Cargo.toml files, which maturin rewrites in an sdist.
fn hash_sources() -> Result<String> {
    let mut files = vec![PathBuf::from("../ebpf/build.rs"), PathBuf::from("../ebpf/rustc-remap")];
    for dir in ["../ebpf/src", "../common/src"] {
        collect(Path::new(dir), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let text = fs::read(&file)?;
        hash.update(format!("{}\n{}\n", file.display(), text.len()));
        hash.update(text);
    }
    for line in locked_versions()? {
        hash.update(line);
    }
    Ok(hex(&hash.finalize()))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// `name version checksum` of every package that the BPF crate depends on, from Cargo.lock.
fn locked_versions() -> Result<BTreeSet<String>> {
    let lock: toml::Table = toml::from_str(&fs::read_to_string("../../Cargo.lock")?)?;
    let packages = lock["package"].as_array().context("Cargo.lock has no packages")?;
    let text = |package: &toml::Value, key| package.get(key).and_then(toml::Value::as_str).unwrap_or("").to_owned();
    let mut found = BTreeSet::new();
    // Of the common crate only what the BPF crate takes counts: its `user` feature is the loader's.
    let mut wanted = vec!["aya-ebpf".to_owned()];
    while let Some(name) = wanted.pop() {
        for package in packages.iter().filter(|package| text(package, "name") == name) {
            let line = format!("{name} {} {}\n", text(package, "version"), text(package, "checksum"));
            if found.insert(line) {
                let dependencies = package.get("dependencies").and_then(toml::Value::as_array);
                let names = dependencies.into_iter().flatten().filter_map(toml::Value::as_str);
                wanted.extend(names.filter_map(|name| name.split(' ').next()).map(str::to_owned));
            }
        }
    }
    Ok(found)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
