"""Trains guide. usage: train.py OUT [STEPS]   writes OUT/tokenizer.json and OUT/guide.pt
A run that was interrupted goes on from OUT/checkpoint.pt, to the same bytes."""
import hashlib
import json
import math
import sys
import time
from pathlib import Path

import torch

import bpe
from corpus import Corpus
from model import VOCAB, Guide

SEED, STEPS, THREADS = 20, 2400, 2
RATE, WARM_UP, COOL_DOWN, DECAY = 1.5e-3, 150, 0.35, 0.1
REPORT, CHECKPOINT = 50, 100


def rate_at(step, steps):
    """Linear warm-up, a plateau, and in the last third half a cosine down to a fiftieth."""
    down = (step - (1 - COOL_DOWN) * steps) / (COOL_DOWN * steps)
    if down > 0:
        return RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * down)))
    return RATE * min(1.0, (step + 1) / WARM_UP)


def make_tokenizer(corpus, out):
    merges = bpe.train(corpus.tokenizer_text(), VOCAB)
    (out / "tokenizer.json").write_text(json.dumps(merges, indent=0))
    return bpe.Tokenizer(merges)


def make_optimizer(model):
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    vectors = [weight for weight in model.parameters() if weight.dim() == 1]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}],
                             lr=RATE, betas=(0.9, 0.98))


def train_step(model, optimizer, batch):
    """One step; the loss is the weighted mean over the targets that count."""
    tokens, targets, weights, documents = (torch.from_numpy(part) for part in batch)
    hidden = model(tokens, documents)
    counts = weights > 0
    each = torch.nn.functional.cross_entropy(model.logits(hidden[counts]), targets[counts], reduction="none")
    loss = (each * weights[counts]).sum() / weights.sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def digest(model):
    """A short name for the exact weights: two runs are the same as long as these agree."""
    data = hashlib.sha256()
    for weight in model.parameters():
        data.update(weight.detach().numpy().tobytes())
    return data.hexdigest()[:12]


def begin(out):
    """(corpus, tokenizer, model, optimizer, first step), from the checkpoint if there is one."""
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    corpus, model = Corpus(SEED), Guide()
    optimizer = make_optimizer(model)
    if not (out / "checkpoint.pt").exists():
        return corpus, make_tokenizer(corpus, out), model, optimizer, 0
    tokenizer = bpe.Tokenizer(json.loads((out / "tokenizer.json").read_text()))
    saved = torch.load(out / "checkpoint.pt")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return corpus, tokenizer, model, optimizer, saved["step"]


def save(out, model, optimizer, step):
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(saved, out / "checkpoint.new")
    (out / "checkpoint.new").replace(out / "checkpoint.pt")


def main(out, steps):
    started = time.monotonic()
    corpus, tokenizer, model, optimizer, first = begin(out)
    print(f"{sum(weight.numel() for weight in model.parameters())} parameters, from step {first}", flush=True)
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps)
        loss = train_step(model, optimizer, corpus.batch(tokenizer, step))
        if (step + 1) % REPORT == 0:
            print(f"step {step + 1} loss {loss:.4f} weights {digest(model)} "
                  f"seconds {time.monotonic() - started:.0f}", flush=True)
        if (step + 1) % CHECKPOINT == 0:
            save(out, model, optimizer, step + 1)
    torch.save(model.state_dict(), out / "guide.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STEPS)
