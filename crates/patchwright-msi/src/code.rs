//! The codes of PATCHWIZ, by name and number, and what becomes of each here.
//!
//! The page `docs/guide/patchwiz-codes.md` is made from this table.

/// A code: what `UiCreatePatchPackageEx` would return, or what it would write to its log as a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code {
    /// The number.
    pub number: u32,
    /// The name in `PatchWiz.h`.
    pub name: &'static str,
}

/// What becomes of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// `pcp check` gives it.
    Check,
    /// Building a patch gives it.
    Build,
    /// Nothing gives it, for this reason.
    Never(&'static str),
}

/// A line of the table of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// What it says.
    pub meaning: &'static str,
    /// What becomes of it.
    pub usage: Use,
}

/// Every code of the header, by number.
pub fn table() -> Vec<Entry> {
    let parts = [CHECKED_AND_BUILT, NOT_GIVEN, WARNINGS, WARNINGS_NOT_GIVEN, MESSAGES];
    let mut table: Vec<Entry> = parts.into_iter().flatten().copied().collect();
    table.sort_by_key(|entry| entry.code.number);
    table
}

macro_rules! codes {
    ($list:ident: $base:literal $prefix:literal: $($name:ident $offset:literal $usage:ident $meaning:literal)*) => {
        $(
            #[doc = concat!("`", $prefix, stringify!($name), "`: ", $meaning)]
            pub const $name: Code = Code { number: $base + $offset, name: concat!($prefix, stringify!($name)) };
        )*
        const $list: &[Entry] = &[$(Entry { code: $name, meaning: $meaning, usage: Use::$usage }),*];
    };
}

/// Codes that nothing gives: they stand in the table alone.
macro_rules! never {
    ($list:ident: $base:literal $prefix:literal: $($name:ident $offset:literal $meaning:literal $why:literal)*) => {
        const $list: &[Entry] = &[$(Entry {
            code: Code { number: $base + $offset, name: concat!($prefix, stringify!($name)) },
            meaning: $meaning,
            usage: Use::Never($why),
        }),*];
    };
}

