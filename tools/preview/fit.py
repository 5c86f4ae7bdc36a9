"""Fits the map that turns latents of a model into previews, by least squares, and writes it as `vae/preview.json`.

    pip install numpy==2.4.6
    python tools/preview/fit.py --model weights/lumina-next-tiny --prompts prompts.txt --pixels 4

`prompts.txt` has one prompt a line. Each is drawn by the program; every cell of its latent, in the scale of the backbone,
is then paired with the pixels of the finished picture below it, averaged to `--pixels` on each side. What is written:

    {"pixels": 4, "factors": [[...], ...], "bias": [...]}

`factors` has a row for each latent channel, `bias` is one row; a row has `3 * pixels * pixels` numbers: pixel rows first,
then columns, then red, green, blue, where -1 is black and 1 is full colour.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np

GRAPH = """Graph(format: 1, nodes: {
    "model": Node(kind: "model.open", with: { "path": MODEL }),
    "text": Node(kind: "text.encode", with: { "encoder": Link("model.text_encoder"), "prompt": PROMPTS }),
    "noise": Node(kind: "image.noise", with: {
        "space": Link("model.space"), "width": SIZE, "height": SIZE, "seed": SEED, "batch": BATCH }),
    "guided": Node(kind: "guidance.cfg", with: {
        "backbone": Link("model.backbone"), "positive": Link("text"), "scale": SCALE, "channels": "all" }),
    "times": Node(kind: "schedule.flow", with: { "steps": STEPS }),
    "latent": Node(kind: "sampler.ode", with: {
        "velocity": Link("guided"), "start": Link("noise"), "times": Link("times") }),
    "image": Node(kind: "image.decode", with: { "decoder": Link("model.decoder"), "latent": Link("latent") }),
    "pixels": Node(kind: "image.tensor", with: { "image": Link("image") }),
    "a": Node(kind: "tensor.save", with: { "tensor": Link("latent"), "path": "latent.safetensors" }),
    "b": Node(kind: "tensor.save", with: { "tensor": Link("pixels"), "path": "pixels.safetensors" }),
})"""


def tensor(path):
    """The only tensor of a safetensors file, in f32."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + length])["tensor"]
    start, end = (8 + length + offset for offset in entry["data_offsets"])
    return np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])


def draw(options, prompts, seed, folder):
    """Latents [n, c, h, w] and pictures [n, 3, H, W] of some prompts."""
    values = {
        "MODEL": json.dumps(str(pathlib.Path(options.model).resolve())),
        "PROMPTS": json.dumps(prompts, ensure_ascii=False),
        "SIZE": options.size,
        "SEED": seed,
        "BATCH": len(prompts),
        "SCALE": options.guidance,
        "STEPS": options.steps,
    }
    graph = GRAPH
    for name, value in values.items():
        graph = graph.replace(name, str(value))
    (folder / "fit.ron").write_text(graph)
    subprocess.run([pathlib.Path(options.program).resolve(), "run", "fit.ron", "-q"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return tensor(folder / "latent.safetensors"), tensor(folder / "pixels.safetensors")


def pairs(latents, pictures, pixels):
    """Cells as rows [m, c] and the pixels they stand for [m, 3 * pixels * pixels]."""
    n, c, h, w = latents.shape
    fine = pictures.shape[2] // (h * pixels)
    small = pictures.clip(-1, 1).reshape(n, 3, h * pixels, fine, w * pixels, fine).mean((3, 5))
    blocks = small.reshape(n, 3, h, pixels, w, pixels).transpose(0, 2, 4, 3, 5, 1)
    return latents.transpose(0, 2, 3, 1).reshape(-1, c), blocks.reshape(-1, 3 * pixels * pixels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a model folder; `vae/preview.json` in it is written")
    parser.add_argument("--prompts", required=True, help="a text file, one prompt a line")
    parser.add_argument("--program", default="target/release/lumina-graph")
    parser.add_argument("--pixels", type=int, default=1, help="pixels of a cell on each side; divides its real number")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--batch", type=int, default=14)
    options = parser.parse_args()
    prompts = [line.strip() for line in pathlib.Path(options.prompts).read_text().splitlines() if line.strip()]
    inputs, outputs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(prompts), options.batch):
            some = prompts[start : start + options.batch]
            x, y = pairs(*draw(options, some, start, pathlib.Path(folder)), options.pixels)
            inputs.append(x)
            outputs.append(y)
            print(f"{start + len(some)} of {len(prompts)} pictures", flush=True)
    # The last batch is not fitted to: it says how good the map is on pictures that it does not know.
    x, y = np.concatenate(inputs[:-1] or inputs), np.concatenate(outputs[:-1] or outputs)
    fitted, *_ = np.linalg.lstsq(np.c_[x, np.ones(len(x))].astype(np.float64), y.astype(np.float64), rcond=None)
    fitted = fitted.round(4)
    error = np.c_[inputs[-1], np.ones(len(inputs[-1]))] @ fitted - outputs[-1]
    print(f"{-10 * np.log10(np.square(error / 2).mean()):.1f} dB from the pictures at this resolution, on the last batch")
    lists = lambda row: [float(value) for value in row]
    rows = ",\n".join("    " + json.dumps(lists(row)) for row in fitted[:-1])
    text = f'{{\n  "pixels": {options.pixels},\n  "factors": [\n{rows}\n  ],\n  "bias": {json.dumps(lists(fitted[-1]))}\n}}\n'
    target = pathlib.Path(options.model) / "vae/preview.json"
    temporary = target.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(target)
    print(f"{target}: {len(text)} bytes")


if __name__ == "__main__":
    main()
