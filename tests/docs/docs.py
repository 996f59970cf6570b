"""The documents against the program: nothing is undocumented, and nothing documented is not there.

usage: docs.py ; prints the faults, and closes with "N passed, N failed, 0 skipped". The files are read once into a dictionary, so that the
checks can be checked: planted() changes one file each and wants a fault."""
import os
import posixpath
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
ALWAYS = {"data", "help", "json"}  # flags that go with every command
START = ["README.md", "docs/README.md"]


def tracked():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [p for p in out if os.path.exists(os.path.join(ROOT, p))]


def is_test(path):
    return re.match(r"tests/(?!docs/).*\.(c|py|mjs)$", path)


def load():
    files = {}
    for path in tracked():
        text = ""
        if path.endswith((".md", ".def", ".mk", ".txt")) or path == "Makefile" or path.startswith("src/api/") or is_test(path):
            with open(os.path.join(ROOT, path), encoding="utf-8") as f:
                text = f.read()
        files[path] = text
    return files


def pages(files):
    return [p for p in files if p.endswith(".md") and (p.startswith("docs/") or "/" not in p)]


def prose(text):
    """The text without code fences."""
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def fences(text):
    return [m.group(1) for m in re.finditer(r"^```[a-z]*\n(.*?)^```", text, flags=re.S | re.M)]


def links(page, text):
    """(target path, anchor) of each relative link."""
    for m in re.finditer(r"\]\(([^)\s]+)\)", prose(text)):
        target, _, anchor = m.group(1).partition("#")
        if not re.match(r"[a-z]+:", target):
            yield (posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else page), anchor


def anchors(text):
    """GitHub's names of a page's headings."""
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", prose(text), flags=re.M)}


# ---- the program's tables ----


def commands(files):
    rows = re.findall(r'^COMMAND\("([^"]+)",\s*\w+,\s*"([^"]*)",\s*"([^"]*)"', files["src/cli/commands.def"], flags=re.M)
    names = {f"--{s}" for s in settings(files)}
    return {words: {f"--{f.rstrip('=')}" for f in flags.split() if f != "@settings"} | (names if "@settings" in flags else set()) for words, _, flags in rows}


def settings(files):
    return re.findall(r'^SETTING\("([^"]+)"', files["src/cli/settings.def"], flags=re.M)


def routes(files):
    rows = re.findall(r'^ROUTE\((\w+),\s*"([^"]+)",\s*(\w+),', files["src/api/routes.def"], flags=re.M)
    return [(method, pattern.replace("*}", "}")) for method, pattern, access in rows if access != "PAGE"]


def scopes(files):
    """(method, pattern, scope) of each route that a key opens."""
    rows = re.findall(r'^ROUTE\((\w+),\s*"([^"]+)",\s*(INFERENCE|EMBEDDINGS|MODELS|USAGE),', files["src/api/routes.def"], flags=re.M)
    return [(method, pattern.replace("*}", "}"), scope.lower()) for method, pattern, scope in rows]


def command_of(words, known):
    for n in (2, 1):
        if " ".join(words[:n]) in known:
            return " ".join(words[:n])
    return None


def lines_of(fence):
    """Shell lines of a fence, with continuations joined, prompts and comments taken away."""
    for line in fence.replace("\\\n", " ").splitlines():
        line = re.sub(r"^\s*[$#] ", "", line)
        yield re.sub(r"\s#.*$", "", line).strip()


# ---- the checks: each yields its faults ----


def check_reachable(files):
    """Every page can be reached by links from README.md or docs/README.md."""
    seen, todo = set(), [p for p in START if p in files]
    while todo:
        page = todo.pop()
        if page in seen or page not in files:
            continue
        seen.add(page)
        todo += [target for target, _ in links(page, files[page]) if target.endswith(".md")]
    for page in pages(files):
        if page not in seen:
            yield f"{page} cannot be reached from {' or '.join(START)}"


