//! Content keys: two nodes with the same key give the same outputs, today and after a restart.

use std::fmt;

use crate::value::Value;

/// A BLAKE3 digest of some content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }

    /// A digest that was computed elsewhere with BLAKE3.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest that is written as 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Makes a digest of several parts. Every part is written with its length, so that no two different lists of parts look
/// alike.
pub struct Digester(blake3::Hasher);

impl Digester {
    /// A digest of something of this kind: things of different kinds never have the same one.
    pub fn new(what: &str) -> Self {
        let mut digester = Self(blake3::Hasher::new());
        digester.part(what.as_bytes());
        digester
    }

    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a part of `length` bytes that `give` writes in pieces.
    pub fn stream(&mut self, length: u64, give: impl FnOnce(&mut dyn FnMut(&[u8]))) -> &mut Self {
        self.0.update(&length.to_le_bytes());
        give(&mut |piece| _ = self.0.update(piece));
        self
    }

    /// The digest of all parts.
    pub fn finish(&self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// The key of a node: a digest of all that decides its outputs.
pub type Key = Digest;

/// How keys are made. Raised when the same node gets another key than before.
pub(crate) const KEY_VERSION: u32 = 2;

/// Builds a key.
pub(crate) struct KeyBuilder(Digester);

impl KeyBuilder {
    pub(crate) fn new(kind: &str, version: u32, environment: &str) -> Self {
        let mut builder = Self(Digester::new(&format!("lumina-graph key {KEY_VERSION}")));
        builder.part(kind.as_bytes());
        builder.part(&version.to_le_bytes());
        builder.part(environment.as_bytes());
        builder
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.part(bytes);
        self
    }

    /// A value, by type and content.
    pub(crate) fn value(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Bool(value) => self.part(b"bool").part(&[u8::from(*value)]),
            Value::Int(value) => self.part(b"int").part(&value.to_le_bytes()),
            Value::Float(value) => self.part(b"float").part(&value.to_bits().to_le_bytes()),
            Value::Text(value) => self.part(b"text").part(value.as_bytes()),
            Value::Path(value) => self.part(b"path").part(value.as_os_str().as_encoded_bytes()),
            Value::List(items) => {
                self.part(b"list").part(&(items.len() as u64).to_le_bytes());
                items.iter().fold(self, |builder, item| builder.value(item))
            }
            // Literals are never of a domain type: those only come through links, which have identities.
            Value::Domain(value) => match value.digest() {
                Some(digest) => self.part(b"domain").part(value.name().as_bytes()).part(digest.bytes()),
                // Only values of which the content is at hand are asked for by it.
                None => self.part(b"domain").part(unique().bytes()),
            },
        }
    }

    /// A value that another node gives.
    pub(crate) fn link(&mut self, identity: &Identity) -> &mut Self {
        self.part(b"link").part(identity.bytes())
    }

    pub(crate) fn finish(&self) -> Key {
        self.0.finish()
    }
}

/// What a value that a node gives is known by: equal identities are equal values.
pub(crate) type Identity = Digest;

/// A key that nothing else has.
pub(crate) fn unique() -> Key {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Digest::of(format!("unique {} {count} {}", std::process::id(), time.as_nanos()).as_bytes())
}

/// The identity of an output that is known by how it is made.
pub(crate) fn made(key: &Key, output: usize) -> Identity {
    derived(b"output", key, output)
}

/// The identity of an item of a list that is known by how it is made.
pub(crate) fn item(list: &Identity, at: &[usize]) -> Identity {
    at.iter().fold(*list, |list, index| derived(b"item", &list, *index))
}

fn derived(what: &[u8], from: &Digest, index: usize) -> Identity {
    let mut hasher = blake3::Hasher::new();
    hasher.update(what).update(from.bytes()).update(&(index as u64).to_le_bytes());
    Digest(hasher.finalize().into())
}

/// The identity of a value by its content: it stays the same when the value is made in another way. `None` for a value
/// whose content is not at hand, such as a network or a tensor on another device.
pub(crate) fn content(value: &Value) -> Option<Identity> {
    if !has_content(value) {
        return None;
    }
    Some(KeyBuilder(Digester::new("content")).value(value).finish())
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Domain(value) => value.digest().is_some(),
        Value::List(items) => items.iter().all(has_content),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[Value]) -> Key {
        let mut builder = KeyBuilder::new("k", 1, "cpu");
        for value in values {
            builder.value(value);
        }
        builder.finish()
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(key(&[Value::text("ab"), Value::text("c")]), key(&[Value::text("a"), Value::text("bc")]));
        assert_ne!(key(&[Value::Int(1)]), key(&[Value::Float(1.0)]));
        assert_ne!(key(&[Value::List([].into())]), key(&[]));
    }

    #[test]
    fn the_key_of_the_same_content_never_changes() {
        // A change here invalidates every cache on every disk: raise `KEY_VERSION` on purpose only.
        assert_eq!(
            key(&[Value::Int(1), Value::text("a")]).to_string(),
            "1fa6aace4dfcb16b2e3a79700848aba5defd7e2bf8a97fba0408b9cf7dfdee35"
        );
    }
}
