//! Changed files whose version does not rise: Windows Installer would keep the old ones wherever it sees them whole.

use super::pairs::Pairs;
use super::{Findings, Severity, TARGETS, at};
use crate::code as pcw;

pub(super) fn versions(pairs: &Pairs<'_>, findings: &mut Findings) {
    for pair in pairs.iter() {
        let (mut lower, mut equal) = (Vec::new(), Vec::new());
        for (file, _) in pair.common() {
            let key = &file.key;
            let (Ok(Some(old)), Ok(Some(new))) = (pair.old.version(key), pair.new.version(key)) else { continue };
            // A higher version needs no look at the bytes.
            if new.numbers > old.numbers || pair.differs(key) != Some(true) {
                continue;
            }
            if new.numbers < old.numbers {
                lower.push(format!("{key}: {old} to {new}"));
            } else {
                equal.push(format!("{key}: {new}"));
            }
        }
        let at = at(TARGETS, &pair.target.target).column("MsiPath");
        let count =
            |list: &[String]| format!("{} changed {}", list.len(), if list.len() == 1 { "file" } else { "files" });
        let hint = "raise the version in its resource; a delta patches it anyway, a repair would not";
        let what = format!("{} with a lower version than before", count(&lower));
        findings.list(Severity::Warning, pcw::FILE_VERSION_DOWNREV, at, (what, lower), hint);
        let what = format!("{} with the version of before", count(&equal));
        findings.list(Severity::Warning, pcw::EQUAL_FILE_VERSION, at, (what, equal), hint);
    }
}
