//! Loads the program, attaches it, and logs every two seconds what leaves: `RUST_LOG=info cargo run [INTERFACE]`

mod common;

use std::{env, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, Pod, include_bytes_aligned,
    maps::PerCpuArray,
    programs::{LinkOrder, SchedClassifier, TcAttachType, tc::TcAttachOptions},
};
use common::{OTHER, TCP, Traffic, UDP};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tc"));

// SAFETY: it is two numbers without a gap, so any bytes are a Traffic.
unsafe impl Pod for Traffic {}

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
    let program: &mut SchedClassifier = ebpf.program_mut("leaves").context("no program leaves")?.try_into()?;
    program.load()?;
    // On a kernel without TCX `attach` would take a filter, which stays there when this ends.
    let tcx = TcAttachOptions::TcxOrder(LinkOrder::default());
    program
        .attach_with_options(&interface, TcAttachType::Egress, tcx)
        .with_context(|| format!("cannot attach to {interface} by TCX, which takes Linux 6.6"))?;
    let traffic: PerCpuArray<_, Traffic> =
        PerCpuArray::try_from(ebpf.map("TRAFFIC").context("the object has no map TRAFFIC")?)?;
    info!("attached to {interface}; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        let told = |name, index| -> Result<String> {
            // Each CPU has its own.
            let all = traffic.get(&index, 0)?;
            let (packets, bytes) = all.iter().fold((0, 0), |sum, each| (sum.0 + each.packets, sum.1 + each.bytes));
            Ok(format!("{name} {packets} packets {bytes} bytes"))
        };
        info!("{}; {}; {}", told("tcp", TCP)?, told("udp", UDP)?, told("other", OTHER)?);
    }
}
