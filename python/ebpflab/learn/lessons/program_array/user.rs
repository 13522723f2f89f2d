//! Loads the programs, puts them together, and logs their counts: `RUST_LOG=info cargo run [INTERFACE [PROTOCOL...]]`
//!
//! Packets of each PROTOCOL, a number of those that IP has, are refused: 1 is ICMP.

use std::{collections::BTreeMap, env, fmt::Write as _, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, include_bytes_aligned,
    maps::{PerCpuArray, PerCpuHashMap, ProgramArray},
    programs::{Xdp, XdpMode},
};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/program_array"));
const TCP: u32 = 6;
const UDP: u32 = 17;

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
    let interface = arguments.next().unwrap_or_else(|| "lo".to_owned());
    let mut slots = BTreeMap::from([(TCP, "ports"), (UDP, "ports")]);
    for protocol in arguments {
        slots.insert(protocol.parse().with_context(|| format!("{protocol} is no number of a protocol"))?, "refuse");
    }
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    for name in ["start", "ports", "refuse"] {
        loaded(&mut ebpf, name)?;
    }
    for (protocol, name) in slots {
        let program = loaded(&mut ebpf, name)?.fd()?.try_clone()?;
        let programs = ebpf.map_mut("PROGRAMS").context("the object has no map PROGRAMS")?;
        ProgramArray::try_from(programs)?.set(protocol, &program, 0)?;
    }
    // The others are called by it, and attached nowhere.
    let start = loaded(&mut ebpf, "start")?;
    start.attach(&interface, XdpMode::default()).with_context(|| format!("cannot attach to {interface}"))?;
    info!("attached to {interface}; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        info!("{}", told(&ebpf)?);
    }
}

/// A program, which is loaded if it was not.
fn loaded<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    Ok(program)
}

/// What was counted. Each CPU has its own.
fn told(ebpf: &Ebpf) -> Result<String> {
    let total = |name: &str| -> Result<u64> {
        let map = ebpf.map(name).with_context(|| format!("the object has no map {name}"))?;
        Ok(PerCpuArray::<_, u64>::try_from(map)?.get(&0, 0)?.iter().sum())
    };
    let ports: PerCpuHashMap<_, u16, u64> =
        PerCpuHashMap::try_from(ebpf.map("PORTS").context("the object has no map PORTS")?)?;
    let mut text = format!("refused {} missed {} ports", total("REFUSED")?, total("MISSED")?);
    for (port, by_cpu) in ports.iter().collect::<Result<BTreeMap<_, _>, _>>()? {
        write!(text, " {port}: {}", by_cpu.iter().sum::<u64>())?;
    }
    Ok(text)
}
