"""The HTTP server from outside: run.py ECHO_SERVER. Starts it, sends raw requests, leaves early, sends and reads too slowly, drains it.

Prints one line a failure and, last, "N passed, N failed, N skipped".
"""
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
from raw_requests import CASES, HELLO, POST, TE

PATIENCE_S = 60  # nothing that works takes so long, however slow the machine is
LIMITS = ["head_ms=60000", "body_floor_bps=1", "per_address_max=600"]
HASTY = ["head_ms=2000", "idle_ms=2500", "write_stall_ms=2000", "body_floor_bps=1024"]  # what is cut by time is judged with these
PASSED, FAILED = [], []


def check(name, ok, detail=""):
    (PASSED if ok else FAILED).append(name)
    if not ok:
        print("FAIL", name, detail)


class Server:
    """An echo_server process; out holds the lines that it printed."""

    def __init__(self, *args, files=None, limits=()):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=1")  # the tests look at the memory
        limits = [a for limit in (*LIMITS, *limits) for a in ("--limit", limit)]
        few = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        self.process = subprocess.Popen([sys.argv[1], *limits, *args], stdout=self.log, stderr=sys.stderr, preexec_fn=few)
        self.port = int(self.wait_line("LISTEN", 0).rsplit(":", 1)[1])

    def lines(self, word):
        with open(self.log.name) as f:
            return [x for x in f.read().splitlines() if x.startswith(word)]

    def wait_line(self, word, after):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            lines = self.lines(word)
            if len(lines) > after:
                return lines[after]
            time.sleep(0.005)
        raise TimeoutError(f"no line {word}")

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def ends(self):
        self.process.terminate()
        return self.process.wait(PATIENCE_S) == 0


def kept_waiting_ms(*processes):
    """For how long these processes' first threads were ready to run and had no CPU."""
    try:
        return sum(int(open(f"/proc/{p}/schedstat").read().split()[1]) for p in processes) / 1e6
    except (OSError, IndexError):
        return 0  # this kernel does not count it


def within_10_ms(once):
    """The shortest of some tries; once() gives one's milliseconds. On a busy machine each may be late."""
    took = 1e9
    for _ in range(10):
        took = min(took, once())
        if took <= 10:
            break
    return took


def read(s, quiet=PATIENCE_S, answers=1, tail=b""):
    """What comes until the end, or until for `quiet` seconds nothing more comes after that many answers and this tail; and whether the end came."""
    out, end = b"", time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        complete = len(statuses(out)) >= answers and out.endswith(tail)
        s.settimeout(quiet if complete else max(0.01, end - time.monotonic()))
        try:
            data = s.recv(65536)
        except TimeoutError:
            return out, False
        except OSError:
            return out, "reset"
        if not data:
            return out, True
        out += data
    return out, False


def statuses(out):
    return [int(x) for x in re.findall(rb"HTTP/1\.1 (\d\d\d) ", out)]


def raw(server, case, pieces):
    name, data, want, closed = case
    s = server.connect()
    try:
        for i in range(0, len(data), pieces):
            s.sendall(data[i : i + pieces])
            if pieces < len(data):
                time.sleep(0.001)
    except OSError:
        pass  # it was refused before the end
    out, end = read(s, PATIENCE_S if closed else 0.4, len(want))
    s.close()
    out = out.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")  # comes when the body is late
    got = statuses(out)
    ok = got == want and (end is True if closed else end is False)
    ok = ok and (want[-1] < 400 or (b'"error"' in out and b"application/json" in out)) and out.count(b"x-request-id: req_") == out.count(b"X-Last: said") == len(got)
    ok = ok and (not closed or want[-1] >= 400 or b"Connection: close\r\n" in out)
    check(f"raw: {name}", ok, f"wanted {want} closed={closed}, got {got} closed={end} {out[:300]!r}")


def test_raw(server):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda case: raw(server, case, 1 << 20), CASES))
        list(pool.map(lambda case: raw(server, case, 1), [c for c in CASES if len(c[1]) < 400]))


