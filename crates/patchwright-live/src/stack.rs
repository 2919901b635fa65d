//! Whether a thread is in a function.
//!
//! A stack is unwound with the unwind data of each module, read from memory. The answer counts only if it is *reliable*:
//! every frame lies in code that unwind data tell of, and the last one is the start of the thread. Otherwise every
//! word of writable private memory is looked at, but for the dead part of stacks: a return address must be
//! somewhere. That may find what is none, and never misses one.

use std::ops::Range;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Unwinder as _};
use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};
use object::read::{File, Object as _, ObjectSection as _};

use crate::module::Module;
use crate::target::{Mapping, Target, Thread};

/// Read of a stack at once; most have less.
const FIRST_READ: u64 = 16 << 10;
const MAX_FRAMES: usize = 4096;
const MAX_UNWIND_BYTES: u64 = 256 << 20;
/// More writable memory than this is not searched word by word while the process is stopped.
const MAX_SEARCH: u64 = 512 << 20;

/// Code that no thread may be in: start, end, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) range: Range<u64>,
    pub(crate) name: String,
}

/// A thread in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) zone: usize,
    /// Where in it: the instruction, or the one that a call returns to.
    pub(crate) address: u64,
    /// Whether a frame was unwound, and not only a word found.
    pub(crate) certain: bool,
    /// Whether it is the place of a call, and not where the thread is now.
    pub(crate) call: bool,
}

/// All that is needed to unwind the threads of one process.
pub(crate) struct Stacks {
    unwinder: UnwinderX86_64<Vec<u8>>,
    cache: CacheX86_64,
    /// Code that unwind data tell of, sorted.
    covered: Vec<(u64, u64)>,
    /// Where the last stack ended that was unwound: the last word of it that was looked at.
    end: u64,
}

/// What became of unwinding one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// All frames, innermost first, as addresses of instructions.
    Reliable(Vec<u64>),
    /// The frames up to where it stopped.
    Unreliable(Vec<u64>),
}

impl Stacks {
    /// Reads the unwind data of modules.
    pub(crate) fn new(target: &dyn Target, modules: &[Module]) -> Self {
        let mut stacks =
            Self { unwinder: UnwinderX86_64::new(), cache: CacheX86_64::new(), covered: Vec::new(), end: 0 };
        for module in modules {
            stacks.add_module(target, module);
        }
        stacks.covered.sort_unstable();
        stacks
    }

    fn add_module(&mut self, target: &dyn Target, module: &Module) -> Option<()> {
        let (address, index) = match module.unwind_index {
            Some(index) => {
                let data = read(target, index)?;
                (frame_address(&data, index.0)?, Some((index.0, data)))
            }
            None => (frame_section(target, module)?, None),
        };
        // It ends with a zero, or with the module.
        let end = module.range.1;
        let frames = read_up_to(target, (address, end.checked_sub(address)?.min(MAX_UNWIND_BYTES)));
        let used = self.cover(&frames, address);
        let frames = frames.get(..used)?.to_vec();
        let stated = |address: u64| address.wrapping_sub(module.bias);
        let info = ExplicitModuleSectionInfo {
            base_svma: stated(module.range.0),
            eh_frame_svma: Some(stated(address)..stated(address) + frames.len() as u64),
            eh_frame: Some(frames),
            eh_frame_hdr_svma: index.as_ref().map(|(at, data)| stated(*at)..stated(*at) + data.len() as u64),
            eh_frame_hdr: index.map(|(_, data)| data),
            ..ExplicitModuleSectionInfo::default()
        };
        let range = module.range.0..module.range.1;
        self.unwinder.add_module(framehop::Module::new(module.name.clone(), range, module.range.0, info));
        Some(())
    }

    /// Notes what the entries cover and returns how many bytes they take.
    fn cover(&mut self, data: &[u8], address: u64) -> usize {
        let mut section = EhFrame::new(data, LittleEndian);
        section.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(address);
        let mut entries = section.entries(&bases);
        let mut used = 0;
        while let Ok(Some(entry)) = entries.next() {
            match entry {
                CieOrFde::Fde(partial) => {
                    let Ok(fde) = partial.parse(|section, bases, at| section.cie_from_offset(bases, at)) else { break };
                    used = used.max(fde.offset() + fde.entry_len() + 4);
                    self.covered.push((fde.initial_address(), fde.initial_address().wrapping_add(fde.len())));
                }
                CieOrFde::Cie(cie) => used = used.max(cie.offset() + cie.entry_len() + 4),
            }
        }
        // The zero that ends it.
        (used + 4).min(data.len())
    }

