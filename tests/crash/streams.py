"""Streams, aborts and kill -9: usage must equal what was delivered, to the token.

usage: streams.py SLUICE [--seconds N] [--streams N] [--rounds N] [--seed N] [--model GGUF]

Each round runs STREAMS clients against a server: plain and streamed, with and without max_tokens, many of them leaving in the middle. Then
  - the last round but the killed ones: at rest, tokens that the engine handed over == tokens billed (two counters of the server);
  - in every round: kill -9 under full load, start again, `sluice audit` is clean, and so is an independent recomputation from the SQLite file;
  - per request, from the usage rows: finished answers were billed exactly what their usage said; a cut one at least what its client saw and at most its limit;
    every request that any client saw begin has exactly one row."""
import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from second_audit import differences

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../soak"))
from serving import free_port


class Server:
    def __init__(self, binary, data):
        self.binary, self.data, self.proc, self.port = binary, data, None, free_port()

    def start(self):
        log = open(os.path.join(self.data, "..", "server.log"), "ab")
        self.proc = subprocess.Popen([self.binary, "serve", "--demo", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"], stdout=log, stderr=log)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if self.proc.poll() is not None:
                raise SystemExit(f"the server ended at start with {self.proc.returncode}; see {log.name}")
            try:
                if get(self.port, "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("the server did not come up in 120 s")

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(120)

    def cli(self, *args):
        return subprocess.run([self.binary, *args, "--data", self.data], capture_output=True, text=True)


def get(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("GET", path)
    r = c.getresponse()
    return r.status, r.read().decode()


def metric(text, name):
    m = re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)
    return int(m.group(1)) if m else None


class Seen:
    """What one client saw of one request."""

    def __init__(self, limit):
        self.id, self.limit, self.pieces, self.usage, self.status = None, limit, 0, None, None


def one_request(port, key, model, rnd, seen_list):
    limit = rnd.choice([None, 1, 2, 7, 40, 200, 600])
    stream = rnd.random() < 0.75
    body = {"model": model, "messages": [{"role": "user", "content": rnd.choice(["Tell me a story.", "What is sluice?", "x " * rnd.randint(1, 100)])}],
            "stream": stream, "temperature": 1.0, "seed": rnd.randint(0, 1 << 30)}
    if limit:
        body["max_tokens"] = limit
    if stream:
        body["stream_options"] = {"include_usage": True}
    leave_after = rnd.choice([None, None, 0, 1, 3, 20])
    seen = Seen(limit)
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        conn.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        if leave_after == 0 and rnd.random() < 0.5:
            time.sleep(rnd.random() * 0.02)
            return  # left before an answer: nothing is known of it, its row is checked by the audits
        r = conn.getresponse()
        seen.id, seen.status = r.headers.get("x-request-id"), r.status
        if r.status != 200:
            return
        seen_list.append(seen)
        if not stream:
            seen.usage = json.loads(r.read())["usage"]
            return
        while line := r.readline():
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if chunk.get("usage"):
                seen.usage = chunk["usage"]
            if chunk.get("choices") and chunk["choices"][0]["delta"].get("content"):
                seen.pieces += 1
                if leave_after is not None and seen.pieces > leave_after:
                    return
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        pass  # the server was killed: what was seen until then stands
    finally:
        if conn.sock and rnd.random() < 0.3:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leave with a reset
        conn.close()


def load(server, key, model, streams, seconds, seed, seen):
    stop = threading.Event()

    def client(i):
        rnd = random.Random(f"{seed}/{i}")
        while not stop.is_set():
            one_request(server.port, key, model, rnd, seen)

    threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(streams)]
    for t in threads:
        t.start()
    time.sleep(seconds)
    return stop, threads


def usage_rows(data):
    db = sqlite3.connect(f"file:{data}/ledger.db?mode=ro", uri=True)
    return {r[0]: {"output": r[1], "input": r[2], "reason": r[3], "n": r[4], "cached": r[5]} for r in db.execute(
        "SELECT request, SUM(output + reasoning), SUM(input + cache_read + cache_write), MAX(reason), COUNT(*), SUM(cache_read) FROM usage GROUP BY request")}


def check_rows(rows, seen):
    faults = []
    for s in seen:
        row = rows.get(s.id)
        if not row or row["n"] != 1:
            faults.append(f"{s.id}: {row['n'] if row else 'no'} usage rows")
        elif s.usage and (s.usage["completion_tokens"] != row["output"] or s.usage["prompt_tokens"] != row["input"]):
            faults.append(f"{s.id}: its usage said {s.usage['prompt_tokens']}+{s.usage['completion_tokens']}, billed {row['input']}+{row['output']}")
        elif s.usage and s.usage["prompt_tokens_details"]["cached_tokens"] != row["cached"]:
            faults.append(f"{s.id}: its usage said {s.usage['prompt_tokens_details']['cached_tokens']} cached tokens, billed {row['cached']}")
        elif s.pieces > row["output"]:
            faults.append(f"{s.id}: its client saw {s.pieces} pieces, billed {row['output']} tokens")
        elif s.limit and row["output"] > s.limit:
            faults.append(f"{s.id}: billed {row['output']} tokens of at most {s.limit}")
    return faults


def audits(server):
    a = server.cli("audit")
    faults = [] if a.returncode == 0 else [f"sluice audit exits {a.returncode}: {a.stdout}{a.stderr}"]
    return faults + list(differences(f"{server.data}/ledger.db"))


def at_rest(server):
    """Waits until nothing runs, then compares what was handed over with what was billed."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        text = get(server.port, "/metrics")[1]
        if metric(text, "sluice_chats") == 0:
            break
        time.sleep(0.1)
    delivered, billed = metric(text, "sluice_delivered_tokens_total"), metric(text, 'sluice_billed_tokens_total{meter="output"}')
    print(f"  at rest: delivered {delivered}, billed {billed}")
    return [] if delivered == billed and delivered else [f"delivered {delivered} tokens, billed {billed}"]


def run(args):
    faults, seen = [], []
    with tempfile.TemporaryDirectory() as top:
        data = os.path.join(top, "data")
        os.mkdir(data)
        server = Server(args.sluice, data)
        server.start()
        key = open(os.path.join(data, "demo.key")).read().strip()
        server.cli("grant", "create", "demo", "100000")
        model = args.model
        for n in range(args.rounds + 1):
            killed = n < args.rounds
            stop, threads = load(server, key, model, args.streams, args.seconds, f"{args.seed}/{n}", seen)
            if killed:
                server.kill()
            stop.set()
            for t in threads:
                t.join(90)
            if not killed:
                faults += at_rest(server)
                server.stop()
            else:
                server.start()  # recovers what was open
                server.stop()
            faults += audits(server)
            rows = usage_rows(data)
            faults += check_rows(rows, seen)
            crashed = sum(r["reason"] == 5 for r in rows.values())
            print(f"round {n}: {'kill -9' if killed else 'drained'}; {len(rows)} usage rows, {len(seen)} seen by clients, {crashed} cut by a crash, {len(faults)} faults")
            if killed:
                server.start()
        if crashed == 0:
            faults.append("no request was cut by a crash: the test did not test")
        if not any(r["cached"] for r in rows.values() if r["reason"] == 5):
            faults.append("no request that was cut had cached tokens: the test did not test them")
    for f in faults[:40]:
        print("FAULT", f)
    return not faults


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sluice")
    p.add_argument("--seconds", type=float, default=4)
    p.add_argument("--streams", type=int, default=32)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "1")))
    p.add_argument("--model", default="guide")
    ok = run(p.parse_args())
    print(f"{int(ok)} passed, {int(not ok)} failed, 0 skipped")
    sys.exit(not ok)
