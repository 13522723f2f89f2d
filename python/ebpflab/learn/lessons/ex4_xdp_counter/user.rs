//! Loads the program, attaches it, and logs its counts every two seconds: `RUST_LOG=info cargo run [INTERFACE]`

mod common;

use std::{env, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, include_bytes_aligned,
    maps::PerCpuArray,
    programs::{Xdp, XdpMode},
};
use common::{ICMP, OTHER, TCP, UDP};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ex4_xdp_counter"));

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
    let interface = env::args().nth(1).unwrap_or_else(|| "lo".to_owned());
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    let program: &mut Xdp = ebpf.program_mut("count_packets").context("no program count_packets")?.try_into()?;
    program.load()?;
    program.attach(&interface, XdpMode::default()).with_context(|| format!("cannot attach to {interface}"))?;
    let counts: PerCpuArray<_, u64> =
        PerCpuArray::try_from(ebpf.map("COUNTS").context("the object has no map COUNTS")?)?;
    info!("attached to {interface}; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        // Each CPU has its own.
        let total = |index| counts.get(&index, 0).map(|all| all.iter().sum::<u64>());
        info!("tcp {} udp {} icmp {} other {}", total(TCP)?, total(UDP)?, total(ICMP)?, total(OTHER)?);
    }
}
