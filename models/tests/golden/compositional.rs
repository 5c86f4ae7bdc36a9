//! Captions for regions, against the original code.

use candle_core::{Device, Tensor};
use lumina_models::backbone::{CellOrder, NextDit, NextDitConfig, Region, RopeScaling, Stage, grid_table};
use lumina_models::{DType, Interrupt};

use crate::backbone_cases::{check_stage, check_table, checkpoint, doubled, guided, options};
use crate::common::{Case, Golden, caption, check, check_values, rows, values};

const FOLDER: &str = "next_dit_compositional";

fn network() -> NextDit {
    let checkpoint = checkpoint(FOLDER);
    let config = NextDitConfig::from_checkpoint(&checkpoint).unwrap();
    NextDit::load(&checkpoint, &config, DType::F32, &Device::Cpu, &Interrupt::never()).unwrap()
}

/// A region for each cell, and the unconditional caption on all of the second latent.
fn regions(case: &Case, latent: &Tensor) -> Vec<Region> {
    let size = |name: &str| case.number(name).unwrap() as usize;
    let grid = (latent.dims()[2] / 2, latent.dims()[3] / 2);
    let cells = (size("h_split_num"), size("w_split_num"));
    let mut regions = Region::cells(0, grid, cells, CellOrder::Reference).unwrap();
    regions.push(Region::whole(1, grid.0 * grid.1));
    regions
}

#[test]
fn captions_of_regions_are_read_as_in_the_original_code() {
    let network = network();
    let golden = Golden::open(FOLDER, "config.json");
    let last = network.config().num_layers - 1;
    for case in &golden.cases {
        let number = |name: &str| case.number(name).unwrap_or(1.0);
        let what = format!("{FOLDER} {}", case.name);
        let (x, times) = (golden.get(case, "x"), golden.times(case, "t"));
        let regions = regions(case, x);
        for (index, (region, expected)) in
            regions.iter().zip(rows(golden.get(case, "dbg.region_mask"))).enumerate()
        {
            let expected: Vec<f32> = expected.iter().map(|&inside| inside as f32).collect();
            check_values(&format!("{what} region {index}"), &region.weights, &expected, 0.0);
        }
        let features = caption(golden.get(case, "cap_feats"), golden.get(case, "cap_mask"));
        let global = caption(golden.get(case, "global_cap_feats"), golden.get(case, "global_cap_mask"));
        let prepared = network.prepare_regions(&features, &global, &regions).unwrap();
        let scaling =
            RopeScaling { scale_factor: number("scale_factor"), watershed: number("scale_watershed") };
        let options = options(case, scaling.factors_at(times[0]));
        let (rows, columns) = (x.dims()[2] / 2, x.dims()[3] / 2);
        let head_dim = network.config().head_dim();
        let table = grid_table(rows, columns, head_dim, options.rope, &Device::Cpu).unwrap();
        check_table(FOLDER, &golden, case, 0, &table);
        let mut observe = |stage: Stage, state: &Tensor| {
            check_stage(FOLDER, &golden, case, stage, state, last);
            Ok(())
        };
        let latent = doubled(x);
        let output = network.forward_observed(&latent, &times, &prepared, &options, &mut observe).unwrap();
        let velocity = output.narrow(1, 0, 4).unwrap();
        let tolerance = case.tol_abs.as_f64().unwrap();
        check(&what, &guided(&velocity, number("cfg_scale")), golden.get(case, "out"), tolerance);

        // One latent after the other gives the same.
        for row in 0..2 {
            let (alone, one) = (prepared.rows(row, 1).unwrap(), latent.narrow(0, row, 1).unwrap());
            let found = network.velocity(&one, &times[..1], &alone, &options).unwrap();
            let expected = velocity.narrow(0, row, 1).unwrap();
            check_values(&format!("{what} row {row}"), &values(&found), &values(&expected), 2e-5);
        }
    }
}
