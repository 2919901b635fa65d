//! Making the new code's unwind data known to the process, so that exceptions and panics pass through it.

use std::time::Duration;

use patchwright_formats::hot::{HotPart, PAGE};

use crate::error::{LiveError, LiveErrorKind};
use crate::import::Symbols;
use crate::module::Module;
use crate::target::{Call, Target};

use super::attempt::Patience;

/// What makes unwind data known: a function of the process's own unwinder, which takes neither memory nor locks that a
/// waiting thread may hold.
pub(super) struct Registration {
    function: u64,
    /// Code of the unwinder and the loader.
    not_in: Vec<(u64, u64)>,
}

pub(super) fn frame_registration(target: &dyn Target, modules: &[Module]) -> Result<Registration, LiveError> {
    let Some(function) = Symbols::new(target, modules).find("__register_frame_info", "GCC_3.0") else {
        return Err(LiveError::new(
            LiveErrorKind::Unsupported,
            "exceptions may pass through the new code, and the process has no unwinder that could learn of it",
        )
        .hint("programs that are linked statically are patched only if they are C"));
    };
    let inside = |module: &&Module| {
        let name = module.name.rsplit('/').next().unwrap_or_default();
        name.starts_with("ld-linux") || module.code.iter().any(|(start, end)| (*start..*end).contains(&function))
    };
    let not_in = modules.iter().filter(inside).flat_map(|module| module.code.iter().copied()).collect();
    Ok(Registration { function, not_in })
}

/// Makes the unwind data of the body known, in memory behind it that stays: the unwinder's own record of it at the
/// start, and the stack of the call.
pub(super) fn register_frames(
    target: &mut dyn Target,
    part: &HotPart,
    registration: &Registration,
    body_at: u64,
    deadline: Duration,
) -> Result<(), LiveError> {
    let Some(unwind) = part.unwind else { return Ok(()) };
    let area = body_at + part.body.len_bytes();
    let call = Call {
        function: registration.function,
        arguments: [body_at + unwind, area],
        stack: area + CALL_AREA,
        not_in: registration.not_in.clone(),
    };
    let mut patience = Patience::until(deadline);
    loop {
        let Err(error) = target.call(&call) else { return Ok(()) };
        if error.kind() != std::io::ErrorKind::WouldBlock {
            return Err(LiveError::io("make the new code's unwind data known", &error));
        }
        // A thread that computes now may wait for its next request soon.
        if !patience.rest(target) {
            let message = format!("the new code's unwind data cannot be made known: {error}");
            return Err(LiveError::new(LiveErrorKind::Busy, message)
                .hint("every thread is running or waits for a lock: try again, or allow a longer --deadline"));
        }
    }
}

/// Memory for a call: the unwinder's record and a stack.
pub(super) const CALL_AREA: u64 = 16 * PAGE;
