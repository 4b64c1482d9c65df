//! How many connections this machine has room for: files and sockets that may be open, and memory.

use std::{fs, num::NonZeroUsize, path::Path};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    system::sysinfo,
};

use crate::net::admission::{Limits, Settings};

/// As many descriptors as any settings need: what the system would give besides is left to it.
const ENOUGH_DESCRIPTORS: u64 = 65_536;
/// What else needs descriptors: the database, listening sockets, connections to programs that wait for requests.
const DESCRIPTORS_KEPT: u64 = 512;
/// A connection has one, and so has a request of it: the file that is sent, or the program behind.
const DESCRIPTORS_OF_A_CONNECTION: u64 = 2;
/// What an idle connection takes of memory, with some room: see `benches/run web`.
const BYTES_OF_A_CONNECTION: u64 = 48 * 1024;
/// More are not asked for unless the settings say so.
const MOST_BY_DEFAULT: u64 = 8192;
/// Connections of one network, unless the settings say otherwise: an office behind one address.
const OF_ONE_NETWORK: usize = 512;
/// Where systemd and containers say what a group of processes may take (cgroups(7)).
const GROUPS: &str = "/sys/fs/cgroup";

/// Raises the soft limit of open files as far as the hard one and need allow.
pub(super) fn raise_descriptors() {
    let now = getrlimit(Resource::Nofile);
    let wanted = now
        .maximum
        .map_or(ENOUGH_DESCRIPTORS, |most| most.min(ENOUGH_DESCRIPTORS));
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        ..now
    };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        log::warn!(
            "the system gives no more than {:?} open files: {e}",
            now.current
        );
    }
}

/// The limits of the settings, as far as there are descriptors for them; where they say nothing, as many
/// connections as half of the memory has room for.
pub(super) fn fitting(settings: Settings) -> Limits {
    let by_descriptors = getrlimit(Resource::Nofile)
        .current
        .map_or(u64::MAX, |most| {
            most.saturating_sub(DESCRIPTORS_KEPT).max(64) / DESCRIPTORS_OF_A_CONNECTION
        });
    let wanted = settings.connections.map_or_else(
        || (memory() / 2 / BYTES_OF_A_CONNECTION).clamp(64, MOST_BY_DEFAULT),
        |wanted| wanted.get() as u64,
    );
    let connections = usize::try_from(wanted.min(by_descriptors)).unwrap_or(usize::MAX);
    // One network leaves others half, unless its owner wants it otherwise.
    let of_one = OF_ONE_NETWORK.min(connections / 2).max(1);
    Limits {
        connections,
        connections_per_network: settings
            .connections_per_network
            .map_or(of_one, NonZeroUsize::get),
    }
}

/// Bytes that this program may take: half of the machine's, or what its group is allowed.
fn memory() -> u64 {
    let info = sysinfo();
    #[allow(clippy::useless_conversion)] // of another size on other boards
    let machine = u64::from(info.totalram) * u64::from(info.mem_unit);
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_group = group_of(&group).map(|group| allowed(Path::new(GROUPS), group));
    of_group.unwrap_or(u64::MAX).min(machine / 2)
}

/// The group of a process as `/proc/self/cgroup` has it, if it is of the second version.
fn group_of(text: &str) -> Option<&str> {
    let group = text.lines().find_map(|line| line.strip_prefix("0::"));
    group.map(|group| group.trim_start_matches('/'))
}

/// The least that a group and those around it are allowed; what does not say so allows everything.
fn allowed(groups: &Path, group: &str) -> u64 {
    let of_one = |group: &Path| {
        let limits = ["memory.high", "memory.max"].map(|name| {
            let text = fs::read_to_string(groups.join(group).join(name));
            text.ok().and_then(|text| text.trim().parse().ok())
        });
        limits.into_iter().flatten().min()
    };
    let around = Path::new(group).ancestors();
    around.filter_map(of_one).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{NonZeroUsize, Settings, allowed, fitting, group_of};

    #[test]
    fn the_least_limit_of_a_group_and_those_around_it_counts() {
        let groups = tempfile::tempdir().unwrap();
        let inner = groups.path().join("system.slice/webstead.service");
        fs::create_dir_all(&inner).unwrap();
        let text = "12:cpu:/x\n0::/system.slice/webstead.service\n";
        let group = group_of(text).unwrap();
        assert_eq!(allowed(groups.path(), group), u64::MAX);
        fs::write(inner.join("memory.high"), "max\n").unwrap();
        fs::write(inner.join("memory.max"), "268435456\n").unwrap();
        assert_eq!(allowed(groups.path(), group), 268_435_456);
        fs::write(inner.join("../memory.high"), "1000\n").unwrap();
        assert_eq!(allowed(groups.path(), group), 1000);
        assert_eq!(group_of("4:memory:/old\n"), None);
    }

    #[test]
    fn what_the_settings_say_counts_and_else_what_there_is_room_for() {
        let asked = Settings {
            connections: NonZeroUsize::new(7),
            ..Settings::default()
        };
        assert_eq!(fitting(asked).connections, 7);
        assert_eq!(fitting(asked).connections_per_network, 3);
        assert!((64..=8192).contains(&fitting(Settings::default()).connections));
    }
}
