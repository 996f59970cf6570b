"""What governing costs: keys, limits, a hold and a durable usage row for each request, against the same server without them and other gateways.

usage: governed.py BUILD [--part rate|latency|streams|start]... [--portkey FOLDER] [--requests N] [--seconds N] [--streams N,N] [--csv FILE]

The answers come from a fake model after 20 ms (tests/load): in this process of sluice's for the first two, from another one behind nginx and
Portkey's gateway (npm i @portkey-ai/gateway in FOLDER), which are asked in the same run, turn about, by the same load generator on the same CPUs.
Ungoverned is the same server whose calls of the ledger the linker has cut out; the product has no such setting. Rows: what, who, figure, value."""
import argparse
import csv
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NGINX = """daemon off; worker_processes 2; pid {top}/nginx.pid; error_log {top}/nginx.log; events {{ worker_connections 20000; }} worker_rlimit_nofile 65536;
http {{ access_log off; client_body_temp_path {top}; proxy_temp_path {top}; fastcgi_temp_path {top}; uwsgi_temp_path {top}; scgi_temp_path {top};
 upstream fake {{ server {upstream}; keepalive 1024; }}
 server {{ listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000; location / {{ proxy_pass http://fake; proxy_http_version 1.1; proxy_set_header Connection "";
 proxy_set_header Host {upstream}; proxy_buffering off; }} }} }}
"""
BODY = json.dumps({"model": "fake-20ms", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16})


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Target:
    """One server that is asked; start() ends when it has answered a first request, and remembers how long that took."""

    def __init__(self, name, top, build):
        self.name, self.top, self.build = name, os.path.join(top, name), build
        self.headers, self.keys, self.port = [], None, free_port()
        os.makedirs(self.top, exist_ok=True)

    def command(self):
        raise NotImplementedError

    def start(self):
        began = time.monotonic()
        self.proc = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=open(f"{self.top}/err", "wb"), start_new_session=True)
        while True:
            try:
                if self.once() == 200:
                    break
            except OSError:
                pass
            if self.proc.poll() is not None or time.monotonic() > began + 60:
                raise SystemExit(f"{self.name} does not answer: see {self.top}/err")
            time.sleep(0.002)
        self.start_ms = (time.monotonic() - began) * 1000

    def once(self):
        headers = {"Content-Type": "application/json"}
        for h in self.headers:
            k, v = h.split(": ", 1)
            headers[k] = v
        if self.keys:
            with open(self.keys) as f:
                headers["Authorization"] = "Bearer " + f.readline().strip()
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            c.request("POST", "/v1/chat/completions", BODY, headers)
            return c.getresponse().status
        except http.client.HTTPException as e:
            raise OSError from e
        finally:
            c.close()

    def stop(self):
        os.killpg(self.proc.pid, signal.SIGTERM)
        try:
            self.proc.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()

    def processes(self):
        all_pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        return [p for p in all_pids if os.path.exists(f"/proc/{p}") and group_of(p) == self.proc.pid]

    def rss(self):
        return sum(status(p, "VmRSS") for p in self.processes())

    def cpu_s(self):
        return sum(cpu(p) for p in self.processes())

    def load(self, *flags):
        args = [f"{self.build}/test/load_client", f"127.0.0.1:{self.port}"]
        args += ["--keys", self.keys] if self.keys else []
        for h in self.headers:
            args += ["--header", h]
        before = self.cpu_s()
        p = subprocess.run([*args, *flags], capture_output=True, text=True)
        if p.returncode:
            raise SystemExit(f"load_client on {self.name}: {p.stderr}")
        out = json.loads(p.stdout)
        out["server_cpu_s"] = self.cpu_s() - before
        return out


class Sluice(Target):
    def __init__(self, name, top, build, *flags):
        super().__init__(name, top, build)
        self.flags, self.keys = flags, f"{self.top}/data/keys"

    def command(self):
        return [f"{self.build}/test/load_server", f"{self.top}/data", "--port", str(self.port), *self.flags]


class Nginx(Target):
    def __init__(self, name, top, build, upstream):
        super().__init__(name, top, build)
        self.keys = upstream.keys
        with open(f"{self.top}/conf", "w") as f:
            f.write(NGINX.format(top=self.top, port=self.port, upstream=f"127.0.0.1:{upstream.port}"))

    def command(self):
        return ["nginx", "-p", self.top, "-c", f"{self.top}/conf"]


class Portkey(Target):
    def __init__(self, name, top, build, upstream, folder):
        super().__init__(name, top, build)
        self.keys, self.folder = upstream.keys, folder
        self.headers = ["x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream.port}/v1"]

    def command(self):
        with open(f"{self.folder}/node_modules/@portkey-ai/gateway/package.json") as f:
            main = json.load(f)["bin"]
        main = main if isinstance(main, str) else next(iter(main.values()))
        return ["node", f"{self.folder}/node_modules/@portkey-ai/gateway/{main}", f"--port={self.port}", "--headless"]


def group_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[2])
    except OSError:
        return -1


