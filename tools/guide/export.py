"""Writes the trained model as GGUF. usage: export.py OUT   OUT/guide.pt -> OUT/guide-f32.gguf, OUT/guide.gguf"""
import json
import sys
from pathlib import Path

import torch

import bpe
import chat
import gguf
import model as shape

DESCRIPTION = "The small model that answers questions about sluice, trained from scratch by tools/guide."
FILE_TYPE = {gguf.F32: 0, gguf.Q8_0: 7}
NORMAL, CONTROL = 1, 3      # token types


def metadata(tokenizer, kind):
    special = tokenizer.special
    types = [CONTROL if token in special else NORMAL for token in tokenizer.tokens]
    return [
        ("general.architecture", gguf.STRING, "llama"),
        ("general.type", gguf.STRING, "model"),
        ("general.name", gguf.STRING, "guide"),
        ("general.description", gguf.STRING, DESCRIPTION),
        ("general.license", gguf.STRING, "apache-2.0"),
        ("general.file_type", gguf.U32, FILE_TYPE[kind]),
        ("general.quantization_version", gguf.U32, 2),
        ("llama.vocab_size", gguf.U32, shape.VOCAB),
        ("llama.context_length", gguf.U32, shape.CONTEXT),
        ("llama.embedding_length", gguf.U32, shape.HIDDEN),
        ("llama.block_count", gguf.U32, shape.LAYERS),
        ("llama.feed_forward_length", gguf.U32, shape.FEED_FORWARD),
        ("llama.attention.head_count", gguf.U32, shape.HEADS),
        ("llama.attention.head_count_kv", gguf.U32, shape.HEADS),
        ("llama.attention.layer_norm_rms_epsilon", gguf.FLOAT, shape.EPSILON),
        ("llama.rope.dimension_count", gguf.U32, shape.HEAD),
        ("llama.rope.freq_base", gguf.FLOAT, shape.ROPE_BASE),
        ("tokenizer.ggml.model", gguf.STRING, "gpt2"),
        ("tokenizer.ggml.pre", gguf.STRING, "gpt-2"),
        ("tokenizer.ggml.tokens", (gguf.ARRAY, gguf.STRING), tokenizer.tokens),
        ("tokenizer.ggml.token_type", (gguf.ARRAY, gguf.I32), types),
        ("tokenizer.ggml.merges", (gguf.ARRAY, gguf.STRING), [f"{a} {b}" for a, b in tokenizer.merges]),
        ("tokenizer.ggml.bos_token_id", gguf.U32, special[bpe.END_OF_TEXT]),
        ("tokenizer.ggml.eos_token_id", gguf.U32, special[bpe.IM_END]),
        ("tokenizer.ggml.padding_token_id", gguf.U32, special[bpe.END_OF_TEXT]),
        ("tokenizer.ggml.add_bos_token", gguf.BOOL, False),
        ("tokenizer.chat_template", gguf.STRING, chat.TEMPLATE),
    ]


def tensors(weights, kind):
    """Matrices in the file's type, norms in F32; without output.weight: it is token_embd.weight."""
    for name, weight in weights.items():
        yield name, weight.numpy(), kind if weight.dim() == 2 else gguf.F32


def rounded(weights):
    """The weights as a reader of the Q8_0 file sees them."""
    return {name: torch.from_numpy(gguf.from_q8_0(gguf.q8_0(weight.numpy()), weight.shape))
            if weight.dim() == 2 else weight for name, weight in weights.items()}


def load(out):
    """(tokenizer, weights) of a training run."""
    tokenizer = bpe.Tokenizer(json.loads((out / "tokenizer.json").read_text()))
    return tokenizer, torch.load(out / "guide.pt")


def main(out):
    tokenizer, weights = load(out)
    for name, kind in ("guide-f32.gguf", gguf.F32), ("guide.gguf", gguf.Q8_0):
        gguf.write(out / name, metadata(tokenizer, kind), list(tensors(weights, kind)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
