"""Everything: downloads the data, trains, exports and judges.

    python tools/train/train.py --out weights/lumina-next-tiny

Stops and resumes at any point: each stage keeps its state in --work and is skipped once it is done.
"""

import argparse
import json
import pathlib

import torch
from diffusers import AutoencoderKL

import data
import dit
import export
import judge
import tokenizer
import vae


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for the finished model")
    parser.add_argument("--work", default="train-work", help="folder for downloads, checkpoints and caches")
    parser.add_argument("--decoder-minutes", type=float, default=56)
    parser.add_argument("--encoder-minutes", type=float, default=7)
    parser.add_argument("--dit-minutes", type=float, default=98)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = pathlib.Path(options.work)

    data.package(work)
    if not (work / "tokenizer/tokenizer.json").exists():
        tokenizer.train(work, work / "tokenizer")
    # The halves of the codec and the transformer do not depend on each other: on a machine with several cores
    # `python vae.py decoder`, `python vae.py encoder` and `python dit.py` can run side by side, one thread each.
    vae.train(work, "decoder", options.decoder_minutes)
    vae.train(work, "encoder", options.encoder_minutes)
    vae.assemble(work)
    text, body = dit.train(work, options.dit_minutes)
    size = export.export(work, text, body, options.out)
    print(f"wrote {options.out}, {size / 1e6:.1f} MB")

    sprites = data.sprites(work)
    codec = AutoencoderKL.from_pretrained(pathlib.Path(options.out) / "vae")
    figures = {"psnr": vae.psnr(codec, vae.Basis(sprites), sprites)}
    figures["all_channels"] = judge.judge(options.out, work)
    figures["first_three_channels"] = judge.judge(options.out, work, guidance=4.0, channels=3)
    (work / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
