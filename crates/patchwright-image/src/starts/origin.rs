//! Who a function comes from, where that is the toolchain: start files and precompiled runtimes, which no compiler driver
//! of a user compiles.
//!
//! A name, the file of a symbol, or the object that debug information names can tell. What was stripped cannot.

use std::collections::BTreeSet;

use super::{Function, Module};

const START_FILES: &str = "start files of the C toolchain";
const MINGW: &str = "mingw-w64 runtime";
const LIBGCC: &str = "libgcc";
const GLIBC: &str = "C library";
const MSVC: &str = "Microsoft C runtime";
const RUST: &str = "Rust standard library";
const COMPILER_RT: &str = "compiler-rt";
/// What Clang makes of its own accord, without the attributes that flags of the user give to functions.
const CLANG_HELPERS: &str = "helper functions of Clang";

/// What the object that a function comes from says, else its file, else its name.
pub(super) fn of_function(function: &Function, module: Option<&Module>) -> Option<&'static str> {
    let by_file = function.file.as_deref().and_then(of_file);
    // Who has debug information of a function called `DllMainCRTStartup` has written it.
    let names = if module.is_some() { &[][..] } else { &function.names };
    let by_name = || names.iter().find_map(|name| of_name(name));
    module.and_then(|module| module.origin).or(by_file).or_else(by_name)
}

/// Where debug information says that an object was made.
pub(super) fn of_module(module: &Module) -> Option<&'static str> {
    let name = module.name.replace('\\', "/").to_ascii_lowercase();
    let library = module.library.replace('\\', "/").to_ascii_lowercase();
    let file = library.rsplit('/').next().unwrap_or_default();
    let both = [name.as_str(), library.as_str()];
    let holds = |mark: &str| both.iter().any(|text| text.contains(mark));
    // The standard library of Rust is compiled in a folder named after the compiler's commit.
    let rust = ["/rustc/", "/rust/deps/"].iter().any(|folder| library.starts_with(folder) || name.starts_with(folder));
    if rust || holds("/rustlib/") || is_rust_library(file) {
        Some(RUST)
    } else if MSVC_LIBRARIES.iter().any(|known| file.strip_suffix(".lib").is_some_and(|stem| stem == *known))
        || holds("/vctools/crt")
        || holds("/minkernel/crts/")
    {
        Some(MSVC)
    } else if holds("mingw-w64-crt") || holds("/mingw-w64-") {
        Some(MINGW)
    } else if holds("/libgcc") || name.contains("libgcc2.c") {
        Some(LIBGCC)
    } else if holds("/compiler-rt/lib") || file.starts_with("clang_rt.") || file.starts_with("libclang_rt.") {
        Some(COMPILER_RT)
    } else if holds("/glibc-") || holds("/csu/") || name.starts_with("../sysdeps/") {
        Some(GLIBC)
    } else {
        None
    }
}

/// What names tell of Rust's standard library, some crates of which come without debug information.
pub(super) struct RustNames {
    /// Its crates, with the hash that tells them from others of the same name: those that the names of functions speak of
    /// that are known to be of it.
    crates: BTreeSet<String>,
    /// Whether the user's own names are mangled the old way: then the new way is the library's.
    old_mangling: bool,
}

impl RustNames {
    pub(super) fn of<'a>(functions: impl Iterator<Item = (&'a Function, Option<&'a Module>)>) -> Self {
        let mut made = Self { crates: BTreeSet::new(), old_mangling: false };
        for (function, module) in functions {
            if module.is_some_and(|module| module.origin == Some(RUST)) {
                made.crates.extend(function.names.iter().flat_map(|name| crates(name)).map(str::to_owned));
            } else {
                made.old_mangling |= function.names.iter().any(|name| is_old_mangling(name));
            }
        }
        made
    }

    /// Whether all crates that a name speaks of are the library's. What a user's crate instantiates speaks of that as well.
    pub(super) fn origin(&self, function: &Function) -> Option<&'static str> {
        let is_known = |name: &String| {
            let mut named = crates(name).peekable();
            named.peek().is_some() && (self.old_mangling || named.all(|one| self.crates.contains(one)))
        };
        (function.module.is_none() && !self.crates.is_empty() && function.names.iter().any(is_known)).then_some(RUST)
    }
}