codes! { CHECKED_AND_BUILT: 0xC00E_5101 "ERROR_PCW_":
    PCP_DOESNT_EXIST 0x00 Build "the .pcp does not exist"
    PCP_BAD_FORMAT 0x01 Build "the .pcp is no database of Windows Installer"
    CANT_CREATE_TEMP_FOLDER 0x02 Build "the folder for temporary files cannot be made, or is there and must not be emptied"
    MISSING_PATCH_PATH 0x03 Check "no szPatchPath argument and no Properties.PatchOutputPath"
    CANT_OVERWRITE_PATCH 0x04 Build "the patch exists and cannot be replaced"
    CANT_CREATE_PATCH_FILE 0x05 Build "the patch cannot be written"
    MISSING_PATCH_GUID 0x06 Check "Properties.PatchGUID is missing"
    BAD_PATCH_GUID 0x07 Check "Properties.PatchGUID is no GUID"
    BAD_GUIDS_TO_REPLACE 0x08 Check "Properties.ListOfPatchGUIDsToReplace is malformed"
    BAD_TARGET_PRODUCT_CODE_LIST 0x09 Check "Properties.ListOfTargetProductCodes is malformed"
    NO_UPGRADED_IMAGES_TO_PATCH 0x0a Check "no upgraded image that a target image names"
    BAD_API_PATCHING_SYMBOL_FLAGS 0x0c Check "Properties.ApiPatchingSymbolFlags has bits that mean nothing"
    UPGRADED_IMAGE_NAME_TOO_LONG 0x0e Check "UpgradedImages.Upgraded has more than 13 characters"
    BAD_UPGRADED_IMAGE_NAME 0x0f Check "UpgradedImages.Upgraded is empty or has other characters than letters, digits, underscores and dots"
    DUP_UPGRADED_IMAGE_NAME 0x10 Check "two names of UpgradedImages differ in case alone"
    UPGRADED_IMAGE_PATH_TOO_LONG 0x11 Check "UpgradedImages.MsiPath is too long"
    UPGRADED_IMAGE_PATH_EMPTY 0x12 Check "UpgradedImages.MsiPath is empty"
    UPGRADED_IMAGE_PATH_NOT_EXIST 0x13 Check "UpgradedImages.MsiPath does not exist"
    UPGRADED_IMAGE_PATH_NOT_MSI 0x14 Check "UpgradedImages.MsiPath is no installer"
    UPGRADED_IMAGE_COMPRESSED 0x15 Check "an upgraded image has files in cabinets"
    TARGET_IMAGE_NAME_TOO_LONG 0x16 Check "TargetImages.Target has more than 13 characters"
    BAD_TARGET_IMAGE_NAME 0x17 Check "TargetImages.Target is empty or has other characters than letters, digits, underscores and dots"
    DUP_TARGET_IMAGE_NAME 0x18 Check "TargetImages.Target differs from another in case alone"
    TARGET_IMAGE_PATH_TOO_LONG 0x19 Check "TargetImages.MsiPath is too long"
    TARGET_IMAGE_PATH_EMPTY 0x1a Check "TargetImages.MsiPath is empty"
    TARGET_IMAGE_PATH_NOT_EXIST 0x1b Check "TargetImages.MsiPath does not exist"
    TARGET_IMAGE_PATH_NOT_MSI 0x1c Check "TargetImages.MsiPath is no installer"
    TARGET_IMAGE_COMPRESSED 0x1d Check "a target image has files in cabinets"
    TARGET_BAD_PROD_VALIDATE 0x1e Check "TargetImages.ProductValidateFlags is no 0x and 8 hexadecimal digits, or has bits that cannot be"
    TARGET_BAD_PROD_CODE_VAL 0x1f Check "the product code of a target is not among those that the patch is for"
    UPGRADED_MISSING_SRC_FILES 0x20 Check "files of an upgraded image are missing"
    TARGET_MISSING_SRC_FILES 0x21 Check "files of a target image are missing and IgnoreMissingSrcFiles is 0"
    IMAGE_FAMILY_NAME_TOO_LONG 0x22 Check "ImageFamilies.Family has more than 8 characters"
    BAD_IMAGE_FAMILY_NAME 0x23 Check "ImageFamilies.Family has other characters than letters, digits and underscores"
    DUP_IMAGE_FAMILY_NAME 0x24 Check "ImageFamilies.Family differs from another in case alone"
    BAD_IMAGE_FAMILY_SRC_PROP 0x25 Check "ImageFamilies.MediaSrcPropName is missing or no name of a property"
    UFILEDATA_LONG_FILE_TABLE_KEY 0x26 Check "UpgradedFiles_OptionalData.FTK is too long"
    UFILEDATA_BLANK_FILE_TABLE_KEY 0x27 Check "UpgradedFiles_OptionalData.FTK is empty"
    UFILEDATA_MISSING_FILE_TABLE_KEY 0x28 Check "UpgradedFiles_OptionalData.FTK is no key of the upgraded image"
    EXTFILE_LONG_FILE_TABLE_KEY 0x29 Check "ExternalFiles.FTK is too long"
    EXTFILE_BLANK_FILE_TABLE_KEY 0x2a Check "ExternalFiles.FTK is empty"
    EXTFILE_BAD_FAMILY_FIELD 0x2b Check "ExternalFiles.Family names no row"
    EXTFILE_LONG_PATH_TO_FILE 0x2c Check "ExternalFiles.FilePath is too long"
    EXTFILE_BLANK_PATH_TO_FILE 0x2d Check "ExternalFiles.FilePath is empty"
    EXTFILE_MISSING_FILE 0x2e Check "ExternalFiles.FilePath does not exist"
    BAD_FILE_SEQUENCE_START 0x39 Check "ImageFamilies.FileSequenceStart is not above every file of the targets"
    CANT_CREATE_ONE_PATCH_FILE 0x3b Check "a delta cannot be made; a file has more than 255 old versions"
    BAD_IMAGE_FAMILY_DISKID 0x3c Check "ImageFamilies.MediaDiskId is missing or out of range"
    BAD_IMAGE_FAMILY_FILESEQSTART 0x3d Check "ImageFamilies.FileSequenceStart is missing or out of range"
    BAD_UPGRADED_IMAGE_FAMILY 0x3e Check "UpgradedImages.Family names no row of ImageFamilies"
    BAD_TARGET_IMAGE_UPGRADED 0x3f Check "TargetImages.Upgraded names no row of UpgradedImages"
    DUP_TARGET_IMAGE_PACKCODE 0x40 Check "two target images share a package code"
    UFILEDATA_BAD_UPGRADED_FIELD 0x41 Check "UpgradedFiles_OptionalData.Upgraded names no row"
    MISMATCHED_PRODUCT_CODES 0x42 Check "the product code changes and AllowProductCodeMismatches is not 1"
    MISMATCHED_PRODUCT_VERSIONS 0x43 Check "the major version changes and AllowProductVersionMajorMismatches is not 1"
    CANNOT_RUN_MAKECAB 0x45 Build "a cabinet cannot be made"
    TFILEDATA_LONG_FILE_TABLE_KEY 0x4b Check "TargetFiles_OptionalData.FTK is too long"
    TFILEDATA_BLANK_FILE_TABLE_KEY 0x4c Check "TargetFiles_OptionalData.FTK is empty"
    TFILEDATA_MISSING_FILE_TABLE_KEY 0x4d Check "TargetFiles_OptionalData.FTK is no key of the target image"
    TFILEDATA_BAD_TARGET_FIELD 0x4e Check "TargetFiles_OptionalData.Target names no row"
    UPGRADED_IMAGE_PATCH_PATH_TOO_LONG 0x4f Check "UpgradedImages.PatchMsiPath is too long"
    UPGRADED_IMAGE_PATCH_PATH_NOT_EXIST 0x50 Check "UpgradedImages.PatchMsiPath does not exist"
    UPGRADED_IMAGE_PATCH_PATH_NOT_MSI 0x51 Check "UpgradedImages.PatchMsiPath is no installer"
    DUP_UPGRADED_IMAGE_PACKCODE 0x52 Check "two upgraded images, or an upgraded one and its target, share a package code"
    UFILEIGNORE_BAD_UPGRADED_FIELD 0x53 Check "UpgradedFilesToIgnore.Upgraded is neither a row nor *"
    UFILEIGNORE_LONG_FILE_TABLE_KEY 0x54 Check "UpgradedFilesToIgnore.FTK is too long"
    UFILEIGNORE_BLANK_FILE_TABLE_KEY 0x55 Check "UpgradedFilesToIgnore.FTK is empty"
    UFILEIGNORE_BAD_FILE_TABLE_KEY 0x56 Check "UpgradedFilesToIgnore.FTK has something after *, or is the key of no file"
    FAMILY_RANGE_NAME_TOO_LONG 0x57 Check "FamilyFileRanges.Family is too long"
    BAD_FAMILY_RANGE_NAME 0x58 Check "FamilyFileRanges.Family names no row"
    FAMILY_RANGE_LONG_FILE_TABLE_KEY 0x59 Check "FamilyFileRanges.FTK is too long"
    FAMILY_RANGE_BLANK_FILE_TABLE_KEY 0x5a Check "FamilyFileRanges.FTK is empty"
    FAMILY_RANGE_LONG_RETAIN_OFFSETS 0x5b Check "FamilyFileRanges.RetainOffsets is too long"
    FAMILY_RANGE_BLANK_RETAIN_OFFSETS 0x5c Check "FamilyFileRanges.RetainOffsets is empty"
    FAMILY_RANGE_BAD_RETAIN_OFFSETS 0x5d Check "FamilyFileRanges.RetainOffsets is no list of numbers"
    FAMILY_RANGE_LONG_RETAIN_LENGTHS 0x5e Check "FamilyFileRanges.RetainLengths is too long"
    FAMILY_RANGE_BLANK_RETAIN_LENGTHS 0x5f Check "FamilyFileRanges.RetainLengths is empty"
    FAMILY_RANGE_BAD_RETAIN_LENGTHS 0x60 Check "FamilyFileRanges.RetainLengths is no list of numbers"
    FAMILY_RANGE_COUNT_MISMATCH 0x61 Check "FamilyFileRanges: offsets and lengths differ in number"
    EXTFILE_LONG_IGNORE_OFFSETS 0x62 Check "ExternalFiles.IgnoreOffsets is too long"
    EXTFILE_BAD_IGNORE_OFFSETS 0x63 Check "ExternalFiles.IgnoreOffsets is no list of numbers"
    EXTFILE_LONG_IGNORE_LENGTHS 0x64 Check "ExternalFiles.IgnoreLengths is too long"
    EXTFILE_BAD_IGNORE_LENGTHS 0x65 Check "ExternalFiles.IgnoreLengths is no list of numbers"
    EXTFILE_IGNORE_COUNT_MISMATCH 0x66 Check "ExternalFiles: IgnoreOffsets/IgnoreLengths differ in number"
    EXTFILE_LONG_RETAIN_OFFSETS 0x67 Check "ExternalFiles.RetainOffsets is too long"
    EXTFILE_BAD_RETAIN_OFFSETS 0x68 Check "ExternalFiles.RetainOffsets is no list of numbers"
    EXTFILE_RETAIN_COUNT_MISMATCH 0x69 Check "RetainOffsets has more or fewer offsets than FamilyFileRanges"
    TFILEDATA_LONG_IGNORE_OFFSETS 0x6a Check "TargetFiles_OptionalData.IgnoreOffsets is too long"
    TFILEDATA_BAD_IGNORE_OFFSETS 0x6b Check "TargetFiles_OptionalData.IgnoreOffsets is no list of numbers"
    TFILEDATA_LONG_IGNORE_LENGTHS 0x6c Check "TargetFiles_OptionalData.IgnoreLengths is too long"
    TFILEDATA_BAD_IGNORE_LENGTHS 0x6d Check "TargetFiles_OptionalData.IgnoreLengths is no list of numbers"
    TFILEDATA_IGNORE_COUNT_MISMATCH 0x6e Check "TargetFiles_OptionalData: IgnoreOffsets/IgnoreLengths differ in number"
    TFILEDATA_LONG_RETAIN_OFFSETS 0x6f Check "TargetFiles_OptionalData.RetainOffsets is too long"
    TFILEDATA_BAD_RETAIN_OFFSETS 0x70 Check "TargetFiles_OptionalData.RetainOffsets is no list of numbers"
    TFILEDATA_RETAIN_COUNT_MISMATCH 0x71 Check "RetainOffsets has more or fewer offsets than FamilyFileRanges"
    CANT_GENERATE_TRANSFORM 0x72 Check "a transform cannot be made: a table has other columns in the target than in the upgraded image"
    CANT_GENERATE_TRANSFORM_POUND 0x74 Build "the transform with the patch's own tables cannot be made"
    BAD_UPGRADED_IMAGE_PRODUCT_CODE 0x76 Check "upgraded image's ProductCode is missing or malformed"
    BAD_UPGRADED_IMAGE_PRODUCT_VERSION 0x77 Check "upgraded image's ProductVersion is missing or malformed"
    BAD_UPGRADED_IMAGE_UPGRADE_CODE 0x78 Check "upgraded image's UpgradeCode is missing or malformed"
    BAD_TARGET_IMAGE_PRODUCT_CODE 0x79 Check "target image's ProductCode is missing or malformed"
    BAD_TARGET_IMAGE_PRODUCT_VERSION 0x7a Check "target image's ProductVersion is missing or malformed"
    BAD_TARGET_IMAGE_UPGRADE_CODE 0x7b Check "target image's UpgradeCode is missing or malformed"
    MATCHED_PRODUCT_VERSIONS 0x7c Check "the product code changes and the first three parts of the version do not"
    CANT_GENERATE_SEQUENCEINFO_MAJORUPGD 0x81 Check "no sequence can be generated: the patch changes the product code"
    BAD_PRODUCTVERSION_VALIDATION 0x83 Check "targets of one product are not told apart by their validation flags"
    BAD_TGT_UPD_IMAGES 0x85 Check "target and upgraded image contradict each other"
    BAD_SEQUENCE 0x87 Check "PatchSequence.Sequence is no version"
    NULL_PATCHFAMILY 0x89 Check "PatchSequence.PatchFamily is empty"
    SEQUENCING_BAD_TARGET 0x8d Check "PatchSequence.Target is neither a target image nor a GUID"
    PATCHMETADATA_PROP_NOT_SET 0x8e Check "a required property of PatchMetadata is missing"
    INVALID_PATCHMETADATA_PROP 0x8f Check "a property of PatchMetadata has a value that it cannot have"
    INVALID_SUPERCEDENCE 0x90 Check "PatchSequence.Supersede is neither 0 nor 1"
    DUPLICATE_SEQUENCE_RECORD 0x91 Check "two rows of PatchSequence are about the same family and product"
    WRONG_PATCHMETADATA_STRD_PROP 0x92 Check "a property without Company is none of the standard ones"
    INVALID_PARAMETER 0x93 Build "a bad argument of UiCreatePatchPackageEx"
    CREATEFILE_LOG_FAILED 0x94 Build "the log cannot be made"
    INVALID_LOG_LEVEL 0x95 Build "bits of dwFlags for the log that mean nothing"
    INVALID_UI_LEVEL 0x96 Build "bits of dwFlags for the interface that mean nothing"
    ERROR_WRITING_TO_LOG 0x97 Build "the log cannot be written"
    FAILED_EXPAND_PATH 0x9f Check "a path refers to a variable that is not set"
    INVALID_PCP_PROPERTY 0x101 Check "an unknown or invalid property"
    INVALID_PCP_TARGETIMAGES 0x102 Check "TargetImages is missing, lacks a column, or has rows that contradict each other"
    LAX_VALIDATION_FLAGS 0x103 Check "ProductValidateFlags compare neither product nor upgrade code"
    INTERNAL_ERROR 0x100 Build "what cannot happen did: a bug of ours"
    CANT_DELETE_TEMP_FOLDER 0x105 Build "the folder for temporary files cannot be removed"
    MISSING_DIRECTORY_TABLE 0x106 Check "an image has files and no Directory table"
    INVALID_SUPERSEDENCE_VALUE 0x107 Check "Properties.SEQUENCE_DATA_SUPERSEDENCE is neither 0 nor 1"
    INVALID_PATCH_TYPE_SEQUENCING 0x108 Check "a sequence in a patch that changes the product code"
    CANT_READ_FILE 0x109 Check "a file or cabinet of an image cannot be read"
    TARGET_WRONG_PRODUCT_VERSION_COMP 0x10a Check "ProductValidateFlags compare the version so that the target itself fails"
    INVALID_PCP_UPGRADEDFILESTOIGNORE 0x10b Check "UpgradedFilesToIgnore lacks a column, or has a row that cannot be"
    INVALID_PCP_UPGRADEDIMAGES 0x10c Check "UpgradedImages is missing, lacks a column, or has a row without target"
    INVALID_PCP_EXTERNALFILES 0x10d Check "ExternalFiles lacks a column, or has a row that cannot be"
    INVALID_PCP_IMAGEFAMILIES 0x10e Check "ImageFamilies lacks a column, or has a row that cannot be"
    INVALID_PCP_PATCHSEQUENCE 0x10f Check "PatchSequence lacks a column, or has a row that cannot be"
    INVALID_PCP_TARGETFILES_OPTIONALDATA 0x110 Check "TargetFiles_OptionalData lacks a column, or has a row that cannot be"
    INVALID_PCP_UPGRADEDFILES_OPTIONALDATA 0x111 Check "UpgradedFiles_OptionalData lacks a column, or has a row that cannot be"
    MISSING_PATCHMETADATA 0x112 Check "PatchMetadata is missing, and Windows Installer 3.0 is required"
    IMAGE_PATH_NOT_EXIST 0x113 Check "a path of Windows that nothing says the place of"
    INVALID_RANGE_ELEMENT 0x114 Check "a range that cannot be: no number, beyond the end of its file, over another one"
    INVALID_MAJOR_VERSION 0x115 Check "the major version changes and the product code does not"
    INVALID_PCP_PROPERTIES 0x116 Check "Properties lacks a column"
    INVALID_PCP_FAMILYFILERANGES 0x117 Check "FamilyFileRanges lacks a column, or names a file that an upgraded image lacks"
}

