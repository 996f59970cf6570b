#!/usr/bin/env python3
"""The forward pass of a GGUF file in plain Python, in double: the independent reference where llama.cpp computes nothing or something else.

    python3 tests/golden/reference.py FILE.gguf '{"tokens": [..], "want": [..], "reach": 80, "start": 0}'   ->   JSON rows of logits

Written from Hugging Face transformers (modeling_llama, _qwen2, _qwen3, _smollm3, _ministral3, DeciLM's own, modeling_rope_utils) and the GGUF
specification, not from sluice. make.mjs holds it against llama.cpp in every case that both compute. F32 tensors only.
tokens are at positions start, start + 1, ..; what lies before start does not exist (rows are right once their windows lie past it).
reach is the length that dynamic and longrope scaling are chosen by: "seq_len" in modeling_rope_utils."""
import json
import math
import struct
import sys
from array import array
from operator import mul


class Gguf:
    SCALAR = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

    def __init__(self, path):
        self.b, self.at = open(path, "rb").read(), 0
        assert self.b[:4] == b"GGUF"
        self.at = 4
        version, n_tensors, n_meta = self.num("<I"), self.num("<Q"), self.num("<Q")
        assert version == 3
        self.meta = {}
        for _ in range(n_meta):
            key = self.text()
            self.meta[key] = self.value(self.num("<I"))
        tensors = []
        for _ in range(n_tensors):
            name = self.text()
            dims = [self.num("<Q") for _ in range(self.num("<I"))]
            tensors.append((name, dims, self.num("<I"), self.num("<Q")))
        align = self.meta.get("general.alignment", 32)
        base = (self.at + align - 1) // align * align
        self.tensors = {}
        for name, dims, kind, at in tensors:
            assert kind == 0, "F32 tensors only"
            a = array("f")
            a.frombytes(self.b[base + at:base + at + 4 * math.prod(dims)])
            values = a.tolist()
            self.tensors[name] = values if len(dims) == 1 else [values[i:i + dims[0]] for i in range(0, len(values), dims[0])]

    def num(self, fmt):
        v = struct.unpack_from(fmt, self.b, self.at)[0]
        self.at += struct.calcsize(fmt)
        return v

    def text(self):
        n = self.num("<Q")
        self.at += n
        return self.b[self.at - n:self.at].decode("utf-8", "replace")

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            elem, n = self.num("<I"), self.num("<Q")
            return [self.value(elem) for _ in range(n)]
        return self.num(self.SCALAR[kind])


def dot(a, b):
    return sum(map(mul, a, b))


def matvec(w, x, bias=None):
    y = [dot(row, x) for row in w]
    return y if bias is None else [a + b for a, b in zip(y, bias)]


def rmsnorm(x, gain, eps):
    scale = 1 / math.sqrt(dot(x, x) / len(x) + eps)
    return [v * scale * g for v, g in zip(x, gain)]


class Rope:
    """inv_freq and attention_scaling as modeling_rope_utils computes them for one length."""

    def __init__(self, key, tensors, dim, n_ctx, reach):
        base = key("rope.freq_base", 10000.0)
        scaling = lambda tail, default=None: key("rope.scaling." + tail, default)
        kind = scaling("type", "longrope" if "rope_factors_long.weight" in tensors else "linear")
        factor = scaling("factor") or 1.0
        context = scaling("original_context_length", n_ctx)
        self.scale = scaling("attn_factor", 1.0)
        divide = tensors.get("rope_freqs.weight")
        if kind == "dynamic":
            length = max(reach, context)
            base = base * ((factor * length / context) - (factor - 1)) ** (dim / (dim - 2))
        if kind == "longrope":
            divide = tensors["rope_factors_long.weight" if reach > context else "rope_factors_short.weight"]
        inv = [1.0 / base ** (i / dim) for i in range(0, dim, 2)]
        if divide:
            inv = [f / d for f, d in zip(inv, divide)]
        if kind == "linear":
            inv = [f / factor for f in inv]
        if kind == "yarn":
            inv = self.yarn(inv, scaling, base, dim, factor, context)
        self.inv = inv

    def yarn(self, inv, scaling, base, dim, factor, context):
        def mscale(by):
            return 1.0 if factor <= 1 else 0.1 * by * math.log(factor) + 1.0

        def correction(rotations):
            return dim * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(base))

        low = max(math.floor(correction(scaling("yarn_beta_fast", 32.0))), 0)
        high = min(math.ceil(correction(scaling("yarn_beta_slow", 1.0))), dim - 1)
        if low == high:
            high += 0.001
        out = []
        for i, f in enumerate(inv):
            ramp = min(max((i - low) / (high - low), 0), 1)
            out.append(f / factor * ramp + f * (1 - ramp))
        whole, all_dim = scaling("yarn_attn_factor"), scaling("yarn_log_multiplier")
        self.scale *= whole if whole else mscale(1) / mscale(all_dim) if all_dim else mscale(1)
        return out

    def turn(self, x, pos, interleaved):
        y = list(x)
        half = len(self.inv)
        for i, f in enumerate(self.inv):
            a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + half)
            c, s = math.cos(pos * f) * self.scale, math.sin(pos * f) * self.scale
            y[a], y[b] = x[a] * c - x[b] * s, x[a] * s + x[b] * c
        return y


