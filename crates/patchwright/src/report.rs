//! What verbs tell when they are done: the command line prints it as text or as JSON.
//!
//! Each report names its schema. A field is added without notice; one is changed or removed only with a new schema
//! number.

mod check;

use std::path::PathBuf;

use serde::{Serialize, Serializer};

pub use check::{
    CheckAnswer, CheckCause, CheckCounts, CheckDisagreement, CheckMember, CheckObject, CheckObjection, CheckOrigin,
    CheckReport, CheckSource, CheckedFunction, CheckedSite,
};

/// A hash or identity in hexadecimal.
pub type Hex = String;

/// Writes bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> Hex {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a path; what is not Unicode in it is replaced, since JSON has no way to spell it.
pub(crate) fn lossy<S: Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

pub(crate) fn lossy_if_any<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

/// What a patch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// One file.
    File,
    /// A folder.
    Tree,
}

/// What `diff` did.
#[derive(Clone, Debug, Serialize)]
pub struct DiffReport {
    /// `patchwright.diff/1`.
    pub schema: &'static str,
    /// The patch that was written.
    #[serde(serialize_with = "lossy")]
    pub patch: PathBuf,
    /// Its identity.
    pub id: Hex,
    /// Its length.
    pub patch_bytes: u64,
    /// What it is for.
    pub subject: Subject,
    /// Length of the new file, or of all files of the new tree together.
    pub new_bytes: u64,
    /// The old versions, in the order given.
    pub olds: Vec<DiffedOld>,
    /// What happened to the entries of a tree, seen from the first old version; absent for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeSummary>,
    /// What running processes get, for each old version; absent without `--hot`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hot: Vec<HotReport>,
    /// What the caller should know: ranges dropped, versions merged, size traded for memory.
    pub warnings: Vec<String>,
}

/// What `diff` found about one old version.
#[derive(Clone, Debug, Serialize)]
pub struct DiffedOld {
    /// Where it was read from.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Its length, or that of all its files together.
    pub bytes: u64,
    /// Length of the deltas that only this version needs; 0 where an earlier one made them already.
    pub delta_bytes: u64,
    /// How old and new were matched.
    pub methods: Vec<&'static str>,
    /// For a single file: the old version, from 1, that it becomes on its way to the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<usize>,
}

/// Counts of what differs between two versions of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TreeSummary {
    /// Files, folders and links that are new.
    pub added: usize,
    /// Files, folders and links that are gone.
    pub removed: usize,
    /// Files with other content, and links with another target.
    pub changed: usize,
    /// Files that moved, changed on the way or not.
    pub renamed: usize,
    /// Files and folders with other permission bits alone.
    pub mode_changed: usize,
    /// Everything that stays as it is.
    pub unchanged: usize,
}

/// What running processes of one build get.
#[derive(Clone, Debug, Serialize)]
pub struct HotReport {
    /// The build identity of the old version.
    pub old_build: Hex,
    /// The build identity of the new version.
    pub new_build: Hex,
    /// How it is known what code refers to, of the build where least is known: `kept` relocations, those of `objects`,
    /// or `decoded` instructions.
    pub references: &'static str,
    /// Bytes of new code.
    pub code_bytes: u64,
    /// Bytes of new constants and variables.
    pub data_bytes: u64,
    /// What is switched together.
    pub functions: Vec<HotFunctionReport>,
    /// Functions that differ in line numbers alone and are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub line_only: Vec<String>,
}

/// A function of a hot part.
#[derive(Clone, Debug, Serialize)]
pub struct HotFunctionReport {
    /// Its name in the symbol table.
    pub name: String,
    /// Why it is in the set.
    pub why: String,
    /// Whether the old version does not have it.
    pub new: bool,
}

/// What was done to a process.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessReport {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub outcome: ProcessOutcome,
    /// Functions redirected or given back.
    pub functions: usize,
    /// Threads at the stop.
    pub threads: usize,
    /// How long it stood still, in microseconds.
    pub pause_us: u64,
    /// How often it was stopped.
    pub attempts: usize,
    /// Memory added to it.
    pub memory_bytes: u64,
    /// Identity of the patch that this one took the place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Hex>,
    /// Whether the work of a call that had died was taken back first.
    pub repaired: bool,
}

