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
    Keep, Needs, Only, attached,
    by::{self, By, Named, Names},
    max_entries, now,
    pairs::Programs,
    prototype::{Prototype, Returned},
};
use crate::{
    bpf::{Object, Opener},
    containers::Source,
    error::{Error, Result},
    hooks, objects, privilege,
    records::{Reading, ReturnCount, ReturnReading, ValueBucket},
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
    /// How many bits a value has.
    pub returned: Returned,
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
    options.returned.check()?;
    needs().check_privileges()?;
    let mut function = PROGRAMS.function(target, options.only.pid)?;
    let prototype = Prototype::of(&mut function, options.returned)?;
    let Some(value) = prototype.value else {
        return Err(Error::InvalidArgument(format!("{target} returns nothing: it is a void function")));
    };
    let (mut object, keep, source) = open(options, &prototype)?;
    let mut hooked = hooks::attach(&mut object, "returns", &function.ways, function.asked)?;
    let names = Names::attach(by::bits(&options.by, 0), source, &mut object, &mut hooked.hooks)?;
    keep.follow(&mut object, &mut hooked.hooks)?;
    let returns = Returns {
        target: target.to_string(),
        value,
        step: options.step.unwrap_or(0),
        names,
        last: HashMap::new(),
        at: Instant::now(),
    };
    Session::start(object, Tool::Counter(Box::new(returns)), attached("returns", hooked))
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
        .global("ARGUMENTS", prototype.arguments.unwrap_or(0));
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
}
