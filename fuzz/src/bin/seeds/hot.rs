//! A hot part, the registry of a patched process, and the journal of a switch.

use std::path::Path;

use patchwright_formats::PatchId;
use patchwright_formats::hot::journal::{Journal, Place, StateChange};
use patchwright_formats::hot::registry::{Entry, Redirect, Registry, State};
use patchwright_formats::hot::{
    Base, Body, Form, HotFunction, HotImport, HotPart, HotRelocation, OldCode, References, RelocationKind, Site,
};

use crate::write;

pub(crate) fn write_all(root: &Path) -> std::io::Result<()> {
    write(root, "hot", "part", &hot_part().encode())?;
    write(root, "hot", "registry", &registry().encode())?;
    write(root, "hot", "journal", &journal().encode())
}

/// A switch of two places.
fn journal() -> Journal {
    let place = |address: u64| Place {
        address,
        from: vec![0xf3, 0x0f, 0x1e, 0xfa, 0x55],
        through: vec![0xe9, 0, 0, 1, 0],
        to: vec![0xe9, 0, 1, 0, 0],
        stay: 0x7f00_0000_0200,
        go: 0x7f00_0001_0000,
    };
    let states = vec![StateChange { address: 0x7f00_0000_0018, from: State::Idle, to: State::Active }];
    Journal { len: 4096, slots: 264, places: vec![place(0x55_0000_1000), place(0x55_0000_2000)], states }
}

/// A hot part with everything in it.
fn hot_part() -> HotPart {
    let function = HotFunction {
        name: "f".to_owned(),
        why: "it differs at +0x3".to_owned(),
        old: Some(OldCode { address: 0x1000, size: 32, hash: [7; 32] }),
        new: Some((0, 32)),
        site: Some(Site { address: 0x1000, form: Form::Entry, expected: vec![1, 2, 3, 4, 5] }),
    };
    let added = HotFunction { name: "g".to_owned(), old: None, new: Some((32, 8)), site: None, ..function.clone() };
    HotPart {
        old_build: vec![1; 20],
        new_build: vec![2; 20],
        references: References::Decoded,
        body: Body { text: vec![0xcc; 48], rodata: vec![9; 16], data: vec![0; 16], bss_bytes: 5 },
        functions: vec![function, added],
        relocations: vec![
            HotRelocation { at: 1, kind: RelocationKind::Relative32, base: Base::Program, addend: -4 },
            HotRelocation { at: 4096, kind: RelocationKind::Absolute64, base: Base::Body, addend: 32 },
        ],
        imports: vec![HotImport { name: "puts".to_owned(), version: "GLIBC_2.2.5".to_owned(), slot: 8200 }],
        unwind: Some(4096),
    }
}

fn registry() -> Registry {
    let redirect = Redirect { address: 0x55_0000_1000, before: vec![1; 5], after: vec![0xe9; 5] };
    let entry =
        Entry { name: "f".to_owned(), old: (0x55_0000_1000, 32), new: (0x54_0000_0000, 32), redirect: Some(redirect) };
    Registry {
        state: State::Active,
        patch: PatchId([3; 32]),
        old_build: vec![1; 20],
        new_build: vec![2; 20],
        since: 1_700_000_000,
        bias: 0x55_0000_0000,
        body: (4096, 8192),
        functions: vec![entry],
    }
}
