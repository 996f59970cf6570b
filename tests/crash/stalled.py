"""Readers that stall: their memory is bounded, their work is stopped and billed, and a good client does not notice.

usage: stalled.py SLUICE FAKE_SERVER [--readers N]

Each reader asks for an endless stream and never reads. The server gives up on one when nothing of its answer was taken for 30 s, or when 1 MiB waits for
it. The server is tests/api/fake_server.c: the real api, ledger and HTTP over a model that counts, so that no answer ends by itself."""
import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../soak"))
sys.dont_write_bytecode = True
from serving import Serving

OUT_MAX = 1 << 20  # the most that may wait for one client, src/net/server.h
FAILED = []


def check(name, ok, detail=""):
    if not ok:
        FAILED.append(name)
        print("FAIL", name, detail)


def stalled(server, key):
    body = json.dumps({"model": "count", "messages": [{"role": "user", "content": "go on"}], "stream": True, "max_tokens": 90000}).encode()
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(("127.0.0.1", server.port))
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (key.encode(), len(body)) + body)
    return s


def ask(server, key):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = json.dumps({"model": "count", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5})
    c.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    status = c.getresponse().status
    c.close()
    return status


class Fake(Serving):
    """Serving, with the fake server as its program."""

    def start(self):
        self.proc = subprocess.Popen([self.settings["fake"], self.data], stdout=subprocess.PIPE, stderr=open(self.log_path, "ab"), text=True)
        self.port = int(self.proc.stdout.readline().rsplit(":", 1)[1])


def run(args, top):
    data = os.path.join(top, "data")
    server = Fake(args.sluice, data, os.path.join(top, "server.log"), {"fake": args.fake_server})
    server.start()
    server.cli("price", "set", "count", "--input", "1", "--output", "1")
    server.cli("account", "create", "acme")
    server.cli("grant", "create", "acme", "100000")
    key = json.loads(server.cli("key", "create", "acme", "--json").stdout)["key"]
    check("a first answer", ask(server, key) == 200)
    before = server.rss_kb() << 10
    readers, most, good = [stalled(server, key) for _ in range(args.readers)], 0, []
    end = time.monotonic() + 150
    while time.monotonic() < end:
        m = server.metrics()
        most = max(most, server.rss_kb() << 10)
        if m["sluice_engine_running"] == 0 and len(good) > 3:
            break
        good.append(ask(server, key))
        time.sleep(0.5)
    check("every stalled reader's work is stopped, though none has left", m["sluice_engine_running"] == 0, m)
    check("what was delivered is billed", m["sluice_delivered_tokens_total"] == m['sluice_billed_tokens_total{meter="output"}'] > 0, m)
    check("their work was cut, not done", m['sluice_ends_total{reason="cancel"}'] == args.readers, m)
    check("good clients are served meanwhile", len(good) > 3 and set(good) == {200}, good)
    check("memory is bounded", most - before < args.readers * (OUT_MAX + (256 << 10)) + (16 << 20), f"{(most - before) >> 10} KiB for {args.readers} readers")
    print(f"{args.readers} stalled readers cost {(most - before) >> 10} KiB; {len(good)} good answers meanwhile; {m['sluice_delivered_tokens_total']:.0f} tokens delivered and billed")
    for s in readers:
        s.close()
    check("it ends well", server.stop() == 0)
    check("the audit is clean", server.cli("audit", check=False).returncode == 0)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sluice")
    p.add_argument("fake_server")
    p.add_argument("--readers", type=int, default=48)
    with tempfile.TemporaryDirectory() as top:
        run(p.parse_args(), top)
    print(f"{8 - len(FAILED)} passed, {len(FAILED)} failed, 0 skipped")
    sys.exit(bool(FAILED))