codes! { WARNINGS: 0xC010_5101 "WARN_":
    MAJOR_UPGRADE_PATCH 0x00 Check "the patch changes the product code"
    SEQUENCE_DATA_GENERATION_DISABLED 0x01 Check "the patch will have no sequence"
    SEQUENCE_DATA_SUPERSEDENCE_IGNORED 0x02 Check "SEQUENCE_DATA_SUPERSEDENCE beside a table PatchSequence"
    IMPROPER_TRANSFORM_VALIDATION 0x03 Check "ProductValidateFlags compare neither product nor upgrade code, and AllowLaxValidationFlags is 1"
    PCW_MISMATCHED_PRODUCT_CODES 0x04 Check "the product code changes, as AllowProductCodeMismatches allows"
    PCW_MISMATCHED_PRODUCT_VERSIONS 0x05 Check "the major version changes, as AllowProductVersionMajorMismatches allows"
    INVALID_TRANSFORM_VALIDATION 0x06 Check "ProductValidateFlags name parts of a version without a comparison, or the other way round"
    FILE_VERSION_DOWNREV 0x08 Check "a changed file has a lower version than the target"
    EQUAL_FILE_VERSION 0x09 Check "a changed file has the version of the target"
    PATCHPROPERTYNOTSET 0x0a Check "a property of PatchMetadata is missing, and Windows Installer 3.0 is not required"
    OBSOLETION_WITH_MSI30 0x10 Check "ListOfPatchGUIDsToReplace with MinimumRequiredMsiVersion 300 or more"
    OBSOLETION_WITH_SEQUENCE_DATA 0x11 Check "ListOfPatchGUIDsToReplace in a patch whose sequence is generated"
    OBSOLETION_WITH_PATCHSEQUENCE 0x12 Check "ListOfPatchGUIDsToReplace with a table PatchSequence"
}

