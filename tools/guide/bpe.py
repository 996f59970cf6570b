"""Byte-level BPE with GPT-2's pre-tokenizer: training, encoding, decoding."""
import collections

import regex

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_OF_TEXT, IM_START, IM_END = SPECIAL
SPLIT = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
SPECIAL_SPLIT = regex.compile("(" + "|".join(regex.escape(s) for s in SPECIAL) + ")")


def byte_letters():
    """GPT-2's printable letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {byte: chr(byte) for byte in plain}, 256
    for byte in range(256):
        if byte not in letters:
            letters[byte], extra = chr(extra), extra + 1
    return [letters[byte] for byte in range(256)]


LETTER = byte_letters()
BYTE = {letter: byte for byte, letter in enumerate(LETTER)}


def letters(text):
    return "".join(LETTER[byte] for byte in text.encode())


def train(texts, vocab_size):
    """The merges, best first; ties go to the pair that sorts first, so the result does not depend on the run."""
    counts = collections.Counter(piece for text in texts for piece in SPLIT.findall(text))
    words = [(list(letters(piece)), n) for piece, n in sorted(counts.items())]
    merges = []
    while len(merges) < vocab_size - 256 - len(SPECIAL):
        pairs = collections.Counter()
        for parts, n in words:
            for pair in zip(parts, parts[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for parts, _ in words:
            join(parts, best)
    return merges


def join(parts, pair):
    at = 0
    while at < len(parts) - 1:
        if (parts[at], parts[at + 1]) == pair:
            parts[at:at + 2] = [pair[0] + pair[1]]
        at += 1


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(pair) for pair in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self.tokens = [*LETTER, *(a + b for a, b in self.merges), *SPECIAL]
        self.id = {token: i for i, token in enumerate(self.tokens)}
        self.special = {token: self.id[token] for token in SPECIAL}
        self.known = {}

    def piece(self, text):
        if text not in self.known:
            parts = list(letters(text))
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda pair: self.rank.get(pair, len(self.merges)))
                if best not in self.rank:
                    break
                join(parts, best)
            self.known[text] = [self.id[part] for part in parts]
        return self.known[text]

    def encode(self, text):
        """Plain text: the names of control tokens are only letters here."""
        return [token for piece in SPLIT.findall(text) for token in self.piece(piece)]

    def encode_template(self, text):
        """A rendered chat template: its control tokens count."""
        found = []
        for part in SPECIAL_SPLIT.split(text):
            found += [self.special[part]] if part in self.special else self.encode(part)
        return found

    def decode(self, ids):
        text = "".join(self.tokens[i] for i in ids if self.tokens[i] not in self.special)
        return bytes(BYTE[letter] for letter in text).decode(errors="replace")
