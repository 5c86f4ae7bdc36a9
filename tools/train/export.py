"""Export: writes the standard diffusers folder that LuminaPipeline.from_pretrained loads."""

import copy
import json
import pathlib
import shutil

from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, LuminaPipeline
from transformers import AutoTokenizer


def export(work, text, body, out):
    """Writes everything to out; each file appears complete or not at all.

    Transformer and codec are stored in float16 to keep the folder below 25 MB; meant to be used in float32.
    """
    work, out = pathlib.Path(work), pathlib.Path(out)
    stage = work / "export"
    shutil.rmtree(stage, ignore_errors=True)
    pipe = LuminaPipeline(
        transformer=copy.deepcopy(body).half(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=AutoencoderKL.from_pretrained(work / "vae").half(),
        text_encoder=text.eval(),
        tokenizer=AutoTokenizer.from_pretrained(work / "tokenizer"),
    )
    pipe.save_pretrained(stage, safe_serialization=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(work / "tokenizer" / name, stage / "tokenizer" / name)
    path = stage / "text_encoder/config.json"
    config = json.loads(path.read_text())
    # The published files state these under the older names; both spellings are read by all versions.
    config.update(hidden_activation=None, rope_theta=10000.0, rope_scaling=None, torch_dtype="float32")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    path = stage / "vae/config.json"
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)  # a path of this machine
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for source in sorted(p for p in stage.rglob("*") if p.is_file()):
        target = out / source.relative_to(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".tmp")
        shutil.copy(source, temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    return sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
