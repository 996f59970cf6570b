#!/usr/bin/env python3
"""sluice beside a build of llama.cpp or ik_llama.cpp, or beside node-llama-cpp: the same file, the same threads, turn about.

    turns.py measure --peer ik=/path/to/ik/build/bin --model FILE.gguf ... [--sluice build/sluice] [--pairs 5] [--threads 2]
                     [--prefill 512] [--decode 64] [--streams 4,8,16,32] [--steps 16] [--csv FILE] [--peer-flags "..."] [--seconds N]
    turns.py table FILE.csv [--all]

A pair is: state of the machine, sluice, state, peer, state. State: read bandwidth, int8 peak and the way of a cache line between two cores (sluice bench
roofline --quick). A pair in which it changed is thrown away: the ratio would compare two machines. Prefill and decode of one stream come from
llama-bench, streams from llama-batched-bench (all streams together, after a prompt of 16); flash attention and KV in f16 on both sides, run-time repacking
on for ik. A peer named node... is where npm installed node-llama-cpp, measured by node.mjs, without streams. sluice's come from `sluice bench model`.
--seconds stops after the pair in which they are over, so that a measurement can be done in pieces: rows are appended to the CSV, and `table` takes the
medians of all; in brackets where no pair could be kept."""
import argparse
import csv
import datetime
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FIELDS = ["date", "cpu", "peer", "version", "model", "threads", "what", "sluice", "peer_rate", "ratio", "kept", "read", "int8", "trip",
          "sluice_switches", "peer_switches", "share"]


