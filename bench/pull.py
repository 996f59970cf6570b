"""sluice pull against curl, on loopback, turn about: pull.py [--size BYTES] [--rounds N] [--dir DIR] [--csv FILE] [--cuts N]

The same server process (sendfile) serves both. curl writes the file and does no more; sluice also hashes it, keeps a journal, reads the file in a
sandbox, syncs it to the disk and renames it. DIR on tmpfs measures the programs, DIR on a disk the disk too; `curl && sync` is a third row.
--cuts: no measurement; the server cuts the connection, or the client is killed, N times at random places, and the digest must be the file's."""
import argparse
import csv
import hashlib
import json
import os
import platform
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests", "hub"))
from fake_hub import Content, Hub  # noqa: E402

REPO = "org/big-GGUF"
SLUICE = os.path.abspath(os.environ.get("SLUICE", "build/sluice"))


def make_file(path, size):
    """A sound model with random bytes behind its tensors."""
    h, rng = hashlib.sha256(), random.Random(size)
    with open("models/guide.gguf", "rb") as g, open(path, "wb") as f:
        piece = g.read()
        left = size
        while left:
            piece = piece[:left]
            f.write(piece)
            h.update(piece)
            left -= len(piece)
            piece = rng.randbytes(1 << 22)
    return h.hexdigest()


def serve(path, digest):
    """The hub in a process of its own: its Python takes no turn from the client's."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        hub = Hub()
        hub.repos[REPO] = {"big-Q8_0.gguf": Content(path=path, sha256=digest)}
        os.write(w, hub.url.encode())
        os.close(w)
        while True:
            signal.pause()
    os.close(w)
    url = os.read(r, 200).decode()
    return pid, url


def timed(args, env=None):
    """Seconds on the wall, and of CPU time: the second hardly depends on what else the machine does."""
    before, t = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(args, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t, after = time.monotonic() - t, resource.getrusage(resource.RUSAGE_CHILDREN)
    return t, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(o, url, digest):
    out, data = os.path.join(o.dir, "curl.out"), os.path.join(o.dir, "data")
    env = {**os.environ, "HF_ENDPOINT": url}
    curl = ["curl", "-sS", "-o", out, f"{url}/{REPO}/resolve/main/big-Q8_0.gguf"]
    times = {"curl": [], "sluice": [], "curl_sync": []}
    for i in range(o.rounds):
        for what in (list(times), list(times)[::-1])[i % 2]:
            shutil.rmtree(data, ignore_errors=True)
            if os.path.exists(out):
                os.unlink(out)
            os.sync()
            if what == "sluice":
                times[what].append(timed([SLUICE, "pull", REPO, "--data", data, *o.flags.split()], env))
            else:
                more = {"curl": "", "curl_sync": f" && sync {out}"}[what]
                times[what].append(timed(["sh", "-c", " ".join(curl) + more]))
        print("  ".join(f"{k} {v[-1][0]:.2f} s ({v[-1][1]:.2f} s of CPU)" for k, v in times.items()), flush=True)
    rows = []
    for what, t in times.items():
        m, ratio = statistics.median(w for w, _ in t), statistics.median(c[0] / x[0] for c, x in zip(times["curl"], t))
        rows.append({"what": what, "dir": o.where, "bytes": o.size, "rounds": len(t), "median_s": f"{m:.3f}", "min_s": f"{min(w for w, _ in t):.3f}", "cpu_s": f"{statistics.median(c for _, c in t):.2f}",
                     "MB_per_s": f"{o.size / m / 1e6:.0f}", "of_curl": f"{ratio:.3f}"})
    return rows


def cuts(o, url, digest):
    """Kills the client N times at random places; then lets it end."""
    data, env, rng = os.path.join(o.dir, "data"), {**os.environ, "HF_ENDPOINT": url}, random.Random(o.seed)
    args = [SLUICE, "pull", REPO, "--data", data, "--json"]
    places = sorted(rng.randrange(o.size // 50, o.size) for _ in range(o.cuts))
    moved, part = 0, os.path.join(data, "hub", "partial")
    for place in places:
        p = subprocess.Popen(args, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while p.poll() is None and have(part) < place:
            time.sleep(0.001)
        p.send_signal(signal.SIGKILL)
        p.wait()
        print(f"killed at {have(part) / 1e6:.0f} MB (wanted {place / 1e6:.0f})", flush=True)
    done = json.loads(subprocess.run(args, env=env, check=True, capture_output=True).stdout)
    assert done["digest"] == "sha256:" + digest, done
    with open(os.path.join(data, "hub", "blobs", "sha256", digest), "rb") as f:
        assert hashlib.file_digest(f, "sha256").hexdigest() == digest if hasattr(hashlib, "file_digest") else True
    again = json.loads(subprocess.run(args, env=env, check=True, capture_output=True).stdout)
    assert again["moved"] == 0, again
    print(f"digest equal after {o.cuts} kills; the last run moved {done['moved'] / 1e6:.0f} MB; a second pull moved {again['moved']} bytes")
    return [{"what": f"resume after {o.cuts} kill -9", "dir": o.where, "bytes": o.size, "rounds": 1, "median_s": "", "min_s": "", "cpu_s": "", "MB_per_s": "",
             "of_curl": "digest equal"}]


def have(part):
    """Bytes that the journal tells."""
    try:
        name = next(n for n in os.listdir(part) if n.endswith(".journal"))
        with open(os.path.join(part, name), "rb") as f:
            raw = f.read()
    except (StopIteration, OSError):
        return 0
    total = 0
    for at in range(40, len(raw) - 23, 24):
        if int.from_bytes(raw[at + 16 : at + 20], "little") == 1:
            total += int.from_bytes(raw[at + 8 : at + 16], "little") - int.from_bytes(raw[at : at + 8], "little")
    return total


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--size", type=int, default=2 << 30)
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--dir", default="/dev/shm/sluice-pull")
    a.add_argument("--where", default=None)
    a.add_argument("--csv")
    a.add_argument("--cuts", type=int, default=0)
    a.add_argument("--seed", type=int, default=int(time.time()))
    a.add_argument("--flags", default="")
    o = a.parse_args()
    o.where = o.where or ("tmpfs" if o.dir.startswith("/dev/shm") else "disk")
    os.makedirs(o.dir, exist_ok=True)
    source = os.path.join(o.dir, "source.gguf")
    pid = None
    try:
        digest = make_file(source, o.size)
        pid, url = serve(source, digest)
        load = os.getloadavg()[0]
        rows = cuts(o, url, digest) if o.cuts else measure(o, url, digest)
        cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
        for r in rows:
            r.update(machine=f"{cpu}, {os.cpu_count()} CPUs", date=time.strftime("%Y-%m-%d"), load=f"{load:.1f}")
            print("  ".join(f"{k}={v}" for k, v in r.items()))
        if o.csv:
            new = not os.path.exists(o.csv)
            with open(o.csv, "a", newline="") as f:
                w = csv.DictWriter(f, rows[0].keys(), lineterminator="\n")
                if new:
                    w.writeheader()
                w.writerows(rows)
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        shutil.rmtree(o.dir, ignore_errors=True)


if __name__ == "__main__":
    main()
