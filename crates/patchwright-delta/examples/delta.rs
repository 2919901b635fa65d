//! Makes and applies delta bodies from the command line: the engine alone, without container, hashes or regions.
//!
//! ```text
//! delta create OLD NEW OUT [MAX_MEMORY]
//! delta apply OLD BODY OUT [INVERTED_OUT]
//! delta describe BODY
//! delta native-create OLD NEW OUT [small|fast|quick]
//! delta native-apply OLD BODY OUT NEW_LEN [THREADS]
//! ```

use std::error::Error;
use std::io::Write;
use std::{env, fs, io};

use patchwright_delta::{CoverLog, CreateOptions, apply, create, describe, invert, native};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["create", old, new, out, rest @ ..] => {
            let (old, new) = (fs::read(old)?, fs::read(new)?);
            let mut options = CreateOptions::default();
            if let Some(max) = rest.first() {
                options.max_memory_bytes = max.parse()?;
            }
            let mut out = io::BufWriter::new(fs::File::create(out)?);
            let stats = create(&old, &new, &options, &|_| (), &mut out)?;
            out.flush()?;
            println!("{stats:#?}");
        }
        ["apply", old, body, out, rest @ ..] => {
            let (old, body) = (fs::read(old)?, fs::read(body)?);
            let new_len = describe(&body)?.header.new_len;
            let mut log = CoverLog::new();
            apply(&old, &body, new_len, &mut fs::File::create(out)?, &mut |cover| log.push(cover))?;
            if let Some(inverted) = rest.first() {
                let stats = invert(&old, &fs::read(out)?, log, &mut fs::File::create(inverted)?)?;
                println!("{stats:#?}");
            }
        }
        ["native-create", old, new, out, rest @ ..] => {
            let (old, new) = (fs::read(old)?, fs::read(new)?);
            let mut bytes = Vec::new();
            let mut options = native::Options::default();
            if let Some(name) = rest.first() {
                let named = native::Profile::ALL.into_iter().find(|profile| profile.name() == *name);
                options.profile = named.ok_or("no such profile")?;
            }
            let stats = native::create(&old, &new, &options, &mut bytes)?;
            fs::write(out, &bytes)?;
            println!("{stats:?}");
        }
        ["native-apply", old, body, out, new_len, rest @ ..] => {
            let (old, body) = (fs::read(old)?, fs::read(body)?);
            let threads = rest.first().map_or(Ok(2), |threads| threads.parse())?;
            let threads = std::num::NonZero::new(threads).ok_or("no threads")?;
            native::apply(&old, &body, new_len.parse()?, threads, &mut fs::File::create(out)?, &mut |_| ())?;
        }
        ["describe", body] => println!("{:#?}", describe(&fs::read(body)?)?),
        _ => return Err("usage: delta create OLD NEW OUT | apply OLD BODY OUT | describe BODY".into()),
    }
    Ok(())
}
