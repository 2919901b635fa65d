//! Makes the plan: family by family, file by file, then the numbers.

use std::collections::{BTreeMap, BTreeSet};

use patchwright_formats::pa19::create::MAX_OLDS;

use super::delta;
use super::plan::{Content, Family, ImageFile, Images, Kind, Member, Old, Pair, Plan, Source, WhyWhole};
use super::ranges::{NewSide, OldLists, RetainMismatch, RetainRules, ignored_only, regions};
use super::settings::Settings;
use crate::check::{Finding, Severity};
use crate::code::{self as pcw, Code};
use crate::pcp::{ExternalFile, ImageFamily, Pcp, UpgradedFile};

/// Makes the plan. Errors among the findings mean that there is none.
pub fn plan(pcp: &Pcp, images: &Images, settings: &Settings, rules: RetainRules) -> (Plan, Vec<Finding>) {
    let mut planner = Planner { pcp, images, settings, rules, findings: Vec::new() };
    let mut plan = Plan::default();
    planner.families(&mut plan);
    planner.pairs(&mut plan);
    for family in 0..plan.families.len() {
        planner.members(&mut plan, family);
    }
    planner.number(&mut plan);
    planner.unused(&plan);
    (plan, planner.findings)
}

const FAMILIES: &str = "ImageFamilies";
const TARGET_FILES: &str = "TargetFiles_OptionalData";
const FAMILY_RANGES: &str = "FamilyFileRanges";
const EXTERNAL_FILES: &str = "ExternalFiles";
const UPGRADED: &str = "UpgradedImages";

/// Most numbers that a column of two bytes takes.
const MOST_IN_TWO_BYTES: i32 = 32_767;

struct Planner<'a> {
    pcp: &'a Pcp,
    images: &'a Images,
    settings: &'a Settings,
    rules: RetainRules,
    findings: Vec<Finding>,
}

/// What became of a file between the images of a pair.
enum Change {
    /// The target does not have it.
    Added,
    /// It differs.
    Changed(Content),
    /// It is the same.
    Same(Content),
    /// It plays no part: its old version is missing, or the pair is told to leave it alone.
    Left,
}

