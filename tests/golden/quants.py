#!/usr/bin/env python3
"""quants.py LIBGGML_BASE_SO VERSION > quants.txt: how llama.cpp decodes and encodes each quantisation, for tests/unit/quant/test_golden.c.

LIBGGML_BASE_SO is any build's libggml-base.so, for example the one that npm's node-llama-cpp brings
(node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so); VERSION is written into the file.

  decode TYPE BLOCK VALUES     one block, and the bits of the float32 values, in hexadecimal: random blocks, and every scale that is not
                               ordinary (zeros, subnormals, the ends, infinities, NaNs) with random, empty and full codes
  many TYPE N DIGEST           FNV-1a of the values' bits of N random blocks (scales not finite left out); F16, BF16: of all 65536 values
  encode TYPE N DIGEST         FNV-1a of the blocks of N * block values (only types whose encoder is ggml's reference)
"""
import ctypes
import struct
import sys

TYPES = {  # block values, block bytes, where half-precision numbers stand
    "Q4_0": (32, 18, [0]), "Q4_1": (32, 20, [0, 2]), "Q5_0": (32, 22, [0]), "Q5_1": (32, 24, [0, 2]), "Q8_0": (32, 34, [0]),
    "Q2_K": (256, 84, [80, 82]), "Q3_K": (256, 110, [108]), "Q4_K": (256, 144, [0, 2]), "Q5_K": (256, 176, [0, 2]), "Q6_K": (256, 210, [208]),
    "IQ4_NL": (32, 18, [0]), "IQ4_XS": (256, 136, [0]), "MXFP4": (32, 17, []),
}
ODD = [0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01]
MASK = (1 << 64) - 1
lib = ctypes.CDLL(sys.argv[1])


class Random:
    """The multiplicative generator that test_golden.c has too."""

    def __init__(self, seed):
        self.s = seed

    def next(self):
        self.s = (self.s * 6364136223846793005 + 1442695040888963407) & MASK
        return self.s >> 32

    def bytes(self, n):
        return bytes(self.next() >> 24 for _ in range(n))


def fnv(data, h=0xcbf29ce484222325):
    for b in data:
        h = (h ^ b) * 0x100000001b3 & MASK
    return h


def decode(name, block):
    out = (ctypes.c_float * (len(block) // TYPES[name][1] * TYPES[name][0]))()
    lib[f"dequantize_row_{name.lower() if name[0] != 'Q' else name.replace('Q', 'q')}"](block, out, ctypes.c_int64(len(out)))
    return bytes(out)


def encode(name, values):
    out = ctypes.create_string_buffer(len(values) // TYPES[name][0] * TYPES[name][1])
    lib[f"quantize_row_{name.lower()}_ref"]((ctypes.c_float * len(values))(*values), out, ctypes.c_int64(len(values)))
    return out.raw


def scale_set(block, at, half):
    return block[:at] + struct.pack("<H", half) + block[at + 2:]


def random_block(r, name):
    """Bytes in order; then scales whose exponent is not 31."""
    n, size, halves = TYPES[name]
    block = r.bytes(size)
    for at in halves:
        half, = struct.unpack_from("<H", block, at)
        block = scale_set(block, at, half & ~0x4000 if half & 0x7c00 == 0x7c00 else half)
    return block


print(f"# {sys.argv[2]}: made by tests/golden/quants.py")
for name, (n, size, halves) in TYPES.items():
    r = Random(7)
    for i in range(12 if n == 256 else 40):
        b = random_block(r, name)
        print("decode", name, b.hex(), decode(name, b).hex())
    for i, half in enumerate(ODD):
        for at in halves:
            b = (r.bytes(size), bytes(size), b"\xff" * size)[i % 3]
            for other in halves:
                b = scale_set(b, other, 0x2e66)
            b = scale_set(b, at, half)
            print("decode", name, b.hex(), decode(name, b).hex())
    for e in (0, 1, 2, 3, 127, 254, 255) if name == "MXFP4" else ():  # its scale is an exponent
        b = bytes((e,)) + bytes(range(1, 256, 16))
        print("decode", name, b.hex(), decode(name, b).hex())
    h = fnv(b"")
    for i in range(2000 if n == 256 else 10000):
        h = fnv(decode(name, random_block(r, name)), h)
    print("many", name, 2000 if n == 256 else 10000, f"{h:016x}")
for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "IQ4_XS", "MXFP4"):
    r = Random(11)
    h = fnv(b"")
    for i in range(5000):
        values = [struct.unpack("f", struct.pack("f", ((r.next() ^ 0x80000000) - 0x80000000) * 2.0 ** (i % 40 - 51)))[0] for _ in range(TYPES[name][0])]
        h = fnv(encode(name, values), h)
    print("encode", name, 5000, f"{h:016x}")
for name, cname in (("F16", "fp16"), ("BF16", "bf16")):
    every = struct.pack("<65536H", *range(65536))
    out = (ctypes.c_float * 65536)()
    lib[f"ggml_{cname}_to_fp32_row"](every, out, ctypes.c_int64(65536))
    print("many", name, 65536, f"{fnv(bytes(out)):016x}")
    r = Random(11)
    h = fnv(b"")
    for i in range(5000):  # any bits are a number; NaNs are left out, whose payload each machine makes as it likes
        bits = [r.next() for _ in range(32)]
        bits = [b & ~0x800000 if b & 0x7f800000 == 0x7f800000 and b & 0x7fffff else b for b in bits]
        out = (ctypes.c_uint16 * 32)()
        lib[f"ggml_fp32_to_{cname}_row"](struct.pack("<32I", *bits), out, ctypes.c_int64(32))
        h = fnv(bytes(out), h)
    print("encode", name, 5000, f"{h:016x}")
