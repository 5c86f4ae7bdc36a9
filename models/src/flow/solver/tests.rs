use super::*;
use crate::flow::{Settings, uniform};
use candle_core::Device;

fn start(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn on(_: Step<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// dx/dt = x + t from (1, 2): the exact end is (x + 1) e - 2.
fn linear(solver: &dyn Solver, steps: usize) -> f64 {
    let times = uniform(steps + 1).unwrap();
    let solution = integrate(solver, &start(&[1.0, 2.0]), &times, |x, t| Ok((x + t)?), on).unwrap();
    let found = solution.latent.to_vec1::<f64>().unwrap();
    let exact = [1.0, 2.0].map(|x: f64| (x + 1.0) * 1.0_f64.exp() - 2.0);
    found.iter().zip(exact).map(|(found, exact)| (found - exact).abs()).fold(0.0, f64::max)
}

/// A turn of two and a bit, faster and faster: dx/dt = 2 t w (-y, x) from (1, 0) is at the angle w t^2.
fn rotating(solver: &dyn Solver, steps: usize) -> f64 {
    const SPEED: f64 = 2.2;
    let times = uniform(steps + 1).unwrap();
    let field = |x: &Tensor, t: f64| {
        let (x, y) = (x.narrow(0, 0, 1)?, x.narrow(0, 1, 1)?);
        Ok((Tensor::cat(&[y.neg()?, x], 0)? * (2.0 * SPEED * t))?)
    };
    let solution = integrate(solver, &start(&[1.0, 0.0]), &times, field, on).unwrap();
    let found = solution.latent.to_vec1::<f64>().unwrap();
    (found[0] - SPEED.cos()).hypot(found[1] - SPEED.sin())
}

#[test]
fn errors_fall_with_the_order_of_each_solver() {
    let orders = [
        ("euler", 1.0, 80),
        ("midpoint", 2.0, 40),
        ("heun2", 2.0, 40),
        ("heun3", 3.0, 40),
        ("rk4", 4.0, 20),
        ("rk4_classic", 4.0, 20),
        ("rk4_torchdyn", 1.0, 80),
        ("explicit_adams", 4.0, 80),
        ("implicit_adams", 5.0, 40),
    ];
    for (name, order, steps) in orders {
        // An order that the corrections of a step do not end before.
        let settings = match name {
            "implicit_adams" => {
                Settings::new().number("rtol", 0.0).number("atol", 1e-14).number("corrections", 16.0)
            }
            _ => Settings::new(),
        };
        let solver = Solvers::built_in().build(name, &settings).unwrap();
        for (field, error) in [("linear", linear as fn(&dyn Solver, usize) -> f64), ("rotating", rotating)] {
            let found = (error(&*solver, steps) / error(&*solver, 2 * steps)).log2();
            assert!((found - order).abs() < 0.2, "{name} on the {field} field: order {found}, not {order}");
        }
    }
}

/// The error before the last step of a grid that keeps away from both ends, where a step of these solvers is infinite. Its
/// first two steps are so short that their lower order does not show; the last one is of a lower order with UniPC.
fn inner(solver: &dyn Solver, steps: usize) -> f64 {
    let length: f64 = 0.8 / steps as f64;
    let mut times = vec![0.1, 0.1 + 0.1 * length * length];
    times.extend((0..=steps).map(|index| 0.1 + 0.5 * length.powf(1.5) + 0.8 * index as f64 / steps as f64));
    let end = times[times.len() - 2];
    let mut noise = |like: &Tensor| Ok(like.zeros_like()?);
    let integration = Integration::new(solver, &times).with_noise(&mut noise);
    let stop = |step: Step<'_>| {
        if step.index + 2 == step.steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let solution = integration.run(&start(&[1.0]), |x, t| Ok((x + t)?), stop).unwrap();
    let found = solution.latent.to_vec1::<f64>().unwrap()[0];
    (found - (2.1 * (end - 0.1).exp() - end - 1.0)).abs()
}

#[test]
fn errors_of_solvers_by_the_logarithm_of_noise_fall_with_their_order() {
    let orders = [
        ("heun_diffusers", Settings::new(), 2.0),
        ("dpmpp_2m", Settings::new(), 2.0),
        ("dpmpp_2m", Settings::new().word("form", "heun"), 2.0),
        // Not 3: its weights are those of the reference.
        ("dpmpp_3m", Settings::new(), 2.0),
        ("dpmpp_2s", Settings::new(), 2.0),
        ("unipc", Settings::new().number("order", 1.0), 2.0),
        ("unipc", Settings::new(), 3.0),
        ("unipc", Settings::new().word("form", "bh1"), 3.0),
        // Without noise it follows the velocity.
        ("sde", Settings::new().number("norm", 0.0).word("last_step", "none"), 1.0),
        ("sde", Settings::new().number("norm", 0.0).word("last_step", "none").word("method", "heun"), 2.0),
    ];
    for (name, settings, order) in orders {
        let solver = Solvers::built_in().build(name, &settings).unwrap();
        let found = (inner(&*solver, 100) / inner(&*solver, 200)).log2();
        assert!((found - order).abs() < 0.3, "{name} {settings:?}: order {found}, not {order}");
    }
}

/// Data that is normal with this deviation has a velocity in closed form: `x` times the growth of the deviation on the way.
#[test]
fn stochastic_solvers_keep_the_distribution() {
    const DEVIATION: f64 = 0.4;
    let field = |x: &Tensor, t: f64| {
        let variance = t * t * DEVIATION * DEVIATION + (1.0 - t) * (1.0 - t);
        Ok((x * ((t * DEVIATION * DEVIATION - (1.0 - t)) / variance))?)
    };
    let device = Device::Cpu;
    let latent = crate::noise::Generator::Philox.normal(1, &[40_000], &device).unwrap();
    let times = uniform(101).unwrap();
    for (name, settings) in [
        ("euler", Settings::new()),
        ("sde", Settings::new()),
        ("sde", Settings::new().word("method", "heun").word("last_step", "tweedie")),
        ("sde", Settings::new().word("form", "decreasing")),
        ("dpmpp_2m_sde", Settings::new()),
    ] {
        let solver = Solvers::built_in().build(name, &settings).unwrap();
        let mut noise = crate::flow::seeded(crate::noise::Generator::Philox, 1);
        let integration = Integration::new(&*solver, &times).with_noise(&mut noise);
        let end = integration.run(&latent, field, on).unwrap().latent;
        let found = f64::from(end.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap()).sqrt();
        assert!((found / DEVIATION - 1.0).abs() < 0.04, "{name} {settings:?}: {found}, not {DEVIATION}");
    }
}

#[test]
fn a_stochastic_solver_without_noise_says_so() {
    let solver = Solvers::built_in().build("lcm", &Settings::new()).unwrap();
    let result = integrate(&*solver, &start(&[1.0]), &[0.0, 1.0], |x, _| Ok(x.clone()), on);
    let message = result.unwrap_err().to_string();
    assert_eq!(message, "the noise of a stochastic solver is missing, expected a source");
}

#[test]
fn adaptive_solvers_keep_to_their_tolerance() {
    // Not `bosh3`: what it gives between the ends of its steps is of a lower order.
    for (name, finest) in [("adaptive_heun", 1e-6), ("fehlberg2", 1e-6), ("dopri5", 1e-8), ("dopri8", 1e-8)] {
        let solver = |tolerance: f64| {
            let settings = Settings::new().number("rtol", tolerance).number("atol", tolerance);
            Solvers::built_in().build(name, &settings).unwrap()
        };
        let (coarse, fine) = (solver(1e-4), solver(finest));
        for (field, error) in [("linear", linear as fn(&dyn Solver, usize) -> f64), ("rotating", rotating)] {
            let (coarse, fine) = (error(&*coarse, 1), error(&*fine, 1));
            assert!(fine < 1e-3 && fine < 0.1 * coarse, "{name} on the {field} field: {coarse:e}, {fine:e}");
        }
    }
}

#[test]
fn a_solver_that_cannot_keep_its_tolerance_says_so() {
    let settings = Settings::new().number("rtol", 1e-12).number("atol", 1e-12).number("max_steps", 5.0);
    let solver = Solvers::built_in().build("bosh3", &settings).unwrap();
    let result = integrate(&*solver, &start(&[1.0]), &[0.0, 1.0], |x, _| Ok((x * 9.0)?), on);
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with("the number of steps of `bosh3` is reached at time 0.0"), "{message}");
    let solver = Solvers::built_in().build("dopri5", &Settings::new()).unwrap();
    let result = integrate(&*solver, &start(&[1.0]), &[0.0, 1.0], |x, _| Ok((x * f64::NAN)?), on);
    assert!(matches!(result, Err(ModelError::Input { .. })));
}

#[test]
fn the_observer_can_stop_every_solver() {
    for kind in Solvers::built_in().iter() {
        let solver = Solvers::built_in().build(kind.name, &Settings::new()).unwrap();
        let mut seen = Vec::new();
        let stop = |step: Step<'_>| {
            seen.push((step.index, step.steps, step.time));
            if step.index == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let times = [0.0, 0.25, 0.5, 1.0];
        let mut noise = |like: &Tensor| Ok(like.zeros_like()?);
        let integration = Integration::new(&*solver, &times).with_noise(&mut noise);
        let solution = integration.run(&start(&[0.0]), |x, _| Ok(x.ones_like()?), stop).unwrap();
        assert_eq!((solution.steps, solution.stopped), (2, true), "{}", kind.name);
        assert_eq!(seen, [(0, 3, 0.25), (1, 3, 0.5)], "{}", kind.name);
        let reached = solution.latent.to_vec1::<f64>().unwrap();
        assert!((reached[0] - 0.5).abs() < 1e-6, "{}: {reached:?}", kind.name);
    }
}

#[test]
fn grids_that_do_not_rise_are_refused() {
    for times in
        [&[1.0, 0.0][..], &[0.5], &[], &[0.0, 0.5, 0.5, 1.0], &[0.0, f64::NAN], &[0.0, f64::INFINITY]]
    {
        let result = integrate(&Euler, &start(&[0.0]), times, |x, _| Ok(x.clone()), on);
        assert!(matches!(result, Err(ModelError::Input { .. })), "{times:?}");
    }
}

#[test]
fn a_velocity_of_another_shape_is_refused() {
    let result = integrate(&Euler, &start(&[0.0]), &[0.0, 1.0], |_, _| Ok(start(&[1.0, 2.0])), on);
    assert_eq!(result.unwrap_err().to_string(), "the shape of the velocity is [2], expected [1]");
}

#[test]
fn names_and_settings_are_checked() {
    let solvers = Solvers::built_in();
    let message = |name: &str, settings: Settings| solvers.build(name, &settings).unwrap_err().to_string();
    assert!(message("eulr", Settings::new()).starts_with("the solver is `eulr`, expected one of `euler`, "));
    assert_eq!(
        message("euler", Settings::new().number("rtol", 1.0)),
        "a setting of `euler` is `rtol`, expected no settings"
    );
    assert_eq!(
        message("dopri5", Settings::new().number("rtol", f64::NAN)),
        "`rtol` of `dopri5` is NaN, expected 0.000000000001 to 1"
    );
    assert_eq!(
        message("explicit_adams", Settings::new().number("order", 2.5)),
        "`order` of `explicit_adams` is 2.5, expected a whole number of 1 to 8"
    );
}

/// The arithmetic of torch with numbers in bfloat16 and times in float32, one number at a time.
mod reference {
    use half::bf16;

    fn round(value: f32) -> f32 {
        bf16::from_f32(value).to_f32()
    }

    /// A field that a network in bfloat16 could have.
    pub(super) fn field(x: f32, told: f32) -> f32 {
        round((1.3 * x).sin() - told * x + 0.7)
    }

    fn told(time: f32) -> f32 {
        round(time)
    }

    pub(super) fn step(solver: &str, x: f32, start: f32, end: f32) -> f32 {
        let dt = end - start;
        let times = |a: f32, b: f32| round(a * b);
        let plus = |a: f32, b: f32| round(a + b);
        let k1 = field(x, told(start));
        let third = 1.0 / 3.0_f64;
        match solver {
            "euler" => plus(x, times(dt, k1)),
            "midpoint" => {
                let half = 0.5 * dt;
                plus(x, times(dt, field(plus(x, times(k1, half)), told(start + half))))
            }
            "heun2" => {
                let k2 = field(plus(x, times(dt, k1)), told(end));
                plus(x, times(dt, plus(times(k1, 0.5), times(k2, 0.5))))
            }
            "heun3" => {
                let k2 = field(plus(x, times(times(dt, k1), third as f32)), told(start + dt * third as f32));
                let two_thirds = (2.0 / 3.0_f64) as f32;
                let k3 = field(plus(x, times(dt, times(k2, two_thirds))), told(start + dt * two_thirds));
                plus(x, times(dt, plus(times(k1, 0.25), times(k3, 0.75))))
            }
            _ => {
                let third = third as f32;
                let k2 = field(plus(x, times(times(dt, k1), third)), told(start + dt * third));
                let two_thirds = (2.0 / 3.0_f64) as f32;
                let change = plus(k2, -times(k1, third));
                let k3 = field(plus(x, times(dt, change)), told(start + dt * two_thirds));
                let change = plus(plus(k1, -k2), k3);
                let k4 = field(plus(x, times(dt, change)), told(end));
                let all = plus(plus(k1, times(3.0, plus(k2, k3))), k4);
                plus(x, times(times(all, dt), 0.125))
            }
        }
    }
}

#[test]
fn a_bfloat16_state_is_rounded_as_torch_rounds_it_bit_by_bit() {
    let times = crate::flow::shifted_float32(23, 4.0).unwrap();
    let numbers: Vec<f32> = (0..200).map(|index| (index as f32 * 0.37).sin() * 3.0).collect();
    for name in ["euler", "midpoint", "heun2", "heun3", "rk4"] {
        let solver = Solvers::built_in().build(name, &Settings::new()).unwrap();
        let mut expected: Vec<f32> = numbers.iter().map(|&x| half::bf16::from_f32(x).to_f32()).collect();
        let start = Tensor::new(numbers.as_slice(), &Device::Cpu).unwrap();
        let velocity = |latent: &Tensor, time: f64| {
            let moved = latent.to_vec1::<f32>()?.into_iter().map(|x| reference::field(x, time as f32));
            Ok(Tensor::from_vec(moved.collect::<Vec<_>>(), latent.dims(), &Device::Cpu)?)
        };
        let observe = |step: Step<'_>| {
            let pair = (times[step.index] as f32, times[step.index + 1] as f32);
            expected.iter_mut().for_each(|x| *x = reference::step(name, *x, pair.0, pair.1));
            assert_eq!(step.latent.to_vec1::<f32>().unwrap(), expected, "{name} step {}", step.index);
            ControlFlow::Continue(())
        };
        let integration = Integration::new(&*solver, &times).with_precision(StatePrecision::Bfloat16);
        integration.run(&start, velocity, observe).unwrap();
    }
}

#[test]
fn times_are_told_in_bfloat16_and_solvers_without_that_form_refuse_it() {
    let times = crate::flow::shifted_float32(5, 4.0).unwrap();
    let mut told = Vec::new();
    let velocity = |latent: &Tensor, time: f64| {
        told.push(time as f32);
        Ok(latent.clone())
    };
    let start = Tensor::new(&[1.0_f32], &Device::Cpu).unwrap();
    let rounded = |solver| Integration::new(solver, &times).with_precision(StatePrecision::Bfloat16);
    rounded(&Euler).run(&start, velocity, on).unwrap();
    assert_eq!(told, [0.0, 0.077_148_44, 0.200_195_31, 0.427_734_38]);
    let solver = Solvers::built_in().build("dopri5", &Settings::new()).unwrap();
    let message = rounded(&*solver).run(&start, |x, _| Ok(x.clone()), on).unwrap_err().to_string();
    assert_eq!(message, "the precision of the state of `dopri5` is bfloat16, expected full precision");
}
