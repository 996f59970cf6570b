#!/usr/bin/env python3
"""Servers under load, over HTTP: sluice with and without what it is proud of, and beside llama-server on the same file and threads.

    serve.py CASE --model FILE.gguf --folder SCRATCH [--sluice build/sluice] [--peer-server /path/to/llama-server] [--csv FILE] [--rounds 1]

CASE: chats      16 chats of 256 + 128 tokens at Poisson arrivals; with --peer-server turn about, and the ratio
      stalls     the same while prompts of 2,048 tokens arrive: p99 between tokens over the median
      prefix     32 chats behind one system prompt of 1,024 tokens, new or used once before, and behind 32 different ones: the ratio of the times to first token
      turns      a conversation of ten turns: what each turn computes
      neighbour  one account asks; then another one has 64 prompts of 2,048 tokens queued: the ratio of the p99 times to first token
A server is started on a free port of the loopback for each measurement and ended after it; SCRATCH keeps sluice's data folder with the model."""
import argparse
import atexit
import csv
import datetime
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

NAME = "peers"


def sluice(o, *args):
    p = subprocess.run([o.sluice, *args, "--data", o.data], capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"sluice {' '.join(args)}: {p.stderr}")
    return p.stdout


def prepare(o):
    """A data folder with the model, its price, two accounts with credit; their keys."""
    o.data = os.path.join(o.folder, "data-" + os.path.basename(o.model).removesuffix(".gguf"))
    keys = os.path.join(o.data, "peers-keys.json")
    if not os.path.exists(keys):
        os.makedirs(o.data, exist_ok=True)
        sluice(o, "add", o.model, "--name", NAME)
        sluice(o, "price", "set", NAME, "--input", "0.01", "--output", "0.01")
        out = []
        for account in ("one", "two"):
            sluice(o, "account", "create", account)
            sluice(o, "grant", "create", account, "100000.00")
            made = json.loads(sluice(o, "key", "create", account, "--json"))
            made = made[0] if isinstance(made, list) else made
            out.append(next(v for v in made.values() if isinstance(v, str) and v.startswith("sk-")))
        with open(keys, "w") as f:
            json.dump(out, f)
    with open(keys) as f:
        return json.load(f)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, o, peer):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        threads = str(o.threads)
        if peer:
            argv = [o.peer_server, "-m", o.model, "-t", threads, "-c", str(o.slots * 1024), "-np", str(o.slots), "-fa", "on", "--host", "127.0.0.1", "--port", str(port)]
        else:
            argv = [o.sluice, "serve", "--data", o.data, "--listen", f"127.0.0.1:{port}", "--threads", threads]
        self.log = open(os.path.join(o.folder, "server.log"), "w")
        self.p = subprocess.Popen(argv, stdout=self.log, stderr=self.log)
        atexit.register(self.p.kill)
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + ("/health" if peer else "/healthz"), timeout=2)
                return
            except urllib.error.HTTPError as e:
                if not peer and e.code != 503:
                    return
            except OSError:
                pass
            if self.p.poll() is not None:
                sys.exit(f"{argv[0]} ended; see {self.log.name}")
            time.sleep(0.1)
        self.end()
        sys.exit(f"{argv[0]} does not answer; see {self.log.name}")

    def end(self):
        self.p.terminate()
        try:
            self.p.wait(20)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        self.log.close()


def load(o, server, key, *args):
    """Rows of sluice bench serve."""
    argv = [o.sluice, "bench", "serve", "--url", server.url, "--data", o.data, "--key", key, "--seed", str(int(time.time())), "--csv", "-", *args]
    p = subprocess.run(argv + (["--model", NAME] if server.p.args[0] == o.sluice else []), capture_output=True, text=True)
    if p.returncode:
        server.end()
        sys.exit(f"{' '.join(argv)}: {p.stderr}")
    sys.stderr.write(p.stderr)
    return [{k: float(v) if k != "what" and v else v for k, v in r.items()} for r in csv.DictReader(io.StringIO(p.stdout))]


