//! The deltas of a tree: each made once, whichever versions need it, and as many at a time as fit in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use patchwright_formats::manifest::{Hash, OldTree, Source};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::options::DiffOptions;
use crate::progress::Progress;
use crate::report::DiffedOld;

use super::super::body::Body;
use super::super::{PatchWriter, add_body};
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

/// What is to be told about a delta.
pub(super) struct Made {
    bytes: u64,
    method: &'static str,
    pub(super) warning: Option<String>,
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
    /// The old versions as the manifest lists them.
    pub(super) fn olds(&self, versions: &[Version]) -> Vec<OldTree> {
        let trees = versions.iter().zip(&self.sources);
        trees
            .map(|(version, sources)| OldTree { entries: version.old.entries.clone(), sources: sources.clone() })
            .collect()
    }

    /// What to tell about each old version.
    pub(super) fn report(&self, versions: &[Version], made: &[Made]) -> Vec<DiffedOld> {
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
                }
            })
            .collect()
    }
}

/// Makes the deltas and writes them to the patch, in the order of the plan.
pub(super) fn write(
    container: &mut PatchWriter<'_, '_>,
    plan: &Plan,
    versions: &[Version],
    new: &New,
    (patch, scratch): (&Path, &Path),
    options: &DiffOptions,
    progress: &dyn Progress,
) -> Result<Vec<Made>> {
    progress.begin("diff", plan.jobs.iter().map(|job| job.new_bytes).sum());
    let mut made = Vec::new();
    let mut write = || {
        for batch in batches(&plan.jobs) {
            let bodies = plan.jobs[batch].par_iter().map(|job| make(job, versions, new, scratch, options, progress));
            for (body, warning) in bodies.collect::<Result<Vec<_>>>()? {
                if add_body(container, &body, patch)? != made.len() {
                    return Err(Error::bug("a delta does not stand where the manifest looks for it"));
                }
                made.push(Made { bytes: body.len_bytes(), method: body.method(), warning });
            }
        }
        Ok(())
    };
    let result = write();
    progress.end();
    result.map(|()| made)
}

/// Cuts the jobs into stretches that fit in memory together.
fn batches(jobs: &[Job]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0u64;
    for (index, job) in jobs.iter().enumerate() {
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

fn make(
    job: &Job,
    versions: &[Version],
    new: &New,
    scratch: &Path,
    options: &DiffOptions,
    progress: &dyn Progress,
) -> Result<(Body, Option<String>)> {
    let new_view = new.view(job.number)?;
    let (_, new_file) = new.file(job.number)?;
    let part = Part::new(progress, job.new_bytes);
    let make = |old: &dyn patchwright_formats::ReadAt| {
        Body::make(old, &new_view.bytes, &new_file.hash, scratch, options, &part)
            .map_err(|error| error.at(&new_view.place))
    };
    let body = match job.entry {
        None => make(&Vec::new())?,
        Some(entry) => make(&versions[job.version].old.view(entry)?.bytes)?,
    };
    part.complete();
    let warning = body.warning().map(|warning| format!("{}: {warning}", new_view.place.display()));
    Ok((body, warning))
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
