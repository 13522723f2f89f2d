//! Which hierarchy the cgroups of events are from, and the record of a new cgroup in it; the packets of a cgroup, and
//! rules that deny some of them.

use core::net::IpAddr;

use crate::{cidr::Cidr, ip::Address};

/// A hierarchy of cgroups, as programs know it: the global `HIERARCHY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The number of its controller, of v1; [`Hierarchy::V2`] for that of v2.
    pub controller: u32,
    /// Its id, as /proc/cgroups has it; 0 for that of v2.
    pub id: u32,
}

const _: () = assert!(size_of::<Hierarchy>() == 8);
crate::pod!(Hierarchy);

impl Hierarchy {
    /// In the place of a controller.
    pub const V2: u32 = u32::MAX;
    /// That of v2.
    pub const UNIFIED: Self = Self { controller: Self::V2, id: 0 };
}

/// Longest path that the kernel tells of a new cgroup, its closing NUL counted (`TRACE_CGROUP_PATH_LEN`,
/// kernel/cgroup/cgroup-internal.h).
pub const PATH_LEN: usize = 1_024;

/// A new cgroup; its path from the top of the hierarchy follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewCgroup {
    /// As [`crate::event::Header::cgroup`] has it.
    pub id: u64,
}

const _: () = assert!(size_of::<NewCgroup>() == 8);
crate::pod!(NewCgroup);

/// Most counters of the map `GROUPS` unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 16_384;

/// Most rules.
pub const MAX_RULES: u32 = 64;

/// What packets of a cgroup are counted by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group {
    /// Id of the cgroup of the socket.
    pub cgroup: u64,
    /// What the packets carry.
    pub protocol: u32,
    /// [`crate::flows::Direction`]
    pub direction: u32,
}

const _: () = assert!(size_of::<Group>() == 16);
crate::pod!(Group);

/// Packets that are denied: to or from addresses whose first bits are those of `network`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// As [`crate::ip::Address`], the bits behind the prefix zero.
    pub network: [u64; 2],
    /// One for each bit of the prefix.
    pub mask: [u64; 2],
    /// Port of the other side; [`Rule::ANY`] for all, and for packets without.
    pub port: u32,
    /// What the packets carry; [`Rule::ANY`] for anything.
    pub protocol: u32,
}

const _: () = assert!(size_of::<Rule>() == 40);
crate::pod!(Rule);

impl Rule {
    /// In the place of a port or protocol.
    pub const ANY: u32 = u32::MAX;

    /// Denies a range of addresses.
    pub fn new(range: Cidr, port: Option<u16>, protocol: Option<u8>) -> Self {
        // An IPv4 address is the end of one of IPv6.
        let (address, before) = match range.address() {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), 96),
            IpAddr::V6(address) => (address, 0),
        };
        let host_bits = 128 - before - u32::from(range.prefix_len());
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Self {
            network: words(address.octets()),
            mask: words(mask.to_be_bytes()),
            port: port.map_or(Self::ANY, u32::from),
            protocol: protocol.map_or(Self::ANY, u32::from),
        }
    }

    /// Whether a packet is denied, by the address and the port of the other side and what it carries.
    #[inline(always)]
    pub fn denies(&self, address: [u64; 2], port: u32, protocol: u32) -> bool {
        (address[0] & self.mask[0]) == self.network[0]
            && (address[1] & self.mask[1]) == self.network[1]
            && (self.port == Self::ANY || self.port == port)
            && (self.protocol == Self::ANY || self.protocol == protocol)
    }
}

/// An address as two words, however this machine orders the bytes of words.
#[inline(always)]
pub fn words(address: Address) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)]
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn octets(address: IpAddr) -> Address {
        match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }

    fn denies(rule: &Rule, address: &str, port: u32, protocol: u32) -> bool {
        rule.denies(words(octets(address.parse().expect("an address"))), port, protocol)
    }

    #[test]
    fn a_rule_is_of_addresses_ports_and_protocols() {
        let range = "192.0.2.0/24".parse().expect("a range");
        let all = Rule::new(range, None, None);
        assert!(denies(&all, "192.0.2.7", 53, 17) && denies(&all, "192.0.2.0", Rule::ANY, 1));
        assert!(!denies(&all, "192.0.3.0", 53, 17) && !denies(&all, "2001:db8::", 53, 17));
        let dns = Rule::new(range, Some(53), None);
        assert!(denies(&dns, "192.0.2.7", 53, 17) && denies(&dns, "192.0.2.7", 53, 6));
        assert!(!denies(&dns, "192.0.2.7", 54, 17) && !denies(&dns, "192.0.2.7", Rule::ANY, 17));
        let udp = Rule::new(range, Some(53), Some(17));
        assert!(denies(&udp, "192.0.2.7", 53, 17) && !denies(&udp, "192.0.2.7", 53, 6));
        let everything = Rule::new("0.0.0.0/0".parse().expect("a range"), None, None);
        assert!(denies(&everything, "255.0.0.1", 1, 6) && !denies(&everything, "::1", 1, 6));
    }

    proptest! {
        /// As the range itself says.
        #[test]
        fn a_rule_is_of_the_addresses_of_its_range(one: u128, other: u128, len in 0u8..=128, same in 0u32..=128) {
            let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            let range = Cidr::new(Ipv6Addr::from_bits(one & mask).into(), len).expect("without host bits");
            let address = Ipv6Addr::from_bits(one ^ other.checked_shr(same).unwrap_or(0));
            let rule = Rule::new(range, None, None);
            prop_assert_eq!(rule.denies(words(address.octets()), 1, 6), range.contains(address.into()));
        }
    }
}
