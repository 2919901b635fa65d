//! Writes the seeds: `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`. To be run when a format changes.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use patchwright_delta::{CreateOptions, create};
use patchwright_formats::journal::{Journal, Print, Step};
use patchwright_formats::manifest::{
    FilePatch, NewEntry, NewFile, Node, OldEntry, OldFile, OldTree, OldVersion, Source, TreePatch,
};
use patchwright_formats::undo::{Attributes, Undo};
use patchwright_formats::{ByteRange, ContainerWriter, Kind, Manifest, PatchId, Regions, RetainRange, TreePath};
use patchwright_fuzz::join;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, old, new) in cases() {
        write(&root, "delta_roundtrip", name, &join(&old, &new))?;
        for (method, max_memory_bytes) in [("suffixes", CreateOptions::default().max_memory_bytes), ("blocks", 0)] {
            let mut body = Vec::new();
            create(&old, &new, &CreateOptions { max_memory_bytes }, &|_| (), &mut body)?;
            write(&root, "delta_apply", &format!("{name}-{method}"), &join(&old, &body))?;
        }
    }
    write(&root, "journal", "every-step", &journal())?;
    write(&root, "container", "file", &container(&file_manifest()?)?)?;
    write(&root, "container", "manifest", &join(&file_manifest()?, &undo().encode()))?;
    write(&root, "container", "tree-manifest", &join(&tree_manifest()?, &undo().encode()))?;
    write(&root, "regions", "both", &[100, 120, 0, 10, 5, 1, 20, 8, 30, 0, 50, 50])?;
    write(&root, "regions", "overflow", &[100, 120, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2])?;
    Ok(())
}

/// A journal with every sort of step, without the hash at its end, which the target adds.
fn journal() -> Vec<u8> {
    let path = || b"bin/app".to_vec();
    let file = |hash| Print::File { size: 70, hash: [hash; 32] };
    let steps = vec![
        Step::Take { path: path(), stash: 3, before: Print::Link { target: b"../x".into() } },
        Step::RemoveFolder { path: path(), mode: 0o755, owner: (0, 1000) },
        Step::MakeFolder { path: path(), mode: 0o700 },
        Step::Put { path: path(), stash: 0, before: Print::Absent, after: file(1) },
        Step::Put { path: path(), stash: 1, before: file(2), after: file(3) },
        Step::SetMode { path: path(), before: 0o644, after: 0o755 },
    ];
    let mut bytes = Journal { steps }.encode();
    bytes.truncate(bytes.len() - 32);
    bytes
}

fn container(manifest: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = ContainerWriter::new(Cursor::new(Vec::new()))?;
    for (kind, bytes) in [(Kind::COLD, &b"body"[..]), (Kind::COLD, b""), (Kind::MANIFEST, manifest)] {
        writer.add(kind, |out| out.write_all(bytes))?;
    }
    Ok(writer.finish()?.0.into_inner())
}

fn regions() -> Regions {
    Regions {
        ignore: vec![ByteRange::new(20, 5)],
        retain: vec![RetainRange { old_offset: 50, len: 10, new_offset: 80 }],
    }
}

fn new_file() -> NewFile {
    NewFile { size: 90, hash: [1; 32], retained: vec![ByteRange::new(80, 10)] }
}

fn old_file() -> OldFile {
    OldFile { size: 100, hash: [2; 32], regions: regions() }
}

fn file_manifest() -> std::io::Result<Vec<u8>> {
    let old = |body| OldVersion { file: old_file(), body };
    Manifest::File(FilePatch { new: new_file(), olds: vec![old(0), old(1)] }).encode()
}

fn tree_manifest() -> std::io::Result<Vec<u8>> {
    let path = |text: &str| TreePath::new(text).expect("a plain path");
    let new = vec![
        NewEntry { path: path("bin"), node: Node::Folder { mode: 0o755 } },
        NewEntry { path: path("bin/app"), node: Node::File { mode: 0o755, file: new_file() } },
        NewEntry { path: path("link"), node: Node::Symlink { target: "../x".into() } },
    ];
    let entries = vec![OldEntry { path: path("app"), node: Node::File { mode: 0o755, file: old_file() } }];
    let sources = vec![Source::Delta { entry: 0, body: 1 }];
    Manifest::Tree(TreePatch { new, olds: vec![OldTree { entries, sources }] }).encode()
}

fn undo() -> Undo {
    let attributes = Attributes {
        modified: Some((-7, 999_999_999)),
        owner: Some((0, 1000)),
        mode: Some(0o4755),
        extended: vec![(b"user.note".to_vec(), b"x".to_vec())],
    };
    Undo { reverts: PatchId([5; 32]), attributes: vec![Attributes::default(), attributes] }
}

fn write(root: &Path, target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let dir = root.join(target);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join(name), bytes)
}

/// Small files that differ in the ways that program files do.
fn cases() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    // Every 16th word is a pointer; a new version moves what it points to.
    let word =
        |i: u32, shift: u32| i.wrapping_mul(0x9e37_79b9).wrapping_add(if i.is_multiple_of(16) { shift } else { 0 });
    let words = |shift| (0..500).flat_map(|i| word(i, shift).to_le_bytes()).collect();
    let table: Vec<u8> = words(0);
    let text = b"mov eax, [ebp+8]; call 0x1040; ".repeat(40);
    let mut edited = text.clone();
    edited.splice(300..300, *b"a few bytes more");
    edited[900] ^= 0x20;
    let moved = [&table[800..], &text[..400], &table[..800]].concat();
    vec![
        ("empty", vec![], vec![]),
        ("from-nothing", vec![], text.clone()),
        ("to-nothing", text.clone(), vec![]),
        ("equal", table.clone(), table.clone()),
        ("edited", text.clone(), edited),
        ("shifted-pointers", table.clone(), words(0x10)),
        ("moved-parts", [&table[..], &text].concat(), moved),
        ("unrelated", text, table),
    ]
}
