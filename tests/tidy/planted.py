"""The checker of the house rules, checked: each planted fault must be found on its line, and a clean file must pass.

usage: planted.py TIDY_PROGRAM"""
import os
import subprocess
import sys
import tempfile

TIDY = os.path.abspath(sys.argv[1])
LAYERS = "base:\nnet: base\ntext: base\ndb: base\nhub: base net db\napi: base net text\ncli: *\n"
CLEAN = '/* A clean file. */\n#include "base/err.h"\n\nint ok(void)\n{\n    return 0;\n}\n'
# (name, path, text, the line of the fault, words of its message)
PLANTED = [
    ("a layer upwards", "src/base/a.c", '#include "net/server.h"\n', 1, "may not include"),
    ("a layer aside", "src/text/a.c", '\n#include "net/server.h"\n', 2, "may not include"),
    ("a folder that no layer names", "src/attic/a.c", '#include "base/err.h"\n', 1, "not in tools/layers.txt"),
    ("libevent outside net", "src/api/a.c", "#include <event2/event.h>\n", 1, "one folder only"),
    ("libcurl outside net", "src/hub/a.c", "#include <curl/curl.h>\n", 1, "one folder only"),
    ("TLS outside net", "src/base/a.c", "#include <openssl/ssl.h>\n", 1, "one folder only"),
    ("digests outside base", "src/text/a.c", "#include <openssl/evp.h>\n", 1, "one folder only"),
    ("jansson outside base", "src/api/a.c", "#include <jansson.h>\n", 1, "one folder only"),
    ("SQLite outside db", "src/api/a.c", "#include <sqlite3.h>\n", 1, "one folder only"),
    ("utf8proc outside text", "src/base/a.c", "#include <utf8proc.h>\n", 1, "one folder only"),
    *[(f"{f}()", "src/base/a.c", f"\n\nint x = {f}(y);\n", 3, f"banned function: {f}") for f in
      ("strtol", "strtoul", "strtoll", "strtoull", "atoi", "atol", "atof", "sprintf", "vsprintf", "strcpy", "strcat", "gets", "rand", "srand", "alloca", "strtok", "sscanf")],
    *[(f"{f}()", "src/hub/a.c", f"    {f}(x);\n", 1, "starts another or loads code") for f in ("fork", "system", "popen", "execve", "execvp", "dlopen")],
    ("posix_spawn outside the sandbox", "src/hub/a.c", "    posix_spawn(x);\n", 1, "one file only: src/base/sandbox.c"),
    ("a second maker of blob paths", "src/hub/a.c", '    path(x, "blobs/sha256");\n', 1, "one file only: src/hub/store.c"),
    ("#ifdef where none may be", "src/api/a.c", "#ifdef X\n#endif\n", 1, "conditional compilation"),
    ("a long line", "src/base/a.c", "/* " + "x" * 150 + " */\n", 1, "longer than 150 columns"),
    ("a tab", "src/base/a.c", "int\tx;\n", 1, "tab"),
    ("a blank at the end", "src/base/a.c", "int x; \n", 1, "blank at the end"),
    ("CRLF", "src/base/a.c", "int x;\r\n", 1, "blank at the end"),
    ("a long function", "src/base/a.c", "int f(void)\n{\n" + "    x();\n" * 101 + "}\n", 2, "longer than a screen"),
    ("a long file", "src/base/a.c", "int x;\n" * 801, 801, "longer than 800 lines"),
    ("an empty name", "src/base/util.c", "int x;\n", 1, "named for what it is about"),
    ("an empty name of a header", "src/net/common.h", "int x;\n", 1, "named for what it is about"),
    ("style in tests too", "tests/unit/base/test_a.c", "int\tx;\n", 1, "tab"),
]
# What must not be a fault: words that only contain a banned one, comments, other letters at the limit.
FINE = [("src/base/a.c", "int my_atoi(int x);\nint randomize(void);\nstruct systems(x);\n"), ("src/base/a.c", "/* fork( is not used; blobs/sha256 */\n"), ("src/base/a.c", "/* " + "é" * 140 + " */\n"),
        ("src/base/a.c", "int f(void)\n{\n" + "    x();\n" * 99 + "}\n"), ("src/cli/a.c", '#include "net/server.h"\n#include "api/api.h"\n'), ("src/base/a.def", "ROW(" + "x" * 300 + ")\n")]


def tidy(path, text):
    with tempfile.TemporaryDirectory() as top:
        for p, t in ((path, text), ("layers.txt", LAYERS)):
            os.makedirs(os.path.dirname(os.path.join(top, p)) or top, exist_ok=True)
            with open(os.path.join(top, p), "w", newline="") as f:
                f.write(t)
        r = subprocess.run([TIDY, "layers.txt", path], cwd=top, capture_output=True, text=True)
        return r.returncode, r.stdout


failed = 0


def check(name, ok, detail):
    global failed
    if not ok:
        failed += 1
        print(f"FAIL {name}: {detail}")


for name, path, text, line, words in PLANTED:
    code, out = tidy(path, text)
    check(name, code == 1 and any(o.startswith(f"{path}:{line}: ") and words in o for o in out.splitlines()), out)
for path, text in [("src/api/clean.c", CLEAN), *FINE]:
    code, out = tidy(path, text)
    check(f"fine: {text[:40]!r}", code == 0, out)
total = len(PLANTED) + len(FINE) + 1
print(f"{total - failed} passed, {failed} failed, 0 skipped")
sys.exit(failed != 0)
