"""Makes vae_tiny_f64.safetensors: the autoencoder of lumina_golden, evaluated by diffusers in float64.

The weights follow the fill rule of README.md, rounded to float32 as all users of the rule do; from there on nothing is
rounded to float32 but the stored result. Run it in this folder with torch, diffusers and safetensors installed.
"""

import json
import math

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)


def fill(model):
    with open("lumina_golden.json") as file:
        lists = json.load(file)["filled_models_sorted_keys"]
    (entries,) = [keys for name, keys in lists if name == "autoencoder_kl.AutoencoderKL"]
    state = {}
    for j, name, shape in entries:
        offset = 1.0 if len(shape) == 1 and name.endswith(".weight") else 0.0
        k = torch.arange(math.prod(shape), dtype=torch.float64)
        values = 0.1 * torch.sin(0.37 * k + 1.7 * j + 0.5) + offset
        state[name] = values.float().reshape(shape)
    model.load_state_dict(state)


def wave(shape, a, b):
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.cos(a * k + b).float().reshape(shape)


@torch.no_grad()
def main():
    model = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[32, 32, 64, 64],
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=32,
    ).eval()
    fill(model)
    latent = wave((1, 4, 4, 6), 0.11, 0.0)
    image = wave((1, 3, 32, 48), 0.013, 0.2)
    single = model.decode(latent).sample
    model.double()
    moments = model.encode(image.double()).latent_dist
    exact = {
        "vae_tiny_decode": model.decode(latent.double()).sample,
        "vae_tiny_encode_mean": moments.mean,
        "vae_tiny_encode_logvar_clamped": moments.logvar,
    }
    recorded = load_file("lumina_golden.safetensors")
    for name, value in exact.items():
        distance = (recorded[name].double() - value).abs().max().item()
        print(f"{name}: recorded float32 numbers are {distance:.2e} from float64, largest {value.abs().max():.3f}")
    print(f"decode in float32 here: {(single.double() - exact['vae_tiny_decode']).abs().max().item():.2e}")
    save_file({name: value.float().contiguous() for name, value in exact.items()}, "vae_tiny_f64.safetensors")


main()
