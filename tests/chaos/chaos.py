"""Metered requests in chaos: clients that leave, an engine that breaks, a server that is killed every few seconds. Nothing is lost, nothing is
doubled, and every figure is the same wherever it is asked.

usage: chaos.py BUILD [--requests N] [--kill-every SECONDS] [--connections N] [--seed N] [--keep]

Two witnesses that share no code with the ledger: the client (tests/load/client.c) keeps what it received of each request; the fake engine
(tests/load/fake.c) keeps, in a mapped file that outlives a kill, what it was about to journal and what it has handed over. Then, per request

  one row for each answer that was begun, and none twice
  handed over  <=  billed  <=  about to be journaled; they differ only where the kill fell between the two, for the one step that it cut, and there
                   billed is exactly what a second reader (tests/soak/journal.py) finds in the dead server's journal, as it is for all that it names
  received     <=  billed; an answer that came whole is billed exactly what it said
and in sum
  usage rows = entries of the ledger (revenue) = grants' consumption = `sluice usage` in each of its groups = GET /v1/sluice/usage of all keys,
  to the nano-unit; sluice audit and tests/crash/second_audit.py find nothing."""
import argparse
import http.client
import json
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal

sys.path[:0] = [os.path.join(os.path.dirname(__file__), d) for d in ("../crash", "../soak")]
import journal
from second_audit import differences

SEEN = struct.Struct("<24shBBIII")  # struct seen of client.c
HEAD = struct.Struct("<II")  # struct witness of fake.h
ENTRY = struct.Struct("<25sBHIII")
NONE = 0xFFFFFFFF
FAULTS_SHOWN = 30


class Server:
    def __init__(self, build, data, witness, log):
        self.program, self.data, self.witness, self.log = f"{build}/test/load_server", data, witness, log
        self.proc, self.address, self.kills, self.counted = None, None, 0, {}

    def start(self):
        port = self.address.rsplit(":", 1)[1] if self.address else "0"
        end = time.monotonic() + 120
        while time.monotonic() < end:  # its port may be a client's for a moment
            with open(self.log, "ab") as log:
                self.proc = subprocess.Popen([self.program, self.data, "--witness", self.witness, "--port", port], stdout=subprocess.PIPE, stderr=log, text=True)
            line = self.proc.stdout.readline()
            if line.startswith("fake models on http://"):
                self.address = line.strip().rsplit("/", 1)[1]
                return
            self.proc.wait()
            time.sleep(0.1)
        raise SystemExit(f"the server does not start: see {self.log}")

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()
        self.kills += 1
        self.counted.update({id[4:]: c["output"] + c["reasoning"] for id, c in journal.counted(self.data).items()})

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(120)


def seen_requests(path):
    with open(path, "rb") as f:
        data = f.read()
    for id, status, whole, left, tokens, usage, most in SEEN.iter_unpack(data):
        yield (id.decode() if id[0] else None), status, whole, left, tokens, usage, most


def witnessed(path):
    with open(path, "rb") as f:
        n, lives = HEAD.unpack(f.read(HEAD.size))
        data = f.read(n * ENTRY.size)
    out = {}
    for id, ended, life, input, asked, handed in ENTRY.iter_unpack(data):
        if id[0]:
            out[id[:24].decode()] = (ended, life, input, asked, handed)
    return out, n, lives


def rows_of(data):
    db = sqlite3.connect(f"file:{data}/ledger.db?mode=ro", uri=True)
    return {r[0][4:]: r[1:] for r in db.execute("SELECT request, input + cache_read + cache_write, output + reasoning, charged, reason FROM usage")}, db


