"""Whom a pull believes: codings, tokens, redirects, certificates, proxies, errors, lists."""
import os
import ssl
import subprocess
import tempfile
import time

from box import Box, GUIDE, REPO, same, sized, test
from fake_hub import Content, Hub


@test
def what_is_encoded_is_not_unpacked(s):
    b = Box(s)
    b.hub.faults[:] = [lambda r: setattr(r.plan, "headers", {"Content-Encoding": "gzip"})]
    b.refuses(5, 'encoded as "gzip"')
    b.hub.faults[:] = [lambda r: r.plain(200, b"\x1f\x8b" + b"0" * 100, {"Content-Encoding": "gzip"}) or True]
    b.refuses(5, 'encoded as "gzip"')


@test
def the_token_stays_with_its_host(s):
    b, cdn = Box(s, {"m.gguf": Content(sized(9 << 20))}), Hub()
    s.callback(cdn.close)
    b.hub.token, b.hub.cdn, cdn.repos = "hf_secret", cdn, b.hub.repos
    b.refuses(3, ["does not show model org/tiny-GGUF without a token", "HF_TOKEN"])
    b.refuses(3, "does not accept the token", env={"HF_TOKEN": "hf_wrong"})
    b.pull(env={"HF_TOKEN": "hf_secret"})
    assert len(cdn.log) >= 2 and len([1 for m, p, _, _ in b.hub.log if "/resolve/" in p]) == 1, "the way is found once"
    for _, path, _, headers in cdn.log:
        for name in ("Authorization", "Cookie"):
            assert name not in headers, f"{name} went to another host with {path}"
    b.run("rm", REPO, code=0)
    home = os.path.join(b.data, "hf")
    os.makedirs(home)
    with open(os.path.join(home, "token"), "w") as f:
        f.write("hf_secret\n")
    b.pull(env={"HF_HOME": home})
    b.run("rm", REPO, code=0)
    b.pull(REPO, "--token-file", os.path.join(home, "token"))
    b.refuses(4, "absent", REPO, "--token-file", os.path.join(home, "absent"), empty=False)
    b.refuses(2, "the token holds", env={"HF_TOKEN": "two words"}, empty=False)
    b.refuses(2, "HF_TOKEN is longer", env={"HF_TOKEN": "x" * 2000}, empty=False)
    for where in (b.data,):  # no secret on the disk
        p = subprocess.run(["grep", "-rl", "hf_secret", os.path.join(where, "d")], capture_output=True, text=True)
        same(p.stdout, "")


@test
def a_signed_place_that_runs_out_is_found_again(s):
    content = Content(sized(24 << 20))
    b, cdn = Box(s, {"m.gguf": content}), Hub()
    s.callback(cdn.close)
    b.hub.cdn, cdn.repos = cdn, b.hub.repos
    turn = [0]

    def expired(r):
        turn[0] += 1
        return r.error(403) or True if turn[0] in (3, 4, 5, 9) else None

    cdn.faults.append(expired)
    b.pull()
    b.blob_is(content)
    assert turn[0] > 4


