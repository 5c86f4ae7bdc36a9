//! What a node kind has to say and to do.

use std::path::PathBuf;

use crate::call::Call;
use crate::fact::Fact;
use crate::inquiry::Inquiry;
use crate::memory_need::{Memory, Thrifty};
use crate::mistake::Mistake;
use crate::node_error::NodeError;
use crate::value::Value;
use crate::world::World;

/// The behaviour of a node kind. It has no state: the same inputs give the same outputs.
pub trait Node: Send + Sync {
    /// Says what the outputs will be, from what is known of the inputs, without loading or computing.
    ///
    /// It may read configuration and headers of files through their paths, never weights.
    ///
    /// # Errors
    /// Everything that is wrong with the inputs, at once.
    fn infer(&self, inquiry: &Inquiry<'_>) -> Result<Inference, Vec<Mistake>>;

    /// Computes the outputs, in the order of the kind's specification.
    ///
    /// # Errors
    /// One error; the engine adds the node's name.
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, NodeError>;

    /// Does what the outputs stand for still exist? Asked before cached outputs are used; a node that writes
    /// files says no when they are gone.
    fn is_fresh(&self, outputs: &[Value], world: &dyn World) -> bool {
        let _ = (outputs, world);
        true
    }
}

/// What a node answers before it runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inference {
    /// What is known of each output, in the order of the specification.
    pub outputs: Vec<Fact>,
    /// The memory it needs.
    pub memory: Memory,
    /// Another way to compute the same with less memory, where there is one.
    pub thrifty: Option<Thrifty>,
    /// Files whose content decides the outputs, beside the inputs. Their digests become part of the key.
    pub files: Vec<PathBuf>,
    /// What looks odd but keeps nothing from running; their codes are those of warnings.
    pub warnings: Vec<Mistake>,
}

impl Inference {
    /// The outputs, and the memory that they take.
    pub fn new(outputs: impl IntoIterator<Item = Fact>, memory: Memory) -> Self {
        let outputs = outputs.into_iter().collect();
        Self { outputs, memory, thrifty: None, files: Vec::new(), warnings: Vec::new() }
    }

    /// Adds a way to compute the same with less memory: `how` reads like `decoded in tiles of 32 cells`, `working` is
    /// in bytes as in [`Memory::working`]. One that would save nothing is left out.
    pub fn thrifty(mut self, how: impl Into<String>, working: u64) -> Self {
        self.thrifty = (working < self.memory.working).then(|| Thrifty { working, how: how.into() });
        self
    }

    /// Adds warnings.
    pub fn warnings(mut self, warnings: impl IntoIterator<Item = Mistake>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Adds files that decide the outputs.
    pub fn files(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }
}
