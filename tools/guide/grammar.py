"""Text with choices: `{a|b}` is one of its alternatives, `<name>` one line of a macro file,
`<$name>` the same but chosen once for the whole text. All randomness comes from the caller's generator."""
import itertools
import re
from pathlib import Path

TEXT = Path(__file__).parent / "text"
CHOICE = re.compile(r"\{([^{}]*)\}|<(\$?\w+)>")


def lines(name):
    """The lines of a text file without comments and blank ones."""
    for line in (TEXT / name).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line


def macros(name):
    """A macro file: `name = a|b|c` on each line."""
    table = {}
    for line in lines(name):
        key, _, value = line.partition(" = ")
        table[key] = value.split("|")
    return table


def expand(pattern, table, rng, chosen=None):
    """One text that the pattern stands for."""
    chosen = {} if chosen is None else chosen

    def pick(match):
        if match.group(1) is not None:
            return rng.choice(match.group(1).split("|"))
        name = match.group(2)
        if not name.startswith("$"):
            return rng.choice(table[name])
        if name not in chosen:
            chosen[name] = rng.choice(table[name[1:]])
        return chosen[name]

    while CHOICE.search(pattern):
        pattern = CHOICE.sub(pick, pattern)
    return " ".join(pattern.split())


def every(pattern, table):
    """All texts that a pattern without nested macros stands for."""
    parts, end = [], 0
    for match in CHOICE.finditer(pattern):
        parts.append([pattern[end:match.start()]])
        parts.append(match.group(1).split("|") if match.group(1) is not None else table[match.group(2)])
        end = match.end()
    parts.append([pattern[end:]])
    for combination in itertools.product(*parts):
        yield from [" ".join("".join(combination).split())]


def normal(text):
    """The form in which two questions are compared: lower case, words only."""
    return " ".join(re.findall(r"[a-z0-9_$/-]+", text.lower()))
