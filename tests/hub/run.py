"""Pull and its sisters, black box: run.py [PART OF A TEST'S NAME]. Environment: SLUICE, the program."""
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from fake_hub import Content, Hub

SLUICE = os.path.abspath(os.environ.get("SLUICE", "build/sluice"))
GUIDE = open("models/guide.gguf", "rb").read()
REPO = "org/tiny-GGUF"
ENV = ("PATH", "HOME", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
TESTS = []


def test(f):
    TESTS.append(f)
    return f


def sized(n, seed=1):
    """A sound model of n bytes: the guide with random bytes behind its tensors."""
    return GUIDE + random.Random(seed).randbytes(n - len(GUIDE))


class Box:
    """A data folder, a hub, and the commands against them."""

    def __init__(self, stack, files=None, **hub):
        self.data = stack.enter_context(tempfile.TemporaryDirectory())
        self.hub = Hub(**hub)
        stack.callback(self.hub.close)
        self.hub.repos[REPO] = files if files is not None else {"tiny-Q8_0.gguf": Content(GUIDE)}
        self.env = {k: os.environ[k] for k in ENV if k in os.environ}
        self.env.update(HF_ENDPOINT=self.hub.url, MODELSCOPE_ENDPOINT=self.hub.url, HOME=self.data)

    def command(self, *args):
        return [SLUICE, *args, "--data", os.path.join(self.data, "d")]

    def run(self, *args, code=None, env=None, input=None):
        p = subprocess.run(self.command(*args), capture_output=True, text=True, env={**self.env, **(env or {})}, timeout=120, stdin=input)
        assert p.returncode >= 0, f"{args}: signal {-p.returncode}: {p.stderr}"
        assert "Sanitizer" not in p.stderr, p.stderr
        if code is not None:
            assert p.returncode == code, f"{args}: exit {p.returncode}, not {code}: {p.stdout}{p.stderr}"
        return p

    def pull(self, spec=REPO, *args, env=None):
        return json.loads(self.run("pull", spec, "--json", *args, code=0, env=env).stdout)

    def refuses(self, code, words, spec=REPO, *args, env=None, empty=True):
        p = self.run("pull", spec, *args, code=code, env=env)
        for w in [words] if isinstance(words, str) else words:
            assert w in p.stderr, f"expected \"{w}\" in: {p.stderr}"
        if empty:
            assert not self.blobs() and not self.refs(), "nothing may be visible after an error"
        return p

    def folder(self, name):
        d = os.path.join(self.data, "d", "hub", name)
        return sorted(os.listdir(d)) if os.path.isdir(d) else []

    def blobs(self):
        return self.folder("blobs/sha256")

    def refs(self):
        return self.folder("refs")

    def partials(self):
        return self.folder("partial")

    def blob_is(self, content):
        path = os.path.join(self.data, "d", "hub", "blobs/sha256", content.sha256)
        with open(path, "rb") as f:
            assert hashlib.sha256(f.read()).hexdigest() == content.sha256
        assert os.stat(path).st_mode & 0o7777 == 0o444


def same(a, b, what=""):
    assert a == b, f"{what}: {a!r} is not {b!r}"


@test
def pulls_and_a_second_pull_moves_nothing(s):
    content = Content(GUIDE)
    b = Box(s, {"README.md": Content(b"# hi", lfs=False), "tiny-Q8_0.gguf": content})
    got = b.pull()
    same([got["moved"], got["bytes"], got["new"], got["name"]], [len(GUIDE), len(GUIDE), True, REPO])
    same(got["digest"], "sha256:" + content.sha256)
    same(got["revision"], b.hub.sha, "the commit is pinned")
    b.blob_is(content)
    same(b.partials(), [])
    asked = b.hub.bytes_asked()
    again = b.pull()
    same([again["moved"], again["new"], b.hub.bytes_asked()], [0, False, asked], "the second pull")
    assert "no bytes moved" in b.run("pull", REPO, code=0).stdout
    shown = json.loads(b.run("show", REPO, "--json", code=0).stdout)
    same([shown["architecture"], shown["licence"], shown["digest"]], ["llama", "apache-2.0", "sha256:" + content.sha256])
    row = [r for r in json.loads(b.run("list", "--json", code=0).stdout) if r["name"] == REPO]
    same(row[0]["source"], f"{REPO}@{b.hub.sha}:tiny-Q8_0.gguf")
    b.run("rm", REPO, code=0)
    same([b.blobs(), b.refs()], [[], []])


@test
def modelscope(s):
    content = Content(GUIDE)
    b = Box(s, {"sub/tiny q8_0.gguf": content})
    got = b.pull(REPO, "--from", "modelscope", env={"MODELSCOPE_API_TOKEN": "secret"})
    same([got["moved"], got["file"], got["revision"]], [len(GUIDE), "sub/tiny q8_0.gguf", "master"])
    b.blob_is(content)
    for _, path, _, headers in b.hub.log:
        same([headers.get("Authorization"), headers.get("Cookie")], ["Bearer secret", "m_session_id=secret"], path)
    b.refuses(4, "has no model org/absent", "org/absent", "--from", "modelscope", empty=False)


def main():
    only, passed, failed = sys.argv[1] if len(sys.argv) > 1 else "", 0, 0
    for t in TESTS:
        if only not in t.__name__:
            continue
        began = time.monotonic()
        try:
            with contextlib.ExitStack() as stack:
                t(stack)
            passed += 1
            if os.environ.get("VERBOSE"):
                print(f"ok   {t.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {t.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