never! { NOT_GIVEN: 0xC00E_5101 "ERROR_PCW_":
    BAD_API_PATCHING_OPTION_FLAGS 0x0b "flags of the delta compressor" "obsolete"
    OODS_COPYING_MSI 0x0d "no space for copies of the installers" "nothing is copied"
    FILERANGE_LONG_FILE_TABLE_KEY 0x2f "a range of FamilyFileRanges" "obsolete"
    FILERANGE_BLANK_FILE_TABLE_KEY 0x30 "filerange blank file table key" "obsolete"
    FILERANGE_MISSING_FILE_TABLE_KEY 0x31 "filerange missing file table key" "obsolete"
    FILERANGE_LONG_PATH_TO_FILE 0x32 "filerange long path to file" "obsolete"
    FILERANGE_MISSING_FILE 0x33 "filerange missing file" "obsolete"
    FILERANGE_INVALID_OFFSET 0x34 "filerange invalid offset" "obsolete"
    FILERANGE_INVALID_SIZE 0x35 "filerange invalid size" "obsolete"
    FILERANGE_INVALID_RETAIN 0x36 "filerange invalid retain" "obsolete"
    BAD_MEDIA_SRC_PROP_NAME 0x37 "bad media src prop name" "obsolete"
    BAD_MEDIA_DISK_ID 0x38 "bad media disk id" "obsolete"
    CANT_COPY_FILE_TO_TEMP_FOLDER 0x3a "a whole file cannot be copied" "nothing is copied: whole files go from their place into the cabinet"
    CANNOT_WRITE_DDF 0x44 "the directives of makecab cannot be written" "makecab is not used"
    CANNOT_CREATE_STORAGE 0x46 "a storage cannot be made" "obsolete"
    CANNOT_CREATE_STREAM 0x47 "cannot create stream" "obsolete"
    CANNOT_WRITE_STREAM 0x48 "cannot write stream" "obsolete"
    CANNOT_READ_CABINET 0x49 "cannot read cabinet" "obsolete"
    WRITE_SUMMARY_PROPERTIES 0x4a "the summary information cannot be written" "a patch is written whole: 0xC00E5106 covers it"
    CANT_CREATE_SUMMARY_INFO 0x73 "the summary information of a transform cannot be made" "part of 0xC00E5173"
    CANT_CREATE_SUMMARY_INFO_POUND 0x75 "the same for the transform with the patch's own tables" "part of 0xC00E5175"
    OBSOLETION_WITH_SEQUENCE_DATA 0x7d "ListOfPatchGUIDsToReplace in a patch with a sequence" "a patch can be made: the warning WARN_OBSOLETION_WITH_SEQUENCE_DATA"
    OBSOLETION_WITH_MSI30 0x7e "ListOfPatchGUIDsToReplace with MinimumRequiredMsiVersion 300 or more" "a patch can be made: the warning WARN_OBSOLETION_WITH_MSI30"
    OBSOLETION_WITH_PATCHSEQUENCE 0x7f "ListOfPatchGUIDsToReplace with a table PatchSequence" "a patch can be made: the warning WARN_OBSOLETION_WITH_PATCHSEQUENCE"
    CANNOT_CREATE_TABLE 0x80 "a table of the patch cannot be made" "tables are written with the patch: 0xC00E5106 covers it"
    MAJOR_UPGD_WITHOUT_SEQUENCING 0x82 "a patch that changes the product code has no sequence" "ERROR_PCW_CANT_GENERATE_SEQUENCEINFO_MAJORUPGD tells it"
    BAD_TRANSFORMSET 0x84 "the transforms do not fit together" "a check of transforms has its own messages"
    BAD_SUPERCEDENCE 0x86 "the rows of one family of PatchSequence disagree on Supersede" "each row is about a product of its own, and says it for that"
    BAD_TARGET 0x88 "PatchSequence.Target is invalid" "ERROR_PCW_SEQUENCING_BAD_TARGET tells it"
    NULL_SEQUENCE_NUMBER 0x8a "PatchSequence.Sequence is empty where it must not be" "an empty Sequence is generated"
    BAD_VERSION_STRING 0x8b "a version is malformed" "the code of the image tells it: 0xC00E5178 or 0xC00E517B"
    BAD_MAJOR_VERSION 0x8c "the major part of a version is malformed" "the code of the image tells it: 0xC00E5178 or 0xC00E517B"
    OUT_OF_MEMORY 0x98 "no memory" "memory is bounded; without any, the process ends"
    UNKNOWN_ERROR 0x99 "an unknown error" "every error has a code of its own"
    UNKNOWN_INFO 0x9a "an unknown message" "every message has a code of its own"
    UNKNOWN_WARN 0x9b "an unknown warning" "every warning has a code of its own"
    OPEN_VIEW 0x9c "a view cannot be opened" "tables are read without views"
    EXECUTE_VIEW 0x9d "a view cannot be executed" "tables are read without views"
    VIEW_FETCH 0x9e "a row cannot be fetched" "tables are read without views"
    FAILED_CREATE_TRANSFORM 0x104 "a transform cannot be made" "0xC00E5173 and 0xC00E5175 tell it"
}