def test_content(server):
    def ask(data, quiet=0.2, answers=1, tail=b""):
        s = server.connect()
        s.sendall(data)
        out, _ = read(s, quiet, answers, tail)
        s.close()
        return out

    out = ask(POST + TE + b"\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n", tail=b"abcde")
    check("chunks are joined", out.endswith(b"\r\n\r\nabcde"), out)
    check("%2F is decoded", ask(b"GET /models/org%2Fna%20me HTTP/1.1\r\nHost: a\r\n\r\n", tail=b"me").endswith(b"\r\n\r\norg/na me"))
    check("the rest of a path", ask(b"GET /models/org/name HTTP/1.1\r\nHost: a\r\n\r\n", tail=b"name").endswith(b"\r\n\r\norg/name"))
    out = ask(b"HEAD /models/org/name HTTP/1.1\r\nHost: a\r\n\r\n")
    check("HEAD: length but no body", statuses(out) == [200] and b"Content-Length: 8\r\n" in out and out.endswith(b"\r\n\r\n"), out)
    out = ask(b"HEAD /sse10 HTTP/1.1\r\nHost: a\r\n\r\n" + POST + HELLO, answers=2, tail=b"hello")
    check("HEAD of a stream: no body", statuses(out) == [200, 200] and b"data:" not in out, out)
    out = ask(b"DELETE /models/x HTTP/1.1\r\nHost: a\r\n\r\n")
    check("405 has Allow", b"Allow: GET, HEAD\r\n" in out, out)
    out = ask(b"GET /sse10 HTTP/1.1\r\nHost: a\r\n\r\n", tail=b"0\r\n\r\n")
    check("a stream is chunked", b"Transfer-Encoding: chunked\r\n" in out and out.endswith(b"0\r\n\r\n") and out.count(b"data:") == 10, out)
    out = ask(b"GET /sse10 HTTP/1.0\r\n\r\n", PATIENCE_S)
    check("a stream on HTTP/1.0 ends with the connection", b"chunked" not in out and out.endswith(b"}\n\n") and b"Connection: close" in out, out)
    out = ask(b"GET /sse10 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", PATIENCE_S)
    check("also when it asks for keep-alive", out.endswith(b"}\n\n") and b"Connection: close" in out, out)
    s = server.connect()
    s.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    out = s.recv(4096)
    check("100 comes before the body", out == b"HTTP/1.1 100 Continue\r\n\r\n", out)
    s.sendall(b"hello")
    check("then the answer", statuses(read(s, 0.1)[0]) == [200])
    s.close()
    s = server.connect()
    s.sendall(POST + HELLO)
    s.shutdown(socket.SHUT_WR)
    out, end = read(s)
    check("an answer made at once reaches a client that half-closed", statuses(out) == [200] and end is True, out)
    s.close()
    s = server.connect()
    s.sendall(POST + b"Content-Length: 8000000\r\n\r\n" + b"z" * 8000000)
    s.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    out, end = read(s)
    check("also a large one", len(out) > 8000000 and end is True, f"{len(out)} bytes")
    s.close()


