"""Picture codec: a small AutoencoderKL with the factor 8 that LuminaPipeline expects (64x64x3 <-> 8x8x16).

Training encoder and decoder through the bottleneck together takes longer than everything else here: after 1,500 steps
the latents still carried hardly any colour. So the latent space is fixed beforehand: the 16 principal components of the
8x8 pixel blocks of our pictures. The decoder learns to draw pictures from them, the encoder learns to predict them, and
the transformer can be trained at the same time as both.
"""

import argparse
import pathlib
import time

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import data

CHANNELS = (16, 32, 64, 128)
LATENT = 16


class Basis:
    """Principal components of pixel blocks, the teacher of the latent space."""

    def __init__(self, sprites, n=1536):
        x = batch(sprites, n, 2, torch.Generator().manual_seed(10))
        flat = F.pixel_unshuffle(x, 8).permute(0, 2, 3, 1).reshape(-1, 192).double()
        self.mean = flat.mean(0).float()
        values, axes = torch.linalg.eigh((flat - flat.mean(0)).T @ (flat - flat.mean(0)) / len(flat))
        deviations, axes = values.flip(0)[:LATENT].sqrt(), axes.flip(1)[:, :LATENT]
        # Divided by the root of the deviation: outlines (small) and flat colours (large) come closer to each other, so
        # the transformer learns both. Deviations of the result are the roots of the original ones.
        self.map = (axes / deviations.sqrt()).T.float().contiguous()
        self.back = (axes * deviations.sqrt()).float().contiguous()
        self.scale = round(1 / deviations.mean().sqrt().item(), 5)  # makes the overall variance 1

    def encode(self, x):
        """Latents [n,16,8,8] as the VAE defines them, before scaling_factor."""
        blocks = F.pixel_unshuffle(x, 8) - self.mean.view(1, -1, 1, 1)
        return torch.einsum("kc,nchw->nkhw", self.map, blocks)

    def decode(self, z):
        """The linear inverse: blocky pictures, a lower bound for the decoder."""
        return F.pixel_shuffle(torch.einsum("ck,nkhw->nchw", self.back, z) + self.mean.view(1, -1, 1, 1), 8)


def build(scale):
    """Makes the untrained codec."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT,
        norm_num_groups=8,
        sample_size=data.SIZE,
        scaling_factor=scale,
        force_upcast=False,
    )


def parts(model, name):
    """The parameters of one half of the codec, "encoder" or "decoder", with its 1x1 convolution."""
    halves = {"encoder": (model.encoder, model.quant_conv), "decoder": (model.decoder, model.post_quant_conv)}
    return [p for module in halves[name] for p in module.parameters()]


def quicken(model):
    """Makes the convolutions that gain from it run in bfloat16 during training (1.35 times faster on AVX512-BF16).

    Measured on torch 2.15: the backward pass of convolutions with 3 channels, with stride 2 or on 8x8 maps falls back to
    a slow reference path in bfloat16, so these stay in float32.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):

            def forward(x, m=module):
                with torch.autocast("cpu", enabled=False):
                    if m.stride == (1, 1) and x.shape[-1] >= 16 and m.in_channels >= 16:
                        return F.conv2d(x.bfloat16(), m.weight.bfloat16(), m.bias.bfloat16(), 1, m.padding)
                    return F.conv2d(x.float(), m.weight, m.bias, m.stride, m.padding)

            module.forward = forward
    return model


def batch(sprites, n, jitter, generator):
    """Draws n random pictures, all objects and backgrounds alike (the codec sees no captions)."""
    pick = lambda high: torch.randint(high, (n,), generator=generator)
    item, colour = pick(len(sprites)), pick(len(data.COLOURS))
    dx, dy = pick(2 * jitter + 1) - jitter, pick(2 * jitter + 1) - jitter
    return data.compose(sprites[item], colour, dx, dy)


def distance(a, b):
    """L1 at three scales plus L1 of the gradients, which keeps outlines sharp."""
    loss = (a - b).abs().mean()
    loss = loss + 0.5 * (a.diff(dim=-1) - b.diff(dim=-1)).abs().mean() + 0.5 * (a.diff(dim=-2) - b.diff(dim=-2)).abs().mean()
    for _ in range(2):
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        loss = loss + 0.5 * (a - b).abs().mean()
    return loss


def decibels(x, y):
    """Mean PSNR of pictures in -1..1."""
    return (-10 * ((x - y.clamp(-1, 1)) / 2).square().flatten(1).mean(1).log10()).mean().item()


