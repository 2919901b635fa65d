//! The choices that the format leaves open, made by trying them.

use std::borrow::Cow;

use super::{CreateOptions, LzxMode, Profile, SAME, length};
use crate::lzx::{self, E8, EncodeOptions, Level, LzxErrorKind, Window};
use crate::pa19::error::{Pa19Error, PatchCode};
use crate::pa19::flags;
use crate::pa19::header::{Header, OldEntry};
use crate::pa19::matching;
use crate::pa19::rift::Rift;
use crate::pa19::transform::transform;

/// An old file on its way into a patch.
pub(super) struct Job {
    pub(super) entry: OldEntry,
    /// What the applier decompresses against, before transforms. Ignored and retained bytes are zero in it.
    pub(super) reference: Vec<u8>,
}

impl Job {
    /// Whether one entry serves for both.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.entry == other.entry && self.reference == other.reference
    }
}

/// Transforms that are left out if that makes the patch smaller.
const TRANSFORMS: [u32; 6] = [
    flags::EXT_NO_RELOCS,
    flags::EXT_NO_IMPORTS,
    flags::EXT_NO_EXPORTS,
    flags::EXT_NO_JUMPS,
    flags::EXT_NO_CALLS,
    flags::EXT_NO_RESOURCES,
];

/// The smallest streams that we find, in the order of `jobs`; what they need is put into `header` and `jobs`.
pub(super) fn streams(
    header: &mut Header,
    jobs: &mut [Job],
    new: &[u8],
    options: &CreateOptions,
) -> Result<Vec<Vec<u8>>, Pa19Error> {
    let mut e8 = match options.mode {
        LzxMode::A => E8::Never,
        LzxMode::B if new.starts_with(b"MZ") => E8::Always(length(new)),
        LzxMode::B => E8::Never,
        LzxMode::Best => best_e8(new, length(new)),
    };
    if options.profile == Profile::Native {
        let search = Search { new, tables: tables(jobs, new) };
        if search.tables.iter().any(|tables| !tables.is_empty()) {
            e8 = search.run(header, jobs, options.mode)?;
        }
        if jobs.iter().all(|job| job.entry.rift.is_empty()) {
            header.ext &= flags::EXT_WINDOW;
        }
    }
    if header.ext != 0 {
        header.flags |= flags::EXTENDED;
    }
    jobs.iter()
        .map(|job| match job.entry.stream_len {
            SAME => Ok(Vec::new()),
            _ => stream(job, &job.entry.rift, header, header.ext, new, e8, options.level),
        })
        .collect()
}

/// Translation where it is worth it, for images.
pub(super) fn best_e8(new: &[u8], new_len: u32) -> E8 {
    if new.starts_with(b"MZ") { E8::IfSmaller(new_len) } else { E8::Never }
}

/// Tables worth a try for each job, apart from the empty one.
fn tables(jobs: &[Job], new: &[u8]) -> Vec<Vec<Rift>> {
    let tables = |job: &Job| match job.entry.stream_len {
        SAME => Vec::new(),
        _ => matching::candidates(&job.reference, new),
    };
    jobs.iter().map(tables).collect()
}

struct Search<'a> {
    new: &'a [u8],
    /// For each job.
    tables: Vec<Vec<Rift>>,
}

/// A table for each job, and the length of the patch with them.
struct Choice {
    rifts: Vec<Rift>,
    ext: u32,
    e8: E8,
    len: usize,
}

