"""A sluice server as the soak sees it: its data folder, its process, its gauges."""
import collections
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import time


def free_port():
    """A port that is free, below those that the kernel gives to outgoing connections: while a killed server is down nobody takes its port."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        below = int(f.read().split()[0])
    while True:
        port = random.SystemRandom().randrange(max(1024, below // 2), below)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Serving:
    """One data folder and, while it runs, the process that serves it. Every start is a new life."""

    def __init__(self, binary, data, log_path, settings):
        self.binary, self.data, self.log_path, self.settings = binary, data, log_path, settings
        self.proc, self.port, self.life, self.born = None, free_port(), -1, 0.0

    def cli(self, *args, check=True):
        r = subprocess.run([self.binary, *args, "--data", self.data], capture_output=True, text=True)
        if check and r.returncode != 0:
            raise SystemExit(f"sluice {' '.join(args)} ended with {r.returncode}: {r.stdout}{r.stderr}")
        return r

    def start(self):
        # Chunks in malloc's caches of each thread count as in use, and they take minutes to fill: without them the heap in use is exact.
        env = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
        flags = [x for name, value in self.settings.items() for x in (f"--{name}", str(value))]
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen([self.binary, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *flags], stdout=log, stderr=log, env=env)
        self.life += 1
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if self.proc.poll() is not None:
                raise SystemExit(f"the server ended at start with {self.proc.returncode}; see {self.log_path}")
            try:
                if self.get("/health")[0] == 200:
                    self.born = time.monotonic()
                    return
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"the server did not come up in 120 s; see {self.log_path}")

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            c.request("GET", path, headers={"Connection": "close"})
            r = c.getresponse()
            return r.status, r.read().decode()
        finally:
            c.close()

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def kill_if_left(self):
        if self.proc and self.proc.poll() is None:
            self.kill()

    def stop(self):
        """SIGTERM; the exit status."""
        self.proc.send_signal(signal.SIGTERM)
        try:
            return self.proc.wait(90)
        except subprocess.TimeoutExpired:
            self.kill()
            return "SIGKILL after 90 s"

    def rss_kb(self):
        with open(f"/proc/{self.proc.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def descriptors(self):
        """What the process has open, by number of each: paths without what is numbered in them, kinds for the rest."""
        where, found = f"/proc/{self.proc.pid}/fd", collections.Counter()
        for fd in os.listdir(where):
            try:
                found[re.sub(r"[0-9a-f]{8,}|\[\d+\]", "*", os.readlink(f"{where}/{fd}").replace(self.data, "DATA"))] += 1
            except OSError:
                pass  # closed meanwhile
        return found

    def threads(self):
        return len(os.listdir(f"/proc/{self.proc.pid}/task"))

    def metrics(self):
        """Every number of /metrics by its name (with labels)."""
        return {m[1]: float(m[2]) for m in re.finditer(r"^(sluice_\S+) (\S+)$", self.get("/metrics")[1], re.M)}
