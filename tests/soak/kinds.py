"""Heap in use for each kind of request: one server, N requests of one kind at a time, and what it has kept of them when it is at rest again.

usage: kinds.py SLUICE [--requests N] [--only KIND,KIND] [--tinymodel PROGRAM] [--csv FILE]

The store's memory is taken off (it has a ceiling of its own; a unit test of db proves it), a tenth of the requests goes before as a warm-up, and
growth is printed in bytes a request. What does grow once: tables of connections, of holds and of descriptors, to the most that ever were at a
time. The soak tells that something leaks; this tells what."""
import argparse
import csv
import json
import multiprocessing
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time

from serving import Serving
from traffic import http

CHAT, WORKERS = "/v1/chat/completions", 4
GAUGES = ["sluice_chats", "sluice_engine_running", "sluice_engine_waiting", "sluice_engine_paused"]


def chat(r, **more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": f"hi {r.random()}"}], "max_tokens": 1, **more}).encode()


def posted(**body):
    return json.dumps(body).encode()


# Name: (bytes of a request, how its sender behaves, share of N). keep: on one connection; close: the server closes; the others leave by themselves.
def kinds(key, poor):
    close = ("Connection: close",)
    return {
        "health": (lambda r: http("/health", key, None, "GET"), "keep", 1),
        "health, closed": (lambda r: http("/health", key, None, "GET", close), "close", 1),
        "no such path": (lambda r: http(f"/v1/x{r.randrange(10**9)}", key, None, "GET"), "keep", 1),
        "no such key": (lambda r: http(CHAT, f"sk-sluice-{r.randrange(10**12)}", chat(r)), "keep", 1),
        "broken JSON": (lambda r: http(CHAT, key, b'{"model": "m'), "keep", 1),
        "bad value": (lambda r: http(CHAT, key, chat(r, temperature=99)), "keep", 1),
        "no such model": (lambda r: http(CHAT, key, chat(r, model=f"n{r.randrange(10**9)}")), "keep", 1),
        "no HTTP": (lambda r: r.randbytes(40) + b"\r\n\r\n", "close", 1),
        "long line": (lambda r: b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", "close", 0.3),
        "no credit": (lambda r: http(CHAT, poor, chat(r, max_tokens=50)), "keep", 1),
        "tokenize": (lambda r: http("/tokenize", key, posted(model="m", prompt=f"hello {r.random()}")), "keep", 1),
        "models": (lambda r: http("/v1/models", key, None, "GET"), "keep", 1),
        "embeddings": (lambda r: http("/v1/embeddings", key, posted(model="m", input=[f"a{r.random()}", "b"])), "keep", 0.3),
        "chat": (lambda r: http(CHAT, key, chat(r)), "keep", 0.3),
        "chat, closed": (lambda r: http(CHAT, key, chat(r), headers=close), "close", 0.3),
        "stream": (lambda r: http(CHAT, key, chat(r, stream=True, max_tokens=3, stream_options={"include_usage": True})), "keep", 0.3),
        "completion": (lambda r: http("/v1/completions", key, posted(model="m", prompt=f"x{r.random()}", max_tokens=2, n=2, logprobs=3, echo=True, stop=["e", "zz"])), "keep", 0.3),
        "too long": (lambda r: http(CHAT, key, posted(model="m", messages=[{"role": "user", "content": "x y z " * 900}])), "keep", 0.1),
        "reset at once": (lambda r: http(CHAT, key, chat(r, stream=True, max_tokens=200)), "reset", 0.3),
        "reset in a stream": (lambda r: http(CHAT, key, chat(r, stream=True, max_tokens=200)), "reset later", 0.3),
        "left in a stream": (lambda r: http(CHAT, key, chat(r, stream=True, max_tokens=200)), "leave later", 0.3),
        "half closed": (lambda r: http(CHAT, key, chat(r, stream=True, max_tokens=5)), "half", 0.3),
        "cut body": (lambda r: http(CHAT, key, chat(r))[:-9], "reset", 1),
        "connection alone": (lambda r: b"", "reset", 1),
    }


def read_answer(c):
    """Whether the connection stays."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := c.recv(65536)):
            return False
        data += more
    head, _, rest = data.lower().partition(b"\r\n\r\n")
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else None
    while len(rest) < length if length is not None else not rest.endswith(b"0\r\n\r\n"):
        if not (more := c.recv(65536)):
            return False
        rest += more
    return b"connection: close" not in head


def send(c, data, how):
    """Whether the connection stays."""
    c.sendall(data)
    if how in ("keep", "close"):
        return read_answer(c) and how == "keep"
    if how == "half":
        c.shutdown(socket.SHUT_WR)
        while c.recv(65536):
            pass
    if "later" in how:
        c.recv(2000)
    if "reset" in how:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def work(port, kind, n, seed):
    make, how, _ = kind
    r, c = random.Random(seed), None
    for _ in range(n):
        try:
            c = c or socket.create_connection(("127.0.0.1", port), timeout=60)
            if send(c, make(r), how):
                continue
            c.close()
        except OSError:
            pass  # the server was quicker
        c = None


def load(server, kind, n):
    made = [multiprocessing.Process(target=work, args=(server.port, kind, n // WORKERS, random.random())) for _ in range(WORKERS)]
    for p in made:
        p.start()
    for p in made:
        p.join()


def at_rest(server):
    """(heap without the store, the store), in bytes."""
    for _ in range(600):
        try:
            m = server.metrics()
        except OSError:
            m = {}
        if m.get("sluice_connections") == 1 and not any(m[g] for g in GAUGES):
            return m["sluice_heap_bytes"] - m["sluice_store_memory_bytes"], m["sluice_store_memory_bytes"]
        time.sleep(0.1)
    raise SystemExit("the server did not come to rest")


def furnish(a, work_dir):
    server = Serving(a.sluice, os.path.join(work_dir, "data"), os.path.join(work_dir, "log"), {"threads": 1})
    os.mkdir(server.data)
    subprocess.run([a.tinymodel, os.path.join(work_dir, "m.gguf"), "arch=llama", "ctx=1024"], check=True)
    server.cli("add", os.path.join(work_dir, "m.gguf"), "--name", "m")
    server.cli("price", "set", "m", "--input", "0.37", "--output", "1.13")
    keys = []
    for account, credit in (("rich", "1000000"), ("poor", "0.000001")):
        server.cli("account", "create", account)
        server.cli("grant", "create", account, credit)
        keys.append(json.loads(server.cli("key", "create", account, "--json").stdout)["key"])
    return server, kinds(*keys)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sluice")
    p.add_argument("--requests", type=int, default=100000)
    p.add_argument("--only", default="")
    p.add_argument("--tinymodel", default="build/tool/tinymodel")
    p.add_argument("--csv")
    a = p.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work_dir:
        server, all_kinds = furnish(a, work_dir)
        server.start()
        try:
            for name, kind in all_kinds.items():
                if a.only and name not in a.only.split(","):
                    continue
                n = max(WORKERS, int(a.requests * kind[2]))
                load(server, kind, max(n // 10, 40))
                before, _ = at_rest(server)
                load(server, kind, n)
                after, store = at_rest(server)
                rows.append({"kind": name, "requests": n, "heap_before": int(before), "heap_after": int(after), "bytes_a_request": f"{(after - before) / n:.3f}", "store": int(store)})
                print("  ".join(f"{k} {v}" for k, v in rows[-1].items()), flush=True)
        finally:
            server.kill_if_left()
    if a.csv:
        with open(a.csv, "w", newline="") as f:
            w = csv.DictWriter(f, rows[0].keys(), lineterminator="\n")
            w.writeheader()
            w.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
