//! `latency`: how long calls of a function take, as a histogram.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use ebpflab_common::{
    event::unpadded,
    latency::{Frame, Key, LAST_STEP, Slow, start},
    syscalls::Times,
    who::Who,
};

use super::{
    Keep, Needs, Only,
    by::{self, By, Named, Names},
    calls::own_start,
    clock_offset, kernel_release, max_entries, now,
};
use crate::{
    bpf::{Object, Opener, Ring, Target, Uprobe},
    containers::Source,
    error::{Error, Result},
    hooks::{self, Kind, Way},
    objects, privilege,
    records::{Attached, BucketCount, LatencyCount, LatencyCounts, LatencyReading, Reading, SlowCall},
    schema::Optional,
    session::{Counter, Session, Tool},
    targets::{self, FunctionHook, Site, Spec},
};

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose calls.
    pub only: Only,
    /// What they are told apart by.
    pub by: Vec<By>,
    /// Buckets of so many nanoseconds each, instead of powers of two.
    pub step_ns: Option<u64>,
    /// Calls that take longer than so many nanoseconds are told one by one.
    pub slower_ns: Option<u64>,
    /// Most buckets of all that are told apart; 16,384 unless told.
    pub max_entries: Option<u32>,
}

pub(super) fn needs() -> Needs {
    const FUNCTION: &str = "vfs_read";
    let mut ways = kernel_ways(FUNCTION);
    if let Ok(Target::Uprobe(start)) = own_start() {
        ways.push(user_way(&[start]));
    }
    Needs {
        tool: "latency",
        operation: "measuring calls",
        capabilities: privilege::TRACING,
        object: objects::LATENCY,
        prepare: || open(&Options::default()).map(drop),
        ways: vec![("calls", ways)],
    }
}

/// Trampolines cost least, and miss no return.
fn kernel_ways(function: &str) -> Vec<Way> {
    let way = |kind, programs| Way { kind, programs, tails: Vec::new(), blind_to: &[] };
    let name = || function.to_owned().into();
    vec![
        way(Kind::Fentry, vec![("latency_fentry", Target::Fentry(name())), ("latency_fexit", Target::Fexit(name()))]),
        way(
            Kind::Kprobe,
            vec![("latency_kprobe", Target::Kprobe(name())), ("latency_kret", Target::Kretprobe(name()))],
        ),
    ]
}

/// A symbol may have several versions.
fn user_way(places: &[Uprobe]) -> Way {
    let both = |place: &Uprobe| {
        [("latency_uprobe", Target::Uprobe(place.clone())), ("latency_uret", Target::Uretprobe(place.clone()))]
    };
    Way { kind: Kind::Uprobe, programs: places.iter().flat_map(both).collect(), tails: Vec::new(), blind_to: &[] }
}

/// Attaches and starts measuring.
///
/// # Errors
/// [`Error::InvalidArgument`] for what there is not, or what does not return, [`Error::NotSupported`] where no hook
/// works, [`Error::Privilege`].
pub fn attach(target: &Spec, options: &Options) -> Result<Session> {
    if options.step_ns == Some(0) {
        return Err(Error::InvalidArgument("a bucket has at least one nanosecond".to_owned()));
    }
    needs().check_privileges()?;
    let (ways, asked) = ways(target, options.only.pid)?;
    let (mut object, keep, source) = open(options)?;
    let mut hooked = hooks::attach(&mut object, "latency", &ways, asked)?;
    let names = Names::attach(by::bits(&options.by, 0), source, &mut object, &mut hooked.hooks)?;
    keep.follow(&mut object, &mut hooked.hooks)?;
    let attached = Attached {
        command: "latency".to_owned(),
        hooks: hooked.hooks,
        blind_to: hooked.blind_to,
        buffer: None,
        kernel: kernel_release(),
        mode: Optional(None),
    };
    let latency = Latency {
        target: target.to_string(),
        step: options.step_ns.unwrap_or(0),
        slow: object.take_ring("SLOW")?,
        offset: clock_offset()?,
        names,
        last: HashMap::new(),
        at: Instant::now(),
    };
    Session::start(object, Tool::Counter(Box::new(latency)), attached)
}

