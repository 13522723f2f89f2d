//! What works here and what does not, found by trying: small programs and maps of every kind are loaded and made, never
//! a tool itself, and never is it concluded from the kernel's version.

mod kernel;
mod leftovers;
mod machine;
mod tools;
mod xdp;

pub use tools::{TOOLS, verdict};

use crate::{bpf::probe::Known, privilege, records::Feature};

/// Everything there is to say about the kernel, the machine and this process.
pub fn features() -> Vec<Feature> {
    // First, since the kernel takes its time to free the programs that are tried here.
    let leftovers = leftovers::features();
    [
        kernel::features(),
        machine::capabilities(),
        tools::hooks(),
        kernel::programs_and_maps(),
        machine::cgroups(),
        xdp::interfaces(),
        leftovers,
    ]
    .concat()
}

/// The feature is there.
fn yes(group: &str, name: impl Into<String>, found: impl Into<String>) -> Feature {
    Feature {
        group: group.to_owned(),
        name: name.into(),
        answer: "yes".to_owned(),
        found: found.into(),
        costs: None,
        fix: None,
    }
}

/// It is not there.
fn no(group: &str, name: impl Into<String>, found: impl Into<String>, costs: &str, fix: impl Into<String>) -> Feature {
    Feature { answer: "no".to_owned(), costs: Some(costs.to_owned()), fix: Some(fix.into()), ..yes(group, name, found) }
}

/// It is not there, and nobody misses it.
fn not_needed(group: &str, name: impl Into<String>, found: impl Into<String>) -> Feature {
    Feature { answer: "no".to_owned(), ..yes(group, name, found) }
}

/// It cannot be known.
fn unknown(group: &str, name: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Feature {
    Feature { answer: "unknown".to_owned(), fix: Some(fix.into()), ..yes(group, name, found) }
}

/// What mends what is neither missing nor refused.
const AN_ERROR: &str = "mend that error first";

/// The answer of a probe of the kernel. It has none for those who may not ask.
fn probed(group: &str, name: &str, known: Known, what: &str, costs: &str, fix: &str) -> Feature {
    match known {
        Ok(true) => yes(group, name, what),
        Ok(false) => no(group, name, "the kernel does not have it", costs, fix),
        Err(error) if !privilege::NETWORK.iter().all(|capability| privilege::holds(*capability)) => {
            unknown(group, name, error.reason, privilege::fix(privilege::NETWORK))
        }
        Err(error) if error.is_refusal => {
            no(group, name, format!("refused: {}", error.reason), costs, privilege::POLICY)
        }
        Err(error) => unknown(group, name, error.reason, AN_ERROR),
    }
}
