//! Loads the program for a cgroup, and logs every two seconds what it sends: `RUST_LOG=info cargo run CGROUP [PORT]`
//!
//! CGROUP is a folder of the cgroup v2 hierarchy, /sys/fs/cgroup mostly, and PORT one that is forbidden.

use std::{collections::BTreeMap, env, fs::File, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{
    EbpfLoader, include_bytes_aligned,
    maps::HashMap,
    programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType},
};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/cgroup_skb"));

fn main() -> ExitCode {
    env_logger::init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // <course>
    ensure!(!OBJECT.is_empty(), "this was built without a BPF toolchain; run scripts/setup, and cargo build again");
    // </course>
    let mut arguments = env::args().skip(1);
    let path = arguments.next().context("say which cgroup: cargo run CGROUP [PORT], with /sys/fs/cgroup for all")?;
    let blocked: u16 = match arguments.next() {
        Some(port) => port.parse().with_context(|| format!("{port} is no port; one is a number up to 65535"))?,
        None => 0,
    };
    let cgroup = File::open(&path).with_context(|| format!("cannot open {path}; name a folder of cgroup v2"))?;
    let mut ebpf = EbpfLoader::new()
        .override_global("BLOCKED", &blocked, true)
        .load(OBJECT)
        .context("cannot load the object; are you root?")?;
    let program: &mut CgroupSkb = ebpf.program_mut("sends").context("the object has no program sends")?.try_into()?;
    program.load()?;
    // This is by a link, beside which others may be: Single says only that there is no flag for that.
    program
        .attach(cgroup, CgroupSkbAttachType::Egress, CgroupAttachMode::Single)
        .with_context(|| format!("cannot attach to {path}; is it a folder of cgroup v2?"))?;
    info!("attached; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        for name in ["SENT", "DENIED"] {
            let map = ebpf.map(name).with_context(|| format!("the object has no map {name}"))?;
            let counts = HashMap::<_, u16, u64>::try_from(map)?.iter().collect::<Result<BTreeMap<_, _>, _>>()?;
            let told: Vec<_> = counts.iter().map(|(port, count)| format!("{port}: {count}")).collect();
            info!("{name} {}", told.join(" "));
        }
    }
}