impl<'a> Planner<'a> {
    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        (table, row, column): (&'static str, String, &'static str),
        message: String,
        hint: &'static str,
    ) {
        self.findings.push(Finding {
            severity,
            code,
            table,
            row: Some(row),
            column: Some(column),
            message,
            details: Vec::new(),
            hint,
        });
    }

    /// The families that have pairs, those with numbers of their own first, each above the one before.
    fn families(&mut self, plan: &mut Plan) {
        let is_used = |family: &&ImageFamily| {
            let upgraded = self.pcp.upgraded.iter().filter(|row| row.family == family.family);
            upgraded.into_iter().any(|row| self.pcp.targets.iter().any(|target| target.upgraded == row.upgraded))
        };
        let mut rows: Vec<&ImageFamily> = self.pcp.families.iter().filter(is_used).collect();
        rows.sort_by_key(|row| (row.media_disk_id.unwrap_or(i32::MAX), row.family.clone()));
        let given = rows.iter().filter_map(|row| row.media_disk_id).max().unwrap_or(0);
        let mut free_disk_id = self.images.highest_disk_id.max(given).max(1).saturating_add(1);
        let unnamed = rows.iter().filter(|row| row.media_src_prop_name.is_none()).count();
        for row in rows {
            let disk_id = row.media_disk_id.unwrap_or_else(|| {
                free_disk_id = free_disk_id.saturating_add(1);
                free_disk_id - 1
            });
            if disk_id > MOST_IN_TWO_BYTES {
                let what = format!("{disk_id} is more than the column takes: the images use {free_disk_id} numbers");
                let at = (FAMILIES, row.family.clone(), "MediaDiskId");
                self.add(Severity::Error, pcw::BAD_IMAGE_FAMILY_DISKID, at, what, "renumber the disks of the images");
            }
            let source_property = row.media_src_prop_name.clone().unwrap_or_else(|| {
                let guid = self.settings.bare_patch_guid();
                if unnamed > 1 { format!("_{guid}_{}", row.family) } else { format!("_{guid}") }
            });
            plan.families.push(Family {
                name: row.family.clone(),
                disk_id,
                source_property,
                // 0: to be chosen when it is known how many files there are.
                first_sequence: row.file_sequence_start.unwrap_or(0),
                disk_prompt: row.disk_prompt.clone(),
                volume_label: row.volume_label.clone(),
                members: Vec::new(),
            });
        }
    }

    fn pairs(&mut self, plan: &mut Plan) {
        let mut targets: Vec<_> = self.pcp.targets.iter().collect();
        targets.sort_by_key(|row| (row.order.unwrap_or(0), row.target.clone()));
        for target in targets {
            let upgraded = self.pcp.upgraded.iter().find(|row| row.upgraded == target.upgraded);
            let family = upgraded.and_then(|row| plan.families.iter().position(|family| family.name == row.family));
            if let (Some(upgraded), Some(family)) = (upgraded, family) {
                let (target, upgraded) = (target.target.clone(), upgraded.upgraded.clone());
                plan.pairs.push(Pair { target, upgraded, family });
            }
        }
    }

    fn members(&mut self, plan: &mut Plan, family: usize) {
        let pairs: Vec<(usize, Pair)> =
            plan.pairs.iter().cloned().enumerate().filter(|(_, pair)| pair.family == family).collect();
        let uses: BTreeSet<&str> = pairs.iter().map(|(_, pair)| pair.upgraded.as_str()).collect();
        // Each key once: where it is, and its number in the upgraded image, which gives the order.
        let mut keys: BTreeMap<&str, (i32, &str, Content)> = BTreeMap::new();
        for (image, files) in &self.images.upgraded {
            for (ftk, file) in files.iter().filter(|_| uses.contains(image.as_str())) {
                let Some(content) = file.content else { continue };
                let first = *keys.entry(ftk).or_insert((file.sequence, image, content));
                if first.2 != content {
                    let what = format!("the file {ftk} is not the same as in {}, which is of the same family", first.1);
                    let hint = "give the images families of their own: files of one key are one file in a family";
                    self.findings.push(Finding {
                        severity: Severity::Error,
                        code: pcw::BAD_UPGRADED_IMAGE_FAMILY,
                        table: UPGRADED,
                        row: Some(image.clone()),
                        column: Some("Family"),
                        message: what,
                        details: Vec::new(),
                        hint,
                    });
                }
            }
        }
        let mut order: Vec<(i32, &str)> = keys.iter().map(|(ftk, (sequence, ..))| (*sequence, *ftk)).collect();
        order.sort_unstable();
        let name = plan.families[family].name.clone();
        for (_, ftk) in order {
            let (_, image, content) = keys[ftk];
            let new = Source::Upgraded(image.to_owned(), ftk.to_owned());
            if let Some(member) = self.member(&name, &pairs, ftk, new, content) {
                plan.families[family].members.push(member);
            }
        }
    }

    fn change(&self, pair: &Pair, ftk: &str, new: Content) -> Change {
        let has = self.images.upgraded.get(&pair.upgraded).is_some_and(|files| files.contains_key(ftk));
        if !has || Plan::is_ignored(self.pcp, pair, ftk) {
            return Change::Left;
        }
        match self.images.targets.get(&pair.target).and_then(|files| files.get(ftk)) {
            None => Change::Added,
            Some(ImageFile { content: None, .. }) => Change::Left,
            Some(ImageFile { content: Some(content), .. }) if *content == new => Change::Same(*content),
            Some(ImageFile { content: Some(content), .. }) => Change::Changed(*content),
        }
    }

    fn member(
        &mut self,
        family: &str,
        pairs: &[(usize, Pair)],
        ftk: &str,
        new: Source,
        content: Content,
    ) -> Option<Member> {
        let changes: Vec<(usize, &Pair, Change)> =
            pairs.iter().map(|(index, pair)| (*index, pair, self.change(pair, ftk, content))).collect();
        let named = changes.iter().filter(|(.., change)| matches!(change, Change::Added | Change::Changed(_)));
        let named: BTreeSet<usize> = named.map(|(index, ..)| *index).collect();
        if named.is_empty() {
            return None;
        }
        let rows = |wanted: fn(&UpgradedFile) -> bool| {
            let rows = self.pcp.upgraded_files.iter().filter(move |row| row.ftk == ftk && wanted(row));
            rows.map(|row| row.upgraded.clone()).collect::<BTreeSet<String>>()
        };
        let ours = |images: &BTreeSet<String>| pairs.iter().any(|(_, pair)| images.contains(&pair.upgraded));
        let non_vital = rows(|row| row.allow_ignore_on_patch_error == Some(1));
        let asked = rows(|row| row.include_whole_file.is_some_and(|number| number != 0));
        let added = changes.iter().find(|(.., change)| matches!(change, Change::Added));
        let whole = if self.settings.whole_files_only {
            Some(WhyWhole::WholeFilesOnly)
        } else if ours(&asked) {
            Some(WhyWhole::Asked)
        } else if let Some((_, pair, _)) = added {
            Some(WhyWhole::NewFor(pair.target.clone()))
        } else if content.len == 0 {
            Some(WhyWhole::Empty)
        } else {
            None
        };
        let new_side = self.new_side(family, ftk);
        let kind = match whole {
            Some(why) => {
                self.nothing_retained(family, ftk, &new_side, &why);
                Kind::Whole(why)
            }
            None => {
                let olds = self.olds(family, ftk, &new_side, &changes, content);
                if content.len.saturating_add(olds.iter().map(|old| old.content.len).sum()) > delta::MOST_BYTES {
                    self.nothing_retained(family, ftk, &new_side, &WhyWhole::TooLarge);
                    Kind::Whole(WhyWhole::TooLarge)
                } else {
                    Kind::Delta(olds)
                }
            }
        };
        Some(Member { ftk: ftk.to_owned(), sequence: 0, new, content, kind, pairs: named, non_vital })
    }

    fn new_side(&self, family: &str, ftk: &str) -> NewSide {
        let row = self.pcp.family_ranges.iter().find(|row| row.family == family && row.ftk == ftk);
        row.map(|row| NewSide::read(&row.retain_offsets, &row.retain_lengths)).unwrap_or_default()
    }

    /// A file that goes whole replaces the user's, retained bytes and all.
    fn nothing_retained(&mut self, family: &str, ftk: &str, new_side: &NewSide, why: &WhyWhole) {
        if new_side.is_empty() {
            return;
        }
        let (reason, hint) = match why {
            WhyWhole::WholeFilesOnly => ("IncludeWholeFilesOnly is 1", "set it to 0, or remove the retained ranges"),
            WhyWhole::Asked => {
                ("UpgradedFiles_OptionalData asks for it", "clear IncludeWholeFile, or remove the retained ranges")
            }
            WhyWhole::NewFor(_) => {
                ("a target image lacks it", "move that target to a family of its own, or remove the retained ranges")
            }
            WhyWhole::Empty => ("it is empty", "remove the retained ranges"),
            WhyWhole::DeltaBigger | WhyWhole::TooLarge => {
                ("it is too large for a delta", "patch fewer old versions at once, or remove the retained ranges")
            }
        };
        let what = format!("the file goes whole, since {reason}: the user's bytes would be lost");
        let at = (FAMILY_RANGES, format!("{family}, {ftk}"), "RetainOffsets");
        self.add(Severity::Error, pcw::INVALID_PCP_FAMILYFILERANGES, at, what, hint);
    }

    /// The old versions: those of the targets in their order, then those from elsewhere in theirs. Equal ones are one.
    fn olds(
        &mut self,
        family: &str,
        ftk: &str,
        new_side: &NewSide,
        changes: &[(usize, &Pair, Change)],
        new: Content,
    ) -> Vec<Old> {
        let pcp: &'a Pcp = self.pcp;
        let mut found: Vec<(Source, Content, OldLists<'_>, bool)> = Vec::new();
        for (_, pair, change) in changes {
            let (content, same) = match change {
                Change::Changed(content) => (*content, false),
                Change::Same(content) => (*content, true),
                Change::Added | Change::Left => continue,
            };
            let row = pcp.target_files.iter().find(|row| row.target == pair.target && row.ftk == ftk);
            let lists = row.map(|row| OldLists {
                ignore_offsets: row.ignore_offsets.as_deref(),
                ignore_lengths: row.ignore_lengths.as_deref(),
                retain_offsets: row.retain_offsets.as_deref(),
            });
            let source = Source::Target(pair.target.clone(), ftk.to_owned());
            found.push((source, content, lists.unwrap_or_default(), same));
        }
        for (row, external) in self.external_of(family, ftk) {
            let Some(content) = self.images.external.get(row).copied().flatten() else { continue };
            let lists = OldLists {
                ignore_offsets: external.ignore_offsets.as_deref(),
                ignore_lengths: external.ignore_lengths.as_deref(),
                retain_offsets: external.retain_offsets.as_deref(),
            };
            found.push((Source::External(row), content, lists, content == new));
        }
        let all = |found: &[(Source, Content, OldLists<'_>, bool)], default| {
            found.iter().map(|(_, _, lists, _)| regions(new_side, *lists, default)).collect::<Vec<_>>()
        };
        let mut read = all(&found, self.rules.default);
        // A file that is the new one already needs nothing, so that it may be silent about what it retains.
        let faults: Vec<(&Source, _)> = found
            .iter()
            .zip(&read)
            .filter(|((.., same), _)| !same)
            .filter_map(|((source, ..), regions)| Some((source, (*regions.as_ref().err()?))))
            .collect();
        if !faults.is_empty() {
            let drop = self.rules.mismatch == RetainMismatch::Drop;
            let faults: Vec<_> = faults.into_iter().map(|(source, fault)| (source.clone(), fault)).collect();
            for (source, fault) in faults {
                self.mismatch(family, ftk, &source, fault.old, fault.family, drop);
            }
            if drop {
                read = found.iter().map(|(_, _, lists, _)| Ok(ignored_only(*lists))).collect();
            }
        }
        let mut olds: Vec<Old> = Vec::new();
        for ((source, content, _, same), regions) in found.into_iter().zip(read) {
            let Ok(regions) = regions else { continue };
            // Where the file is the new one already, an entry of the delta says so, for an installer that takes the
            // file of one target for that of another. Wine misreads such an entry if it has ignored ranges.
            let moved = regions.retain.iter().any(|range| range.old_offset != range.new_offset);
            if same && (moved || !regions.ignore.is_empty()) {
                continue;
            }
            match olds.iter_mut().find(|old| old.content == content && old.regions == regions) {
                Some(old) => old.sources.push(source),
                None => olds.push(Old { sources: vec![source], content, regions }),
            }
        }
        if olds.len() > MAX_OLDS {
            let what = format!("the file has {} different old versions; a delta takes {MAX_OLDS}", olds.len());
            let at = (FAMILIES, family.to_owned(), "Family");
            let hint = "split the targets among several families, or ship the file whole";
            self.add(Severity::Error, pcw::INVALID_PCP_EXTERNALFILES, at, format!("{ftk}: {what}"), hint);
        }
        olds
    }

    fn external_of(&self, family: &str, ftk: &str) -> Vec<(usize, &'a ExternalFile)> {
        let pcp: &'a Pcp = self.pcp;
        let rows = pcp.external_files.iter().enumerate();
        let mut rows: Vec<_> = rows.filter(|(_, row)| row.family == family && row.ftk == ftk).collect();
        rows.sort_by_key(|(_, row)| (row.order.unwrap_or(0), row.file_path.as_str()));
        rows
    }

    fn mismatch(&mut self, family: &str, ftk: &str, source: &Source, old: usize, family_count: usize, drop: bool) {
        let (table, row, code) = match source {
            Source::External(row) => {
                let path = self.pcp.external_files.get(*row).map(|row| row.file_path.as_str()).unwrap_or_default();
                (EXTERNAL_FILES, format!("{family}, {ftk}, {path}"), pcw::EXTFILE_RETAIN_COUNT_MISMATCH)
            }
            Source::Target(image, _) | Source::Upgraded(image, _) => {
                (TARGET_FILES, format!("{image}, {ftk}"), pcw::TFILEDATA_RETAIN_COUNT_MISMATCH)
            }
        };
        // What is refused anyway was told with the table's other faults.
        let known = old > 0 && !drop;
        if known {
            return;
        }
        let mut what = format!("{old} offsets of retained ranges; {FAMILY_RANGES} has {family_count} ranges for it");
        if drop {
            what += ": nothing of the file is retained, in any old version";
        }
        let severity = if drop { Severity::Warning } else { Severity::Error };
        let hint = "say where this old version has each range, or pass --retain-default same-offset";
        self.add(severity, code, (table, row, "RetainOffsets"), what, hint);
    }

    /// Gives each file its number.
    fn number(&mut self, plan: &mut Plan) {
        let lengths: Vec<i32> =
            plan.families.iter().map(|family| i32::try_from(family.members.len()).unwrap_or(i32::MAX)).collect();
        // Above everything in the images, and above what the families before have taken.
        let mut free = self.images.highest_sequence.max(1).saturating_add(1);
        let mut before: Option<(String, i32)> = None;
        for (family, len) in plan.families.iter_mut().zip(lengths) {
            if family.first_sequence == 0 {
                family.first_sequence = free;
            }
            let last = family.first_sequence.saturating_add(len);
            if let Some((name, taken)) = before.as_ref().filter(|(_, taken)| family.first_sequence <= *taken) {
                let what = format!(
                    "{} is not above {taken}, which the family {name} of the disk before reaches",
                    family.first_sequence
                );
                self.findings.push(Finding {
                    severity: Severity::Error,
                    code: pcw::BAD_IMAGE_FAMILY_FILESEQSTART,
                    table: FAMILIES,
                    row: Some(family.name.clone()),
                    column: Some("FileSequenceStart"),
                    message: what,
                    details: Vec::new(),
                    hint: "the numbers of the families must rise with their disks; leave both empty to have them chosen",
                });
            }
            for (member, sequence) in family.members.iter_mut().zip(family.first_sequence..) {
                member.sequence = sequence;
            }
            free = free.max(last.saturating_add(1));
            before = Some((family.name.clone(), last));
        }
    }

    /// Rows about files that are not in the patch do nothing; their author should know.
    fn unused(&mut self, plan: &Plan) {
        let has = |family: &str, ftk: &str| {
            let mut families = plan.families.iter().filter(|plan| plan.name == family);
            families.any(|plan| plan.members.iter().any(|member| member.ftk == ftk))
        };
        let hint = "the row has no effect";
        for row in &self.pcp.external_files {
            if !has(&row.family, &row.ftk) {
                let at = (EXTERNAL_FILES, format!("{}, {}, {}", row.family, row.ftk, row.file_path), "FTK");
                let what = "the file does not differ between the images, so it is not in the patch".to_owned();
                self.findings.push(warning(pcw::INVALID_PCP_EXTERNALFILES, at, what, hint));
            }
        }
    }
}

fn warning(
    code: Code,
    (table, row, column): (&'static str, String, &'static str),
    message: String,
    hint: &'static str,
) -> Finding {
    Finding {
        severity: Severity::Warning,
        code,
        table,
        row: Some(row),
        column: Some(column),
        message,
        details: Vec::new(),
        hint,
    }
}
