//! Rules about the addresses that packets come from: ranges that are blocked, and exceptions that are allowed.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use ebpflab_common::cidr::Cidr;

use crate::error::{Error, Result};

/// Bad lines of a file that are told with the reason; of more the numbers are told.
const REASONS: usize = 8;

/// What a rule does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It passes them.
    Allow,
    /// It drops them.
    Block,
}

impl Action {
    /// Its name: `allow` or `block`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
        }
    }
}

/// A range of source addresses and what becomes of packets from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The addresses.
    pub cidr: Cidr,
    /// What it does.
    pub action: Action,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action.name(), self.cidr)
    }
}

/// Where rules come from, as whoever asks for them writes them.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// Ranges or addresses to block.
    pub block: Vec<String>,
    /// A file of such, one a line.
    pub block_file: Option<PathBuf>,
    /// Exceptions.
    pub allow: Vec<String>,
}

/// A set of rules. Of those whose range has an address the one with the longest prefix applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(BTreeMap<Cidr, Action>);

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self(rules.into_iter().map(|Rule { cidr, action }| (cidr, action)).collect())
    }
}

impl Rules {
    /// Reads the lists. A range that is in both is allowed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names what is no range, or every line of the file that is none; [`Error::Os`] where the
    /// file cannot be read.
    pub fn read(lists: &Lists) -> Result<Self> {
        let mut rules = BTreeMap::new();
        for cidr in parse_all("block", &lists.block)? {
            rules.insert(cidr, Action::Block);
        }
        if let Some(path) = &lists.block_file {
            rules.extend(read_file(path)?.into_iter().map(|cidr| (cidr, Action::Block)));
        }
        for cidr in parse_all("allow", &lists.allow)? {
            rules.insert(cidr, Action::Allow);
        }
        Ok(Self(rules))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Rule> + '_ {
        self.0.iter().map(|(cidr, action)| Rule { cidr: *cidr, action: *action })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rule that applies to packets from an address: that of the longest prefix.
    pub fn of(&self, address: IpAddr) -> Option<Rule> {
        self.iter().filter(|rule| rule.cidr.contains(address)).max_by_key(|rule| rule.cidr.prefix_len())
    }

    /// What whoever made them may not have thought of: that they block everything, or the address that he is logged in
    /// from.
    pub fn warnings(&self, from: Option<IpAddr>) -> Vec<String> {
        let everything = [("IPv4", IpAddr::V4(Ipv4Addr::UNSPECIFIED)), ("IPv6", IpAddr::V6(Ipv6Addr::UNSPECIFIED))];
        let all = everything.into_iter().filter_map(|(family, first)| {
            let cidr = Cidr::new(first, 0).ok()?;
            (self.0.get(&cidr) == Some(&Action::Block))
                .then(|| format!("{cidr} blocks all {family} packets that arrive, but for what is allowed"))
        });
        let own = from.and_then(|address| {
            let rule = self.of(address).filter(|rule| rule.action == Action::Block)?;
            Some(format!("{} blocks {address}, which this SSH session comes from", rule.cidr))
        });
        all.chain(own).collect()
    }
}

/// The address that the SSH session of this process comes from, if it is in one (`SSH_CONNECTION`, ssh(1)).
pub fn ssh_client() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    let address = connection.split_whitespace().next()?;
    // A link-local address has its interface behind it.
    address.split('%').next()?.parse().ok()
}

fn parse_all(option: &str, texts: &[String]) -> Result<Vec<Cidr>> {
    texts.iter().map(|text| parse(text).map_err(|why| Error::InvalidArgument(format!("{option} {why}")))).collect()
}

/// Reads a range; the error says what is wrong with which text.
///
/// # Errors
/// A sentence without its beginning.
pub fn parse(text: &str) -> Result<Cidr, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// A range on each line; empty lines, and what is behind `#` or `;`, mean nothing.
fn read_file(path: &Path) -> Result<Vec<Cidr>> {
    let name = path.display();
    let bytes = fs::read(path).map_err(Error::os(format!("read block file {name}")))?;
    let (mut ranges, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let text = line.split(['#', ';']).next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        match parse(text) {
            Ok(range) => ranges.push(range),
            Err(why) => wrong.push((number + 1, why)),
        }
    }
    if wrong.is_empty() { Ok(ranges) } else { Err(Error::InvalidArgument(format!("{name}: {}", bad_lines(&wrong)))) }
}

