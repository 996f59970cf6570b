"""Raw requests and the answers that a strict HTTP/1.1 server gives: CASES is a list of (name, bytes, statuses, closed).

statuses: every status that must come, in order. closed: the server must close after them (True), must not (False). Status 4xx and 5xx
come with a JSON error. The server is tests/net/echo_server.c: POST /echo answers with the body, GET /slow after 300 ms.
"""

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
HELLO = b"Content-Length: 5\r\n\r\nhello"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"\r\n5\r\nhello\r\n0\r\n\r\n"
CASES = []


def accept(name, data, status=200):
    CASES.append((name, data, [status], False))


def refuse(name, data, status=400):
    CASES.append((name, data, [status], True))


def chunked(data):
    return POST + TE + b"\r\n" + data


def line(text, rest=b"Host: a\r\n" + HELLO):
    return text + b"\r\n" + rest


# Framing: what two readers could cut differently.
accept("plain Content-Length", POST + HELLO)
accept("plain chunked", POST + TE + CHUNKS)
refuse("CL then TE", POST + b"Content-Length: 5\r\n" + TE + CHUNKS)
refuse("TE then CL", POST + TE + b"Content-Length: 5\r\n" + CHUNKS)
refuse("bad CL and TE", POST + b"Content-Length: blah\r\n" + TE + CHUNKS)
refuse("two CL that differ", POST + b"Content-Length: 0\r\n" + HELLO)
refuse("two CL that agree", POST + b"Content-Length: 5\r\n" + HELLO)
for value in (b"5, 5", b"+5", b"-1", b"0x5", b"5 5", b"18446744073709551621", b"", b"5,", b"\x0b5", b"1" * 19):
    refuse("CL %r" % value, POST + b"Content-Length: " + value + b"\r\n\r\nhello")
for value in (b"xchunked", b"identity, chunked", b"chunked, identity", b"chunked, chunked", b"gzip, chunked", b"chunked;x=y", b"identity"):
    refuse("TE %r" % value, POST + b"Transfer-Encoding: " + value + b"\r\n" + CHUNKS, 501)
refuse("TE with a control byte", POST + b"Transfer-Encoding: \x0bchunked\r\n" + CHUNKS)
refuse("TE, space before the colon", POST + b"Transfer-Encoding : chunked\r\n" + CHUNKS)
refuse("TE twice", POST + TE + b"Transfer-Encoding: identity\r\n" + CHUNKS)
refuse("TE on HTTP/1.0", b"POST /echo HTTP/1.0\r\nHost: a\r\n" + TE + CHUNKS)
accept("TE in another case", POST + b"transfer-encoding: Chunked\r\n" + CHUNKS)

