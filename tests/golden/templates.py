#!/usr/bin/python3
"""Adds to templates.json what Jinja2 itself (Debian: python3-jinja2) prints, set up as the `transformers` library does:
    node tests/golden/templates.mjs PEER TEMPLATES | python3 tests/golden/templates.py TEMPLATES > templates.json
A case where Jinja2 differs from @huggingface/jinja gets "jinja2" and "why"; `make test` then asks for that."""
import json, os, sys
import jinja2
from jinja2_env import NOW_US, render



# Why Jinja2, which the models' makers ran, and not the peer: the first rule that fits a case that differs. A case that none fits stops this script.
REASONS = [
    (lambda c, conv: c["out"] is None and c["jinja2"] is not None, "the peer refuses what Jinja2 renders (loops over undefined, filters it lacks)"),
    (lambda c, conv: c["jinja2"] is None and not conv["messages"], "Jinja2: messages[0] of an empty list is undefined and has no role"),
    (lambda c, conv: c["jinja2"] is None, "Jinja2: a text + a list or a number is an error; the peer prints it as JSON"),
    (lambda c, conv: "'type': 'text'" in c["jinja2"], "Jinja2 prints a dict as Python does; the peer as JSON"),
    (lambda c, conv: "None" in c["jinja2"] and "None" not in c["out"], "Jinja2 prints None; the peer nothing"),
    (lambda c, conv: c["jinja2"].replace(" ", "") == c["out"].replace(" ", ""), "Jinja2: lstrip('\\n') strips only newlines; the peer all blanks"),
]
# Where sluice differs from Jinja2 on purpose: (template, conversation) -> (what sluice answers, why).
OURS = {
    ("NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use.jinja", "no_tools_null"): (
        lambda of: of("user").replace("Hello, who are you?", "x"),
        "a loop over none is a loop over nothing: the template for tools then also serves a chat without tools"),
}

golden = json.load(sys.stdin)
assert golden["now_us"] == NOW_US
for case in golden["cases"]:
    c = golden["conversations"][case["conversation"]]
    given = {"messages": c["messages"], "add_generation_prompt": c.get("gen", True), **c.get("extra", {})}
    if "tools" in c:
        given["tools"] = c["tools"]
    with open(os.path.join(sys.argv[1], case["template"])) as f:
        out = render(f.read(), **given)
    if out != case["out"]:
        case["jinja2"] = out
        case["why"] = next(why for fits, why in REASONS if fits(case, c))
for case in golden["cases"]:
    ours = OURS.get((case["template"], case["conversation"]))
    if ours:
        same = {c["conversation"]: c.get("jinja2", c["out"]) for c in golden["cases"] if c["template"] == case["template"]}
        case["ours"], case["why"] = ours[0](same.get), ours[1]
rows = lambda items: "[\n" + ",\n".join(json.dumps(x, ensure_ascii=False) for x in items) + "\n]"
print('{"peer": %s, "version": %s, "jinja2": %s, "now_us": %d,' % (json.dumps(golden["peer"]), json.dumps(golden["version"]), json.dumps(jinja2.__version__), golden["now_us"]))
print('"conversations": %s,\n"cases": %s}' % (json.dumps(golden["conversations"], ensure_ascii=False), rows(golden["cases"])))
