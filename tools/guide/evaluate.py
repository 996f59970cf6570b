"""Measures a trained model: right answers of a question set, perplexity of English that it never saw."""
import math

import torch

from bpe import END_OF_TEXT, IM_END
from chat import prompt
from questions import TESTS, is_right, read_questions

ANSWER_TOKENS = 80


@torch.no_grad()
def answers(model, tokenizer, asked):
    """Greedy answers to single questions, all at once. Rows are padded at the end, which causality hides."""
    ids = [prompt(tokenizer, question) for question in asked]
    starts, open_rows = [len(row) for row in ids], set(range(len(ids)))
    for _ in range(ANSWER_TOKENS):
        rows = sorted(open_rows)
        longest = max(len(ids[i]) for i in rows)
        batch = torch.tensor([ids[i] + [0] * (longest - len(ids[i])) for i in rows])
        last = torch.tensor([len(ids[i]) - 1 for i in rows])
        hidden = model(batch)[torch.arange(len(rows)), last]
        for i, token in zip(rows, model.logits(hidden).argmax(-1).tolist()):
            if token == tokenizer.special[IM_END]:
                open_rows.discard(i)
            else:
                ids[i].append(token)
        if not open_rows:
            break
    return [tokenizer.decode(row[start:]) for row, start in zip(ids, starts)]


def score(model, tokenizer, asked):
    """How many of {id: question} are right, and a list of (id, question, answer) for the others."""
    questions, wrong = read_questions(), []
    for (ident, question), answer in zip(asked.items(), answers(model, tokenizer, list(asked.values()))):
        if not is_right(ident, answer, questions):
            wrong.append((ident, question, answer))
    return len(asked) - len(wrong), wrong


@torch.no_grad()
def perplexity(model, tokenizer):
    """Per token, and bits per byte: each line of english-heldout.txt alone, after <|endoftext|>."""
    loss, tokens, size = 0.0, 0, 0
    for line in (TESTS / "english-heldout.txt").read_text().splitlines():
        ids = torch.tensor([[tokenizer.special[END_OF_TEXT], *tokenizer.encode(line)]])
        logits = model.logits(model(ids[:, :-1]))
        loss += torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="sum").item()
        tokens, size = tokens + ids.shape[1] - 1, size + len(line.encode())
    return math.exp(loss / tokens), loss / math.log(2) / size
