#!/bin/sh
# Fills fuzz/corpus with true files to begin from; run it from the root of the repository.
set -eu
corpus=fuzz/corpus
for target in safetensors gguf graph values configs tokenizer picture pickle zip; do
    mkdir -p "$corpus/$target"
done
golden=tests/golden
cp graphs/*.ron tests/ui/*.ron "$corpus/graph"
cp graphs/*.ron "$corpus/values"
printf '{ "prompt": "a red fox", "seed": 7, "scale": 4.5, "quick": true, }' > "$corpus/values/params.ron"
number=0
for config in $(find "$golden" weights -name '*config.json'); do
    number=$((number + 1))
    cp "$config" "$corpus/configs/$number.json"
done
number=0
for config in $(find "$golden" weights -name tokenizer_config.json); do
    number=$((number + 1))
    cp "$config" "$corpus/tokenizer/$number.json"
done
cp "$golden"/lumina_next_pipeline/png/pipe_small.0.png docs/t2i-tiny.png "$corpus/picture"
for file in ae1d_tiny_f64 vae_tiny_f64; do
    cp "$golden/$file.safetensors" "$corpus/safetensors"
    # The header alone, behind which the target puts its length.
    tail -c +9 "$golden/$file.safetensors" | head -c 600 > "$corpus/safetensors/$file.header"
done
