//! Small programs that verifiers refuse, each with a mended twin: crates/ebpf/src/zoo.rs. Here is what each is refused for,
//! and by which kernels.

use super::{Explanation, KINDS, Kind, UNKNOWN};
use crate::{
    bpf,
    error::{Error, Result},
    objects,
    schema::record,
};

/// The source of the programs: it is shown, and the line that is refused is looked up in it.
const SOURCE: &str = include_str!("../../../ebpf/src/zoo.rs");
/// Where that is, as the object has it.
pub const FILE: &str = "crates/ebpf/src/zoo.rs";
/// What stands above the line that is refused.
const MARK: &str = "// Refused:";

/// The kernels that are tested.
pub const SERIES: [Version; 5] = [Version(5, 10), Version(6, 1), Version(6, 12), Version(6, 18), Version(7, 3)];

/// A kernel's version, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// Of the text that `uname -r` gives.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|char: char| !char.is_ascii_digit()).map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

/// A program that is refused, and its twin.
#[derive(Debug)]
pub struct Specimen {
    /// Its name.
    pub name: &'static str,
    /// What it is refused for.
    pub kind: &'static str,
    /// Which kernels take it.
    pub accepted: Accepted,
}

/// Which kernels take a program that others refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// None that is tested.
    Never,
    /// Those of the matrix from this one on, and why.
    From(Version, &'static str),
}

/// All of them, the six that people meet first at the head. What a kernel refuses stands nowhere else.
pub static SPECIMENS: &[Specimen] = &[
    Specimen { name: "loop", kind: "unbounded-loop", accepted: Accepted::Never },
    Specimen { name: "uninit", kind: "uninitialised-register", accepted: Accepted::Never },
    Specimen { name: "bounds", kind: "packet-bounds", accepted: Accepted::Never },
    Specimen { name: "null", kind: "missing-null-check", accepted: Accepted::Never },
    Specimen { name: "stack", kind: "stack-limit", accepted: Accepted::Never },
    Specimen { name: "helper", kind: "helper-not-allowed", accepted: Accepted::Never },
    Specimen { name: "panic", kind: "no-exit", accepted: Accepted::Never },
    Specimen { name: "scalar", kind: "not-a-pointer", accepted: Accepted::Never },
    Specimen { name: "argument", kind: "argument-type", accepted: Accepted::Never },
    Specimen { name: "index", kind: "memory-bounds", accepted: Accepted::Never },
    Specimen { name: "offset", kind: "pointer-arithmetic", accepted: Accepted::Never },
    Specimen { name: "size", kind: "unbounded-size", accepted: Accepted::Never },
    Specimen { name: "context", kind: "context-access", accepted: Accepted::Never },
    Specimen { name: "leak", kind: "reference-leak", accepted: Accepted::Never },
    Specimen { name: "return", kind: "return-value", accepted: Accepted::Never },
    Specimen {
        name: "buffer",
        kind: "uninitialised-stack",
        accepted: Accepted::From(
            Version(6, 1),
            "Linux 6.3 began to let the privileged use stack that was never written, and stable kernels took that over.",
        ),
    },
    Specimen {
        name: "missing",
        kind: "missing-helper",
        accepted: Accepted::From(Version(6, 1), "bpf_ktime_get_coarse_ns came with Linux 5.11."),
    },
];

record! {
    /// A program of the zoo: one that verifiers refuse, and its mended twin.
    pub struct Broken = "broken" {
        /// Its name.
        pub name: String,
        /// What it is.
        pub what: String,
        /// The kind of refusal that it shows.
        pub kind: String,
        /// The kind in a few words.
        pub title: String,
        /// The kernels of the matrix that refuse it.
        pub refused_by: Vec<String>,
        /// Why the others take it; null where all refuse it.
        pub accepted_because: Option<String>,
        /// The file that it is in.
        pub file: String,
        /// The line that is refused.
        pub line: u32,
        /// Its source.
        pub source: String,
        /// The source of the mended twin.
        pub mended: String,
    }

