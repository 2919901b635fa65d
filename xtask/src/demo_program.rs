//! The program that the demo patches when no package has one: counts the bytes, words and lines of its input.
//!
//! Not part of xtask: the demo compiles it with `rustc`, once as it is and once with `--cfg newer`.

use std::io::Read;

/// Room for the stamp of a machine, on which the demo writes. `#[used]` keeps it although it is only read here.
#[used]
static STAMP: [u8; 64] = [b'_'; 64];

fn main() -> std::io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("tally {}", env!("TALLY_VERSION"));
        return Ok(());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let words = text.split_whitespace().count();
    #[cfg(newer)]
    {
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        println!("longest line: {longest}");
    }
    println!("{} {words} {}", text.lines().count(), text.len());
    Ok(())
}
