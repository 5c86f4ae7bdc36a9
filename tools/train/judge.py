"""Judge: a small classifier trained on real pictures says which object and background a generated picture shows.

Three lists are judged: pairs seen in training, held-out pairs (the object and the colour were seen, never together), and a
control in which the captions are shuffled against the expected answers, which must fall to chance.
"""

import argparse
import json
import pathlib
import random
import time

import torch
import torch.nn.functional as F
from diffusers import LuminaPipeline
from torch import nn

import data
import dit

HOLDOUT = {(1, 1), (-1, 0), (0, -1), (2, -2), (-2, 1)}  # shifts that the classifier never sees while it learns


class Judge(nn.Module):
    """Four strided convolutions and two heads."""

    def __init__(self, objects, colours):
        super().__init__()
        widths, layers = (3, 24, 48, 96, 128), []
        for a, b in zip(widths, widths[1:]):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        self.object = nn.Linear(128 * 16, objects)
        self.colour = nn.Linear(128 * 16, colours)

    def forward(self, x):
        h = self.body(x)
        return self.object(h), self.colour(h)


def pictures(sprites, n, rng, holdout):
    """Draws n real pictures whose shift is, or is not, one of the held-out shifts."""
    places = [(x, y) for x in range(-2, 3) for y in range(-2, 3) if ((x, y) in HOLDOUT) == holdout]
    item = torch.tensor([rng.randrange(len(sprites)) for _ in range(n)])
    colour = torch.tensor([rng.randrange(len(data.COLOURS)) for _ in range(n)])
    where = torch.tensor([rng.choice(places) for _ in range(n)])
    return data.compose(sprites[item], colour, where[:, 0], where[:, 1]), item, colour


def train(work, steps=1500, size=64):
    """Trains the classifier or loads it from work/judge.pt. Returns it with its accuracies on real pictures."""
    path, sprites = pathlib.Path(work) / "judge.pt", data.sprites(work)
    model = Judge(len(sprites), len(data.COLOURS))
    if path.exists():
        state = torch.load(path)
        model.load_state_dict(state["model"])
        return model.eval(), state["real"]
    torch.manual_seed(5)
    rng = random.Random(5)
    opt = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, 4e-3, total_steps=steps)
    for step in range(steps):
        x, item, colour = pictures(sprites, size, rng, False)
        # Blur and noise: generated pictures are softer than real ones and must not be judged by their sharpness.
        if rng.random() < 0.5:
            x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
        x = x + torch.randn_like(x) * rng.uniform(0, 0.1)
        a, b = model(x)
        loss = F.cross_entropy(a, item, label_smoothing=0.05) + F.cross_entropy(b, colour)
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
        if step % 250 == 0:
            print(f"judge step {step} loss {loss.item():.3f}", flush=True)
    model.eval()
    x, item, colour = pictures(sprites, 2048, random.Random(6), True)
    real = dict(zip(("object", "background"), score(model, x, item, colour)))
    torch.save({"model": model.state_dict(), "real": real}, path)
    return model, real


@torch.no_grad()
def score(model, x, item, colour):
    """Shares of pictures whose object and whose background are recognised as the expected ones."""
    a, b = zip(*[model(part) for part in x.split(256)])
    hits = lambda out, want: (torch.cat(out).argmax(1) == want).float().mean().item()
    return round(hits(a, item), 4), round(hits(b, colour), 4)


def likeness(sprites, x, item, colour):
    """Mean PSNR in dB between each picture and the closest of the nine true renderings of its caption."""
    reach = range(-data.JITTER, data.JITTER + 1)
    best = torch.zeros(len(x))
    for dx in reach:
        for dy in reach:
            true = data.compose(sprites[item], colour, [dx] * len(x), [dy] * len(x))
            best = torch.maximum(best, -10 * ((x - true) / 2).square().flatten(1).mean(1).log10())
    return round(best.mean().item(), 2)


def generate(pipe, captions, seed, steps, guidance, channels, size=64):
    """Pictures [n,3,64,64] in -1..1 from fixed noise; guidance on the first `channels` latent channels."""
    noise, out = torch.randn(len(captions), 16, 8, 8, generator=torch.Generator().manual_seed(seed)), []
    for k in range(0, len(captions), size):
        z = dit.sample(pipe.text_encoder, pipe.transformer, pipe.tokenizer, captions[k : k + size], noise[k : k + size], steps, guidance, channels)
        with torch.no_grad():
            out.append(pipe.vae.decode(z / pipe.vae.config.scaling_factor).sample.clamp(-1, 1))
    return torch.cat(out)


def judge(folder, work, count=256, steps=20, guidance=3.0, channels=16, seed=100):
    """Judges a finished folder; returns a dictionary of figures."""
    model, real = train(work)
    pipe, items = LuminaPipeline.from_pretrained(folder, torch_dtype=torch.float32), data.objects()
    sprites = data.sprites(work)
    seen, unseen = data.split()
    rng = random.Random(seed)
    figures = {"steps": steps, "guidance": guidance, "guided_channels": channels, "count": count, "real": real}
    for k, (name, pairs) in enumerate((("seen", seen), ("held_out", unseen))):
        pairs = [pairs[i % len(pairs)] for i in rng.sample(range(max(count, len(pairs))), count)]
        item, colour = torch.tensor(pairs).T
        x = generate(pipe, [data.plain(items[i], data.COLOURS[j]) for i, j in pairs], seed + k, steps, guidance, channels)
        figures[name] = dict(zip(("object", "background"), score(model, x, item, colour)))
        figures[name]["psnr"] = likeness(sprites, x, item, colour)
        if name == "seen":
            order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
            figures["shuffled"] = dict(zip(("object", "background"), score(model, x, item[order], colour[order])))
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--channels", type=int, default=16, help="3 is what LuminaPipeline itself does")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begin = time.time()
    print(json.dumps(judge(options.weights, options.work, options.count, options.steps, options.guidance, options.channels), indent=1))
    print(f"{time.time() - begin:.0f} s")
