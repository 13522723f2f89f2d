//! The line that gives a process what it lacks, for the way it runs. Never `setcap`: what it gives everybody has.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, getppid};

use super::Capability;

/// What of a process decides how it can have more capabilities.
struct Process {
    uid: u32,
    gid: u32,
    /// Its effective set.
    held: u64,
    /// What it, and all that it starts, can have at the most.
    bounding: u64,
    /// `PR_SET_NO_NEW_PRIVS`, or root without its powers (`SECBIT_NOROOT`): no program that it starts gets more.
    is_bound: bool,
    /// Capabilities of other user namespances are none for BPF.
    in_first_user_namespace: bool,
    place: Place,
    /// Whether there is sudo here.
    has_sudo: bool,
    /// What it was started with, as a shell takes it.
    command: String,
}

/// What started it.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// A shell, or what else hands on what it has itself.
    Session,
    /// systemd, as a service of this name.
    Service(String),
    Docker,
    Kubernetes,
}

/// What gives this process those capabilities, beside what it holds.
pub(super) fn fix(missing: &[Capability]) -> String {
    Process::this().fix(missing)
}

impl Process {
    fn this() -> Self {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let uid = Uid::effective().as_raw();
        Self {
            uid,
            gid: Gid::effective().as_raw(),
            held: super::set_of(&status, "CapEff:").unwrap_or(0),
            bounding: super::set_of(&status, "CapBnd:").unwrap_or(u64::MAX),
            is_bound: status.contains("NoNewPrivs:\t1") || uid == 0 && is_root_powerless(),
            in_first_user_namespace: in_first_user_namespace(),
            place: place(),
            has_sudo: on_path("sudo").is_some(),
            command: fs::read("/proc/self/cmdline")
                .ok()
                .and_then(|line| command(&line))
                .unwrap_or("COMMAND".to_owned()),
        }
    }

    fn fix(&self, missing: &[Capability]) -> String {
        let lacks = missing.iter().fold(0, |set, (_, number)| set | 1 << number);
        let line = || self.line(missing);
        if !self.in_first_user_namespace {
            return format!("outside of this user namespace, whose capabilities are none for BPF, {}", line());
        }
        let is_bounded = lacks & !self.bounding != 0;
        let names = |each: fn(&str) -> &str, between| {
            missing.iter().map(|(name, _)| each(name)).collect::<Vec<_>>().join(between)
        };
        match &self.place {
            Place::Service(unit) => {
                // systemd adds up what is said several times.
                let wanted = names(|name| name, " ");
                let bounding = if is_bounded { format!(" and CapabilityBoundingSet={wanted}") } else { String::new() };
                format!("add under [Service] (systemctl edit {unit}): AmbientCapabilities={wanted}{bounding}")
            }
            Place::Session if is_bounded || self.is_bound => {
                format!("from another login, since nothing gets more that is started here, {}", line())
            }
            Place::Docker if is_bounded || self.is_bound => {
                let user = if self.uid == 0 { "" } else { " --user 0" };
                let added = names(short, " --cap-add ");
                format!("add to docker run (or podman run):{user} --cap-add {added}")
            }
            Place::Kubernetes if is_bounded || self.is_bound => {
                let user = if self.uid == 0 { "" } else { "runAsUser: 0, " };
                let added = names(short, ", ");
                format!("add to the container of the pod: securityContext: {{{user}capabilities: {{add: [{added}]}}}}")
            }
            Place::Session | Place::Docker | Place::Kubernetes => line(),
        }
    }

