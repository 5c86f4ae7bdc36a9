//! Nodes that notice when and how often they are asked, and nodes that get into trouble.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use lumina_engine::{
    Call, Domain, Fact, Inference, InputSpec, Inquiry, Memory, Mistake, Node, NodeError, NodeSpec, Registry,
    Type, Value, World,
};

/// A node that waits for something that never comes gives up after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the nodes of a bench have noticed.
#[derive(Default)]
pub(crate) struct Probes {
    /// How often any `probe.count` was asked about its outputs.
    pub(crate) inferred: AtomicUsize,
    /// How often any `probe.count` ran.
    pub(crate) runs: AtomicUsize,
    /// What `probe.fresh` answers when it is asked; `false` from the beginning.
    pub(crate) fresh: AtomicBool,
    /// The outputs it was asked about.
    pub(crate) asked: Mutex<Vec<Vec<Value>>>,
    /// Some `probe.exclusive` runs.
    taken: AtomicBool,
    /// Values of `probe.tracked` that were made, and those that are still there.
    made: AtomicUsize,
    live: AtomicUsize,
    started: Mutex<i64>,
    changed: Condvar,
    /// Something has failed, so that `probe.outlast` may end.
    pub(crate) failed: AtomicBool,
}

impl Probes {
    /// Notes a start and waits until `count` nodes have started.
    fn meet(&self, count: i64) -> Result<(), NodeError> {
        let mut started = self.started.lock().unwrap();
        *started += 1;
        self.changed.notify_all();
        let (started, _) =
            self.changed.wait_timeout_while(started, PATIENCE, |started| *started < count).unwrap();
        match *started >= count {
            true => Ok(()),
            false => Err(NodeError::failed(format!("only {started} of {count} nodes have started"))),
        }
    }
}

fn wait(what: &str, until: impl Fn() -> Result<bool, NodeError>) -> Result<(), NodeError> {
    let end = Instant::now() + PATIENCE;
    while !until()? {
        if Instant::now() > end {
            return Err(NodeError::failed(format!("waited in vain: {what}")));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A value that notices its end, and that no store can keep.
struct Tracked(Arc<Probes>);

impl Domain for Tracked {
    const NAME: &'static str = "Tracked";

    fn byte_size(&self) -> u64 {
        1
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
    }
}

/// A kind by what it does.
struct Probe {
    probes: Arc<Probes>,
    output: Type,
    does: fn(&Arc<Probes>, &Call<'_>) -> Result<Value, NodeError>,
    counted: bool,
    asked: bool,
}

impl Node for Probe {
    fn infer(&self, _: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>> {
        if self.counted {
            self.probes.inferred.fetch_add(1, SeqCst);
        }
        Ok(Inference::new([Fact::of(self.output.clone())], Memory::SMALL))
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        Ok(vec![(self.does)(&self.probes, call)?])
    }

    fn is_fresh(&self, outputs: &[Value], _: &dyn World) -> bool {
        if self.asked {
            self.probes.asked.lock().unwrap().push(outputs.to_vec());
        }
        !self.asked || self.probes.fresh.load(SeqCst)
    }
}

fn pass(call: &Call<'_>) -> Result<Value, NodeError> {
    call.float("value").map(Value::Float)
}

fn latch(probes: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    probes.meet(call.int("of")?)?;
    pass(call)
}

fn fail_beside(probes: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    probes.meet(call.int("of")?)?;
    probes.failed.store(true, SeqCst);
    Err(NodeError::failed("on purpose"))
}

fn outlast(probes: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    probes.meet(call.int("of")?)?;
    wait("for a failure", || Ok(probes.failed.load(SeqCst)))?;
    pass(call)
}

fn until_cancelled(_: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    wait("for the end", || call.check_cancelled().map(|()| false))?;
    pass(call)
}

fn exclusive(probes: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    if probes.taken.swap(true, SeqCst) {
        return Err(NodeError::failed("somebody else has it"));
    }
    probes.taken.store(false, SeqCst);
    pass(call)
}

fn elsewhere(_: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    let value = call.float("value")?;
    let result = thread::spawn(move || value + 1.0).join();
    result.map(Value::Float).map_err(|_| NodeError::failed("the thread panicked"))
}

fn count(probes: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    probes.runs.fetch_add(1, SeqCst);
    Ok(Value::Float(call.float("value")? + call.float("more")?))
}

fn fail_at(_: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    match call.float("value")? == call.float("at")? {
        true => Err(NodeError::failed("on purpose")),
        false => Ok(Value::Float(call.float("value")? + 1.0)),
    }
}

fn tracked(probes: &Arc<Probes>, _: &Call<'_>) -> Result<Value, NodeError> {
    probes.made.fetch_add(1, SeqCst);
    probes.live.fetch_add(1, SeqCst);
    Ok(Value::domain(Tracked(Arc::clone(probes))))
}

fn until_freed(probes: &Arc<Probes>, call: &Call<'_>) -> Result<Value, NodeError> {
    wait("for the end of a value", || Ok(probes.made.load(SeqCst) > 0 && probes.live.load(SeqCst) == 0))?;
    pass(call)
}

pub(crate) fn plugin(registry: &mut Registry, probes: &Arc<Probes>) {
    let value = || InputSpec::default("value", Type::Float, Value::Float(0.0), "a number");
    let probe =
        |output, does| Probe { probes: Arc::clone(probes), output, does, counted: false, asked: false };
    let mut add = |kind, inputs: Vec<InputSpec>, probe: Probe| {
        let spec = inputs.into_iter().fold(NodeSpec::new(kind, 1, "For tests"), NodeSpec::input);
        registry.add(spec.output("out", probe.output.clone(), "what comes out"), probe);
    };
    let number = |does| probe(Type::Float, does);
    let of = || InputSpec::default("of", Type::Int, Value::Int(3), "how many have to start");
    let any_tracked = || InputSpec::required("tracked", Type::Domain(Tracked::NAME), "a value");

    add("probe.latch", vec![value(), of()], number(latch));
    add("probe.fail_beside", vec![value(), of()], number(fail_beside));
    add("probe.outlast", vec![value(), of()], number(outlast));
    add("probe.until_cancelled", vec![value()], number(until_cancelled));
    add("probe.exclusive", vec![value()], number(exclusive));
    add("probe.elsewhere", vec![value()], number(elsewhere));
    add("probe.until_freed", vec![value()], number(until_freed));
    add("probe.fresh", vec![value()], Probe { asked: true, ..number(|_, call| pass(call)) });
    let more = InputSpec::default("more", Type::Float, Value::Float(0.0), "another number");
    add("probe.count", vec![value(), more], Probe { counted: true, ..number(count) });
    let at = InputSpec::required("at", Type::Float, "the value it fails at");
    add("probe.fail_at", vec![value(), at], number(fail_at));
    add("probe.tracked", vec![], probe(Type::Domain(Tracked::NAME), tracked));
    add("probe.use", vec![any_tracked(), value()], number(|_, call| pass(call)));
    add("probe.use_and_fail", vec![any_tracked()], number(|_, _| Err(NodeError::failed("on purpose"))));
    add(
        "probe.out_of_memory",
        vec![],
        number(|_, _| Err(NodeError::OutOfMemory { message: "too large".into() })),
    );
    registry.add(
        NodeSpec::new("sink.keep", 1, "What a run is for")
            .input(InputSpec::required("value", Type::Float, "a number"))
            .output("out", Type::Float, "the same")
            .effect(),
        number(|_, call| pass(call)),
    );
}
