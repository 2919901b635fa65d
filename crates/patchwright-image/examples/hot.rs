//! Shows what the hot build finds: `cargo run --example hot -- OLD NEW [PART]`, and writes the part.

use std::process::ExitCode;

use patchwright_image::hot::{HotError, build};

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [old, new, rest @ ..] = paths.as_slice() else {
        eprintln!("hot OLD NEW [PART]");
        return ExitCode::from(2);
    };
    let (Ok(old), Ok(new)) = (std::fs::read(old), std::fs::read(new)) else {
        eprintln!("a file cannot be read");
        return ExitCode::from(5);
    };
    match build(&old, &new) {
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
