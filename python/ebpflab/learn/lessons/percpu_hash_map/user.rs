//! Loads the program, attaches it, and logs its counts every two seconds, by CPU: `RUST_LOG=info cargo run`

use std::{cmp::Reverse, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{Ebpf, include_bytes_aligned, maps::PerCpuHashMap, programs::RawTracePoint};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/percpu_hash_map"));
/// How many processes are told.
const SHOWN: usize = 10;

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
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    let program: &mut RawTracePoint = ebpf.program_mut("counted").context("no program counted")?.try_into()?;
    program.load()?;
    program.attach("sys_enter").context("cannot attach to the raw tracepoint sys_enter")?;
    let counts: PerCpuHashMap<_, u32, u64> =
        PerCpuHashMap::try_from(ebpf.map("COUNTS").context("the object has no map COUNTS")?)
            .context("COUNTS is no PerCpuHashMap (TODO 1 of src/ebpf.rs)")?;
    info!("attached; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        // Under each key there is a value for each CPU; the count is their sum.
        let mut busiest = counts.iter().collect::<Result<Vec<_>, _>>()?;
        busiest.sort_by_key(|(_, by_cpu)| Reverse(by_cpu.iter().sum::<u64>()));
        for (pid, by_cpu) in busiest.iter().take(SHOWN) {
            let each = by_cpu.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            info!("pid {pid} opened {} files, by CPU ({each})", by_cpu.iter().sum::<u64>());
        }
    }
}
