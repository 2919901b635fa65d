//! Families of images: names, and the numbers that they bring to a medium.

use super::{At, FAMILIES, Findings, LONGEST_FAMILY_NAME, at, duplicates, is_identifier, is_missing};
use crate::code as pcw;
use crate::pcp::Pcp;

pub(super) fn families(pcp: &Pcp, findings: &mut Findings) {
    if pcp.families.is_empty() && !is_missing(pcp, FAMILIES) {
        let hint = "add a row: a family groups images that share files";
        findings.error(pcw::INVALID_PCP_IMAGEFAMILIES, At::table(FAMILIES), "the table has no rows", hint);
    }
    let must_be_set = pcp.minimum_msi_version() < 200;
    let hint_null = "fill it in, or set MinimumRequiredMsiVersion to 200 or more";
    for row in &pcp.families {
        let at = at(FAMILIES, &row.family);
        let name = at.column("Family");
        findings.text(
            name,
            &row.family,
            LONGEST_FAMILY_NAME,
            pcw::BAD_IMAGE_FAMILY_NAME,
            pcw::IMAGE_FAMILY_NAME_TOO_LONG,
        );
        if !row.family.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
            let what = format!("{:?} has other characters than letters, digits and underscores", row.family);
            findings.error(pcw::BAD_IMAGE_FAMILY_NAME, name, what, "rename the family, here and where it is named");
        }
        let source = at.column("MediaSrcPropName");
        match &row.media_src_prop_name {
            None if must_be_set => findings.error(pcw::BAD_IMAGE_FAMILY_SRC_PROP, source, "it is empty", hint_null),
            Some(name) if !is_identifier(name) => {
                let what = format!("{name:?} is no name of a property");
                let hint = "begin with a letter or underscore and go on with letters, digits, underscores and dots";
                findings.error(pcw::BAD_IMAGE_FAMILY_SRC_PROP, source, what, hint);
            }
            _ => {}
        }
        let disk = at.column("MediaDiskId");
        match row.media_disk_id {
            None if must_be_set => findings.error(pcw::BAD_IMAGE_FAMILY_DISKID, disk, "it is empty", hint_null),
            Some(id) if !(1..=32_767).contains(&id) => {
                let what = format!("{id} is not from 1 to 32767");
                findings.error(pcw::BAD_IMAGE_FAMILY_DISKID, disk, what, "take one above every DiskId of the targets");
            }
            _ => {}
        }
        let start = at.column("FileSequenceStart");
        match row.file_sequence_start {
            None if must_be_set => findings.error(pcw::BAD_IMAGE_FAMILY_FILESEQSTART, start, "it is empty", hint_null),
            Some(number) if number < 1 => {
                let what = format!("{number} is less than 1");
                let hint = "take one above every File.Sequence of the targets";
                findings.error(pcw::BAD_IMAGE_FAMILY_FILESEQSTART, start, what, hint);
            }
            _ => {}
        }
    }
    let names = pcp.families.iter().map(|row| (row.family.as_str(), row.family.to_lowercase()));
    duplicates(names, |row, first| {
        let what = format!("{first} is the same name: case does not tell families apart");
        findings.error(pcw::DUP_IMAGE_FAMILY_NAME, at(FAMILIES, row).column("Family"), what, "rename one of them");
    });
    let rows = || pcp.families.iter();
    let sources = rows().filter_map(|row| Some((row.family.as_str(), row.media_src_prop_name.clone()?)));
    duplicates(sources, |row, first| {
        let at = at(FAMILIES, row).column("MediaSrcPropName");
        let what = format!("the family {first} has the same property");
        findings.error(pcw::BAD_IMAGE_FAMILY_SRC_PROP, at, what, "give each family a property of its own");
    });
    let disks = rows().filter_map(|row| Some((row.family.as_str(), row.media_disk_id?.to_string())));
    duplicates(disks, |row, first| {
        let what = format!("the family {first} has the same number");
        let at = at(FAMILIES, row).column("MediaDiskId");
        findings.error(pcw::BAD_IMAGE_FAMILY_DISKID, at, what, "give each family a number of its own");
    });
    let starts = rows().filter_map(|row| Some((row.family.as_str(), row.file_sequence_start?.to_string())));
    duplicates(starts, |row, first| {
        let what = format!("the family {first} begins at the same number");
        let at = at(FAMILIES, row).column("FileSequenceStart");
        findings.error(pcw::BAD_IMAGE_FAMILY_FILESEQSTART, at, what, "leave room for the files of each family");
    });
}
