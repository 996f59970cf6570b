"""A hub on loopback that speaks Hugging Face's and ModelScope's download protocols, with every fault that a test asks for.

A repository is a dict {path: bytes or open file}; what goes wrong is in `Hub.faults`, a list of functions fault(request) that may answer in the
hub's stead (return True) or change how it answers (request.plan). Each request that came is in `Hub.log`: (method, path, range, headers)."""
import hashlib
import http.server
import json
import os
import re
import socket
import threading
import time
import urllib.parse


class Content:
    """Bytes of a repository's file: in memory, or a file on disk (sent with sendfile)."""

    def __init__(self, data=None, path=None, lfs=True, sha256=None):
        self.data, self.path, self.lfs = data, path, lfs
        self.size = len(data) if data is not None else os.path.getsize(path)
        self.sha256 = sha256 or hashlib.sha256(data if data is not None else open(path, "rb").read()).hexdigest()
        self.blob = hashlib.sha1(b"blob %d\0" % self.size + data).hexdigest() if data is not None else "0" * 40


class Plan:
    """How one answer for bytes is sent; faults change it."""

    def __init__(self):
        self.cut_after = None       # bytes of the body, then the connection is closed
        self.pause_every = None     # (bytes, seconds)
        self.ignore_range = False
        self.headers = {}           # more, or instead; None takes one away
        self.swap = None            # function(bytes, offset) -> bytes
        self.extra = b""            # after the end
        self.total = None           # told in Content-Range and Content-Length's stead