def check_links(files):
    """Every link has its file, every anchor its heading."""
    folders = {posixpath.dirname(p) for p in files}
    folders |= {f[: f.index("/", i)] for f in folders for i in [m.start() for m in re.finditer(r"[^/]+/", f)]} | {"."}
    for page in pages(files):
        for target, anchor in links(page, files[page]):
            if target not in files and target.rstrip("/") not in folders:
                yield f"{page}: links to {target}, which is not there"
            elif anchor and target.endswith(".md") and anchor not in anchors(files[target]):
                yield f"{page}: links to {target}#{anchor}, which has no such heading"


def check_paths(files):
    """A path of the tree that a page names in code exists."""
    names = set(files) | {posixpath.dirname(p) for p in files}
    names |= {posixpath.dirname(n) for n in names}
    for page in pages(files):
        for m in re.finditer(r"`((?:src|tests|tools|bench|make|docs|models)/[\w./-]*\w/?)`", files[page]):
            path = m.group(1).rstrip("/")
            if re.search(r"[A-Z]{4}", path.replace("README", "").replace("ARCHITECTURE", "")):
                continue  # NAME and FOLDER stand for any
            if path not in names and not any(n.startswith(path + ".") or n.startswith(path + "_") for n in names):
                yield f"{page}: names {path}, which is not there"


def check_commands(files):
    """commands.md has a row for every command, with every flag it has, and for no other."""
    known, page = commands(files), files.get("docs/using/commands.md", "")
    rows = {}
    for m in re.finditer(r"^\| `sluice ([^`]+)`(.*)$", page, flags=re.M):
        name = command_of(m.group(1).split(), known)
        if name is None:
            yield f"docs/using/commands.md: sluice {m.group(1)} is no command"
        else:
            rows[name] = rows.get(name, "") + m.group(0)
    for name, flags in known.items():
        if name not in rows:
            yield f"docs/using/commands.md has no row for sluice {name}"
            continue
        said = set(re.findall(r"--[a-z][a-z0-9-]*", rows[name]))
        for flag in sorted(flags - said - {f"--{s}" for s in settings(files)}):
            yield f"docs/using/commands.md: sluice {name} does not say {flag}"
        for flag in sorted(said - flags - {f"--{a}" for a in ALWAYS}):
            yield f"docs/using/commands.md: sluice {name} has no {flag}"


def check_settings(files):
    """Every setting stands in a page under docs/operating/, and the table there has no other."""
    text = "".join(t for p, t in files.items() if p.startswith("docs/operating/") and p.endswith(".md"))
    for s in settings(files):
        if f"`{s}`" not in text:
            yield f"docs/operating/: the setting {s} is not documented"
    table = files.get("docs/operating/settings.md", "")
    for s in re.findall(r"^\| `([a-z][a-z0-9-]*)` \|", table, flags=re.M):
        if s not in settings(files):
            yield f"docs/operating/settings.md: there is no setting {s}"


def check_routes(files):
    """Every route stands in api.md or a page beside it, with its method."""
    text = "".join(t for p, t in files.items() if p.startswith(("docs/using/", "docs/operating/")))
    for method, pattern in routes(files):
        if not re.search(rf"`{method} {re.escape(pattern)}[`?]", text):
            yield f"docs/using/api.md: {method} {pattern} is not documented"
    known = set(routes(files))
    for m in re.finditer(r"`(GET|POST|PUT|DELETE|PATCH) (/[^`?\s]*)", files.get("docs/using/api.md", "")):
        if (m.group(1), m.group(2)) not in known and not m.group(2).startswith("/admin") and m.group(2) != "/":
            yield f"docs/using/api.md: there is no {m.group(1)} {m.group(2)}"


def check_scopes(files):
    """The tables of api.md and keys.md say of each route the scope that it asks for."""
    for page in ("docs/using/api.md", "docs/using/keys.md"):
        rows = [line for line in files.get(page, "").splitlines() if line.startswith("|")]
        for method, pattern, scope in scopes(files):
            if not any(f"`{scope}`" in row for row in rows if re.search(rf"`{method} {re.escape(pattern)}[`?]", row)):
                yield f"{page} does not say that {method} {pattern} asks for {scope}"


