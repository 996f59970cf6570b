"""Makes tokens_sp.json: digests of what Google's SentencePiece says of the 5,000 texts of tests/unit/text/nasty.h, as tokens.mjs makes them of
other peers'. With `train` it first makes tests/golden/unigram/*.model anew: no published unigram model is at hand that is small and free.

    apt-get install python3-sentencepiece
    gcc -Isrc -Itests/unit/text -o /tmp/nasty tests/golden/nasty.c src/base/str.c
    /usr/bin/python3 tests/golden/tokens.py DATA /tmp/nasty [train] > tests/golden/tokens_sp.json

Scores of the unigram models are rounded to 64ths: SentencePiece adds them as floats, sluice (with llama.cpp and Hugging Face) as doubles,
and only then both are exact and ties are ties. SHOW=NAME:INDEX prints one text and its ids."""
import hashlib, json, os, re, struct, subprocess, sys, tempfile
import sentencepiece as sp

BLOCK = 100
MODELS = {
    "llama2-spm": "tokenizers/llama2-tokenizer.model", "mistral-v1": "tokenizers/mistral-v1.model", "mistral-v3": "tokenizers/mistral-v3.model",
    "mistral-v7": "tokenizers/mistral-v7.model", "baichuan1": "tokenizers/baichuan1-tokenizer.model", "baichuan2": "tokenizers/baichuan2-tokenizer.model",
    "chatglm3": "tokenizers/chatglm3-tokenizer.model", "yi": "tokenizers/yi-tokenizer.model",
}
HERE = os.path.dirname(os.path.abspath(__file__))
UNIGRAM = {"unigram-rules": {}, "unigram-bytes": {}}
RULES = [("ﬁ", "fi"), ("ﬀ", "ff"), ("ﬃ", "ffi"), ("…", "..."), ("½", "1/2"), ("①", "1"), ("™", "TM"), ("İ", "i"), ("ǅ", "dž"), ("\u3000", " "), ("\u00a0", " "),
         ("\t", " "), ("\n", " "), ("\r", " "), ("\u200b", ""), ("\ufeff", ""), ("e\u0301", "é"), ("e\u0301\u0302", "ế"), ("か\u3099", "が"), ("→", " -> "), ("A", "a"),
         ("HTTP", "http"), ("世界", "全世界"), ("\u2003", "  "), ("\u0001", "")] + [(chr(0xff01 + i), chr(0x21 + i)) for i in range(0x5e)]


def varint(b, i):
    v = s = 0
    while True:
        c = b[i]
        v |= (c & 127) << s
        i, s = i + 1, s + 7
        if c < 128:
            return v, i


def round_scores(path):
    b, i = bytearray(open(path, "rb").read()), 0
    while i < len(b):
        tag, i = varint(b, i)
        if tag & 7 != 2:
            _, i = varint(b, i)
            continue
        n, i = varint(b, i)
        end, k = i + n, i
        while tag >> 3 == 1 and k < end:
            t, k = varint(b, k)
            if t == 21:
                b[k:k + 4] = struct.pack("<f", round(struct.unpack("<f", b[k:k + 4])[0] * 64) / 64)
                k += 4
            elif t & 7 == 2:
                m, k = varint(b, k)
                k += m
            else:
                _, k = varint(b, k)
        i = end
    open(path, "wb").write(b)


def train(data):
    text = "".join(open(os.path.join(data, "text", f), encoding="utf8").read()[:400000] for f in sorted(os.listdir(os.path.join(data, "text"))))
    with tempfile.TemporaryDirectory() as tmp:
        open(f"{tmp}/text", "w").write(text)
        open(f"{tmp}/rules.tsv", "w").write("".join(
            " ".join(f"{ord(c):x}" for c in a) + "\t" + " ".join(f"{ord(c):x}" for c in b) + "\n" for a, b in RULES))
        both = dict(input=f"{tmp}/text", model_type="unigram", num_threads=1, character_coverage=0.995, max_sentence_length=20000, minloglevel=2)
        sp.SentencePieceTrainer.train(model_prefix=f"{tmp}/unigram-rules", vocab_size=2000, normalization_rule_tsv=f"{tmp}/rules.tsv",
                                      user_defined_symbols=["<tool_call>", "<think>", "[REF]", "[/REF]"], **both)
        sp.SentencePieceTrainer.train(model_prefix=f"{tmp}/unigram-bytes", vocab_size=2200, normalization_rule_name="identity", byte_fallback=True,
                                      remove_extra_whitespaces=False, add_dummy_prefix=False, allow_whitespace_only_pieces=True, **both)
        for name in UNIGRAM:
            out = os.path.join(HERE, "unigram", name + ".model")
            os.makedirs(os.path.dirname(out), exist_ok=True)
            open(out, "wb").write(open(f"{tmp}/{name}.model", "rb").read())
            round_scores(out)


def digests(items):
    return [hashlib.sha256(b"".join(items[i:i + BLOCK])).hexdigest()[:16] for i in range(0, len(items), BLOCK)]


def main():
    data, nasty = sys.argv[1:3]
    if "train" in sys.argv[3:]:
        train(data)
    show, _, index = os.environ.get("SHOW", ":").partition(":")
    texts = [bytes.fromhex(line).decode() for line in subprocess.run([nasty], stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")[:-1]]
    out = {"vocabularies": {}}
    paths = {name: os.path.join(data, rel) for name, rel in MODELS.items()} | {name: os.path.join(HERE, "unigram", name + ".model") for name in UNIGRAM}
    for name, path in paths.items():
        m = sp.SentencePieceProcessor(model_file=path)
        ids = [m.encode(t) for t in texts]
        # what sluice takes for control tokens although the file calls it user-defined: its text is never shown
        hidden = {i for i in range(len(m)) if re.fullmatch(r"<\|.+\|>", m.id_to_piece(i))}
        back = [m.decode([k for k in i if k not in hidden]).encode() for i in ids]
        if name == show:
            print(repr(texts[int(index)]), ids[int(index)], repr(back[int(index)].decode()), file=sys.stderr)
        out["vocabularies"][name] = {"peer": f"sentencepiece {sp.__version__}", "ids": digests([struct.pack(f"<{len(i) + 1}I", len(i), *i) for i in ids]),
                                     "text": digests([struct.pack("<I", len(b)) + b for b in back])}
        print(name, file=sys.stderr)
    print(json.dumps(out).replace('"peer"', '\n"peer"').replace('"ids"', '\n"ids"').replace('"text"', '\n"text"'))


main()
