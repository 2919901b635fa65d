//! Hot patches and one running process: what is there, what would have to be done, doing it, taking it back.
//!
//! The path of a call, file by file:
//!
//! - `target`: what a process can be asked for, as a trait; `sys` is the real one, the tests have another;
//! - `module`: programs and libraries in the process, read from its memory alone;
//! - `import`: symbols of other modules, as the loader would find them;
//! - `room`: where new code fits, near enough for a jump;
//! - `source`: where in the source an address is;
//! - `record`: the registry that an earlier call left;
//! - `stack`: whether a thread is in a function, by unwinding, or by looking at every word where that is not reliable;
//! - `suspended`: whether a stack of no thread, a coroutine's, is in a function;
//! - `plan`: apply, revert, repair: everything is prepared while the process runs, then it is stopped once, for as
//!   long as looking at each thread and writing a few bytes takes;
//! - `status`: what patches a process has, without stopping it.
//!
//! A process is patched at one instant, entirely or not at all. What is decided is decided in safe code over the trait,
//! so that tests can let any step fail.

mod error;
#[cfg(test)]
mod fake;
mod import;
mod module;
mod plan;
mod record;
mod room;
mod source;
mod stack;
mod status;
mod suspended;
pub mod sys;
mod target;

pub use error::{LiveError, LiveErrorKind};
pub use module::{Module, modules};
pub use plan::{Applied, Limits, Outcome, Pinned, apply, revert};
pub use status::{LivePatch, status};
pub use target::{Call, Mapping, Protection, StopFailure, Target, Thread};
