//! Processor, memory, devices, and the notices of the system about changed files.

use lumina_models::Tensor;
use lumina_nodes::Compute;

use super::{Finding, Status};
use crate::memory;
use crate::messages::bytes;
use crate::watcher::Watcher;

/// With less than this even small pictures may fail.
const LITTLE_MEMORY: u64 = 1 << 30;

/// What the machine has. The device that was `asked` for must work.
pub(super) fn findings(asked: &str) -> Vec<Finding> {
    vec![processor(), free_memory(), device("cpu", Status::Error), other_device(asked), watcher()]
}

fn processor() -> Finding {
    let cores = std::thread::available_parallelism().map_or_else(
        |_| "an unknown number of cores".to_owned(),
        |count| match count.get() {
            1 => "1 core".to_owned(),
            count => format!("{count} cores"),
        },
    );
    let model = model_name().unwrap_or_else(|| "unknown model".to_owned());
    let present: Vec<&str> =
        instructions().iter().filter(|(_, present)| *present).map(|(name, _)| *name).collect();
    let missing: Vec<&str> =
        instructions().iter().filter(|(_, present)| !present).map(|(name, _)| *name).collect();
    let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    let detail = format!("{model}, {cores}, with {}, without {}", list(&present), list(&missing));
    Finding::new("processor", Status::Ok, detail)
}

/// `model name` of Linux; other systems do not say it in a file.
fn model_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Instructions that make networks fast, and whether this processor has them.
fn instructions() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    return vec![
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512", std::is_x86_feature_detected!("avx512f")),
        ("bf16", std::is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(target_arch = "aarch64")]
    return vec![
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Vec::new();
}

fn free_memory() -> Finding {
    match (memory::total(), memory::available()) {
        (Some(total), Some(available)) => {
            let status = if available < LITTLE_MEMORY { Status::Warning } else { Status::Ok };
            let budget = memory::budget();
            let detail = format!(
                "{}, {} available; outputs may take {}",
                bytes(total),
                bytes(available),
                bytes(budget)
            );
            Finding::new("memory", status, detail)
        }
        _ => Finding::new("memory", Status::Warning, "this system does not say how much it has"),
    }
}

/// The device that was asked for; where that is no other than the CPU, whether there is CUDA.
fn other_device(asked: &str) -> Finding {
    match asked {
        "auto" | "cpu" if cfg!(feature = "cuda") => device("cuda:0", Status::Warning),
        "auto" | "cpu" => Finding::new("device cuda", Status::Ok, "not built in (feature `cuda`)"),
        other => device(other, Status::Error),
    }
}

fn device(name: &str, otherwise: Status) -> Finding {
    Finding::of(format!("device {name}"), compute(name).map(|()| "computes".to_owned()), otherwise)
}

/// Lets a device add a few numbers: one that can be opened may still not work.
fn compute(name: &str) -> Result<(), String> {
    let opened = Compute::open(name, "f32").map_err(|cause| cause.to_string())?;
    let sum = Tensor::arange(0f32, 5f32, &opened.device)
        .and_then(|numbers| numbers.sum_all())
        .and_then(|sum| sum.to_scalar::<f32>())
        .map_err(|cause| format!("it cannot compute: {cause}"))?;
    if sum == 10.0 { Ok(()) } else { Err(format!("it computes wrongly: 0 + 1 + 2 + 3 + 4 is not {sum}")) }
}

/// `watch` needs it, and systems limit how many there may be.
fn watcher() -> Finding {
    let file = std::env::current_dir().unwrap_or_default().join("graph.ron");
    let started = Watcher::new().and_then(|mut watcher| watcher.watch([file]));
    let result = started.map(|()| "starts".to_owned()).map_err(|cause| format!("{cause:#}"));
    Finding::of("file watcher", result, Status::Warning)
}
