//! The audit after a link: which functions of the program's own code missed out, from which objects, and what to do.
//!
//! The map of the link says where each function came from. An object counts as the program's own when the command names
//! it, when it lies in a folder that `-L` names, or when the command made it; what the linker finds in the toolchain's
//! folders was compiled by others, and is counted apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use patchwright_image::{Audited, Image, Objection, Producer, Protocol, Verdict, audit, producer};

use super::map::LinkMap;
use crate::report::{BuildAudit, MissedFunction, MissedObject};
use crate::{Error, Result};

/// What a link was made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Linked {
    pub(crate) image: PathBuf,
    /// What the linker said of the pieces.
    pub(crate) map: Option<PathBuf>,
    /// Objects and archives that the command names.
    pub(crate) inputs: Vec<PathBuf>,
    /// Folders that the command has libraries looked for in.
    pub(crate) folders: Vec<PathBuf>,
    /// Bytes of pad that are asked for.
    pub(crate) min_pad: Option<usize>,
}

/// Longer files are no sources of one link that anybody maps in one piece.
const LONGEST_MAP: u64 = 1 << 30;

/// Audits the image of a link. `None`: it is no image that can be audited, such as a script or `/dev/null`.
pub(crate) fn judge(linked: &Linked) -> Result<Option<BuildAudit>> {
    let Some(path) = find_image(&linked.image) else { return Ok(None) };
    let data = fs::read(&path).map_err(|error| Error::io("read the linked image", &path, &error))?;
    let mut image = match Image::read(&data) {
        Ok(image) => image,
        Err(error) => {
            let why = error.to_string();
            return Ok(Some(BuildAudit { image: path, unaudited: Some(why), ..BuildAudit::default() }));
        }
    };
    let map = linked.map.as_deref().and_then(read_map).map(|text| LinkMap::read(&text, image.base()));
    let map = map.unwrap_or_default();
    image.add_starts(map.symbols().iter().map(|(address, name)| (patchwright_image::Address(*address), name.clone())));
    let audited = audit(&image, linked.min_pad);
    let mut tally = Tally {
        linked,
        map: &map,
        missed: BTreeMap::new(),
        audit: BuildAudit { image: path, ..BuildAudit::default() },
    };
    audited.iter().for_each(|found| tally.count(&image, found));
    Ok(Some(tally.finish()))
}

/// The image, with the suffix that mingw's GCC adds to a name without one.
fn find_image(path: &Path) -> Option<PathBuf> {
    let with_suffix = path.extension().is_none().then(|| path.with_extension("exe"));
    let mut candidates = std::iter::once(path.to_owned()).chain(with_suffix);
    candidates.find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0))
}

fn read_map(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    let small = found.is_file() && found.len() <= LONGEST_MAP;
    small.then(|| fs::read(path).ok())?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

struct Tally<'a> {
    linked: &'a Linked,
    map: &'a LinkMap,
    missed: BTreeMap<String, Vec<MissedFunction>>,
    audit: BuildAudit,
}

impl Tally<'_> {
    fn count(&mut self, image: &Image<'_>, found: &Audited<'_>) {
        let reasons: Vec<String> = match &found.verdict {
            Verdict::Exempt { .. } => return,
            Verdict::HotPatchable { by } => {
                match by {
                    Protocol::Atomic => self.audit.counts.atomic += 1,
                    Protocol::Trap => self.audit.counts.trap += 1,
                    Protocol::Stopped => self.audit.counts.stopped += 1,
                }
                return;
            }
            Verdict::Unpatchable { reasons } => reasons.iter().map(told).collect(),
            Verdict::Unknown { why } => vec![why.clone()],
        };
        let object = self.map.object_at(found.function.address.0);
        let own = !found.function.is_runtime() && object.is_none_or(|object| self.is_own(object));
        if !own {
            self.audit.counts.precompiled += 1;
            return;
        }
        self.audit.counts.missed += 1;
        let name = match found.function.names.first() {
            Some(name) => name.clone(),
            None => image.place(found.function.address),
        };
        let object = object.unwrap_or("an unknown object").to_owned();
        self.missed.entry(object).or_default().push(MissedFunction { name, reasons });
    }

    /// Whether the command named the object, looked for it in a folder of its own, or made it.
    fn is_own(&self, object: &str) -> bool {
        let file = file_of(object);
        // A library that is not where its name says was found in a folder of the toolchain.
        let named = self.linked.inputs.iter().any(|input| same_file(input, file) && input.exists());
        let in_folder = self.linked.folders.iter().any(|folder| Path::new(file).starts_with(folder));
        // What a compiler makes for its linker is gone when it ends.
        let made = !file.contains(':') && !Path::new(file).exists();
        named || in_folder || made
    }

    fn finish(mut self) -> BuildAudit {
        for (object, functions) in self.missed {
            let file = file_of(&object);
            let path = self
                .linked
                .inputs
                .iter()
                .find(|input| same_file(input, file))
                .map_or(Path::new(file), PathBuf::as_path);
            let (why, remedy) = explain(path, &functions);
            self.audit.objects.push(MissedObject { object, why, remedy, functions });
        }
        self.audit
    }
}