/// `_ZN…17h0123456789abcdefE`
fn is_old_mangling(name: &str) -> bool {
    let hash = name.strip_suffix('E').and_then(|name| name.get(name.len().checked_sub(19)?..));
    let hash = hash.and_then(|hash| hash.strip_prefix("17h"));
    name.starts_with("_ZN") && hash.is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The crate roots in a name of Rust's own mangling: `Cs`, a hash, `_`, and the name behind its length.
fn crates(name: &str) -> impl Iterator<Item = &str> {
    let is_rust = name.starts_with("_R");
    name.match_indices("Cs").filter(move |_| is_rust).filter_map(|(at, _)| {
        let rest = name.get(at + 2..)?;
        let (hash, rest) =
            rest.split_once('_').filter(|(hash, _)| hash.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let len: usize = rest.get(..digits)?.parse().ok()?;
        let end = at + 2 + hash.len() + 1 + digits;
        name.get(at..end.checked_add(len)?)
    })
}

/// `libstd-1f2e….rlib` and its kin, as they lie in a toolchain's folder.
fn is_rust_library(file: &str) -> bool {
    const CRATES: [&str; 8] = [
        "std",
        "core",
        "alloc",
        "compiler_builtins",
        "panic_unwind",
        "panic_abort",
        "unwind",
        "rustc_std_workspace_core",
    ];
    let stem = file.strip_suffix(".rlib").and_then(|file| file.strip_prefix("lib"));
    stem.and_then(|stem| stem.split_once('-')).is_some_and(|(name, _)| CRATES.contains(&name))
}

const MSVC_LIBRARIES: [&str; 22] = [
    "libcmt",
    "libcmtd",
    "msvcrt",
    "msvcrtd",
    "libvcruntime",
    "libvcruntimed",
    "vcruntime",
    "vcruntimed",
    "libucrt",
    "libucrtd",
    "ucrt",
    "ucrtd",
    "libcpmt",
    "libcpmtd",
    "msvcprt",
    "msvcprtd",
    "oldnames",
    "libconcrt",
    "chkstk",
    "softintrin",
    "delayimp",
    "bufferoverflowu",
];

/// Files of `crt1.o`, `crtbegin.o` and of mingw's start files and libraries, as symbol tables name them.
fn of_file(file: &str) -> Option<&'static str> {
    if MINGW_FILES.contains(&file) {
        Some(MINGW)
    } else if START_SOURCES.contains(&file) {
        Some(START_FILES)
    } else if matches!(file, "libgcc2.c" | "unwind-dw2.c" | "unwind-dw2-fde-dip.c" | "unwind-seh.c" | "emutls.c") {
        Some(LIBGCC)
    } else if is_rust_unit(file) {
        Some(RUST)
    } else {
        None
    }
}

/// `std.3f6f….abc-cgu.0`: a unit of the standard library.
fn is_rust_unit(file: &str) -> bool {
    let name = file.split_once('.').filter(|(_, rest)| rest.contains("-cgu.")).map(|(name, _)| name);
    name.is_some_and(|name| {
        matches!(name, "std" | "core" | "alloc" | "compiler_builtins" | "panic_unwind" | "panic_abort" | "unwind")
    })
}

fn of_name(name: &str) -> Option<&'static str> {
    if START_NAMES.contains(&name) || name.starts_with("__x86.get_pc_thunk.") {
        return Some(START_FILES);
    }
    if MINGW_NAMES.contains(&name) {
        return Some(MINGW);
    }
    if is_clang_helper(name) {
        return Some(CLANG_HELPERS);
    }
    if LIBGCC_NAMES.contains(&name) {
        return Some(LIBGCC);
    }
    None
}

/// The end of a program in a `noexcept` function, wrappers around thread-local variables, constructors of sanitizers.
fn is_clang_helper(name: &str) -> bool {
    name == "__clang_call_terminate"
        || name.starts_with("_ZTW")
        || name.ends_with(".module_ctor")
        || name.ends_with(".module_dtor")
}

const START_NAMES: [&str; 11] = [
    "call_weak_fn",
    "_start",
    "_init",
    "_fini",
    "__libc_csu_init",
    "__libc_csu_fini",
    "_dl_relocate_static_pie",
    "deregister_tm_clones",
    "register_tm_clones",
    "__do_global_dtors_aux",
    "frame_dummy",
];