@torch.no_grad()
def psnr(model, basis, sprites, n=192, seed=7):
    """PSNR in dB of n pictures decoded from the exact latents, from the encoder's latents, and by the linear inverse."""
    x = batch(sprites, n, data.JITTER, torch.Generator().manual_seed(seed))
    run = lambda f: torch.cat([f(part) for part in x.split(32)])
    exact = run(lambda p: model.decode(basis.encode(p)).sample)
    both = run(lambda p: model.decode(model.encode(p).latent_dist.mode()).sample)
    linear = run(lambda p: basis.decode(basis.encode(p)))
    return {"decoder": round(decibels(x, exact), 2), "both": round(decibels(x, both), 2), "linear": round(decibels(x, linear), 2)}


def save(path, **state):
    """Writes a checkpoint in one step, so that a killed run never leaves half a file."""
    temporary = pathlib.Path(path).with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def train(work, half, minutes, size=16, rate=2e-3, seed=1):
    """Trains one half of the codec for a number of minutes, resuming from work/<half>.pt. Returns the averaged model.

    The learning rate follows the share of the time that is used up, so a run ends well whatever the machine does.
    """
    work, sprites = pathlib.Path(work), data.sprites(work)
    basis = Basis(sprites)
    torch.manual_seed(seed)
    model, mean = build(basis.scale), build(basis.scale)
    mean.load_state_dict(model.state_dict())
    weights, averages = parts(model, half), parts(mean, half)
    opt = torch.optim.AdamW(weights, rate, betas=(0.9, 0.99), weight_decay=1e-4)
    spent, step, path = 0.0, 0, work / f"{half}.pt"
    if path.exists():
        state = torch.load(path)
        model.load_state_dict(state["model"])
        mean.load_state_dict(state["mean"])
        opt.load_state_dict(state["opt"])
        spent, step = state["spent"], state["step"]
    quicken(model)
    generator = torch.Generator().manual_seed(seed + step)
    keep = lambda: save(path, model=model.state_dict(), mean=mean.state_dict(), opt=opt.state_dict(), spent=time.time() - begin, step=step)
    begin, saved, total = time.time() - spent, time.time(), 0.0
    while time.time() - begin < minutes * 60:
        share = (time.time() - begin) / (minutes * 60)
        level = min(1, (step + 1) / 100) * min(1, max(0.02, 1.5 * (1 - share)))
        for group in opt.param_groups:
            group["lr"] = rate * level
        x = batch(sprites, size, 2, generator)
        z = basis.encode(x)
        with torch.autocast("cpu", torch.bfloat16):
            if half == "decoder":
                # Noise of random strength makes the decoder forgive the errors of encoder and transformer.
                strength = 0.15 / basis.scale * torch.rand(size, 1, 1, 1, generator=generator)
                loss = distance(model.decode(z + strength * torch.randn(z.shape, generator=generator)).sample.float(), x)
            else:
                code = model.encode(x).latent_dist
                # The variance is set to a small constant: nothing here samples from it, but others may.
                loss = F.smooth_l1_loss(code.mean.float() * basis.scale, z * basis.scale, beta=0.3)
                loss = loss + 1e-3 * (code.logvar.float() + 6).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        opt.step()
        opt.zero_grad()
        step += 1
        total += loss.item()
        with torch.no_grad():
            decay = min(0.998, step / (step + 20))
            torch._foreach_lerp_(averages, weights, 1 - decay)
        if step % 100 == 0:
            print(f"{half} step {step} {(time.time() - begin) / 60:.1f} min loss {total / 100:.4f} rate {rate * level:.5f}", flush=True)
            total = 0.0
        if time.time() - saved > 120:
            saved = time.time()
            keep()
            print(f"{half} step {step} psnr {psnr(mean, basis, sprites, 48)}", flush=True)
    keep()
    return mean


def assemble(work):
    """Joins the trained halves into work/vae, the folder that goes into the pipeline."""
    work, sprites = pathlib.Path(work), data.sprites(work)
    basis = Basis(sprites)
    model = build(basis.scale)
    for half in ("encoder", "decoder"):
        source = build(basis.scale)
        if (work / f"{half}.pt").exists():
            source.load_state_dict(torch.load(work / f"{half}.pt")["mean"])
        for a, b in zip(parts(model, half), parts(source, half)):
            a.data.copy_(b.data)
    model.save_pretrained(work / "vae")
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=("encoder", "decoder"))
    parser.add_argument("--work", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.work, options.half, options.minutes)
