"""What the tests of this folder share: a data folder with a hub and the commands against them, a gate for bytes, the list of tests. Environment: SLUICE, the program."""
import hashlib
import json
import os
import random
import subprocess
import tempfile
import threading
import time

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
        p = subprocess.run(self.command(*args), capture_output=True, text=True, env={**self.env, **(env or {})}, timeout=600, stdin=input)
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


def bits(path):
    """Ranges that a journal tells, as bytes."""
    try:
        with open(path, "rb") as f:
            raw = f.read()
    except OSError:
        return 0
    le = lambda at, n: int.from_bytes(raw[at : at + n], "little")  # noqa: E731
    return sum(le(at + 8, 8) - le(at, 8) for at in range(40, len(raw) - 23, 24) if le(at + 16, 4) == 1)


class Gate:
    """Lets a hub send so many bytes of files and no more, until it is opened."""

    def __init__(self, hub, limit=0):
        self.limit, self.sent, self.turn, self.lock = limit, 0, 0, threading.Lock()
        hub.faults.append(self.fault)

    def fault(self, r):
        turn = self.turn

        def pass_on(piece, at):
            while turn == self.turn:
                with self.lock:
                    if self.sent < self.limit:
                        self.sent += len(piece)
                        return piece
                time.sleep(0.005)
            raise ConnectionError("the client is gone")

        r.plan.swap = pass_on

    def next(self, more):
        """After the client was killed: its connections end, and the next may have `more` bytes."""
        self.turn += 1
        with self.lock:
            self.limit = self.sent + more


def start_of(r):
    return int((r.headers.get("Range") or "bytes=0-")[6:].split("-")[0])


def split(folder, name, parts, **keys):
    """A tiny model in `parts` files; their paths."""
    subprocess.run([os.path.join(os.environ.get("OUT", "build"), "tool/tinymodel"), os.path.join(folder, name), f"parts={parts}",
                    *(f"{k}={v}" for k, v in keys.items())], check=True)
    return [os.path.join(folder, f"{name}-{i + 1:05}-of-{parts:05}.gguf") for i in range(parts)]


def content_of(path):
    with open(path, "rb") as f:
        return Content(f.read())
