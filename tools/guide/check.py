"""Checks the texts, without training: keys are unmistakable, question sets are complete, and neither the held-out
nor the dev questions can reach the training set."""
import random
import sys

from corpus import Corpus
from grammar import every, normal
from questions import forbidden, is_right, read_dev, read_heldout, read_macros, read_questions

SAMPLES = 50000


def faults():
    questions = read_questions()
    tested = [q.id for q in questions if not q.extra]
    if len(tested) != 60:
        yield f"{len(tested)} tested questions, not 60"
    for name, known in ("dev.txt", read_dev()), ("heldout.json", read_heldout()):
        if list(known) != tested:
            yield f"{name}: not the tested questions of questions.txt in their order"
    for question in questions:
        if not is_right(question.id, question.answer, questions):
            yield f"{question.id}: its answer fails its own test"


def heldout_patterns():
    """Patterns that spell a held-out question out (Corpus.ask would drop it, but it would still be too near)."""
    heldout, table = {normal(text) for text in read_heldout().values()}, read_macros()
    for question in read_questions():
        for pattern in question.patterns:
            if any(normal(text) in heldout for text in every(pattern, table)):
                yield f"{question.id}: a pattern spells out a held-out question: {pattern}"


def leaks():
    corpus, rng, never = Corpus(1), random.Random(1), forbidden()
    for _ in range(SAMPLES):
        text = corpus.ask(rng.choice(corpus.questions), rng)
        if normal(text) in never:
            yield f"the training set would contain: {text}"


if __name__ == "__main__":
    found = [*faults(), *heldout_patterns(), *leaks()]
    print("\n".join(found) or f"texts are sound; {SAMPLES} sampled training questions contain no held-out one")
    sys.exit(bool(found))
