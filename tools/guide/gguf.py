"""Writes GGUF version 3, and rounds a matrix to Q8_0 exactly as ggml does."""
import struct

import numpy as np

ALIGNMENT, BLOCK = 32, 32
F32, Q8_0 = 0, 8                                      # tensor types
U32, FLOAT, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5   # value types


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, item):
    if kind == STRING:
        return text(item)
    return struct.pack({U32: "<I", FLOAT: "<f", BOOL: "<?", I32: "<i"}[kind], item)


def entry(key, kind, item):
    """One key of the metadata; kind (ARRAY, k) is an array of k."""
    if isinstance(kind, tuple):
        body = struct.pack("<IIQ", ARRAY, kind[1], len(item)) + b"".join(value(kind[1], x) for x in item)
    else:
        body = struct.pack("<I", kind) + value(kind, item)
    return text(key) + body


def round_away(x):
    """roundf: halves away from zero (in double, where adding the half is exact)."""
    return np.trunc(x.astype(np.float64) + np.copysign(0.5, x))


def q8_0(matrix):
    """Blocks of 32: a half-float scale d = max|x| / 127 and 32 signed bytes round(x * (1 / d))."""
    blocks = matrix.astype(np.float32).reshape(-1, BLOCK)
    scale = np.abs(blocks).max(1) / np.float32(127)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    packed = np.empty(len(blocks), dtype=[("d", "<f2"), ("q", "i1", BLOCK)])
    packed["d"], packed["q"] = scale.astype(np.float16), round_away(blocks * inverse[:, None])
    return packed


def from_q8_0(packed, shape):
    """The matrix that a reader of the file sees."""
    return (packed["d"].astype(np.float32)[:, None] * packed["q"].astype(np.float32)).reshape(shape)


def write(path, metadata, tensors):
    """metadata: (key, kind, value); tensors: (name, array, type). Rows are the array's last axis."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(entry(*item) for item in metadata)
    offset, bodies = 0, []
    for name, array, kind in tensors:
        body = array.astype("<f4").tobytes() if kind == F32 else q8_0(array).tobytes()
        dims = array.shape[::-1]
        head += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        bodies.append(body + b"\0" * (-len(body) % ALIGNMENT))
        offset += len(bodies[-1])
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % ALIGNMENT) + b"".join(bodies))
