"""Makes one question into one of the many ways in which people type it: politeness, dropped and
exchanged words, typing errors, capital letters, the mark at its end."""
import re

from grammar import macros

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Manners:
    def __init__(self):
        table = macros("manners.txt")
        self.before, self.after, self.drop = table["before"], table["after"], set(table["drop"])
        self.foreign = table["foreign"]
        self.same = [pair.split(":") for pair in table["same"]]
        self.cased = dict(pair.split(":") for pair in table["cased"])

    def apply(self, text, rng):
        if rng.random() < 0.35:
            text = self.exchange(text, rng)
        if rng.random() < 0.25:
            text = self.leave_out(text, rng)
        if rng.random() < 0.2:
            text = self.disturb(text, rng)
        if rng.random() < 0.15:
            text = mistype(text, rng)
        text = text.strip(" ?.!")
        if rng.random() < 0.2:
            text = f"{rng.choice(self.before)} {text}"
        if rng.random() < 0.15:
            text = f"{text}{rng.choice(['', '', ','])} {rng.choice(self.after)}"
        text = self.capitals(text, rng)
        return text + rng.choices(["?", "", ".", "!", " ?", "??", "..."], [60, 24, 9, 2, 2, 2, 1])[0]

    def exchange(self, text, rng):
        """Puts one or two phrases in other words."""
        padded = f" {text} "
        usable = [pair for pair in self.same if f" {pair[0]} " in padded]
        for old, new in rng.sample(usable, min(len(usable), rng.choice([1, 1, 2]))):
            padded = padded.replace(f" {old} ", f" {new} ", 1)
        return padded.strip()

    def leave_out(self, text, rng):
        words = text.split()
        for _ in range(rng.choice([1, 1, 2, 3])):
            small = [i for i, word in enumerate(words) if word in self.drop]
            if len(words) > 2 and small:
                del words[rng.choice(small)]
        return " ".join(words)

    def disturb(self, text, rng):
        """Puts a word that has nothing to do with the question between the others, or in the place of one."""
        words = text.split()
        if len(words) > 3:
            at = rng.randrange(len(words))
            words[at:at + rng.choice([0, 0, 1])] = [rng.choice(self.foreign)]
        return " ".join(words)

    def capitals(self, text, rng):
        kind = rng.random()
        if kind < 0.03:
            return text.upper()
        often = 0.8 if kind < 0.65 else 0.2
        text = re.sub(r"[\w]+", lambda m: self.cased.get(m[0], m[0]) if rng.random() < often else m[0], text)
        return text[:1].upper() + text[1:] if kind < 0.65 else text


def mistype(text, rng):
    """One or two slips of the finger in words of four letters or more."""
    words = text.split()
    for _ in range(rng.choice([1, 1, 2])):
        long = [i for i, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
        if not long:
            break
        i = rng.choice(long)
        words[i] = slip(words[i], rng)
    return " ".join(words)


def slip(word, rng):
    at, kind = rng.randrange(len(word) - 1), rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1:]
    if kind == 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2:]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + rng.choice(LETTERS) + word[at + 1:]