class Model:
    def __init__(self, path, reach):
        g = Gguf(path)
        self.t, arch = g.tensors, g.meta["general.architecture"]
        key = self.key = lambda tail, default=None: g.meta.get(f"{arch}.{tail}", default)
        self.n_layers, self.n_embd, n_ctx = key("block_count"), key("embedding_length"), key("context_length")
        each = lambda v: v if isinstance(v, list) else [v] * self.n_layers
        self.heads = each(key("attention.head_count"))
        self.kv = each(key("attention.head_count_kv", self.heads))
        self.ff = each(key("feed_forward_length"))
        each_head = self.n_embd // next(h for h in self.heads if h)
        self.hd, self.vd = key("attention.key_length") or each_head, key("attention.value_length") or each_head
        self.eps = key("attention.layer_norm_rms_epsilon")
        window = key("attention.sliding_window", 0)
        on = key("attention.sliding_window_pattern", [1] * self.n_layers)
        if isinstance(on, int):
            on = [i % on < on - 1 for i in range(self.n_layers)]
        self.window = [window if o and window else 1 << 60 for o in on]
        self.interleaved = not arch.startswith(("qwen", "phi"))
        for i in range(self.n_layers):
            self.split(i)
        self.rotates = [arch != "smollm3" or (i + 1) % 4 != 0 for i in range(self.n_layers)]
        self.rope = Rope(key, self.t, key("rope.dimension_count", self.hd), n_ctx, reach)
        self.beta, self.context = key("attention.temperature_scale", 0.0), key("rope.scaling.original_context_length", n_ctx)
        self.cache = [[] for _ in range(self.n_layers)]

    def split(self, layer):
        """Tensors that hold several matrices one below the other."""
        rows = [self.heads[layer] * self.hd, self.kv[layer] * self.hd, self.kv[layer] * self.vd]
        for kind in ("weight", "bias"):
            whole = self.t.get(f"blk.{layer}.attn_qkv.{kind}")
            for i, part in enumerate("qkv"):
                if whole:
                    self.t[f"blk.{layer}.attn_{part}.{kind}"] = whole[sum(rows[:i]):sum(rows[:i + 1])]
        up = self.t.get(f"blk.{layer}.ffn_up.weight")
        if up and len(up) == 2 * self.ff[layer]:
            self.t[f"blk.{layer}.ffn_gate.weight"], self.t[f"blk.{layer}.ffn_up.weight"] = up[:self.ff[layer]], up[self.ff[layer]:]

    def w(self, name, layer=None):
        return self.t.get(name if layer is None else f"blk.{layer}.{name}")

    def heads_of(self, x, layer, norm, pos, rotate):
        width = self.hd if rotate else self.vd
        out = [x[i:i + width] for i in range(0, len(x), width)]
        gain = self.w(norm, layer) if norm else None
        if gain:
            out = [rmsnorm(h, gain, self.eps) for h in out]
        if rotate and self.rotates[layer]:
            out = [self.rope.turn(h, pos, self.interleaved) for h in out]
        return out

    def attention(self, x, layer, pos):
        lin = lambda n: matvec(self.w(f"attn_{n}.weight", layer), x, self.w(f"attn_{n}.bias", layer))
        q = self.heads_of(lin("q"), layer, "attn_q_norm.weight", pos, True)
        k = self.heads_of(lin("k"), layer, "attn_k_norm.weight", pos, True)
        v = self.heads_of(lin("v"), layer, None, pos, False)
        self.cache[layer].append((pos, k, v))
        seen = [c for c in self.cache[layer] if c[0] > pos - self.window[layer]]
        temperature = 1 + self.beta * math.log(1 + pos // self.context) if self.beta else 1
        out = []
        for h in range(self.heads[layer]):
            g = h // (self.heads[layer] // self.kv[layer])
            score = [dot(q[h], c[1][g]) * temperature / math.sqrt(self.hd) for c in seen]
            top = max(score)
            e = [math.exp(s - top) for s in score]
            total = sum(e)
            for i in range(self.vd):
                out.append(sum(p * c[2][g][i] for p, c in zip(e, seen)) / total)
        return matvec(self.w("attn_output.weight", layer), out, self.w("attn_output.bias", layer))

    def swiglu(self, x, layer):
        lin = lambda n, v: matvec(self.w(f"ffn_{n}.weight", layer), v, self.w(f"ffn_{n}.bias", layer))
        hidden = [g / (1 + math.exp(-g)) * u for g, u in zip(lin("gate", x), lin("up", x))]
        return lin("down", hidden)

    def token(self, token, pos, want):
        x = self.w("token_embd.weight")[token]
        for layer in range(self.n_layers):
            if self.heads[layer]:
                normed = rmsnorm(x, self.w("attn_norm.weight", layer), self.eps)
                y = self.attention(normed, layer, pos) if self.kv[layer] else matvec(self.w("attn_output.weight", layer), normed)
                x = [a + b for a, b in zip(x, y)]
            if self.ff[layer]:
                y = self.swiglu(rmsnorm(x, self.w("ffn_norm.weight", layer), self.eps), layer)
                x = [a + b for a, b in zip(x, y)]
        if want:
            return matvec(self.w("output.weight") or self.w("token_embd.weight"), rmsnorm(x, self.w("output_norm.weight"), self.eps))


def main():
    job = json.loads(sys.argv[2])
    model, rows, start = Model(sys.argv[1], job["reach"]), [], job.get("start", 0)
    for i, token in enumerate(job["tokens"]):
        row = model.token(token, start + i, i in job["want"])
        if row:
            rows.append([float(f"{v:.9g}") for v in row])
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