/// How to hook a target, and the hook that was asked for.
fn ways(target: &Spec, pid: Option<u32>) -> Result<(Vec<Way>, Option<Kind>)> {
    let wrong = |why: &str| Error::InvalidArgument(format!("{target} cannot be timed: {why}"));
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
                return Ok((kernel_ways(&name), asked));
            }
            Site::User(path, offset, name) if target.is_function() => {
                places.push(Uprobe { path, offset, pid, name });
            }
            Site::User(..) => return Err(wrong("an instruction does not return")),
            Site::Tracepoint(..) | Site::RawTracepoint(_) => return Err(wrong("a tracepoint does not return")),
        }
    }
    Ok((vec![user_way(&places)], None))
}

/// The object with its maps, whose calls it measures, and where cgroups are from.
fn open(options: &Options) -> Result<(Object, Keep, Source)> {
    let keep = options.only.prepare()?;
    needs().check_privileges()?;
    let opener = keep
        .opener(Opener::new(objects::LATENCY))
        .global("BY", by::bits(&options.by, 0))
        .global("STEP", options.step_ns.unwrap_or(0))
        .global("SLOWER", options.slower_ns.unwrap_or(0));
    let (opener, source) = Names::opener(max_entries(opener, "BUCKETS", options.max_entries)?)?;
    let mut object = opener.open()?;
    keep.fill(&mut object)?;
    Ok((object, keep, source))
}

struct Latency {
    target: String,
    step: u64,
    slow: Ring,
    /// Of the records' clock to that of the wall.
    offset: u64,
    names: Names,
    /// Calls of each at the last reading, and when that was.
    last: HashMap<Who, u64>,
    at: Instant,
}

impl Counter for Latency {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.per_cpu_hash_map::<Key, Times>("BUCKETS")?;
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.names.update();
        let mut by_who = HashMap::<Who, BTreeMap<u32, Times>>::new();
        for (key, cpus) in entries {
            let times = by_who.entry(key.who).or_default().entry(key.bucket).or_default();
            cpus.iter().for_each(|cpu| times.add(cpu));
        }
        let mut rows: Vec<_> = by_who.into_iter().map(|(who, buckets)| self.row(&who, &buckets, seconds)).collect();
        rows.sort_by(|one, other| {
            other.count.cmp(&one.count).then_with(|| (one.pid, one.cgroup).cmp(&(other.pid, other.cgroup)))
        });
        let mut slow = Vec::new();
        while let Some(call) = self.slow.next(|record| slow_call(record, self.offset)) {
            slow.extend(call);
        }
        let slow_lost = object.value::<u64>("SLOW_LOST")?.unwrap_or(0);
        let counts = LatencyCounts { rows, slow, slow_lost };
        Ok(Reading::Latency(LatencyReading { time: now(), target: self.target.clone(), counts }))
    }

    fn pending(&self, object: &Object) -> Result<u64> {
        Ok(object.hash_map::<Frame, u64>("CALLS")?.len() as u64)
    }
}

fn slow_call(record: &[u8], offset: u64) -> Option<SlowCall> {
    let bytes: &[u8; size_of::<Slow>()] = record.first_chunk()?;
    // SAFETY: any bytes are one, and nothing is said about how they are aligned.
    let slow: Slow = unsafe { bytes.as_ptr().cast::<Slow>().read_unaligned() };
    Some(SlowCall {
        time: slow.time + offset,
        pid: slow.pid,
        tid: slow.tid,
        comm: unpadded(&slow.comm).to_vec().into(),
        latency_ns: slow.latency_ns,
    })
}

impl Latency {
    fn row(&mut self, who: &Who, buckets: &BTreeMap<u32, Times>, seconds: f64) -> LatencyCount {
        let mut all = Times::default();
        buckets.values().for_each(|times| all.add(times));
        let before = self.last.insert(*who, all.count).unwrap_or(0);
        let Named { pid, comm, cgroup, cgroup_path, container } = self.names.name(who);
        let [p50_ns, p90_ns, p99_ns] = [50, 90, 99].map(|percent| percentile(buckets, &all, percent, self.step));
        LatencyCount {
            pid,
            comm,
            cgroup,
            cgroup_path,
            container,
            count: all.count,
            total_ns: all.total_ns,
            p50_ns,
            p90_ns,
            p99_ns,
            max_ns: all.max_ns,
            buckets: histogram(buckets, self.step),
            rate: (all.count - before) as f64 / seconds,
        }
    }
}