fn bad_lines(wrong: &[(usize, String)]) -> String {
    let (first, others) = wrong.split_at(wrong.len().min(REASONS));
    let mut told: Vec<_> = first.iter().map(|(number, why)| format!("line {number}: {why}")).collect();
    if !others.is_empty() {
        let numbers: Vec<_> = others.iter().map(|(number, _)| number.to_string()).collect();
        told.push(format!("and lines {}", numbers.join(", ")));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(block: &[&str], allow: &[&str]) -> Lists {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Lists { block: owned(block), block_file: None, allow: owned(allow) }
    }

    fn rules(block: &[&str], allow: &[&str]) -> Rules {
        Rules::read(&lists(block, allow)).expect("rules")
    }

    fn what(rules: &Rules, address: &str) -> Option<String> {
        rules.of(address.parse().expect("an address")).map(|rule| rule.to_string())
    }

    /// Rules from a file with this content.
    fn from_file(content: &[u8]) -> Result<Rules> {
        let path = std::env::temp_dir().join(format!("ebpflab-rules-{:?}", std::thread::current().id()));
        fs::write(&path, content).expect("writable");
        let read = Rules::read(&Lists { block_file: Some(path.clone()), ..Lists::default() });
        fs::remove_file(path).expect("it was written");
        read
    }

    #[test]
    fn the_longest_prefix_wins_over_both_lists() {
        let rules = rules(&["10.0.0.0/8", "10.1.2.3", "2001:db8::/32"], &["10.1.0.0/16", "2001:db8:1::/48"]);
        assert_eq!(what(&rules, "10.9.9.9").as_deref(), Some("block 10.0.0.0/8"));
        assert_eq!(what(&rules, "10.1.9.9").as_deref(), Some("allow 10.1.0.0/16"));
        assert_eq!(what(&rules, "10.1.2.3").as_deref(), Some("block 10.1.2.3/32"));
        assert_eq!(what(&rules, "11.0.0.1"), None);
        assert_eq!(what(&rules, "2001:db8::1").as_deref(), Some("block 2001:db8::/32"));
        assert_eq!(what(&rules, "2001:db8:1::1").as_deref(), Some("allow 2001:db8:1::/48"));
    }

    #[test]
    fn what_is_in_both_lists_is_allowed() {
        let rules = rules(&["10.0.0.0/8"], &["10.0.0.0/8"]);
        assert_eq!((rules.len(), what(&rules, "10.0.0.1").as_deref()), (1, Some("allow 10.0.0.0/8")));
    }

    #[test]
    fn files_have_comments_and_blank_lines_and_both_families() {
        let rules =
            from_file(b"# bots\r\n\n192.0.2.0/24\r\n  2001:db8::/32 # one\n198.51.100.7;SBL1\n \t\n192.0.2.0/24")
                .expect("rules");
        let told: Vec<_> = rules.iter().map(|rule| rule.to_string()).collect();
        assert_eq!(told, ["block 192.0.2.0/24", "block 198.51.100.7/32", "block 2001:db8::/32"]);
        assert!(from_file(b"# nothing").expect("no rules").is_empty());
    }

    #[test]
    fn every_bad_line_is_named_in_one_error() {
        let error = from_file(b"192.0.2.0/24\nbad\n10.0.0.1/8\n\n\xff\n").expect_err("three bad lines").to_string();
        for part in ["line 2: \"bad\": it is no", "line 3: \"10.0.0.1/8\": it has bits", "line 5: \"\u{fffd}\""] {
            assert!(error.contains(part), "{error}");
        }
        let error = from_file("x\n".repeat(11).as_bytes()).expect_err("all are bad").to_string();
        assert!(error.contains("line 8: ") && error.ends_with("; and lines 9, 10, 11"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let lists = Lists { block_file: Some("/no/such/list".into()), ..Lists::default() };
        let error = Rules::read(&lists).expect_err("there is none");
        assert!(matches!(error, Error::Os { .. }));
        assert!(error.to_string().contains("/no/such/list"), "{error}");
    }

    #[test]
    fn a_bad_range_says_in_which_list_it_is() {
        let error = Rules::read(&lists(&[], &["10.0.0.0/33"])).expect_err("33 bits").to_string();
        assert!(error.contains("allow \"10.0.0.0/33\": behind the / must be a number from 0 to 32"), "{error}");
    }

    #[test]
    fn whoever_locks_himself_out_is_told() {
        let own = Some("192.0.2.7".parse().expect("an address"));
        assert_eq!(rules(&["10.0.0.0/8"], &[]).warnings(own), [""; 0]);
        let [all] = &rules(&["0.0.0.0/0"], &["192.0.2.0/24"]).warnings(own)[..] else { panic!("one warning") };
        assert!(all.contains("all IPv4 packets"));
        let [own] = &rules(&["192.0.2.0/24"], &[]).warnings(own)[..] else { panic!("one warning") };
        assert!(own.contains("192.0.2.7"));
        assert_eq!(rules(&["0.0.0.0/0", "::/0"], &[]).warnings(None).len(), 2);
        assert_eq!(rules(&["0.0.0.0/0"], &["0.0.0.0/0"]).warnings(None), [""; 0]);
    }
}
