//! Any container, manifest and undo record: read or refused, and what is read is written again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::manifest::{MAX_STEPS, way};
use patchwright_formats::undo::Undo;
use patchwright_formats::{Container, Kind, Manifest, account};
use patchwright_fuzz::{split, with_table_hash};

const BLOBS: [Kind; 4] = [Kind::COLD, Kind::COLD, Kind::MANIFEST, Kind::COLD];

fuzz_target!(|input: &[u8]| {
    read_container(&input);
    // With the right hash on its table, the fuzzer gets past the first check.
    read_container(&with_table_hash(input));
    let (first, second) = split(input);
    read_manifest(first, &BLOBS);
    if let Ok(undo) = Undo::decode(second) {
        assert_eq!(undo.encode(), second, "an undo record has one spelling");
    }
});

fn read_container(file: &(impl AsRef<[u8]> + ?Sized)) {
    let file = file.as_ref();
    let Ok(container) = Container::read(&file) else { return };
    let blobs: Vec<(Kind, u64)> = container.entries().iter().map(|entry| (entry.kind, entry.range.len)).collect();
    let kinds: Vec<Kind> = container.entries().iter().map(|entry| entry.kind).collect();
    let _ = container.id();
    let mut expected = 72;
    for (index, entry) in container.entries().iter().enumerate() {
        assert_eq!(entry.range.offset, expected, "blobs follow one another");
        expected = entry.range.end().expect("blobs lie in the file");
        assert!(expected <= file.len() as u64);
        let blob = container.read_blob(&file, index, 1 << 20).expect("blobs lie in the file");
        if container.verify(&file, index).is_ok() {
            assert_eq!(*blake3::hash(&blob).as_bytes(), entry.hash);
        }
        if entry.kind == Kind::MANIFEST {
            read_manifest(&blob, &kinds);
        }
        if entry.kind == Kind::ACCOUNT
            && let Ok(read) = account::decode(&blob, &blobs)
        {
            assert_eq!(account::encode(&read), blob, "an account has one spelling");
        }
    }
}

fn read_manifest(blob: &[u8], kinds: &[Kind]) {
    let Ok(manifest) = Manifest::decode(blob, kinds) else { return };
    let again = manifest.encode().expect("what was read is not too long");
    assert_eq!(Manifest::decode(&again, kinds).expect("what was written is read"), manifest);
    for link in manifest.links() {
        let steps = way(manifest.links(), link.body);
        assert!(steps.len() <= MAX_STEPS && steps.iter().rev().skip(1).all(|(_, makes)| makes.is_some()));
        assert!(steps.last().is_some_and(|(_, makes)| makes.is_none()), "every way leads to the new file");
    }
}