fn told(objection: &Objection) -> String {
    format!("{}: {}", objection.rule.id(), objection.found)
}

/// The file of `lib.a(member.o)`.
fn file_of(object: &str) -> &str {
    object.strip_suffix(')').and_then(|rest| rest.split_once('(')).map_or(object, |(file, _)| file)
}

/// Whether the map means this input. Microsoft's map tells names without folders, and `library:object` of libraries.
fn same_file(input: &Path, file: &str) -> bool {
    let library = file.split_once(':').map(|(library, _)| library).filter(|library| library.len() > 1);
    let is_stem =
        input.file_stem().is_some_and(|stem| library.is_some_and(|library| stem.eq_ignore_ascii_case(library)));
    let name = !file.contains(['/', '\\']) && input.file_name().is_some_and(|name| name.eq_ignore_ascii_case(file));
    input == Path::new(file) || is_stem || name
}

/// Why functions of this object missed out, and what to do.
fn explain(path: &Path, functions: &[MissedFunction]) -> (String, String) {
    let is_archive =
        path.extension().is_some_and(|extension| ["a", "lib", "rlib"].iter().any(|known| extension == *known));
    let prepare = format!("or rewrite it: patchwright prepare {} -o DIR", path.display());
    let Ok(data) = fs::read(path) else {
        let why = "made by this command: assembly, a naked function, or flags that take back what the driver gives";
        return (why.to_owned(), rule_remedy(functions));
    };
    if is_archive {
        return (
            "an archive that was not made hot-patchable".to_owned(),
            format!("compile its members with patchwright, {prepare}"),
        );
    }
    match producer(&data) {
        Producer { is_bitcode: true, .. } => (
            "HP-D01: intermediate code of link-time optimisation, compiled without patchwright".to_owned(),
            "compile it with patchwright: its functions then carry their pads through the link".to_owned(),
        ),
        Producer { is_assembly: true, .. } => (
            "HP-D01: assembled from a source in assembly".to_owned(),
            format!("write pad and entry into the source, {prepare}"),
        ),
        Producer { name: Some(name), hot_patch_flag: Some(true), .. } => {
            (format!("by {name}, hot-patchable as an object"), rule_remedy(functions))
        }
        Producer { name: Some(name), coff_machine: Some(_), .. } => (
            format!("HP-D01: by {name}, whose object does not say that it is hot-patchable"),
            format!("compile it with patchwright cl or patchwright cc, {prepare}"),
        ),
        Producer { name, .. } => {
            let name = name.unwrap_or_else(|| "a compiler that does not sign".to_owned());
            (format!("by {name}, without patchwright"), format!("compile it with patchwright cc, {prepare}"))
        }
    }
}

/// The remedy of the first rule that is broken.
fn rule_remedy(functions: &[MissedFunction]) -> String {
    let broken = functions.iter().flat_map(|function| &function.reasons);
    let rule = broken
        .into_iter()
        .find_map(|reason| patchwright_image::Rule::ALL.into_iter().find(|rule| reason.starts_with(&rule.id())));
    rule.map_or_else(
        || "look at it: patchwright check IMAGE --function NAME".to_owned(),
        |rule| rule.remedy().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_name_inputs_in_many_ways() {
        for (input, file, expect) in [
            ("dir/a.o", "dir/a.o", true),
            ("dir/a.o", "a.o", true),
            ("dir/a.o", "other/a.o", false),
            ("dir/util.lib", "util:g.obj", true),
            ("dir/Util.lib", "util:g.obj", true),
            ("dir/a.obj", "util:a.obj", false),
            ("a.obj", "A.OBJ", true),
        ] {
            assert_eq!(same_file(Path::new(input), file), expect, "{input} {file}");
        }
        assert_eq!(file_of("lib.a(x.o)"), "lib.a");
        assert_eq!(file_of("x.o"), "x.o");
    }
}
