//! Shows what the hot build finds: `cargo run --example hot -- OLD NEW [PART [OLD-OBJECTS NEW-OBJECTS]]`, and writes the
//! part. The objects of a build are all files of one folder.

use std::process::ExitCode;

use patchwright_image::hot::{HotError, Linked, ObjectFile, build_linked};

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [old, new, rest @ ..] = paths.as_slice() else {
        eprintln!("hot OLD NEW [PART [OLD-OBJECTS NEW-OBJECTS]]");
        return ExitCode::from(2);
    };
    let (Ok(old), Ok(new)) = (std::fs::read(old), std::fs::read(new)) else {
        eprintln!("a file cannot be read");
        return ExitCode::from(5);
    };
    let objects = |at: usize| match rest.get(at).map(std::fs::read_dir) {
        Some(Ok(files)) => files
            .flatten()
            .filter_map(|file| {
                let name = file.file_name().to_string_lossy().into_owned();
                Some(ObjectFile { name, data: std::fs::read(file.path()).ok()? })
            })
            .collect(),
        _ => Vec::new(),
    };
    let (old_objects, new_objects) = (objects(1), objects(2));
    let old = Linked { file: &old, objects: &old_objects };
    match build_linked(old, Linked { file: &new, objects: &new_objects }) {
        Ok(made) => {
            for function in &made.part.functions {
                println!("{}: {}", function.name, function.why);
            }
            let body = &made.part.body;
            println!(
                "{} bytes of code, {} of constants, {} of variables, {} relocations, {} imports",
                body.text.len(),
                body.rodata.len(),
                body.data.len() as u64 + body.bss_bytes,
                made.part.relocations.len(),
                made.part.imports.len()
            );
            made.line_only.iter().for_each(|name| println!("line numbers only: {name}"));
            made.warnings.iter().for_each(|warning| println!("warning: {warning}"));
            if let Some(path) = rest.first()
                && let Err(error) = std::fs::write(path, made.part.encode())
            {
                eprintln!("{error}");
                return ExitCode::from(5);
            }
            ExitCode::SUCCESS
        }
        Err(HotError::Refused(objections)) => {
            objections.iter().for_each(|one| println!("{} ({}): {}", one.subject, one.case.name(), one.reason));
            ExitCode::from(3)
        }
        Err(error) => {
            println!("{error:?}");
            ExitCode::from(1)
        }
    }
}
