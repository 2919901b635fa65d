//! Every promise about single files, on the real program pairs of the corpus: a stamp is planted in the old version,
//! bytes are left open, and the patched file must be the vendor's but for the stamp; then it must be what it was.
//!
//! Several old versions of one program make one patch. Each profile is tried, or the one that is named, and apply and
//! revert are watched: what they hold in memory has a bound. Slow, since the files are large: not part of `test`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::args::Args;
use crate::run::{cargo, output, read, root, show, target_dir};
use crate::{Failure, Result, corpus};

/// Old versions that lead to the same new one.
const SHARED: [(&str, &[&str]); 2] = [("d03", &["m01", "m02"]), ("d10", &["m03", "m04"])];

const PROFILES: [&str; 3] = ["small", "fast", "quick"];

/// What apply and revert may hold besides the files themselves: the tables of the decoder, segments under way, the log of
/// covers and what a process takes anyway.
const ROOM: u64 = 192 << 20;

const STAMP: u64 = 64;
const OPEN: u64 = 16;

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) fn run(mut args: Args) -> Result {
    let dir = root().join(args.value("--corpus")?.as_deref().unwrap_or("corpus"));
    let pairs = args.value("--pairs")?;
    let profiles = match args.value("--profile")? {
        Some(one) => vec![one],
        None => PROFILES.map(String::from).to_vec(),
    };
    args.free(0)?;
    let pairs: Vec<String> = match pairs {
        Some(list) => list.split(',').map(String::from).collect(),
        None => corpus::ids("d").collect(),
    };
    let more = SHARED.iter().filter(|(pair, _)| pairs.iter().any(|named| named == pair));
    let ids: Vec<String> =
        pairs.iter().cloned().chain(more.flat_map(|(_, olds)| olds.iter().map(|old| old.to_string()))).collect();
    corpus::fetch(&dir, &ids)?;
    show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;
    let bench = Bench { work: target_dir().join("real"), tool: target_dir().join("release/patchwright") };
    let mut held = 0;
    for pair in &pairs {
        let others = SHARED.iter().find(|(id, _)| id == pair).map_or(&[][..], |(_, olds)| olds);
        let folders: Vec<&str> = std::iter::once(pair.as_str()).chain(others.iter().copied()).collect();
        if folders.iter().all(|folder| dir.join(folder).join("old").is_file()) {
            for profile in &profiles {
                bench.check(&dir, &folders, profile)?;
            }
            held += 1;
        } else {
            println!("{pair}: left out, the corpus does not have it");
        }
    }
    println!("{held} programs held every promise");
    if held > 0 { Ok(()) } else { Err(Failure::Failed("nothing was checked".into())) }
}

struct Bench {
    work: std::path::PathBuf,
    tool: std::path::PathBuf,
}

impl Bench {
    /// `folders` hold the old versions; the first one's new version is the one that they all lead to.
    fn check(&self, corpus: &Path, folders: &[&str], profile: &str) -> Result {
        let _ = fs::remove_dir_all(&self.work);
        fs::create_dir_all(&self.work)?;
        let new = read(&corpus.join(folders[0]).join("new"))?;
        let (patch, target) = (self.work.join("fix.pwp"), self.work.join("program"));
        let new_offset = new.len() as u64 / 3;
        let mut diff = Command::new(&self.tool);
        diff.args(["diff", "--quiet", "--profile", profile]);
        for (index, folder) in folders.iter().enumerate() {
            let old = corpus.join(folder).join("old");
            let (stamp, open) = places(fs::metadata(&old)?.len());
            let number = index + 1;
            diff.arg(&old);
            diff.arg("--retain").arg(format!("{number}:{stamp:#x}+{STAMP}={new_offset:#x}"));
            diff.arg("--ignore").arg(format!("{number}:{open:#x}+{OPEN}"));
        }
        output(diff.arg(corpus.join(folders[0]).join("new")).arg("-o").arg(&patch))?;
        for folder in folders {
            let mut users = read(&corpus.join(folder).join("old"))?;
            let (stamp, open) = places(users.len() as u64);
            let licence: Vec<u8> = b"licensed to this machine alone: ".repeat(2);
            at(&mut users, stamp, STAMP).copy_from_slice(&licence);
            at(&mut users, open, OPEN).fill(0xEE);
            fs::write(&target, &users)?;
            // The old file, and one between where a version goes by another.
            let files = users.len() as u64 + if folders.len() > 1 { 2 * new.len() as u64 } else { 0 };
            let apply_peak = self.call("apply", &patch, &target)?;
            let mut expect = new.clone();
            at(&mut expect, new_offset, STAMP).copy_from_slice(&licence);
            demand(read(&target)? == expect, folder, "the result is not the vendor's file with the user's stamp")?;
            self.call("apply", &patch, &target)?;
            demand(read(&target)? == expect, folder, "a second apply changed the file")?;
            let revert_peak = self.call("revert", &patch, &target)?;
            demand(read(&target)? == users, folder, "revert did not bring every byte back")?;
            for (verb, peak) in [("apply", apply_peak), ("revert", revert_peak)] {
                demand(peak <= files + ROOM, folder, &format!("{verb} held {peak} bytes, for files of {files}"))?;
            }
            println!(
                "{folder} {profile}: {} bytes by a patch of {} for {} versions; apply held {} MiB, revert {}",
                new.len(),
                fs::metadata(&patch)?.len(),
                folders.len(),
                apply_peak >> 20,
                revert_peak >> 20
            );
        }
        Ok(())
    }

    /// Calls a verb and returns the most memory that it held, as far as looking every few milliseconds tells.
    fn call(&self, verb: &str, patch: &Path, target: &Path) -> Result<u64> {
        let mut command = Command::new(&self.tool);
        command.args([verb, "--quiet"]).arg(patch).arg(target);
        let mut child = command.spawn().map_err(|error| format!("{verb}: {error}"))?;
        let mut peak = 0;
        let status = loop {
            peak = peak.max(held(child.id()).unwrap_or(0));
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(LOOK);
        };
        if status.success() { Ok(peak) } else { Err(format!("{verb} failed: {status}").into()) }
    }
}

/// The most that a process has held so far, in bytes.
fn held(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Where the stamp and the open bytes of a file of `len` bytes are.
fn places(len: u64) -> (u64, u64) {
    (len / 2, len / 5)
}

fn at(bytes: &mut [u8], offset: u64, len: u64) -> &mut [u8] {
    let start = usize::try_from(offset).expect("inside a file that was read");
    let len = usize::try_from(len).expect("a few bytes");
    &mut bytes[start..start + len]
}

fn demand(held: bool, folder: &str, complaint: &str) -> Result {
    if held { Ok(()) } else { Err(format!("{folder}: {complaint}").into()) }
}