def run(argv):
    """((standard output, standard error), involuntary context switches of it)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_nivcsw
    with tempfile.TemporaryDirectory() as scratch:  # ik writes a log where it is started
        p = subprocess.run([os.path.abspath(argv[0]), *argv[1:]], capture_output=True, text=True, cwd=scratch)
    if p.returncode:
        sys.exit(f"{' '.join(argv)}: exit {p.returncode}\n{p.stderr[-2000:]}")
    return (p.stdout, p.stderr), resource.getrusage(resource.RUSAGE_CHILDREN).ru_nivcsw - before


def state(o):
    (text, _), _ = run([o.sluice, "bench", "roofline", "--quick", "--threads", str(o.threads), "--csv", "-"])
    rows = list(csv.DictReader(text.splitlines()))
    of = lambda what: max((float(r["value"]) for r in rows if r["what"].startswith(what)), default=0)
    return {"read": of("read"), "int8": of("int8 avx"), "trip": of("round trip")}


def same(states):
    spread = lambda k: max(s[k] for s in states) / max(min(s[k] for s in states), 1e-9)
    return spread("read") < 1.15 and spread("int8") < 1.15 and (states[0]["trip"] == 0 or spread("trip") < 1.6)


def ours(o, model):
    (text, _), switches = run([o.sluice, "bench", "model", model, "--threads", str(o.threads), "--prefill", str(o.prefill), "--depth", "0",
                          "--streams", o.streams, "--rounds", "1", "--tokens", str(max(o.decode, o.steps)), "--csv", "-"])
    out, share = {}, {}
    for r in csv.DictReader(text.splitlines()):
        if not r["tok/s"]:
            continue
        key = f"prefill {r['prompt']}" if r["what"] == "prefill" else f"decode {r['streams']}"
        out[key], share[key] = float(r["tok/s"]), r["share"]
    return out, share, switches


def is_ik(o):
    return o.name.startswith("ik")


def node(o, model):
    argv = [shutil.which("node") or "node", os.path.join(os.path.dirname(os.path.abspath(__file__)), "node.mjs"), os.path.abspath(o.bin), model]
    (text, _), switches = run(argv + [str(n) for n in (o.threads, o.prefill, o.decode)])
    return {r["what"]: r["tok/s"] for r in json.loads(text)}, switches, "?"


def theirs(o, model):
    if o.name.startswith("node"):
        return node(o, model)
    flags = o.peer_flags.split()
    argv = [f"{o.bin}/llama-bench", "-m", model, "-t", str(o.threads), "-p", str(o.prefill), "-n", str(o.decode), "-r", "1", "-fa", "1", "-o", "json", *flags]
    (text, _), switches = run(argv + (["-rtr", "1"] if is_ik(o) else []))
    out = {}
    rows = json.loads(text[text.index("["):])
    for r in rows:
        out["decode 1" if r["n_gen"] else f"prefill {r['n_prompt']}"] = r["avg_ts"]
    if o.streams:
        most = max(int(s) for s in o.streams.split(","))
        argv = [f"{o.bin}/llama-batched-bench", "-m", model, "-t", str(o.threads), "-c", str(most * (16 + o.steps) + 64), "-b", "2048", "-ub", "512", "-npp", "16",
                "-ntg", str(o.steps), "-npl", o.streams, *flags]
        texts, more = run(argv + (["-fa", "on", "-rtr"] if is_ik(o) else ["-fa", "on"]))
        switches += more
        for line in "\n".join(texts).splitlines():  # ik writes its table to standard error
            cell = [c.strip() for c in line.split("|")]
            if len(cell) > 10 and cell[1].isdigit():
                out[f"decode {cell[3]}"] = float(cell[8])
    return out, switches, f"{rows[0].get('build_commit', '?')}"


def measure(o):
    o.name, o.bin = o.peer.split("=", 1)
    o.model = [os.path.abspath(m) for m in o.model]
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    end, new = time.time() + o.seconds, not (o.csv and os.path.exists(o.csv) and os.path.getsize(o.csv))
    f = open(o.csv, "a", newline="") if o.csv else None
    out = csv.DictWriter(f or sys.stdout, FIELDS)
    if new:
        out.writeheader()
    for _ in range(o.pairs):
        for model in o.model:
            if time.time() > end:
                return
            s = [state(o)]
            mine, share, switches = ours(o, model)
            s.append(state(o))
            other, peer_switches, version = theirs(o, model)
            s.append(state(o))
            for what, rate in mine.items():
                if what in other:
                    row = {"date": datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%MZ"), "cpu": cpu, "peer": o.name, "version": o.version or version,
                           "model": os.path.basename(model).removesuffix(".gguf"), "threads": o.threads, "what": what, "sluice": f"{rate:.1f}",
                           "peer_rate": f"{other[what]:.1f}", "ratio": f"{rate / other[what]:.2f}", "kept": int(same(s)), "read": f"{s[1]['read']:.1f}",
                           "int8": f"{s[1]['int8']:.0f}", "trip": f"{s[1]['trip']:.0f}", "sluice_switches": switches, "peer_switches": peer_switches, "share": share[what]}
                    out.writerow(row)
                    print(f"{row['model']:16} {what:12} sluice {rate:7.1f}  {o.name} {other[what]:7.1f}  ratio {rate / other[what]:.2f}"
                          f"{'' if row['kept'] else '  (thrown away: the machine changed)'}", file=sys.stderr)
            (f or sys.stdout).flush()


def table(o):
    groups = {}
    for r in csv.DictReader(open(o.model[0])):
        groups.setdefault((r["peer"], r["model"], r["what"]), []).append(r)
    lines = [["peer", "model", "what", "pairs", "thrown away", "sluice", "peer", "ratio"]]
    for key, rows in groups.items():
        kept = [r for r in rows if r["kept"] == "1" or o.all]
        form = "{}" if kept else "({})"
        median = lambda k, digits: form.format(f"{statistics.median(float(r[k]) for r in kept or rows):.{digits}f}")
        lines.append([*key, str(len(kept)), str(len(rows) - len(kept)), median("sluice", 1), median("peer_rate", 1), median("ratio", 2)])
    width = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, width))))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("command", choices=["measure", "table"])
    p.add_argument("file", nargs="?", help="table: the CSV file")
    p.add_argument("--peer", help="NAME=FOLDER of its programs; a name that begins with ik is ik_llama.cpp, with node node-llama-cpp")
    p.add_argument("--model", nargs="+", default=[])
    p.add_argument("--sluice", default="build/sluice")
    p.add_argument("--version", default="", help="of the peer, when its program does not know it")
    p.add_argument("--peer-flags", default="", help="more flags of the peer's programs")
    p.add_argument("--csv")
    p.add_argument("--all", action="store_true", help="table: count pairs in which the machine changed too")
    p.add_argument("--streams", default="4,8,16,32")
    for name, default in (("pairs", 5), ("threads", os.cpu_count()), ("prefill", 512), ("decode", 64), ("steps", 16), ("seconds", 86400)):
        p.add_argument(f"--{name}", type=int, default=default)
    o = p.parse_args()
    if o.command == "table":
        o.model = [o.file]
        if not o.file:
            p.error("which CSV file?")
        return table(o)
    if not o.peer or "=" not in o.peer or not o.model:
        p.error("measure needs --peer NAME=FOLDER and --model FILE")
    measure(o)


if __name__ == "__main__":
    main()
