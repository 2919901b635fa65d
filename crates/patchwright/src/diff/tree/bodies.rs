//! The deltas of a tree: each made once, whichever versions need it, and as many at a time as fit in memory.
//!
//! New files that several old versions have other old files for are taken one by one, since the deltas of one file may
//! lead from one old file to another ([`chain`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use patchwright_formats::ReadAt;
use patchwright_formats::account::BodyAccount;
use patchwright_formats::manifest::{Between, Hash, Link, OldFile, OldTree, Source};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::options::DiffOptions;
use crate::progress::{Progress, Quiet};
use crate::report::DiffedOld;

use super::super::body::Body;
use super::super::{PatchWriter, add_body, chain};
use super::walk::View;
use super::{New, Version};

/// How many bytes of old and new files are in work at the same time; a longer file is alone. The engine then needs
/// no more memory for all of them than it needs for one file in any case.
const BATCH: u64 = 64 << 20;

/// The deltas to make, and what each new file is made from.
pub(super) struct Plan {
    jobs: Vec<Job>,
    /// For each version what each new file is made from. A body is the index of a job.
    sources: Vec<Vec<Source>>,
}

/// The deltas in the patch.
#[derive(Default)]
pub(super) struct Written {
    /// Of each job.
    made: Vec<Made>,
    /// The deltas that do not lead to the new file at once.
    pub(super) links: Vec<Link>,
    /// Where the bytes of large ones went.
    pub(super) accounts: Vec<BodyAccount>,
}

impl Written {
    /// The number of deltas.
    pub(super) fn len(&self) -> usize {
        self.made.len()
    }

    /// What to tell about them.
    pub(super) fn warnings(&mut self) -> impl Iterator<Item = String> {
        self.made.iter_mut().filter_map(|made| made.warning.take())
    }
}

/// One delta, for the first version that needs it.
struct Job {
    version: usize,
    /// The old file; none for a delta that takes nothing from the old version.
    entry: Option<usize>,
    /// The number of the new file.
    number: usize,
    /// Length of the old file.
    old_bytes: u64,
    /// Length of the new file.
    new_bytes: u64,
}

impl Job {
    /// How much work it is, as [`Body::make`] counts it: every new byte is matched and compressed.
    fn work(&self) -> u64 {
        self.new_bytes.saturating_mul(2)
    }
}

/// What is to be told about a delta.
struct Made {
    /// Where it stands in the patch.
    blob: usize,
    bytes: u64,
    method: &'static str,
    warning: Option<String>,
}

/// What a delta depends on: lengths and hashes of both files as the patch sees them.
type Key = ((u64, Hash), (u64, Hash));

/// Decides what every new file is made from. Versions share the deltas between files that they share.
pub(super) fn plan(versions: &[Version], new: &New) -> Plan {
    let mut plan = Plan { jobs: Vec::new(), sources: Vec::new() };
    let mut known: HashMap<Key, usize> = HashMap::new();
    let nothing = (0, *blake3::hash(b"").as_bytes());
    for (index, version) in versions.iter().enumerate() {
        let sources = new.files().enumerate().map(|(number, (_, new_file))| {
            let entry = version.partners[number];
            let old_file = entry.and_then(|entry| version.old.file(entry)).map(|(_, file)| file);
            let entry = match (entry, old_file) {
                (Some(entry), Some(file)) if file.is_new_already(new_file) => return Source::Same { entry },
                (entry, _) => entry,
            };
            let (old_bytes, old_hash) = old_file.map_or(nothing, |file| (file.size, file.hash));
            let key = ((old_bytes, old_hash), (new_file.size, new_file.hash));
            let body = *known.entry(key).or_insert_with(|| {
                plan.jobs.push(Job { version: index, entry, number, old_bytes, new_bytes: new_file.size });
                plan.jobs.len() - 1
            });
            entry.map_or(Source::Whole { body }, |entry| Source::Delta { entry, body })
        });
        let sources = sources.collect();
        plan.sources.push(sources);
    }
    plan
}

