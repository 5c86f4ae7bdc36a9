//! What flows through sockets: immutable, shared, cheap to clone.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::key::Digest;
use crate::types::Type;
use crate::world::World;

/// A value. Large contents are shared, so a clone costs a counter.
#[derive(Clone)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A file or folder.
    Path(Arc<Path>),
    /// Several values.
    List(Arc<[Value]>),
    /// A value of a plugin's type.
    Domain(DomainValue),
}

/// A type that a plugin lets flow through sockets.
pub trait Domain: Any + Send + Sync {
    /// Its name in graphs and messages, for example `Latent`.
    const NAME: &'static str;

    /// Bytes of memory it holds on to, for the cache's budget.
    fn byte_size(&self) -> u64;

    /// A digest of its content, where that is at hand in the memory of the host and cheap to read. With one, an edit
    /// that makes an equal value anew stops there: what depends on it does not run again. Asked once for each value.
    fn digest(&self) -> Option<Digest> {
        None
    }
}

/// A [`Domain`] type whose values can be kept on disk.
pub trait Storable: Domain + Sized {
    /// The value as bytes.
    ///
    /// # Errors
    /// When it cannot be read back from its device; it is then not kept.
    fn store(&self) -> Result<Vec<u8>, String>;

    /// The value from its bytes, on the device of the world.
    ///
    /// # Errors
    /// When the bytes are not those of such a value; they are then taken as absent.
    fn restore(bytes: &[u8], world: &dyn World) -> Result<Self, String>;
}

/// A shared value of a [`Domain`] type.
#[derive(Clone)]
pub struct DomainValue {
    name: &'static str,
    bytes: u64,
    content: Arc<dyn Any + Send + Sync>,
    digest: Arc<Memo>,
}

/// The digest of a value, computed when it is first asked for.
struct Memo {
    digest: OnceLock<Option<Digest>>,
    compute: fn(&(dyn Any + Send + Sync)) -> Option<Digest>,
}

impl DomainValue {
    /// The name of its type.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// A digest of its content, where that is at hand.
    pub(crate) fn digest(&self) -> Option<Digest> {
        *self.digest.digest.get_or_init(|| (self.digest.compute)(&*self.content))
    }
}

/// A piece of memory that values hold on to: where it is, so that values that share it can be told, and its bytes.
pub(crate) type Held = (usize, u64);

impl Value {
    /// Wraps a value of a domain type.
    pub fn domain<T: Domain>(value: T) -> Self {
        let bytes = value.byte_size();
        let compute = |content: &(dyn Any + Send + Sync)| content.downcast_ref::<T>()?.digest();
        let digest = Arc::new(Memo { digest: OnceLock::new(), compute });
        Value::Domain(DomainValue { name: T::NAME, bytes, content: Arc::new(value), digest })
    }

