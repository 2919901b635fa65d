//! Cases built as most programs are, without relocations: the same functions are found as with them, processes get the
//! same, and what cannot be sound is refused.

use std::path::Path;

use patchwright::ErrorKind;

use super::case::Case;
use super::{check_case, make};

/// The closed set of a case, or what stands against it.
fn found(case: &Case) -> Result<(String, &'static str), String> {
    let folder = tempfile::tempdir().unwrap();
    let built = case.build(folder.path());
    let made = make(&built, Path::new(&folder.path().join("fix.pwp"))).map_err(|error| {
        assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
        format!("{error} {}", error.details.join("; "))
    })?;
    let part = &made.hot[0];
    let names: Vec<&str> = part.functions.iter().map(|function| function.name.as_str()).collect();
    Ok((names.join(" "), part.references))
}

#[test]
fn the_same_functions_are_found_without_relocations() {
    for name in [
        "alias.c",
        "changed_constants.c",
        "cold_part.c",
        "computed_goto.c",
        "constant_copies.c",
        "exceptions.cpp",
        "jump_table.c",
        "lto.c",
        "new_import.c",
        "new_things.c",
        "panics.rs",
        "static_pie.c",
        "thread_local.c",
        "thread_local_library.c",
        "virtual_functions.cpp",
    ] {
        let (functions, references) = found(&Case::read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(references, "kept", "{name}");
        assert_eq!(found(&Case::plain(name)), Ok((functions, "decoded")), "{name}");
    }
}

#[test]
fn what_only_relocations_tell_is_refused() {
    for (name, expect) in [
        ("fixed_address.c", "the program is for a fixed address and its relocations are missing"),
        ("static_program.c", "the program is for a fixed address and its relocations are missing"),
        ("refuse_thread_variable.c", "thread variables (thread-variable): they are others"),
    ] {
        let refused = found(&Case::plain(name)).unwrap_err();
        assert!(refused.contains(expect), "{name}: {refused}");
    }
}

macro_rules! plain {
    ($($name:ident: $file:literal,)*) => {
        $(#[test] fn $name() { check_case(&Case::plain($file), $file); })*
    };
}

plain! {
    constants_change: "changed_constants.c",
    exceptions_pass: "exceptions.cpp",
    imports_are_new: "new_import.c",
    jump_tables_move: "jump_table.c",
    panics_pass: "panics.rs",
    things_are_new: "new_things.c",
    thread_variables_stay: "thread_local_library.c",
}
