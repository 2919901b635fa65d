//! What the verbs say about Microsoft's format: flags of `diff`, text of `inspect`.

use clap::ValueEnum;
use patchwright::report::{ExtractReport, InspectPa19Report, InspectedPa19Old, SignatureReport};
use patchwright::{Error, ErrorKind, Lzx, Pa19Options, Pa19Profile, PatchFormat, Result};

use super::inspect::{heading, ranges};
use super::range_counts;
use crate::text::{bytes, escape, escape_path, facts};

/// The formats that `diff` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Our own container
    #[default]
    Pwp,
    /// Microsoft's, which Windows Installer applies; single files below 4 GiB
    Pa19,
}

/// What a patch is made for, in either format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// The smallest patch (pwp)
    Small,
    /// A patch that is quick to apply (pwp)
    Fast,
    /// A patch that is quick to make (pwp)
    Quick,
    /// 32-bit images are patched like any file; every applier takes the patch (pa19)
    Raw,
    /// 32-bit images are normalised and transformed as the genuine creator does (pa19)
    Native,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LzxMode {
    /// Relative calls stay as they are
    A,
    /// Relative calls of executable images are translated
    B,
    /// Whatever is smaller
    Best,
}

/// Flags that only a PA19 patch has.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Options of --format pa19")]
pub(crate) struct Pa19Args {
    /// Whether the compressor translates relative calls [default: best]
    #[arg(long, value_enum)]
    lzx: Option<LzxMode>,
    /// Search less for matches: much faster, and larger
    #[arg(long)]
    fast: bool,
    /// Allow windows of 32 MiB instead of 8, for files larger than that
    #[arg(long)]
    large_window: bool,
    /// Fail when the old file is the new one already
    #[arg(long)]
    fail_if_same: bool,
    /// Fail when the patch is no smaller than the new file compressed
    #[arg(long)]
    fail_if_bigger: bool,
    /// Leave the new file's time of change out of the patch
    #[arg(long)]
    no_timestamp: bool,
}

impl Pa19Args {
    /// What the flags mean together with `format`.
    pub(crate) fn format(
        &self,
        format: Format,
        profile: Option<Profile>,
    ) -> Result<(PatchFormat, patchwright::Profile)> {
        let ours = match profile {
            None | Some(Profile::Small) => Some(patchwright::Profile::Small),
            Some(Profile::Fast) => Some(patchwright::Profile::Fast),
            Some(Profile::Quick) => Some(patchwright::Profile::Quick),
            Some(Profile::Raw | Profile::Native) => None,
        };
        let theirs = match profile {
            None | Some(Profile::Raw) => Some(Pa19Profile::Raw),
            Some(Profile::Native) => Some(Pa19Profile::Native),
            Some(Profile::Small | Profile::Fast | Profile::Quick) => None,
        };
        let plain = self.options(Pa19Profile::Raw) == Pa19Options::default() && self.lzx.is_none();
        match (format, ours, theirs) {
            (Format::Pa19, _, Some(theirs)) => {
                Ok((PatchFormat::Pa19(self.options(theirs)), patchwright::Profile::default()))
            }
            (Format::Pa19, _, None) => Err(Error::new(ErrorKind::Usage, "this profile is not for --format pa19")
                .hint("PA19 patches have the profiles raw and native; --fast makes them with less search")),
            (Format::Pwp, Some(ours), _) if plain => Ok((PatchFormat::Pwp, ours)),
            (Format::Pwp, ..) => Err(Error::new(ErrorKind::Usage, "options of the PA19 format without --format pa19")
                .hint(
                    "add --format pa19, or leave out --profile raw or native, --lzx, --fast, --large-window, --fail-if-… and --no-timestamp",
                )),
        }
    }

    fn options(&self, profile: Pa19Profile) -> Pa19Options {
        Pa19Options {
            profile,
            lzx: match self.lzx {
                Some(LzxMode::A) => Lzx::A,
                Some(LzxMode::B) => Lzx::B,
                None | Some(LzxMode::Best) => Lzx::Best,
            },
            fast: self.fast,
            large_window: self.large_window,
            fail_if_same: self.fail_if_same,
            fail_if_bigger: self.fail_if_bigger,
            timestamp: !self.no_timestamp,
        }
    }
}

pub(super) fn inspection(report: &InspectPa19Report) -> String {
    let mut text = facts([
        ("patch", escape_path(&report.patch)),
        ("id", escape(&report.id)),
        ("size", bytes(report.patch_bytes)),
        ("for", "one file, PA19".to_owned()),
        ("options", format!("{}, extended {}", escape(&report.options), escape(&report.extended_options))),
        ("header", bytes(report.header_bytes) + if report.header_only { "; the streams are missing" } else { "" }),
    ]);
    let mut new = vec![("  size", bytes(report.new_bytes)), ("  crc32", escape(&report.new_crc32))];
    new.extend(report.file_time.map(|time| ("  time", seconds(time))));
    new.extend(report.image_base.as_ref().map(|base| ("  image base", escape(base))));
    new.extend(report.link_time.map(|time| ("  link time", seconds(time))));
    new.extend(report.resource_time.map(|time| ("  resource time", seconds(time))));
    text += &(heading("New version") + &facts(new));
    text.extend(report.olds.iter().enumerate().map(|(index, old)| old_version(index + 1, old)));
    text
}

fn seconds(time: u32) -> String {
    format!("{time} seconds since 1970")
}

fn old_version(number: usize, old: &InspectedPa19Old) -> String {
    let stream = if old.stream_bytes == 0 { "none: it is the new version".to_owned() } else { bytes(old.stream_bytes) };
    let mut lines = vec![
        ("  size", bytes(old.bytes)),
        ("  crc32", escape(&old.crc32)),
        ("  stream", stream),
        ("  window", bytes(old.window_bytes)),
        ("  ranges", range_counts(old.ignore.len(), old.retain.len())),
    ];
    if old.rift_entries > 0 {
        lines.push(("  rift table", format!("{} entries", old.rift_entries)));
    }
    if old.interleaved_ranges > 0 {
        lines.push(("  interleaved", format!("{} ranges", old.interleaved_ranges)));
    }
    heading(&format!("Old version {number}")) + &facts(lines) + &ranges(&old.ignore, &old.retain)
}

pub(super) fn signature(report: &SignatureReport) -> String {
    format!("{}  {}\n", escape(&report.signature), escape_path(&report.file))
}

pub(super) fn extracted(report: &ExtractReport) -> String {
    facts([("header", escape_path(&report.output)), ("size", bytes(report.header_bytes))])
}
