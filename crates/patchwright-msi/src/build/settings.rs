//! What the table `Properties` asks of a patch, typed.

use crate::guid::split_guids;
use crate::pcp::Pcp;

/// When deltas may look through a window of 32 MiB instead of 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LargeWindow {
    /// `OptimizePatchSizeForLargeFiles` is not there: where old and new file need it.
    #[default]
    WhereNeeded,
    /// It is there, and says yes; for every file.
    Always,
    /// It is there, and says 0.
    Never,
}

/// The settings of a patch. The checks have refused values that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `PatchGUID`, in upper case.
    pub patch_guid: String,
    /// `PatchOutputPath`
    pub output_path: Option<String>,
    /// `ListOfPatchGUIDsToReplace`, in upper case.
    pub replaced_patches: Vec<String>,
    /// `ListOfTargetProductCodes`, as it stands.
    pub target_product_codes: Option<String>,
    /// `PatchSourceList`
    pub source_list: Option<String>,
    /// `MinimumRequiredMsiVersion`
    pub minimum_msi_version: u32,
    /// `IncludeWholeFilesOnly`
    pub whole_files_only: bool,
    /// `OptimizePatchSizeForLargeFiles`
    pub large_window: LargeWindow,
    /// `DontRemoveTempFolderWhenFinished`
    pub keep_temp_folder: bool,
    /// `MsiFileToUseToCreatePatchTables`
    pub patch_tables_msi: Option<String>,
    /// `PATCH_CACHE_DIR`, if `PATCH_CACHE_ENABLED`
    pub cache_folder: Option<String>,
    /// `SEQUENCE_DATA_GENERATION_DISABLED`
    pub no_generated_sequence: bool,
    /// `SEQUENCE_DATA_SUPERSEDENCE`
    pub supersedence: Option<bool>,
    /// `TrustMsi`
    pub trust_msi: bool,
}

impl Settings {
    /// Reads the settings of a `.pcp`.
    pub fn read(pcp: &Pcp) -> Self {
        let text = |name| pcp.property(name).map(str::to_owned);
        let is_set = |name| pcp.property(name).is_some_and(|value| value.trim() == "1");
        let large_row = pcp.properties.iter().find(|row| row.name == "OptimizePatchSizeForLargeFiles");
        let replaced = pcp.property("ListOfPatchGUIDsToReplace").and_then(split_guids).unwrap_or_default();
        Self {
            patch_guid: pcp.property("PatchGUID").unwrap_or_default().to_ascii_uppercase(),
            output_path: text("PatchOutputPath"),
            replaced_patches: replaced.into_iter().map(str::to_ascii_uppercase).collect(),
            target_product_codes: text("ListOfTargetProductCodes"),
            source_list: text("PatchSourceList"),
            minimum_msi_version: pcp.minimum_msi_version(),
            whole_files_only: is_set("IncludeWholeFilesOnly"),
            // The documentation: anything but 0 means yes, an empty value too.
            large_window: match large_row.map(|row| row.value.as_deref()) {
                None => LargeWindow::WhereNeeded,
                Some(Some("0")) => LargeWindow::Never,
                Some(_) => LargeWindow::Always,
            },
            keep_temp_folder: is_set("DontRemoveTempFolderWhenFinished"),
            patch_tables_msi: text("MsiFileToUseToCreatePatchTables"),
            cache_folder: text("PATCH_CACHE_DIR").filter(|_| is_set("PATCH_CACHE_ENABLED")),
            no_generated_sequence: is_set("SEQUENCE_DATA_GENERATION_DISABLED"),
            supersedence: pcp.property("SEQUENCE_DATA_SUPERSEDENCE").map(|value| value == "1"),
            trust_msi: is_set("TrustMsi"),
        }
    }

    /// The letters and digits of the patch's identity, for names that take nothing else.
    pub fn bare_patch_guid(&self) -> String {
        self.patch_guid.chars().filter(char::is_ascii_alphanumeric).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcp::PropertyRow;

    fn read(rows: &[(&str, Option<&str>)]) -> Settings {
        let row = |(name, value): &(&str, Option<&str>)| PropertyRow {
            name: (*name).to_owned(),
            value: value.map(str::to_owned),
        };
        Settings::read(&Pcp { properties: rows.iter().map(row).collect(), ..Pcp::default() })
    }

    #[test]
    fn a_large_window_is_asked_for_by_anything_but_zero() {
        let name = "OptimizePatchSizeForLargeFiles";
        for (rows, expect) in [
            (&[][..], LargeWindow::WhereNeeded),
            (&[(name, None)], LargeWindow::Always),
            (&[(name, Some("abc"))], LargeWindow::Always),
            (&[(name, Some("1"))], LargeWindow::Always),
            (&[(name, Some("0"))], LargeWindow::Never),
        ] {
            assert_eq!(read(rows).large_window, expect, "{rows:?}");
        }
    }

    #[test]
    fn a_cache_folder_counts_only_with_its_switch() {
        let folder = ("PATCH_CACHE_DIR", Some("c:\\cache"));
        assert_eq!(read(&[folder]).cache_folder, None);
        assert_eq!(read(&[folder, ("PATCH_CACHE_ENABLED", Some("0"))]).cache_folder, None);
        assert!(read(&[folder, ("PATCH_CACHE_ENABLED", Some("1"))]).cache_folder.is_some());
    }
}
