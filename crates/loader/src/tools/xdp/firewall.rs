//! The rules in the kernel: two sets, of which one is in force while the other one is made.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use ebpflab_common::{
    cidr::Cidr,
    packet::Traffic,
    xdp::{NO_RULE, Verdict},
};

use crate::{
    bpf::{Object, Opener},
    error::{Error, Result},
    records::{self, PacketCount, RuleCount},
    rules::{Action, Rule, Rules},
    session::wait_for_programs,
};

const IPV4: [&str; 2] = ["IPV4_RULES_0", "IPV4_RULES_1"];
const IPV6: [&str; 2] = ["IPV6_RULES_0", "IPV6_RULES_1"];
const COUNTS: &str = "RULE_COUNTS";

/// Rules that there is always room for.
const LEAST_ROOM: usize = 1_024;
/// As many as are listed whether they have met a packet or not.
const ALL_LISTED: usize = 1_000;

/// The rules, where each is counted, and what is in the two sets.
pub(super) struct Firewall {
    room: usize,
    rules: Rules,
    /// Of the rules in force.
    slots: HashMap<Rule, u32>,
    free: Vec<u32>,
    /// No slot from here on was ever used.
    end: u32,
    sets: [BTreeMap<Cidr, Verdict>; 2],
    active: usize,
    /// What rules counted before they gave their slots back.
    before: HashMap<Rule, Traffic>,
}

/// How many rules there is to be room for.
///
/// # Errors
/// [`Error::InvalidArgument`] where that is fewer than there are, or more than the kernel could hold.
pub(super) fn room(rules: &Rules, asked: Option<u32>) -> Result<usize> {
    const MOST: usize = 1 << 24;
    let room = asked.map_or_else(|| (rules.len() + rules.len() / 4).max(LEAST_ROOM), |asked| asked as usize);
    check_room(rules, room)?;
    match room {
        1..=MOST => Ok(room),
        _ => Err(Error::InvalidArgument(format!("there may be room for 1 to {MOST} rules, not for {room}"))),
    }
}

fn check_room(rules: &Rules, room: usize) -> Result<()> {
    if rules.len() <= room {
        return Ok(());
    }
    let message = format!("there are {} rules, and room for {room}; start it with more (--max-rules)", rules.len());
    Err(Error::InvalidArgument(message))
}

