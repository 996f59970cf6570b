"""questions.txt and the question sets beside it."""
import json
from pathlib import Path

from grammar import lines, macros, normal

TESTS = Path(__file__).parents[2] / "tests" / "guide"


class Question:
    def __init__(self, ident, extra):
        self.id, self.extra = ident, extra
        self.answer, self.keys, self.patterns = None, [], []


def read_questions():
    """The blocks of questions.txt, in the order of the file."""
    found = []
    for line in lines("questions.txt"):
        mark, rest = line.split(" ", 1)
        if mark == "==":
            ident, _, extra = rest.partition(" ")
            found.append(Question(ident, extra == "extra"))
        elif mark == "A":
            found[-1].answer = rest
        elif mark == "K":
            found[-1].keys = rest.split(" ;; ")
        elif mark == "Q":
            found[-1].patterns.append(rest)
        else:
            raise ValueError(f"questions.txt: no such mark: {line}")
    return found


def read_macros():
    return macros("macros.txt")


def read_dev():
    """id -> question, for choices made while the recipe was worked out."""
    return dict(line.split("\t") for line in lines("dev.txt"))


def read_heldout():
    """id -> question, written before the first training and only measured at the end."""
    return json.loads((TESTS / "heldout.json").read_text())


def forbidden():
    """The normal form of every question that training must never see."""
    return {normal(q) for q in [*read_dev().values(), *read_heldout().values()]}


def is_right(ident, answer, questions):
    """The test's rule: every phrase of the question's own key, no phrase of another's."""
    text = " ".join(answer.split())
    for question in questions:
        hits = [key in text for key in question.keys]
        if question.id == ident and not all(hits):
            return False
        if question.id != ident and any(hits):
            return False
    return True
