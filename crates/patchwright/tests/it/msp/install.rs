//! Products are installed by Wine's `msiexec /i` and patched by `msiexec /p`; then the files are looked at.
//!
//! | trap of Wine | what is done about it |
//! |---|---|
//! | the exit code is 0 when no transform applied, and not 0 when a file that may fail failed | the files count |
//! | the lower word of a transform's flags is taken for validation flags | it is 0x17, which Wine can compare |
//! | a row of `Patch` without a header is dropped | keys of files are short here |
//! | targets that differ in the third field of the version only are both taken | each has what the other needs |
//! | an unversioned file of the same length stays unless a hash says otherwise | the build writes hashes |
//! | some threads of the server outlive the call | one machine for all cases, ended at the end |

use std::fs;
use std::path::Path;

use patchwright::Quiet;
use patchwright::msp::{BuildOptions, MspBuildReport, build};
use tempfile::TempDir;

use super::pcp::Pcp;
use super::product::{Product, file};
use super::wine::Wine;
use super::{fixed, noise};
use crate::skips::skip;

/// What a case does with a machine.
struct Case {
    name: &'static str,
    /// Old versions and what each becomes: all are installed on machines of their own, as far as files go.
    olds: Vec<Product>,
    new: Product,
    /// What the author writes beside what `pcp new` makes.
    edit: fn(&mut Pcp),
    /// What happens to an installed file before the patch comes.
    user: fn(&mut [u8], &str),
    /// What a file of the new version must be, given the user's old one; the new file itself as a rule.
    expect: fn(&str, &[u8], &[u8]) -> Vec<u8>,
    /// How files go: `key=delta` or `key=whole`.
    kinds: &'static str,
}

fn case(id: u8, name: &'static str, olds: Vec<Product>, new: Product) -> Case {
    assert_eq!(new.id, id);
    Case { name, olds, new, edit: |_| {}, user: |_, _| {}, expect: |_, _, new| new.to_vec(), kinds: "" }
}

fn cases() -> Vec<Case> {
    let (one, two, three) = (noise(1, 20_000), noise(2, 9_000), noise(3, 5_000));
    let product = |id, version, files| Product::new(id, version, files);
    let mut cases = Vec::new();

    let old = product(1, "1.0.0", vec![file("app.bin", one.clone()), file("read.me", "the same")]);
    let new = product(1, "1.0.1", vec![file("app.bin", fixed(&one)), file("read.me", "the same")]);
    cases.push(Case { kinds: "app.bin=delta", ..case(1, "a delta", vec![old], new) });
    cases
}

#[test]
fn wine_installs_and_patches() {
    let mut folder = TempDir::new().unwrap();
    // For whoever wants to look at what is left.
    folder.disable_cleanup(std::env::var_os("PATCHWRIGHT_KEEP").is_some());
    let Some(wine) = Wine::new(&folder.path().join("prefix")) else {
        skip("wine", "wine64 is needed");
        return;
    };
    for (number, case) in cases().iter().enumerate() {
        run(&wine, &folder.path().join(format!("case{number}")), case);
    }
}

fn run(wine: &Wine, root: &Path, case: &Case) {
    let new = case.new.write(&root.join("new"));
    let olds: Vec<_> =
        case.olds.iter().enumerate().map(|(number, old)| old.write(&root.join(format!("old{number}")))).collect();
    let mut pcp = Pcp::new((&case.olds[0], "old0/app.msi"), (&case.new, "new/app.msi"));
    for number in 1..olds.len() {
        let (target, path) = (format!("Old{number}"), format!("old{number}/app.msi"));
        let order = i32::try_from(number).unwrap() + 1;
        pcp.row(
            "TargetImages",
            &[
                ("Target", &target),
                ("MsiPath", &path),
                ("Upgraded", &"New"),
                ("Order", &order),
                ("ProductValidateFlags", &"0x00000922"),
                ("IgnoreMissingSrcFiles", &0),
            ],
        );
    }
    (case.edit)(&mut pcp);
    let report = built(&pcp, root, case.name);
    let kinds: Vec<String> = report.files.iter().map(|file| format!("{}={}", file.file, file.kind)).collect();
    assert_eq!(kinds.join(" "), case.kinds, "{}", case.name);
    assert!(new.exists());
    for (number, old) in case.olds.iter().enumerate() {
        // What is installed already must go before the next one comes.
        wine.install(&olds[number]);
        let mut installed = wine.folder(&old.folder());
        let names: Vec<&str> = installed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), old.files.len(), "{}: {names:?} were installed", case.name);
        for (name, bytes) in &mut installed {
            (case.user)(bytes, name);
            fs::write(wine.drive(&old.folder()).join(name), bytes).unwrap();
        }
        let status = wine.patch(&report.output);
        let mut expected: Vec<(String, Vec<u8>)> = case
            .new
            .files
            .iter()
            .map(|file| {
                let before = installed.iter().find(|(name, _)| name == file.name);
                let before = before.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
                (file.name.to_owned(), (case.expect)(file.name, before, &file.bytes))
            })
            .collect();
        expected.sort();
        let patched = wine.folder(&old.folder());
        let shown = |files: &[(String, Vec<u8>)]| {
            files.iter().map(|(name, bytes)| format!("{name}:{}", blake(bytes))).collect::<Vec<_>>().join(" ")
        };
        assert!(
            patched == expected,
            "{}, from version {}: msiexec gave {status}\n  found  {}\n  expect {}",
            case.name,
            old.version,
            shown(&patched),
            shown(&expected)
        );
        wine.msiexec("/x", &olds[number], &[]);
        let _ = fs::remove_dir_all(wine.drive(&old.folder()));
    }
}

fn blake(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(0x100_0000_01B3).wrapping_add((*byte).into()));
    format!("{} bytes, {sum:016x}", bytes.len())
}

fn built(pcp: &Pcp, root: &Path, name: &str) -> MspBuildReport {
    let path = pcp.write(root);
    let options = BuildOptions { output: Some(root.join("app.msp")), time: Some(1_700_000_000), ..BuildOptions::default() };
    build(&path, &options, &Quiet).unwrap_or_else(|error| panic!("{name}: {error}"))
}
