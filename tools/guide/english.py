"""Paragraphs of everyday English from the grammar english.txt. One paragraph in sixteen, by its hash, is never
trained on; tests/guide/english-heldout.txt is made of such paragraphs."""
import hashlib
import random

from grammar import expand, macros
from questions import TESTS

HELDOUT_BYTES = 15000


class English:
    def __init__(self):
        self.table = macros("english.txt")

    def paragraph(self, rng, heldout=False):
        while True:
            text = expand("<story>", self.table, rng)
            if (hashlib.sha256(text.encode()).digest()[0] % 16 == 0) == heldout:
                return text


def write_heldout():
    english, rng, text = English(), random.Random(20), ""
    while len(text) < HELDOUT_BYTES:
        text += english.paragraph(rng, heldout=True) + "\n"
    (TESTS / "english-heldout.txt").write_text(text)


if __name__ == "__main__":
    write_heldout()