def test_gone(server):
    hold = b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"

    def reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def once(request, leave, wait):
        before = len(server.lines("GONE"))
        s = server.connect()
        s.sendall(request)
        time.sleep(wait)
        waited, left = kept_waiting_ms("self", server.process.pid), time.monotonic() * 1000
        leave(s)
        gone = float(server.wait_line("GONE", before).split()[2])
        s.close()
        return gone - left - (kept_waiting_ms("self", server.process.pid) - waited)

    def case(name, request, leave, wait=0.1):
        took = within_10_ms(lambda: once(request, leave, wait))
        check(f"gone: {name}", took <= 10, f"{took:.1f} ms")

    case("close()", hold, lambda s: s.close())
    case("reset", hold, reset)
    case("half-close", hold, lambda s: s.shutdown(socket.SHUT_WR))
    case("close() after a pipelined request", hold + POST + HELLO, lambda s: s.close())
    case("300 KB pipelined behind it, and stays", hold + POST + b"Content-Length: 300000\r\n\r\n" + b"x" * 300000, lambda s: None, 0.3)
    case("close() after a body", b"POST /hold HTTP/1.1\r\nHost: a\r\n" + HELLO, lambda s: s.close())
    case("close() of a quiet stream", b"GET /idle HTTP/1.1\r\nHost: a\r\n\r\n", lambda s: (s.recv(4096), s.close()))
    case("close() of a busy stream", b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n", lambda s: (s.recv(4096), s.close()))


def test_slow_sender(server):
    def slow(kind):
        head = POST + b"X: " + b"a" * 500
        body = POST + b"Content-Length: 9000\r\n\r\n"
        s = server.connect()
        start = time.monotonic()
        if kind in ("body", "used"):
            s.sendall(body if kind == "body" else POST + HELLO)
        out, i = b"", 0
        s.settimeout(0.05)
        while time.monotonic() - start < PATIENCE_S:
            try:
                if kind in ("head", "body"):
                    s.send(head[i : i + 1] if kind == "head" else b"x")
                    i += 1
                data = s.recv(4096)
                if not data:
                    break
                out += data
            except TimeoutError:
                pass
            except OSError:
                break
        s.close()
        return kind, time.monotonic() - start, statuses(out), b'"error"' in out

    want = {"head": (1.9, [408]), "body": (4.9, [408]), "idle": (2.4, []), "used": (2.4, [200])}
    with ThreadPoolExecutor(4) as pool:
        for kind, took, got, json in pool.map(slow, want):
            low, status = want[kind]
            check(f"slow sender: {kind}", low < took < low + 20 and got == status and json == (status == [408]), f"{took:.1f} s {got}")


def test_slow_reader(server):
    def stalled(path):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", server.port))
        before = len(server.lines("GONE"))
        s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        start = time.monotonic()
        server.wait_line("GONE", before)
        took = time.monotonic() - start
        s.close()
        return took

    before = server.rss_kb()
    took = stalled(b"/flood")
    check("stalled reader is dropped by time", 1.9 < took < 25, f"{took:.1f} s")
    took = stalled(b"/sse")  # little at a time: the kernel's buffer takes it all, and only its queue says that nobody reads
    check("stalled reader of a thin stream is dropped by time", 1.9 < took < 30, f"{took:.1f} s")
    took = min(stalled(b"/overflow") for _ in range(3))
    check("stalled reader is dropped by bytes", took < 1.8, f"{took:.1f} s")
    grown = server.rss_kb() - before
    check("a stalled reader costs little memory", grown < 8192, f"{grown} KB")
    def steady():
        """Whether it was kept, and its longest pause."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", server.port))
        gone = len(server.lines("GONE"))
        s.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        last, pause = time.monotonic(), 0
        end = last + 5
        while last < end and len(server.lines("GONE")) == gone:
            s.recv(2048)
            time.sleep(0.02)
            now = time.monotonic()
            pause, last = max(pause, now - last), now
        kept = len(server.lines("GONE")) == gone
        s.close()
        return kept, pause

    # A reader that is slow but steady is kept, though its socket is never writable in that time. One that the machine kept from reading was not steady.
    for _ in range(10):
        kept, pause = steady()
        if kept or pause < 0.5:
            break
    check("a slow but steady reader is kept", kept, f"its longest pause was {pause:.2f} s")


def test_late_reader(server):
    # Requests whose answers nobody reads: the server stops reading, holds little, and goes on when they are read.
    s = server.connect()
    s.setblocking(False)
    before = server.rss_kb()
    data, sent, end = (POST + b"Content-Length: 60000\r\n\r\n" + b"y" * 60000) * 400, 0, time.monotonic() + 1.0
    out, grown = bytearray(), 0
    while time.monotonic() < end:
        try:
            sent += s.send(data[sent : sent + 65536])
        except BlockingIOError:
            time.sleep(0.02)
        grown = max(grown, server.rss_kb() - before)
    check("pipelining without reading is bounded", grown < 4096 and sent < len(data), f"{grown} KB, {sent} bytes of {len(data)}")
    end = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < end and out.count(b"200 OK") < 400:
        readable, writable, _ = select.select([s], [s] if sent < len(data) else [], [], 1)
        if readable:
            out += s.recv(1 << 20)
        if writable:
            sent += s.send(data[sent : sent + 65536])
    check("and goes on when the answers are read", out.count(b"200 OK") == 400, f"{out.count(b'200 OK')} answers")
    s.close()


def test_big(server):
    def once(head, chunks):
        s = server.connect()
        s.settimeout(PATIENCE_S)
        s.sendall(head)
        try:
            for chunk in chunks:
                if select.select([s], [], [], 0)[0]:
                    break
                s.sendall(chunk)
        except OSError:
            pass
        out, end = read(s, 1.0)
        s.close()
        return out, end

    def upload(name, head, chunks, want):
        for _ in range(5):  # who sends on for a second after the refusal, because the machine let him not read it, is reset
            out, end = once(head, chunks)
            if end != "reset":
                break
        check(f"big: {name}", statuses(out) == [want] and (want == 200 or (end is True and b'"error"' in out)), f"{statuses(out)} {end}")

    block = b"x" * 65536
    upload("8 MiB", POST + b"Content-Length: 8388608\r\n\r\n", [block] * 128, 200)
    upload("8 MiB and a byte", POST + b"Content-Length: 8388609\r\n\r\n", [block] * 128 + [b"x"], 413)
    upload("64 MiB", POST + b"Content-Length: 67108864\r\n\r\n", [block] * 1024, 413)
    upload("64 MiB in chunks", POST + TE + b"\r\n", [b"10000\r\n" + block + b"\r\n"] * 1024 + [b"0\r\n\r\n"], 413)
    upload("64 MiB, Expect", POST + b"Expect: 100-continue\r\nContent-Length: 67108864\r\n\r\n", [], 413)


def test_caps(server):
    open_now, told = [], None
    for _ in range(610):
        s = server.connect()
        open_now.append(s)
    for s in select.select(open_now, [], [], PATIENCE_S)[0][:1]:
        told = read(s)[0]
    check("an address has at most per_address_max connections", told is not None and statuses(told) == [503] and b'"error"' in told, told)
    s = open_now[0]
    s.sendall(POST + HELLO)
    check("the others go on", statuses(read(s, 0.1)[0]) == [200])
    for s in open_now:
        s.close()
    got, end = [], time.monotonic() + PATIENCE_S
    while got != [200] and time.monotonic() < end:
        s = server.connect()
        s.sendall(POST + HELLO)
        got = statuses(read(s, 0.2)[0])
        s.close()
    check("and room comes back", got == [200], got)


def test_descriptors():
    """No descriptor left: accept rests instead of spinning, and goes on when some come back."""
    server = Server(files=40)

    def cpu_seconds():
        with open(f"/proc/{server.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    many = [server.connect() for _ in range(80)]
    before = cpu_seconds()
    time.sleep(1)
    check("descriptors: does not spin", cpu_seconds() - before < 0.2)
    for s in many:
        s.close()
    s = server.connect()
    s.sendall(POST + HELLO)
    check("descriptors: goes on", statuses(read(s, 0.1)[0]) == [200])
    s.close()
    check("descriptors: ends clean", server.ends())


def refuses(server):
    """Whether it comes to refuse connections."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            server.connect().close()
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_drain(path):
    server = Server("--unix", path)
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(POST + HELLO)
    check("Unix socket", statuses(read(s, 0.1)[0]) == [200])
    check("Unix socket's mode", os.stat(path).st_mode & 0o777 == 0o600)
    s.close()
    idle, pending, stream = server.connect(), server.connect(), server.connect()
    pending.sendall(b"GET /slow30 HTTP/1.1\r\nHost: a\r\n\r\n")
    stream.sendall(b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(2):  # when the second is answered, the server has read what was sent before the first
        idle.sendall(POST + HELLO)
        read(idle, 0.1)
    server.process.send_signal(signal.SIGTERM)
    check("drain: new connections are refused", refuses(server))
    check("drain: idle connections are closed", read(idle) == (b"", True))
    out, end = read(pending)
    check("drain: a pending answer comes, with Connection: close", statuses(out) == [200] and end is True and b"Connection: close\r\n" in out, out)
    stream.settimeout(PATIENCE_S)
    while len(stream.recv(65536)) == 65536:
        pass  # what came before
    check("drain: streams run on", b"data:" in stream.recv(65536) and server.process.poll() is None)
    stream.close()
    try:
        code = server.process.wait(PATIENCE_S)  # and not at the end of the drain's time, which is twice as long
    except subprocess.TimeoutExpired:
        code = None
        server.process.kill()
    check("drain: ends when the last has gone", code == 0, str(code))
    check("drain: the socket file is gone", not os.path.exists(path))


def test_tls(folder):
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    import ssl

    server = Server("--tls", cert, key)
    context = ssl.create_default_context(cafile=cert)

    def connect():
        return context.wrap_socket(server.connect(), server_hostname="localhost", suppress_ragged_eofs=False)

    s = connect()
    for i in range(2):
        s.sendall(POST + b"Content-Length: 100000\r\n\r\n" + b"z" * 100000)
        out, _ = read(s, 0.1, tail=b"z" * 100000)
        check(f"TLS: a body of 100 KB there and back ({i})", statuses(out) == [200] and out.endswith(b"z" * 100000), out[:100])
    s.sendall(b"GET /x\r\n")
    out, end = read(s)
    check("TLS: a refusal and an orderly end", statuses(out) == [400] and end is True, out)
    s.close()

    def gone(leave):
        s, before = connect(), len(server.lines("GONE"))
        s.sendall(b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
        check("TLS: a stream", b"200 OK" in s.recv(4096))
        waited, left = kept_waiting_ms("self", server.process.pid), time.monotonic() * 1000
        s.settimeout(1)
        try:
            leave(s)
        except (OSError, ValueError):
            pass
        return float(server.wait_line("GONE", before).split()[2]) - left - (kept_waiting_ms("self", server.process.pid) - waited)

    for name, leave in (("close_notify", lambda s: s.unwrap()), ("close()", lambda s: s.close())):
        took = within_10_ms(lambda: gone(leave))  # noqa: B023
        check(f"TLS: gone by {name}", took <= 10, f"{took:.1f} ms")
    hasty = Server("--tls", cert, key, limits=HASTY)
    s = hasty.connect()
    start = time.monotonic()
    s.sendall(b"\x16\x03\x01")
    out, end = read(s)
    check("TLS: a handshake that never ends is cut", end is True and time.monotonic() - start < 22, f"{end} {time.monotonic() - start:.1f} s")
    s.close()
    s = server.connect()
    s.sendall(POST + HELLO)
    check("TLS: plain HTTP gets no answer", statuses(read(s)[0]) == [])
    s.close()
    check("TLS: ends clean", server.ends() and hasty.ends())


def run(test, *args):
    try:
        test(*args)
    except TimeoutError as e:
        check(f"{test.__name__} ends", False, e)


def main():
    server = Server()
    for test in (test_raw, test_content, test_gone, test_late_reader, test_big, test_caps):
        run(test, server)
    s = server.connect()
    s.sendall(POST + HELLO)
    check("alive at the end", statuses(read(s, 0.1)[0]) == [200])
    s.close()
    check("ends clean", server.ends())
    hasty = Server(limits=HASTY)
    run(test_slow_sender, hasty)
    run(test_slow_reader, hasty)
    check("the hasty one ends clean", hasty.ends())
    run(test_descriptors)
    with tempfile.TemporaryDirectory() as folder:
        run(test_drain, f"{folder}/s")
        run(test_tls, folder)
    print(f"{len(PASSED)} passed, {len(FAILED)} failed, 0 skipped")
    sys.exit(1 if FAILED else 0)


main()