def check_parameters(files):
    """Every parameter of a request stands in parameters.md."""
    page = files.get("docs/using/parameters.md", "")
    for name in re.findall(r'^PARAM\(\w+,\s*"(\w+)"', files["src/api/params.def"], flags=re.M):
        if f"| `{name}` |" not in page:
            yield f"docs/using/parameters.md: {name} is not documented"


def check_errors(files):
    """Every code that an error can have on the wire and that a client can meet stands in api.md; no page names another."""
    page = files.get("docs/using/api.md", "")
    known = set(re.findall(r'^ERR\(\w+,\s*(\d+),\s*\d+,\s*"[^"]+",\s*"(\w+)"', files["src/base/err.def"], flags=re.M))
    for status, code in sorted(known):
        if f"`{code}`" not in page:
            yield f"docs/using/api.md: the error {status} {code} is not documented"
    for name in pages(files):
        for status, code in re.findall(r"\b([45]\d\d) `([a-z_]+)`", files[name]):
            if (status, code) not in known:
                yield f"{name}: there is no error {status} {code}"


def check_tests(files):
    """A test that testing.md names in brackets behind its file exists."""
    words = {w for p, text in files.items() if is_test(p) for w in re.findall(r"\w+", text)}
    for group in re.findall(r"\(((?:`[a-z]\w+`(?:, )?)+)\)", files.get("docs/internals/testing.md", "")):
        for name in re.findall(r"\w+", group):
            if name not in words:
                yield f"docs/internals/testing.md: there is no test {name}"


def check_metrics(files):
    """Every metric that the api writes stands in metrics.md, and no other does."""
    told = {m for p, t in files.items() if re.match(r"src/api/\w+\.c$", p) for m in re.findall(r'"(?:# \w+ )?(sluice_[a-z_]+)', t)}
    page = set(re.findall(r"^\| `(sluice_[a-z_]+)` \|", files.get("docs/operating/metrics.md", ""), flags=re.M))
    for m in sorted(told - page):
        yield f"docs/operating/metrics.md: {m} is not documented"
    for m in sorted(page - told):
        yield f"docs/operating/metrics.md: there is no {m}"


def check_fences(files):
    """Each `sluice ...` line in a code fence is a command with flags that it has; each `make ...` names a target."""
    known = commands(files)
    targets = {t for p, text in files.items() if p.endswith(".mk") or p == "Makefile" for t in re.findall(r"^([a-z][a-z-]*)(?:%)?:", text, flags=re.M)}
    for page in pages(files):
        for line in (line for f in fences(files[page]) for line in lines_of(f)):
            for call in re.findall(r"(?:^|&& |\| |; )(?:sudo )?(?:-u \w+ )?(?:build/|/usr/local/bin/)?sluice ([^|;&>]*)", line):
                words = call.split()
                name = command_of(words, known)
                if name is None:
                    yield f"{page}: `sluice {call.strip()}` is no command"
                    continue
                for flag in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", call):
                    if flag not in known[name] and flag[2:] not in ALWAYS:
                        yield f"{page}: `sluice {name}` has no {flag}"
            for target in re.findall(r"(?:^|&& )make ((?:[a-z][a-z-]* ?)+)", line):
                for t in target.split():
                    if t not in targets and not re.match(r"(unit|suite|tsan|asan)-", t):
                        yield f"{page}: `make {t}` is no target"


