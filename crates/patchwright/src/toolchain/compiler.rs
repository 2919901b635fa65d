//! Which compiler it is, and for what: read from the macros that it predefines.
//!
//! One call tells everything: family, version, and target with the flags of this very command line (`-m32`,
//! `--target=`). Names tell nothing: `cc`, `c++`, `x86_64-linux-gnu-gcc-12` and a wrapper script may all be anything.

use super::recipe::MachineType;

/// Who made the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Gcc,
    Clang,
}

/// The format of what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objects {
    Elf,
    /// For the GNU tools of Windows: mingw, Cygwin.
    CoffGnu,
    /// For Microsoft's tools.
    CoffMsvc,
    /// For Apple's and others.
    Other,
}

/// A compiler and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) family: Family,
    pub(crate) major: u32,
    /// As the compiler calls it: `12.2.0`.
    pub(crate) version: String,
    /// The machine, if it is one that can be prepared.
    pub(crate) machine: Option<MachineType>,
    pub(crate) objects: Objects,
}

impl Compiler {
    /// Reads what `-E -dM` prints; `None` if it is neither GCC nor Clang.
    pub(crate) fn from_macros(text: &str) -> Option<Self> {
        let value = |name: &str| {
            text.lines().find_map(|line| {
                let rest = line.strip_prefix("#define ")?.strip_prefix(name)?;
                rest.is_empty().then_some("").or_else(|| rest.strip_prefix(' '))
            })
        };
        let is = |name: &str| value(name).is_some();
        let (family, parts) = if is("__clang__") {
            (Family::Clang, ["__clang_major__", "__clang_minor__", "__clang_patchlevel__"])
        } else if is("__GNUC__") && !is("__INTEL_COMPILER") {
            (Family::Gcc, ["__GNUC__", "__GNUC_MINOR__", "__GNUC_PATCHLEVEL__"])
        } else {
            return None;
        };
        let version: Vec<&str> = parts.into_iter().filter_map(value).collect();
        let machine = [
            ("__x86_64__", MachineType::X64),
            ("__i386__", MachineType::X86),
            ("__aarch64__", MachineType::Arm64),
            ("__arm__", MachineType::Arm),
        ];
        let machine = machine.into_iter().find(|(name, _)| is(name)).map(|(_, machine)| machine);
        let objects = if is("__ELF__") {
            Objects::Elf
        } else if is("_MSC_VER") {
            Objects::CoffMsvc
        } else if is("_WIN32") || is("__CYGWIN__") {
            Objects::CoffGnu
        } else {
            Objects::Other
        };
        let major = version.first()?.parse().ok()?;
        // x32 has pointers of four bytes in 64-bit code, and nobody to patch them.
        let machine = machine.filter(|_| !(is("__x86_64__") && is("__ILP32__")));
        Some(Self { family, major, version: version.join("."), machine, objects })
    }

    /// `GCC 12.2.0 for x86-64`.
    pub(crate) fn shown(&self) -> String {
        let family = match self.family {
            Family::Gcc => "GCC",
            Family::Clang => "Clang",
        };
        let machine = self.machine.map_or("another machine", MachineType::name);
        format!("{family} {} for {machine}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_tell_compiler_and_target() {
        let clang = "__clang__ 1;__clang_major__ 19;__clang_minor__ 1;__clang_patchlevel__ 7;__GNUC__ 4";
        let gcc = "__GNUC__ 12;__GNUC_MINOR__ 2;__GNUC_PATCHLEVEL__ 0";
        for (macros, more, expect) in [
            (gcc, "__x86_64__ 1;__ELF__ 1", Some("GCC 12.2.0 for x64, Elf")),
            (gcc, "__i386__ 1;_WIN32 1", Some("GCC 12.2.0 for x86, CoffGnu")),
            (gcc, "__x86_64__ 1;__ILP32__ 1;__ELF__ 1", Some("GCC 12.2.0 for another machine, Elf")),
            (gcc, "__arm__ 1;__thumb__ 1;__ELF__ 1", Some("GCC 12.2.0 for ARM, Elf")),
            (gcc, "__riscv 1;__ELF__ 1", Some("GCC 12.2.0 for another machine, Elf")),
            (gcc, "__INTEL_COMPILER 2021", None),
            (clang, "__aarch64__ 1;__ELF__ 1", Some("Clang 19.1.7 for ARM64, Elf")),
            (clang, "__x86_64__ 1;_WIN32 1;_MSC_VER 1933", Some("Clang 19.1.7 for x64, CoffMsvc")),
            (clang, "__x86_64__ 1;__MACH__ 1", Some("Clang 19.1.7 for x64, Other")),
            ("__TINYC__ 927", "__x86_64__ 1", None),
            ("__GNUC__ many", "", None),
        ] {
            let text: String = [macros, more].join(";").split(';').map(|line| format!("#define {line}\n")).collect();
            let read = Compiler::from_macros(&text).map(|found| format!("{}, {:?}", found.shown(), found.objects));
            assert_eq!(read.as_deref(), expect, "{macros} {more}");
        }
    }
}
