//! `returns`: what calls of a function return, as a histogram.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use ebpflab_common::{
    latency::{Frame, Key, LAST_STEP},
    returns::{NEGATIVE, Value, Values},
    who::Who,
};

use super::{
    Keep, Needs, Only,
    by::{self, By, Named, Names},
    kernel_release, max_entries, now,
    pairs::{Function, Programs},
};
use crate::{
    bpf::{Object, Opener},
    btf::{Btf, Shape},
    containers::Source,
    error::{Error, Result},
    hooks::{self, Kind},
    inspect, objects, privilege,
    records::{Attached, Reading, ReturnCount, ReturnReading, ValueBucket},
    schema::Optional,
    session::{Counter, Session, Tool},
    targets::Spec,
};

const PROGRAMS: Programs = Programs {
    trampoline: ["returns_fentry", "returns_fexit"],
    kprobe: ["returns_kprobe", "returns_kret"],
    uprobe: ["returns_uprobe", "returns_uret"],
};

/// What to count.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose calls.
    pub only: Only,
    /// What they are told apart by.
    pub by: Vec<By>,
    /// Buckets of so many each, instead of powers of two.
    pub step: Option<u64>,
    /// How many bits a value has: 8, 16, 32 or 64. Unless told, what the kernel tells of its functions, and 64.
    pub bits: Option<u32>,
    /// With `bits`: none of them is a sign.
    pub unsigned: bool,
    /// Most buckets of all that are told apart; 16,384 unless told.
    pub max_entries: Option<u32>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "returns",
        operation: "counting what calls return",
        capabilities: privilege::TRACING,
        object: objects::RETURNS,
        prepare: || open(&Options::default(), &Prototype::UNKNOWN).map(drop),
        ways: vec![("calls", PROGRAMS.any_ways())],
    }
}

/// Attaches and starts counting.
///
/// # Errors
/// [`Error::InvalidArgument`] for what there is not, or what returns nothing, [`Error::NotSupported`] where no hook
/// works, [`Error::Privilege`].
pub fn attach(target: &Spec, options: &Options) -> Result<Session> {
    if options.step == Some(0) {
        return Err(Error::InvalidArgument("a bucket has at least one value".to_owned()));
    }
    let asked = asked_value(options.bits, options.unsigned)?;
    needs().check_privileges()?;
    let Function { kernel, mut ways, asked: hook } = PROGRAMS.function(target, options.only.pid)?;
    let known = kernel.as_deref().and_then(|name| prototype(&inspect::kernel_types()?, name));
    if known.is_none() {
        // What is on its frame is not known; nor would the kernel find the function to make one for.
        ways.retain(|way| way.kind != Kind::Fentry || hook == Some(Kind::Fentry));
    }
    let mut prototype = known.unwrap_or(Prototype::UNKNOWN);
    if prototype.value.is_none() {
        return Err(Error::InvalidArgument(format!("{target} returns nothing: it is a void function")));
    }
    prototype.value = asked.or(prototype.value);
    let (mut object, keep, source) = open(options, &prototype)?;
    let mut hooked = hooks::attach(&mut object, "returns", &ways, hook)?;
    let names = Names::attach(by::bits(&options.by, 0), source, &mut object, &mut hooked.hooks)?;
    keep.follow(&mut object, &mut hooked.hooks)?;
    let attached = Attached {
        command: "returns".to_owned(),
        hooks: hooked.hooks,
        blind_to: hooked.blind_to,
        buffer: None,
        kernel: kernel_release(),
        mode: Optional(None),
    };
    let returns = Returns {
        target: target.to_string(),
        value: prototype.value.unwrap_or(Value::LONG),
        step: options.step.unwrap_or(0),
        names,
        last: HashMap::new(),
        at: Instant::now(),
    };
    Session::start(object, Tool::Counter(Box::new(returns)), attached)
}

/// # Errors
/// [`Error::InvalidArgument`] for what no value has.
fn asked_value(bits: Option<u32>, unsigned: bool) -> Result<Option<Value>> {
    let wrong = |why: &str| Err(Error::InvalidArgument(why.to_owned()));
    match (bits, unsigned) {
        (Some(8 | 16 | 32), _) | (Some(64), false) => Ok(bits.map(|bits| Value { bits, signed: (!unsigned).into() })),
        (Some(64), true) => wrong("values of 64 bits are signed"),
        (Some(_), _) => wrong("a value has 8, 16, 32 or 64 bits"),
        (None, true) => wrong("without a sign are only values of 8, 16 or 32 bits: say how many"),
        (None, false) => Ok(None),
    }
}

/// What is known of a function of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prototype {
    /// `None`: it returns nothing.
    value: Option<Value>,
    /// Words that its arguments take on a trampoline.
    arguments: u32,
}

impl Prototype {
    const UNKNOWN: Self = Self { value: Some(Value::LONG), arguments: 0 };
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
    Some(Prototype { value, arguments: words.sum::<Option<u32>>()? })
}