impl Search<'_> {
    /// Chooses tables, translation of calls and transforms.
    fn run(&self, header: &mut Header, jobs: &mut [Job], mode: LzxMode) -> Result<E8, Pa19Error> {
        let translated = E8::Always(length(self.new));
        let ext = header.ext;
        // With translation the calls of the new file are no distances any more, and those of the old file must not move.
        let ext_translated = ext | flags::EXT_NO_CALLS;
        let mut best = match mode {
            LzxMode::B => self.choose(header, jobs, &self.tables, ext_translated, translated)?,
            LzxMode::A | LzxMode::Best => self.choose(header, jobs, &self.tables, ext, E8::Never)?,
        };
        if mode == LzxMode::Best && self.new.starts_with(b"MZ") {
            let tables: Vec<Vec<Rift>> = best.rifts.iter().map(|rift| vec![rift.clone()]).collect();
            let other = self.choose(header, jobs, &tables, ext_translated, translated)?;
            if other.len < best.len {
                best = other;
            }
        }
        for transform in TRANSFORMS.into_iter().filter(|transform| ext & transform == 0) {
            if self.matters(header, jobs, &best, transform) {
                let other = self.measure(header, jobs, &best, transform)?;
                if other.len < best.len {
                    best = other;
                }
            }
        }
        header.ext = best.ext;
        for (job, rift) in jobs.iter_mut().zip(best.rifts) {
            job.entry.rift = rift;
        }
        Ok(best.e8)
    }

    /// The best table for each job, or none.
    fn choose(
        &self,
        header: &Header,
        jobs: &[Job],
        tables: &[Vec<Rift>],
        ext: u32,
        e8: E8,
    ) -> Result<Choice, Pa19Error> {
        let mut rifts = Vec::new();
        let mut streams_len = 0;
        for (job, tables) in jobs.iter().zip(tables) {
            let mut best = Rift::default();
            if job.entry.stream_len != SAME {
                let mut least = stream(job, &best, header, ext, self.new, e8, Level::Fast)?.len();
                let mut least_with_table = least;
                for rift in tables.iter().filter(|rift| !rift.is_empty()) {
                    let len = stream(job, rift, header, ext, self.new, e8, Level::Fast)?.len();
                    if len + rift_len(rift) < least_with_table {
                        (best, least, least_with_table) = (rift.clone(), len, len + rift_len(rift));
                    }
                }
                streams_len += least;
            }
            rifts.push(best);
        }
        Ok(choice(header, jobs, rifts, ext, e8, streams_len))
    }

    /// The same tables with one transform turned on or off.
    fn measure(&self, header: &Header, jobs: &[Job], base: &Choice, transform: u32) -> Result<Choice, Pa19Error> {
        let ext = base.ext ^ transform;
        let mut streams_len = 0;
        for (job, rift) in jobs.iter().zip(&base.rifts).filter(|(job, _)| job.entry.stream_len != SAME) {
            streams_len += stream(job, rift, header, ext, self.new, base.e8, Level::Fast)?.len();
        }
        Ok(choice(header, jobs, base.rifts.clone(), ext, base.e8, streams_len))
    }

    /// Whether any old file looks different with and without a transform.
    fn matters(&self, header: &Header, jobs: &[Job], base: &Choice, transform: u32) -> bool {
        jobs.iter().zip(&base.rifts).any(|(job, rift)| {
            let with = |ext| reference(job, rift, header, ext);
            with(base.ext) != with(base.ext ^ transform)
        })
    }
}

/// A choice and the length of the patch that it makes.
fn choice(header: &Header, jobs: &[Job], rifts: Vec<Rift>, ext: u32, e8: E8, streams_len: usize) -> Choice {
    let mut header = Header { ext, ..header.clone() };
    if ext != 0 {
        header.flags |= flags::EXTENDED;
    }
    for (job, rift) in jobs.iter().zip(&rifts) {
        header.olds.push(OldEntry { rift: rift.clone(), ..job.entry.clone() });
    }
    Choice { len: streams_len + header.write().len(), rifts, ext, e8 }
}

/// How many bytes of header a table takes.
fn rift_len(rift: &Rift) -> usize {
    let len =
        |rift: Rift| Header { olds: vec![OldEntry { rift, ..OldEntry::default() }], ..Header::default() }.write().len();
    len(rift.clone()) - len(Rift::default())
}

/// What the applier decompresses against.
fn reference<'a>(job: &'a Job, rift: &Rift, header: &Header, ext: u32) -> Cow<'a, [u8]> {
    if rift.is_empty() {
        return Cow::Borrowed(&job.reference);
    }
    let mut reference = job.reference.clone();
    transform(&mut reference, rift, ext, header.resource_time.unwrap_or(0));
    Cow::Owned(reference)
}

fn stream(
    job: &Job,
    rift: &Rift,
    header: &Header,
    ext: u32,
    new: &[u8],
    e8: E8,
    level: Level,
) -> Result<Vec<u8>, Pa19Error> {
    encode(&reference(job, rift, header, ext), new, header.window_for(job.entry.len), e8, level)
}

pub(super) fn encode(reference: &[u8], new: &[u8], window: Window, e8: E8, level: Level) -> Result<Vec<u8>, Pa19Error> {
    lzx::encode(reference, new, window, &EncodeOptions { e8, level }).map_err(|error| {
        let code = match error.kind {
            LzxErrorKind::TooLarge => PatchCode::FileTooLarge,
            _ => PatchCode::EncodeFailure,
        };
        Pa19Error::new(code, error.structure, error.offset as u64, error.to_string())
    })
}
