"""The soak's clients: one asyncio protocol for each request, cheap enough to drive 64 of them beside the server on a machine of two cores.

Nothing of an answer is parsed while it arrives: its bytes are kept, and read once when it has ended."""
import asyncio
import re
import socket
import struct
import time

STUCK_S = 90.0  # an answer that does not move for so long is stuck
SLOW_READ_S = 8.0  # a slow reader gives up after this
BODY_GRACE_S = 5.0  # the server's own patience with a body
PIECE = re.compile(rb'"(?:content|text)": ?"[^"]')
ID = re.compile(rb"\r\nx-request-id: (\S+)", re.I)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.I)


class Answer:
    """What one client saw of one request."""

    def __init__(self, order):
        self.order, self.status, self.id, self.pieces, self.usage = order, None, None, 0, None
        self.whole = self.left = self.error_event = False
        self.tail, self.n = b"", 0

    def read(self, data, whole, left):
        self.whole, self.left, self.n = whole, left, len(data)
        head = data.find(b"\r\n\r\n")
        if data[:9] not in (b"HTTP/1.1 ", b"HTTP/1.0 ") or head < 0:
            return
        self.status, found = int(data[9:12]), ID.search(data, 0, head + 2)
        self.id = found.group(1).decode() if found else None
        self.pieces = sum(1 for _ in PIECE.finditer(data, head)) if self.order.stream else 0
        self.error_event = self.order.stream and b'data: {"error"' in data
        self.tail = bytes(data[-300:])
        usage = re.search(rb'"prompt_tokens": ?(\d+), ?"completion_tokens": ?(\d+)', data[head:]) or re.search(rb'"prompt_tokens": ?(\d+)(),', data[head:])
        if self.status == 200 and whole and usage:
            self.usage = int(usage.group(1)), int(usage.group(2) or 0)


class Exchange(asyncio.Protocol):
    """Sends one order over a connection of its own; `done` gets the Answer."""

    def __init__(self, order, done):
        self.order, self.done, self.data, self.moved = order, done, bytearray(), time.monotonic()
        self.transport, self.need, self.left, self.began = None, None, False, time.monotonic()

    def connection_made(self, transport):
        self.transport = transport
        if self.order.pace == "slow-send":
            asyncio.ensure_future(self.send_slowly())
        else:
            transport.write(self.order.data)
        if self.order.pace == "half-close":
            transport.write_eof()
        if self.order.pace == "slow-read":
            transport.pause_reading()
            asyncio.ensure_future(self.read_slowly())
        if self.order.pace in ("leave", "reset") and self.order.leave_at == 0:
            asyncio.get_running_loop().call_later(0.003, self.leave)

    async def send_slowly(self):
        step = max(1, len(self.order.data) // 8)
        for at in range(0, len(self.order.data), step):
            if self.transport.is_closing():
                return
            self.transport.write(self.order.data[at : at + step])
            await asyncio.sleep(0.1)

    async def read_slowly(self):
        end = time.monotonic() + SLOW_READ_S
        while time.monotonic() < end and not self.done.done():
            await asyncio.sleep(0.25)
            if self.transport.is_closing():
                return
            self.transport.resume_reading()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not self.transport.is_closing():
                self.transport.pause_reading()
        self.leave()

    def data_received(self, data):
        self.data += data
        self.moved = time.monotonic()
        if self.order.pace in ("leave", "reset") and len(self.data) > self.order.leave_at:
            self.leave()
        elif self.complete():
            self.finish(True)

    def complete(self):
        if self.need is None:
            head = self.data.find(b"\r\n\r\n")
            if head < 0:
                return False
            length = LENGTH.search(self.data, 0, head + 2)
            self.need = head + 4 + int(length.group(1)) if length else 0  # 0: in chunks
        return len(self.data) >= self.need if self.need else self.data.endswith(b"0\r\n\r\n", max(0, len(self.data) - 7))

    def leave(self):
        if self.done.done():
            return
        self.left = True
        if self.order.pace == "reset" and self.transport.get_extra_info("socket"):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.finish(False)

    def finish(self, whole):
        if self.done.done():
            return
        if self.order.pace == "slow-send" and time.monotonic() - self.began >= BODY_GRACE_S:
            self.order.right.add(408)  # a busy machine held the sender up for longer than the server waits
        answer = Answer(self.order)
        answer.read(self.data, whole, self.left)
        self.done.set_result(answer)
        self.transport.abort() if self.left else self.transport.close()

    def connection_lost(self, exc):
        self.finish(False)


running = set()


def leave_all():
    for e in list(running):
        e.leave()


async def exchange(port, order):
    """One order sent; its Answer, or None when nobody listens. Raises TimeoutError when the answer is stuck."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    sock = socket.socket()
    sock.setblocking(False)
    if order.pace == "slow-read":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    try:
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, protocol = await loop.create_connection(lambda: Exchange(order, done), sock=sock)
    except OSError:
        sock.close()
        return None
    running.add(protocol)
    done.add_done_callback(lambda _: running.discard(protocol))
    while True:
        ready, _ = await asyncio.wait([done], timeout=10)
        if ready:
            return done.result()
        if time.monotonic() - protocol.moved > STUCK_S:
            protocol.transport.abort()
            raise TimeoutError(f"{order.what}: nothing for {STUCK_S:.0f} s after {len(protocol.data)} bytes")
