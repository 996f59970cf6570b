"""Several nodes on one ledger: a thousand requests at once on credit for ten, a node that is killed, PostgreSQL that goes away under load.

usage: nodes.py SLUICE FAKE_SERVER

The nodes are tests/api/fake_server.c: the real api, ledger and HTTP over models that count ("slow": a token every 100 ms; "hold": never answers)."""
import http.client
import json
import os
import resource
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../soak"))
sys.dont_write_bytecode = True
from cluster import Cluster
from serving import Serving

CHECKS = {True: 0, False: 0}


def check(name, ok, detail=""):
    CHECKS[bool(ok)] += 1
    if not ok:
        print("FAIL", name, detail)


class Node(Serving):
    """The fake server as a node of a shared ledger; without a URL: alone, on SQLite."""

    def __init__(self, args, top, name, url=""):
        super().__init__(args[0], f"{top}/{name}", f"{top}/{name}.log", {})
        self.fake, self.name, self.env = args[1], name, {**os.environ, **({"SLUICE_LEDGER": url, "SLUICE_NODE": name} if url else {})}

    def launch(self):
        return subprocess.Popen([self.fake, self.data], stdout=subprocess.PIPE, stderr=open(self.log_path, "ab"), text=True, env=self.env)

    def start(self):
        self.proc = self.launch()
        line = self.proc.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} did not start: {open(self.log_path).read()[-2000:]}")
        self.port = int(line.rsplit(":", 1)[1])


def request(key, model, tokens, stream=False):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens, "stream": stream}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (key.encode(), len(body)) + body