    /// What to type: as the same user, with what is missing and what is held, and no more.
    fn line(&self, missing: &[Capability]) -> String {
        if self.uid == 0 {
            return format!("as root with all its capabilities run: {}", self.command);
        }
        let mut names: Vec<_> = missing.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut held: Vec<_> =
            caps::all().into_iter().filter(|capability| self.held & capability.bitmask() != 0).collect();
        held.sort_by_key(caps::Capability::index);
        names.extend(held.iter().map(ToString::to_string));
        let set: Vec<_> = names.iter().map(|name| format!("+{}", short(name).to_lowercase())).collect();
        let set = set.join(",");
        let run = if self.has_sudo { "run: sudo" } else { "run as root:" };
        format!(
            "{run} setpriv --reuid={} --regid={} --init-groups --inh-caps={set} --ambient-caps={set} {}",
            self.uid, self.gid, self.command
        )
    }
}

/// `CAP_BPF` -> `BPF`
fn short(name: &str) -> &str {
    name.trim_start_matches("CAP_")
}

/// Whether root gets no capabilities by executing something: the first bit of the securebits.
fn is_root_powerless() -> bool {
    // SAFETY: it takes no pointer.
    let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
    bits > 0 && bits & libc::SECBIT_NOROOT != 0
}

/// The first one has all ids as they are (user_namespaces(7)).
fn in_first_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.is_empty() || map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn place() -> Place {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if let Some(unit) = unit(&cgroups).filter(|_| getppid().as_raw() == 1) {
        return Place::Service(unit.to_owned());
    }
    if env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Place::Kubernetes;
    }
    match ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists()) {
        true => Place::Docker,
        false => Place::Session,
    }
}

/// The system's service that a process is in: the last name of its cgroup, in systemd's hierarchy or in the only one.
fn unit(cgroups: &str) -> Option<&str> {
    let paths = cgroups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.strip_prefix("name=systemd:").or_else(|| rest.strip_prefix(':'))
    });
    paths
        .filter(|path| path.starts_with("/system.slice/"))
        .filter_map(|path| path.rsplit('/').next())
        .find(|name| name.ends_with(".service"))
}