def per_request(rows, seen, engine, counted, faults, tally):
    for id, (ended, life, input, asked, handed) in engine.items():
        row = rows.get(id)
        if row is None:
            faults.append(f"req_{id}: the engine began it in life {life}, and it has no usage row")
        elif not handed <= row[1] <= asked:
            faults.append(f"req_{id}: billed {row[1]} output tokens; handed over {handed}, about to be journaled {asked}")
        elif row[1] and row[0] != input:  # the prompt is counted with the first step that is journaled
            faults.append(f"req_{id}: billed {row[0]} input tokens of {input}")
        elif asked != handed and row[1] != counted.get(id, 0):
            faults.append(f"req_{id}: cut by a kill, billed {row[1]} output tokens, the journal has {counted.get(id, 0)}")
        tally["cut between journal and hand-over"] += asked != handed
    for id, n in counted.items():
        if id not in rows or rows[id][1] != n:
            faults.append(f"req_{id}: the journal of a killed server counted {n} tokens, billed {rows[id][1] if id in rows else 'nothing'}")
    tally["counts of journals"] = len(counted)
    told = Counter()
    for id, status, whole, left, tokens, usage, most in seen:
        tally["requests"] += 1
        tally["left by the client"] += left
        tally["cut by a kill"] += not whole and not left
        if status >= 500 and status != 503:
            tally["engine faults told"] += 1
        if not id:
            continue
        told[id] += 1
        row = rows.get(id)
        if row is None:
            if tokens or (status == 200 and id in engine):
                faults.append(f"req_{id}: its client received {tokens} tokens, and it has no usage row")
            continue
        if tokens > row[1]:
            faults.append(f"req_{id}: its client received {tokens} tokens, billed {row[1]}")
        if whole and usage != NONE and usage != row[1]:
            faults.append(f"req_{id}: its usage said {usage} tokens, billed {row[1]}")
        if most and row[1] > most:
            faults.append(f"req_{id}: billed {row[1]} tokens of at most {most}")
        tally["tokens received"] += tokens
    faults.extend(f"req_{id}: told of {n} times" for id, n in told.items() if n > 1)


def nano(text):
    return int((Decimal(text) * 1_000_000_000).to_integral_exact())


def cli(build, data, *args):
    p = subprocess.run([f"{build}/sluice", *args, "--data", data, "--json"], capture_output=True, text=True)
    if p.returncode:
        raise SystemExit(f"sluice {' '.join(args)}: {p.stdout}{p.stderr}")
    return json.loads(p.stdout)


def api(address, key, path):
    c = http.client.HTTPConnection(address, timeout=600)
    c.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    r = c.getresponse()
    return r.status, r.read()


def figures(build, server, db, rows):
    """The same sum from everywhere, in nano-units."""
    out = {
        "usage rows": sum(r[2] for r in rows.values()),
        "ledger entries (revenue)": -db.execute("SELECT coalesce(sum(e.amount), 0) FROM entry e JOIN account a ON a.id = e.account_id WHERE a.code = 'revenue:inference'").fetchone()[0],
        "entries of grants": db.execute("SELECT coalesce(sum(e.amount), 0) FROM entry e JOIN account a ON a.id = e.account_id JOIN txn t ON t.id = e.txn_id "
                                        "WHERE a.code LIKE 'grant_pool:%' AND t.kind = 'usage'").fetchone()[0],
        "usage lines": db.execute("SELECT coalesce(sum(amount), 0) FROM usage_line").fetchone()[0],
        "credit that is gone": db.execute("SELECT sum(amount - remaining) FROM credit_grant").fetchone()[0],
    }
    for group in ("day", "hour", "model", "account"):
        out[f"sluice usage by {group}"] = sum(nano(r["cost"]) for r in cli(build, server.data, "usage", "--group", group, "--since", "1970-01-01"))
    with open(f"{server.data}/keys") as f:
        keys = f.read().split()
    out["GET /v1/sluice/usage of all keys"] = 0
    for key in keys:
        status, body = api(server.address, key, "/v1/sluice/usage?group=day&since=1970-01-01")
        if status != 200:
            raise SystemExit(f"/v1/sluice/usage answers {status}: {body}")
        answer = json.loads(body)
        out["GET /v1/sluice/usage of all keys"] += sum(nano(r["cost"]) for r in (answer if isinstance(answer, list) else answer.get("data") or answer["usage"]))
    return out


