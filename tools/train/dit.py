"""Transformer and text encoder: a LuminaNextDiT2DModel and a GemmaModel trained together with flow matching.

Conventions of Lumina: t = 0 is noise, t = 1 is the picture, x_t = t * data + (1 - t) * noise, and the network predicts
the velocity data - noise from the raw t.
"""

import argparse
import math
import pathlib
import random
import time

import torch
import torch.distributed as group
from diffusers import LuminaNextDiT2DModel
from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoTokenizer, GemmaConfig, GemmaModel

import data
import vae

WIDTH, LAYERS, HEADS, GROUPS, TEXT = 256, 7, 8, 4, 128


def build(vocabulary):
    """Makes the untrained text encoder and transformer."""
    text = GemmaModel(
        GemmaConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT,
            intermediate_size=384,
            num_hidden_layers=3,  # the pipeline takes the output of the last but one, so the third is never used
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=32,
            hidden_act="gelu_pytorch_tanh",
            max_position_embeddings=256,
            use_cache=False,
        )
    )
    body = LuminaNextDiT2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=vae.LATENT,
        hidden_size=WIDTH,
        num_layers=LAYERS,
        num_attention_heads=HEADS,
        num_kv_heads=GROUPS,
        multiple_of=32,
        learn_sigma=True,
        qk_norm=True,
        cross_attention_dim=TEXT,
        scaling_factor=1.0,
    )
    # As in the original training code: modulation and output start at zero, so every block starts as the identity.
    torch.nn.init.zeros_(body.pad_token)
    for layer in body.layers:
        torch.nn.init.zeros_(layer.norm1.linear.weight)
        torch.nn.init.zeros_(layer.norm1.linear.bias)
    torch.nn.init.zeros_(body.norm_out.linear_1.weight)
    torch.nn.init.zeros_(body.norm_out.linear_1.bias)
    torch.nn.init.zeros_(body.norm_out.linear_2.weight)
    torch.nn.init.zeros_(body.norm_out.linear_2.bias)
    return text, body


def rotary(body):
    """The rotary table as LuminaPipeline makes it at the training size (both factors are 1)."""
    return get_2d_rotary_pos_embed_lumina(body.head_dim, 384, 384, linear_factor=1.0, ntk_factor=1.0)


def encode(text, tokenizer, captions):
    """Text features and mask exactly as LuminaPipeline makes them: lower case, padded to 8, last but one state."""
    tokens = tokenizer(
        [c.lower().strip() for c in captions], padding=True, pad_to_multiple_of=8, max_length=256, truncation=True, return_tensors="pt"
    )
    states = text(tokens.input_ids, attention_mask=tokens.attention_mask, output_hidden_states=True).hidden_states
    return states[-2], tokens.attention_mask