/// Makes the maps as large as they have to be: while rules are replaced, the old and the new ones are counted.
pub(super) fn prepare(opener: Opener<'_>, room: usize) -> Opener<'_> {
    let sized = IPV4.into_iter().chain(IPV6).fold(opener, |opener, map| opener.max_entries(map, room as u32));
    sized.max_entries(COUNTS, 2 * room as u32 + 1).global("RULES", 1_u32)
}

impl Firewall {
    /// Puts the rules in force.
    pub(super) fn new(object: &mut Object, rules: Rules, room: usize) -> Result<Self> {
        let mut firewall = Self {
            room,
            rules: Rules::default(),
            slots: HashMap::new(),
            free: Vec::new(),
            end: NO_RULE + 1,
            sets: [BTreeMap::new(), BTreeMap::new()],
            active: 0,
            before: HashMap::new(),
        };
        firewall.fill(object, 0, &rules)?;
        firewall.rules = rules;
        Ok(firewall)
    }

    /// That of an object whose rules somebody else put in force.
    pub(super) fn of_object(object: &Object) -> Result<Self> {
        let active = object.value::<u32>("ACTIVE")?.unwrap_or_default() as usize;
        let v4 = object.prefixes::<[u8; 4], Verdict>(IPV4[active & 1])?;
        let v6 = object.prefixes::<[u8; 16], Verdict>(IPV6[active & 1])?;
        let v4 = v4.into_iter().map(|(len, bits, verdict)| rule(len, bits.into(), verdict));
        let v6 = v6.into_iter().map(|(len, bits, verdict)| rule(len, bits.into(), verdict));
        let slots: HashMap<_, _> = v4.chain(v6).collect::<Result<_>>()?;
        Ok(Self {
            room: slots.len(),
            rules: slots.keys().copied().collect(),
            end: slots.values().max().map_or(NO_RULE, |slot| *slot) + 1,
            slots,
            free: Vec::new(),
            sets: [BTreeMap::new(), BTreeMap::new()],
            active,
            before: HashMap::new(),
        })
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Each rule that has a slot, by that.
    pub(super) fn by_slot(&self) -> HashMap<u32, Rule> {
        self.slots.iter().map(|(rule, slot)| (*slot, *rule)).collect()
    }

    /// Makes the set that is not in force. [`Firewall::switch`] puts it there, [`Firewall::release`] comes last.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub(super) fn prepare(&mut self, object: &mut Object, rules: &Rules) -> Result<()> {
        check_room(rules, self.room)?;
        self.fill(object, 1 - self.active, rules)
    }

    /// Puts the set that was prepared in force, and waits until no packet meets the other one any more.
    pub(super) fn switch(&mut self, object: &mut Object, rules: Rules) -> Result<()> {
        let spare = 1 - self.active;
        object.set_word("ACTIVE", spare as u32)?;
        self.active = spare;
        self.rules = rules;
        wait_for_programs();
        Ok(())
    }

    /// Takes the slots of rules that are not in force, and keeps what they counted.
    pub(super) fn release(&mut self, object: &mut Object) -> Result<()> {
        let in_force: HashMap<_, _> = self.rules.iter().map(|rule| (rule, ())).collect();
        let gone: Vec<_> = self.slots.iter().filter(|(rule, _)| !in_force.contains_key(rule)).collect();
        let gone: Vec<_> = gone.into_iter().map(|(rule, slot)| (*rule, *slot)).collect();
        for (rule, slot) in gone {
            let counted = self.counted(object, std::iter::once(slot))?;
            let counted = counted.into_iter().next().unwrap_or_default();
            if counted != Traffic::default() {
                self.before.entry(rule).or_default().add(counted);
                object.set_per_cpu_slot(COUNTS, slot, Traffic::default())?;
            }
            self.slots.remove(&rule);
            self.free.push(slot);
        }
        Ok(())
    }

    /// Changes a set that is not in force to what it has to be.
    fn fill(&mut self, object: &mut Object, set: usize, rules: &Rules) -> Result<()> {
        let wanted: BTreeMap<_, _> = rules.iter().map(|rule| (rule.cidr, self.verdict(rule))).collect();
        let extra: Vec<_> = self.sets[set].keys().filter(|cidr| !wanted.contains_key(cidr)).copied().collect();
        for cidr in extra {
            remove(object, set, cidr)?;
            self.sets[set].remove(&cidr);
        }
        for (cidr, verdict) in wanted {
            if self.sets[set].get(&cidr) != Some(&verdict) {
                insert(object, set, cidr, verdict)?;
                self.sets[set].insert(cidr, verdict);
            }
        }
        Ok(())
    }

    /// What a rule does, with the slot that it has or gets.
    fn verdict(&mut self, rule: Rule) -> Verdict {
        let slot = *self.slots.entry(rule).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.end += 1;
                self.end - 1
            })
        });
        Verdict { slot, drops: (rule.action == Action::Block).into() }
    }

    fn counted(&self, object: &Object, slots: impl Iterator<Item = u32>) -> Result<Vec<Traffic>> {
        let slots = object.per_cpu_slots::<Traffic>(COUNTS, slots)?;
        Ok(slots.into_iter().map(|cpus| cpus.into_iter().sum()).collect())
    }

    /// What the rules counted, the busiest first.
    pub(super) fn read(&self, object: &Object) -> Result<records::Firewall> {
        let counted = self.counted(object, 0..self.end)?;
        let unmatched = counted.first().copied().unwrap_or_default();
        let (mut dropped, mut passed) = (Traffic::default(), unmatched);
        let mut rules = Vec::new();
        let in_force = self.rules.iter().map(|rule| (rule, true));
        let gone = self.before.keys().filter(|rule| !self.slots.contains_key(rule)).map(|rule| (*rule, false));
        for (rule, active) in in_force.chain(gone) {
            let mut traffic = self.before.get(&rule).copied().unwrap_or_default();
            let now = self.slots.get(&rule).and_then(|slot| counted.get(*slot as usize)).copied();
            traffic.add(now.unwrap_or_default());
            let sum = if rule.action == Action::Block { &mut dropped } else { &mut passed };
            sum.add(traffic);
            if traffic.packets > 0 || self.rules.len() <= ALL_LISTED {
                rules.push((rule, active, traffic));
            }
        }
        rules.sort_by_key(|(rule, _, traffic)| (std::cmp::Reverse(traffic.packets), *rule));
        let rules = rules.into_iter().map(|(rule, active, traffic)| RuleCount {
            cidr: rule.cidr.to_string(),
            action: rule.action.name(),
            active,
            packets: traffic.packets,
            bytes: traffic.bytes,
        });
        Ok(records::Firewall {
            active: self.rules.len() as u64,
            dropped: PacketCount::from(dropped),
            passed: PacketCount::from(passed),
            unmatched: PacketCount::from(unmatched),
            rules: rules.collect(),
        })
    }
}

/// A rule by its entry in a trie, and where it is counted.
fn rule(len: u32, address: IpAddr, Verdict { slot, drops }: Verdict) -> Result<(Rule, u32)> {
    let cidr = Cidr::new(address, len as u8).map_err(|error| Error::Object(format!("the rules in it: {error}")))?;
    Ok((Rule { cidr, action: if drops == 0 { Action::Allow } else { Action::Block } }, slot))
}

fn insert(object: &mut Object, set: usize, cidr: Cidr, verdict: Verdict) -> Result<()> {
    match cidr.address() {
        IpAddr::V4(address) => object.insert_prefix(IPV4[set], cidr.prefix_len(), address.octets(), verdict),
        IpAddr::V6(address) => object.insert_prefix(IPV6[set], cidr.prefix_len(), address.octets(), verdict),
    }
}

fn remove(object: &mut Object, set: usize, cidr: Cidr) -> Result<()> {
    match cidr.address() {
        IpAddr::V4(address) => object.remove_prefix::<_, Verdict>(IPV4[set], cidr.prefix_len(), address.octets()),
        IpAddr::V6(address) => object.remove_prefix::<_, Verdict>(IPV6[set], cidr.prefix_len(), address.octets()),
    }
}
