//! What a function is given and what it returns: as the kernel tells of its own, as the user says of others.

use ebpflab_common::returns::Value;

use super::pairs::Function;
use crate::{
    btf::{Btf, Shape},
    error::{Error, Result},
    hooks::Kind,
    inspect,
};

/// How many bits what a function returns has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Returned {
    /// 8, 16, 32 or 64. Unless told, what the kernel tells of its functions, and 64.
    pub bits: Option<u32>,
    /// With `bits`: none of them is a sign.
    pub unsigned: bool,
}

impl Returned {
    /// # Errors
    /// [`Error::InvalidArgument`] for what no value has.
    pub(super) fn check(self) -> Result<()> {
        self.value().map(drop)
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for what no value has.
    fn value(self) -> Result<Option<Value>> {
        let wrong = |why: &str| Err(Error::InvalidArgument(why.to_owned()));
        let Self { bits, unsigned } = self;
        match (bits, unsigned) {
            (Some(8 | 16 | 32), _) | (Some(64), false) => {
                Ok(bits.map(|bits| Value { bits, signed: (!unsigned).into() }))
            }
            (Some(64), true) => wrong("values of 64 bits are signed"),
            (Some(_), _) => wrong("a value has 8, 16, 32 or 64 bits"),
            (None, true) => wrong("without a sign are only values of 8, 16 or 32 bits: say how many"),
            (None, false) => Ok(None),
        }
    }
}

/// What is known of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prototype {
    /// `None`: it returns nothing.
    pub(super) value: Option<Value>,
    /// Words that its arguments take; `None`: nobody knows.
    pub(super) arguments: Option<u32>,
}

impl Prototype {
    /// Of a function that nothing is known of.
    pub(super) const UNKNOWN: Self = Self { value: Some(Value::LONG), arguments: None };

    /// That of a function, as far as it is known. Of one that it is not known of the kernel makes no trampoline: that
    /// way is taken out, unless it was asked for.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what no value has.
    pub(super) fn of(function: &mut Function, returned: Returned) -> Result<Self> {
        let asked = returned.value()?;
        let known = function.kernel.as_deref().and_then(|name| prototype(&inspect::kernel_types()?, name));
        if known.is_none() {
            let hook = function.asked;
            function.ways.retain(|way| way.kind != Kind::Fentry || hook == Some(Kind::Fentry));
        }
        let prototype = known.unwrap_or(Self::UNKNOWN);
        Ok(Self { value: prototype.value.map(|value| asked.unwrap_or(value)), ..prototype })
    }
}

/// What the kernel tells of one of its functions; `None` where it tells nothing.
fn prototype(kernel: &Btf<'_>, name: &str) -> Option<Prototype> {
    let function = kernel.named(name).find(|number| matches!(kernel.shape(*number), Some(Shape::Named(_))))?;
    let (_, Shape::Function(value, parameters)) = kernel.bare(function)? else { return None };
    let short = |bytes: usize, signed: bool| match bytes {
        1 | 2 | 4 => Value { bits: bytes as u32 * 8, signed: signed.into() },
        _ => Value::LONG,
    };
    let value = match kernel.bare(value)?.1 {
        Shape::Void => None,
        Shape::Int { bytes, is_signed, .. } | Shape::Enum { bytes, is_signed, .. } => Some(short(bytes, is_signed)),
        _ => Some(Value::LONG),
    };
    let words = parameters.iter().map(|(_, number)| Some(kernel.size(*number)?.div_ceil(size_of::<u64>()) as u32));
    Some(Prototype { value, arguments: Some(words.sum::<Option<u32>>()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_of_the_running_kernel_returns_is_known() {
        let Some(kernel) = inspect::kernel_types() else { return };
        let value = |bits, signed| Some(Value { bits, signed });
        for (name, expected, arguments) in [
            ("vfs_read", value(64, 1), 4),
            ("capable", value(8, 0), 1),
            ("security_file_open", value(32, 1), 1),
            ("schedule", None, 0),
        ] {
            let expected = Prototype { value: expected, arguments: Some(arguments) };
            assert_eq!(prototype(&kernel, name), Some(expected), "{name}");
        }
        assert_eq!(prototype(&kernel, "no_such_function"), None);
    }

    #[test]
    fn what_no_value_has_is_refused() {
        let value = |bits, unsigned| Returned { bits, unsigned }.value();
        let told = |bits, unsigned| value(bits, unsigned).expect_err("no value").to_string();
        assert_eq!(told(Some(64), true), "values of 64 bits are signed");
        assert_eq!(told(Some(12), false), "a value has 8, 16, 32 or 64 bits");
        assert!(told(None, true).contains("say how many"));
        assert_eq!(value(Some(32), true).expect("a value"), Some(Value { bits: 32, signed: 0 }));
        assert_eq!(value(None, false).expect("nothing"), None);
    }
}