/// What the words of /proc/PID/cmdline are in a shell, the program by its whole path, since sudo has a PATH of its own;
/// none where that would be more than a line.
fn command(cmdline: &[u8]) -> Option<String> {
    let text = str::from_utf8(cmdline).ok()?.strip_suffix('\0')?;
    if text.chars().any(|char| char.is_control() && char != '\0') {
        return None;
    }
    let (program, arguments) = text.split_once('\0').map_or((text, None), |(program, rest)| (program, Some(rest)));
    let program = match program.contains('/') {
        true => std::path::absolute(program).ok(),
        false => on_path(program),
    }?;
    let arguments = arguments.into_iter().flat_map(|words| words.split('\0'));
    Some([program.to_str()?].into_iter().chain(arguments).map(quoted).collect::<Vec<_>>().join(" "))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./=:,@%+".contains(char);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Where PATH has a program.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, NETWORK, TRACING},
        *,
    };

    /// Somebody at a shell, with nothing.
    fn somebody() -> Process {
        Process {
            uid: 1000,
            gid: 100,
            held: 0,
            bounding: u64::MAX,
            is_bound: false,
            in_first_user_namespace: true,
            place: Place::Session,
            has_sudo: true,
            command: "/venv/bin/python /venv/bin/ebpflab count".to_owned(),
        }
    }

    fn root() -> Process {
        Process { uid: 0, gid: 0, bounding: 0, ..somebody() }
    }

    #[test]
    fn somebody_at_a_shell_has_a_line_to_paste() {
        let line = "setpriv --reuid=1000 --regid=100 --init-groups --inh-caps=+bpf,+perfmon --ambient-caps=+bpf,+perfmon \
                    /venv/bin/python /venv/bin/ebpflab count";
        assert_eq!(somebody().fix(TRACING), format!("run: sudo {line}"));
        assert_eq!(Process { has_sudo: false, ..somebody() }.fix(TRACING), format!("run as root: {line}"));
        // In a container, too, where root there may have them.
        assert_eq!(Process { place: Place::Docker, ..somebody() }.fix(TRACING), format!("run: sudo {line}"));
    }

    #[test]
    fn what_is_held_is_not_lost() {
        let holds_bpf = Process { held: 1 << CAP_BPF.1 | 1 << CAP_NET_ADMIN.1, ..somebody() };
        assert!(holds_bpf.fix(&[CAP_PERFMON]).contains(" --ambient-caps=+perfmon,+net_admin,+bpf "));
    }

    #[test]
    fn a_bounding_set_is_nothing_that_a_line_can_widen() {
        let bounded = Process { bounding: !(1 << CAP_BPF.1), ..somebody() };
        assert!(
            bounded
                .fix(TRACING)
                .starts_with("from another login, since nothing gets more that is started here, run: sudo")
        );
        assert!(bounded.fix(&[CAP_PERFMON]).starts_with("run: sudo "));
        let bound = Process { is_bound: true, ..somebody() };
        assert!(bound.fix(&[CAP_PERFMON]).starts_with("from another login"));
        assert_eq!(
            root().fix(TRACING),
            "from another login, since nothing gets more that is started here, as root with all its capabilities run: \
             /venv/bin/python /venv/bin/ebpflab count"
        );
        let inside = Process { in_first_user_namespace: false, ..somebody() };
        assert!(
            inside.fix(TRACING).starts_with("outside of this user namespace, whose capabilities are none for BPF, run")
        );
    }

    #[test]
    fn containers_are_given_more_from_outside() {
        let docker = || Process { place: Place::Docker, ..root() };
        assert_eq!(
            docker().fix(NETWORK),
            "add to docker run (or podman run): --cap-add BPF --cap-add PERFMON --cap-add NET_ADMIN"
        );
        let not_root = Process { uid: 1000, ..docker() };
        assert_eq!(not_root.fix(&[CAP_BPF]), "add to docker run (or podman run): --user 0 --cap-add BPF");
        let pod = Process { place: Place::Kubernetes, held: 1 << CAP_NET_ADMIN.1, ..root() };
        assert_eq!(
            pod.fix(TRACING),
            "add to the container of the pod: securityContext: {capabilities: {add: [BPF, PERFMON]}}"
        );
    }

    #[test]
    fn services_are_given_more_by_their_unit() {
        let service = || Process { place: Place::Service("opens.service".to_owned()), ..somebody() };
        let lines = "add under [Service] (systemctl edit opens.service): AmbientCapabilities=CAP_BPF CAP_PERFMON";
        assert_eq!(service().fix(TRACING), lines);
        let bounded = Process { bounding: 0, ..service() };
        assert_eq!(bounded.fix(TRACING), format!("{lines} and CapabilityBoundingSet=CAP_BPF CAP_PERFMON"));
    }

    #[test]
    fn a_service_is_known_by_its_cgroup() {
        assert_eq!(unit("0::/system.slice/opens.service\n"), Some("opens.service"));
        assert_eq!(
            unit("4:memory:/x\n1:name=systemd:/system.slice/system-o.slice/o@1.service\n0::/\n"),
            Some("o@1.service")
        );
        assert_eq!(unit("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n"), None);
        assert_eq!(unit("0::/system.slice/opens.service/inner\n"), None);
        assert_eq!(unit("0::/\n"), None);
    }

    #[test]
    fn a_command_is_one_line_that_a_shell_takes() {
        let path = |line: &str| command(line.as_bytes());
        assert_eq!(path("/bin/a\0-c\0b c'd\0\0").as_deref(), Some(r"/bin/a -c 'b c'\''d' ''"));
        assert_eq!(path("sh\0-x\0").as_deref().map(|line| line.ends_with("/sh -x")), Some(true));
        assert!(path("./sh\0").is_some_and(|line| line.starts_with('/')));
        assert_eq!(path("/bin/a\0b\nc\0"), None);
        assert_eq!(command(b"/bin/\xff\0"), None);
        assert_eq!(path(""), None);
    }
}