@test
def redirects(s):
    b = Box(s)
    resolve = lambda to, status=302: [lambda r: r.redirect(to, status=status) or True if "/resolve/" in r.path else None]  # noqa: E731
    for words, to in [
        ("more than 5 times", "/org/tiny-GGUF/resolve/x/loop"),
        ("not asked", "file:///etc/passwd"),
        ("not asked", "ftp://example.com/x"),
        ("not asked", "gopher://127.0.0.1:1/x"),
        ("link-local address", "http://169.254.169.254/latest/meta-data/"),
        ("private address", "http://10.1.2.3/x"),
        ("private address", "http://192.168.0.1:8080/x"),
        ("private address", "http://172.16.5.4/x"),
        ("private address", "http://100.64.1.1/x"),
        ("special address", "http://0.0.0.0:1/x"),
        ("special address", "http://224.0.0.1/x"),
        ("link-local address", "http://[fe80::1]/x"),
        ("private address", "http://[fd00::1]/x"),
        ("private address", "http://[::ffff:10.0.0.1]/x"),
        ("link-local address", "http://[::ffff:169.254.169.254]/x"),
        ("link-local address", "http://[64:ff9b::a9fe:a9fe]/x"),
        ("link-local address", "http://[2002:a9fe:a9fe::1]/x"),
        ("private address", "http://0x0a.1/x"),
        ("private address", "http://167838211/x"),
        ("link-local address", "http://0251.0376.0251.0376/x"),
        ("not asked", "http://user:pass@127.0.0.1/x"),
        ("not asked", "http://a\\\\@b/x"),
        ("not asked", "http://a b/x"),
        ("not asked", "http://"),
        ("not asked", "http://x:99999/"),
        ("not asked", "http://" + "a" * 300 + "/"),
        ("more than 5 times", ""),
    ]:
        b.hub.faults[:] = resolve(to)
        b.refuses(5, words)
    b.hub.faults[:] = [lambda r: r.plain(302, b"") or True if "/resolve/" in r.path else None]
    b.refuses(5, "without saying where")
    for status in (301, 302, 303, 307, 308):
        b.hub.faults[:] = [lambda r: r.redirect(f"../../../../bytes/{REPO}/tiny-Q8_0.gguf?x=%2F", status=status) or True if "/resolve/" in r.path else None]
        b.pull()
        b.run("rm", REPO, code=0)
    # the list of files may be elsewhere on the same host, and its next page too, but not on another
    b.hub.faults[:] = [lambda r: r.redirect(r.path.replace("/api/", "/moved/api/")) or True if r.path.startswith("/api/") else None]
    b.refuses(4, "has no model")
    other = Hub()
    s.callback(other.close)
    other.repos = b.hub.repos
    b.hub.faults[:] = [lambda r: setattr(r.hub, "url", other.url)]
    b.hub.page_size = 1
    b.hub.repos[REPO] = {f"f{i}": Content(b"x", lfs=False) for i in range(3)} | b.hub.repos[REPO]
    b.refuses(5, "next page on another host")


