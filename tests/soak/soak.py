"""The soak: 64 clients for an hour, a kill -9 every five minutes, and a verdict.

usage: soak.py SLUICE [--seconds N] [--clients N] [--kill N] [--quiet N] [--seed N] [--out DIR] [--tinymodel PROGRAM] [--models DIR]

Clients send random requests of every endpoint that the server has, to models of several families, from rich and poor accounts: plain and streamed,
short and long, slow to send and slow to read, leaving with a FIN, a reset or a half-closed socket, and malformed ones. Every QUIET seconds they
rest, and the server must rest too. The verdict:

  answers   only the statuses that are right for a request; no 5xx but 503 with Retry-After; no stream without its end; nothing stuck
  money     at every quiet point: tokens delivered == tokens billed == usage rows, to the token; after every kill: each request is billed exactly what the
            dead server's journal had counted (read by tests/soak/journal.py), never less than its client saw and never more than its limit; `sluice audit`
            and an independent recomputation (tests/crash/second_audit.py) are clean
  rest      at every quiet point every gauge is 0, every KV page is free, no connection is open, no descriptor and no thread is left over
  memory    no slope (tests/soak/judge.py says how it is judged)

DIR gets soak.csv (a line every 2 s), summary.txt and server.log; a progress line comes every 10 s. Exit status 1 when anything is wrong."""
import argparse
import asyncio
import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../crash"))
import client
import journal
import judge
import traffic
from second_audit import differences
from serving import Serving

GAUGES = ["sluice_chats", "sluice_engine_running", "sluice_engine_waiting", "sluice_engine_paused", "sluice_kv_pages_used"]
BOUNDED = {"store_kb": "sluice_store_memory_bytes", "kv_kb": "sluice_kv_backed_bytes"}  # memory that is kept on purpose
LOADED, LOADS, UNLOADS = "sluice_models_loaded", "sluice_model_loads_total", "sluice_model_unloads_total"
COLUMNS = ["time_s", "life", "life_s", "quiet", "rss_kb", "heap_kb", "store_kb", "kv_kb", "descriptors", "threads", "requests", "delivered", "billed", "connections", "loads", "unloads", *GAUGES]
RICH, POOR = ["acme", "globex", "initech"], "pauper"
FAULTS_SHOWN = 60
VICTIM_PATIENCE_S = 120  # a machine that does other work starts an answer late
REST_PATIENCE_S = 4  # before a rest clients wait so long for their answers, then they leave
# Name: options of tools/tinymodel.c. One has a context that its conversations pass, one computes long enough to be killed in the middle.
LONG = "tiny/wide"
MADE = {"tiny/llama": ["arch=llama", "ctx=1024"], "tiny/short": ["arch=qwen2", "seed=2", "ctx=256"],
        LONG: ["arch=qwen2", "embd=256", "layers=4", "ff=512", "ctx=2048", "type=q4_k"], "tiny/qwen3": ["arch=qwen3", "embd=128", "ctx=1024", "type=q4_0"],
        "tiny/window": ["arch=mistral3", "embd=128", "ctx=1024", "type=bf16"], "tiny/smol": ["arch=smollm3", "embd=128", "layers=4", "ctx=1024"],
        "tiny/split": ["arch=llama", "embd=128", "ctx=1024", "type=q5_1", "parts=3"]}


