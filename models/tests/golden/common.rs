//! Reading golden cases and comparing with them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use lumina_models::weights::{Checkpoint, KeyMap, Weights};
use lumina_models::{Interrupt, text::TextFeatures};
use serde::Deserialize;
use serde_json::Value;

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

#[derive(Default, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) args: Value,
    #[serde(default)]
    pub(crate) outputs: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) tol_abs: Value,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default)]
    pub(crate) optional_outputs: Vec<String>,
    /// The settings of the scheduler, where the case has one of its own.
    #[serde(default)]
    pub(crate) scheduler_config: Value,
}

impl Case {
    pub(crate) fn tolerance(&self, output: &str) -> f64 {
        self.tol_abs[output].as_f64().unwrap_or_else(|| panic!("{}: no tolerance for {output}", self.name))
    }

    pub(crate) fn number(&self, argument: &str) -> Option<f64> {
        self.args[argument].as_f64()
    }

    pub(crate) fn texts(&self, argument: &str) -> Option<Vec<String>> {
        match &self.args[argument] {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(texts) => Some(texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect()),
            _ => None,
        }
    }
}

/// The cases of a folder and their tensors.
pub(crate) struct Golden {
    pub(crate) cases: Vec<Case>,
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    pub(crate) fn open(folder: &str, list: &str) -> Self {
        #[derive(Deserialize)]
        struct List {
            cases: Vec<Case>,
        }
        // Settings of schedulers that are not covered hold an infinity, as Python writes it.
        let text = std::fs::read_to_string(golden(folder).join(list)).unwrap().replace("-Infinity", "null");
        let list: List = serde_json::from_str(&text).unwrap();
        Self { cases: list.cases, tensors: load(&golden(folder).join("cases.safetensors")) }
    }

    pub(crate) fn with_method(&self, method: &str) -> Vec<&Case> {
        let cases: Vec<_> = self.cases.iter().filter(|case| case.method == method).collect();
        assert!(!cases.is_empty(), "no case of {method}");
        cases
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Tensor> {
        self.tensors.get(key)
    }

    pub(crate) fn get(&self, case: &Case, name: &str) -> &Tensor {
        let key = format!("{}.{name}", case.name);
        self.find(&key).unwrap_or_else(|| panic!("no tensor {key}"))
    }

    pub(crate) fn rows(&self, case: &Case, name: &str) -> Vec<Vec<u32>> {
        rows(self.get(case, name))
    }

    pub(crate) fn times(&self, case: &Case, name: &str) -> Vec<f64> {
        self.get(case, name).to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }
}

pub(crate) fn load(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

pub(crate) fn rows(tensor: &Tensor) -> Vec<Vec<u32>> {
    tensor.to_dtype(DType::U32).unwrap().to_vec2().unwrap()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn largest(tensor: &Tensor) -> f64 {
    values(tensor).into_iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())))
}

/// Prints and checks the largest difference.
#[track_caller]
pub(crate) fn check(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    check_values(what, &values(found), &values(expected), tolerance);
}

/// As [`check`], where `mask` `[batch, tokens]` is not 0, for tensors `[batch, tokens, channels]`.
#[track_caller]
pub(crate) fn check_masked(what: &str, found: &Tensor, expected: &Tensor, mask: &[Vec<u32>], tolerance: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let channels = found.dims()[2];
    let pick = |tensor: &Tensor| -> Vec<f32> {
        let seen = mask.iter().flatten();
        values(tensor)
            .chunks(channels)
            .zip(seen)
            .filter(|(_, seen)| **seen != 0)
            .flat_map(|(row, _)| row.to_vec())
            .collect()
    };
    check_values(what, &pick(found), &pick(expected), tolerance);
}

#[track_caller]
pub(crate) fn check_values(what: &str, found: &[f32], expected: &[f32], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: count");
    assert!(!found.is_empty(), "{what}: empty");
    let pairs = found.iter().zip(expected);
    let difference = pairs.fold(0.0_f64, |most, (a, b)| {
        let difference = f64::from((a - b).abs());
        if difference.is_nan() { f64::INFINITY } else { most.max(difference) }
    });
    println!("{what}: largest difference {difference:.3e}, tolerance {tolerance:.3e}");
    assert!(difference <= tolerance, "{what}: difference {difference:.3e} above {tolerance:.3e}");
}

pub(crate) fn weights(checkpoint: &Checkpoint, keys: KeyMap) -> Weights {
    Weights::open(checkpoint, keys, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

pub(crate) fn caption(features: &Tensor, mask: &Tensor) -> TextFeatures {
    TextFeatures::new(features.clone(), mask).unwrap()
}
