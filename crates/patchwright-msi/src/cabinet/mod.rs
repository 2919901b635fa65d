//! Cabinets, read: one pass over each folder, in memory for a block and a window.
//!
//! The `cab` crate writes ours. It reads no cabinet that another one continues, and decodes a folder from its start for each
//! of its files; installers have both, cabinets on several disks and thousands of files in one folder. Layout: \[MS-CAB\];
//! `docs/formats/cabinet.md` has the bytes.
//!
//! | module | story |
//! |---|---|
//! | `header` | what a cabinet lists: folders, files, the cabinets before and after it |
//! | `data` | blocks of a folder, checked and joined where a cabinet ends inside one |
//! | `mszip` | one of the two compressions; the other is `patchwright_formats::lzx` |
//! | `unpack` | the files of a set of cabinets, written as they come |

mod data;
mod header;
mod mszip;
mod unpack;

pub(crate) use unpack::{Entry, Exchange, unpack};
