//! Real servers, patched and reverted a hundred times while clients drive them; and a real vulnerability, fixed in a server
//! that runs.
//!
//! Each server is built from Debian's source with `patchwright cc`: as the source is before the fix of a vulnerability, with
//! small edits of ours, and with Debian's fix. Clients check every answer; the server's own counters must agree with
//! theirs; memory after the last round must be that after the second. Nothing of the servers is in the repository.

mod memcached;
mod nginx;
mod process;
mod redis;
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::args::Args;
use crate::load::{Client, Load, Tally, Wanted};
use crate::run::{cargo, show, target_dir};
use crate::setup::{Group, ensure};
use crate::{Failure, Result};

use process::{Memory, Server, Tool, memory};
use source::{Change, Package};

/// Rounds, and where things are.
pub(crate) struct Bench {
    bin: PathBuf,
    rounds: usize,
}

pub(crate) fn run(mut args: Args) -> Result {
    let rounds = args.value("--rounds")?.map_or(Ok(100), |rounds| rounds.parse());
    let rounds = rounds.map_err(|_| Failure::Usage("--rounds wants a number".into()))?;
    let bin = args.value("--bin")?;
    let names = args.free(3)?;
    type Story = (&'static str, fn(&Bench) -> Result);
    const STORIES: [Story; 3] = [("redis", redis::run), ("nginx", nginx::run), ("memcached", memcached::run)];
    if let Some(name) = names.iter().find(|name| !STORIES.iter().any(|(known, _)| known == name)) {
        return Err(Failure::Usage(format!("no server is called {name}")));
    }
    ensure(Group::Servers)?;
    let bin = match bin {
        Some(bin) => fs::canonicalize(&bin).map_err(|error| format!("{bin}: {error}"))?,
        None => {
            show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;
            target_dir().join("release/patchwright")
        }
    };
    let bench = Bench { bin, rounds };
    let mut failures = Vec::new();
    for (name, story) in STORIES.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|asked| asked == name))
    {
        println!("== {name}");
        if let Err(error) = story(&bench) {
            println!("{name} FAILED: {error}");
            failures.push(*name);
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("failed: {}", failures.join(", ")).into()) }
}

/// How a server is built.
struct Recipe {
    package: Package,
    /// Run once, in a fresh tree.
    configure: &'static [&'static str],
    /// Run after every change.
    make: &'static [&'static str],
    /// The program, in the tree.
    program: &'static str,
}

impl Bench {
    fn dir(&self, name: &str) -> PathBuf {
        target_dir().join("servers").join(name)
    }

    /// The tree `side` of the server with `change`, built; what an earlier run built the same way is taken.
    fn build(&self, recipe: &Recipe, side: &str, change: &Change) -> Result<PathBuf> {
        let dir = self.dir(recipe.package.name);
        let description = recipe.package.fetch(&dir)?;
        let tree = dir.join(side);
        let built = tree.join("patchwright-built");
        let how =
            format!("{:?} {:?} {:?} {description:?} {change:?}", recipe.package.before, recipe.configure, recipe.make);
        if fs::read_to_string(&built).is_ok_and(|text| text == how) {
            return Ok(tree.join(recipe.program));
        }
        println!("  builds {} ({side})", recipe.package.name);
        recipe.package.unpack(&description, &tree)?;
        source::make(change, &tree)?;
        let compiler = format!("{} cc --audit=off -- gcc", self.bin.display());
        // Builds that ask for the time or the machine get the same answer.
        let environment = [("SOURCE_DATE_EPOCH", "0"), ("CC", &compiler), ("HOSTNAME", "localhost")];
        for line in recipe.configure.iter().chain(recipe.make) {
            source::shell(&tree, line, &environment)?;
        }
        fs::write(built, how)?;
        Ok(tree.join(recipe.program))
    }

    /// A directory for the server's own files, empty.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir(name).join("run");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Patches and reverts processes again and again under load.
    fn rounds<C: Client>(&self, tool: &Tool, server: &mut Server, pids: &[u32], load: &Load<C>) -> Result<Rounds> {
        let mut rounds =
            Rounds { pauses: Vec::new(), repeated: 0, second: None, last: memory(pids), since: Instant::now() };
        load.everyone_asks(50)?;
        for round in 1..=self.rounds {
            load.expect(Wanted::Either);
            let applied = tool.apply(pids)?;
            load.expect(Wanted::New);
            load.everyone_asks(25)?;
            if round == 1 {
                states(tool, pids, [1, 0])?;
            }
            load.expect(Wanted::Either);
            let reverted = tool.revert(pids)?;
            load.expect(Wanted::Old);
            load.everyone_asks(25)?;
            if round == self.rounds {
                states(tool, pids, [0, 1])?;
            }
            for done in [applied, reverted] {
                rounds.pauses.extend(done.pauses);
                rounds.repeated += done.repeated;
            }
            rounds.last = memory(pids);
            if round == 2 {
                rounds.second = Some(rounds.last);
            }
            if let Some(status) = server.ended()? {
                return Err(format!("the server ended in round {round}: {status}").into());
            }
            if load.has_failed() {
                break;
            }
        }
        Ok(rounds)
    }
}

fn states(tool: &Tool, pids: &[u32], expected: [usize; 2]) -> Result {
    for pid in pids {
        let found = tool.states(*pid)?;
        if found != expected {
            return Err(format!("process {pid}: {found:?} patches in use and not, instead of {expected:?}").into());
        }
    }
    Ok(())
}

/// What the rounds did.
struct Rounds {
    pauses: Vec<u64>,
    repeated: u64,
    second: Option<Memory>,
    last: Memory,
    since: Instant,
}

/// What the server itself may take more after many requests than after some, in KiB for each process.
const SLACK_KIB: u64 = 1024;

impl Rounds {
    /// Says what was seen, and objects to memory that grew.
    fn tell(&mut self, tally: &Tally, processes: usize) -> Result {
        self.pauses.sort_unstable();
        let at =
            |share: usize| self.pauses.get((self.pauses.len().saturating_sub(1)) * share / 100).copied().unwrap_or(0);
        let ms = |us: u64| format!("{}.{:02} ms", us / 1000, us % 1000 / 10);
        println!(
            "  {} switches of a process in {:.0} s, {} repeated attempts; stood still {} / {} / {} (min / median / max)",
            self.pauses.len(),
            self.since.elapsed().as_secs_f64(),
            self.repeated,
            ms(at(0)),
            ms(at(50)),
            ms(at(100)),
        );
        println!(
            "  {} requests, none failed: {} answers only the old version gives, {} only the new one; the longest took {:.1} ms",
            tally.asked,
            tally.old,
            tally.new,
            tally.longest.as_secs_f64() * 1e3
        );
        if tally.old == 0 || tally.new == 0 {
            return Err("one of the versions never answered".into());
        }
        let Some(second) = self.second else { return Ok(()) };
        println!(
            "  memory after round 2 and at the end: {} and {} mappings, {} and {} KiB",
            second.mappings, self.last.mappings, second.resident_kib, self.last.resident_kib
        );
        let bound = second.resident_kib + SLACK_KIB * processes as u64;
        if self.last.mappings > second.mappings || self.last.resident_kib > bound {
            return Err("the memory of the server has grown".into());
        }
        Ok(())
    }
}

/// Says what holds, or fails.
fn holds(held: bool, what: &str) -> Result {
    if held {
        println!("  checked: {what}");
        return Ok(());
    }
    Err(format!("does not hold: {what}").into())
}

fn path_of(dir: &Path) -> String {
    dir.display().to_string()
}
