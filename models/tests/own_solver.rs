//! A solver and a schedule that are not in the crate: one file, and one line that registers each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use lumina_models::Result;
use lumina_models::flow::{
    Count, Grid, Parameter, Schedule, ScheduleKind, Schedules, Settings, Solver, SolverKind, Solvers, Walk,
    integrate, uniform,
};

/// Ralston's method, with the place of its second stage to choose.
#[derive(Debug)]
struct Ralston {
    place: f64,
}

impl Solver for Ralston {
    fn solve(&self, walk: &mut Walk<'_>) -> Result<Tensor> {
        let (state, place) = (walk.precision(), self.place);
        walk.each_span(|walk, latent, span| {
            let first = walk.velocity(latent, span.start)?;
            let moved = state.moved(latent, &first, &[place, span.length])?;
            let second = walk.velocity(&moved, span.at(place, 1.0))?;
            let share = 0.5 / place;
            let mean =
                state.sum(&state.scaled(&first, &[1.0 - share])?, &state.scaled(&second, &[share])?)?;
            state.moved(latent, &mean, &[span.length])
        })
    }
}

const RALSTON: SolverKind = SolverKind {
    name: "ralston",
    about: "two velocities a step, the second where you want it",
    parameters: &[Parameter::number("place", "where the second velocity is asked for", 2.0 / 3.0, 0.1, 1.0)],
    build: |settings| Box::new(Ralston { place: settings.number("place") }),
};

fn end(solvers: &Solvers, settings: &Settings, steps: usize) -> f64 {
    let solver = solvers.build("ralston", settings).unwrap();
    let start = Tensor::new(&[1.0_f64], &Device::Cpu).unwrap();
    let on = |_: lumina_models::flow::Step<'_>| ControlFlow::Continue(());
    let times = uniform(steps + 1).unwrap();
    let solution = integrate(&*solver, &start, &times, |x, t| Ok((x * t)?), on).unwrap();
    assert_eq!((solution.steps, solution.evaluations), (steps, 2 * steps));
    solution.latent.to_vec1::<f64>().unwrap()[0]
}

#[test]
fn a_solver_from_elsewhere_is_asked_for_by_name_like_any_other() {
    let solvers = Solvers::built_in().with(RALSTON);
    let exact = 0.5_f64.exp();
    for place in [0.5, 2.0 / 3.0, 1.0] {
        let settings = Settings::new().number("place", place);
        let gain = (end(&solvers, &settings, 20) - exact) / (end(&solvers, &settings, 40) - exact);
        assert!((gain.log2() - 2.0).abs() < 0.1, "{place}: {gain}");
    }
    let error = solvers.build("ralston", &Settings::new().number("place", 2.0)).unwrap_err();
    assert_eq!(error.to_string(), "`place` of `ralston` is 2, expected 0.1 to 1");
    assert!(Solvers::built_in().find("ralston").is_none());
}

/// More points near noise by a power.
#[derive(Debug)]
struct Power {
    exponent: f64,
}

impl Schedule for Power {
    fn grid(&self, count: Count) -> Result<Grid> {
        let times = uniform(count.points()?)?.into_iter().map(|time| time.powf(self.exponent));
        Ok(Grid::new(times.collect()))
    }
}

const POWER: ScheduleKind = ScheduleKind {
    name: "power",
    about: "times to a power",
    parameters: &[Parameter::number("exponent", "more points near noise when above 1", 2.0, 0.1, 10.0)],
    build: |settings| Box::new(Power { exponent: settings.number("exponent") }),
};

#[test]
fn a_schedule_from_elsewhere_is_asked_for_by_name_like_any_other() {
    let schedules = Schedules::built_in().with(POWER);
    let grid = schedules.build("power", &Settings::new()).unwrap().grid(Count::Steps(4)).unwrap();
    assert_eq!(grid.points, [0.0, 0.0625, 0.25, 0.5625, 1.0]);
}
