"""The Llama architecture with interleaved RoPE, as GGUF's `llama` means it, and tied embeddings."""
import torch
from torch import nn
from torch.nn import functional as F

VOCAB, HIDDEN, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 1536, 256, 3, 4, 256, 1024
HEAD = HIDDEN // HEADS
ROPE_BASE, EPSILON = 10000.0, 1e-5


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * self.weight


def rope_table(length):
    """(length, HEAD / 2) cosines and sines."""
    rate = ROPE_BASE ** (-torch.arange(0, HEAD, 2, dtype=torch.float64) / HEAD)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return angle.cos().float(), angle.sin().float()


def rope(x, cos, sin):
    """Turns the pairs (2i, 2i + 1) of x (rows, heads, length, HEAD)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm, self.ffn_norm = Norm(), Norm()
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (
            nn.Linear(HIDDEN, HIDDEN, bias=False) for _ in range(4))
        self.ffn_gate = nn.Linear(HIDDEN, FEED_FORWARD, bias=False)
        self.ffn_up = nn.Linear(HIDDEN, FEED_FORWARD, bias=False)
        self.ffn_down = nn.Linear(FEED_FORWARD, HIDDEN, bias=False)

    def forward(self, x, cos, sin, mask):
        rows, length, _ = x.shape
        heads = (rows, length, HEADS, HEAD)
        y = self.attn_norm(x)
        q, k, v = (f(y).view(heads).transpose(1, 2) for f in (self.attn_q, self.attn_k, self.attn_v))
        score = rope(q, cos, sin) @ rope(k, cos, sin).transpose(2, 3) * HEAD ** -0.5 + mask
        y = (score.softmax(-1) @ v).transpose(1, 2).reshape(rows, length, HIDDEN)
        x = x + self.attn_output(y)
        y = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embd = nn.Embedding(VOCAB, HIDDEN)
        self.blk = nn.ModuleList(Block() for _ in range(LAYERS))
        self.output_norm = Norm()
        self.rope = rope_table(CONTEXT)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                narrow = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(weight, std=0.04 / (2 * LAYERS) ** 0.5 if narrow else 0.04)

    def forward(self, tokens, documents=None):
        """(rows, length) tokens -> (rows, length, HIDDEN); attention stays inside a document."""
        length = tokens.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool).tril()[None]
        if documents is not None:
            seen = seen & (documents[:, :, None] == documents[:, None, :])
        mask = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))[:, None]
        cos, sin = (table[:length] for table in self.rope)
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, cos, sin, mask)
        return self.output_norm(x)

    def logits(self, hidden):
        return hidden @ self.token_embd.weight.T