def record(o, case, what, row):
    new = not (os.path.exists(o.csv) and os.path.getsize(o.csv)) if o.csv else False
    row = {"date": datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%MZ"), "model": os.path.basename(o.model).removesuffix(".gguf"), "case": case, "server": what, **row}
    if o.csv:
        with open(o.csv, "a", newline="") as f:
            w = csv.DictWriter(f, row)
            if new:
                w.writeheader()
            w.writerow(row)
    return row


def chats(o, keys):
    args = ["--users", "16", "--rate", str(o.rate), "--requests", str(o.requests), "--prompt", "256", "--output", "128"]
    ratios = []
    for _ in range(o.rounds):
        rate = {}
        for peer in ([False, True] if o.peer_server else [False]):
            s = Server(o, peer)
            load(o, s, keys[0], "--users", "2", "--requests", "2", "--prompt", "64", "--output", "8")
            r = load(o, s, keys[0], *args)[0]
            s.end()
            rate[peer] = r["total tok/s"]
            record(o, "chats", "llama-server" if peer else "sluice", r)
            print(f"{'llama-server' if peer else 'sluice'}: {r['output tok/s']} tokens/s of answers, {r['total tok/s']} with prompts; first token {r['ttft p50']} ms "
                  f"(p99 {r['ttft p99']}), per token {r['tpot p50']} ms, failed {r['failed']}")
        if True in rate:
            ratios.append(rate[False] / rate[True])
            print(f"ratio {ratios[-1]:.2f}")


def stalls(o, keys):
    s = Server(o, False)
    load(o, s, keys[0], "--users", "2", "--requests", "2", "--prompt", "64", "--output", "8")
    r = load(o, s, keys[0], "--users", "16", "--rate", str(o.rate), "--requests", str(o.requests), "--prompt", "256", "--output", "128", "--neighbour",
             "64,2048,8", "--neighbour-rate", str(o.long_rate))
    s.end()
    for row in r:
        record(o, "stalls", "sluice", row)
    print(f"between pieces of text: median {r[0]['gap p50']} ms, p99 {r[0]['gap p99']} ms, most {r[0]['gap max']} ms; p99/median {r[0]['gap p99'] / max(r[0]['gap p50'], 0.1):.2f}; "
          f"{r[1]['requests']} long prompts meanwhile")


def prefix(o, keys):
    ttft = {}
    for what in ("32 system prompts", "one system prompt", "one system prompt, once used before"):
        s = Server(o, False)
        load(o, s, keys[0], "--users", "2", "--requests", "2", "--prompt", "64", "--output", "8")
        if "before" in what:
            load(o, s, keys[0], "--users", "1", "--requests", "1", "--prefix", "1024", "--prompt", "8", "--output", "1")
        own = ["--own-prefix"] if what.startswith("32") else []
        r = load(o, s, keys[0], "--users", "32", "--requests", "32", "--prefix", "1024", "--prompt", str(o.own), "--output", "16", *own)[0]
        s.end()
        ttft[what] = r
        record(o, "prefix", what, r)
        print(f"{what}: first token after {r['ttft p50']} ms (p99 {r['ttft p99']}), {r['cached']} of {r['prompt']} tokens found")
    for what, r in list(ttft.items())[1:]:
        print(f"{what}: ratio of the medians {ttft['32 system prompts']['ttft p50'] / r['ttft p50']:.1f}, of the p99 {ttft['32 system prompts']['ttft p99'] / r['ttft p99']:.1f}")


def turns(o, keys):
    s = Server(o, False)
    rows = load(o, s, keys[0], "--users", "1", "--requests", "1", "--turns", "10", "--prefix", "200", "--prompt", "60", "--output", "60")
    s.end()
    before = 0
    for r in rows[1:]:  # the first is of all turns
        record(o, "turns", "sluice", r)
        print(f"{r['what']}: {r['prompt']:.0f} tokens, {r['prompt'] - r['cached']:.0f} computed, {r['prompt'] - before:.0f} new; first token after {r['ttft p50']} ms")
        before = r["prompt"]


def neighbour(o, keys):
    p99 = {}
    for busy in (False, True):
        s = Server(o, False)
        load(o, s, keys[0], "--users", "2", "--requests", "2", "--prompt", "64", "--output", "8")
        r = load(o, s, keys[0], "--users", "1", "--requests", str(o.requests), "--prompt", "256", "--output", "16",
                 *(["--neighbour", "64,2048,64", "--neighbour-key", keys[1]] if busy else []))[0]
        s.end()
        p99[busy] = r["ttft p99"]
        record(o, "neighbour", "busy" if busy else "idle", r)
        print(f"{'64 long prompts of another account' if busy else 'alone'}: first token after {r['ttft p50']} ms, p99 {r['ttft p99']} ms")
    print(f"ratio of the p99 {p99[True] / p99[False]:.2f}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = {f.__name__: f for f in (chats, stalls, prefix, turns, neighbour)}
    p.add_argument("case", choices=cases)
    p.add_argument("--model", required=True)
    p.add_argument("--folder", required=True)
    p.add_argument("--sluice", default="build/sluice")
    p.add_argument("--peer-server")
    p.add_argument("--csv")
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--requests", type=int, default=32)
    p.add_argument("--rate", type=float, default=4.0, help="arrivals a second; more than the server can do keeps 16 chats running")
    p.add_argument("--long-rate", type=float, default=0.3)
    p.add_argument("--own", type=int, default=64, help="prefix: tokens of a chat's own text")
    p.add_argument("--slots", type=int, default=16)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    o = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server stays behind
    os.makedirs(o.folder, exist_ok=True)
    cases[o.case](o, prepare(o))


if __name__ == "__main__":
    main()
