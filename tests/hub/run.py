"""Pull and its sisters, black box: run.py [PART OF A TEST'S NAME]. Environment: SLUICE, the program."""
import contextlib
import hashlib
import json
import os
import random
import signal
import ssl
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


@test
def resumes_after_ten_kills_at_random_places(s):
    size, rng = 40 << 20, random.Random(os.environ.get("SEED", "7"))
    content = Content(sized(size))
    b = Box(s, {"m.gguf": content})
    gate = Gate(b.hub)
    part = os.path.join(b.data, "d", "hub", "partial", f"sha256-{content.sha256}.journal")
    places, before, kills = sorted(rng.randrange(1 << 20, size - (2 << 20)) for _ in range(10)), 0, 0
    for place in places:
        gate.next(max(0, place - before))
        p = subprocess.Popen(b.command("pull", REPO, "--json"), env=b.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while gate.sent < gate.limit:
            assert p.poll() is None, "it ended before it was killed"
            time.sleep(0.002)
        p.send_signal(signal.SIGKILL)
        kills += p.wait() == -signal.SIGKILL
        now = bits(part)
        assert now >= before, "what was there stays there"
        before = now
        same([b.blobs(), b.refs()], [[], []], "nothing is visible before the end")
    same(kills, 10)
    assert before > size // 4, "most of what was sent is kept"
    gate.next(1 << 40)
    got = b.pull()
    b.blob_is(content)
    assert got["moved"] <= size - before + (1 << 20), f"{got['moved']} bytes moved although {before} of {size} were there"
    same(b.partials(), [])
    same(b.pull()["moved"], 0)


def start_of(r):
    return int((r.headers.get("Range") or "bytes=0-")[6:].split("-")[0])


@test
def a_torn_journal_and_a_short_file_are_begun_anew(s):
    content = Content(sized(12 << 20))
    b = Box(s, {"m.gguf": content})
    part = os.path.join(b.data, "d", "hub", "partial")
    for damage in ("journal", "data", "foreign"):
        b.hub.faults[:] = [lambda r: setattr(r.plan, "cut_after", 0) if start_of(r) > 3 << 20 else None]
        b.refuses(5, "broke off", REPO, "--retries", "1", "--connections", "1")
        journal, data = (os.path.join(part, f"sha256-{content.sha256}.{x}") for x in ("journal", "data"))
        if damage == "journal":
            with open(journal, "r+b") as f:
                f.seek(60)
                f.write(b"\xff" * 4)
        elif damage == "data":
            os.truncate(data, 100)
        else:
            with open(journal, "wb") as f:
                f.write(os.urandom(5000))
        b.hub.faults[:] = []
        b.pull()
        b.blob_is(content)
        b.run("rm", REPO, code=0)


@test
def cuts_are_gone_on_from(s):
    content = Content(sized(24 << 20))
    b = Box(s, {"m.gguf": content})
    rng, left = random.Random(5), [10]

    def cut(r):
        if "Range" in r.headers and left[0]:
            left[0] -= 1
            r.plan.cut_after = rng.randrange(1, 4 << 20)

    b.hub.faults.append(cut)
    b.pull()
    b.blob_is(content)
    same(left[0], 0, "cuts that did not happen")


@test
def a_connection_that_gives_nothing_is_given_up(s):
    b = Box(s)
    b.hub.faults.append(lambda r: setattr(r.plan, "cut_after", 0) if "Range" in r.headers else None)
    p = b.refuses(5, "broke off", REPO, "--retries", "2")
    assert p.stderr.count("going on in") == 2, p.stderr
    stall = threading.Event()
    s.callback(stall.set)
    b.hub.faults[:] = [lambda r: "Range" in r.headers and stall.wait(20)]
    b.refuses(5, "does not answer", REPO, "--retries", "1", "--timeout", "1")


@test
def slow_is_not_stalled(s):
    b = Box(s)
    b.hub.faults.append(lambda r: setattr(r.plan, "pause_every", (300000, 0.4)))
    same(b.pull(REPO, "--timeout", "1")["moved"], len(GUIDE))


@test
def other_content_than_the_hub_names_is_thrown_away(s):
    true = Content(sized(8 << 20))
    b = Box(s, {"m.gguf": true})
    b.hub.faults.append(lambda r: setattr(r.plan, "swap", lambda piece, at: piece[:-1] + bytes([piece[-1] ^ 1]) if at > 4 << 20 else piece))
    b.refuses(5, ["other content", "pull again"])
    same(b.partials(), [])
    b.hub.faults.clear()
    b.pull()
    small = Content(GUIDE, lfs=False)
    b = Box(s, {"m.gguf": small})
    b.pull()
    b.blob_is(small)
    b = Box(s, {"m.gguf": Content(GUIDE, lfs=False)})
    b.hub.repos[REPO]["m.gguf"].blob = "1" * 40
    b.refuses(5, "other content")


@test
def wrong_lengths(s):
    b = Box(s, {"m.gguf": Content(sized(6 << 20))})
    c = b.hub.repos[REPO]["m.gguf"]
    b.hub.faults[:] = [lambda r: setattr(r.plan, "total", c.size + 1)]
    b.refuses(5, "bytes by the hub's list")
    b.hub.faults[:] = [lambda r: setattr(r.plan, "headers", {"Content-Range": f"bytes 5-9/{c.size}"}) if "Range" in r.headers else None]
    b.refuses(5, "not the range that was asked for")
    b.hub.faults[:] = [lambda r: setattr(r.plan, "headers", {"Content-Range": "nonsense"}) if "Range" in r.headers else None]
    b.refuses(5, "not the range that was asked for")
    b.hub.faults[:] = [lambda r: setattr(r.plan, "extra", b"x" * 1000) if "Range" in r.headers else None]
    b.refuses(5, "longer than it says")
    c.size -= 1 << 20  # the list and the answers agree on less than the model needs
    c.sha256 = hashlib.sha256(c.data[: c.size]).hexdigest()
    b.hub.faults[:] = []
    b.pull()  # random bytes behind the tensors are all that is missing
    b = Box(s, {"m.gguf": Content(GUIDE[:-10000])})
    b.refuses(8, "past the end of the file")
    same(b.partials(), [])


@test
def a_server_without_ranges(s):
    content = Content(sized(20 << 20))
    b = Box(s, {"m.gguf": content})
    b.hub.faults.append(lambda r: setattr(r.plan, "ignore_range", True))
    b.pull()
    b.blob_is(content)
    b.run("rm", REPO, code=0)
    left = [3]

    def cut(r):
        if "resolve" in r.path and left[0]:
            left[0] -= 1
            r.plan.cut_after = 7 << 20

    b.hub.faults.append(cut)
    b.pull()
    b.blob_is(content)
    b.run("rm", REPO, code=0)
    turns = [0]

    def rewrite(r):  # the second answer has other bytes where the first had good ones: they must not touch the disk
        if "resolve" in r.path:
            turns[0] += 1
            if turns[0] <= 2:  # the head, then the rest
                r.plan.cut_after = 7 << 20
            else:
                r.plan.swap = lambda piece, at: bytes(len(piece)) if at < 6 << 20 else piece

    b.hub.faults[:] = [lambda r: setattr(r.plan, "ignore_range", True), rewrite]
    part = os.path.join(b.data, "d", "hub", "partial", f"sha256-{content.sha256}.journal")
    b.pull(REPO, "--connections", "1")
    assert turns[0] >= 3 and not os.path.exists(part)
    b.blob_is(content)
    b.run("rm", REPO, code=0)
    turn = [0]

    def sometimes(r):  # a fleet of which one gives ranges and another none
        turn[0] += 1
        r.plan.ignore_range = turn[0] % 3 == 0

    b.hub.faults[:] = [sometimes]
    b.pull()
    b.blob_is(content)


@test
def a_file_that_changes_meanwhile(s):
    b = Box(s, {"m.gguf": Content(sized(24 << 20))})
    turn = [0]

    def etag(r):
        turn[0] += 1
        r.plan.headers = {"ETag": f'"v{turn[0]}"'}

    b.hub.faults[:] = [etag]
    b.refuses(5, "changed on the hub while it was fetched")
    b.hub.faults[:] = [lambda r: setattr(r.plan, "headers", {"X-Linked-Etag": '"' + "a" * 64 + '"'})]
    b.refuses(5, "changed on the hub while it was fetched")


@test
def what_is_encoded_is_not_unpacked(s):
    b = Box(s)
    b.hub.faults[:] = [lambda r: setattr(r.plan, "headers", {"Content-Encoding": "gzip"})]
    b.refuses(5, 'encoded as "gzip"')
    b.hub.faults[:] = [lambda r: r.plain(200, b"\x1f\x8b" + b"0" * 100, {"Content-Encoding": "gzip"}) or True]
    b.refuses(5, 'encoded as "gzip"')


@test
def the_token_stays_with_its_host(s):
    b, cdn = Box(s, {"m.gguf": Content(sized(9 << 20))}), Hub()
    s.callback(cdn.close)
    b.hub.token, b.hub.cdn, cdn.repos = "hf_secret", cdn, b.hub.repos
    b.refuses(3, ["does not show model org/tiny-GGUF without a token", "HF_TOKEN"])
    b.refuses(3, "does not accept the token", env={"HF_TOKEN": "hf_wrong"})
    b.pull(env={"HF_TOKEN": "hf_secret"})
    assert len(cdn.log) >= 2 and len([1 for m, p, _, _ in b.hub.log if "/resolve/" in p]) == 1, "the way is found once"
    for _, path, _, headers in cdn.log:
        for name in ("Authorization", "Cookie"):
            assert name not in headers, f"{name} went to another host with {path}"
    b.run("rm", REPO, code=0)
    home = os.path.join(b.data, "hf")
    os.makedirs(home)
    with open(os.path.join(home, "token"), "w") as f:
        f.write("hf_secret\n")
    b.pull(env={"HF_HOME": home})
    b.run("rm", REPO, code=0)
    b.pull(REPO, "--token-file", os.path.join(home, "token"))
    b.refuses(4, "absent", REPO, "--token-file", os.path.join(home, "absent"), empty=False)
    b.refuses(2, "the token holds", env={"HF_TOKEN": "two words"}, empty=False)
    b.refuses(2, "HF_TOKEN is longer", env={"HF_TOKEN": "x" * 2000}, empty=False)
    for where in (b.data,):  # no secret on the disk
        p = subprocess.run(["grep", "-rl", "hf_secret", os.path.join(where, "d")], capture_output=True, text=True)
        same(p.stdout, "")


@test
def a_signed_place_that_runs_out_is_found_again(s):
    content = Content(sized(24 << 20))
    b, cdn = Box(s, {"m.gguf": content}), Hub()
    s.callback(cdn.close)
    b.hub.cdn, cdn.repos = cdn, b.hub.repos
    turn = [0]

    def expired(r):
        turn[0] += 1
        return r.error(403) or True if turn[0] in (3, 4, 5, 9) else None

    cdn.faults.append(expired)
    b.pull()
    b.blob_is(content)
    assert turn[0] > 4


@test
def redirects(s):
    b = Box(s)
    resolve = lambda to, status=302: [lambda r: r.redirect(to, status=status) or True if "/resolve/" in r.path else None]  # noqa: E731
    for words, to in [
        ("more than 5 times", "/org/tiny-GGUF/resolve/x/loop"),
        ("not asked", "file:///etc/passwd"),
        ("not asked", "ftp://example.com/x"),
        ("not asked", "gopher://127.0.0.1:1/x"),
        ("link-local address", "http://169.254.169.254/latest/meta-data/"),
        ("private address", "http://10.1.2.3/x"),
        ("private address", "http://192.168.0.1:8080/x"),
        ("private address", "http://172.16.5.4/x"),
        ("private address", "http://100.64.1.1/x"),
        ("special address", "http://0.0.0.0:1/x"),
        ("special address", "http://224.0.0.1/x"),
        ("link-local address", "http://[fe80::1]/x"),
        ("private address", "http://[fd00::1]/x"),
        ("private address", "http://[::ffff:10.0.0.1]/x"),
        ("link-local address", "http://[::ffff:169.254.169.254]/x"),
        ("link-local address", "http://[64:ff9b::a9fe:a9fe]/x"),
        ("link-local address", "http://[2002:a9fe:a9fe::1]/x"),
        ("private address", "http://0x0a.1/x"),
        ("private address", "http://167838211/x"),
        ("link-local address", "http://0251.0376.0251.0376/x"),
        ("not asked", "http://user:pass@127.0.0.1/x"),
        ("not asked", "http://a\\\\@b/x"),
        ("not asked", "http://a b/x"),
        ("not asked", "http://"),
        ("not asked", "http://x:99999/"),
        ("not asked", "http://" + "a" * 300 + "/"),
        ("more than 5 times", ""),
    ]:
        b.hub.faults[:] = resolve(to)
        b.refuses(5, words)
    b.hub.faults[:] = [lambda r: r.plain(302, b"") or True if "/resolve/" in r.path else None]
    b.refuses(5, "without saying where")
    for status in (301, 302, 303, 307, 308):
        b.hub.faults[:] = [lambda r: r.redirect(f"../../../../bytes/{REPO}/tiny-Q8_0.gguf?x=%2F", status=status) or True if "/resolve/" in r.path else None]
        b.pull()
        b.run("rm", REPO, code=0)
    # the list of files may be elsewhere on the same host, and its next page too, but not on another
    b.hub.faults[:] = [lambda r: r.redirect(r.path.replace("/api/", "/moved/api/")) or True if r.path.startswith("/api/") else None]
    b.refuses(4, "has no model")
    other = Hub()
    s.callback(other.close)
    other.repos = b.hub.repos
    b.hub.faults[:] = [lambda r: setattr(r.hub, "url", other.url)]
    b.hub.page_size = 1
    b.hub.repos[REPO] = {f"f{i}": Content(b"x", lfs=False) for i in range(3)} | b.hub.repos[REPO]
    b.refuses(5, "next page on another host")


@test
def certificates(s):
    d = s.enter_context(tempfile.TemporaryDirectory())
    cert, key = os.path.join(d, "c.pem"), os.path.join(d, "k.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    b, secure = Box(s), Hub(tls=tls)
    s.callback(secure.close)
    secure.repos = b.hub.repos
    at = {"HF_ENDPOINT": secure.url}
    p = b.refuses(5, ["is not trusted", "SSL_CERT_FILE"], env=at)
    assert "trying again" not in p.stderr, p.stderr
    b.pull(env={**at, "SSL_CERT_FILE": cert})
    b.run("rm", REPO, code=0)
    b.pull(env={**at, "CURL_CA_BUNDLE": cert})
    b.run("rm", REPO, code=0)
    b.refuses(5, "is not trusted", env={**at, "CURL_CA_BUNDLE": os.path.join(d, "absent")})
    secure.faults[:] = [lambda r: r.redirect(b.hub.url + r.path) or True if "/resolve/" in r.path else None]
    b.refuses(5, "from https to plain http", env={**at, "SSL_CERT_FILE": cert})
    b.refuses(5, "does not answer", REPO, "--retries", "1", env={"HF_ENDPOINT": b.hub.url.replace("http:", "https:")})  # TLS to a port that speaks none


@test
def a_proxy_of_the_environment(s):
    b = Box(s)
    env = {"HF_ENDPOINT": "http://hub.invalid", "http_proxy": b.hub.url}
    b.hub.faults[:] = [lambda r: setattr(r, "url", r.url._replace(path=r.url.path))]
    b.pull(env=env)
    assert all(p.startswith("http://hub.invalid/") for _, p, _, _ in b.hub.log), b.hub.log[0][1]
    b.run("rm", REPO, code=0)
    b.refuses(5, "does not answer", REPO, "--retries", "1", env={**env, "no_proxy": "x.org, .invalid"})
    b.hub.faults[:] = [lambda r: r.redirect("http://169.254.169.254/x") or True if "/resolve/" in r.path else None]
    b.refuses(5, "link-local address", env=env)
    b.hub.faults.clear()
    b.pull(env={"http_proxy": "http://127.0.0.1:1"})  # loopback is never proxied


@test
def errors_of_the_hub(s):
    b = Box(s)
    b.refuses(4, ["has no model org/absent", "check the spelling"], "org/absent")
    b.refuses(4, 'has no revision "v9"', REPO + "@v9")
    b.hub.gated = True
    b.refuses(3, ["is gated", f"accept its terms at {b.hub.url}/{REPO}"])
    b.hub.gated = False
    answer = lambda status, **h: [lambda r: r.error(status, None, h) or True]  # noqa: E731
    for status, code, words in [(403, 3, "forbids access"), (410, 5, "answered 410"), (418, 5, "answered 418"), (204, 5, "204"), (206, 5, "206")]:
        b.hub.faults[:] = answer(status)
        b.refuses(code, words)
    for status, code, words in [(429, 5, "asks for fewer requests"), (500, 5, "a fault of its own (500)"), (503, 5, "(503)")]:
        b.hub.faults[:] = answer(status)
        p = b.refuses(code, words, REPO, "--retries", "2")
        assert p.stderr.count("trying again in") == 1, p.stderr
    b.hub.faults[:] = answer(429, **{"Retry-After": "1"})
    t = time.monotonic()
    b.refuses(5, "asks for fewer requests", REPO, "--retries", "2")
    assert time.monotonic() - t >= 1, "Retry-After was not waited for"
    turns = [0]

    def busy(r):
        turns[0] += 1
        return r.error((429, 500, 502, 503)[turns[0] // 2 % 4]) or True if turns[0] % 2 and turns[0] < 12 else None

    b.hub.faults[:] = [busy]
    b.pull()
    b.run("rm", REPO, code=0)
    b.hub.close()
    b.refuses(5, "does not answer", REPO, "--retries", "1")
    for endpoint in ("ftp://x", "huggingface.co", "http://u:p@h/", "http://h/?q", ""):
        p = b.run("pull", REPO, "--retries", "1", env={"HF_ENDPOINT": endpoint, "https_proxy": "http://127.0.0.1:1"})
        assert p.returncode in (2, 5), (endpoint, p.returncode, p.stderr)


@test
def lists_that_lie(s):
    b = Box(s)
    tree = lambda value: [lambda r: r.json(value) or True if "/tree/" in r.path else None]  # noqa: E731
    raw = lambda body: [lambda r: r.plain(200, body) or True if "/tree/" in r.path else None]  # noqa: E731
    entry = {"type": "file", "path": "m.gguf", "size": len(GUIDE), "lfs": {"oid": "0" * 64, "size": len(GUIDE)}}
    for body in (b"", b"<!doctype html>", b"[" * 100000, b'{"a":1,"a":2}', b"[1] 2", b"\xff\xfe", b'"' + b"a" * 100 + b'"', b"null", b"[NaN]"):
        b.hub.faults[:] = raw(body)
        b.refuses(5, "hub:")
    b.hub.faults[:] = raw(b"[" + b'{"type":"file"},' * 1100000 + b"{}]")
    b.refuses(5, "larger than")
    names = ["../m.gguf", "/m.gguf", "a/../m.gguf", "a//m.gguf", "m\0.gguf", "m\n.gguf", "\\\\h\\m.gguf", "m" * 300 + ".gguf", "", ".", "./m.gguf", "a/", 5, None,
             "C:\\m.gguf"]
    for name in names:
        b.hub.faults[:] = tree([{**entry, "path": name}])
        p = b.run("pull", REPO)
        assert p.returncode in (4, 5), (name, p.returncode, p.stderr)
        same([b.blobs(), b.refs(), b.partials()], [[], [], []], name)
    for key, value in [("size", -1), ("size", "5"), ("size", 1 << 70), ("size", 1.5), ("size", None), ("type", 3), ("lfs", 7)]:
        e = {**entry, key: value}
        if key == "size":
            e["lfs"] = {**entry["lfs"], "size": value}
        b.hub.faults[:] = tree([e])
        p = b.run("pull", REPO)
        assert p.returncode in (4, 5), (key, value, p.returncode, p.stderr)
    for oid in ("../../../etc/passwd", "sha256:" + "0" * 63, "0" * 65, "%2e%2e", "\u0001" * 64, None, "g" * 64):
        b.hub.faults[:] = tree([{**entry, "lfs": {"oid": oid, "size": len(GUIDE)}}])
        b.refuses(5, "names no digest")
    b.hub.faults[:] = tree([{**entry, "lfs": {"oid": "0" * 64, "size": 1 << 62}}])
    b.refuses(9, ["are to come", "free; make room"])
    b.hub.faults[:] = tree([{**entry, "lfs": {"oid": "0" * 64, "size": 0}}])
    b.refuses(8, "empty")
    info = lambda value: [lambda r: r.json(value) or True if "/revision/" in r.path else None]  # noqa: E731
    for value in ({}, [], {"sha": "../../x"}, {"sha": 5}, {"sha": "a" * 41}):
        b.hub.faults[:] = info(value)
        b.refuses(5, "names no commit")


@test
def a_mirror_without_a_tree(s):
    for lfs in (True, False):
        content = Content(GUIDE, lfs=lfs)
        b = Box(s, {"README.md": Content(b"x", lfs=False), "m.gguf": content})
        b.hub.faults.append(lambda r: r.error(404) or True if "/tree/" in r.path else None)
        b.pull()
        b.blob_is(content)


@test
def a_list_of_many_pages(s):
    content = Content(GUIDE)
    b = Box(s, {**{f"f{i:04}.txt": Content(b"x", lfs=False) for i in range(250)}, "z.gguf": content})
    b.hub.page_size = 20
    b.pull()
    b.blob_is(content)
    assert len([1 for _, p, _, _ in b.hub.log if "/tree/" in p]) == 13
    b.hub.faults[:] = [lambda r: r.json([], {"Link": f'<{r.hub.url}{r.path}>; rel="next"'}) or True if "/tree/" in r.path else None]
    b.refuses(5, "has no end", empty=False)
    for link in ('<http://other.example/x>; rel="next"', 'nonsense; rel="next"', "<>; rel=next", '<file:///x>; rel="next"', '<//other/x>; rel="next"'):
        b.hub.faults[:] = [lambda r: r.json([], {"Link": link}) or True if "/tree/" in r.path else None]
        p = b.run("pull", REPO)
        assert p.returncode == 5, (link, p.returncode, p.stderr)


@test
def what_cannot_run_is_refused_before_it_moves(s):
    alien = GUIDE.replace(b"general.architecture" + (8).to_bytes(4, "little") + (5).to_bytes(8, "little") + b"llama",
                          b"general.architecture" + (8).to_bytes(4, "little") + (5).to_bytes(8, "little") + b"alien")
    assert alien != GUIDE
    for data, words in [(alien + bytes(64 << 20), 'the architecture "alien"'), (b"<!DOCTYPE html>" + bytes(64 << 20), "web page"), (bytes(64 << 20), "GGUF")]:
        b = Box(s, {"m.gguf": Content(data)})
        sent = [0]
        b.hub.faults[:] = [lambda r: setattr(r.plan, "swap", lambda piece, at: (sent.__setitem__(0, sent[0] + len(piece)), piece)[1])]
        b.refuses(8, words)
        assert sent[0] <= 2 << 20, f"{sent[0]} bytes moved"
        same(b.partials(), [])


@test
def which_file(s):
    one = lambda i: Content(GUIDE + bytes([i]))  # noqa: E731
    files = {"m-Q4_K_M.gguf": one(1), "m-q8_0.gguf": one(2), "m.IQ2_XXS.gguf": one(3), "mmproj-m-f16.gguf": one(4), "sub/m-Q8_0.gguf": one(5), "m-bf16.gguf": one(6),
             "README.md": Content(b"x", lfs=False), "Q6_K/m.gguf": one(7)}
    b = Box(s, files)
    for tag, want in [("", "m-Q4_K_M.gguf"), (":q4_k_m", "m-Q4_K_M.gguf"), (":iq2_xxs", "m.IQ2_XXS.gguf"), (":BF16", "m-bf16.gguf"), (":m-q8_0.gguf", "m-q8_0.gguf"),
                      (":sub/m-Q8_0.gguf", "sub/m-Q8_0.gguf"), (":m-Q8_0.gguf", "sub/m-Q8_0.gguf"), (":Q6_K", "Q6_K/m.gguf"), (":Q4_K_M@main", "m-Q4_K_M.gguf")]:
        got = b.pull(REPO + tag, env={"X": "y"})
        same([got["file"], got["name"]], [want, REPO + tag.split("@")[0]], tag)
    b.refuses(6, ["more than one file is Q8_0", "m-q8_0.gguf", "sub/m-Q8_0.gguf"], REPO + ":Q8_0", empty=False)
    b.refuses(4, ["no file is Q3_K_M", "m-Q4_K_M.gguf (1.9 MB)"], REPO + ":Q3_K_M", empty=False)
    b.refuses(4, "no file is mmproj-m-f16.gguf", REPO + ":mmproj-m-f16.gguf", empty=False)
    b = Box(s, {"README.md": Content(b"x", lfs=False)})
    b.refuses(4, "no .gguf file")
    for spec in ("name", "a/b/c", "/b", "a/", "a/b:", "a/b@", "../x", "a/..", "a/b:../x.gguf", "a/b@../x", "a b/c", "a/b:x\\y", "a" * 97 + "/b", "a/b@" + "r" * 101, "", "a/b:/x"):
        b.refuses(2, "hub:", spec)
    b.refuses(2, "--from is", REPO, "--from", "nowhere")
    b.refuses(2, "--connections is a number", REPO, "--connections", "0")


def split(folder, name, parts, **keys):
    """A tiny model in `parts` files; their paths."""
    subprocess.run([os.path.join(os.environ.get("OUT", "build"), "tool/tinymodel"), os.path.join(folder, name), f"parts={parts}",
                    *(f"{k}={v}" for k, v in keys.items())], check=True)
    return [os.path.join(folder, f"{name}-{i + 1:05}-of-{parts:05}.gguf") for i in range(parts)]


def content_of(path):
    with open(path, "rb") as f:
        return Content(f.read())


@test
def split_models_are_pulled_whole(s):
    d = s.enter_context(tempfile.TemporaryDirectory())
    paths = split(d, "m-Q8_0", 3, type="q8_0")
    files = {"sub/" + os.path.basename(p): content_of(p) for p in paths}
    b, size, names = Box(s, files), sum(c.size for c in files.values()), list(files)
    got = b.pull(REPO + ":Q8_0")
    same([got["parts"], got["bytes"], got["moved"], len(b.blobs())], [3, size, size, 3])
    same(got["digest"], "sha256:" + hashlib.sha256("".join(f"sha256:{c.sha256}\n" for c in files.values()).encode()).hexdigest())
    shown = json.loads(b.run("show", REPO + ":Q8_0", "--json", code=0).stdout)
    same([shown["architecture"], shown["parts"], shown["bytes"], shown["quantisation"]], ["llama", 3, size, "Q8_0"])
    same(b.pull(REPO + ":" + os.path.basename(names[1]))["moved"], 0, "any part names the whole")
    b.run("rm", REPO + ":Q8_0", code=0)
    same(len(b.blobs()), 3, "another name leads to them")
    b.run("rm", REPO + ":" + os.path.basename(names[1]), code=0)
    same(b.blobs(), [])
    taken = files.pop(names[1])
    b.refuses(5, ["part 2 of 3", "incomplete"])
    files[names[1]] = content_of(split(d, "other", 3, type="q8_0", seed=5)[2])  # a part that is not what its name says
    b.refuses(8, "part")
    files[names[1]] = taken
    alien = content_of(split(d, "alien", 3, label="alien")[0])
    files[names[0]] = alien
    b.refuses(8, 'the architecture "alien"')


@test
def a_split_model_is_served(s):
    d = s.enter_context(tempfile.TemporaryDirectory())
    b = Box(s, {os.path.basename(p): content_of(p) for p in split(d, "m", 2)})
    b.pull(REPO, "--name", "m")
    got = b.run("run", "m", "a", "--local", "--max-tokens", "3", "--temperature", "0", code=0).stdout
    d2 = s.enter_context(tempfile.TemporaryDirectory())
    whole = os.path.join(d2, "whole.gguf")
    subprocess.run([os.path.join(os.environ.get("OUT", "build"), "tool/tinymodel"), whole], check=True)
    b.run("add", whole, "--name", "w", code=0)
    same(b.run("run", "w", "a", "--local", "--max-tokens", "3", "--temperature", "0", code=0).stdout, got, "the same model in one file")


@test
def names(s):
    b = Box(s)
    b.pull()
    b.hub.repos["other/m"] = {"m.gguf": Content(GUIDE + b"x")}
    asked = b.hub.bytes_asked()
    b.refuses(6, "belongs to another file", "other/m", "--name", REPO, empty=False)
    same(b.hub.bytes_asked(), asked, "told before anything moves")
    b.pull("other/m", "--name", REPO, "--replace")
    b.hub.repos["other/m"] = {"m.gguf": Content(GUIDE + b"y")}
    got = b.pull("other/m", "--name", REPO)
    same([got["new"], got["moved"]], [True, len(GUIDE) + 1], "the hub moved on, and the name with it")
    b.refuses(2, "name", REPO, "--name", "../x", empty=False)
    b.refuses(2, "name", REPO, "--name", "x" * 200, empty=False)


@test
def add_show_and_rm(s):
    b = Box(s)
    d = s.enter_context(tempfile.TemporaryDirectory())
    one, two = split(d, "m", 2)
    got = json.loads(b.run("add", two, "--json", code=0).stdout)
    same([got["name"], got["bytes"], len(b.blobs())], ["m", os.path.getsize(one) + os.path.getsize(two), 2])
    assert "belongs to another file" in b.run("add", "models/guide.gguf", "--name", "m", code=6).stderr
    same(len(b.blobs()), 2, "what got no name is not kept")
    b.run("rm", "m", code=0)
    os.rename(one, one + ".aside")
    assert "part 1 of 2 is missing" in b.run("add", two, code=4).stderr
    with open(one, "wb") as f:
        f.write(GUIDE[:5000])
    assert "incomplete" in b.run("add", two, code=8).stderr
    with open(one, "wb") as f:
        f.write(GUIDE)  # sound, and no part
    b.run("add", two, code=8)
    same(b.blobs(), [])
    b.run("rm", "absent", code=4)
    b.run("show", "absent", code=4)
    same([r["name"] for r in json.loads(b.run("list", "--json", code=0).stdout)], ["guide"])


@test
def what_is_served_is_not_removed(s):
    b = Box(s)
    b.pull()
    b.pull(REPO, "--name", "twin")
    b.hub.repos["org/other-GGUF"] = {"other-Q8_0.gguf": Content(sized(len(GUIDE) + 4096))}
    b.pull("org/other-GGUF")
    log = open(os.path.join(b.data, "log"), "w+")
    p = subprocess.Popen(b.command("serve", "--demo", "--listen", "127.0.0.1:0", "--preload", REPO), env=b.env, stdout=log, stderr=log)
    s.callback(p.wait)
    s.callback(p.terminate)
    admin = os.path.join(b.data, "d", "admin.sock")
    for _ in range(600):
        told = open(log.name).read()
        if os.path.exists(admin) and "curl" in told and f"name={REPO} ms=" in told:
            break
        assert p.poll() is None, open(log.name).read()
        time.sleep(0.05)
    assert "is being served" in b.run("rm", REPO, code=6).stderr
    same(len(b.refs()), 3)
    b.run("rm", "org/other-GGUF", code=0)  # offered, but not loaded: nobody needs the file
    same([len(b.refs()), len(b.blobs())], [2, 1])
    b.run("rm", REPO, "--force", code=0)
    same([len(b.refs()), len(b.blobs())], [1, 1])
    p.terminate()
    same(p.wait(), 0)
    b.run("rm", "twin", code=0)
    same(b.blobs(), [])


@test
def one_file_is_fetched_once_at_a_time(s):
    content = Content(sized(16 << 20))
    b = Box(s, {"m.gguf": content})
    gate = Gate(b.hub, 4 << 20)
    p = subprocess.Popen(b.command("pull", REPO, "--json"), env=b.env, stdout=subprocess.DEVNULL)
    s.callback(p.wait)
    s.callback(p.kill)
    while gate.sent < gate.limit:
        time.sleep(0.01)
    b.refuses(6, "another sluice fetches this file now", REPO, "--name", "x")
    gate.limit = 1 << 40
    same(p.wait(), 0)
    b.blob_is(content)


@test
def progress_is_told(s):
    b = Box(s, {"m.gguf": Content(sized(6 << 20))})
    b.hub.faults.append(lambda r: setattr(r.plan, "pause_every", (1 << 18, 0.05)))
    master, slave = os.openpty()
    p = subprocess.Popen(b.command("pull", REPO), env=b.env, stdout=subprocess.PIPE, stderr=slave, text=True)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):
        while piece := os.read(master, 4096):
            seen += piece
    os.close(master)
    same(p.wait(), 0)
    text = seen.decode()
    for w in ("m.gguf", "% [", "MB of 6.3 MB", "B/s", "left"):
        assert w in text, f"no {w!r} in {text!r}"
    assert "\x1b" not in b.run("pull", REPO, code=0).stderr


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
