//! The loader's errors as Python exceptions, whose classes are Python (`ebpflab.errors`).

use ebpflab::{error::Error, schema::Record as _};
use pyo3::{exceptions::PyValueError, import_exception, prelude::*};

import_exception!(ebpflab.errors, AttachError);
import_exception!(ebpflab.errors, ClosedError);
import_exception!(ebpflab.errors, EbpflabError);
import_exception!(ebpflab.errors, NotSupportedError);
import_exception!(ebpflab.errors, PrivilegeError);
import_exception!(ebpflab.errors, VerifierError);

/// Every error has its exception; there is no catch-all, so that a new one must be given its own.
pub(crate) fn to_python(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::NotSupported { feature, needs, reason } => NotSupportedError::new_err((message, feature, needs, reason)),
        Error::Privilege { missing, fix, .. } => PrivilegeError::new_err((message, missing, fix)),
        Error::Verifier { program, explained, log } => {
            let explained = String::from_utf8_lossy(&explained.to_json_line()).into_owned();
            VerifierError::new_err((message, program, log, explained))
        }
        Error::Attach { target, reason } => AttachError::new_err((message, target, reason)),
        Error::Gone { target } => AttachError::new_err((message, target, "it went away")),
        Error::InvalidArgument(_) => PyValueError::new_err(message),
        Error::Closed => ClosedError::new_err(message),
        Error::Object(_) => EbpflabError::new_err(message),
        // Becomes PermissionError, FileNotFoundError and so on, by its kind.
        Error::Os { source, .. } => std::io::Error::new(source.kind(), message).into(),
    }
}
