//! Writes the seeds: `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`. To be run when a format changes.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use patchwright_delta::{CreateOptions, create_plain, native};
use patchwright_formats::account::{self, BodyAccount, SectionAccount};
use patchwright_formats::journal::{Journal, Print, Step};
use patchwright_formats::lzx::{E8, EncodeOptions, Level, Window, encode};
use patchwright_formats::manifest::{
    Between, FilePatch, Link, NewEntry, NewFile, Node, OldEntry, OldFile, OldTree, OldVersion, Source, TreePatch,
};
use patchwright_formats::pa19;
use patchwright_formats::undo::{Attributes, Undo};
use patchwright_formats::{ByteRange, ContainerWriter, Kind, Manifest, PatchId, Regions, RetainRange, TreePath};
use patchwright_fuzz::join;

mod hot;
mod hot_build;
mod images;
mod installers;
mod objects;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, old, new) in cases() {
        write(&root, "delta_roundtrip", name, &join(&old, &new))?;
        let sizes = [("suffixes", CreateOptions::default().max_memory_bytes), ("blocks", 0)];
        for (method, max_memory_bytes) in sizes {
            let mut body = Vec::new();
            create_plain(
                &old,
                &new,
                &CreateOptions { max_memory_bytes, ..CreateOptions::default() },
                &|_| (),
                &mut body,
            )?;
            write(&root, "delta_apply", &format!("{name}-{method}"), &join(&old, &body))?;
        }
        for profile in native::Profile::ALL {
            let mut body = Vec::new();
            native::create(&old, &new, &native::Options { profile, ..native::Options::default() }, &mut body)?;
            write(&root, "native_apply", &format!("{name}-{}", profile.name()), &join(&old, &body))?;
        }
        write(&root, "native_roundtrip", name, &join(&old, &new))?;
        lzx(&root, name, &old, &new)?;
    }
    let (old, new) = (image(0), image(0x40));
    for profile in native::Profile::ALL {
        let mut body = Vec::new();
        native::create(&old, &new, &native::Options { profile, ..native::Options::default() }, &mut body)?;
        write(&root, "native_apply", &format!("image-{}", profile.name()), &join(&old, &body))?;
    }
    write(&root, "native_roundtrip", "image", &join(&old, &new))?;
    write(&root, "pe_normalise", "image", &[&[0, 1][..], &old].concat())?;
    for (name, choice) in [("raw", 0), ("native", 0b1_0100), ("ranges", 0b11), ("native-ranges", 0b10_0111)] {
        let input = [&[choice, 200, 210, 220][..], &join(&old, &new)].concat();
        write(&root, "pa19_roundtrip", name, &input)?;
        let regions = Regions {
            ignore: vec![ByteRange::new(200, 8)],
            retain: vec![RetainRange { old_offset: 210, len: 8, new_offset: 220 }],
        };
        let regions = if choice & 1 == 0 { Regions::default() } else { regions };
        let profile = if choice & 4 == 0 { pa19::Profile::Raw } else { pa19::Profile::Native };
        let options = pa19::CreateOptions { profile, ext: 0x300, ..pa19::CreateOptions::default() };
        let made = pa19::create(&[pa19::OldInput { bytes: &old, regions: &regions }], &new, &options)?;
        write(&root, "pa19_read", name, &join(&old, &made.patch))?;
    }
    write(&root, "journal", "every-step", &journal())?;
    write(&root, "container", "file", &container(&file_manifest()?)?)?;
    write(&root, "container", "manifest", &join(&file_manifest()?, &undo().encode()))?;
    write(&root, "container", "tree-manifest", &join(&tree_manifest()?, &undo().encode()))?;
    installers::write_all(&root)?;
    images::write_all(&root)?;
    objects::write_all(&root)?;
    hot::write_all(&root)?;
    hot_build::write_all(&root)?;
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
    let section = SectionAccount { name: ".text".into(), offset: 64, len: 26, bytes: [0, 0, 1, 0, 0, 2] };
    let account = BodyAccount { body: 0, head_bytes: 1, other_bytes: 0, sections: vec![section] };
    let account = account::encode(&[account]);
    let blobs = [(Kind::COLD, &b"body"[..]), (Kind::COLD, b""), (Kind::MANIFEST, manifest), (Kind::ACCOUNT, &account)];
    for (kind, bytes) in blobs {
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
    let links = vec![Link { body: 1, makes: Between { size: 100, hash: [2; 32] }, next: 0 }];
    Manifest::File(FilePatch { new: new_file(), olds: vec![old(0), old(1)], links }).encode()
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
    Manifest::Tree(TreePatch { new, olds: vec![OldTree { entries, sources }], links: Vec::new() }).encode()
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

/// Streams in the smallest window, with translated calls, after what the targets of LZX choose by.
fn lzx(root: &Path, name: &str, old: &[u8], new: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let files = join(old, new);
    for (level, how) in [("fast", 0x20), ("best", 0x10)] {
        write(root, "lzx_roundtrip", &format!("{name}-{level}"), &[&[0, how], &files[..]].concat())?;
    }
    let len = u32::try_from(new.len())?;
    let options = EncodeOptions { e8: E8::Always(len), level: Level::Best };
    let stream = encode(old, new, Window::MIN, &options)?;
    // The same chunks without a reference, in a window of a cabinet.
    let alone = encode(&[], new, Window::MIN, &options)?;
    let last = u8::try_from(new.len() % 32768 / 128)?;
    write(root, "lzx_cabinet", name, &[&[2, last], &alone[..]].concat())?;
    let [low, high, more, _] = len.to_le_bytes();
    Ok(write(root, "lzx_decode", name, &[&[0, low, high, more], &join(old, &stream)[..]].concat())?)
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

/// A small 32-bit image with code, imports, relocations and a lock table, in which what code leads to moves by `shift`.
fn image(shift: u32) -> Vec<u8> {
    const BASE: u32 = 0x40_0000;
    let mut image = vec![0u8; 0x800];
    image[..2].copy_from_slice(b"MZ");
    image[0x80..0x84].copy_from_slice(b"PE\0\0");
    put(&mut image, 0x3C, &[0x80]);
    // File header and the start of the optional header: three sections, time, sizes.
    put(&mut image, 0x84, &[0x0003_014C, 0x5000_0000 + shift, 0, 0, 0x010E_00E0, 0x010B]);
    put(&mut image, 0x98 + 28, &[BASE, 0x1000, 0x200]);
    put(&mut image, 0x98 + 56, &[0x4000, 0x200]);
    // Directories: imports, relocations, load configuration.
    put(&mut image, 0x98 + 92, &[16, 0, 0, 0x2000 + shift, 40]);
    put(&mut image, 0x98 + 96 + 8 * 5, &[0x3000, 12]);
    put(&mut image, 0x98 + 96 + 8 * 10, &[0x2100, 0x40]);
    let sections = [(b".text\0\0\0", 0x6000_0020), (b".idata\0\0", 0x4000_0040), (b".reloc\0\0", 0x4200_0040)];
    for ((n, at), (name, characteristics)) in [(1, 0x178), (2, 0x1A0), (3, 0x1C8)].into_iter().zip(sections) {
        image[at..at + 8].copy_from_slice(name);
        put(&mut image, at + 8, &[0x200, 0x1000 * n, 0x200, 0x200 * n, 0, 0, 0, characteristics]);
    }
    // mov eax, [address]; and further on a call and a conditional jump.
    put(&mut image, 0x200, &[0xA190_9090, BASE + 0x2080 + shift]);
    image[0x220] = 0xE8;
    put(&mut image, 0x221, &[0x100 + shift]);
    image[0x225..0x227].copy_from_slice(&[0x0F, 0x84]);
    put(&mut image, 0x227, &[0x120 + shift]);
    // One library, one import by name.
    let moved = 0x400 + shift as usize;
    put(&mut image, moved, &[0x2060 + shift, 0, 0, 0x2090 + shift, 0x2070 + shift]);
    put(&mut image, moved + 0x60, &[0x20A0 + shift, 0, 0, 0, 0x20A0 + shift]);
    image[moved + 0x90..moved + 0x95].copy_from_slice(b"k.dll");
    image[moved + 0xA2..moved + 0xA6].copy_from_slice(b"open");
    // The load configuration and its table of lock prefixes; the relocations.
    put(&mut image, 0x520, &[BASE + 0x2140]);
    put(&mut image, 0x540, &[BASE + 0x1020]);
    put(&mut image, 0x600, &[0x1000, 12, 0x0000_3004]);
    image
}

fn put(image: &mut [u8], at: usize, values: &[u32]) {
    for (place, value) in image[at..].chunks_mut(4).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}