const MINGW_NAMES: [&str; 16] = [
    "register_frame_ctor",
    "_register_frame_ctor",
    "__gcc_register_frame",
    "__gcc_deregister_frame",
    "___gcc_register_frame",
    "___gcc_deregister_frame",
    "___chkstk_ms",
    "__chkstk_ms",
    "__chkstk",
    "__main",
    "___main",
    "mainCRTStartup",
    "WinMainCRTStartup",
    "DllMainCRTStartup",
    "_mainCRTStartup",
    "_DllMainCRTStartup@12",
];

const LIBGCC_NAMES: [&str; 18] = [
    "__udivti3",
    "__divti3",
    "__umodti3",
    "__modti3",
    "__multi3",
    "__udivdi3",
    "__divdi3",
    "__umoddi3",
    "__moddi3",
    "__popcountdi2",
    "__popcountsi2",
    "__cpu_indicator_init",
    "__aeabi_uidiv",
    "__aeabi_idiv",
    "__aeabi_uidivmod",
    "__aeabi_idivmod",
    "__aeabi_idiv0",
    "__aeabi_ldiv0",
];

const START_SOURCES: [&str; 4] = ["crtstuff.c", "crt1.c", "crtbegin.c", "crtend.c"];

const MINGW_FILES: [&str; 33] = [
    "crtexe.c",
    "crtdll.c",
    "cygming-crtbegin.c",
    "cygming-crtend.c",
    "gccmain.c",
    "atonexit.c",
    "natstart.c",
    "wildcard.c",
    "_newmode.c",
    "dllargv.c",
    "dll_math.c",
    "dllmain.c",
    "dllentry.c",
    "tlssup.c",
    "tlsthrd.c",
    "tlsmcrt.c",
    "xncommod.c",
    "xtxtmode.c",
    "cinitexe.c",
    "merr.c",
    "usermatherr.c",
    "mingw_matherr.c",
    "CRT_fp10.c",
    "mingw_helpers.c",
    "pseudo-reloc.c",
    "pseudo-reloc-list.c",
    "pesect.c",
    "crt_handler.c",
    "gs_support.c",
    "charmax.c",
    "misc.c",
    "fp_consts.c",
    "ucrt_fprintf.c",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_toolchains() {
        for (name, library, expect) in [
            ("library/std/src/lib.rs/@/std.1f-cgu.0", "/rustc/0123456789abcdef", Some(RUST)),
            ("std-1f.std.1f-cgu.0.rcgu.o", r"C:\rust\lib\libstd-1f2e3d.rlib", Some(RUST)),
            ("x.o", "/home/me/libstdlike-1f2e3d.rlib", None),
            (r"d:\a\_work\1\s\Intermediate\vctools\msvcrt\exe_main.obj", r"C:\VC\lib\x64\msvcrt.lib", Some(MSVC)),
            ("a.obj", r"C:\me\mylibcmt.lib", None),
            ("../../../mingw-w64-crt/crt/crtexe.c", "/build", Some(MINGW)),
            ("../../../src/libgcc/libgcc2.c", "/build/gcc/x86_64-linux-gnu/libgcc", Some(LIBGCC)),
            ("main.c", "/home/me", None),
        ] {
            let module = Module {
                name: name.to_owned(),
                library: library.to_owned(),
                producer: String::new(),
                hot_patch: None,
                origin: None,
                functions: 0,
            };
            assert_eq!(of_module(&module), expect, "{name} {library}");
        }
    }

    #[test]
    fn crates_of_a_name() {
        let name = "_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeNtNtCslNYArtu3iFV_5alloc6string6StringECs4X4t9plMPHF_9addr2line";
        let expect = ["CsgEmfK2I1SDS_4core", "CslNYArtu3iFV_5alloc", "Cs4X4t9plMPHF_9addr2line"];
        assert_eq!(crates(name).collect::<Vec<_>>(), expect);
        assert_eq!(crates("_RNvCs_99999999999999999999x").count(), 0);
        assert_eq!(crates("Cs1_1a").count(), 0);
        assert!(is_old_mangling("_ZN1r4work17h9344e8e92d9cbf58E"));
        assert!(!is_old_mangling("_ZN1r4workE") && !is_old_mangling("E"));
    }

    #[test]
    fn files_and_names_of_toolchains() {
        assert_eq!(of_file("std.3f6f1a.9e-cgu.12"), Some(RUST));
        assert_eq!(of_file("stdlike.3f6f1a.9e-cgu.12"), None);
        assert_eq!(of_file("crtstuff.c"), Some(START_FILES));
        assert_eq!(of_name("_start"), Some(START_FILES));
        assert_eq!(of_name("start"), None);
    }
}
