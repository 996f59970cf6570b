"""Bytes on their way: resumed, cut, slow, wrong, changed meanwhile, on a full disk."""
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from box import bits, Box, Gate, GUIDE, REPO, same, sized, start_of, test
from fake_hub import Content


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
        late = time.monotonic() + 30
        while bits(part) < place - (8 << 20) and time.monotonic() < late:  # a busy machine leaves much in the kernel's buffers
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
    b.hub.faults.append(lambda r: setattr(r.plan, "pause_every", (200000, 1)))  # longer in all than is waited for one piece
    began = time.monotonic()
    same(b.pull(REPO, "--timeout", "6")["moved"], len(GUIDE))
    assert time.monotonic() - began > 6, "it was not slow enough"


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


@test
def a_disk_that_fills_meanwhile(s):
    if os.geteuid():  # a namespace of one's own, where a small disk may be mounted
        p = subprocess.run(["unshare", "-rm", sys.executable, os.path.join(os.path.dirname(__file__), "run.py"), "a_disk_that_fills_meanwhile"], capture_output=True, text=True)
        assert p.returncode == 0, p.stdout + p.stderr
        return
    size = 16 << 20
    content = Content(sized(size))
    b = Box(s, {"m.gguf": content})
    disk = os.path.join(b.data, "d")
    os.mkdir(disk, 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "tmpfs", disk], check=True)
    s.callback(lambda: subprocess.run(["umount", "-l", disk], check=True))
    gate = Gate(b.hub, 4 << 20)
    p = subprocess.Popen(b.command("pull", REPO), env=b.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    s.callback(p.kill)
    while gate.sent < gate.limit:
        assert p.poll() is None, p.stderr.read()
        time.sleep(0.005)
    ballast = os.path.join(disk, "ballast")
    with open(ballast, "wb") as f:  # leaves 3 MB
        f.write(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - (3 << 20)))
    gate.limit = 1 << 40
    said = p.communicate(timeout=60)[1]
    same([p.returncode, b.blobs(), b.refs()], [9, [], []], said)
    assert "the disk is full" in said and "what came is kept" in said, said
    b.refuses(9, "make room")  # told before anything moves
    os.unlink(ballast)
    got = b.pull()
    b.blob_is(content)
    assert 0 < got["moved"] <= size - (3 << 20), f"{got['moved']} bytes moved"
    same(b.partials(), [])
