//! What tools that measure times have in common: they put them into buckets, and tell what took long.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use ebpflab_common::{
    event::unpadded,
    latency::{Key, LAST_STEP, Slow, start},
    syscalls::Times,
    who::Who,
};

use super::{
    Keep, Needs, Only,
    by::{self, By, Named, Names},
    clock_offset, max_entries,
};
use crate::{
    bpf::{Object, Opener, Ring},
    containers::Source,
    error::{Error, Result},
    records::{BucketCount, Hook, LatencyCount, LatencyCounts, SlowCall},
};

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct TimeOptions {
    /// Whose.
    pub only: Only,
    /// What is told apart.
    pub by: Vec<By>,
    /// Buckets of so many nanoseconds each, instead of powers of two.
    pub step_ns: Option<u64>,
    /// What takes longer than so many nanoseconds is told one by one.
    pub slower_ns: Option<u64>,
    /// Most buckets of all that are told apart; 16,384 unless told.
    pub max_entries: Option<u32>,
}

impl TimeOptions {
    /// # Errors
    /// [`Error::InvalidArgument`] for buckets of nothing.
    pub(super) fn check(&self) -> Result<()> {
        match self.step_ns {
            Some(0) => Err(Error::InvalidArgument("a bucket has at least one nanosecond".to_owned())),
            _ => Ok(()),
        }
    }
}

/// The object with its maps, whose times it measures, and where cgroups are from.
pub(super) struct Opened {
    pub(super) object: Object,
    keep: Keep,
    source: Source,
}

/// `more` sets what only this tool has.
///
/// # Errors
/// [`Error::InvalidArgument`], [`Error::Privilege`], and what making maps gives.
pub(super) fn open(
    needs: &Needs,
    options: &TimeOptions,
    more: impl for<'a> FnOnce(Opener<'a>, &Keep) -> Opener<'a>,
) -> Result<Opened> {
    let keep = options.only.prepare()?;
    needs.check_privileges()?;
    let opener = more(keep.opener(Opener::new(needs.object)), &keep)
        .global("BY", by::bits(&options.by, 0))
        .global("STEP", options.step_ns.unwrap_or(0))
        .global("SLOWER", options.slower_ns.unwrap_or(0));
    let (opener, source) = Names::opener(max_entries(opener, "BUCKETS", options.max_entries)?)?;
    let mut object = opener.open()?;
    keep.fill(&mut object)?;
    Ok(Opened { object, keep, source })
}

impl Opened {
    /// When the tool's own programs are attached: follows what is asked for of cgroups and a tree.
    ///
    /// # Errors
    /// What attaching gives.
    pub(super) fn follow(self, options: &TimeOptions, hooks: &mut Vec<Hook>) -> Result<(Object, Durations)> {
        let Self { mut object, keep, source } = self;
        let names = Names::attach(by::bits(&options.by, 0), source, &mut object, hooks)?;
        keep.follow(&mut object, hooks)?;
        let durations = Durations {
            step: options.step_ns.unwrap_or(0),
            slow: object.take_ring("SLOW")?,
            offset: clock_offset()?,
            names,
            last: HashMap::new(),
            at: Instant::now(),
        };
        Ok((object, durations))
    }
}

/// What such a tool reads.
pub(super) struct Durations {
    step: u64,
    slow: Ring,
    /// Of the records' clock to that of the wall.
    offset: u64,
    names: Names,
    /// Calls of each at the last reading, and when that was.
    last: HashMap<Who, u64>,
    at: Instant,
}

impl Durations {
    /// All that there is by now.
    ///
    /// # Errors
    /// What reading the maps gives.
    pub(super) fn read(&mut self, object: &Object) -> Result<LatencyCounts> {
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
        Ok(LatencyCounts { rows, slow, slow_lost })
    }

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
