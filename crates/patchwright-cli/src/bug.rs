//! A panic is a bug of ours: it says so, and exits with 70 instead of Rust's 101.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Mutex;

use patchwright::Error;

use crate::console::Console;

/// Where the first panic was. The hook sees the place, the caller of `catch_unwind` does not: it is handed over here.
/// Later panics are usually consequences of the first.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Makes panics silent until [`catch`] tells of them.
pub(crate) fn hold_tongue() {
    panic::set_hook(Box::new(|info| {
        if let Ok(mut place) = PLACE.lock() {
            place.get_or_insert_with(|| describe(info));
        }
    }));
}

/// Runs `work` and returns its exit code; a panic in it, or in a thread it waits for, becomes an error of kind `Bug`.
pub(crate) fn catch(console: &Console, work: impl FnOnce() -> u8) -> u8 {
    // Nothing of the closure is used after a panic, so a state that it leaves half-way harms nobody.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let place = PLACE.lock().ok().and_then(|mut place| place.take());
        console.error(&Error::bug("this is a bug of ours").details(place))
    })
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("panic");
    let version = env!("CARGO_PKG_VERSION");
    match info.location() {
        Some(at) => format!("{message} (at {}:{}, version {version})", at.file(), at.line()),
        None => format!("{message} (version {version})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_exits_with_70() {
        let console = Console::new(false, true);
        assert_eq!(catch(&console, || 3), 3);
        assert_eq!(catch(&console, || panic!("made by a test")), 70);
    }
}
