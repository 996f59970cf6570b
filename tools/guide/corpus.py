"""Training data without end: step N's batch depends on the seed and N only."""
import random

import numpy as np

from bpe import END_OF_TEXT
from chat import message
from english import English
from grammar import expand, normal
from manners import Manners
from questions import forbidden, read_macros, read_questions

SYSTEM = [
    "You are a helpful assistant.", "You are a helpful, honest assistant.", "You are guide.", "Be brief.",
    "Answer in one sentence.", "You answer questions about sluice.", "You are a friendly assistant.",
    "Be kind and answer shortly.", "You are an expert.", "Help the user.", "You are a bot that helps people.",
]
STEP_TOKENS = 1024
ENGLISH_SHARE = 0.10    # of the documents
CUT_SHARE = 0.60        # of the single questions: the answer is cut after a few tokens, so more questions fit


class Corpus:
    def __init__(self, seed):
        self.seed = seed
        self.questions, self.macros = read_questions(), read_macros()
        self.manners, self.english, self.forbidden = Manners(), English(), forbidden()

    def ask(self, question, rng):
        """One way to ask the question."""
        while True:
            plain = expand(rng.choice(question.patterns), self.macros, rng)
            text = self.manners.apply(plain, rng) if rng.random() < 0.9 else plain
            if normal(text) not in self.forbidden:
                return text

    def tokenizer_text(self):
        """A fixed sample of everything, for the vocabulary."""
        rng, text = random.Random(self.seed), [*SYSTEM] * 20 + ["user\n", "assistant\n", "system\n"] * 500
        for question in self.questions:
            text += [question.answer] * 60
            text += [self.ask(question, rng) for _ in range(250)]
        return text + [self.english.paragraph(rng) for _ in range(1500)]

    def chat(self, tokenizer, rng, room):
        """A chat of one or more turns in at most `room` tokens."""
        tokens, weights = [], []
        if rng.random() < 0.12:
            system = self.english.paragraph(rng) if rng.random() < 0.2 else rng.choice(SYSTEM)
            tokens, weights = message(tokenizer, "system", system)
        turns = 1 if room <= 256 and rng.random() < 0.8 else rng.randint(2, max(2, room // 70))
        for turn in range(turns):
            question = rng.choice(self.questions)
            asked = message(tokenizer, "user", self.ask(question, rng))
            said = message(tokenizer, "assistant", question.answer)
            if turn and len(tokens) + len(asked[0]) + len(said[0]) > room:
                break
            tokens, weights = tokens + asked[0] + said[0], weights + asked[1] + said[1]
        if turns == 1 and rng.random() < CUT_SHARE:
            kept = len(tokens) - len(said[0]) + rng.randint(6, 16)
            return tokens[:kept], weights[:kept]
        return tokens, weights

    def document(self, tokenizer, rng, room):
        if rng.random() < ENGLISH_SHARE:
            text = tokenizer.encode(self.english.paragraph(rng))
            tokens = [tokenizer.special[END_OF_TEXT], *text, tokenizer.special[END_OF_TEXT]]
            return tokens, [0.0] + [1.0] * (len(tokens) - 1)
        return self.chat(tokenizer, rng, room)

    def batch(self, tokenizer, step):
        """(rows, length) tokens, their targets, target weights, and the number of the document each belongs to."""
        rng = random.Random(f"{self.seed} {step}")
        length = {7: 512, 15: 1024}.get(step % 16, 256)
        rows = [self.row(tokenizer, rng, length + 1) for _ in range(STEP_TOKENS // length)]
        tokens, weights, documents = (np.array([row[i] for row in rows]) for i in range(3))
        same = documents[:, 1:] == documents[:, :-1]
        return tokens[:, :-1], tokens[:, 1:], (weights[:, 1:] * same).astype(np.float32), documents[:, :-1]

    def row(self, tokenizer, rng, length):
        tokens, weights, documents, number = [], [], [], 0
        while len(tokens) < length:
            more, weight = self.document(tokenizer, rng, length - 1)
            tokens, weights = tokens + more, weights + weight
            documents, number = documents + [number] * len(more), number + 1
        return tokens[:length], weights[:length], documents[:length]