/// The object with its maps, whose calls it counts, and where cgroups are from.
fn open(options: &Options, prototype: &Prototype) -> Result<(Object, Keep, Source)> {
    let keep = options.only.prepare()?;
    needs().check_privileges()?;
    let opener = keep
        .opener(Opener::new(objects::RETURNS))
        .global("BY", by::bits(&options.by, 0))
        .global("STEP", options.step.unwrap_or(0))
        .global("VALUE", prototype.value.unwrap_or(Value::LONG))
        .global("ARGUMENTS", prototype.arguments);
    let (opener, source) = Names::opener(max_entries(opener, "BUCKETS", options.max_entries)?)?;
    let mut object = opener.open()?;
    keep.fill(&mut object)?;
    Ok((object, keep, source))
}

struct Returns {
    target: String,
    value: Value,
    step: u64,
    names: Names,
    /// Calls of each at the last reading, and when that was.
    last: HashMap<Who, u64>,
    at: Instant,
}

impl Counter for Returns {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.per_cpu_hash_map::<Key, Values>("BUCKETS")?;
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.names.update();
        let mut by_who = HashMap::<Who, BTreeMap<u32, Values>>::new();
        for (key, cpus) in entries {
            let values = by_who.entry(key.who).or_default().entry(key.bucket).or_default();
            cpus.iter().for_each(|cpu| values.add(cpu));
        }
        let mut counts: Vec<_> = by_who.into_iter().map(|(who, buckets)| self.row(&who, buckets, seconds)).collect();
        counts.sort_by(|one, other| {
            other.count.cmp(&one.count).then_with(|| (one.pid, one.cgroup).cmp(&(other.pid, other.cgroup)))
        });
        let Value { bits, signed } = self.value;
        Ok(Reading::Returns(ReturnReading {
            time: now(),
            target: self.target.clone(),
            bits,
            signed: signed != 0,
            counts,
        }))
    }

    fn pending(&self, object: &Object) -> Result<u64> {
        Ok(object.hash_map::<Frame, u64>("CALLS")?.len() as u64)
    }
}

impl Returns {
    fn row(&mut self, who: &Who, mut buckets: BTreeMap<u32, Values>, seconds: f64) -> ReturnCount {
        let mut all = Values::default();
        buckets.values().for_each(|values| all.add(values));
        let negative = buckets.remove(&NEGATIVE).unwrap_or_default().count;
        let before = self.last.insert(*who, all.count).unwrap_or(0);
        let Named { pid, comm, cgroup, cgroup_path, container } = self.names.name(who);
        ReturnCount {
            pid,
            comm,
            cgroup,
            cgroup_path,
            container,
            count: all.count,
            sum: all.sum,
            min: all.min,
            max: all.max,
            negative,
            buckets: histogram(&buckets, self.step),
            rate: (all.count - before) as f64 / seconds,
        }
    }
}

/// From the first bucket that has a value to the last, those without between them too.
fn histogram(buckets: &BTreeMap<u32, Values>, step: u64) -> Vec<ValueBucket> {
    let edge = |bucket: u32| match (step, bucket) {
        (0, 0) => Some(0),
        (0, bucket) => 1_u64.checked_shl(bucket - 1),
        (step, bucket) => (bucket <= LAST_STEP).then(|| u64::from(bucket).saturating_mul(step)),
    };
    let Some((first, last)) = buckets.keys().next().copied().zip(buckets.keys().next_back().copied()) else {
        return Vec::new();
    };
    let bucket = |number| ValueBucket {
        start: edge(number).unwrap_or(0),
        below: edge(number + 1),
        count: buckets.get(&number).map_or(0, |values| values.count),
    };
    (first..=last).map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use ebpflab_common::returns::bucket;

    use super::*;

    fn shown(values: &[i64], step: u64) -> Vec<(u64, Option<u64>, u64)> {
        let mut buckets = BTreeMap::<u32, Values>::new();
        for value in values {
            let one = Values { count: 1, sum: *value, min: *value, max: *value };
            buckets.entry(bucket(*value, step)).or_default().add(&one);
        }
        histogram(&buckets, step).iter().map(|it| (it.start, it.below, it.count)).collect()
    }

    #[test]
    fn histograms_are_powers_of_two_without_gaps() {
        let expected = [(0, Some(1), 1), (1, Some(2), 1), (2, Some(4), 0), (4, Some(8), 2)];
        assert_eq!(shown(&[0, 1, 5, 7], 0), expected);
        assert_eq!(shown(&[i64::MAX], 0), [(1 << 62, Some(1 << 63), 1)]);
        assert!(shown(&[], 0).is_empty());
    }

    #[test]
    fn the_last_step_has_no_end() {
        let expected = [(9_980, Some(9_990), 1), (9_990, Some(10_000), 0), (10_000, None, 2)];
        assert_eq!(shown(&[9_985, 10_000, 123_456], 10), expected);
    }

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
            assert_eq!(prototype(&kernel, name), Some(Prototype { value: expected, arguments }), "{name}");
        }
        assert_eq!(prototype(&kernel, "no_such_function"), None);
    }

    #[test]
    fn what_no_value_has_is_refused() {
        let told = |bits, unsigned| asked_value(bits, unsigned).expect_err("no value").to_string();
        assert_eq!(told(Some(64), true), "values of 64 bits are signed");
        assert_eq!(told(Some(12), false), "a value has 8, 16, 32 or 64 bits");
        assert!(told(None, true).contains("say how many"));
        assert_eq!(asked_value(Some(32), true).expect("a value"), Some(Value { bits: 32, signed: 0 }));
        assert_eq!(asked_value(None, false).expect("nothing"), None);
    }
}