class Hub:
    def __init__(self, host="127.0.0.1", name="hub", tls=None):
        self.name, self.repos, self.faults, self.log = name, {}, [], []
        self.token, self.gated, self.page_size, self.licence = None, False, 1000, "apache-2.0"
        self.cdn = None             # another Hub that serves the bytes behind a 302
        self.sha = "c0ffee" + "0" * 34
        self.revisions = {"main", "master", self.sha}
        self.lock = threading.Lock()
        hub = self

        class Handler(Request):
            pass

        Handler.hub = hub
        self.server = Server((host, 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def bytes_asked(self):
        return sum(1 for m, p, _, _ in self.log if "/resolve/" in p or "/bytes/" in p or "FilePath=" in p)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that leave are the point


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub = self.hub
        self.plan = Plan()
        with hub.lock:
            hub.log.append((self.command, self.path, self.headers.get("Range"), dict(self.headers.items())))
        self.url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(self.url.query)
        for fault in list(hub.faults):
            if fault(self):
                return
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}" and "/bytes/" not in self.path:
            return self.error(401, "RepoNotFound" if "Authorization" not in self.headers else None)
        if hub.gated:
            return self.error(403, "GatedRepo")
        self.route()

    def route(self):
        p = urllib.parse.unquote(self.url.path)
        m = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", p)
        if m:
            return self.hf_info(*m.groups())
        m = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", p)
        if m:
            return self.hf_tree(*m.groups())
        m = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", p)
        if m:
            return self.hf_resolve(*m.groups())
        m = re.fullmatch(r"/bytes/([^/]+/[^/]+)/(.+)", p)
        if m:
            return self.bytes_of(*m.groups())
        m = re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo/files", p)
        if m:
            return self.ms_files(m[1])
        m = re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo", p)
        if m:
            return self.bytes_of(m[1], self.query.get("FilePath", [""])[0])
        self.error(404)

    def hf_info(self, repo, rev):
        if repo not in self.hub.repos:
            return self.error(404, "RepoNotFound")
        if rev not in self.hub.revisions:
            return self.error(404, "RevisionNotFound")
        siblings = [{"rfilename": p, **({"size": c.size, "blobId": c.blob, **({"lfs": {"sha256": c.sha256, "size": c.size}} if c.lfs else {})}
                                        if self.query.get("blobs") else {})} for p, c in self.hub.repos[repo].items()]
        self.json({"id": repo, "sha": self.hub.sha, "siblings": siblings, "private": False, "cardData": {"license": self.hub.licence}})

    def hf_tree(self, repo, sha):
        files = [self.hf_entry(path, c) for path, c in self.hub.repos.get(repo, {}).items()]
        at, size = int(self.query.get("cursor", ["0"])[0]), self.hub.page_size
        headers = {}
        if at + size < len(files):
            headers["Link"] = f'<{self.hub.url}{self.url.path}?recursive=True&expand=False&cursor={at + size}>; rel="next"'
        self.json([{"type": "directory", "path": "sub", "size": 0, "oid": "0" * 40}] + files[at : at + size], headers)

    @staticmethod
    def hf_entry(path, c):
        entry = {"type": "file", "path": path, "size": c.size, "oid": c.blob}
        if c.lfs:
            entry["lfs"] = {"oid": c.sha256, "size": c.size, "pointerSize": 134}
        return entry

    def hf_resolve(self, repo, sha, path):
        c = self.hub.repos.get(repo, {}).get(path)
        if not c:
            return self.error(404, "EntryNotFound")
        linked = {"X-Repo-Commit": self.hub.sha, "X-Linked-Etag": f'"{c.sha256 if c.lfs else c.blob}"', "X-Linked-Size": str(c.size)}
        if self.hub.cdn and c.lfs:
            return self.redirect(f"{self.hub.cdn.url}/bytes/{repo}/{urllib.parse.quote(path)}?signature=1", linked)
        self.plan.headers = {**linked, **self.plan.headers}
        self.bytes_of(repo, path)

    def ms_files(self, repo):
        if repo not in self.hub.repos:
            return self.json({"Code": 10010205001, "Success": False, "Message": "model not found", "Data": None}, status=404)
        files = [{"Name": p.split("/")[-1], "Path": p, "Type": "blob", "Size": c.size, "Sha256": c.sha256, "Revision": "master", "IsLFS": True}
                 for p, c in self.hub.repos[repo].items()]
        self.json({"Code": 200, "Success": True, "Message": "", "RequestId": "x", "Data": {"Files": files}})

    def bytes_of(self, repo, path):
        c, plan = self.hub.repos.get(repo, {}).get(path), self.plan
        if not c:
            return self.error(404, "EntryNotFound")
        at, end, status = 0, c.size, 200
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if m and not plan.ignore_range:
            at, end, status = int(m[1]), min(c.size, int(m[2]) + 1 if m[2] else c.size), 206
            if at >= c.size:
                return self.error(416)
        headers = {"Content-Length": str(end - at + len(plan.extra)), "ETag": f'"{c.sha256}"', "Accept-Ranges": "bytes"}
        if status == 206:
            headers["Content-Range"] = f"bytes {at}-{end - 1}/{plan.total or c.size}"
        headers.update(plan.headers)
        self.send_response(status)
        for k, v in headers.items():
            if v is not None:
                self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(c, at, end)

    def send_body(self, c, at, end):
        plan = self.plan
        stop = end if plan.cut_after is None else min(end, at + plan.cut_after)
        if c.path and not plan.pause_every and not plan.swap:
            with open(c.path, "rb") as f:
                while at < stop:
                    n = os.sendfile(self.connection.fileno(), f.fileno(), at, min(stop - at, 1 << 30))
                    if n == 0:
                        break
                    at += n
        else:
            step = plan.pause_every[0] if plan.pause_every else 1 << 16
            while at < stop:
                n = min(step, stop - at)
                if c.path:
                    with open(c.path, "rb") as f:
                        f.seek(at)
                        piece = f.read(n)
                else:
                    piece = c.data[at : at + n]
                self.connection.sendall(plan.swap(piece, at) if plan.swap else piece)
                at += n
                if plan.pause_every:
                    time.sleep(plan.pause_every[1])
        if stop < end:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif plan.extra:
            self.connection.sendall(plan.extra)

    def json(self, value, headers=None, status=200):
        self.plain(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def plain(self, status, body, headers=None):
        self.send_response(status)
        for k, v in {"Content-Length": str(len(body)), **(headers or {})}.items():
            if v is not None:
                self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code=None, headers=None):
        self.plain(status, b'{"error":"no"}', {**({"X-Error-Code": code, "X-Error-Message": "said by the hub"} if code else {}), **(headers or {})})

    def redirect(self, to, headers=None, status=302):
        self.plain(status, b"", {"Location": to, **(headers or {})})