def check_folders(files):
    """docs/README.md names a page of docs/internals for every folder of the source, and ARCHITECTURE.md has each in its tree."""
    index, tree = files.get("docs/README.md", ""), files.get("ARCHITECTURE.md", "")
    for folder in sorted({p.split("/")[1] for p in files if re.match(r"src/\w+/", p)}):
        if not re.search(rf"^\| `{folder}/?`.*\]\((?:internals|formats)/", index, flags=re.M):
            yield f"docs/README.md: no page of docs/internals for src/{folder}"
        if not re.search(rf"^  {folder}/ ", tree, flags=re.M):
            yield f"ARCHITECTURE.md: src/{folder} is not in the tree"


def check_dependencies(files):
    """Every library that the program links stands in docs/dependencies.md."""
    page = files.get("docs/dependencies.md", "").lower()
    for lib in re.findall(r"-l([a-z_0-9]+)", re.search(r"^LIBS\s*:=(.*)$", files["make/flags.mk"], flags=re.M).group(1)):
        name = {"event_core": "libevent", "event_openssl": "libevent", "ssl": "openssl", "crypto": "openssl", "sqlite3": "sqlite", "pthread": "", "m": "", "curl": "libcurl"}.get(lib, lib)
        if name not in page:
            yield f"docs/dependencies.md: lib{lib} is not there"


CHECKS = [f for name, f in sorted(globals().items()) if name.startswith("check_")]


# ---- the checks, checked ----

PLANTED = [
    (check_reachable, "docs/using/orphan.md", "# Orphan\n"),
    (check_links, "docs/extra.md", "[x](none.md)"),
    (check_links, "docs/extra.md", "[x](using/api.md#no-such-heading)"),
    (check_paths, "docs/extra.md", "see `src/base/nothing.c`"),
    (check_commands, "docs/using/commands.md", "| `sluice dance` | dances |"),
    (check_commands, "docs/using/commands.md", "| `sluice audit [--gently]` | audits |"),
    (check_commands, "src/cli/commands.def", '\nCOMMAND("sing", cmd_sing, "", "", "sings", "sluice sing")\n'),
    (check_settings, "src/cli/settings.def", '\nSETTING("colour", "", "x")\n'),
    (check_routes, "src/api/routes.def", '\nROUTE(GET, "/v1/secret", MODELS, route_secret)\n'),
    (check_routes, "docs/using/api.md", "`POST /v1/nothing`"),
    (check_scopes, "src/api/routes.def", '\nROUTE(GET, "/v1/models", USAGE, route_models)\n'),
    (check_parameters, "src/api/params.def", '\nPARAM(zeal, "zeal", CHAT, INT, 0, 1, "", HONOURED, "x")\n'),
    (check_errors, "src/base/err.def", '\nERR(TEAPOT, 400, 2, "invalid_request_error", "teapot", false)\n'),
    (check_errors, "docs/extra.md", "503 `too_tired`"),
    (check_tests, "docs/internals/testing.md", "`test_base.c` (`this_is_proved_nowhere`)"),
    (check_metrics, "src/api/metrics.c", '\nput_one(b, "sluice_luck", "gauge");\n'),
    (check_metrics, "docs/operating/metrics.md", "| `sluice_luck` | gauge | luck |"),
    (check_fences, "docs/extra.md", "```\nsluice fly me\n```\n"),
    (check_fences, "docs/extra.md", "```\nsluice audit --wildly\n```\n"),
    (check_fences, "docs/extra.md", "```\nmake haste\n```\n"),
    (check_folders, "src/attic/a.c", ""),
    (check_dependencies, "make/flags.mk", "\nLIBS := -lmagic\n"),
]


def planted(files):
    for check, path, text in PLANTED:
        changed = dict(files)
        changed[path] = text + files.get(path, "") if path == "make/flags.mk" else files.get(path, "") + "\n" + text
        before = set(check(files))
        if not set(check(changed)) - before:
            yield f"the planted fault is not found by {check.__name__}: {path}: {text.strip()}"


def main():
    files, passed, failed = load(), 0, 0
    for check in [*CHECKS, planted]:
        faults = list(check(files))
        for fault in faults:
            print(fault)
        passed, failed = passed + (not faults), failed + bool(faults)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed != 0)


main()