def run(args, top):
    data, seen_path, witness = f"{top}/data", f"{top}/seen", f"{top}/witness"
    server = Server(args.build, data, witness, f"{top}/server.log")
    rnd = random.Random(args.seed)
    began = time.monotonic()
    server.start()
    client = subprocess.Popen([f"{args.build}/test/load_client", server.address, "--keys", f"{data}/keys", "--chaos", "--requests", str(args.requests), "--connections",
                               str(args.connections), "--seen", seen_path, "--seed", str(args.seed)], stdout=subprocess.PIPE, text=True)
    while client.poll() is None:
        try:
            client.wait(args.kill_every * (0.5 + rnd.random()))
        except subprocess.TimeoutExpired:
            server.kill()
            server.start()
    if server.kills < args.kills_least:  # a small run on a quick machine
        server.kill()
        server.start()
    took = time.monotonic() - began
    faults, tally = [], Counter()
    if client.returncode:
        faults.append(f"the client ends with {client.returncode}")
    server.stop()  # all rows are in the store
    engine, n, lives = witnessed(witness)
    rows, db = rows_of(data)
    per_request(rows, seen_requests(seen_path), engine, server.counted, faults, tally)
    doubled = db.execute("SELECT count(*) FROM (SELECT 1 FROM usage GROUP BY request HAVING count(*) > 1)").fetchone()[0]
    if doubled:
        faults.append(f"{doubled} requests have two usage rows")
    never = [id for id, r in rows.items() if id not in engine and r[1]]
    if never:
        faults.append(f"{len(never)} rows bill tokens of requests that the engine never began, req_{never[0]} for one")
    if n != len(engine):
        faults.append(f"the engine began {n} answers, {len(engine)} of them are known")
    asked, handed, billed = sum(e[3] for e in engine.values()), sum(e[4] for e in engine.values()), sum(r[1] for r in rows.values())
    print(f"{tally['requests']} requests, {server.kills} kills (lives {lives}), {tally['left by the client']} left by their client, {tally['cut by a kill']} cut, "
          f"{len(rows)} usage rows, {took:.0f} s")
    print(f"tokens: received {tally['tokens received']}, handed over {handed}, billed {billed}, about to be journaled {asked}; "
          f"{tally['cut between journal and hand-over']} answers were cut between the last two, {tally['counts of journals']} counts of killed servers' journals compared")
    if not server.kills or not handed or not tally["left by the client"]:
        faults.append("nothing was killed, left or handed over: the test did not test")
    server.start()
    sums = figures(args.build, server, db, rows)
    for name, value in sums.items():
        print(f"  {value / 1e9:.9f} USD  {name}")
    if len(set(sums.values())) != 1:
        faults.append("the sums differ")
    db.close()
    server.stop()
    audit = subprocess.run([f"{args.build}/sluice", "audit", "--data", data], capture_output=True, text=True)
    if audit.returncode:
        faults.append(f"sluice audit exits {audit.returncode}: {audit.stdout}{audit.stderr}")
    faults += list(differences(f"{data}/ledger.db"))
    for f in faults[:FAULTS_SHOWN]:
        print("FAULT", f)
    return not faults


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--requests", type=int, default=1_000_000)
    p.add_argument("--kill-every", type=float, default=4)
    p.add_argument("--kills-least", type=int, default=1)
    p.add_argument("--connections", type=int, default=128)
    p.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "1")))
    p.add_argument("--keep", help="a folder that is kept")
    args = p.parse_args()
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
        ok = run(args, args.keep)
    else:
        with tempfile.TemporaryDirectory() as top:
            ok = run(args, top)
    print(f"{int(ok)} passed, {int(not ok)} failed, 0 skipped")
    sys.exit(not ok)
