//! The engine as its callers see it: bytes in, bytes out.

mod inputs;
mod round_trip;
