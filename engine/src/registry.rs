//! The node kinds that a program knows, and how plugins add theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::node::Node;
use crate::spec::NodeSpec;
use crate::types::Type;
use crate::value::{Storable, Value};
use crate::world::World;

/// A node kind: its description and its behaviour.
pub struct Kind {
    /// What it takes and gives.
    pub spec: NodeSpec,
    /// What it does.
    pub node: Box<dyn Node>,
}

/// All node kinds by name, and the types whose values can be kept on disk.
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<Kind>>,
    codecs: BTreeMap<&'static str, Codec>,
}

/// How values of a domain type become bytes and come back.
#[derive(Clone, Copy)]
pub(crate) struct Codec {
    pub(crate) store: fn(&Value) -> Result<Vec<u8>, String>,
    pub(crate) restore: fn(&[u8], &dyn World) -> Result<Value, String>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// A registry with the control kinds (`if`, `map`, `graph`, ...) and no others.
    pub fn new() -> Self {
        let mut registry = Self { kinds: BTreeMap::new(), codecs: BTreeMap::new() };
        crate::control::control(&mut registry);
        registry
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// When a kind of this name is registered already: two plugins claim the same name, which only the
    /// programmer who put them together can mend.
    #[track_caller]
    pub fn add(&mut self, spec: NodeSpec, node: impl Node + 'static) -> &mut Self {
        let name = spec.kind;
        let kind = Kind { spec, node: Box::new(node) };
        assert!(
            self.kinds.insert(name, Arc::new(kind)).is_none(),
            "the node kind `{name}` is registered twice"
        );
        self
    }

    /// Lets values of a type be kept on disk.
    pub fn storable<T: Storable>(&mut self) -> &mut Self {
        let store = |value: &Value| value.downcast::<T>().ok_or("another type")?.store();
        let restore = |bytes: &[u8], world: &dyn World| T::restore(bytes, world).map(Value::domain);
        self.codecs.insert(T::NAME, Codec { store, restore });
        self
    }

    pub(crate) fn codec(&self, domain: &str) -> Option<&Codec> {
        self.codecs.get(domain)
    }

    /// Adds all kinds of a plugin.
    pub fn plugin(&mut self, plugin: impl Plugin) -> &mut Self {
        plugin.build(self);
        self
    }

    /// The kind of this name.
    pub fn get(&self, kind: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(kind)
    }

    /// The names of all types that the sockets of the kinds have.
    pub(crate) fn type_names(&self) -> BTreeSet<String> {
        let specs = self.kinds.values().map(|kind| &kind.spec);
        let types = specs.flat_map(|spec| {
            let inputs = spec.inputs.iter().map(|input| &input.ty);
            inputs.chain(spec.outputs.iter().map(|output| &output.ty))
        });
        types.map(Type::to_string).collect()
    }

    /// All kinds, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.keys().copied()
    }
}

/// Something that adds node kinds. A plain function is a plugin:
///
/// ```
/// # use lumina_engine::{Registry, Plugin};
/// fn my_modality(registry: &mut Registry) {
///     // registry.add(spec, node);
/// }
/// let mut registry = Registry::new();
/// registry.plugin((my_modality, my_modality));
/// ```
pub trait Plugin {
    /// Adds what it has.
    fn build(&self, registry: &mut Registry);
}

impl<F: Fn(&mut Registry)> Plugin for F {
    fn build(&self, registry: &mut Registry) {
        self(registry);
    }
}

macro_rules! tuples {
    ($($name:ident),*) => {
        #[expect(non_snake_case, reason = "the type parameters name the fields")]
        impl<$($name: Plugin),*> Plugin for ($($name,)*) {
            fn build(&self, registry: &mut Registry) {
                let ($($name,)*) = self;
                $($name.build(registry);)*
            }
        }
    };
}

tuples!(A);
tuples!(A, B);
tuples!(A, B, C);
tuples!(A, B, C, D);
tuples!(A, B, C, D, E);
tuples!(A, B, C, D, E, F);