impl Plan {
    /// The jobs that are alone with their new file, and those that share one.
    fn by_new_file(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        let mut files: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, job) in self.jobs.iter().enumerate().filter(|(_, job)| job.entry.is_some()) {
            files.entry(job.number).or_default().push(index);
        }
        let together: Vec<Vec<usize>> = files.into_values().filter(|jobs| jobs.len() > 1).collect();
        let shared: BTreeSet<usize> = together.iter().flatten().copied().collect();
        ((0..self.jobs.len()).filter(|index| !shared.contains(index)).collect(), together)
    }

    /// The old versions as the manifest lists them.
    pub(super) fn olds(&self, versions: &[Version], written: &Written) -> Vec<OldTree> {
        let blob = |job: usize| written.made.get(job).map_or(job, |made| made.blob);
        let placed = |source: &Source| match *source {
            Source::Same { entry } => Source::Same { entry },
            Source::Whole { body } => Source::Whole { body: blob(body) },
            Source::Delta { entry, body } => Source::Delta { entry, body: blob(body) },
        };
        let trees = versions.iter().zip(&self.sources);
        trees
            .map(|(version, sources)| OldTree {
                entries: version.old.entries.clone(),
                sources: sources.iter().map(placed).collect(),
            })
            .collect()
    }

    /// What to tell about each old version.
    pub(super) fn report(&self, versions: &[Version], written: &Written) -> Vec<DiffedOld> {
        let made = &written.made;
        versions
            .iter()
            .enumerate()
            .map(|(index, version)| {
                let own = self.jobs.iter().zip(made).filter(|(job, _)| job.version == index);
                let bodies = self.sources[index].iter().filter_map(|source| match source {
                    Source::Same { .. } => None,
                    Source::Whole { body } | Source::Delta { body, .. } => made.get(*body),
                });
                let mut methods: Vec<&str> = bodies.map(|body| body.method).collect();
                methods.sort_unstable();
                methods.dedup();
                DiffedOld {
                    path: version.old.folder.root.clone(),
                    bytes: version.old.files().map(|(.., file)| file.size).sum(),
                    delta_bytes: own.map(|(_, made)| made.bytes).sum(),
                    methods,
                    via: None,
                }
            })
            .collect()
    }
}

/// Makes the deltas and writes them to the patch: first those that are alone with their new file, in the order of the
/// plan, then the others, file by file.
pub(super) fn write(
    container: &mut PatchWriter<'_, '_>,
    plan: &Plan,
    versions: &[Version],
    new: &New,
    (patch, scratch): (&Path, &Path),
    options: &DiffOptions,
    progress: &dyn Progress,
) -> Result<Written> {
    progress.begin("diff", plan.jobs.iter().map(Job::work).sum());
    let maker = Maker { versions, new, scratch, options };
    let mut write = || {
        let mut made: Vec<Option<Made>> = plan.jobs.iter().map(|_| None).collect();
        let mut written = Written::default();
        let mut put = |written: &mut Written, job: usize, body: &Body, warning: Option<String>| {
            let blob = add_body(container, body, patch)?;
            written.accounts.extend(body.account(blob));
            made[job] = Some(Made { blob, bytes: body.len_bytes(), method: body.method(), warning });
            Ok(blob)
        };
        let (alone, together) = plan.by_new_file();
        for batch in batches(&plan.jobs, &alone) {
            let bodies = alone[batch.clone()].par_iter().map(|job| maker.make(&plan.jobs[*job], progress));
            for (job, (body, warning)) in alone[batch].iter().zip(bodies.collect::<Result<Vec<_>>>()?) {
                put(&mut written, *job, &body, warning)?;
            }
        }
        for group in together {
            let jobs: Vec<&Job> = group.iter().map(|job| &plan.jobs[*job]).collect();
            let made = jobs.iter().map(|job| maker.make(job, progress)).collect::<Result<Vec<_>>>()?;
            let (direct, warnings): (Vec<_>, Vec<_>) = made.into_iter().unzip();
            let lens: Vec<u64> = jobs.iter().map(|job| job.old_bytes).collect();
            let planned = chain::plan(&lens, direct, options, |from, to| maker.link(jobs[from], jobs[to]))?;
            let mut blobs = Vec::new();
            for ((job, planned), warning) in group.iter().zip(&planned).zip(warnings) {
                blobs.push(put(&mut written, *job, &planned.body, warning)?);
            }
            for (planned, blob) in planned.iter().zip(&blobs) {
                let Some((job, next)) = planned.via.and_then(|via| Some((*jobs.get(via)?, *blobs.get(via)?))) else {
                    continue;
                };
                let file = maker.old_file(job)?;
                written.links.push(Link { body: *blob, makes: Between { size: file.size, hash: file.hash }, next });
            }
        }
        written.links.sort_unstable_by_key(|link| link.body);
        written.made = made.into_iter().flatten().collect();
        if written.made.len() == plan.jobs.len() {
            Ok(written)
        } else {
            Err(Error::bug("a delta of the plan was not made"))
        }
    };
    let result = write();
    progress.end();
    result
}