never! { WARNINGS_NOT_GIVEN: 0xC010_5101 "WARN_":
    BAD_MAJOR_VERSION 0x07 "the major version changes" "ERROR_PCW_INVALID_MAJOR_VERSION tells it, as a warning where mismatches are allowed"
}

never! { MESSAGES: 0xC00F_5101 "INFO_":
    PASSED_MAIN_CONTROL 0x00 "passed main control" "a line of a log, not a finding"
    ENTERING_PHASE_I_VALIDATION 0x01 "entering phase i validation" "a line of a log, not a finding"
    ENTERING_PHASE_I 0x02 "entering phase i" "a line of a log, not a finding"
    PCP_PATH 0x03 "pcp path" "a line of a log, not a finding"
    TEMP_DIR 0x04 "temp dir" "a line of a log, not a finding"
    SET_OPTIONS 0x05 "set options" "a line of a log, not a finding"
    PROPERTY 0x06 "property" "a line of a log, not a finding"
    ENTERING_PHASE_II 0x07 "entering phase ii" "a line of a log, not a finding"
    ENTERING_PHASE_III 0x08 "entering phase iii" "a line of a log, not a finding"
    ENTERING_PHASE_IV 0x09 "entering phase iv" "a line of a log, not a finding"
    ENTERING_PHASE_V 0x0a "entering phase v" "a line of a log, not a finding"
    GENERATING_METADATA 0x10 "generating metadata" "a line of a log, not a finding"
    TEMP_DIR_CLEANUP 0x11 "temp dir cleanup" "a line of a log, not a finding"
    PATCHCACHE_FILEINFO_FAILURE 0x12 "patchcache fileinfo failure" "a line of a log, not a finding"
    PATCHCACHE_PCI_READFAILURE 0x13 "patchcache pci readfailure" "a line of a log, not a finding"
    PATCHCACHE_PCI_WRITEFAILURE 0x14 "patchcache pci writefailure" "a line of a log, not a finding"
    USING_USER_MSI_FOR_PATCH_TABLES 0x15 "using user msi for patch tables" "a line of a log, not a finding"
    SUCCESSFUL_PATCH_CREATION 0x16 "successful patch creation" "a line of a log, not a finding"
}