    /// A text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Value::Text(text.into())
    }

    /// A path.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Value::Path(path.into().into())
    }

    /// The value as a domain type, if that is what it is.
    pub fn downcast<T: Domain>(&self) -> Option<Arc<T>> {
        match self {
            Value::Domain(domain) => Arc::clone(&domain.content).downcast().ok(),
            _ => None,
        }
    }

    /// The name of its domain type, if it has one.
    pub(crate) fn domain_name(&self) -> Option<&'static str> {
        match self {
            Value::Domain(domain) => Some(domain.name),
            _ => None,
        }
    }

    /// Its type; a list has the type of its first item.
    pub fn ty(&self) -> Type {
        match self {
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Float(_) => Type::Float,
            Value::Text(_) => Type::Text,
            Value::Path(_) => Type::Path,
            Value::List(items) => Type::list(items.first().map_or(Type::Any, Value::ty)),
            Value::Domain(domain) => Type::Domain(domain.name),
        }
    }

    /// An item of a list, or of a list in it: positions, outermost list first.
    pub(crate) fn item(&self, at: &[usize]) -> Option<&Value> {
        at.iter().try_fold(self, |value, index| match value {
            Value::List(items) => items.get(*index),
            _ => None,
        })
    }

    /// Bytes of memory it holds on to. What the items of a list share counts once.
    pub fn byte_size(&self) -> u64 {
        let Value::List(_) = self else {
            return self.own_bytes() + self.shared().map_or(0, |(_, bytes)| bytes);
        };
        let mut seen = HashSet::new();
        let mut bytes = 0;
        self.held(&mut |(place, piece)| {
            bytes += if seen.insert(place) { piece } else { 0 };
        });
        bytes
    }

    /// Calls `visit` with every piece of shared memory that it holds on to; those that it holds several times may come
    /// several times. Lists nest no deeper than the file format lets them, and one level for every iteration around them.
    pub(crate) fn held(&self, visit: &mut dyn FnMut(Held)) {
        if let Value::List(items) = self {
            visit((Arc::as_ptr(items).addr(), items.iter().map(Value::own_bytes).sum()));
            items.iter().for_each(|item| item.held(visit));
        }
        self.shared().into_iter().for_each(visit);
    }

    /// Bytes of what is in the value itself.
    pub(crate) fn own_bytes(&self) -> u64 {
        if matches!(self, Value::Bool(_) | Value::Int(_) | Value::Float(_)) { 8 } else { 0 }
    }

    /// The memory that its clones share; for a list without that of its items.
    fn shared(&self) -> Option<Held> {
        match self {
            Value::Text(text) => Some((Arc::as_ptr(text).addr(), text.len() as u64)),
            Value::Path(path) => Some((Arc::as_ptr(path).addr(), path.as_os_str().len() as u64)),
            Value::Domain(domain) => Some((Arc::as_ptr(&domain.content).addr(), domain.bytes)),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => None,
        }
    }

    /// Converts to a socket's type where that loses nothing: whole number to number, text to path.
    pub fn coerce(self, to: &Type) -> Self {
        match (self, to) {
            (Value::Int(value), Type::Float) => Value::Float(value as f64),
            (Value::Text(text), Type::Path) => Value::path(&*text),
            (Value::List(items), Type::List(item)) => {
                Value::List(items.iter().map(|value| value.clone().coerce(item)).collect())
            }
            (value, Type::OneOf(types)) => {
                let given = value.ty();
                match types.iter().find(|ty| ty.accepts(&given)) {
                    Some(ty) => value.coerce(ty),
                    None => value,
                }
            }
            (value, _) => value,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => value.fmt(formatter),
            Value::Int(value) => value.fmt(formatter),
            Value::Float(value) => value.fmt(formatter),
            Value::Text(value) => value.fmt(formatter),
            Value::Path(value) => value.fmt(formatter),
            Value::List(items) => formatter.debug_list().entries(items.iter()).finish(),
            Value::Domain(domain) => write!(formatter, "<{}>", domain.name),
        }
    }
}

/// Two values are equal when they are of the same type and content; domain values only when they are the same object.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Path(a), Value::Path(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Domain(a), Value::Domain(b)) => Arc::ptr_eq(&a.content, &b.content),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sound;
    impl Domain for Sound {
        const NAME: &'static str = "Sound";
        fn byte_size(&self) -> u64 {
            44
        }
    }

    #[test]
    fn a_domain_value_comes_back_as_what_it_was() {
        let value = Value::domain(Sound);
        assert_eq!(value.ty(), Type::Domain("Sound"));
        assert_eq!(value.byte_size(), 44);
        assert!(value.downcast::<Sound>().is_some());
        assert!(Value::Int(1).downcast::<Sound>().is_none());
    }

    #[test]
    fn coercion_reaches_into_lists() {
        let list = Value::List([Value::Int(1)].into());
        assert_eq!(list.coerce(&Type::list(Type::Float)), Value::List([Value::Float(1.0)].into()));
    }
}