# Lines and header syntax.
refuse("folded line", POST + b"X: a\r\n b\r\n" + HELLO)
refuse("folded TE", POST + b"Transfer-Encoding:\r\n chunked\r\n" + CHUNKS, 501)
refuse("first header begins with a space", b"POST /echo HTTP/1.1\r\n Host: a\r\n" + HELLO)
refuse("bare LF everywhere", (POST + b"Content-Length: 5\r\n\r\n").replace(b"\r\n", b"\n") + b"hello")
refuse("bare LF on one line", POST + b"X: a\n" + HELLO)
refuse("bare LF hides TE", POST + b"X: a\nTransfer-Encoding: chunked\r\n" + CHUNKS)
refuse("bare CR in a value", POST + b"X: a\rb\r\n" + HELLO)
refuse("NUL in a value", POST + b"X: a\0b\r\n" + HELLO)
refuse("01 in a value", POST + b"X: a\1b\r\n" + HELLO)
refuse("DEL in a value", POST + b"X: a\x7fb\r\n" + HELLO)
accept("bytes above 127 in a value", POST + b"X: \xe9\xff\r\n" + HELLO)
refuse("NUL in a name", POST + b"X\0Y: a\r\n" + HELLO)
refuse("no colon", POST + b"Foo\r\n" + HELLO)
refuse("empty name", POST + b": x\r\n" + HELLO)
refuse("space in a name", POST + b"Foo Bar: x\r\n" + HELLO)
refuse("space before the colon", POST + b"Foo : x\r\n" + HELLO)
refuse("name is not ASCII", POST + b"F\xe9: x\r\n" + HELLO)
refuse("two Hosts", POST + b"Host: b\r\n" + HELLO)
refuse("no Host", b"POST /echo HTTP/1.1\r\n" + HELLO)
refuse("empty Host", b"POST /echo HTTP/1.1\r\nHost:\r\n" + HELLO)
refuse("Host with a slash", b"POST /echo HTTP/1.1\r\nHost: a/b@c\r\n" + HELLO)
refuse("two Authorizations", POST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n" + HELLO)
refuse("a coded body", POST + b"Content-Encoding: gzip\r\n" + HELLO, 415)

# The request line.
refuse("HTTP/1.7", line(b"POST /echo HTTP/1.7"), 505)
refuse("HTTP/2.0", line(b"POST /echo HTTP/2.0"), 505)
refuse("HTTP/0.9", b"GET /echo\r\n")
refuse("HTTP/0.9 with headers", b"GET /echo\r\nHost: a\r\n\r\n")
refuse("http/1.1 in small letters", line(b"POST /echo http/1.1"))
refuse("HTTP/1.10", line(b"POST /echo HTTP/1.10"))
refuse("two spaces", line(b"POST  /echo HTTP/1.1"))
refuse("tabs", line(b"POST\t/echo\tHTTP/1.1"))
refuse("space in the target", line(b"POST /ec ho HTTP/1.1"))
refuse("space at the line's end", line(b"POST /echo HTTP/1.1 "))
refuse("absolute target, other host", line(b"POST http://evil/echo HTTP/1.1"))
accept("absolute target, same host", line(b"POST http://A/echo HTTP/1.1"))
refuse("absolute target with a user", line(b"POST http://a@a/echo HTTP/1.1"))
refuse("GET *", line(b"GET * HTTP/1.1", b"Host: a\r\n\r\n"))
accept("OPTIONS *", line(b"OPTIONS * HTTP/1.1", b"Host: a\r\n\r\n"), 404)
accept("OPTIONS of a path without such a route", line(b"OPTIONS /echo HTTP/1.1", b"Host: a\r\n\r\n"), 405)
refuse("CONNECT", line(b"CONNECT a:1 HTTP/1.1", b"Host: a\r\n\r\n"))
accept("method FOO", line(b"FOO /echo HTTP/1.1", b"Host: a\r\n\r\n"), 405)
refuse("method PO(ST", line(b"PO(ST /echo HTTP/1.1"))
accept("one empty line before", b"\r\n" + POST + HELLO)
refuse("two empty lines before", b"\r\n\r\n" + POST + HELLO)
refuse("2,000 empty lines before", b"\r\n" * 2000 + POST + HELLO)
refuse("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40)

# Chunks.
for size in (b"-1", b"+5", b"0x5", b" 5", b"5 ", b"5z", b"", b"FFFFFFFFFFFFFFFF0", b"10000000000000005", b"000000005"):
    refuse("chunk size %r" % size, chunked(size + b"\r\nhello\r\n0\r\n\r\n"))
refuse("chunk of 9 MiB", chunked(b"900000\r\nhello"), 413)
accept("chunk size of 8 digits", chunked(b"00000005\r\nhello\r\n0\r\n\r\n"))
accept("chunk extension", chunked(b"5;a=b\r\nhello\r\n0\r\n\r\n"))
refuse("chunk extension of 64 KB", chunked(b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"))
refuse("chunk extension, bare LF", chunked(b"5;a\nhello\r\n0\r\n\r\n"))
refuse("no CRLF after a chunk", chunked(b"5\r\nhelloXX0\r\n\r\n"))
refuse("chunks with bare LF", chunked(b"5\nhello\n0\n\n"))
refuse("trailer", chunked(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"))
refuse("trailer of 100 KB", chunked(b"5\r\nhello\r\n0\r\nX: " + b"y" * 100000 + b"\r\n\r\n"))

# One connection, several requests.
CASES.append(("garbage after the body", POST + HELLO + b"\0GARBAGE\r\n\r\n", [200, 400], True))
CASES.append(("three pipelined", (POST + HELLO) * 3, [200, 200, 200], False))
CASES.append(("a slow one, then a fast one", b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + POST + HELLO, [200, 200], False))
CASES.append(("two, and the first says close", POST + b"Connection: x, Close\r\n" + HELLO + POST + HELLO, [200], True))
CASES.append(("two on HTTP/1.0", b"POST /echo HTTP/1.0\r\n" + HELLO + POST + HELLO, [200], True))
CASES.append(("two on HTTP/1.0 with keep-alive", b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n" + HELLO + POST + HELLO, [200, 200], False))
CASES.append(("unknown path with a body", line(b"POST /nope HTTP/1.1") + POST + HELLO, [404], True))
accept("unknown path", b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", 404)
accept("wrong method", b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 405)
accept("no right", b"GET /closed HTTP/1.1\r\nHost: a\r\n\r\n", 403)
refuse("no right, told before the body comes", b"GET /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 403)
refuse("wrong method with a body", line(b"GET /echo HTTP/1.1"), 405)
accept("Expect: 100-continue, body at once", POST + b"Expect: 100-continue\r\n" + HELLO)
refuse("another expectation", POST + b"Expect: junk\r\n" + HELLO, 417)

# Limits.
refuse("header line of 100 KB", POST + b"X: " + b"a" * 100000 + b"\r\n" + HELLO, 431)
refuse("head of 20 KB in short lines", POST + (b"X: " + b"a" * 1000 + b"\r\n") * 20 + HELLO, 431)
refuse("1,000 headers", POST + b"".join(b"X%d: a\r\n" % i for i in range(1000)) + HELLO, 431)
accept("64 headers", POST + b"".join(b"X%d: a\r\n" % i for i in range(62)) + HELLO)
refuse("65 headers", POST + b"".join(b"X%d: a\r\n" % i for i in range(63)) + HELLO, 431)
refuse("target of 100 KB", line(b"POST /" + b"a" * 100000 + b" HTTP/1.1"), 414)
refuse("body past the limit", POST + b"Content-Length: 8388609\r\n\r\n", 413)

# Paths: split first, then each segment is decoded once.
for path in (b"/echo%00x", b"/x/../echo", b"/./echo", b"/%2e%2e/echo", b"/x/.%2E/echo", b"/models/a%2f..%2fb", b"/echo\xff", b"/echo\0x",
             b"/echo%", b"/echo%4", b"/echo%zz", b"/echo%0a", b"echo", b"/echo#x", b"/echo<", b"/echo%7f"):
    refuse("path %r" % path, line(b"POST " + path + b" HTTP/1.1"))
for path in (b"//echo", b"/echo/", b"/echo%2f", b"/ECHO", b"/echo;x", b"/echo%253f"):
    refuse("path %r" % path, line(b"POST " + path + b" HTTP/1.1"), 404)
accept("path /%65cho", line(b"POST /%65cho HTTP/1.1"))
accept("path /echo?a=%00", line(b"POST /echo?a=%00 HTTP/1.1"))
accept("path /models/org%2Fname", b"GET /models/org%2Fname HTTP/1.1\r\nHost: a\r\n\r\n")
accept("path /models/org/name", b"GET /models/org/name HTTP/1.1\r\nHost: a\r\n\r\n")
accept("path /models//x", b"GET /models//x HTTP/1.1\r\nHost: a\r\n\r\n", 404)
