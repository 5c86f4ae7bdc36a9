//! Which vector instructions this machine has.

use std::fmt;
use std::sync::OnceLock;

/// A set of vector instructions, found when the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// 16 numbers at once (x86-64-v4).
    Avx512,
    /// 8 numbers at once, with fused multiplication and addition (x86-64-v3).
    Avx2,
    /// What every machine of this architecture has.
    Plain,
}

impl Processor {
    /// The best set of this machine.
    pub fn detect() -> Self {
        static FOUND: OnceLock<Processor> = OnceLock::new();
        *FOUND.get_or_init(|| Self::available().into_iter().next().unwrap_or(Self::Plain))
    }

    /// Every set that this machine has, the best first.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if fused && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                found.push(Self::Avx512);
            }
            if fused {
                found.push(Self::Avx2);
            }
        }
        found.push(Self::Plain);
        found
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2",
            Self::Plain => "plain",
        })
    }
}
