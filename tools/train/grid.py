"""Grid: assembles PNG files into one labelled picture.

    python tools/train/grid.py --out docs/t2i-tiny.png --columns 4 "a red apple=apple.png" "a fox=fox.png" ...

Each argument is CAPTION=FILE, or just FILE for no caption. With --weights instead of files the pictures of the standard
prompts are made here, with diffusers' modules and guidance on all channels.
"""

import argparse

from PIL import Image, ImageDraw, ImageFont

PROMPTS = [
    "a red apple",
    "a fox on a blue background",
    "an octopus on a yellow background",
    "a sailboat on a pink background",
    "a penguin on an orange background",
    "a rocket on a purple background",
    "a cactus",
    "a slice of pizza on a green background",
    "an owl on a gray background",
    "a red car on a white background",
    "a cupcake on a blue background",
    "a dinosaur on a yellow background",
    "a guitar on a green background",
    "a butterfly on a pink background",
    "a teddy bear on a purple background",
    "a castle on an orange background",
]


def assemble(pictures, captions, columns, scale=3, gap=8, strip=34):
    """Lays out PIL pictures row by row, enlarged without smoothing, each with its caption below in at most two lines."""
    side = pictures[0].width * scale
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + strip + gap) + gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for k, (picture, caption) in enumerate(zip(pictures, captions)):
        x, y = gap + (k % columns) * (side + gap), gap + (k // columns) * (side + strip + gap)
        sheet.paste(picture.convert("RGB").resize((side, side), Image.NEAREST), (x, y))
        draw.rectangle((x - 1, y - 1, x + side, y + side), outline=(210, 210, 210))
        lines = [""]
        for word in caption.split():
            if font.getlength(f"{lines[-1]} {word}") > side and lines[-1]:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
        for i, line in enumerate(lines[:2]):
            draw.text((x + (side - font.getlength(line)) / 2, y + side + 2 + 15 * i), line, fill="black", font=font)
    return sheet


def draw(folder, prompts, seed, steps, guidance, channels):
    """Makes one picture for each prompt."""
    import torch
    from diffusers import LuminaPipeline

    import judge

    pipe = LuminaPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    x = judge.generate(pipe, prompts, seed, steps, guidance, channels)
    return [Image.fromarray(((p / 2 + 0.5) * 255).round().byte().permute(1, 2, 0).numpy()) for p in x]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="CAPTION=FILE or FILE")
    parser.add_argument("--out", required=True)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--scale", type=int, default=3)
    parser.add_argument("--weights", help="diffusers folder; draws the standard prompts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--channels", type=int, default=16)
    options = parser.parse_args()
    if options.weights:
        captions = PROMPTS
        pictures = draw(options.weights, PROMPTS, options.seed, options.steps, options.guidance, options.channels)
    else:
        pairs = [a.rpartition("=")[::2] for a in options.files]
        captions = [caption for caption, _ in pairs]
        pictures = [Image.open(file) for _, file in pairs]
    assemble(pictures, captions, options.columns, options.scale).save(options.out)
