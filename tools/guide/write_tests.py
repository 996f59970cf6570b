"""Writes what the C tests of guide read: tests/guide/questions.json and tests/guide/commands.json."""
import json
import re

from questions import TESTS, read_heldout, read_questions

COMMAND = re.compile(r"`(sluice(?: [a-z]+){1,2})([^`]*)`")
MAKE = re.compile(r"`make ([a-z]+)`")
ROUTE = re.compile(r"`(GET|POST) (/[^`]*)`")


def write(name, data):
    (TESTS / name).write_text(json.dumps(data, indent=1) + "\n")


def question_rows():
    heldout = read_heldout()
    for question in read_questions():
        if not question.extra:
            yield {"id": question.id, "question": heldout[question.id], "keys": question.keys,
                   "answer": question.answer}


def quoted():
    """Every command, make target and route that an answer quotes, and by whom."""
    commands, targets, routes = {}, {}, {}
    for question in read_questions():
        for words, rest in COMMAND.findall(question.answer):
            row = commands.setdefault(words, {"flags": [], "answers": []})
            row["flags"] += [flag for flag in re.findall(r"--[a-z-]+", rest) if flag not in row["flags"]]
            row["answers"].append(question.id)
        for target in MAKE.findall(question.answer):
            targets.setdefault(target, []).append(question.id)
        for method, path in ROUTE.findall(question.answer):
            routes.setdefault((method, path), []).append(question.id)
    return {
        "commands": [{"command": words, **row} for words, row in commands.items()],
        "make": [{"target": target, "answers": ids} for target, ids in targets.items()],
        "routes": [{"method": method, "path": path, "answers": ids} for (method, path), ids in routes.items()],
    }


if __name__ == "__main__":
    write("questions.json", list(question_rows()))
    write("commands.json", quoted())
