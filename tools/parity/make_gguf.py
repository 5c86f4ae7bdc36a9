"""Writes `tests/golden/gguf` with the Python package of llama.cpp: `pip install gguf==0.19.0`, then this script.

`formats.gguf` has a small tensor in every number format that can be read, `formats.safetensors` the numbers of each as the
package dequantises them. `llama.gguf` is the first layer of the golden Llama, converted as `convert_hf_to_gguf.py` of
llama.cpp converts a Llama.
"""

import json
import struct
from pathlib import Path

import numpy as np
from gguf import (
    MODEL_ARCH,
    GGMLQuantizationType as Kind,
    GGUFWriter,
    get_tensor_name_map,
)
from gguf.quants import dequantize, quantize

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
OUT = GOLDEN / "gguf"
ROWS, COLUMNS = 2, 256
# Those that the package can write; for the others any bytes are blocks, with scales that are not too large.
WRITTEN = [Kind.F32, Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0]
# Bytes of a block of 256 numbers, and where its scales (f16) lie.
BLOCKS = {
    Kind.Q2_K: (84, [80, 82]),
    Kind.Q3_K: (110, [108]),
    Kind.Q4_K: (144, [0, 2]),
    Kind.Q5_K: (176, [0, 2]),
    Kind.Q6_K: (210, [208]),
}


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            assert entry["dtype"] == "F32", name
            tensors[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.astype("<f4").tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def random_blocks(random, kind):
    size, scales = BLOCKS[kind]
    blocks = random.integers(0, 256, (ROWS, COLUMNS // 256, size), dtype=np.uint8)
    for at in scales:
        values = random.uniform(-0.01, 0.01, (ROWS, COLUMNS // 256, 1)).astype("<f2")
        blocks[:, :, at : at + 2] = values.view(np.uint8)
    return blocks.reshape(ROWS, -1)


def formats():
    random = np.random.default_rng(7)
    writer = GGUFWriter(OUT / "formats.gguf", "formats")
    writer.add_custom_alignment(64)
    writer.add_string("formats.text", "naïve")
    writer.add_array("formats.list", ["a", "b", "c"])
    expected = {}
    for kind in WRITTEN + list(BLOCKS):
        if kind in BLOCKS:
            data = random_blocks(random, kind)
        else:
            data = quantize(random.normal(0, 1, (ROWS, COLUMNS)).astype(np.float32), kind)
        expected[kind.name] = dequantize(data, kind).reshape(ROWS, COLUMNS)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
    finish(writer)
    write_safetensors(OUT / "formats.safetensors", expected)


def in_pairs(weight, heads):
    rows = weight.shape[0]
    halves = weight.reshape(heads, 2, rows // heads // 2, -1)
    return halves.swapaxes(1, 2).reshape(weight.shape)


def llama():
    folder = GOLDEN / "text_encoders" / "llama"
    config = json.loads((folder / "config.json").read_text())
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, 1)
    writer = GGUFWriter(OUT / "llama.gguf", "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(1)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("llama")
    tokens = config["vocab_size"]
    writer.add_token_list([f"<{number}>" for number in range(tokens)])
    writer.add_token_scores([float(-number) for number in range(tokens)])
    writer.add_token_types([1] * tokens)
    for name, tensor in read_safetensors(folder / "model.safetensors").items():
        stored = names.get_name(name, try_suffixes=(".weight",))
        if stored is None:
            continue
        if name.endswith("q_proj.weight"):
            tensor = in_pairs(tensor, config["num_attention_heads"])
        if name.endswith("k_proj.weight"):
            tensor = in_pairs(tensor, config["num_key_value_heads"])
        # In half precision, so that rows in a wrong order cannot be taken for rounding. Nothing reads the output head.
        kind = Kind.F32 if tensor.ndim == 1 else Kind.Q8_0 if stored == "output.weight" else Kind.F16
        writer.add_tensor(stored, quantize(tensor.copy(), kind), raw_dtype=kind)
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


OUT.mkdir(exist_ok=True)
formats()
llama()
