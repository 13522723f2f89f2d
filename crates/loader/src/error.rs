//! What can go wrong, in the terms of whoever asked for it.

use std::io;

use crate::verifier::Explanation;

/// Result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Each message names the operation and the object, and says what to do next where there is something to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel, the driver or the machine cannot do it.
    #[error("{feature} cannot work here: {reason}; it needs {needs}")]
    NotSupported {
        /// What was asked for.
        feature: String,
        /// What would make it work: a kernel option, a mount, a driver.
        needs: String,
        /// Why it does not.
        reason: String,
    },
    /// The process lacks capabilities.
    #[error("{operation} needs {}; {fix}", .missing.join(" and "))]
    Privilege {
        /// What was tried.
        operation: String,
        /// Capabilities that the process does not have.
        missing: Vec<&'static str>,
        /// What to type.
        fix: String,
    },
    /// The verifier refused a program.
    #[error("the kernel's verifier refused the program {program}: {}", .explained.reason)]
    Verifier {
        /// Name of the program.
        program: String,
        /// Why, the verifier's reason in one line included.
        explained: Box<Explanation>,
        /// All that the verifier wrote.
        log: String,
    },
    /// A program cannot be attached to its target, or the target went away.
    #[error("cannot attach to {target}: {reason}")]
    Attach {
        /// What it was to be attached to.
        target: String,
        /// Why that failed, and what to do.
        reason: String,
    },
    /// What a program was attached to is gone.
    #[error("{target} went away while it was watched")]
    Gone {
        /// What the program was attached to.
        target: String,
    },
    /// An argument is out of its range.
    #[error("{0}")]
    InvalidArgument(String),
    /// The session was closed before.
    #[error("the session is closed")]
    Closed,
    /// A BPF object cannot be loaded.
    #[error("cannot load the BPF object: {0}")]
    Object(String),
    /// A system call failed.
    #[error("{operation}: {source}")]
    Os {
        /// What was tried.
        operation: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// An [`Error::Os`] of an operation, for `map_err`.
    pub(crate) fn os<E: Into<io::Error>>(operation: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::Os { operation: operation.into(), source: source.into() }
    }
}

/// An error with all its causes, each only once: aya's messages often leave the cause to `source`.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