    fn is_covered(&self, address: u64) -> bool {
        let after = self.covered.partition_point(|(start, _)| *start <= address);
        // Entries of hand-written code overlap now and then.
        self.covered[after.saturating_sub(4)..after].iter().any(|(_, end)| address < *end)
    }

    /// Unwinds one stack.
    pub(crate) fn walk(&mut self, target: &dyn Target, thread: &Thread, stack: &[u8]) -> Walk {
        let mut end = thread.sp;
        let mut read_stack = |address: u64| -> Result<u64, ()> {
            end = address;
            let at = address.checked_sub(thread.sp).and_then(|at| usize::try_from(at).ok());
            if let Some(found) = at.and_then(|at| stack.get(at..)?.first_chunk()) {
                return Ok(u64::from_le_bytes(*found));
            }
            let mut word = [0; 8];
            target.read_exact(address, &mut word).map_err(|_| ())?;
            Ok(u64::from_le_bytes(word))
        };
        let mut frames = Vec::new();
        let registers = UnwindRegsX86_64::new(thread.ip, thread.sp, thread.bp);
        let mut covered = true;
        let mut cache = std::mem::take(&mut self.cache);
        let mut iterator = self.unwinder.iter_frames(thread.ip, registers, &mut cache, &mut read_stack);
        let ended = loop {
            match iterator.next() {
                Ok(Some(frame)) if frames.len() < MAX_FRAMES => {
                    let address = match frame {
                        FrameAddress::InstructionPointer(address) => address,
                        FrameAddress::ReturnAddress(address) => address.get() - 1,
                    };
                    covered &= self.is_covered(address);
                    frames.push(address);
                }
                Ok(None) => break true,
                _ => break false,
            }
        };
        self.cache = cache;
        self.end = end;
        if ended && covered { Walk::Reliable(frames) } else { Walk::Unreliable(frames) }
    }

    /// Looks for threads in zones, by the index of the thread; and lists threads of which unwinding does not tell, and where
    /// the stacks of the others end. The process is stopped.
    pub(crate) fn hits(
        &mut self,
        target: &dyn Target,
        threads: &[Thread],
        mappings: &[Mapping],
        zones: &[Zone],
    ) -> (Vec<(usize, Hit)>, Vec<usize>, Vec<u64>) {
        let mut hits = Vec::new();
        let mut unreliable = Vec::new();
        let mut ends = Vec::new();
        for (index, thread) in threads.iter().enumerate() {
            let stack = read_up_to(target, (thread.sp, stack_len(mappings, thread.sp)));
            let (frames, reliable) = match self.walk(target, thread, &stack) {
                Walk::Reliable(frames) => (frames, true),
                Walk::Unreliable(frames) => (frames, false),
            };
            let found = frames.iter().enumerate().find_map(|(depth, address)| {
                let zone = zone_of(zones, *address)?;
                // At its first instruction a thread is not in a function yet.
                let outside = depth == 0 && *address == zones[zone].range.start;
                (!outside).then_some(Hit { zone, address: *address, certain: true, call: depth > 0 })
            });
            match found {
                Some(hit) => hits.push((index, hit)),
                None if !reliable => unreliable.push(index),
                None => ends.push(self.end),
            }
        }
        (hits, unreliable, ends)
    }
}

/// A word of a thread's own stack that lies in a zone: what may be a return address.
pub(crate) fn word_in(target: &dyn Target, thread: &Thread, mappings: &[Mapping], zones: &[Zone]) -> Option<Hit> {
    let stack = read_up_to(target, (thread.sp, stack_len(mappings, thread.sp)));
    stack.chunks_exact(8).map(|word| crate::module::word::<8>(word, 0)).find_map(|address| {
        let zone = zone_of(zones, address).filter(|zone| zones[*zone].range.start != address)?;
        Some(Hit { zone, address, certain: false, call: true })
    })
}

