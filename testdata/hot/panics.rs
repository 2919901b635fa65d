//# case: 19 20 24 panics through changed functions, generic functions, trait objects, lines that moved
//# flags: -O
//# before: old caught: no number in x
//# after: new caught: still no number in x
use std::time::Duration;
trait Greet { fn greet(&self) -> String; }
struct Old;
#[cfg(new)]
fn word() -> &'static str { "new" }
#[cfg(not(new))]
fn word() -> &'static str { "old" }
impl Greet for Old { #[inline(never)] fn greet(&self) -> String { format!("{}", word()) } }
#[inline(never)]
fn number<T: AsRef<str>>(text: T) -> u32 {
    let text = text.as_ref();
    match text.parse() {
        Ok(number) => number,
        #[cfg(new)]
        Err(_) => panic!("still no number in {text}"),
        #[cfg(not(new))]
        Err(_) => panic!("no number in {text}"),
    }
}
#[inline(never)]
fn at(list: &[u32], index: usize) -> u32 { list[index] }
fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let greet: Box<dyn Greet> = Box::new(Old);
    loop {
        let caught = std::panic::catch_unwind(|| number("x")).unwrap_err();
        let told = caught.downcast_ref::<String>().cloned().unwrap_or_default();
        let fine = number(String::from("41")) + at(&[1, 2], 0);
        assert_eq!(fine, 42);
        println!("{} caught: {told}", greet.greet());
        std::thread::sleep(Duration::from_millis(2));
    }
}
