"""Tokenizer: a small byte-pair encoding laid out exactly like Gemma's (byte fallback, U+2581 for spaces, <bos> in front)."""

import json
import pathlib
import random

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

import data

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
VOCABULARY = 1536


def corpus(work):
    """Yields the training text: our captions, and the names of all emoji as a sample of common English words."""
    rng = random.Random(3)
    for item in data.objects():
        for colour in data.COLOURS:
            for _ in range(20):
                yield data.caption(item, colour, rng)
    for entry in json.loads((data.package(work) / "emoji.json").read_text()):
        for name in [entry["name"] or ""] + entry["short_names"]:
            yield name.lower().replace("_", " ").replace("-", " ")


def train(work, out):
    """Trains the tokenizer and writes it to the folder out in the layout that AutoTokenizer loads."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "\u2581")
    # Only while learning: no token may span two words or hold a comma. At run time the published layout has no such split, but merges
    # learned this way cannot cross words anyway.
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\u2581", "merged_with_next"), pre_tokenizers.Punctuation("isolated")]
    )
    learner.train_from_iterator(
        corpus(work), trainers.BpeTrainer(vocab_size=VOCABULARY - len(SPECIAL) - 256, min_frequency=2, show_progress=False)
    )
    learned = json.loads(learner.to_str())["model"]
    pieces = SPECIAL + [f"<0x{b:02X}>" for b in range(256)]
    pieces += [p for p, _ in sorted(learned["vocab"].items(), key=lambda kv: kv[1])]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learned["merges"]]
    final = Tokenizer(
        models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    final.normalizer = normalizers.Replace(" ", "\u2581")
    final.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    final.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    final.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)]
    )
    final.add_special_tokens(SPECIAL)
    final.save(str(out / "tokenizer.json"))
    added = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {str(i): {"content": s, **added, "special": True} for i, s in enumerate(SPECIAL)},
        **names,
        "mask_token": "<mask>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 256,
        "padding_side": "right",
        "spaces_between_special_tokens": False,
        "tokenizer_class": "GemmaTokenizer",
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "special_tokens_map.json").write_text(
        json.dumps({k: {"content": v, **added} for k, v in names.items()}, indent=2) + "\n"
    )
    return AutoTokenizer.from_pretrained(out)
