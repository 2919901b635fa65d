//! What must stay as it was from an old image to the new one, and numbers that must not meet.

use std::collections::BTreeMap;

use super::files::MOST_OLD_FILES;
use super::pairs::{Pair, Pairs, of_family};
use super::{FAMILIES, Findings, Severity, TARGETS, UPGRADED, at};
use crate::code as pcw;
use crate::database::{Database, Table};
use crate::image::{Image, ImageFile, Images, Place};
use crate::pcp::Pcp;

pub(super) fn layout(pcp: &Pcp, images: &Images, pairs: &Pairs<'_>, findings: &mut Findings) {
    for row in &pcp.upgraded {
        if let Some(opened) = images.upgraded(&row.upgraded) {
            same_but_case(&opened.image, UPGRADED, &row.upgraded, findings);
        }
    }
    for row in &pcp.targets {
        if let Some(opened) = images.target(&row.target) {
            same_but_case(&opened.image, TARGETS, &row.target, findings);
        }
    }
    for pair in pairs.iter() {
        if let Some(new) = images.upgraded_database(&pair.upgraded.upgraded) {
            columns(pair, &pair.old.image.database, new, findings);
        }
        files(pair, findings);
    }
    shared(pcp, images, findings);
    numbers(pcp, images, pairs, findings);
    old_files(pcp, pairs, findings);
}

/// Keys of one image that a container does not tell apart.
fn same_but_case(image: &Image, table: &'static str, row: &str, findings: &mut Findings) {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut details = Vec::new();
    for file in &image.files {
        let other = *first.entry(file.key.to_lowercase()).or_insert(&file.key);
        if other != file.key {
            details.push(format!("{other}, {}", file.key));
        }
    }
    let hint = "rename one of each: cabinets and streams of a patch do not tell case apart";
    let what = "keys of its File table differ in case alone";
    findings.list(Severity::Warning, pcw::BAD_TGT_UPD_IMAGES, at(table, row).column("MsiPath"), (what, details), hint);
}

/// Tables that both have must have the same columns: no transform changes those.
fn columns(pair: &Pair<'_>, old: &Database, new: &Database, findings: &mut Findings) {
    let shape = |table: &Table| -> Vec<String> {
        let kind = |column: &crate::database::Column| format!("{} {}", column.name, crate::idt::type_name(column));
        table.columns.iter().map(kind).collect()
    };
    let mut details = Vec::new();
    for (old, new) in old.tables.iter().filter_map(|table| Some((table, new.table(&table.name)?))) {
        let (from, to) = (shape(old), shape(new));
        // Columns may be added at the end.
        let differing = from.iter().zip(&to).find(|(from, to)| from != to);
        match differing {
            Some((from, to)) => details.push(format!("{}: {from} becomes {to}", old.name)),
            None if to.len() < from.len() => details.push(format!("{}: it loses columns", old.name)),
            None => {}
        }
    }
    let at = at(TARGETS, &pair.target.target).column("MsiPath");
    let what = format!("tables of {} have other columns", pair.names());
    let hint = "build both installers with the same table definitions; widen columns in both";
    findings.list(Severity::Error, pcw::CANT_GENERATE_TRANSFORM, at, (what, details), hint);
}

