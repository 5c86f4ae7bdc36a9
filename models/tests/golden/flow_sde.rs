//! Paths between noise and data and the stochastic sampler, against the transport code.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use lumina_models::flow::{Diffusion, Integration, Midpoint, Path, Prediction, Settings, Solvers, integrate};

use crate::common::{Golden, check, values};
use crate::flow_ode::linear_field;

/// A stack of what `each` gives for each row of a batch, whose times differ.
fn rows(golden: &Golden, each: impl Fn(usize, f64) -> Tensor) -> Tensor {
    let times = values(golden.find("t").unwrap());
    let all: Vec<Tensor> = times.iter().enumerate().map(|(row, &time)| each(row, f64::from(time))).collect();
    Tensor::stack(&all, 0).unwrap()
}

#[test]
fn paths_are_those_of_the_original_code() {
    let golden = Golden::open("transport_paths", "config.json");
    for (name, path) in
        [("linear", Path::Linear), ("gvp", Path::Trigonometric), ("vp", Path::VariancePreserving)]
    {
        let case = golden.cases.iter().find(|case| case.name == name).unwrap();
        let row = |tensor: &str, row: usize| golden.find(tensor).unwrap().get(row).unwrap();
        let state = |index: usize| golden.get(case, "xt").get(index).unwrap();
        let compare = |output: &str, found: Tensor| {
            let expected = golden.get(case, output).reshape(found.dims()).unwrap();
            check(&format!("{name} {output}"), &found, &expected, case.tol_abs.as_f64().unwrap());
        };
        let number = |value: f64| Tensor::new(value as f32, &Device::Cpu).unwrap();
        compare("alpha", rows(&golden, |_, time| number(path.at(time).alpha)));
        compare("d_alpha", rows(&golden, |_, time| number(path.at(time).alpha_slope)));
        compare("sigma", rows(&golden, |_, time| number(path.at(time).sigma)));
        compare("d_sigma", rows(&golden, |_, time| number(path.at(time).sigma_slope)));
        compare("var", rows(&golden, |_, time| number(path.at(time).spread)));
        compare("drift", rows(&golden, |index, time| (state(index) * -path.at(time).growth).unwrap()));
        let ends = |index: usize| (row("x1", index), row("x0", index));
        compare("xt", rows(&golden, |index, time| path.state(&ends(index).0, &ends(index).1, time).unwrap()));
        compare(
            "ut",
            rows(&golden, |index, time| path.target(&ends(index).0, &ends(index).1, time).unwrap()),
        );
        let v = |index: usize| row("v", index);
        compare("score_from_v", rows(&golden, |at, time| path.score(&v(at), &state(at), time).unwrap()));
        compare("noise_from_v", rows(&golden, |at, time| path.noise(&v(at), &state(at), time).unwrap()));
        let from_score = |at: usize, time: f64| path.velocity(Prediction::Score, &v(at), &state(at), time);
        compare("v_from_score", rows(&golden, |at, time| from_score(at, time).unwrap()));
        let norm = case.number("diffusion_norm").unwrap();
        for (output, form) in [
            ("w_SBDM", Diffusion::Sbdm),
            ("w_sigma", Diffusion::Sigma),
            ("w_linear", Diffusion::Linear),
            ("w_decreasing", Diffusion::Decreasing),
        ] {
            compare(output, rows(&golden, |_, time| number(form.at(path, norm, time).unwrap())));
        }
    }
}

#[test]
fn other_predictions_and_paths_lead_where_the_original_code_leads() {
    let golden = Golden::open("transport_paths", "config.json");
    let mixing = golden.find("K3").unwrap();
    let cases = golden.with_method("Sampler.sample_ode");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let path = match case.args["path_type"].as_str().unwrap() {
            "Linear" => Path::Linear,
            "GVP" => Path::Trigonometric,
            _ => Path::VariancePreserving,
        };
        let prediction = case.args["prediction"].as_str().unwrap();
        let times = golden.times(case, "t");
        let start = golden.find("x0").unwrap();
        let mut states = vec![start.clone()];
        integrate(
            &Midpoint,
            start,
            &times,
            |latent, time| {
                let mixed = mixing.broadcast_matmul(latent)?;
                let (predicted, prediction) = match prediction {
                    "velocity" => (mixed.neg()?, Prediction::Velocity),
                    "score" => ((latent + (mixed * time)?)?.neg()?, Prediction::Score),
                    _ => (((latent + (mixed * time)?)? * (1.0 - time))?, Prediction::Noise),
                };
                path.velocity(prediction, &predicted, latent, time)
            },
            |step| {
                states.push(step.latent.clone());
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        let found = Tensor::stack(&states, 0).unwrap();
        let what = format!("transport_paths {}", case.name);
        check(&what, &found, golden.get(case, "states"), case.tol_abs.as_f64().unwrap());
    }
}

#[test]
fn states_with_recorded_noise_are_those_of_the_original_code() {
    let golden = Golden::open("sampler_sde", "config.json");
    assert_eq!(golden.cases.len(), 6);
    for case in &golden.cases {
        let word = |name: &str| case.args[name].as_str().unwrap_or("none").to_lowercase();
        let settings = Settings::new()
            .word("method", word("sampling_method"))
            .word("form", word("diffusion_form"))
            .word("last_step", word("last_step"))
            .number("norm", case.number("diffusion_norm").unwrap());
        let solver = Solvers::built_in().build("sde", &settings).unwrap();
        let points = case.number("num_steps").unwrap() as usize;
        let size = if word("last_step") == "none" { 0.0 } else { case.number("last_step_size").unwrap() };
        let mut times: Vec<f64> =
            (0..points).map(|index| (1.0 - size) * index as f64 / (points - 1) as f64).collect();
        times.extend((size > 0.0).then_some(1.0));

        let noises = golden.get(case, "noises");
        let mut drawn = 0;
        let mut noise = |_: &Tensor| {
            drawn += 1;
            Ok(noises.get(drawn - 1)?)
        };
        let mut states = Vec::new();
        let integration = Integration::new(&*solver, &times).with_noise(&mut noise);
        integration
            .run(golden.find("x0").unwrap(), linear_field(&golden), |step| {
                states.push(step.latent.clone());
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(drawn, noises.dims()[0], "{}", case.name);
        let expected = golden.get(case, "states");
        if size == 0.0 {
            // The reference lists the last state a second time, as what no last step made of it.
            states.extend(states.last().cloned());
        }
        let found = Tensor::stack(&states, 0).unwrap();
        let what = format!("sampler_sde {}", case.name);
        check(&what, &found, expected, case.tol_abs.as_f64().unwrap());
    }
}
