"""Writes tests/golden/pth: files as torch and Lumina-T2X save them, and what a split network computes.

    python make_pth.py ../../tests/golden/pth

Made with torch 2.15.0, NumPy 2.4.6 and safetensors 0.8.0. The same seed gives the same files.
"""

import argparse
import collections
import math
import os
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import save_file

DIM, HEADS, KEY_HEADS, CAPTION, FEED, LAYERS, RANKS = 16, 4, 2, 12, 32, 2, 2


def tensors() -> dict:
    """Every way in which a tensor can lie in its storage, in every format that weights have."""
    table = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7
    values = torch.linspace(-2, 2, 6)
    return collections.OrderedDict(
        whole=table,
        transposed=table.t(),
        rows=table[1:3],
        columns=table[:, 2:5],
        every_other=table[::2, ::3],
        permuted=torch.arange(24, dtype=torch.float64).reshape(2, 3, 4).permute(2, 0, 1),
        parameter=torch.nn.Parameter(values.clone()),
        bf16=values.to(torch.bfloat16),
        f16=values.to(torch.float16),
        f64=values.to(torch.float64),
        scalar=torch.tensor(1.5),
        empty=torch.zeros(0, 4),
        i64=torch.arange(3),
        flags=torch.tensor([True, False]),
        f8=values.to(torch.float8_e4m3fn),
        u16=torch.tensor([1, 65535], dtype=torch.uint16),
    )


class Hostile:
    """Calls `os.system` when Python loads it."""

    def __reduce__(self):
        return os.system, ("true",)


