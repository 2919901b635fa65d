fn count_words(text: &str) -> Result<usize, &'static str> {
    if text.is_empty() { Err("no text") } else { Ok(text.split_whitespace().count()) }
}

fn main() {
    if let Err(error) = count_words("") {
        println!("{error}");
    }
    println!("{} words", std::panic::catch_unwind(|| count_words("a greeting to you").unwrap()).unwrap());
}
