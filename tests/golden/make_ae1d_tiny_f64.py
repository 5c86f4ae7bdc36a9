"""The mel autoencoder of `lumina_golden` in float64, written from the original's formulas; needs NumPy and safetensors.

Source of the formulas: `lumina_audio/models/autoencoder1d.py` of Lumina-T2X, commit 1c60696.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent
KEYS = json.loads((HERE / "lumina_golden.json").read_text())["filled_models_sorted_keys"][15][1]


def weight(j, key, shape):
    values = 0.1 * np.sin(0.37 * np.arange(np.prod(shape)) + 1.7 * j + 0.5)
    if len(shape) == 1 and key.endswith(".weight"):
        values = values + 1.0
    # The networks read them in float32.
    return values.astype(np.float32).astype(np.float64).reshape(shape)


W = {key: weight(j, key, shape) for j, key, shape in KEYS}


def wave(shape, a, b):
    return np.cos(a * np.arange(np.prod(shape)) + b).astype(np.float32).astype(np.float64).reshape(shape)


def conv(name, x, stride=1, pad=None):
    w = W[name + ".weight"]
    left, right = pad or (w.shape[2] // 2, w.shape[2] // 2)
    x = np.pad(x, ((0, 0), (left, right)))
    length = (x.shape[1] - w.shape[2]) // stride + 1
    taps = [w[:, :, k] @ x[:, k : k + stride * (length - 1) + 1 : stride] for k in range(w.shape[2])]
    return sum(taps) + W[name + ".bias"][:, None]


def norm(name, x):
    groups = x.reshape(32, -1)
    groups = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + 1e-6)
    return groups.reshape(x.shape) * W[name + ".weight"][:, None] + W[name + ".bias"][:, None]


def silu(x):
    return x / (1.0 + np.exp(-x))


def residual(name, x):
    h = conv(name + ".conv1", silu(norm(name + ".norm1", x)))
    h = conv(name + ".conv2", silu(norm(name + ".norm2", h)))
    return (conv(name + ".nin_shortcut", x) if name + ".nin_shortcut.weight" in W else x) + h


def attention(name, x):
    h = norm(name + ".norm", x)
    q, k, v = (conv(f"{name}.{part}", h) for part in "qkv")
    scores = q.T @ k / np.sqrt(q.shape[0])
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return x + conv(name + ".proj_out", v @ weights.T)


def middle(name, x):
    return residual(name + ".block_2", attention(name + ".attn_1", residual(name + ".block_1", x)))


def decode(z):
    h = middle("decoder.mid", conv("decoder.conv_in", conv("post_quant_conv", z)))
    for level in (2, 1, 0):
        for block in range(3):
            h = residual(f"decoder.up.{level}.block.{block}", h)
        if level == 1:
            h = conv("decoder.up.1.upsample.conv", h.repeat(2, axis=1))
    return conv("decoder.conv_out", silu(norm("decoder.norm_out", h)))


def encode(mel):
    h = conv("encoder.conv_in", mel)
    for level in range(3):
        for block in range(2):
            h = residual(f"encoder.down.{level}.block.{block}", h)
        if level == 0:
            h = conv("encoder.down.0.downsample.conv", h, stride=2, pad=(0, 1))
    h = middle("encoder.mid", h)
    return conv("quant_conv", conv("encoder.conv_out", silu(norm("encoder.norm_out", h))))


found = {
    "ae1d_tiny_decode": decode(wave((4, 10), 0.11, 0.0)),
    "ae1d_tiny_quant_moments": encode(wave((16, 20), 0.07, 0.1)),
}
save_file({name: x[None].astype(np.float32) for name, x in found.items()}, HERE / "ae1d_tiny_f64.safetensors")
