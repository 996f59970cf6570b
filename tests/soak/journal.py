"""A second reader of the metering journal (the format is drawn in src/ledger/journal.h), which shares nothing with sluice.

A killed server leaves in DATA/journal what it had counted when it died. counted(DATA) reads that, so that the usage rows which the next
start makes of it can be compared to the token. usage: journal.py DATA"""
import os
import struct
import sys
import zlib

HOLD, MORE, STEP, FINISH = 1, 2, 3, 4
FIELDS = ("input", "cache_read", "cache_write", "output", "reasoning")


def records(path):
    with open(path, "rb") as f:
        data = f.read()
    if len(data) < 32 or data[:8] != b"SLJRNL\x00\x01" or zlib.crc32(data[:28]) != struct.unpack_from("<I", data, 28)[0]:
        return
    number, at = struct.unpack_from("<Q", data, 8)[0], 32
    while at + 8 <= len(data):
        crc, n, kind, low = struct.unpack_from("<IHBB", data, at)
        if at + 8 + n > len(data) or low != number & 255 or zlib.crc32(data[at + 4 : at + 8 + n]) != crc:
            return  # the torn tail
        yield kind, data[at + 8 : at + 8 + n]
        at += 8 + n


def counted(folder):
    """{request id: {input, cache_read, cache_write, output, reasoning}} of every hold that the journal names and counts."""
    names, counts = {}, {}
    where = os.path.join(folder, "journal")
    for segment in sorted(os.listdir(where)):
        for kind, p in records(os.path.join(where, segment)):
            hold = struct.unpack_from("<Q", p)[0]
            if kind == HOLD:
                fixed = 8 + 4 * 8 + 2 * 4 + 3 * 8 + 32
                length = struct.unpack_from("<H", p, fixed)[0]
                names[hold] = p[fixed + 6 : fixed + 6 + length].decode()
            elif kind in (STEP, FINISH):
                now = struct.unpack_from("<5I", p, 8)
                counts[hold] = tuple(map(max, counts.get(hold, (0,) * 5), now)) if kind == STEP else now
    return {names[h]: dict(zip(FIELDS, c)) for h, c in counts.items() if h in names}


if __name__ == "__main__":
    for request, c in counted(sys.argv[1]).items():
        print(request, *(f"{k}={v}" for k, v in c.items()))