/// The time that so many in a hundred calls did not take longer than: the end of its bucket, or the longest of all.
fn percentile(buckets: &BTreeMap<u32, Times>, all: &Times, percent: u64, step: u64) -> u64 {
    let rank = (all.count * percent).div_ceil(100);
    let mut below = 0;
    for (bucket, times) in buckets {
        below += times.count;
        if below >= rank {
            let is_last = step != 0 && *bucket == LAST_STEP;
            return if is_last { all.max_ns } else { (start(bucket + 1, step) - 1).min(all.max_ns) };
        }
    }
    all.max_ns
}

/// Powers of two, or steps, from the first that has a call to the last, those without between them too.
fn histogram(buckets: &BTreeMap<u32, Times>, step: u64) -> Vec<BucketCount> {
    let mut counts = BTreeMap::<u32, u64>::new();
    for (bucket, times) in buckets {
        let shown = if step == 0 { power(start(*bucket, 0)) } else { *bucket };
        *counts.entry(shown).or_default() += times.count;
    }
    let edge = |shown: u32| match (step, shown) {
        (0, 0) => Some(0),
        (0, shown) => 1_u64.checked_shl(shown - 1),
        (step, shown) => (shown <= LAST_STEP).then_some(u64::from(shown) * step),
    };
    let Some((first, last)) = counts.keys().next().copied().zip(counts.keys().next_back().copied()) else {
        return Vec::new();
    };
    let bucket = |shown| BucketCount {
        from_ns: edge(shown).unwrap_or(0),
        below_ns: edge(shown + 1),
        count: counts.get(&shown).copied().unwrap_or(0),
    };
    (first..=last).map(bucket).collect()
}

/// 0 for 0, else one more than the power of two that a number begins with.
fn power(number: u64) -> u32 {
    64 - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use ebpflab_common::latency::bucket;

    use super::*;

    fn buckets(times: &[u64], step: u64) -> (BTreeMap<u32, Times>, Times) {
        let (mut buckets, mut all) = (BTreeMap::<u32, Times>::new(), Times::default());
        for ns in times {
            let one = Times { count: 1, total_ns: *ns, max_ns: *ns };
            buckets.entry(bucket(*ns, step)).or_default().add(&one);
            all.add(&one);
        }
        (buckets, all)
    }

    #[test]
    fn histograms_are_powers_of_two_without_gaps() {
        let (buckets, _) = buckets(&[0, 1, 5, 7, 40], 0);
        let shown: Vec<_> = histogram(&buckets, 0).iter().map(|it| (it.from_ns, it.below_ns, it.count)).collect();
        let expected = [(0, 1, 1), (1, 2, 1), (2, 4, 0), (4, 8, 2), (8, 16, 0), (16, 32, 0), (32, 64, 1)];
        assert_eq!(shown, expected.map(|(from, below, count)| (from, Some(below), count)));
        assert!(histogram(&BTreeMap::new(), 0).is_empty());
    }

    #[test]
    fn the_last_step_has_no_end() {
        let (buckets, all) = buckets(&[9_985, 10_000, 123_456], 10);
        let shown: Vec<_> = histogram(&buckets, 10).iter().map(|it| (it.from_ns, it.below_ns, it.count)).collect();
        assert_eq!(shown, [(9_980, Some(9_990), 1), (9_990, Some(10_000), 0), (10_000, None, 2)]);
        assert_eq!(percentile(&buckets, &all, 99, 10), 123_456);
        assert_eq!(percentile(&buckets, &all, 1, 10), 9_989);
    }

    #[test]
    fn percentiles_are_the_ends_of_their_buckets() {
        let times: Vec<_> = (1..=1_000).map(|number| number * 1_000).collect();
        let (buckets, all) = buckets(&times, 0);
        for (percent, exact) in [(50, 500_000), (90, 900_000), (99, 990_000), (100, 1_000_000)] {
            let told = percentile(&buckets, &all, percent, 0);
            assert!((exact..=exact * 17 / 16).contains(&told) && told <= 1_000_000, "{percent}: {told}");
        }
        let (buckets, all) = self::buckets(&[7], 0);
        assert_eq!(percentile(&buckets, &all, 50, 0), 7);
    }
}