def cpu(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            x = f.read().rsplit(")", 1)[1].split()
        return (int(x[11]) + int(x[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0


def status(pid, name):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) for line in f if line.startswith(name)), 0)
    except OSError:
        return 0


def rate(targets, args, put):
    for _ in range(args.rounds):
        for t in targets:
            n = args.requests if isinstance(t, (Sluice, Nginx)) else max(args.requests // 30, 1000)
            r = t.load("--connections", str(args.connections), "--requests", str(n), "--warm", str(n // 10))
            put("rate", t.name, "requests_per_s", round(r["per_s"]))
            put("rate", t.name, "server_cpu_us_per_request", round(r["server_cpu_s"] * 1e6 / r["requests"], 1))
            put("rate", t.name, "client_cpu_us_per_request", round(r["cpu_s"] * 1e6 / r["requests"], 1))
            put("rate", t.name, "p99_ms", r["whole_us"]["p99"] / 1000)
            put("rate", t.name, "not_answered", r["requests"] - r["ok"])


def latency(targets, args, put):
    for _ in range(args.rounds):
        for t in targets:
            r = t.load("--connections", "16", "--rate", "100", "--seconds", str(args.seconds))
            for q in ("p50", "p99"):
                put("latency", t.name, f"{q}_us_at_100_per_s", r["whole_us"][q])
        for t in [t for t in targets if isinstance(t, Sluice)]:
            r = t.load("--connections", "64", "--rate", "100", "--seconds", str(args.seconds), "--model", "fake-stream", "--stream", "--max-tokens", "8")
            for q in ("p50", "p99"):
                put("latency", t.name, f"first_token_{q}_us_at_100_per_s", r["first_us"][q])


def heap(t):
    c = http.client.HTTPConnection("127.0.0.1", t.port, timeout=20)
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("sluice_heap_bytes ")))


def streams(targets, args, put):
    """All begin at once; a token every 100 ms each. A stall is what an event comes later than that."""
    for n in [int(x) for x in args.streams.split(",")]:
        for t in targets:
            before, heap_before = t.rss(), heap(t)
            watch = subprocess.Popen([sys.executable, "-c", WATCH, str(t.proc.pid)], stdout=subprocess.PIPE, text=True)
            r = t.load("--model", "fake-slow", "--stream", "--max-tokens", "30", "--connections", str(n), "--requests", str(n))
            watch.send_signal(signal.SIGTERM)
            peak = int(watch.stdout.read() or 0)
            time.sleep(1)
            put(f"streams_{n}", t.name, "whole", r["ok"])
            put(f"streams_{n}", t.name, "longest_stall_ms", round(r["gap_us"]["max"] / 1000 - 100, 1))
            put(f"streams_{n}", t.name, "kib_each", round((peak - before) / n, 1))
            put(f"streams_{n}", t.name, "heap_kib_more_afterwards", round((heap(t) - heap_before) / 1024))
            put(f"streams_{n}", t.name, "rss_kib_more_afterwards", t.rss() - before)


WATCH = """
import signal, sys, time
peak = 0
def end(*_):
    print(peak); sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    with open(f"/proc/{sys.argv[1]}/status") as f:
        peak = max(peak, next(int(l.split()[1]) for l in f if l.startswith("VmRSS")))
    time.sleep(0.05)
"""


def started(targets, args, put):
    for t in targets:
        put("start", t.name, "processes", len(t.processes()))
        put("start", t.name, "cold_start_ms", round(t.start_ms))
        put("start", t.name, "rss_mib", round(t.rss() / 1024, 1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--part", action="append", choices=("start", "rate", "latency", "streams"))
    p.add_argument("--portkey")
    p.add_argument("--requests", type=int, default=40000)
    p.add_argument("--connections", type=int, default=1024)
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--streams", default="512,5000")
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--only", help="names, separated by commas")
    p.add_argument("--csv")
    args = p.parse_args()
    rows = []

    def put(what, who, figure, value):
        rows.append((what, who, figure, value))
        print(f"{what:14} {who:12} {figure:28} {value}", flush=True)

    with tempfile.TemporaryDirectory() as top:
        upstream = Sluice("upstream", top, args.build, "--ungoverned")
        targets = [Sluice("governed", top, args.build), Sluice("ungoverned", top, args.build, "--ungoverned")]
        if shutil.which("nginx"):
            targets.append(Nginx("nginx", top, args.build, upstream))
        if args.portkey:
            targets.append(Portkey("portkey", top, args.build, upstream, args.portkey))
        if args.only:
            targets = [t for t in targets if t.name in args.only.split(",")]
        running = []
        try:
            for t in [upstream, *targets]:
                t.start()
                running.append(t)
            for part in args.part or ["start", "rate", "latency", "streams"]:
                of = [t for t in targets if isinstance(t, Sluice)] if part == "streams" else targets
                {"start": started, "rate": rate, "latency": latency, "streams": streams}[part](of, args, put)
        finally:
            for t in reversed(running):
                t.stop()
    if args.csv:
        new = not os.path.exists(args.csv)
        with open(args.csv, "a", newline="") as f:
            w = csv.writer(f)
            if new:
                w.writerow(("what", "who", "figure", "value"))
            w.writerows(rows)


if __name__ == "__main__":
    main()
