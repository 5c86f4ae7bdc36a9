//! The class-conditional networks, against the original code.

use candle_core::{Device, Tensor};
use lumina_models::backbone::{
    Backbone, ClassDit, ClassDitConfig, ClassDitKind, Labels, RopeFactors, Stage, grid_table, line_table,
};
use lumina_models::{DType, Interrupt};

use crate::backbone_cases::{check_stage, check_table, checkpoint, constructor, doubled, guided, options};
use crate::common::{Golden, check};

fn network(folder: &str, kind: ClassDitKind) -> ClassDit {
    let (checkpoint, built) = (checkpoint(folder), constructor(folder));
    let heads = built["n_heads"].as_u64().unwrap() as usize;
    let found = ClassDitConfig::of_kind(&checkpoint, kind, Some(heads)).unwrap();
    assert_eq!(found.sizes.key_heads() as u64, built["n_kv_heads"].as_u64().unwrap());
    let config = ClassDitConfig { sample_size: built["input_size"].as_u64().unwrap() as usize, ..found };
    ClassDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

fn compare(folder: &str, kind: ClassDitKind) {
    let network = network(folder, kind);
    let golden = Golden::open(folder, "config.json");
    let last = network.config().sizes.num_layers - 1;
    for case in &golden.cases {
        let number = |name: &str| case.number(name).unwrap_or(1.0);
        let rope = RopeFactors { linear: number("rope_scaling_factor"), ntk: number("ntk_factor") };
        let (options, times) = (options(case, rope), golden.times(case, "t"));
        let labels = Labels(golden.get(case, "y").to_dtype(DType::U32).unwrap().to_vec1().unwrap());
        let with_guidance = case.method == "forward_with_cfg";
        let x = golden.get(case, "x");
        let latent = if with_guidance { doubled(x) } else { x.clone() };

        let (rows, columns) = (x.dims()[2] / 2, x.dims()[3] / 2);
        let head_dim = network.config().sizes.head_dim();
        let table = match kind {
            ClassDitKind::Flag => line_table(rows * columns, head_dim, rope, &Device::Cpu),
            _ => grid_table(rows, columns, head_dim, rope, &Device::Cpu),
        };
        check_table(folder, &golden, case, 0, &table.unwrap());

        let mut observe = |stage: Stage, state: &Tensor| {
            check_stage(folder, &golden, case, stage, state, last);
            Ok(())
        };
        let output = network.forward_observed(&latent, &times, &labels, &options, &mut observe).unwrap();
        let velocity = output.narrow(1, 0, 4).unwrap();
        let found = if with_guidance { guided(&velocity, number("cfg_scale")) } else { velocity };
        let what = format!("{folder} {}", case.name);
        check(&what, &found, golden.get(case, "out"), case.tol_abs.as_f64().unwrap());
    }
}

#[test]
fn flag_dit_for_classes_is_that_of_the_original_code() {
    compare("flag_dit_imagenet", ClassDitKind::Flag);
}

#[test]
fn next_dit_for_classes_is_that_of_the_original_code() {
    compare("next_dit_imagenet", ClassDitKind::Next);
}

#[test]
fn mixtures_of_experts_are_those_of_the_original_code() {
    compare("next_dit_moe_time", ClassDitKind::TimeMixture);
    compare("next_dit_moe_space", ClassDitKind::SpaceMixture);
    compare("next_dit_moe_both", ClassDitKind::BothMixtures);
}