class Soak:
    def __init__(self, args):
        self.a, self.rnd, self.t0 = args, random.Random(args.seed), time.monotonic()
        os.makedirs(args.out, exist_ok=True)
        self.data = os.path.join(args.out, "data")
        shutil.rmtree(self.data, ignore_errors=True)
        os.mkdir(self.data)
        log = os.path.join(args.out, "server.log")
        open(log, "w").close()
        program = shutil.copy(args.sluice, os.path.join(args.out, "sluice"))  # a build during the soak does not change it
        self.server = Serving(program, self.data, log, {"threads": args.threads, "memory": args.memory, "keep": 1, **({"kv-memory": args.kv_memory} if args.kv_memory else {})})
        self.faults, self.heap, self.rss, self.seen = [], [], [], []
        self.count = {"requests": 0, "200": 0, "4xx": 0, "429": 0, "503": 0, "left": 0, "malformed": 0, "kills": 0, "rests": 0, "billed": 0}
        self.unloads, self.died = 0, False
        self.going, self.active, self.rest_baseline, self.last_row = asyncio.Event(), 0, None, 0
        self.life_rows = 0  # the last usage row before this life

    def fault(self, text):
        self.faults.append(f"life {self.server.life}, {time.monotonic() - self.t0:.0f} s: {text}")
        if len(self.faults) <= FAULTS_SHOWN:
            print("FAULT", self.faults[-1], flush=True)

    # ---- the house ----

    def furnish(self):
        """Models, prices, accounts. The store is filled before the server starts."""
        made = os.path.join(self.a.out, "models")
        os.makedirs(made, exist_ok=True)
        files = {}
        for name, options in MADE.items():
            files[name] = os.path.join(made, name.replace("/", "-") + ".gguf")
            if "parts=3" in options:
                stem = files[name].removesuffix(".gguf")
                files[name] = stem + "-00001-of-00003.gguf"
            subprocess.run([self.a.tinymodel, stem if "parts=3" in options else files[name], *options], check=True)
        story = os.path.join(self.a.models, "stories260K-f32.gguf")
        if os.path.exists(story):
            files["stories"] = story
        for name, path in files.items():
            self.server.cli("add", path, "--name", name)
            self.server.cli("price", "set", name, "--input", "0.37", "--output", "1.13")
        self.models = list(files)
        self.keys = {}
        for account in [*RICH, POOR]:
            self.server.cli("account", "create", account)
            self.server.cli("grant", "create", account, "0.002" if account == POOR else "1000000")
            self.keys[account] = json.loads(self.server.cli("key", "create", account, "--json").stdout)["key"]

    def endpoints_there(self):
        """Those of traffic.ENDPOINTS that this server has."""
        routes = open(os.path.join(os.path.dirname(__file__), "../../src/api/routes.def")).read()
        return [p for p in traffic.ENDPOINTS if f'"{p}"' in routes]

    # ---- clients ----

    def order(self, rnd):
        account = rnd.choice([*RICH, POOR])
        if rnd.random() < 0.08:
            return traffic.malformed(rnd, rnd.choice(self.models), self.keys[account])
        return traffic.well_formed(rnd, rnd.choice(self.models), self.keys[account], account == POOR, self.endpoints)

    async def one_client(self, i):
        rnd = random.Random(f"{self.a.seed}/{i}")
        while True:
            await self.going.wait()
            self.active += 1
            try:
                await self.one_request(self.order(rnd))
            finally:
                self.active -= 1
            await asyncio.sleep(rnd.expovariate(1 / self.a.think))

    async def one_request(self, order):
        life = self.server.life
        try:
            answer = await client.exchange(self.server.port, order)
        except TimeoutError as e:
            self.fault(f"stuck: {e}")
            return
        self.count["requests"] += 1
        killed = self.dying or life != self.server.life
        if answer is None:
            if not killed:
                self.fault(f"{order.what}: the server refused the connection")
            return
        self.judge_answer(answer, killed)
        if answer.id and answer.status == 200:
            self.seen.append(answer)

    def judge_answer(self, a, killed):
        o, malformed = a.order, a.order.what[0] != "/"
        self.count["malformed"] += malformed
        self.count["left"] += a.left
        if a.status is None:  # cut before a head: by us, by the kill, or the request was none
            if not (a.left or killed or malformed or o.pace in ("half-close", "slow-read")):
                self.fault(f"{o.what} ({o.pace}): the connection was closed without an answer")
            return
        for name, is_it in (("200", a.status == 200), ("4xx", 400 <= a.status < 500), ("429", a.status == 429), ("503", a.status == 503)):
            self.count[name] += is_it
        if a.status not in o.right:
            self.fault(f"{o.what} ({o.pace}): status {a.status}, right are {sorted(o.right)}: {a.tail[-200:]}")
        if a.status == 200 and not malformed and not a.whole and not (a.left or killed or o.pace in ("half-close", "slow-read")):
            self.fault(f"{o.what} ({o.pace}): cut after {a.n} bytes: {a.tail[-120:]}")
        if a.status == 200 and a.whole and o.stream and (a.error_event or b"data: [DONE]\n\n" not in a.tail):
            self.fault(f"{o.what} ({o.pace}): a stream without its end: {a.tail[-200:]}")

    # ---- rest ----

    async def rest(self, last=False):
        """Clients pause; then the server must be as empty as it was when it began."""
        self.going.clear()
        begun = time.monotonic()
        while self.active and time.monotonic() < begun + client.STUCK_S + 30:
            await asyncio.sleep(0.05)
            if time.monotonic() > begun + REST_PATIENCE_S:
                client.leave_all()
        if self.active:
            self.fault(f"{self.active} clients did not come to rest")
        end, m = time.monotonic() + 60, {}
        while time.monotonic() < end:
            if self.has_died():
                return
            m = await asyncio.to_thread(self.server.metrics)
            if not any(m.get(g) for g in [*GAUGES, LOADED]) and m.get("sluice_connections") == 1:
                break
            await asyncio.sleep(0.1)
        self.count["rests"] += 1
        for g in [*GAUGES, LOADED]:  # models are unloaded after a second without work
            if m.get(g) != 0:
                self.fault(f"at rest {g} is {m.get(g)}")
        if m.get("sluice_connections") != 1:  # the one that asks
            self.fault(f"at rest {m.get('sluice_connections')} connections are open")
        self.check_money_at_rest(m)
        self.sample(m, True)
        await self.check_open()
        self.unloads = max(self.unloads, int(m.get(UNLOADS, 1)))
        if not last:
            await asyncio.to_thread(self.server.cli, "grant", "create", POOR, "0.002")
            self.going.set()

    async def check_open(self):
        """No more is open than at this life's first rest; what is about to be closed gets a moment."""
        for _ in range(600):
            files, threads = self.server.descriptors(), self.server.threads()
            self.rest_baseline = self.rest_baseline or (files, threads)
            if files.total() <= self.rest_baseline[0].total() and threads <= self.rest_baseline[1]:
                return
            await asyncio.sleep(0.1)
        self.fault(f"at rest more is open than at this life's first rest: {dict(files - self.rest_baseline[0])}, {threads} threads against {self.rest_baseline[1]}")

    def check_money_at_rest(self, m):
        db = sqlite3.connect(f"file:{self.data}/ledger.db?mode=ro", uri=True)
        rows = db.execute("SELECT COALESCE(SUM(output + reasoning), 0), COALESCE(SUM(input), 0), COUNT(*) FROM usage WHERE id > ?", (self.life_rows,)).fetchone()
        db.close()
        delivered, billed = m.get("sluice_delivered_tokens_total"), m.get('sluice_billed_tokens_total{meter="output"}')
        billed_in = m.get('sluice_billed_tokens_total{meter="input"}')
        if not delivered == billed == rows[0] or not delivered:
            self.fault(f"at rest: {delivered} output tokens delivered, {billed} billed, {rows[0]} in the usage rows of this life")
        if billed_in != rows[1]:
            self.fault(f"at rest: {billed_in} input tokens billed, {rows[1]} in the usage rows of this life")

    def sample(self, m, quiet):
        now = time.monotonic()
        row = {"time_s": round(now - self.t0, 1), "life": self.server.life, "life_s": round(now - self.server.born, 1), "quiet": int(quiet), "rss_kb": self.server.rss_kb(), "heap_kb": int(m["sluice_heap_bytes"]) >> 10, **{k: int(m[g]) >> 10 for k, g in BOUNDED.items()},
               "descriptors": self.server.descriptors().total(), "threads": self.server.threads(), "requests": self.count["requests"], "delivered": m.get("sluice_delivered_tokens_total"),
               "billed": m.get('sluice_billed_tokens_total{meter="output"}'), "connections": m.get("sluice_connections"), "loads": m.get(LOADS), "unloads": m.get(UNLOADS), **{g: m.get(g) for g in GAUGES}}
        self.heap.append((row["life_s"], row["life"], row["heap_kb"] - row["store_kb"], quiet))
        self.rss.append((row["life_s"], row["life"], row["rss_kb"] - row["store_kb"] - row["kv_kb"], quiet))
        self.csv.writerow({k: int(v) if isinstance(v, float) and k[-2:] != "_s" else v for k, v in row.items()})
        self.csv_file.flush()
        return row

    # ---- the end of a life ----

    async def victims(self):
        """Until long answers are on their way: a fast engine has ended the others before their last piece is read, and the kill shall cut some."""
        long = [traffic.endless(LONG, self.keys[RICH[0]]) for _ in range(4)]
        tasks = [asyncio.ensure_future(self.one_request(o)) for o in long]
        end = time.monotonic() + VICTIM_PATIENCE_S
        while time.monotonic() < end and not any(e.order in long and e.data.count(b"data:") > 1 for e in client.running):
            await asyncio.sleep(0.01)
        return tasks

    async def end_life(self, killed):
        victims = await self.victims() if killed else []
        self.dying = True
        if killed:
            self.server.kill()
            self.count["kills"] += 1
        elif (code := await asyncio.to_thread(self.server.stop)) != 0:
            self.fault(f"SIGTERM: the server ended with {code}")
        self.going.clear()
        while self.active:
            await asyncio.sleep(0.05)
        await asyncio.gather(*victims)
        counted = journal.counted(self.data) if killed else {}
        if killed:
            self.server.start()  # bills what was open
            self.server.stop()
        self.check_rows(counted)
        self.audits()
        self.seen = []

    def check_rows(self, counted):
        db = sqlite3.connect(f"file:{self.data}/ledger.db?mode=ro", uri=True)
        rows = {r[0]: r[1:] for r in db.execute("SELECT request, input + cache_read + cache_write, output + reasoning, reason FROM usage WHERE id > ?", (self.life_rows,))}
        n, self.life_rows = len(rows), db.execute("SELECT COALESCE(MAX(id), 0) FROM usage").fetchone()[0]
        db.close()
        cut = sum(r[2] == 5 for r in rows.values())
        self.count["billed"] += n
        if counted and not cut:
            self.fault("no request was cut by the kill: the soak did not test it")
        for request, c in counted.items():
            want = c["input"] + c["cache_read"] + c["cache_write"], c["output"] + c["reasoning"]
            if request in rows and rows[request][:2] != want:
                self.fault(f"{request}: the journal counted {want}, billed {rows[request][:2]}")
            elif request not in rows and any(want) and not self.row_exists(request):
                self.fault(f"{request}: the journal counted {want}, and it has no usage row")
        for a in self.seen:
            row = rows.get(a.id)
            if a.order.what == "/tokenize":
                continue
            if not row:
                self.fault(f"{a.id} ({a.order.what}): its client saw status 200, and it has no usage row")
            elif a.usage and a.usage != row[:2]:
                self.fault(f"{a.id} ({a.order.what}): its usage said {a.usage}, billed {row[:2]}")
            elif a.pieces > row[1]:
                self.fault(f"{a.id} ({a.order.what}): its client saw {a.pieces} pieces, billed {row[1]} tokens")
            elif a.order.limit and row[1] > a.order.limit:
                self.fault(f"{a.id} ({a.order.what}): billed {row[1]} tokens of at most {a.order.limit}")
        print(f"  life {self.server.life}: {n} usage rows, {len(self.seen)} answers compared, {len(counted)} journaled counts compared, {cut} cut by the kill", flush=True)

    def row_exists(self, request):
        db = sqlite3.connect(f"file:{self.data}/ledger.db?mode=ro", uri=True)
        found = db.execute("SELECT 1 FROM usage WHERE request = ?", (request,)).fetchone()
        db.close()
        return bool(found)

    def audits(self):
        r = self.server.cli("audit", check=False)
        if r.returncode:
            self.fault(f"sluice audit ended with {r.returncode}: {r.stdout}{r.stderr}")
        for d in differences(f"{self.data}/ledger.db"):
            self.fault(f"second audit: {d}")

    async def begin_life(self):
        await asyncio.to_thread(self.server.start)
        self.rest_baseline, self.dying = None, False
        self.going.set()

    # ---- the whole ----

    def has_died(self):
        code = self.server.proc.poll()
        if code is not None and not self.died:
            self.died = True
            self.fault(f"the server has ended by itself with {code}; see {self.server.log_path}")
        return code is not None

    async def watch(self):
        told, before = 0.0, None
        while True:
            await asyncio.sleep(2)
            if self.dying or not self.going.is_set():
                continue
            if self.has_died():
                return
            try:
                m = await asyncio.to_thread(self.server.metrics)
                row = self.sample(m, False)
            except (OSError, ValueError, AttributeError):
                continue  # it was killed while it was asked
            if time.monotonic() - told >= 10:
                rate = "" if not before or before["life"] != row["life"] else f", {(row['delivered'] - before['delivered']) / max(1, row['time_s'] - before['time_s']):.0f} tokens/s"
                print(f"{row['time_s']:6.0f} s  life {row['life']}: {self.count['requests']} requests, {self.count['200']} x 200, {self.count['4xx']} x 4xx, {self.count['503']} x 503, "
                      f"{self.count['left']} left{rate}, {row['rss_kb'] // 1024} MiB, {row['descriptors']} descriptors, {len(self.faults)} faults", flush=True)
                told, before = time.monotonic(), row

    async def run(self):
        self.furnish()
        self.endpoints, self.dying = self.endpoints_there(), True
        self.csv_file = open(os.path.join(self.a.out, "soak.csv"), "w", newline="")
        self.csv = csv.DictWriter(self.csv_file, COLUMNS)
        self.csv.writeheader()
        tasks = [asyncio.ensure_future(self.one_client(i)) for i in range(self.a.clients)] + [asyncio.ensure_future(self.watch())]
        end = self.t0 = time.monotonic()
        end += self.a.seconds
        while time.monotonic() < end:
            await self.begin_life()
            life_end = min(end, time.monotonic() + self.a.kill)
            last = life_end + self.a.kill / 3 > end  # a rest too short for a life of its own belongs to this one
            life_end = end if last else life_end
            while (left := life_end - time.monotonic()) > 0:
                await asyncio.sleep(min(left, self.a.quiet))
                if time.monotonic() + self.a.quiet / 2 < life_end:
                    await self.rest()
                    life_end = max(life_end, time.monotonic() + self.a.quiet / 2)  # the kill shall come at full load
                for t in tasks:
                    if t.done():
                        t.result()  # a fault of the soak itself
                if self.died:
                    return
            if last:
                await self.rest(last=True)
            if self.died:
                return
            await self.end_life(killed=not last)
        for t in tasks:
            t.cancel()
        self.csv_file.close()

    def verdict(self):
        found, grown = judge.memory(self.heap, self.rss)
        if not self.unloads:
            self.fault(f"no model was ever unloaded: --memory {self.a.memory} is too much to test it")
        for g in grown:
            self.fault(g)
        lines = [f"soak: {time.monotonic() - self.t0:.0f} s, {self.a.clients} clients, {len(self.models)} models ({', '.join(self.models)}), seed {self.a.seed}", f"endpoints: {', '.join(self.endpoints)}",
                 "counts: " + ", ".join(f"{k} {v}" for k, v in self.count.items()), *found, f"{len(self.faults)} faults", *self.faults[:FAULTS_SHOWN]]
        with open(os.path.join(self.a.out, "summary.txt"), "w") as f:
            f.write("\n".join(lines) + "\n")
        print("\n".join(lines[: 4 + len(found)]))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sluice")
    p.add_argument("--seconds", type=float, default=3600)
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--kill", type=float, default=300, help="seconds between two kills")
    p.add_argument("--quiet", type=float, default=20, help="seconds between two rests")
    p.add_argument("--think", type=float, default=0.3, help="a client's mean pause between two requests")
    p.add_argument("--threads", type=int, default=2, help="of the engine")
    p.add_argument("--memory", type=int, default=12, help="MiB for loaded models: fewer than they take together, so that they come and go")
    p.add_argument("--kv-memory", type=int, default=0, help="MiB")
    p.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "1")))
    p.add_argument("--out", default="build/soak")
    p.add_argument("--tinymodel", default="build/tool/tinymodel")
    p.add_argument("--models", default=os.path.join(os.environ.get("SLUICE_TEST_DATA", "../shared/data"), "models"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    s = Soak(p.parse_args())
    try:
        asyncio.run(s.run())
    finally:
        s.server.kill_if_left()
    s.verdict()
    print(f"{int(not s.faults)} passed, {int(bool(s.faults))} failed, 0 skipped")
    sys.exit(bool(s.faults))


if __name__ == "__main__":
    main()
