"""Measures a training run as its Q8_0 file will behave. usage: measure.py OUT [dev|heldout]"""
import sys
from pathlib import Path

from evaluate import perplexity, score
from export import load, rounded
from model import Guide
from questions import read_dev, read_heldout


def main(out, which):
    tokenizer, weights = load(out)
    model = Guide()
    for form, state in ("F32", weights), ("Q8_0", rounded(weights)):
        model.load_state_dict(state)
        right, wrong = score(model, tokenizer, read_dev() if which == "dev" else read_heldout())
        per_token, bits = perplexity(model, tokenizer)
        print(f"{form}: {which} {right}/60, held-out English: perplexity {per_token:.4f} per token, "
              f"{bits:.4f} bits per byte")
    for ident, question, answer in wrong:
        print(f"  {ident}: {question}\n    {answer}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "dev")