/// What came of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessOutcome {
    /// It is patched now.
    Applied,
    /// It was patched already.
    AlreadyApplied,
    /// It runs the new build.
    AlreadyNew,
    /// It runs its old code again.
    Reverted,
    /// It does not have the patch.
    NotApplied,
    /// It would be patched, or the patch be taken back (`--dry-run`).
    WouldChange,
}

/// A process and its patches.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessStatus {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// Its patches.
    pub patches: Vec<LivePatchReport>,
}

/// A patch of a process.
#[derive(Clone, Debug, Serialize)]
pub struct LivePatchReport {
    /// Its identity.
    pub id: Hex,
    /// `active`; `idle` after a revert; `unfinished` if a call died half-way.
    pub state: &'static str,
    /// The build that it starts from.
    pub old_build: Hex,
    /// The build that it leads to.
    pub new_build: Hex,
    /// When it was applied, in seconds since 1970.
    pub since: u64,
    /// Memory that it takes.
    pub memory_bytes: u64,
    /// The functions that it replaces.
    pub functions: Vec<String>,
    /// Threads that wait in its code if it is active, or in the code that it replaces if it is not, each in one sentence.
    pub pinned: Vec<String>,
}

/// What `apply` did.
#[derive(Clone, Debug, Serialize)]
pub struct ApplyReport {
    /// `patchwright.apply/1`.
    pub schema: &'static str,
    /// The patch's identity.
    pub id: Hex,
    /// What was patched.
    #[serde(serialize_with = "lossy")]
    pub target: PathBuf,
    /// Where the result was written, if not in the target's place.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "lossy_if_any")]
    pub output: Option<PathBuf>,
    /// What came of it.
    pub outcome: ApplyOutcome,
    /// 1-based number of the old version that was recognised; absent when the target was the new version already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
    /// Bytes written to the new files.
    pub written_bytes: u64,
    /// Length of the record that `revert` uses; absent when none was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo_bytes: Option<u64>,
    /// What happened to the entries of a tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeSummary>,
    /// An earlier call had died half-way: what became of its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
    /// What was done to processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessReport>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// What came of an `apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyOutcome {
    /// The target is now the new version.
    Applied,
    /// The target was the new version already; nothing was changed.
    AlreadyNew,
    /// It would have been applied; nothing was changed (`--dry-run`).
    WouldApply,
    /// The target was left alone; the patch was for processes (`--hot-only`).
    Untouched,
}

/// What became of the work of a call that died half-way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovered {
    /// It was completed.
    Finished,
    /// It was taken back.
    Undone,
}

/// What `revert` did.
#[derive(Clone, Debug, Serialize)]
pub struct RevertReport {
    /// `patchwright.revert/1`.
    pub schema: &'static str,
    /// Identity of the patch that was taken back.
    pub id: Hex,
    /// What was reverted.
    #[serde(serialize_with = "lossy")]
    pub target: PathBuf,
    /// What came of it.
    pub outcome: RevertOutcome,
    /// Bytes written to the restored files.
    pub written_bytes: u64,
    /// An earlier call had died half-way: what became of its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
    /// What was done to processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessReport>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// What came of a `revert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevertOutcome {
    /// The target is again what it was before the patch.
    Reverted,
    /// The target is an old version and no record says that the patch was applied; nothing was changed.
    AlreadyOld,
    /// It would have been reverted; nothing was changed (`--dry-run`).
    WouldRevert,
    /// The target was left alone; only processes lost the patch (`--hot-only`).
    Untouched,
}

/// What `inspect` found in a patch.
#[derive(Clone, Debug, Serialize)]
pub struct InspectReport {
    /// `patchwright.inspect/1`.
    pub schema: &'static str,
    /// The patch.
    #[serde(serialize_with = "lossy")]
    pub patch: PathBuf,
    /// Its identity.
    pub id: Hex,
    /// Its length.
    pub patch_bytes: u64,
    /// What it is for.
    pub subject: Subject,
    /// The patch that this takes back, if it is an undo record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverts: Option<Hex>,
    /// For a single file: the new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<InspectedNew>,
    /// For a single file: the old versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub olds: Vec<InspectedOld>,
    /// For a tree: the changes that lead from each old version to the new one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tree: Vec<InspectedTree>,
    /// The blobs of the container, in file order.
    pub blobs: Vec<InspectedBlob>,
    /// What running processes get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hot: Vec<HotReport>,
}

