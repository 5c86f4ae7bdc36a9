"""Data: emoji sprites composited on flat backgrounds, and the captions that describe them.

Every picture is exactly determined by (object, background, dx, dy), so captions are exact, unlimited and need no
labelling, and generalisation can be measured: a tenth of all (object, background) pairs never appears in training.
"""

import hashlib
import json
import pathlib
import random
import subprocess
import tarfile
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

PACKAGE = "emoji-datasource-google@16.0.0"
SIZE = 64  # side of a picture in pixels
SPRITE = 54  # side of the sprite inside the picture; leaves a margin for the jitter
JITTER = 1  # largest shift in pixels seen by the transformer

# Pastel, so that a sprite of the same hue stays visible.
BACKGROUNDS = {
    "white": (255, 255, 255),
    "blue": (150, 195, 255),
    "green": (165, 228, 160),
    "yellow": (255, 240, 140),
    "pink": (255, 178, 208),
    "purple": (196, 164, 246),
    "orange": (255, 192, 120),
    "gray": (184, 188, 196),
}
COLOURS = list(BACKGROUNDS)
WHITE = 0  # index of the background that captions without a background mean


@dataclass
class Object:
    """One sprite: its emoji short name, its main name and its other names."""

    emoji: str
    name: str
    aliases: list[str]

    @property
    def names(self):
        return [self.name] + self.aliases


def objects(path=None):
    """Reads the object table beside this file."""
    path = pathlib.Path(path or pathlib.Path(__file__).with_name("objects.tsv"))
    rows = [line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return [Object(r[0], r[1], [a for a in r[2].split(",") if a] if len(r) > 2 else []) for r in rows]


def package(work):
    """Downloads the npm package once and returns the unpacked folder."""
    work = pathlib.Path(work)
    folder = work / "package"
    if not (folder / "emoji.json").exists():
        work.mkdir(parents=True, exist_ok=True)
        tar = work / "emoji-datasource-google-16.0.0.tgz"
        if not tar.exists():
            subprocess.run(["npm", "pack", PACKAGE], cwd=work, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(tar) as archive:
            archive.extractall(work, filter="data")
    return folder


def sprites(work):
    """Returns all sprites as premultiplied RGBA in 0..1, float32 [objects, 4, SPRITE, SPRITE]."""
    folder = package(work)
    table = {e["short_name"]: e["image"] for e in json.loads((folder / "emoji.json").read_text())}
    out = []
    for item in objects():
        image = Image.open(folder / "img/google/64" / table[item.emoji]).convert("RGBA")
        rgba = np.asarray(image, np.float32) / 255
        rgba[..., :3] *= rgba[..., 3:]  # premultiply first: no dark or light fringe from resizing
        planes = [Image.fromarray(rgba[..., c]).resize((SPRITE, SPRITE), Image.LANCZOS) for c in range(4)]
        out.append(np.stack([np.asarray(p) for p in planes]).clip(0, 1))
    return torch.from_numpy(np.stack(out))


def compose(sprite, colour, dx, dy):
    """Draws sprites [n,4,s,s] on flat backgrounds; index tensors [n]. Returns pictures [n,3,SIZE,SIZE] in -1..1."""
    table = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32) / 255
    canvas = torch.zeros(len(sprite), 4, SIZE, SIZE)
    margin = (SIZE - SPRITE) // 2
    for i in range(len(sprite)):
        x, y = margin + int(dx[i]), margin + int(dy[i])
        canvas[i, :, y : y + SPRITE, x : x + SPRITE] = sprite[i]
    rgb = canvas[:, :3] + (1 - canvas[:, 3:]) * table[colour][:, :, None, None]
    return rgb * 2 - 1


def held(item, colour):
    """True if this (object name, background name) pair is held out: a tenth, chosen by a hash; never white."""
    if colour == "white":
        return False  # white is what captions without a background mean
    return hashlib.sha256(f"{item}|{colour}".encode()).digest()[0] < 256 * 0.114  # 7 of 8 colours: 10 % overall


def split():
    """Returns (seen, unseen): lists of (object index, background index)."""
    seen, unseen = [], []
    for i, item in enumerate(objects()):
        for j, colour in enumerate(COLOURS):
            (unseen if held(item.name, colour) else seen).append((i, j))
    return seen, unseen


PLURAL = ("grapes", "cherries", "books", "fries", "french fries")
BARE = ("corn", "broccoli", "cheese", "coffee", "ice cream")


def article(name):
    """Puts the right article in front of a name."""
    if name in PLURAL or name in BARE:
        return name
    return ("an " if name[0] in "aeo" or name == "umbrella" else "a ") + name


# {a}: the name with its article, {n}: the bare name, {c}: the background colour.
WITH = [
    "{a} on a {c} background",
    "{a} on a {c} background",
    "{a} on a {c} background",
    "{a} on {c}",
    "{a} in front of a {c} background",
    "{n}, {c} background",
    "{n} on a {c} background",
    "a picture of {a} on {c}",
    "a picture of {a} on a {c} background",
    "a drawing of {a} on a {c} background",
    "the {n} on a {c} background",
    "{c} background, {a}",
]
WITHOUT = ["{a}", "{a}", "{a}", "{n}", "a picture of {a}", "a drawing of {a}", "the {n}", "an image of {a}"]


def caption(item, colour, rng=random):
    """Returns a random caption; a white background is left unsaid in two thirds of its captions."""
    name = item.name if not item.aliases or rng.random() < 0.6 else rng.choice(item.aliases)
    silent = colour == "white" and rng.random() < 0.67
    text = rng.choice(WITHOUT if silent else WITH)
    word = "grey" if colour == "gray" and rng.random() < 0.2 else colour
    return text.format(a=article(name), n=name, c=word)


def plain(item, colour):
    """Returns the one plain caption used for judging."""
    return f"{article(item.name)} on a {colour} background"