/// Cuts `chosen` jobs into stretches that fit in memory together.
fn batches(jobs: &[Job], chosen: &[usize]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0u64;
    for (index, job) in chosen.iter().map(|job| &jobs[*job]).enumerate() {
        bytes = bytes.saturating_add(job.old_bytes).saturating_add(job.new_bytes);
        match batches.last_mut() {
            Some(batch) if bytes <= BATCH => batch.end = index + 1,
            _ => {
                batches.push(index..index + 1);
                bytes = job.old_bytes.saturating_add(job.new_bytes);
            }
        }
    }
    batches
}

/// What every delta of a patch is made with.
struct Maker<'a> {
    versions: &'a [Version],
    new: &'a New,
    scratch: &'a Path,
    options: &'a DiffOptions,
}

impl Maker<'_> {
    fn make(&self, job: &Job, progress: &dyn Progress) -> Result<(Body, Option<String>)> {
        let new_view = self.new.view(job.number)?;
        let (_, new_file) = self.new.file(job.number)?;
        let part = Part::new(progress, job.work());
        let make = |old: &dyn ReadAt| {
            Body::make(old, &new_view.bytes, &new_file.hash, self.scratch, self.options, &part)
                .map_err(|error| error.at(&new_view.place))
        };
        let body = match job.entry {
            None => make(&Vec::new())?,
            Some(entry) => make(&self.versions[job.version].old.view(entry)?.bytes)?,
        };
        part.complete();
        let warning = body.warning().map(|warning| format!("{}: {warning}", new_view.place.display()));
        Ok((body, warning))
    }

    /// Makes the delta from the old file of one job to that of another.
    fn link(&self, from: &Job, to: &Job) -> Result<Body> {
        let (from, to_view) = (self.view(from)?, self.view(to)?);
        Body::make(&from.bytes, &to_view.bytes, &self.old_file(to)?.hash, self.scratch, self.options, &Quiet)
            .map_err(|error| error.at(&to_view.place))
    }

    fn view(&self, job: &Job) -> Result<View> {
        let entry = job.entry.ok_or_else(|| Error::bug("a delta from nothing has no old file"))?;
        self.versions[job.version].old.view(entry)
    }

    fn old_file(&self, job: &Job) -> Result<&OldFile> {
        let found = job.entry.and_then(|entry| self.versions[job.version].old.file(entry));
        found.map(|(_, file)| file).ok_or_else(|| Error::bug("a delta from nothing has no old file"))
    }
}

/// One delta's share of the work on all of them.
struct Part<'a> {
    whole: &'a dyn Progress,
    left: AtomicU64,
}

impl<'a> Part<'a> {
    fn new(whole: &'a dyn Progress, bytes: u64) -> Self {
        Self { whole, left: AtomicU64::new(bytes) }
    }

    fn complete(&self) {
        self.whole.advance(self.left.swap(0, Ordering::Relaxed));
    }
}

impl Progress for Part<'_> {
    fn begin(&self, _task: &str, _total: u64) {}

    fn advance(&self, bytes: u64) {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if left.is_ok() {
            self.whole.advance(bytes);
        }
    }

    fn end(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fill_up_and_long_files_are_alone() {
        let check = |megabytes: &[u64], expect: &[Range<usize>]| {
            let job =
                |size: &u64| Job { version: 0, entry: None, number: 0, old_bytes: size << 19, new_bytes: size << 19 };
            let jobs: Vec<Job> = megabytes.iter().map(job).collect();
            let all: Vec<usize> = (0..jobs.len()).collect();
            assert_eq!(batches(&jobs, &all), expect, "{megabytes:?}");
        };
        check(&[], &[]);
        check(&[1, 0, 63, 1], &[0..3, 3..4]);
        check(&[1, 100, 1, 1], &[0..1, 1..2, 2..4]);
        check(&[u64::MAX >> 19, u64::MAX >> 19], &[0..1, 1..2]);
    }
}