@test
def certificates(s):
    d = s.enter_context(tempfile.TemporaryDirectory())
    cert, key = os.path.join(d, "c.pem"), os.path.join(d, "k.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    b, secure = Box(s), Hub(tls=tls)
    s.callback(secure.close)
    secure.repos = b.hub.repos
    at = {"HF_ENDPOINT": secure.url}
    p = b.refuses(5, ["is not trusted", "SSL_CERT_FILE"], env=at)
    assert "trying again" not in p.stderr, p.stderr
    b.pull(env={**at, "SSL_CERT_FILE": cert})
    b.run("rm", REPO, code=0)
    b.pull(env={**at, "CURL_CA_BUNDLE": cert})
    b.run("rm", REPO, code=0)
    b.refuses(5, "is not trusted", env={**at, "CURL_CA_BUNDLE": os.path.join(d, "absent")})
    secure.faults[:] = [lambda r: r.redirect(b.hub.url + r.path) or True if "/resolve/" in r.path else None]
    b.refuses(5, "from https to plain http", env={**at, "SSL_CERT_FILE": cert})
    b.refuses(5, "does not answer", REPO, "--retries", "1", env={"HF_ENDPOINT": b.hub.url.replace("http:", "https:")})  # TLS to a port that speaks none


@test
def a_proxy_of_the_environment(s):
    b = Box(s)
    env = {"HF_ENDPOINT": "http://hub.invalid", "http_proxy": b.hub.url}
    b.hub.faults[:] = [lambda r: setattr(r, "url", r.url._replace(path=r.url.path))]
    b.pull(env=env)
    assert all(p.startswith("http://hub.invalid/") for _, p, _, _ in b.hub.log), b.hub.log[0][1]
    b.run("rm", REPO, code=0)
    b.refuses(5, "does not answer", REPO, "--retries", "1", env={**env, "no_proxy": "x.org, .invalid"})
    b.hub.faults[:] = [lambda r: r.redirect("http://169.254.169.254/x") or True if "/resolve/" in r.path else None]
    b.refuses(5, "link-local address", env=env)
    b.hub.faults.clear()
    b.pull(env={"http_proxy": "http://127.0.0.1:1"})  # loopback is never proxied


@test
def errors_of_the_hub(s):
    b = Box(s)
    b.refuses(4, ["has no model org/absent", "check the spelling"], "org/absent")
    b.refuses(4, 'has no revision "v9"', REPO + "@v9")
    b.hub.gated = True
    b.refuses(3, ["is gated", f"accept its terms at {b.hub.url}/{REPO}"])
    b.hub.gated = False
    answer = lambda status, **h: [lambda r: r.error(status, None, h) or True]  # noqa: E731
    for status, code, words in [(403, 3, "forbids access"), (410, 5, "answered 410"), (418, 5, "answered 418"), (204, 5, "204"), (206, 5, "206")]:
        b.hub.faults[:] = answer(status)
        b.refuses(code, words)
    for status, code, words in [(429, 5, "asks for fewer requests"), (500, 5, "a fault of its own (500)"), (503, 5, "(503)")]:
        b.hub.faults[:] = answer(status)
        p = b.refuses(code, words, REPO, "--retries", "2")
        assert p.stderr.count("trying again in") == 1, p.stderr
    b.hub.faults[:] = answer(429, **{"Retry-After": "1"})
    t = time.monotonic()
    b.refuses(5, "asks for fewer requests", REPO, "--retries", "2")
    assert time.monotonic() - t >= 1, "Retry-After was not waited for"
    turns = [0]

    def busy(r):
        turns[0] += 1
        return r.error((429, 500, 502, 503)[turns[0] // 2 % 4]) or True if turns[0] % 2 and turns[0] < 12 else None

    b.hub.faults[:] = [busy]
    b.pull()
    b.run("rm", REPO, code=0)
    b.hub.close()
    b.refuses(5, "does not answer", REPO, "--retries", "1")
    for endpoint in ("ftp://x", "huggingface.co", "http://u:p@h/", "http://h/?q", ""):
        p = b.run("pull", REPO, "--retries", "1", env={"HF_ENDPOINT": endpoint, "https_proxy": "http://127.0.0.1:1"})
        assert p.returncode in (2, 5), (endpoint, p.returncode, p.stderr)


@test
def lists_that_lie(s):
    b = Box(s)
    tree = lambda value: [lambda r: r.json(value) or True if "/tree/" in r.path else None]  # noqa: E731
    raw = lambda body: [lambda r: r.plain(200, body) or True if "/tree/" in r.path else None]  # noqa: E731
    entry = {"type": "file", "path": "m.gguf", "size": len(GUIDE), "lfs": {"oid": "0" * 64, "size": len(GUIDE)}}
    for body in (b"", b"<!doctype html>", b"[" * 100000, b'{"a":1,"a":2}', b"[1] 2", b"\xff\xfe", b'"' + b"a" * 100 + b'"', b"null", b"[NaN]"):
        b.hub.faults[:] = raw(body)
        b.refuses(5, "hub:")
    b.hub.faults[:] = raw(b"[" + b'{"type":"file"},' * 1100000 + b"{}]")
    b.refuses(5, "larger than")
    names = ["../m.gguf", "/m.gguf", "a/../m.gguf", "a//m.gguf", "m\0.gguf", "m\n.gguf", "\\\\h\\m.gguf", "m" * 300 + ".gguf", "", ".", "./m.gguf", "a/", 5, None,
             "C:\\m.gguf"]
    for name in names:
        b.hub.faults[:] = tree([{**entry, "path": name}])
        p = b.run("pull", REPO)
        assert p.returncode in (4, 5), (name, p.returncode, p.stderr)
        same([b.blobs(), b.refs(), b.partials()], [[], [], []], name)
    for key, value in [("size", -1), ("size", "5"), ("size", 1 << 70), ("size", 1.5), ("size", None), ("type", 3), ("lfs", 7)]:
        e = {**entry, key: value}
        if key == "size":
            e["lfs"] = {**entry["lfs"], "size": value}
        b.hub.faults[:] = tree([e])
        p = b.run("pull", REPO)
        assert p.returncode in (4, 5), (key, value, p.returncode, p.stderr)
    for oid in ("../../../etc/passwd", "sha256:" + "0" * 63, "0" * 65, "%2e%2e", "\u0001" * 64, None, "g" * 64):
        b.hub.faults[:] = tree([{**entry, "lfs": {"oid": oid, "size": len(GUIDE)}}])
        b.refuses(5, "names no digest")
    b.hub.faults[:] = tree([{**entry, "lfs": {"oid": "0" * 64, "size": 1 << 62}}])
    b.refuses(9, ["are to come", "free; make room"])
    b.hub.faults[:] = tree([{**entry, "lfs": {"oid": "0" * 64, "size": 0}}])
    b.refuses(8, "empty")
    info = lambda value: [lambda r: r.json(value) or True if "/revision/" in r.path else None]  # noqa: E731
    for value in ({}, [], {"sha": "../../x"}, {"sha": 5}, {"sha": "a" * 41}):
        b.hub.faults[:] = info(value)
        b.refuses(5, "names no commit")
