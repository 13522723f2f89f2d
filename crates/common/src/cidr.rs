//! Ranges of addresses, as people write them: `192.0.2.0/24`, `2001:db8::/32`, or one address.

use core::{
    error, fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix_len: u8,
}

/// Why a text is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidCidr {
    /// What is before the slash is no IPv4 or IPv6 address.
    Address,
    /// What is behind the slash is no number of bits up to this one.
    PrefixLen(u8),
    /// The address has bits behind the prefix; this is the range that it is in.
    HostBits(Cidr),
}

impl error::Error for InvalidCidr {}

impl fmt::Display for InvalidCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("it is no IPv4 or IPv6 address, alone or with /BITS"),
            Self::PrefixLen(most) => write!(f, "behind the / must be a number from 0 to {most}"),
            Self::HostBits(range) => write!(f, "it has bits behind its prefix; the whole range is {range}"),
        }
    }
}

impl Cidr {
    /// The addresses whose first `prefix_len` bits are those of `address`.
    ///
    /// # Errors
    /// [`InvalidCidr::PrefixLen`] where the address has fewer bits, [`InvalidCidr::HostBits`] where others are set.
    pub fn new(address: IpAddr, prefix_len: u8) -> Result<Self, InvalidCidr> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        if prefix_len > most {
            return Err(InvalidCidr::PrefixLen(most));
        }
        let range = Self { address: first(address, prefix_len), prefix_len };
        if range.address == address { Ok(range) } else { Err(InvalidCidr::HostBits(range)) }
    }

    /// The first of its addresses.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits they have in common.
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Whether an address is one of them. (An IPv4 address in an IPv6 one is not an IPv4 address.)
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && first(address, self.prefix_len) == self.address
    }
}

/// The address with all bits behind the prefix zero.
fn first(address: IpAddr, prefix_len: u8) -> IpAddr {
    let shift = u32::from(prefix_len);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shr(shift).map_or(u32::MAX, |host| !host);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shr(shift).map_or(u128::MAX, |host| !host);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix_len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr::Address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let Some(digits) = prefix_len else { return Self::new(address, most) };
        // `parse` takes a sign and leading zeros too.
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let prefix_len = digits.parse().ok().filter(|_| is_number).ok_or(InvalidCidr::PrefixLen(most))?;
        Self::new(address, prefix_len)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Cidr, InvalidCidr> {
        text.parse()
    }

    #[test]
    fn ranges_are_read_and_written() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "255.255.255.255/32", "2001:db8::/32", "::/0", "::1/128", "fe80::/10"]
        {
            assert_eq!(parse(text).expect(text).to_string(), text);
        }
        assert_eq!(parse("192.0.2.7").expect("an address").to_string(), "192.0.2.7/32");
        assert_eq!(parse("2001:DB8:0:0::7").expect("an address").to_string(), "2001:db8::7/128");
    }

    #[test]
    fn what_is_no_range_says_why() {
        for text in ["", "x", "192.0.2", "192.0.2.256", "192.0.02.1", "2001:db8", ":::", "fe80::1%eth0", " ::1", "/8"] {
            assert_eq!(parse(text), Err(InvalidCidr::Address), "{text}");
        }
        for text in ["192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+24", "192.0.2.0/024", "192.0.2.0/24/8", "192.0.2.0/-1"] {
            assert_eq!(parse(text), Err(InvalidCidr::PrefixLen(32)), "{text}");
        }
        assert_eq!(parse("::/129"), Err(InvalidCidr::PrefixLen(128)));
        let range = parse("10.0.0.0/8").expect("a range");
        assert_eq!(parse("10.0.0.1/8"), Err(InvalidCidr::HostBits(range)));
        assert!(InvalidCidr::HostBits(range).to_string().ends_with("the whole range is 10.0.0.0/8"));
    }

    #[test]
    fn families_are_kept_apart() {
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert!(!parse("192.0.2.0/24").expect("a range").contains(mapped));
        assert!(!parse("0.0.0.0/0").expect("a range").contains(mapped));
        assert!(parse("::/0").expect("a range").contains(mapped));
    }

    proptest! {
        #[test]
        fn a_range_has_the_addresses_with_its_first_bits(one: u128, other: u128, wanted in 0u8..=128) {
            let other = if wanted == 0 { other } else { one ^ (other >> (wanted - 1)) };
            let range = Cidr { address: first(Ipv6Addr::from_bits(one).into(), wanted), prefix_len: wanted };
            let common = u32::from(wanted) <= (one ^ other).leading_zeros();
            prop_assert_eq!(range.contains(Ipv6Addr::from_bits(other).into()), common);
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }

        #[test]
        fn the_same_for_ipv4(one: u32, other: u32, wanted in 0u8..=32) {
            let other = if wanted == 0 { other } else { one ^ (other >> (wanted - 1)) };
            let range = Cidr { address: first(Ipv4Addr::from_bits(one).into(), wanted), prefix_len: wanted };
            let common = u32::from(wanted) <= (one ^ other).leading_zeros();
            prop_assert_eq!(range.contains(Ipv4Addr::from_bits(other).into()), common);
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }
    }
}
