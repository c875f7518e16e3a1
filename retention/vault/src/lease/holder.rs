//! Who holds a lease, and whether that process still lives.

use std::fs;

use rustix::process::{Pid, test_kill_process};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A process of a host, told from every other and from later ones of the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Host name, in a pod the pod's.
    pub host: String,
    /// The kernel's id of this boot; `None` where it cannot be read.
    pub boot_id: Option<String>,
    /// Inode of the PID namespace: process numbers mean nothing outside of it.
    pub pid_namespace: Option<u64>,
    /// Process number.
    pub pid: u32,
    /// Clock ticks between boot and the start of the process, against reuse of its number.
    pub process_start: Option<u64>,
}

impl Holder {
    /// The running process.
    pub fn this_process() -> Self {
        let pid = std::process::id();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot_id: boot_id.ok().map(|text| text.trim().to_owned()),
            pid_namespace: pid_namespace(),
            pid,
            process_start: process_start(pid),
        }
    }

    /// Whether process numbers of `other` can be looked up by `self`.
    pub(super) fn sees(&self, other: &Self) -> bool {
        self.host == other.host
            && self.boot_id.is_some()
            && self.boot_id == other.boot_id
            && self.pid_namespace.is_some()
            && self.pid_namespace == other.pid_namespace
    }

    /// Whether the process is known to be gone. Only for one that [`sees`](Self::sees) it.
    pub(super) fn is_dead(&self) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return false };
        // /proc may hide other users' processes; a signal of nothing tells them from dead ones.
        if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            return true;
        }
        match (self.process_start, process_start(self.pid)) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// Milliseconds since boot, the time asleep included: comparable between processes of one
/// boot, whatever becomes of the wall clock.
pub(super) fn since_boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000)
}

/// The inode in `pid:[4026531836]`.
fn pid_namespace() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// Field 22 of `/proc/PID/stat` (proc(5)), counted behind the command's name, which may hold
/// anything.
fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(behind_name + 1..)?).ok()?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_alive() {
        let me = Holder::this_process();
        assert!(me.sees(&me));
        assert!(!me.is_dead());
        assert!(me.process_start.is_some() && me.boot_id.is_some() && me.pid_namespace.is_some());
    }

    #[test]
    fn an_ended_process_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = process_start(child.id());
        let holder = Holder { pid: child.id(), process_start: start, ..Holder::this_process() };
        assert!(!holder.is_dead());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(holder.is_dead());
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_holder() {
        let me = Holder::this_process();
        let before =
            Holder { process_start: me.process_start.map(|ticks| ticks - 1), ..me.clone() };
        assert!(before.is_dead());
    }

    #[test]
    fn other_boots_and_other_namespaces_are_not_seen() {
        let me = Holder::this_process();
        assert!(!me.sees(&Holder { host: "elsewhere".into(), ..me.clone() }));
        assert!(!me.sees(&Holder { boot_id: Some("another".into()), ..me.clone() }));
        assert!(!me.sees(&Holder { pid_namespace: Some(1), ..me.clone() }));
        let blind = Holder { boot_id: None, ..me.clone() };
        assert!(!blind.sees(&blind.clone()));
    }
}
