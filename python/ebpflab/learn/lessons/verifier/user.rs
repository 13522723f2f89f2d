//! Loads one of the programs, attaches it, and logs its maps: `RUST_LOG=info cargo run -- [PROGRAM [INTERFACE]]`
//!
//! PROGRAM is one of the six functions, `ports` without. An interface has one program for XDP at a time.

use std::{collections::BTreeMap, env, fmt::Display, process::ExitCode, thread, time::Duration};

// <course>
use anyhow::ensure;
// </course>
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, Pod, include_bytes_aligned,
    maps::{Array, HashMap, Map},
    programs::{Xdp, XdpMode},
};
use log::info;

/// What the build script made of ebpf.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/verifier"));
/// What is asked for: ICMP, TCP and UDP.
const ASKED: [u8; 3] = [1, 6, 17];

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
    let name = env::args().nth(1).unwrap_or_else(|| "ports".to_owned());
    let interface = env::args().nth(2).unwrap_or_else(|| "lo".to_owned());
    let mut ebpf = Ebpf::load(OBJECT).context("cannot load the object; are you root?")?;
    let program = ebpf.program_mut(&name).with_context(|| format!("the object has no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    // What the verifier says against it stands in the error.
    program.load()?;
    program.attach(&interface, XdpMode::default()).with_context(|| format!("cannot attach to {interface}"))?;
    let mut asked = HashMap::<_, u8, u64>::try_from(ebpf.map_mut("ASKED").context("the object has no map ASKED")?)?;
    for protocol in ASKED {
        asked.insert(protocol, 0, 0)?;
    }
    info!("{name} is attached to {interface}; Ctrl-C ends it");
    loop {
        thread::sleep(Duration::from_secs(2));
        for line in told(&ebpf, &name)? {
            info!("{line}");
        }
    }
}

/// What a program has put into its maps.
fn told(ebpf: &Ebpf, program: &str) -> Result<Vec<String>> {
    let map = |name: &str| ebpf.map(name).with_context(|| format!("the object has no map {name}"));
    Ok(match program {
        "ports" => vec![format!("PORTS{}", entries::<u16>(map("PORTS")?)?)],
        "asked" => vec![format!("ASKED{}", entries::<u8>(map("ASKED")?)?)],
        "lengths" => {
            let no_room = Array::<_, u64>::try_from(map("NO_ROOM")?)?.get(&0, 0)?;
            vec![format!("LENGTHS{}", entries::<u32>(map("LENGTHS")?)?), format!("NO_ROOM {no_room}")]
        }
        "first" => vec![format!("FIRST{}", entries::<u8>(map("FIRST")?)?)],
        "frames" => {
            // The length of a frame is the first of its words; it is enough.
            let frames = Array::<_, [u64; 32]>::try_from(map("FRAMES")?)?;
            let lengths = (0..3).map(|index| Ok(format!(" {index}: {}", frames.get(&index, 0)?[0])));
            vec![format!("FRAMES{}", lengths.collect::<Result<String>>()?)]
        }
        _ => Vec::new(),
    })
}

/// The entries of a map, by their keys.
fn entries<K: Pod + Ord + Display>(map: &Map) -> Result<String> {
    let map = HashMap::<_, K, u64>::try_from(map)?;
    let found = map.iter().collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(found.iter().map(|(key, value)| format!(" {key}: {value}")).collect())
}
