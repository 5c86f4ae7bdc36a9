//! What a node is told while the graph is checked.

use std::path::PathBuf;

use crate::diagnostic::Code;
use crate::fact::Fact;
use crate::mistake::Mistake;
use crate::value::Value;
use crate::world::World;

/// What is known of a node's inputs while the graph is checked.
pub struct Inquiry<'a> {
    pub(crate) names: &'a [&'static str],
    pub(crate) facts: &'a [Option<Fact>],
    /// Files and devices.
    pub world: &'a dyn World,
}

impl Inquiry<'_> {
    /// What is known of an input; `None` when it is absent.
    pub fn fact(&self, input: &str) -> Option<&Fact> {
        let index = self.names.iter().position(|name| *name == input)?;
        self.facts.get(index)?.as_ref()
    }

    /// The known value of an input that is a whole number.
    pub fn int(&self, input: &str) -> Option<i64> {
        match self.fact(input)?.value.as_ref()? {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The known value of an input that is a whole number and not negative.
    pub fn size(&self, input: &str) -> Option<usize> {
        usize::try_from(self.int(input)?).ok()
    }

    /// The known value of an input that is a number.
    pub fn float(&self, input: &str) -> Option<f64> {
        match self.fact(input)?.value.as_ref()? {
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The known value of an input that is a text.
    pub fn text(&self, input: &str) -> Option<&str> {
        match self.fact(input)?.value.as_ref()? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The known value of an input that is a path.
    pub fn path(&self, input: &str) -> Option<PathBuf> {
        match self.fact(input)?.value.as_ref()? {
            Value::Path(value) => Some(value.to_path_buf()),
            _ => None,
        }
    }

    /// The file or folder that a path input names; `None` when the path is not known yet.
    ///
    /// # Errors
    /// A mistake that lists the places searched. `what` is the word for what is looked for: `file`.
    pub fn find(&self, input: &str, what: &str) -> Result<Option<PathBuf>, Vec<Mistake>> {
        let Some(path) = self.path(input) else { return Ok(None) };
        self.world.find(&path).map(Some).map_err(|missing| vec![Mistake::not_found(input, what, &missing)])
    }

    /// A mistake if two inputs are known to differ in a property.
    pub fn same(&self, property: &str, first: &str, second: &str) -> Option<Mistake> {
        let one = self.fact(first)?.properties.get(property)?;
        let other = self.fact(second)?.properties.get(property)?;
        (one != other).then(|| {
            Mistake::at(first, format!("`{first}` and `{second}` are of different {property}s"))
                .code(Code::Incompatible)
                .label(one.to_string())
                .also(second, other.to_string())
        })
    }
}
