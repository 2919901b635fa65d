//! Which processes run a build.

use std::fs;

use crate::module::modules;

use super::process::Process;

/// A process that runs one of the builds asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// Which of the builds it runs.
    pub builds: Vec<Vec<u8>>,
}

/// Processes of this machine that have a module with one of these build identities in their memory, by number; in
/// containers too, and whatever became of the file. Also how many processes could not be looked into.
pub fn find_build(builds: &[&[u8]]) -> (Vec<Seen>, usize) {
    let mut found = Vec::new();
    let mut closed = 0;
    let mut pids: Vec<i32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    for pid in pids.into_iter().filter(|pid| *pid != own) {
        match seen(pid, builds) {
            Ok(Some(process)) => found.push(process),
            Ok(None) => {}
            Err(()) => closed += 1,
        }
    }
    (found, closed)
}

/// Looks into one process. `Err` if that is not allowed.
#[allow(clippy::result_unit_err)]
pub fn seen(pid: i32, builds: &[&[u8]]) -> Result<Option<Seen>, ()> {
    let maps = fs::read(format!("/proc/{pid}/maps"));
    match maps {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(()),
        Err(_) => return Ok(None),
        // Threads of the kernel have no memory.
        Ok(maps) if maps.is_empty() => return Ok(None),
        Ok(_) => {}
    }
    let Ok(mut process) = Process::open_to_read(pid) else { return Err(()) };
    let Ok(list) = modules(&mut process) else { return Ok(None) };
    let mut mapped: Vec<Vec<u8>> =
        list.into_iter().map(|module| module.build).filter(|build| builds.contains(&build.as_slice())).collect();
    mapped.sort();
    mapped.dedup();
    Ok((!mapped.is_empty()).then(|| Seen { pid, name: name(pid), builds: mapped }))
}

/// The name of a process.
pub(super) fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}