/// The new version of a file.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedNew {
    /// Length.
    pub bytes: u64,
    /// BLAKE3 with the retained ranges blanked.
    pub blake3: Hex,
}

/// An old version of a file.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedOld {
    /// Length.
    pub bytes: u64,
    /// BLAKE3 with ignored and retained ranges blanked.
    pub blake3: Hex,
    /// Ignored ranges.
    pub ignore: Vec<InspectedRange>,
    /// Retained ranges.
    pub retain: Vec<InspectedRetain>,
    /// Index of the delta's blob.
    pub blob: usize,
    /// The blobs of the deltas that follow, when it does not lead to the new version at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<usize>,
}

/// A range of a file.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct InspectedRange {
    /// First byte.
    pub offset: u64,
    /// Length.
    pub length: u64,
}

/// A range that is carried over.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct InspectedRetain {
    /// First byte in the old file.
    pub old_offset: u64,
    /// Length.
    pub length: u64,
    /// First byte in the new file.
    pub new_offset: u64,
}

/// The changes that lead from one old version of a tree to the new one.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTree {
    /// Counts.
    pub summary: TreeSummary,
    /// Each entry that differs, sorted by path.
    pub changes: Vec<InspectedChange>,
}

/// One entry of a tree that differs.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedChange {
    /// Path in the new version, or in the old one for what is removed.
    pub path: String,
    /// What happens to it.
    pub change: ChangeKind,
    /// The path it comes from, when it moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `file`, `folder` or `link`.
    pub node: &'static str,
    /// Length in the old version, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_bytes: Option<u64>,
    /// Length in the new version, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_bytes: Option<u64>,
    /// Index of the delta's blob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<usize>,
    /// Ignored ranges of the old file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<InspectedRange>,
    /// Retained ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retain: Vec<InspectedRetain>,
}

/// What happens to an entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It has other content.
    Changed,
    /// It moved.
    Renamed,
    /// Only its permission bits differ.
    ModeChanged,
}

/// One blob of the container.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedBlob {
    /// Its kind: four characters.
    pub kind: String,
    /// Where it begins.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub blake3: Hex,
    /// Of a delta: where its bytes went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<InspectedDelta>,
}

/// Where the bytes of a delta went.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedDelta {
    /// Version of its format.
    pub version: u8,
    /// Independent pieces.
    pub segments: u64,
    /// Stretches of the old file that are used; absent where only the old file could tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<u64>,
    /// The streams or parts, all segments together.
    pub streams: Vec<InspectedStream>,
    /// Where the bytes went, as the maker of the patch counted; absent where nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spending: Option<InspectedSpending>,
}

/// Where the bytes of a delta went. All sums together are its length.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedSpending {
    /// For the whole file: which stretches of the old file are used, and the sections of the new one.
    pub head_bytes: u64,
    /// What is in no other sum.
    pub other_bytes: u64,
    /// By section of the new file, in the order of the file.
    pub sections: Vec<InspectedSection>,
}

/// What was spent on one section of the new file.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedSection {
    /// Its name; empty where it has none that is known, and for all sections that are not told apart.
    pub name: String,
    /// First byte in the new file.
    pub offset: u64,
    /// Length in the new file; 0 for all sections that are not told apart.
    pub length: u64,
    /// What says whether a group of bytes is as foretold.
    pub group_bytes: u64,
    /// What says whether single bytes are.
    pub flag_bytes: u64,
    /// Bytes that differ from the old ones.
    pub byte_bytes: u64,
    /// References in code that are not as foretold, and what says so.
    pub reference_bytes: u64,
    /// Words of data, likewise.
    pub word_bytes: u64,
    /// What no stretch of the old file resembles.
    pub literal_bytes: u64,
}