    /// What this kernel makes of a program of the zoo.
    pub struct Trial = "trial" {
        /// Its name.
        pub name: String,
        /// Whether it should be refused here, by what is known of kernels of this age.
        pub refused_here: bool,
        /// Why it was refused; null where it was not.
        pub explanation: Option<Explanation>,
        /// The verifier's whole log; null where it was not refused.
        pub log: Option<String>,
        /// How many instructions of the mended twin the verifier went through; null on kernels before 5.16, which do not tell.
        pub verified_instructions: Option<u32>,
    }
}

impl Specimen {
    fn kind(&self) -> &'static Kind {
        KINDS.iter().find(|kind| kind.id == self.kind).unwrap_or(&UNKNOWN)
    }

    /// The program that is refused.
    pub fn broken_program(&self) -> String {
        format!("bad_{}", self.name)
    }

    /// Its twin.
    pub fn mended_program(&self) -> String {
        format!("good_{}", self.name)
    }

    /// Whether a kernel refuses it.
    pub fn is_refused_by(&self, kernel: Version) -> bool {
        match self.accepted {
            Accepted::Never => true,
            Accepted::From(first, _) => kernel < first,
        }
    }

    /// All there is to say about it.
    pub fn describe(&self) -> Broken {
        let (source, before) = function(&self.broken_program());
        let what: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("/// ")).collect();
        let line = source.lines().position(|line| line.trim() == MARK).unwrap_or_default();
        let code = |text: &str| {
            let shown = text.lines().filter(|line| line.trim() != MARK && !line.starts_with("///"));
            shown.collect::<Vec<_>>().join("\n")
        };
        Broken {
            name: self.name.to_owned(),
            what: what.join(" "),
            kind: self.kind.to_owned(),
            title: self.kind().title.to_owned(),
            refused_by: SERIES.iter().filter(|it| self.is_refused_by(**it)).map(ToString::to_string).collect(),
            accepted_because: match self.accepted {
                Accepted::Never => None,
                Accepted::From(_, why) => Some(why.to_owned()),
            },
            file: FILE.to_owned(),
            // The line below the mark, counted from 1.
            line: (before + line + 2) as u32,
            source: code(source),
            mended: code(function(&self.mended_program()).0),
        }
    }
}

/// The text of a function with its attributes and comments, and how many lines of the source stand before it.
fn function(name: &str) -> (&'static str, usize) {
    let named = format!("fn {name}(");
    let mut first = 0;
    let mut at = 0;
    // Functions are parted by empty lines.
    for block in SOURCE.split_inclusive("\n\n") {
        if block.contains(&named) {
            return (block.trim_end(), first);
        }
        first += block.lines().count();
        at += block.len();
    }
    (&SOURCE[at..], first)
}

/// All programs of the zoo.
pub fn specimens() -> Vec<Broken> {
    SPECIMENS.iter().map(Specimen::describe).collect()
}

/// Loads programs of the zoo, all or those named, each with its twin, and unloads them again.
///
/// # Errors
/// [`Error::InvalidArgument`] for a name that there is none of; [`Error::Privilege`]; whatever else keeps this kernel from
/// taking a twin.
pub fn load(name: Option<&str>) -> Result<Vec<Trial>> {
    let chosen: Vec<_> = SPECIMENS.iter().filter(|it| name.is_none_or(|name| it.name == name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = SPECIMENS.iter().map(|specimen| specimen.name).collect();
        let name = name.unwrap_or_default();
        return Err(Error::InvalidArgument(format!("the zoo has no {name}; it has {}", names.join(", "))));
    }
    let mut programs = bpf::Verifiable::open(objects::ZOO)?;
    let release = nix::sys::utsname::uname().map_err(Error::os("uname"))?;
    let kernel = Version::parse(&release.release().to_string_lossy());
    chosen.into_iter().map(|specimen| try_out(&mut programs, specimen, kernel)).collect()
}

fn try_out(programs: &mut bpf::Verifiable, specimen: &Specimen, kernel: Option<Version>) -> Result<Trial> {
    let (explanation, log) = match programs.load(&specimen.broken_program()) {
        Ok(_) => (None, None),
        Err(Error::Verifier { explained, log, .. }) => (Some(*explained), Some(log)),
        Err(error) => return Err(error),
    };
    Ok(Trial {
        name: specimen.name.to_owned(),
        refused_here: kernel.is_some_and(|kernel| specimen.is_refused_by(kernel)),
        explanation,
        log,
        verified_instructions: programs.load(&specimen.mended_program())?,
    })
}
