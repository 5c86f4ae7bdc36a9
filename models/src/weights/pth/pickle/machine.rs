//! The machine itself: what each opcode does to the memory.

use super::super::PthError;
use super::super::cursor::Cursor;
use super::global::Global;
use super::memory::{Fault, Memory, Step};
use super::value::{Object, StorageReference, Text, Value};

/// Characters of a refused name that are shown.
const SHOWN: usize = 100;

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    cursor: Cursor<'a>,
    memory: Memory,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, cursor: Cursor::new(bytes), memory: Memory::default() }
    }

    /// Everything that the pickle builds, and the value that it ends with.
    pub(super) fn run(mut self) -> Result<(Vec<Object>, Value), PthError> {
        loop {
            let offset = self.cursor.position();
            let at_opcode = |fault| match fault {
                Fault::Reason(reason) => PthError::Pickle { offset, reason },
                Fault::Global(name) => PthError::Global { name, offset },
            };
            let opcode = self.cursor.u8().ok_or_else(|| at_opcode("is past its end".into()))?;
            if opcode == b'.' {
                return self.stop().map_err(at_opcode);
            }
            self.step(opcode).map_err(at_opcode)?;
        }
    }

    fn stop(mut self) -> Step<(Vec<Object>, Value)> {
        let root = self.memory.pop()?;
        if !self.cursor.is_at_end() {
            return Err("ends it too early".into());
        }
        Ok((self.memory.finish()?, root))
    }

    fn step(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            // PROTO, FRAME: how the rest is written and divided
            0x80 => self.version(),
            0x95 => self.run_of(8).map(drop),
            // STRING, UNICODE, INT, LONG, FLOAT, PUT of the oldest version: passed, so that a name behind them is found
            b'S' | b'V' | b'I' | b'L' | b'F' => self.line().and_then(|_| self.memory.push(Value::Dropped)),
            b'p' => self.line().map(drop),
            // MARK, POP, POP_MARK, DUP
            b'(' => self.memory.mark(),
            b'0' => self.memory.pop_any(),
            b'1' => self.memory.pop_mark().map(drop),
            b'2' => self.memory.top().and_then(|top| self.memory.push(top)),
            // NONE, NEWTRUE, NEWFALSE
            b'N' => self.memory.push(Value::None),
            0x88 | 0x89 => self.memory.push(Value::Bool(opcode == 0x88)),
            // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
            b'J' => self.u32().and_then(|number| self.memory.push(Value::Int(number.cast_signed().into()))),
            b'K' => self.u8().and_then(|number| self.memory.push(Value::Int(number.into()))),
            b'M' => {
                self.array().and_then(|bytes| self.memory.push(Value::Int(u16::from_le_bytes(bytes).into())))
            }
            0x8a => self.u8().and_then(|length| self.long(length.into())),
            0x8b => self.u32().and_then(|length| self.long(length.into())),
            b'G' => self.array().and_then(|bytes| self.memory.push(Value::Float(f64::from_be_bytes(bytes)))),
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8; SHORT_BINSTRING and BINSTRING of Python 2
            0x8c | b'U' => self.u8().and_then(|length| self.text(length.into())),
            b'X' | b'T' => self.u32().and_then(|length| self.text(length.into())),
            0x8d => self.u64().and_then(|length| self.text(length)),
            // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
            b'C' => self.u8().and_then(|length| self.dropped(length.into())),
            b'B' => self.u32().and_then(|length| self.dropped(length.into())),
            0x8e | 0x96 => self.u64().and_then(|length| self.dropped(length)),
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.memory.push_object(Object::Tuple(Vec::new())),
            0x85..=0x87 => {
                let items = self.memory.pop_many(usize::from(opcode - 0x84))?;
                self.memory.push_object(Object::Tuple(items))
            }
            b't' => self.memory.pop_mark().and_then(|items| self.memory.push_object(Object::Tuple(items))),
            // EMPTY_LIST, LIST, APPEND, APPENDS
            b']' => self.memory.push_object(Object::List(Vec::new())),
            b'l' => self.memory.pop_mark().and_then(|items| self.memory.push_object(Object::List(items))),
            b'a' => self.memory.pop().and_then(|item| self.memory.append(vec![item])),
            b'e' => self.memory.pop_mark().and_then(|items| self.memory.append(items)),
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.memory.push_object(Object::Dict(Vec::new())),
            b'd' => {
                let items = self.memory.pop_mark()?;
                self.memory.push_object(Object::Dict(Vec::new()))?;
                self.memory.set_items(items)
            }
            b's' => {
                let (value, key) = (self.memory.pop()?, self.memory.pop()?);
                self.memory.set_items(vec![key, value])
            }
            b'u' => self.memory.pop_mark().and_then(|items| self.memory.set_items(items)),
            // EMPTY_SET, ADDITEMS, FROZENSET
            0x8f => self.memory.push(Value::Dropped),
            0x90 => self.memory.pop_mark().map(drop),
            0x91 => self.memory.pop_mark().and_then(|_| self.memory.push(Value::Dropped)),
            // GLOBAL, STACK_GLOBAL, INST
            b'c' => self.global().and_then(|global| self.memory.push(Value::Global(global))),
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.memory.push(Value::Global(find(module, name)?))
            }
            b'i' => self.global().and_then(|_| Err("makes an object in an outdated way".into())),
            // REDUCE, NEWOBJ, BUILD, BINPERSID
            b'R' | 0x81 => self.call(),
            b'b' => self.memory.pop().and_then(|state| self.memory.build(state)),
            b'Q' => {
                let name = self.memory.pop()?;
                let storage = StorageReference::named(name, &self.memory, self.bytes)?;
                self.memory.push_object(Object::Storage(storage))
            }
            // BINGET, LONG_BINGET, BINPUT, LONG_BINPUT, MEMOIZE
            b'h' => self.u8().and_then(|index| self.memory.recall(index.into())),
            b'j' => self.u32().and_then(|index| self.memory.recall(index)),
            b'q' => self.u8().and_then(|index| self.memory.remember(index.into())),
            b'r' => self.u32().and_then(|index| self.memory.remember(index)),
            0x94 => self.memory.remember_next(),
            _ => Err(format!("is the opcode {opcode:#04x}, which weights never need").into()),
        }
    }

    fn version(&mut self) -> Step<()> {
        match self.u8()? {
            0..=5 => Ok(()),
            version => Err(format!("asks for version {version} of the format, expected at most 5").into()),
        }
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.memory.pop()?, self.memory.pop()?);
        let Value::Global(function) = function else {
            return Err("calls something that is no function".into());
        };
        let made = function.call(arguments, &mut self.memory)?;
        self.memory.push(made)
    }

    /// Two lines: a module and a name in it.
    fn global(&mut self) -> Step<Global> {
        let (module, name) = (self.line()?, self.line()?);
        find(module, name)
    }

    fn line(&mut self) -> Step<&'a str> {
        let line = self.cursor.line().ok_or("reaches past its end")?;
        std::str::from_utf8(line).map_err(|_| "holds a text that is not UTF-8".into())
    }

    fn text(&mut self, length: u64) -> Step<()> {
        let start = self.cursor.position();
        let bytes = self.run_of(length)?;
        if std::str::from_utf8(bytes).is_err() {
            return Err("holds a text that is not UTF-8".into());
        }
        let place = u32::try_from(start).ok().zip(u32::try_from(bytes.len()).ok());
        let (start, length) = place.ok_or("lies too far behind")?;
        self.memory.push(Value::Text(Text { start, length }))
    }

    /// An integer of any length; one beyond 64 bits is no size of anything.
    fn long(&mut self, length: u64) -> Step<()> {
        let bytes = self.run_of(length)?;
        if bytes.len() > 8 {
            return self.memory.push(Value::Dropped);
        }
        let is_negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut number = [if is_negative { 0xff } else { 0 }; 8];
        number.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.memory.push(Value::Int(i64::from_le_bytes(number)))
    }

    fn dropped(&mut self, length: u64) -> Step<()> {
        self.run_of(length)?;
        self.memory.push(Value::Dropped)
    }

    fn pop_text(&mut self) -> Step<&'a str> {
        match self.memory.pop()? {
            Value::Text(text) => text.read(self.bytes).ok_or_else(|| "needs a text".into()),
            _ => Err("needs a text".into()),
        }
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.cursor.array().ok_or_else(|| "reaches past its end".into())
    }

    fn u8(&mut self) -> Step<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Step<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Step<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn run_of(&mut self, length: u64) -> Step<&'a [u8]> {
        let run = usize::try_from(length).ok().and_then(|length| self.cursor.run(length));
        run.ok_or_else(|| "reaches past its end".into())
    }
}

fn find(module: &str, name: &str) -> Step<Global> {
    Global::find(module, name).ok_or_else(|| {
        let name: String = format!("{module}.{name}").chars().take(SHOWN).collect();
        Fault::Global(name.escape_debug().to_string())
    })
}
