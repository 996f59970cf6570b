"""The raw requests through nginx and haproxy: what a proxy lets through must not leave anything in the connection to the server that it uses again.

usage: proxy.py ECHO_SERVER ; `make proxy`. Both proxies keep one connection to the server and use it for everybody. After each raw request a clean one with a
word of its own is sent through the same proxy: its answer must be that word and nothing else, or the two have cut the bytes differently."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from raw_requests import CASES

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../soak"))
from serving import free_port

NGINX = """daemon off; master_process off; pid {top}/nginx.pid; error_log {top}/nginx.log; events {{}}
http {{ access_log off; client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f; uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
  underscores_in_headers on; ignore_invalid_headers off; client_max_body_size 0; large_client_header_buffers 8 512k;
  upstream up {{ server 127.0.0.1:{port}; keepalive 1; }}
  server {{ listen 127.0.0.1:{mine}; location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; proxy_buffering off; }} }} }}
"""
HAPROXY = """global
  tune.bufsize 262144
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  option http-keep-alive
  http-reuse always
  option accept-invalid-http-request
frontend f
  bind 127.0.0.1:{mine}
  default_backend b
backend b
  server s 127.0.0.1:{port} maxconn 1 pool-max-conn 1
"""


def read(s, quiet):
    out = b""
    s.settimeout(quiet)
    try:
        while data := s.recv(65536):
            out += data
    except OSError:
        pass
    return out


def send(port, data, quiet):
    s = socket.create_connection(("127.0.0.1", port))
    try:
        s.sendall(data)
    except OSError:
        pass
    out = read(s, quiet)
    s.close()
    return out


def probe(port, word):
    """A clean request; its status and body, tried again while the proxy has no free connection."""
    for _ in range(20):
        out = send(port, b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(word), word), 3)
        status = int(out[9:12] or b"0")
        if status not in (502, 503, 504):
            break
        time.sleep(0.2)
    return status, out.split(b"\r\n\r\n", 1)[-1]


def through(name, port, wanted_forwarded):
    failed, forwarded = 0, 0
    for i, (case, data, _, _) in enumerate(CASES):
        out = send(port, data, 0.15)
        forwarded += b"x-request-id: req_" in out
        word = b"word-%d-%s" % (i, name.encode())
        status, body = probe(port, word)
        if status != 200 or body != word:
            failed += 1
            print(f"FAIL behind {name}: after {case!r} a clean request got {status} {body[:120]!r}")
    if forwarded < wanted_forwarded:
        failed += 1
        print(f"FAIL {name} let {forwarded} requests through: the test tests nothing")
    print(f"{name}: {len(CASES)} raw requests, {forwarded} of them reached the server, {failed} faults")
    return failed


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as top:
        server = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        for name, text, command in (("nginx", NGINX, ["nginx", "-p", top, "-c"]), ("haproxy", HAPROXY, ["haproxy", "-db", "-f"])):
            mine, conf = free_port(), os.path.join(top, name)
            with open(conf, "w") as f:
                f.write(text.format(top=top, port=port, mine=mine))
            proxy = subprocess.Popen([*command, conf], stderr=open(os.path.join(top, "err"), "w"))
            end = time.monotonic() + 10
            while time.monotonic() < end and proxy.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", mine)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            if proxy.poll() is not None:
                print(f"FAIL {name} did not start: {open(os.path.join(top, 'err')).read()}")
                failed += 1
                continue
            failed += through(name, mine, 20)
            proxy.terminate()
            proxy.wait()
        server.terminate()
        server.wait()
    print(f"{2 * len(CASES) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(failed != 0)


main()