/// One kind of stream of a delta.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedStream {
    /// What it holds.
    pub kind: &'static str,
    /// How it is compressed; several where segments differ.
    pub codecs: Vec<&'static str>,
    /// Length before compression.
    pub raw_bytes: u64,
    /// Length in the patch.
    pub stored_bytes: u64,
}

/// What `inspect` found: by the format of the patch.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Inspection {
    /// A patch or undo record of our own.
    Pwp(InspectReport),
    /// A PA19 patch.
    Pa19(InspectPa19Report),
}

/// What `inspect` found in a PA19 patch.
#[derive(Clone, Debug, Serialize)]
pub struct InspectPa19Report {
    /// `patchwright.inspect-pa19/1`.
    pub schema: &'static str,
    /// The patch.
    #[serde(serialize_with = "lossy")]
    pub patch: PathBuf,
    /// Its identity, as `status` names it.
    pub id: Hex,
    /// Its length.
    pub patch_bytes: u64,
    /// Option bits, in hexadecimal.
    pub options: String,
    /// Extended option bits, in hexadecimal.
    pub extended_options: String,
    /// The time of change that the new file gets: seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_time: Option<u32>,
    /// The base that old 32-bit images are normalised to, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_base: Option<String>,
    /// The link time that they are normalised to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_time: Option<u32>,
    /// The time stamp of their resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_time: Option<u32>,
    /// Length of the new file.
    pub new_bytes: u64,
    /// CRC-32 of the new file with the retained ranges blank.
    pub new_crc32: String,
    /// Length of the header.
    pub header_bytes: u64,
    /// Whether the streams are missing.
    pub header_only: bool,
    /// The old files.
    pub olds: Vec<InspectedPa19Old>,
}

/// An old file of a PA19 patch.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedPa19Old {
    /// Length.
    pub bytes: u64,
    /// CRC-32 once normalised, with the ranges blank.
    pub crc32: String,
    /// Ignored ranges.
    pub ignore: Vec<InspectedRange>,
    /// Retained ranges.
    pub retain: Vec<InspectedRetain>,
    /// Entries of the table that says where parts of an image moved.
    pub rift_entries: usize,
    /// Ranges that are patched on their own.
    pub interleaved_ranges: usize,
    /// Length of the compressed stream; 0 where the old file is the new one.
    pub stream_bytes: u64,
    /// Length of the window.
    pub window_bytes: u64,
}

/// The signature of a file.
#[derive(Clone, Debug, Serialize)]
pub struct SignatureReport {
    /// `patchwright.signature/1`.
    pub schema: &'static str,
    /// The file.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// `crc32` or `md5`.
    pub kind: &'static str,
    /// The signature.
    pub signature: String,
    /// Whether normalising changed anything.
    pub normalised: bool,
}

/// What extracting a header did.
#[derive(Clone, Debug, Serialize)]
pub struct ExtractReport {
    /// `patchwright.extract-header/1`.
    pub schema: &'static str,
    /// The patch.
    #[serde(serialize_with = "lossy")]
    pub patch: PathBuf,
    /// The header.
    #[serde(serialize_with = "lossy")]
    pub output: PathBuf,
    /// Its length.
    pub header_bytes: u64,
}

/// What `verify` found.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// `patchwright.verify/1`.
    pub schema: &'static str,
    /// The patch.
    #[serde(serialize_with = "lossy")]
    pub patch: PathBuf,
    /// Its identity.
    pub id: Hex,
    /// What was asked about, if anything.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "lossy_if_any")]
    pub target: Option<PathBuf>,
    /// The answer.
    pub answer: VerifyAnswer,
    /// 1-based number of the old version that the target is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
    /// Why not, one line each.
    pub objections: Vec<String>,
}

/// The answer of `verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyAnswer {
    /// The patch is whole; no target was named.
    Intact,
    /// It would apply to the target.
    WouldApply,
    /// The target is the new version already.
    AlreadyNew,
    /// It would not apply.
    WouldNotApply,
}

/// What `status` found.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReport {
    /// `patchwright.status/1`.
    pub schema: &'static str,
    /// The file or folder that was asked about.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "lossy_if_any")]
    pub target: Option<PathBuf>,
    /// The patches that can be taken back, the latest first.
    pub applied: Vec<AppliedPatch>,
    /// A call died half-way; the next `apply` or `revert` finishes or undoes its work.
    pub unfinished: bool,
    /// The processes that were asked about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessStatus>,
}