/// The rules of "Creating a Patch Package": what moves leaves the old file behind.
fn files(pair: &Pair<'_>, findings: &mut Findings) {
    let at = at(TARGETS, &pair.target.target).column("MsiPath");
    let (old, new) = (&pair.old.image, &pair.new.image);
    let (mut case, mut moved, mut disks, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (from, to) in pair.common() {
        if (&from.directory, name(from)) != (&to.directory, name(to)) {
            moved.push(format!("{}: {} becomes {}", from.key, place(from), place(to)));
        }
        let in_cabinets = [from, to].map(|file| matches!(file.place, Ok(Place::Cabinet(_))));
        if in_cabinets == [true, true] && from.disk_id != to.disk_id {
            let disk = |file: &ImageFile| file.disk_id.map_or_else(|| "none".to_owned(), |disk| disk.to_string());
            disks.push(format!("{}: disk {} becomes {}", from.key, disk(from), disk(to)));
        }
        if from.sequence != to.sequence {
            numbers.push(format!("{}: {} becomes {}", from.key, from.sequence, to.sequence));
        }
    }
    let mut small: BTreeMap<String, &ImageFile> = BTreeMap::new();
    let mut places: BTreeMap<(Option<&str>, String), &ImageFile> = BTreeMap::new();
    for file in old.files.iter().filter(|file| new.file(&file.key).is_none()) {
        small.insert(file.key.to_lowercase(), file);
        places.insert((file.directory.as_deref(), name(file).to_lowercase()), file);
    }
    let (mut renamed, mut early) = (Vec::new(), Vec::new());
    let last = old.files.iter().map(|file| file.sequence).max().unwrap_or(0);
    for file in pair.added() {
        if let Some(other) = small.get(&file.key.to_lowercase()) {
            case.push(format!("{} becomes {}", other.key, file.key));
        } else if let Some(other) = places.get(&(file.directory.as_deref(), name(file).to_lowercase())) {
            renamed.push(format!("{} becomes {}: {}", other.key, file.key, place(file)));
        }
        if file.sequence <= last {
            early.push(format!("{}: {}, the last one was {last}", file.key, file.sequence));
        }
    }
    let pair = pair.names();
    let code = pcw::BAD_TGT_UPD_IMAGES;
    let hint = "spell the keys as the old image does";
    findings.list(Severity::Error, code, at, (format!("keys of files change their case in {pair}"), case), hint);
    let hint = "keep the keys of the old image: else the file is removed and added, and shipped whole";
    findings.list(Severity::Warning, code, at, (format!("files get other keys in {pair}"), renamed), hint);
    let hint = "leave files where they are: the old ones may stay behind";
    findings.list(Severity::Warning, code, at, (format!("files move in {pair}"), moved), hint);
    let hint = "keep files in the cabinets of the old image";
    findings.list(Severity::Warning, code, at, (format!("files change their disk in {pair}"), disks), hint);
    let hint = "keep the numbers of the old image; the patch leaves those of its target unchanged";
    findings.list(
        Severity::Warning,
        code,
        at,
        (format!("files change their sequence numbers in {pair}"), numbers),
        hint,
    );
    let hint = "number new files after all old ones; the patch gives them numbers of its own";
    findings.list(Severity::Warning, code, at, (format!("new files stand among old ones in {pair}"), early), hint);
}

fn name(file: &ImageFile) -> &str {
    file.name.as_ref().map_or("", |name| &name.long)
}

fn place(file: &ImageFile) -> String {
    format!("{}\\{}", file.directory.as_deref().unwrap_or("?"), name(file))
}

/// A file that several new images of a family have is one file: the patch has it once.
fn shared(pcp: &Pcp, images: &Images, findings: &mut Findings) {
    for family in &pcp.families {
        let members = of_family(pcp, images, &family.family);
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        let mut details = Vec::new();
        for (number, (name, opened)) in members.iter().enumerate() {
            for file in &opened.image.files {
                let other = *first.entry(&file.key).or_insert(number);
                if other == number {
                    continue;
                }
                let (other_name, other) = &members[other];
                let same = match (other.len(&file.key), opened.len(&file.key)) {
                    (Ok(one), Ok(two)) if one != two => false,
                    (Ok(_), Ok(_)) => match (other.facts(&file.key), opened.facts(&file.key)) {
                        (Ok(one), Ok(two)) => one.hash == two.hash,
                        _ => continue,
                    },
                    _ => continue,
                };
                if !same {
                    details.push(format!("{}: in {other_name} and {name}", file.key));
                }
            }
        }
        let what = "files of one key differ between its new images";
        let hint = "give different files different keys, or put the images into families of their own";
        findings.list(Severity::Error, pcw::BAD_TGT_UPD_IMAGES, at(FAMILIES, &family.family), (what, details), hint);
    }
}

/// Numbers of disks and files: above all that the targets have, and apart from each other.
fn numbers(pcp: &Pcp, images: &Images, pairs: &Pairs<'_>, findings: &mut Findings) {
    let mut spans: Vec<(&str, i64, i64)> = Vec::new();
    for family in &pcp.families {
        let at = at(FAMILIES, &family.family);
        for pair in pairs.iter().filter(|pair| pair.upgraded.family == family.family) {
            let (target, image) = (&pair.target.target, &pair.old.image);
            let disk = image.last_disk_id();
            if family.media_disk_id.is_some_and(|id| id <= disk) {
                let what = format!("the target {target} has disks up to {disk}");
                let hint = "take one above every DiskId of the targets";
                findings.error(pcw::BAD_IMAGE_FAMILY_DISKID, at.column("MediaDiskId"), what, hint);
            }
            let last = image.last_sequence();
            if family.file_sequence_start.is_some_and(|start| start <= last) {
                let what = format!("the target {target} has numbers up to {last}");
                let hint = "take one above every File.Sequence and Media.LastSequence of the targets";
                findings.error(pcw::BAD_FILE_SEQUENCE_START, at.column("FileSequenceStart"), what, hint);
            }
        }
        if let Some(start) = family.file_sequence_start {
            let mut keys: Vec<&str> = of_family(pcp, images, &family.family)
                .into_iter()
                .flat_map(|(_, opened)| opened.image.files.iter().map(|file| file.key.as_str()))
                .collect();
            keys.sort_unstable();
            keys.dedup();
            spans.push((&family.family, i64::from(start), i64::try_from(keys.len()).unwrap_or(i64::MAX)));
        }
    }
    spans.sort_by_key(|(_, start, _)| *start);
    for pair in spans.windows(2) {
        let ((one, start, files), (other, next, _)) = (pair[0], pair[1]);
        if start < next && start.saturating_add(files) > next {
            let what = format!("it leaves room for {} files; the family {one} has {files}", next - start);
            let hint = "leave room for all files of each family, lest their numbers meet";
            let at = at(FAMILIES, other).column("FileSequenceStart");
            findings.warning(pcw::BAD_IMAGE_FAMILY_FILESEQSTART, at, what, hint);
        }
    }
}

/// Files with more old versions than a delta can have.
fn old_files(pcp: &Pcp, pairs: &Pairs<'_>, findings: &mut Findings) {
    for family in &pcp.families {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for pair in pairs.iter().filter(|pair| pair.upgraded.family == family.family) {
            pair.common().for_each(|(file, _)| *counts.entry(&file.key).or_default() += 1);
        }
        for row in pcp.external_files.iter().filter(|row| row.family == family.family) {
            *counts.entry(&row.ftk).or_default() += 1;
        }
        let details = counts.into_iter().filter(|(_, count)| *count > MOST_OLD_FILES);
        let details: Vec<String> = details.map(|(key, count)| format!("{key}: {count}")).collect();
        let what = format!("files with more than {MOST_OLD_FILES} old versions");
        let hint = "a delta can have so many that differ: split the patch by targets";
        let at = at(FAMILIES, &family.family);
        findings.list(Severity::Warning, pcw::CANT_CREATE_ONE_PATCH_FILE, at, (what, details), hint);
    }
}