def weights() -> dict:
    """A Flag-DiT for text under its original names."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape, scale=0.3, mean=0.0):
        return torch.randn(shape, generator=generator) * scale + mean

    def linear(name, outputs, inputs, bias=True):
        made = {f"{name}.weight": normal(outputs, inputs)}
        return made | ({f"{name}.bias": normal(outputs)} if bias else {})

    def norm(name, size, bias=True):
        made = {f"{name}.weight": normal(size, mean=1.0)}
        return made | ({f"{name}.bias": normal(size)} if bias else {})

    keys = KEY_HEADS * DIM // HEADS
    made = {"eol_token": normal(DIM), "pad_token": normal(DIM)}
    made |= linear("x_embedder", DIM, 16) | linear("t_embedder.mlp.0", DIM, 256) | linear("t_embedder.mlp.2", DIM, DIM)
    made |= norm("cap_embedder.0", CAPTION) | linear("cap_embedder.1", DIM, CAPTION)
    for layer in range(LAYERS):
        block = f"layers.{layer}"
        attention = f"{block}.attention"
        made |= {f"{attention}.gate": normal(HEADS, scale=1.0)}
        for name, outputs, inputs in [
            ("wq", DIM, DIM), ("wk", keys, DIM), ("wv", keys, DIM), ("wo", DIM, DIM),
            ("wk_y", keys, CAPTION), ("wv_y", keys, CAPTION),
        ]:
            made |= linear(f"{attention}.{name}", outputs, inputs, bias=False)
        for name, size in [("q_norm", DIM), ("k_norm", keys), ("ky_norm", keys)]:
            made |= norm(f"{attention}.{name}", size)
        for name, outputs, inputs in [("w1", FEED, DIM), ("w2", DIM, FEED), ("w3", FEED, DIM)]:
            made |= linear(f"{block}.feed_forward.{name}", outputs, inputs, bias=False)
        made |= norm(f"{block}.attention_norm", DIM, bias=False) | norm(f"{block}.ffn_norm", DIM, bias=False)
        made |= norm(f"{block}.attention_y_norm", CAPTION, bias=False)
        made |= linear(f"{block}.adaLN_modulation.1", 6 * DIM, DIM)
    return made | linear("final_layer.linear", 32, DIM) | linear("final_layer.adaLN_modulation.1", 2 * DIM, DIM)


# What fairscale's ColumnParallelLinear (rows of the weight), RowParallelLinear and ParallelEmbedding (columns) keep on
# a rank, and the norms over the heads of a rank.
ROWS = (
    "wq wk wv wk_y wv_y w1 w3 x_embedder mlp.0 cap_embedder.1 adaLN_modulation.1 final_layer.linear "
    "q_norm k_norm ky_norm"
).split()
COLUMNS = "wo w2 mlp.2".split()


def part(name: str, tensor: torch.Tensor, rank: int) -> torch.Tensor:
    """What rank `rank` keeps of a tensor."""
    owner, _, field = name.rpartition(".")
    if field == "gate" or any(owner.endswith(f".{row}") or owner == row for row in ROWS):
        return tensor.chunk(RANKS, 0)[rank].clone()
    if field == "weight" and any(owner.endswith(f".{column}") for column in COLUMNS):
        return tensor.chunk(RANKS, 1)[rank].clone()
    return tensor.clone()


class Ranks:
    """A Flag-DiT computed as its ranks compute it, in float64: every rank its own heads, then a sum or a join."""

    def __init__(self, parts):
        self.parts = [{name: tensor.double() for name, tensor in part.items()} for part in parts]

    def whole(self, name):
        return self.parts[0][name]

    def column(self, name, value):
        """ColumnParallelLinear with `gather_output`."""
        made = [value @ part[f"{name}.weight"].T + part[f"{name}.bias"] for part in self.parts]
        return torch.cat(made, -1)

    def attention(self, name, tokens, caption, mask, phases):
        total = 0
        for part in self.parts:
            heads, key_heads, size = HEADS // RANKS, KEY_HEADS // RANKS, DIM // HEADS

            def project(kind, value, count, norm=None):
                made = value @ part[f"{name}.{kind}.weight"].T
                if norm:
                    weight, bias = part[f"{name}.{norm}.weight"], part[f"{name}.{norm}.bias"]
                    made = torch.nn.functional.layer_norm(made, weight.shape, weight, bias, 1e-5)
                return made.unflatten(-1, (count, size)).transpose(1, 2)

            query = rotate(project("wq", tokens, heads, "q_norm"), phases)
            key = rotate(project("wk", tokens, key_heads, "k_norm"), phases)
            value = project("wv", tokens, key_heads)
            read = attend(query, key, value)
            key, value = project("wk_y", caption, key_heads, "ky_norm"), project("wv_y", caption, key_heads)
            gate = part[f"{name}.gate"].tanh()[None, :, None, None]
            read = read + gate * attend(query, key, value, mask[:, None, None, :] > 0)
            # RowParallelLinear: the sum of what the ranks make of their inputs.
            total = total + read.transpose(1, 2).flatten(2) @ part[f"{name}.wo.weight"].T
        return total

    def feed_forward(self, name, tokens):
        total = 0
        for part in self.parts:
            gate = torch.nn.functional.silu(tokens @ part[f"{name}.w1.weight"].T)
            total = total + (gate * (tokens @ part[f"{name}.w3.weight"].T)) @ part[f"{name}.w2.weight"].T
        return total

    def row(self, name, value):
        """RowParallelLinear, whose input is split first."""
        chunks = value.chunk(RANKS, -1)
        made = sum(chunk @ part[f"{name}.weight"].T for chunk, part in zip(chunks, self.parts))
        return made + self.whole(f"{name}.bias")

    def forward(self, latent, time, features, mask):
        silu = torch.nn.functional.silu
        batch, channels, height, width = latent.shape
        rows, columns = height // 2, width // 2
        patches = latent.reshape(batch, channels, rows, 2, columns, 2).permute(0, 2, 4, 1, 3, 5).flatten(3)
        tokens = self.column("x_embedder", patches)
        row_end = self.whole("eol_token").expand(batch, rows, 1, DIM)
        tokens = torch.cat([tokens, row_end], 2).flatten(1, 2)
        size = DIM // HEADS
        frequencies = 10000.0 ** (-2 * torch.arange(size // 2, dtype=torch.float64) / size)
        phases = torch.arange(tokens.shape[1], dtype=torch.float64)[:, None] * frequencies
        steps = torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float64) / 128)
        angles = time[:, None] * steps
        embedded = silu(self.column("t_embedder.mlp.0", torch.cat([angles.cos(), angles.sin()], -1)))
        weighted = mask[..., None].double()
        pooled = (features * weighted).sum(1) / weighted.sum(1)
        weight, bias = self.whole("cap_embedder.0.weight"), self.whole("cap_embedder.0.bias")
        pooled = torch.nn.functional.layer_norm(pooled, weight.shape, weight, bias, 1e-5)
        condition = self.row("t_embedder.mlp.2", embedded) + self.column("cap_embedder.1", pooled)
        for layer in range(LAYERS):
            block = f"layers.{layer}"
            modulation = self.column(f"{block}.adaLN_modulation.1", silu(condition))
            shift, scale, gate, shift_feed, scale_feed, gate_feed = modulation[:, None].chunk(6, -1)
            caption = rms(features, self.whole(f"{block}.attention_y_norm.weight"))
            normed = rms(tokens, self.whole(f"{block}.attention_norm.weight")) * (1 + scale) + shift
            tokens = tokens + gate * self.attention(f"{block}.attention", normed, caption, mask, phases)
            normed = rms(tokens, self.whole(f"{block}.ffn_norm.weight")) * (1 + scale_feed) + shift_feed
            tokens = tokens + gate_feed * self.feed_forward(f"{block}.feed_forward", normed)
        shift, scale = self.column("final_layer.adaLN_modulation.1", silu(condition))[:, None].chunk(2, -1)
        normed = torch.nn.functional.layer_norm(tokens, (DIM,), eps=1e-6) * (1 + scale) + shift
        made = self.column("final_layer.linear", normed).unflatten(1, (rows, columns + 1))[:, :, :-1]
        made = made.reshape(batch, rows, columns, 2, 2, 8).permute(0, 5, 1, 3, 2, 4)
        return made.reshape(batch, 8, height, width)


def rms(value, weight):
    return value / (value.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def rotate(value, phases):
    pairs = torch.view_as_complex(value.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(phases), phases)).flatten(-2)


def attend(query, key, value, mask=None):
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ value


def main() -> None:
    folder = Path(sys.argv[1])
    for name in ("whole", "split", "simple"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)

    made = tensors()
    torch.save(made, folder / "tensors.pth")
    torch.save(made, folder / "tensors_protocol_4.pth", pickle_protocol=4)
    torch.save(made | {"note": "not a tensor"}, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in made.items()}, folder / "tensors.safetensors")

    layer = torch.nn.Linear(2, 3)
    weight = {name: tensor.detach() for name, tensor in layer.named_parameters()}
    torch.save({"generator": layer.state_dict(), "steps": 5}, folder / "generator.pt")
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": weight["weight"]}}, "param_groups": [{"lr": 1e-4}]}
    lightning = {
        "epoch": 3,
        "global_step": 2**40,
        "pytorch-lightning_version": "1.7.7",
        "state_dict": layer.state_dict() | {"scale_factor": torch.tensor(0.18)},
        "callbacks": {"ModelCheckpoint": {"best_model_score": None, "best_k_models": {}}},
        "optimizer_states": [optimizer],
        "lr_schedulers": [],
    }
    torch.save(lightning, folder / "lightning.ckpt")
    average = {name: tensor + 1 for name, tensor in weight.items()}
    arguments = argparse.Namespace(model="DiT-XL/2", num_classes=1000)
    torch.save({"model": weight, "ema": average, "opt": optimizer, "args": arguments}, folder / "average.pt")
    torch.save({"left": weight, "right": average}, folder / "ambiguous.pt")
    torch.save({"weight": weight["weight"], "call": Hostile()}, folder / "system.pth")

    network = weights()
    half = {name: tensor.to(torch.bfloat16) for name, tensor in network.items()}
    torch.save(half, folder / "whole/consolidated.00-of-01.pth")
    save_file(half, folder / "whole/consolidated.00-of-01.safetensors")
    parts = [{name: part(name, tensor, rank) for name, tensor in network.items()} for rank in range(RANKS)]
    for rank, tensors_of_rank in enumerate(parts):
        torch.save(tensors_of_rank, folder / f"split/consolidated.{rank:02}-of-{RANKS:02}.pth")
    fields = {
        "model": "DiT_Llama_tiny_patch2", "qk_norm": True, "image_size": 1024, "vae": "sdxl", "lm": "llama",
        "tokenizer_path": "", "model_parallel_size": RANKS, "lr": 1e-4, "precision": "bf16", "max_steps": 10**30,
        "data_parallel": "sdp", "resume": None, "local_diffusers_model_root": None, "snr_type": "uniform",
    }
    torch.save(argparse.Namespace(**fields), folder / "split/model_args.pth")
    simple = fields | {"qk_norm": False, "model_parallel_size": 1, "num_classes": 1000}
    torch.save(types.SimpleNamespace(**simple), folder / "simple/model_args.pth")

    latent, features = torch.randn(2, 4, 8, 6), torch.randn(2, 5, CAPTION)
    mask = torch.tensor([[1] * 5, [1, 1, 0, 0, 0]])
    time = torch.tensor([0.25, 0.75])
    out = Ranks(parts).forward(latent.double(), time.double(), features.double(), mask).float()
    case = {"latent": latent, "time": time, "features": features, "mask": mask, "out": out}
    save_file(case, folder / "split/case.safetensors")


main()