/// A patch that can be taken back.
#[derive(Clone, Debug, Serialize)]
pub struct AppliedPatch {
    /// Its identity.
    pub id: Hex,
    /// The record that `revert` uses.
    #[serde(serialize_with = "lossy")]
    pub record: PathBuf,
    /// Length of the record.
    pub record_bytes: u64,
    /// Whether the target is still what the patch made of it, so that `revert` would work.
    pub revertible: bool,
}

/// What `pcp new` made.
#[derive(Clone, Debug, Serialize)]
pub struct PcpNewReport {
    /// `patchwright.pcp-new/1`.
    pub schema: &'static str,
    /// The patch creation properties.
    #[serde(serialize_with = "lossy")]
    pub output: PathBuf,
    /// Identity of the patch to make.
    pub patch_guid: String,
    /// What the author should look at.
    pub todos: Vec<String>,
}

/// What `pcp export` wrote.
#[derive(Clone, Debug, Serialize)]
pub struct PcpExportReport {
    /// `patchwright.pcp-export/1`.
    pub schema: &'static str,
    /// The database.
    #[serde(serialize_with = "lossy")]
    pub pcp: PathBuf,
    /// The folder.
    #[serde(serialize_with = "lossy")]
    pub folder: PathBuf,
    /// The text archives.
    pub files: Vec<String>,
    /// Streams and storages that are no tables: text archives cannot hold them.
    pub left_out: Vec<String>,
}

/// What `pcp import` made.
#[derive(Clone, Debug, Serialize)]
pub struct PcpImportReport {
    /// `patchwright.pcp-import/1`.
    pub schema: &'static str,
    /// The folder of the text archives.
    #[serde(serialize_with = "lossy")]
    pub folder: PathBuf,
    /// The database.
    #[serde(serialize_with = "lossy")]
    pub output: PathBuf,
    /// Its tables.
    pub tables: Vec<String>,
}

/// What `pcp check` found.
#[derive(Clone, Debug, Serialize)]
pub struct PcpCheckReport {
    /// `patchwright.pcp-check/1`.
    pub schema: &'static str,
    /// The patch creation properties.
    #[serde(serialize_with = "lossy")]
    pub pcp: PathBuf,
    /// Whether the images were opened.
    pub images: bool,
    /// How many findings keep a patch from being made.
    pub errors: usize,
    /// How many do not, and are hardly meant.
    pub warnings: usize,
    /// How many are about what PATCHWIZ refuses, and we do not.
    pub notes: usize,
    /// All of them, table by table.
    pub findings: Vec<PcpFinding>,
}

/// Something that is wrong with patch creation properties.
#[derive(Clone, Debug, Serialize)]
pub struct PcpFinding {
    /// `error`, `warning` or `note`.
    pub severity: &'static str,
    /// Name of PATCHWIZ's code.
    pub code: &'static str,
    /// The code, in hexadecimal.
    pub number: String,
    /// The table.
    pub table: &'static str,
    /// The key of the row, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The column, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// The files or tables that it is about, if it is about several: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do.
    pub hint: &'static str,
}

/// What a driver (`cc`, `cl`, `link`) did.
#[derive(Clone, Debug, Serialize)]
pub struct BuildReport {
    /// `patchwright.build/1`.
    pub schema: &'static str,
    /// `cc`, `cl` or `link`.
    pub driver: &'static str,
    /// What compiles or links: name, version and target.
    pub compiler: Option<String>,
    /// The command that is run, word by word.
    pub command: Vec<String>,
    /// The words in it that the driver added.
    pub added: Vec<String>,
    /// Bytes of pad before each entry, if code is made or linked.
    pub pad: Option<usize>,
    /// What breaks the promise.
    pub warnings: Vec<String>,
    /// What is good to know.
    pub notes: Vec<String>,
    /// Exit code of the command; absent if it was not run.
    pub exit_code: Option<u8>,
    /// What the audit found, after a link.
    pub audit: Option<BuildAudit>,
}

