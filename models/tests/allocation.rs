//! How much memory reading headers takes: counted, whatever the system says.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "a measurement says what it found")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use lumina_models::backbone::{Preset, identify};
use lumina_models::weights::{Checkpoint, Expected, Header, KeyMap, Weights, verify};
use lumina_models::{DType, Device, Interrupt};

/// The allocator of the system, with the bytes of each thread counted.
struct Counting;

thread_local! {
    /// Bytes that the thread has now, and the most that it had.
    static BYTES: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(change: isize) {
    // A thread that is ending has no counter any more.
    let _ = BYTES.try_with(|bytes| {
        let (now, most) = bytes.get();
        let now = now + change;
        bytes.set((now, most.max(now)));
    });
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
// SAFETY: every call goes on to the allocator of the system as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both exist for a moment at worst.
        count(size as isize);
        // SAFETY: as promised by the caller.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        count(-(layout.size() as isize));
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that this thread had more than before at any moment of the work.
fn most_bytes<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let (before, _) = BYTES.get();
    BYTES.set((before, before));
    let done = work();
    let (_, most) = BYTES.get();
    ((most - before) as usize, done)
}

/// Writes a true header over a hole: the file system stores next to nothing.
fn sparse(path: &Path, expected: &Expected) -> std::io::Result<u64> {
    let mut end = 0_u64;
    let entries: Vec<String> = expected
        .required
        .iter()
        .map(|(name, shape)| {
            let start = end;
            end += 4 * shape.iter().map(|&size| size as u64).product::<u64>();
            format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = File::create(path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let length = 8 + header.len() as u64 + end;
    file.set_len(length)?;
    Ok(length)
}

/// The most memory that this process has had in use, in bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

#[test]
fn opening_five_billion_parameters_takes_less_than_fifty_megabytes() {
    const MOST: usize = 50_000_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("consolidated.safetensors");
    let config = Preset::find("flag-dit-5b").unwrap().config();
    let length = match sparse(&path, &config.expected().unwrap()) {
        Ok(length) => length,
        Err(cause) => return println!("skipped: no file of 20 GB with a hole can be made here: {cause}"),
    };
    assert!(length > 20_000_000_000, "{length}");
    let before = resident();
    let (most, tensors) = most_bytes(|| {
        let checkpoint = Checkpoint::open_file(&path).unwrap();
        let found = identify(&checkpoint).unwrap();
        assert_eq!(found.preset, Some("flag-dit-5b"));
        let report = verify(&checkpoint, &KeyMap::identity(), &found.config.expected().unwrap(), &|_| false);
        assert!(report.is_loadable() && report.unused.is_empty(), "{report:?}");
        let (device, never) = (Device::Cpu, Interrupt::never());
        let weights = Weights::open(&checkpoint, KeyMap::identity(), DType::F32, &device, &never).unwrap();
        weights.unused().len()
    });
    println!("a file of {length} bytes with {tensors} tensors: at most {most} bytes allocated");
    assert_eq!(tensors, 688);
    assert!(most < MOST, "{most} bytes allocated");
    // Pages of the file that were touched count here as well.
    if let Some((before, after)) = before.zip(resident()) {
        println!("resident memory grew by {} bytes", after - before);
        assert!(after - before < MOST as u64, "{}", after - before);
    }
    // The first tensor is read from its own bytes alone: holes are zeros.
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    let (device, never) = (Device::Cpu, Interrupt::never());
    let weights = Weights::open(&checkpoint, KeyMap::identity(), DType::F32, &device, &never).unwrap();
    let shape = checkpoint.get("x_embedder.bias").unwrap().shape.clone();
    let (most, tensor) = most_bytes(|| weights.tensor("x_embedder.bias", &shape).unwrap());
    assert_eq!(tensor.dims(), shape);
    assert!(most < 1_000_000, "{most}");
}

#[test]
fn a_lying_header_allocates_nothing_beyond_its_file() {
    let entry = |shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let texts = [
        entry("[1000000000000]", "[0,4000000000000]"),
        entry("[18446744073709551615,18446744073709551615]", "[0,18446744073709551615]"),
        entry("[4]", "[18446744073709551600,18446744073709551615]"),
        format!("[{}", "[".repeat(1000)),
        entry("[1]", "[0,4]").replace("F32", &"F".repeat(500)),
    ];
    let lengths = [1 << 60, u64::MAX, 100_000_000, 99_999_999].into_iter();
    let lying = lengths.map(|length: u64| (length, entry("[1]", "[0,4]")));
    let honest = texts.into_iter().map(|text| (text.len() as u64, text));
    let dir = tempfile::tempdir().unwrap();
    for (length, text) in honest.chain(lying) {
        let path = dir.path().join("w.safetensors");
        let bytes = [&length.to_le_bytes()[..], text.as_bytes(), &[0; 4]].concat();
        std::fs::write(&path, &bytes).unwrap();
        let (most, result) = most_bytes(|| Header::read(&path).map(drop));
        assert!(result.is_err(), "{text}");
        // The header itself, what is parsed from it, and the message, which quotes names.
        let allowed = 3 * bytes.len() + 4096;
        assert!(
            most <= allowed,
            "{most} bytes for a file of {}: {}",
            bytes.len(),
            &text[..text.len().min(60)]
        );
    }
}