def velocity(body, x, t, features, mask, table):
    """One call of the transformer; the second half of its channels is not used by anything."""
    out = body(
        hidden_states=x,
        timestep=t,
        encoder_hidden_states=features,
        encoder_mask=mask,
        image_rotary_emb=table,
        cross_attention_kwargs={"base_sequence_length": (8 * body.config.sample_size // 16) ** 2},
        return_dict=False,
    )[0]
    return out.chunk(2, dim=1)[0]


@torch.no_grad()
def sample(text, body, tokenizer, captions, noise, steps=20, guidance=3.0, channels=16):
    """Euler sampling on the grid of FlowMatchEulerDiscreteScheduler; guidance acts on the first `channels` channels."""
    features, mask = encode(text, tokenizer, list(captions) + [""] * len(captions))
    table, x = rotary(body), noise
    sigma = torch.cat([torch.linspace(1.0, 0.001, steps), torch.zeros(1)])
    for now, then in zip(sigma[:-1], sigma[1:]):
        v = velocity(body, torch.cat([x, x]), (1 - now).expand(2 * len(x)), features, mask, table)
        with_text, without = v.chunk(2)
        v = with_text.clone()
        v[:, :channels] = without[:, :channels] + guidance * (with_text - without)[:, :channels]
        x = x + (now - then) * v
    return x


@torch.no_grad()
def latents(work, batch=64):
    """Latents of every (object, background, shift), [objects, backgrounds, 9, 16, 8, 8] in bfloat16, variance 1."""
    sprites = data.sprites(work)
    basis = vae.Basis(sprites)
    n, k, span = len(sprites), len(data.COLOURS), 2 * data.JITTER + 1
    index = torch.cartesian_prod(torch.arange(n), torch.arange(k), torch.arange(span), torch.arange(span))
    out = []
    for rows in index.split(batch):
        x = data.compose(sprites[rows[:, 0]], rows[:, 1], rows[:, 2] - data.JITTER, rows[:, 3] - data.JITTER)
        out.append((basis.encode(x) * basis.scale).bfloat16())
    return torch.cat(out).view(n, k, span * span, vae.LATENT, 8, 8)


def agree(parameters, share):
    """Averages the gradients and the used-up share of the time over all workers; returns the share."""
    if not group.is_initialized():
        return share
    flat = torch.cat([p.grad.flatten() for p in parameters] + [torch.tensor([share])])
    group.all_reduce(flat)
    flat /= group.get_world_size()
    for p, part in zip(parameters, flat[:-1].split([p.numel() for p in parameters])):
        p.grad.copy_(part.view_as(p))
    return flat[-1].item()


def train(work, minutes, size=128, rate=1.5e-3, seed=2, decay_from=0.6, worker=0):
    """Trains both networks, resuming from work/dit.pt. Returns the averaged (text encoder, transformer).

    The learning rate is constant for the first part of the time and then falls on a cosine. Several workers draw
    different batches of the given size and average their gradients.
    """
    work = pathlib.Path(work)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(work / "tokenizer")
    store, items = latents(work), data.objects()
    seen, _ = data.split()
    white = [p for p in seen if p[1] == data.WHITE]
    live, mean = torch.nn.ModuleList(build(len(tokenizer))), torch.nn.ModuleList(build(len(tokenizer)))
    mean.load_state_dict(live.state_dict())
    opt = torch.optim.AdamW(live.parameters(), rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    rng, spent, step, path = random.Random(seed), 0.0, 0, work / "dit.pt"
    if path.exists():
        state = torch.load(path, weights_only=False)
        live.load_state_dict(state["live"])
        mean.load_state_dict(state["mean"])
        opt.load_state_dict(state["opt"])
        rng.setstate(state["rng"])
        torch.set_rng_state(state["torch"])
        spent, step = state["spent"], state["step"]
    if worker:
        rng.seed(1000 * worker + step)
        torch.manual_seed(1000 * worker + step)
    text, body = live
    # Some are never used: the last text layer and its norm, the padding token.
    moving = [p for n, p in live.named_parameters() if not (n.startswith(f"0.layers.{len(text.layers) - 1}.") or n in ("0.norm.weight", "1.pad_token"))]
    table = rotary(body)

    def checkpoint():
        vae.save(path, live=live.state_dict(), mean=mean.state_dict(), opt=opt.state_dict(), rng=rng.getstate(), torch=torch.get_rng_state(), spent=time.time() - begin, step=step)

    begin, saved, total, share = time.time() - spent, time.time(), 0.0, spent / (minutes * 60)
    while share < 1:
        # A little more white than its share: "a fox" alone is the commonest prompt.
        pairs = [rng.choice(white if rng.random() < 0.1 else seen) for _ in range(size)]
        captions = ["" if rng.random() < 0.1 else data.caption(items[i], data.COLOURS[j], rng) for i, j in pairs]
        i, j = torch.tensor(pairs).T
        clean = store[i, j, torch.randint(store.shape[2], (size,))].float()
        noise = torch.randn_like(clean)
        t = torch.where(torch.rand(size) < 0.7, torch.sigmoid(torch.randn(size)), torch.rand(size))
        x = t.view(-1, 1, 1, 1) * clean + (1 - t.view(-1, 1, 1, 1)) * noise
        # With 16 tokens plain matrix products are twice as fast as the fused attention of the CPU.
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            features, mask = encode(text, tokenizer, captions)
            v = velocity(body, x, t, features, mask, table)
        loss = (v.float() - (clean - noise)).square().mean()
        loss.backward()
        share = agree(moving, (time.time() - begin) / (minutes * 60))
        fall = max(0.0, (share - decay_from) / (1 - decay_from))
        level = min(1, (step + 1) / 200) * max(0.02, 0.5 + 0.5 * math.cos(fall * math.pi))
        for settings in opt.param_groups:
            settings["lr"] = rate * level
        torch.nn.utils.clip_grad_norm_(live.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        step += 1
        total += loss.item()
        with torch.no_grad():
            keep = min(0.998, (step + 1) / (step + 20))
            torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - keep)
        if worker == 0 and step % 50 == 0:
            print(f"dit step {step} {(time.time() - begin) / 60:.1f} min loss {total / 50:.4f} rate {rate * level:.5f}", flush=True)
            total = 0.0
        if worker == 0 and time.time() - saved > 120:
            saved = time.time()
            checkpoint()
    if worker == 0:
        checkpoint()
    return mean


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=128, help="pictures in a batch of one worker")
    parser.add_argument("--worker", type=int, default=0, help="number of this worker; start all of them")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.workers > 1:
        meeting = "tcp://127.0.0.1:29517"
        group.init_process_group("gloo", init_method=meeting, rank=options.worker, world_size=options.workers)
    train(options.work, options.minutes, options.size, worker=options.worker)