/// What the audit after a link found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BuildAudit {
    /// The image.
    #[serde(serialize_with = "lossy")]
    pub image: PathBuf,
    /// Why it could not be audited.
    pub unaudited: Option<String>,
    /// How many functions there are of each sort.
    pub counts: BuildCounts,
    /// The program's own objects with functions that missed out.
    pub objects: Vec<MissedObject>,
}

/// How many functions of an image there are of each sort; thunks and parts of functions are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BuildCounts {
    /// Hot-patchable by one store.
    pub atomic: usize,
    /// Hot-patchable behind a breakpoint.
    pub trap: usize,
    /// Hot-patchable with all threads stopped.
    pub stopped: usize,
    /// Of the program's own, not hot-patchable.
    pub missed: usize,
    /// Of the toolchain's libraries and start files, not hot-patchable.
    pub precompiled: usize,
}

/// An object with functions that missed out.
#[derive(Clone, Debug, Serialize)]
pub struct MissedObject {
    /// The object, as the linker names it.
    pub object: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// The functions.
    pub functions: Vec<MissedFunction>,
}

/// A function that missed out.
#[derive(Clone, Debug, Serialize)]
pub struct MissedFunction {
    /// Its name, or its address.
    pub name: String,
    /// The rules that it breaks, and what was found.
    pub reasons: Vec<String>,
}
/// What `prepare` did.
#[derive(Clone, Debug, Serialize)]
pub struct PrepareReport {
    /// `patchwright.prepare/1`.
    pub schema: &'static str,
    /// The files, in the order given.
    pub files: Vec<PreparedFile>,
    /// Functions of all files together.
    pub counts: PrepareCounts,
}

/// A file that `prepare` went through.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct PreparedFile {
    /// The file.
    #[serde(serialize_with = "lossy")]
    pub input: PathBuf,
    /// The copy.
    #[serde(serialize_with = "lossy")]
    pub output: PathBuf,
    /// Whether the copy differs from it.
    pub changed: bool,
    /// Objects in it: 1, or those of an archive.
    pub objects: usize,
    /// Its functions.
    pub counts: PrepareCounts,
    /// Functions that stay as they were.
    pub refused: Vec<RefusedFunction>,
    /// Objects of an archive that stay as they were.
    pub unsupported: Vec<RefusedMember>,
}

/// How many functions `prepare` met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct PrepareCounts {
    /// All.
    pub functions: usize,
    /// Those that were hot-patchable before.
    pub already: usize,
    /// Those that are now.
    pub prepared: usize,
    /// Parts of other functions, and thunks.
    pub exempt: usize,
    /// Those that stay as they were.
    pub refused: usize,
}

impl PrepareCounts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            functions: self.functions + other.functions,
            already: self.already + other.already,
            prepared: self.prepared + other.prepared,
            exempt: self.exempt + other.exempt,
            refused: self.refused + other.refused,
        }
    }
}

/// A function that `prepare` leaves as it was.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct RefusedFunction {
    /// The object of the archive that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Its names.
    pub names: Vec<String>,
    /// Section and offset, before anything moved.
    pub place: String,
    /// All that stands against it.
    pub reasons: Vec<String>,
}

/// An object of an archive that `prepare` leaves as it was.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct RefusedMember {
    /// Its name.
    pub member: String,
    /// Why.
    pub reason: String,
}

impl PreparedFile {
    /// A file that nothing is done to.
    pub(crate) fn left_alone(input: &std::path::Path, why: RefusedMember) -> Self {
        Self {
            input: input.to_owned(),
            output: input.to_owned(),
            changed: false,
            objects: 0,
            counts: PrepareCounts::default(),
            refused: Vec::new(),
            unsupported: vec![why],
        }
    }
}

/// What was prepared for a link.
#[derive(Clone, Debug, Serialize)]
pub struct LinkReport {
    /// `patchwright.link/1`.
    pub schema: &'static str,
    /// The linker that was run.
    #[serde(serialize_with = "lossy")]
    pub linker: PathBuf,
    /// What it was asked to make.
    #[serde(serialize_with = "lossy")]
    pub output: PathBuf,
    /// The objects and archives, in the order of the command line.
    pub files: Vec<PreparedFile>,
    /// Functions of all files together.
    pub counts: PrepareCounts,
}
