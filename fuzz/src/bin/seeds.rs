//! Writes the seeds: `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`. To be run when a format changes.

use std::fs;
use std::path::Path;

use patchwright_delta::{CreateOptions, create};
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
    Ok(())
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