fn stack_len(mappings: &[Mapping], sp: u64) -> u64 {
    let mapping = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&sp));
    mapping.map_or(0, |mapping| mapping.end - sp).min(FIRST_READ)
}

fn zone_of(zones: &[Zone], address: u64) -> Option<usize> {
    zones.iter().position(|zone| zone.range.contains(&address))
}

/// Looks at every word of writable private memory that was touched, but for what lies below the stack pointer of a thread
/// that is on a stack of its own, `is_own` says. `mappings` are those of now.
pub(crate) fn search(
    target: &dyn Target,
    threads: &[Thread],
    mappings: &[Mapping],
    zones: &[Zone],
    is_own: impl Fn(u64) -> bool,
) -> Result<Option<Hit>, String> {
    let lowest = zones.iter().map(|zone| zone.range.start).min().unwrap_or(u64::MAX);
    let highest = zones.iter().map(|zone| zone.range.end).max().unwrap_or(0);
    let writable =
        mappings.iter().filter(|mapping| mapping.private && mapping.protection.read && mapping.protection.write);
    let starts: Vec<(u64, u64)> = writable
        .map(|mapping| {
            let inside = threads.iter().map(|thread| thread.sp).filter(|sp| (mapping.start..mapping.end).contains(sp));
            // Stacks that are no thread's own may lie side by side in one mapping.
            (inside.filter(|sp| is_own(*sp)).min().unwrap_or(mapping.start) & !7, mapping.end)
        })
        .flat_map(|(start, end)| target.touched(start, end))
        .collect();
    let total: u64 = starts.iter().map(|(start, end)| end - start).sum();
    if total > MAX_SEARCH {
        return Err(format!("a stack cannot be unwound, and {} MiB of memory are too much to search", total >> 20));
    }
    let mut buffer = vec![0; 1 << 20];
    for (start, end) in starts {
        let mut at = start;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let got = target.read(at, &mut buffer[..want]).unwrap_or(0);
            for found in buffer[..got].chunks_exact(8) {
                let value = crate::module::word::<8>(found, 0);
                // The entry of a function is an address that programs keep; nobody returns to it.
                if (lowest..=highest).contains(&value)
                    && let Some(zone) = zone_of(zones, value)
                    && zones[zone].range.start != value
                {
                    return Ok(Some(Hit { zone, address: value, certain: false, call: false }));
                }
            }
            // Pages that cannot be read hold no stack.
            at += if got == 0 { 4096 - at % 4096 } else { got as u64 };
        }
    }
    Ok(None)
}

fn read(target: &dyn Target, (address, len): (u64, u64)) -> Option<Vec<u8>> {
    let mut data = vec![0; usize::try_from(len.min(MAX_UNWIND_BYTES)).ok()?];
    target.read_exact(address, &mut data).ok()?;
    Some(data)
}

fn read_up_to(target: &dyn Target, (address, len): (u64, u64)) -> Vec<u8> {
    let mut data = vec![0; usize::try_from(len).unwrap_or(0)];
    let got = target.read(address, &mut data).unwrap_or(0);
    data.truncate(got);
    data
}

/// `.eh_frame_hdr`: version, three encodings, and the address of `.eh_frame`, of which linkers know one way.
fn frame_address(index: &[u8], at: u64) -> Option<u64> {
    const RELATIVE_SIGNED_4: u8 = 0x1b;
    if !matches!(index, [1, RELATIVE_SIGNED_4, ..]) {
        return None;
    }
    let distance = i32::from_le_bytes(*index.get(4..8)?.first_chunk()?);
    Some(at.wrapping_add(4).wrapping_add_signed(i64::from(distance)))
}

/// A static program has no index; its file says where the unwind data are.
fn frame_section(target: &dyn Target, module: &Module) -> Option<u64> {
    let file = target.file(module.first.as_ref()?).ok()?;
    let file = File::parse(file.as_slice()).ok()?;
    if file.build_id().ok().flatten().unwrap_or_default() != module.build {
        return None;
    }
    Some(file.section_by_name(".eh_frame")?.address().wrapping_add(module.bias))
}
