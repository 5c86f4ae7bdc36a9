//! The functions and classes that a pickle may name.

use safetensors::Dtype;

/// What a name stands for. Nothing is ever imported or called: the machine does by itself what the few functions that
/// torch writes would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Global {
    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)` and its older form.
    RebuildTensor,
    /// The same with a number format at the end, for formats that have no storage class.
    RebuildTensorWithFormat,
    /// `_rebuild_parameter(tensor, requires_grad, hooks)`: the tensor.
    RebuildParameter,
    /// A storage of numbers.
    Storage(Dtype),
    /// A storage of bytes.
    UntypedStorage,
    /// A number format as a value.
    Format(Dtype),
    /// `torch.Size(tuple)`: the tuple.
    Size,
    OrderedDict,
    /// A class of named fields: `argparse.Namespace` and `types.SimpleNamespace`.
    Namespace,
    /// A class of plain values that weights never consist of; what is made from it is dropped.
    Dropped,
}

impl Global {
    /// What `module.name` stands for, if a pickle may name it.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorWithFormat,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch.storage" | "torch", "UntypedStorage") => Self::UntypedStorage,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Dropped,
            ("torch", name) => match name.strip_suffix("Storage") {
                Some(kind) => Self::Storage(storage_format(kind)?),
                None => Self::Format(named_format(name)?),
            },
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("argparse", "Namespace") | ("types", "SimpleNamespace") => Self::Namespace,
            ("collections", "Counter") | ("builtins" | "__builtin__", "set") => Self::Dropped,
            _ => return None,
        })
    }
}

fn storage_format(kind: &str) -> Option<Dtype> {
    Some(match kind {
        "Double" => Dtype::F64,
        "Float" => Dtype::F32,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::BF16,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::BOOL,
        "ComplexFloat" => Dtype::C64,
        _ => return None,
    })
}

fn named_format(name: &str) -> Option<Dtype> {
    Some(match name {
        "float64" => Dtype::F64,
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        "float8_e4m3fnuz" => Dtype::F8_E4M3FNUZ,
        "float8_e5m2fnuz" => Dtype::F8_E5M2FNUZ,
        "float8_e8m0fnu" => Dtype::F8_E8M0,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint64" => Dtype::U64,
        "uint32" => Dtype::U32,
        "uint16" => Dtype::U16,
        "uint8" => Dtype::U8,
        "bool" => Dtype::BOOL,
        "complex64" => Dtype::C64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_stand_for_something() {
        assert_eq!(Global::find("torch", "BFloat16Storage"), Some(Global::Storage(Dtype::BF16)));
        assert_eq!(Global::find("torch", "float8_e5m2"), Some(Global::Format(Dtype::F8_E5M2)));
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch", "Storage"),
            ("torch", "hub.load"),
            ("torch._utils", "_import_dotted_name"),
            ("collections", "OrderedDict.fromkeys"),
            ("argparse", "ArgumentParser"),
        ] {
            assert_eq!(Global::find(module, name), None, "{module}.{name}");
        }
    }
}
