//! Programs at the entry and at the return of a function.

use super::calls::own_start;
use crate::{
    bpf::{Target, Uprobe},
    error::{Error, Result},
    hooks::{Kind, Way},
    targets::{self, FunctionHook, Site, Spec},
};

/// The programs of a tool, at the entry and at the return, of each kind.
pub(super) struct Programs {
    pub(super) trampoline: [&'static str; 2],
    pub(super) kprobe: [&'static str; 2],
    pub(super) uprobe: [&'static str; 2],
}

/// A function, and how to hook it.
pub(super) struct Function {
    /// Its name, of one of the kernel.
    pub(super) kernel: Option<String>,
    pub(super) ways: Vec<Way>,
    /// The hook that was asked for.
    pub(super) asked: Option<Kind>,
}

impl Programs {
    /// For a look at what works here.
    pub(super) fn any_ways(&self) -> Vec<Way> {
        let mut ways = self.kernel_ways("vfs_read");
        if let Ok(Target::Uprobe(start)) = own_start() {
            ways.push(self.user_way(&[start]));
        }
        ways
    }

    /// Trampolines cost least, and miss no return.
    fn kernel_ways(&self, function: &str) -> Vec<Way> {
        let way = |kind, [entry, end]: [&'static str; 2], targets: [Target; 2]| {
            let [at_entry, at_end] = targets;
            Way { kind, programs: vec![(entry, at_entry), (end, at_end)], tails: Vec::new(), blind_to: &[] }
        };
        let name = || function.to_owned().into();
        vec![
            way(Kind::Fentry, self.trampoline, [Target::Fentry(name()), Target::Fexit(name())]),
            way(Kind::Kprobe, self.kprobe, [Target::Kprobe(name()), Target::Kretprobe(name())]),
        ]
    }

    /// A symbol may have several versions.
    fn user_way(&self, places: &[Uprobe]) -> Way {
        let [entry, end] = self.uprobe;
        let both = |place: &Uprobe| [(entry, Target::Uprobe(place.clone())), (end, Target::Uretprobe(place.clone()))];
        Way { kind: Kind::Uprobe, programs: places.iter().flat_map(both).collect(), tails: Vec::new(), blind_to: &[] }
    }

    /// How to hook a target: a single function.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what there is not, or what does not return.
    pub(super) fn function(&self, target: &Spec, pid: Option<u32>) -> Result<Function> {
        let wrong = |why: &str| Error::InvalidArgument(format!("{target} cannot be hooked at its return: {why}"));
        if target.is_wildcard() {
            return Err(wrong("it may stand for several functions"));
        }
        let mut places = Vec::new();
        for site in targets::resolve(target, pid)? {
            match site {
                Site::Function(name) => {
                    let asked = target.function_hook().map(|hook| match hook {
                        FunctionHook::Fentry => Kind::Fentry,
                        FunctionHook::Kprobe => Kind::Kprobe,
                    });
                    return Ok(Function { ways: self.kernel_ways(&name), asked, kernel: Some(name) });
                }
                Site::User(path, offset, name) if target.is_function() => {
                    places.push(Uprobe { path, offset, pid, name });
                }
                Site::User(..) => return Err(wrong("an instruction does not return")),
                Site::Tracepoint(..) | Site::RawTracepoint(_) => return Err(wrong("a tracepoint does not return")),
            }
        }
        Ok(Function { kernel: None, ways: vec![self.user_way(&places)], asked: None })
    }
}
