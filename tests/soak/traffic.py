"""What the soak's clients send: well-formed requests of every endpoint that generates, and a gallery of malformed ones.

An order says what to send, how its sender behaves, and which answers are right for it."""
import json
from dataclasses import dataclass, field

WORDS = ["What is sluice?", "Tell me a story.", "the", "wait \U0001f30a", "水は流れる", "x y z", "\u0001\u007f", "<|im_end|>", "a\n\n\nb", " "]
LIMITS = [None, 1, 2, 7, 20, 40, 90, 200, 600]


@dataclass
class Order:
    data: bytes  # the whole request
    right: set  # statuses that are right for it
    what: str
    limit: int | None = None  # the most output tokens it may be billed
    stream: bool = False
    pace: str = "plain"  # plain, leave, reset, half-close, slow-read, slow-send
    leave_at: int = 0  # bytes of the answer after which its sender leaves
    keys: dict = field(default_factory=dict)


def http(path, key, body, method="POST", headers=()):
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", *headers]
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + (body or b"")


def prompt(rnd):
    return " ".join(rnd.choice(WORDS) for _ in range(rnd.choice([1, 1, 2, 5, 12])))


def sampling(rnd):
    body = {"temperature": rnd.choice([0, 0.7, 1, 2]), "seed": rnd.randint(0, 1 << 40)}
    if rnd.random() < 0.3:
        body["top_p"] = rnd.choice([0.1, 0.9])
    if rnd.random() < 0.2:
        body["top_k"] = rnd.choice([1, 5, 40])
    if rnd.random() < 0.2:
        body["stop"] = rnd.choice(["e", ["zz", "the"], "."])
    if rnd.random() < 0.2:
        body.update(rnd.choice([{"presence_penalty": 1.5}, {"frequency_penalty": -0.5}, {"repetition_penalty": 1.2}, {"logit_bias": {"65": 5, "66": -100}}]))
    if rnd.random() < 0.15:
        body["n"] = rnd.choice([2, 3, 8])
    return body


def generating(path, rnd, model, more):
    limit, stream = rnd.choice(LIMITS), rnd.random() < 0.75
    body = {"model": model, "stream": stream, **more, **sampling(rnd)}
    if limit:
        body["max_tokens"] = limit
    if stream and rnd.random() < 0.8:
        body["stream_options"] = {"include_usage": True}
    return path, body, limit and limit * body.get("n", 1), stream


def chat(rnd, model):
    turns = [{"role": r, "content": prompt(rnd)} for r in rnd.choice([["user"], ["system", "user"], ["user", "assistant", "user"]])]
    return generating("/v1/chat/completions", rnd, model, {"messages": turns, **({"logprobs": True, "top_logprobs": rnd.choice([0, 5])} if rnd.random() < 0.1 else {})})


def completions(rnd, model):
    return generating("/v1/completions", rnd, model, {"prompt": prompt(rnd), **rnd.choice([{}, {}, {"echo": True}, {"logprobs": 3}])})


def embeddings(rnd, model):
    return "/v1/embeddings", {"model": model, "input": [prompt(rnd) for _ in range(rnd.randint(1, 4))]}, 0, False


def tokenize(rnd, model):
    return "/tokenize", {"model": model, "prompt": prompt(rnd)}, 0, False


# path -> (maker, weight); the soak asks only for those that the server has.
ENDPOINTS = {"/v1/chat/completions": (chat, 10), "/v1/completions": (completions, 5), "/v1/embeddings": (embeddings, 3), "/tokenize": (tokenize, 1)}


def well_formed(rnd, model, key, poor, endpoints):
    path = rnd.choices(endpoints, [ENDPOINTS[p][1] for p in endpoints])[0]
    path, body, limit, stream = ENDPOINTS[path][0](rnd, model)
    pace = rnd.choices(["plain", "leave", "reset", "half-close", "slow-read", "slow-send"], [60, 15, 10, 5, 6, 4])[0]
    # 400: a long prompt passes the context of a small model. 429 and 503: no credit, or nothing free.
    return Order(http(path, key, json.dumps(body).encode()), {200, 400, 429, 503} if poor else {200, 400, 503}, path, limit, stream, pace,
                 leave_at=rnd.choice([0, 1, 200, 400, 900, 3000, 20000]))


def endless(model, key):
    """A stream as long as the model's context: of a random model's tokens the end is drawn hardly ever."""
    path = "/v1/chat/completions"
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Tell me a story."}], "temperature": 1}
    return Order(http(path, key, json.dumps(body).encode()), {200, 503}, path, None, True)


def malformed(rnd, model, key):
    """A request that must be refused with a 4xx, or left unanswered when it is not one."""
    good = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}).encode()
    path = "/v1/chat/completions"
    junk = bytes(rnd.randrange(256) for _ in range(rnd.randint(1, 300)))
    bad = rnd.choice([
        ("cut json", http(path, key, good[: rnd.randrange(len(good) - 1)])), ("not json", http(path, key, junk)), ("empty", http(path, key, b"")),
        ("array", http(path, key, b"[" * rnd.randint(1, 5000))), ("deep", http(path, key, b'{"messages":' + b"[" * 3000 + b"]" * 3000 + b"}")),
        ("no model", http(path, key, good.replace(model.encode(), b"nobody"))), ("bad key", http(path, "sk-sluice-x", good)),
        ("wrong type", http(path, key, good.replace(b'"max_tokens": 2', b'"max_tokens": ' + rnd.choice([b'"x"', b"-1", b"1e99", b"[]", b"0"])))),
        ("wrong way", http(path, key, None, method=rnd.choice(["GET", "PUT", "DELETE"]))), ("nowhere", http("/v1/" + "x" * rnd.randint(1, 90), key, good)),
        ("long line", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"), ("many heads", http(path, key, good, headers=[f"X-{i}: y" for i in range(90)])),
        ("two lengths", http(path, key, good, headers=["Content-Length: 1"])), ("te and cl", http(path, key, good, headers=["Transfer-Encoding: chunked"])),
        ("gzip", http(path, key, good, headers=["Content-Encoding: gzip"])), ("noise", b"\x16\x03\x01" + junk), ("too big", http(path, key, b" " * 100, headers=["Content-Length: 99999999999"])),
        ("surrogate", http(path, key, good.replace(b'"hi"', b'"\\ud800"'))), ("nul", http(path, key, good.replace(b'"hi"', b'"\xff\xfe"'))),
    ])
    return Order(bad[1], {400, 401, 404, 405, 411, 413, 414, 415, 431, 501, 505}, bad[0])
