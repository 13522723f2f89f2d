//! The kernel's types.

use std::fs;

use crate::{
    btf::{self, Btf, Layout, Member, Shape, declaration},
    error::{Error, Result},
    records::{BtfEnumerator, BtfMember, BtfType, Members},
    targets::nearest,
};

const PATH: &str = "/sys/kernel/btf/vmlinux";
/// Words that may stand before a name, and say which of several types it is.
const WORDS: [&str; 4] = ["struct", "union", "enum", "typedef"];
/// How deep structs are told in each other.
const DEEPEST: usize = 32;

/// The kernel's own types, without those of modules.
pub(crate) fn kernel() -> Option<Btf<'static>> {
    Btf::parse(fs::read(PATH).ok()?)
}

/// A type of the kernel by its name (`task_struct`, `struct task_struct`, `pid_t`), or a function.
///
/// # Errors
/// [`Error::InvalidArgument`] for what there is not, with the nearest names; [`Error::NotSupported`] where the kernel does
/// not tell its types.
pub fn kernel_type(name: &str) -> Result<BtfType> {
    let kernel = told()?;
    let number = find(&kernel, name)?;
    describe(&kernel, number).ok_or_else(malformed)
}

/// The same, printed.
///
/// # Errors
/// The same; [`Error::InvalidArgument`] too for a type that has no layout in Python.
pub fn kernel_layout(name: &str, layout: Layout) -> Result<String> {
    let kernel = told()?;
    let number = find(&kernel, name)?;
    match layout {
        Layout::C => btf::c_layout(&kernel, number).ok_or_else(malformed),
        Layout::Python => btf::python_layout(&kernel, number).ok_or_else(|| {
            Error::InvalidArgument(format!("{name} is no struct or union, so ctypes has no class for it"))
        }),
    }
}

fn told() -> Result<Btf<'static>> {
    let lacking = |reason: String| Error::NotSupported {
        feature: "printing a type of the kernel".to_owned(),
        needs: "a kernel built with CONFIG_DEBUG_INFO_BTF".to_owned(),
        reason,
    };
    let bytes = fs::read(PATH).map_err(|error| lacking(format!("{PATH}: {error}")))?;
    Btf::parse(bytes).ok_or_else(|| lacking(format!("{PATH} has kinds of types that are not known")))
}

fn malformed() -> Error {
    Error::Object("the kernel's type information is malformed".to_owned())
}

fn find(kernel: &Btf<'_>, name: &str) -> Result<u32> {
    let words: Vec<_> = name.split_whitespace().collect();
    let (word, wanted) = match words.as_slice() {
        [word, name] if WORDS.contains(word) => (Some(*word), *name),
        _ => (None, name.trim()),
    };
    let rank = |number: &u32| {
        let kind = kernel.shape(*number).and_then(|shape| kind(kernel, &shape))?;
        let rank = WORDS.iter().position(|word| *word == kind).unwrap_or(WORDS.len());
        word.is_none_or(|word| word == kind).then_some((rank, *number))
    };
    let found = (!wanted.is_empty()).then(|| kernel.named(wanted).filter_map(|number| rank(&number)).min()).flatten();
    found.map(|(_, number)| number).ok_or_else(|| unknown(kernel, name, wanted))
}

fn unknown(kernel: &Btf<'_>, name: &str, wanted: &str) -> Error {
    let names =
        (1..=kernel.len()).filter(|number| !matches!(kernel.shape(*number), None | Some(Shape::Declared { .. })));
    let near = nearest(wanted, names.map(|number| kernel.name_of(number)));
    let hint = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
    Error::InvalidArgument(format!("the kernel has no type {name}{hint}"))
}

/// What a type is called that can be asked for.
fn kind(btf: &Btf<'_>, shape: &Shape<'_>) -> Option<&'static str> {
    Some(match shape {
        Shape::Struct { is_union: false, .. } => "struct",
        Shape::Struct { .. } => "union",
        Shape::Enum { .. } => "enum",
        Shape::Alias(_) => "typedef",
        Shape::Int { .. } => "int",
        Shape::Float { .. } => "float",
        Shape::Pointer(_) => "pointer",
        Shape::Array { .. } => "array",
        Shape::Named(of) if matches!(btf.shape(*of), Some(Shape::Function(..))) => "function",
        _ => return None,
    })
}

fn describe(btf: &Btf<'_>, number: u32) -> Option<BtfType> {
    let shape = btf.shape(number)?;
    let target = match &shape {
        Shape::Alias(other) => Some(declaration(btf, *other, "")?),
        Shape::Named(other) => Some(declaration(btf, *other, btf.name_of(number))?),
        _ => None,
    };
    // Those of what it is by another name.
    let bare = btf.bare(number)?.1;
    Some(BtfType {
        name: btf.name_of(number).to_owned(),
        kind: kind(btf, &shape)?.to_owned(),
        bytes: btf.size(number).map(|bytes| bytes as u64),
        target,
        members: match &bare {
            Shape::Struct { members, .. } => describe_members(btf, members, 0, DEEPEST)?,
            _ => Vec::new(),
        },
        enumerators: match bare {
            Shape::Enum { names, .. } => {
                names.into_iter().map(|(name, value)| BtfEnumerator { name: name.to_owned(), value }).collect()
            }
            _ => Vec::new(),
        },
    })
}

fn describe_members(btf: &Btf<'_>, members: &[Member<'_>], before: usize, deepest: usize) -> Option<Vec<BtfMember>> {
    let deepest = deepest.checked_sub(1)?;
    let member = |member: &Member<'_>| {
        let (_, bare) = btf.bare(member.number)?;
        let bit = before + member.bit;
        Some(BtfMember {
            name: member.name.to_owned(),
            c_type: declaration(btf, member.number, "")?,
            offset: (bit / 8) as u64,
            // An array of any length has none.
            bytes: btf.size(member.number).unwrap_or_default() as u64,
            bit: member.bits.map(|_| (bit % 8) as u32),
            bits: member.bits.map(|bits| bits as u32),
            members: match bare {
                Shape::Struct { members, .. } => Members(describe_members(btf, &members, bit, deepest)?),
                _ => Members(Vec::new()),
            },
        })
    };
    members.iter().map(member).collect()
}