def ask(node, key, model="count", tokens=5):
    """The status; 0: no answer."""
    c = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    try:
        c.request("POST", "/v1/chat/completions", json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens}), {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        return c.getresponse().status
    except OSError:
        return 0
    finally:
        c.close()


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


def account(node, name, credit):
    node.cli("account", "create", name)
    node.cli("grant", "create", name, credit)
    return json.loads(node.cli("key", "create", name, "--json").stdout)["key"]


def thousand(nodes, key, what):
    """All arrive before any can end: the model never answers. What is refused is answered at once."""
    sel, text = selectors.DefaultSelector(), request(key, "hold", 100)
    socks = []
    for i in range(1000):
        s = socket.create_connection(("127.0.0.1", nodes[i % len(nodes)].port))
        sel.register(s, selectors.EVENT_READ)
        socks.append(s)
    for s in socks:
        s.sendall(text)
    refused, other, end = set(), [], time.monotonic() + 120
    while len(refused) + len(other) < 990 and time.monotonic() < end:
        for k, _ in sel.select(1):
            head = k.fileobj.recv(65536)
            (refused.add(k.fileobj) if b" 429 " in head[:20] and b"credit_balance_exhausted" in head else other.append(head[:200]))
            sel.unregister(k.fileobj)
    running = sum(n.metrics()["sluice_engine_running"] for n in nodes) if not until(lambda: sum(n.metrics()["sluice_engine_running"] for n in nodes) == 10, 10) else 10
    late = sel.select(0.2)
    check(f"{what}: exactly ten of a thousand are admitted", len(refused) == 990 and not other and running == 10 and not late, (len(refused), other[:3], running, len(late)))
    for s in socks:
        s.close()
    check(f"{what}: the ten end", until(lambda: sum(n.metrics()["sluice_engine_running"] for n in nodes) == 0))


def price(node):
    for model in ("hold", "count", "slow"):
        node.cli("price", "set", model, "--input", "0", "--output", "1000000")


def on_sqlite(args, top):
    node = Node(args, top, "alone")
    node.start()
    price(node)
    thousand([node], account(node, "acme", "1000"), "SQLite")
    check("SQLite: it ends well", node.stop() == 0)
    check("SQLite: the audit is clean", node.cli("audit", check=False).returncode == 0)


def identity(args, top, one):
    """A second node with the name of a living one, and one with another secret."""
    for name, secret, word in (("one", True, "--node"), ("other", False, "secret")):
        twin = Node(args, top, "twin-" + name, one.env["SLUICE_LEDGER"])
        twin.env["SLUICE_NODE"] = name
        os.mkdir(twin.data)
        if secret:
            shutil.copy(one.data + "/secret", twin.data)
        p = twin.launch()
        check(f"a twin is refused: {word}", p.wait(60) == 1 and word in open(twin.log_path).read(), open(twin.log_path).read())


def killed(nodes, key):
    """kill -9 of a node with open streams: the other goes on, and its own start bills what its journal has."""
    socks = [socket.create_connection(("127.0.0.1", nodes[0].port)) for _ in range(20)]
    for s in socks:
        s.sendall(request(key, "slow", 1000, stream=True))
    got = [b""] * len(socks)
    for i, s in enumerate(socks):  # each has seen some tokens
        while got[i].count(b'"content"') < 4:  # the first has the role alone
            got[i] += s.recv(65536)
    nodes[0].kill()
    check("the other node goes on", ask(nodes[1], key) == 200)
    nodes[0].start()
    check("the killed one is back", ask(nodes[0], key) == 200)


def under_load(nodes, cluster, key):
    """PostgreSQL stops at once and comes back, three times, under requests to both nodes."""
    stop, seen = threading.Event(), {}
    lock = threading.Lock()

    def client(node):
        while not stop.is_set():
            status = ask(node, key)
            with lock:
                seen[status] = seen.get(status, 0) + 1

    threads = [threading.Thread(target=client, args=(n,)) for n in nodes for _ in range(4)]
    for t in threads:
        t.start()
    s = socket.create_connection(("127.0.0.1", nodes[0].port))
    s.sendall(request(key, "slow", 60, stream=True))
    got = s.recv(65536)
    for _ in range(3):
        with lock:
            before = seen.get(200, 0)
        check("requests are served", until(lambda: seen.get(200, 0) > before + 20))
        cluster.stop("immediate")
        check("without its store a node refuses", until(lambda: any(x >= 500 for x in seen)))
        cluster.start()
    before = seen.get(200, 0)
    check("service resumes by itself", until(lambda: seen.get(200, 0) > before + 20), seen)
    stop.set()
    for t in threads:
        t.join()
    while b"[DONE]" not in got:
        more = s.recv(65536)
        if not more:
            break
        got += more
    check("a stream that ran through it all ends as it should", b"[DONE]" in got and got.count(b'"content"') >= 60, got[-500:])
    check("only what may be", set(seen) <= {200, 500, 503}, seen)
    print("answers while PostgreSQL came and went:", dict(sorted(seen.items())))


def over_postgres(args, top):
    cluster = Cluster()
    nodes = []
    try:
        cluster.start()
        one, two = nodes = [Node(args, top, name, cluster.url) for name in ("one", "two")]
        one.start()
        os.mkdir(two.data)
        shutil.copy(one.data + "/secret", two.data)
        two.start()
        price(one)
        key = account(two, "acme", "1000")
        check("a key of the other node is known", until(lambda: ask(one, key) == 200))
        ten = account(one, "ten", "1000")
        check("and the other way", until(lambda: ask(two, ten, tokens=0) != 401))
        thousand(nodes, ten, "two nodes over PostgreSQL")
        identity(args, top, one)
        rich = account(one, "rich", "100000000")
        check("a third key", until(lambda: ask(two, rich) == 200))
        killed(nodes, rich)
        rows = cluster.sql("SELECT count(*) FROM usage WHERE reason = 5 AND output >= 3")
        check("what the killed node delivered is billed", rows == "20", rows)
        under_load(nodes, cluster, rich)
        for n in nodes:
            r = n.cli("audit", check=False)
            check(f"the audit of node {n.name} is clean", r.returncode == 0, r.stdout + r.stderr)
        for n in nodes:
            check(f"{n.name} ends well", n.stop() == 0)
        check("the trial balance is zero", cluster.sql("SELECT sum(amount) FROM entry") == "0")
        check("nothing is held", cluster.sql("SELECT sum(held) FROM credit_grant") == "0")
        check("each request has one row", cluster.sql("SELECT count(*) - count(DISTINCT request) FROM usage") == "0")
        check("rows are what revenue is", cluster.sql("SELECT sum(charged) FROM usage") == cluster.sql("SELECT -sum(balance) FROM account WHERE code LIKE 'revenue:%'"))
    finally:
        for n in nodes:
            n.kill_if_left()
        cluster.drop()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as folder:
        on_sqlite(sys.argv[1:], folder)
        over_postgres(sys.argv[1:], folder)
    print(f"{CHECKS[True]} passed, {CHECKS[False]} failed, 0 skipped")
    sys.exit(bool(CHECKS[False]))
