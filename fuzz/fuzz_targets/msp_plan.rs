//! Any `.pcp` over any contents of its images: every member has a number and a pair of its own, and retained bytes are in
//! deltas alone, or an error says that they are lost.

#![no_main]

use std::collections::BTreeSet;
use std::io::{self, Cursor};

use libfuzzer_sys::fuzz_target;
use patchwright_fuzz::split;
use patchwright_msi::build::plan::{Content, ImageFile, Images, Kind, plan};
use patchwright_msi::build::ranges::{RetainDefault, RetainMismatch, RetainRules};
use patchwright_msi::build::root::{PatchedProduct, product_codes, sequence};
use patchwright_msi::build::settings::Settings;
use patchwright_msi::check::{Severity, check};
use patchwright_msi::database::Database;
use patchwright_msi::idt::import;
use patchwright_msi::pcp::Pcp;

/// A database, or text archives with NUL bytes between them, which a fuzzer can write.
fn database(bytes: &[u8]) -> Option<Database> {
    if let Ok(database) = Database::read(Cursor::new(bytes)) {
        return Some(database);
    }
    let archives = bytes.split(|byte| *byte == 0).map(|bytes| ("x.idt", bytes));
    import(archives, |_, _| Err(io::ErrorKind::NotFound.into())).ok()
}

/// Files of images: a byte for the image, one for the key, one for the content.
fn images(pcp: &Pcp, bytes: &[u8]) -> Images {
    let mut images = Images { highest_sequence: 3, highest_disk_id: 1, ..Images::default() };
    for [image, key, content] in bytes.as_chunks::<3>().0 {
        let file = ImageFile {
            sequence: i32::from(*key),
            content: (*content < 250).then_some(Content { len: u64::from(*content) << 8, hash: [*content; 32] }),
        };
        let ftk = pcp.family_ranges.first().map_or("app", |row| row.ftk.as_str());
        let ftk = if *key == 0 { ftk.to_owned() } else { format!("k{key}") };
        let at = usize::from(*image >> 1);
        if image & 1 == 0 {
            let Some(row) = pcp.upgraded.get(at) else { continue };
            images.upgraded.entry(row.upgraded.clone()).or_default().insert(ftk, file);
        } else {
            let Some(row) = pcp.targets.get(at) else { continue };
            images.targets.entry(row.target.clone()).or_default().insert(ftk, file);
        }
    }
    images.external = pcp.external_files.iter().map(|_| Some(Content { len: 7, hash: [9; 32] })).collect();
    images
}

fuzz_target!(|input: &[u8]| {
    let (tables, files) = split(input);
    let Some(database) = database(tables) else { return };
    let pcp = Pcp::read(&database);
    let settings = Settings::read(&pcp);
    let known = images(&pcp, files);
    let sound = check(&pcp).iter().all(|finding| finding.severity != Severity::Error);
    for mismatch in [RetainMismatch::Error, RetainMismatch::Drop] {
        for default in [RetainDefault::None, RetainDefault::SameOffset] {
            let (plan, findings) = plan(&pcp, &known, &settings, RetainRules { mismatch, default });
            let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
            let mut numbers = BTreeSet::new();
            for family in &plan.families {
                let mut keys = BTreeSet::new();
                for member in &family.members {
                    assert!(keys.insert(&member.ftk), "twice in a cabinet");
                    assert!(!member.pairs.is_empty() && member.pairs.iter().all(|pair| *pair < plan.pairs.len()));
                    let whole = matches!(member.kind, Kind::Whole(_));
                    let retained = pcp.family_ranges.iter().any(|row| {
                        row.family == family.name && row.ftk == member.ftk && row.retain_lengths.trim() == "1"
                    });
                    if sound && !refused {
                        assert!(numbers.insert(member.sequence), "two files of one number");
                        assert!(!(whole && retained), "retained bytes are lost");
                    }
                }
            }
        }
    }
    let products: Vec<PatchedProduct> = pcp
        .targets
        .iter()
        .map(|row| PatchedProduct {
            target: row.target.clone(),
            code: row.msi_path.clone(),
            ..PatchedProduct::default()
        })
        .collect();
    let _ = sequence(&pcp, &settings, &products, u64::from(files.len() as u32), &mut Vec::new());
    let _ = product_codes(&settings, &products);
});
