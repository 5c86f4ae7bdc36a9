"""Compares a picture made by lumina-graph with the one that diffusers' LuminaPipeline makes from the same noise.

    cargo build --release
    python tools/parity/compare_diffusers.py --weights weights/lumina-next-tiny --prompt "a red apple" --seed 3

Runs graphs/t2i-diffusers.ron, which makes torch's noise from the seed itself, and diffusers on the same noise, and
compares the bytes; the exit code is 1 if any differs by more than --tolerance. Writes noise.safetensors (one tensor
named "latent", [1, channels, height/8, width/8]) and diffusers.png to --out. With --ours a picture that exists already
is compared instead.
"""

import argparse
import pathlib
import subprocess
import sys

import numpy as np
import torch
from diffusers import LuminaPipeline
from PIL import Image
from safetensors.torch import save_file


def noise(pipe, seed, width, height):
    """The starting latent: standard normal numbers from a seed, on the CPU."""
    torch.manual_seed(seed)
    return torch.randn(1, pipe.transformer.config.in_channels, height // 8, width // 8)


def reference(pipe, latent, options):
    """Runs diffusers in float32 on the given latent; returns bytes [height, width, 3]."""
    image = pipe(
        prompt=options.prompt,
        negative_prompt=options.negative,
        width=latent.shape[3] * 8,
        height=latent.shape[2] * 8,
        num_inference_steps=options.steps,
        guidance_scale=options.guidance,
        latents=latent.clone(),
        clean_caption=False,
        output_type="np",
    ).images[0]
    return (image * 255).round().astype(np.uint8)


def run_graph(options, side):
    """Runs graphs/t2i-diffusers.ron and returns the path of its picture."""
    values = {
        "model": pathlib.Path(options.weights).resolve(),
        "prompt": options.prompt,
        "negative": options.negative,
        "steps": options.steps,
        "guidance": options.guidance,
        "width": options.width or side,
        "height": options.height or side,
        "saved.path": pathlib.Path(options.out) / "ours.png",
    }
    command = [options.binary, "run", "graphs/t2i-diffusers.ron", "--seed", str(options.seed)]
    for name, value in values.items():
        command += ["--set", f"{name}={value}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def compare(ours, theirs):
    """Largest and mean absolute difference of two byte pictures."""
    if ours.shape != theirs.shape:
        sys.exit(f"sizes differ: ours {ours.shape}, diffusers {theirs.shape}")
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    return int(difference.max()), float(difference.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="diffusers folder of a LuminaPipeline")
    parser.add_argument("--prompt", default="a red apple")
    parser.add_argument("--negative", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, default=4.0, help="1 or less turns guidance off")
    parser.add_argument("--width", type=int, help="pixels; the training size if not given")
    parser.add_argument("--height", type=int)
    parser.add_argument("--out", default="parity", help="folder for the noise and the reference picture")
    parser.add_argument("--binary", default="target/release/lumina-graph")
    parser.add_argument("--ours", help="PNG made by lumina-graph earlier")
    parser.add_argument("--tolerance", type=int, default=2)
    options = parser.parse_args()

    pipe = LuminaPipeline.from_pretrained(options.weights, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    side = pipe.transformer.config.sample_size * 8
    latent = noise(pipe, options.seed, options.width or side, options.height or side)
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    save_file({"latent": latent}, str(out / "noise.safetensors"))
    theirs = reference(pipe, latent, options)
    Image.fromarray(theirs).save(out / "diffusers.png")
    print(f"wrote {out / 'noise.safetensors'} and {out / 'diffusers.png'}")
    ours = options.ours or run_graph(options, side)
    most, mean = compare(np.asarray(Image.open(ours).convert("RGB")), theirs)
    print(f"max difference {most}, mean difference {mean:.4f}, tolerance {options.tolerance}")
    sys.exit(1 if most > options.tolerance else 0)


if __name__ == "__main__":
    main()
