// Makes tokens.json: digests of what Hugging Face's tokenizers and OpenAI's tiktoken say of the 5,000 texts of tests/unit/text/nasty.h, for
// each published vocabulary, and of where Hugging Face's pre-tokenizers cut them, for each pattern that src/text/pretok.def names.
//   npm install --ignore-scripts --prefix PEER tokenizers tiktoken
//   gcc -Isrc -Itests/unit/text -o /tmp/nasty tests/golden/nasty.c src/base/str.c
//   node tests/golden/tokens.mjs PEER DATA /tmp/nasty > tests/golden/tokens.json
// PEER is any folder; DATA holds tokenizers/ and vocab/. A digest is the first 16 hex digits of SHA-256 over 100 texts: for each the count
// and the ids (or the length and the bytes of the decoded text, or the count and the lengths in characters of the pieces), all uint32.
// `make test` needs none of it. ONLY=NAME,... makes those anew and keeps the others of the file OLD=...  SHOW=NAME:INDEX prints one text and what the peer says of it.
import { createRequire } from "node:module";
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve, join } from "node:path";
import { ggufVocab } from "./tokens_gguf.mjs";
import { patterns } from "./tokens_patterns.mjs";

const [peer, data, nasty] = process.argv.slice(2);
const require = createRequire(resolve(peer) + "/");
const { Tokenizer } = require("tokenizers");
const { Tiktoken } = require("tiktoken");
const version = (name) => `${name} ${JSON.parse(readFileSync(join(peer, "node_modules", name, "package.json"), "utf8")).version}`;
const [show, showIndex] = (process.env.SHOW ?? "").split(":");
const old = process.env.OLD ? JSON.parse(readFileSync(process.env.OLD, "utf8")) : null, only = process.env.ONLY?.split(",");
const BLOCK = 100;

const texts = (...args) =>
  execFileSync(nasty, args, { maxBuffer: 1 << 28 }).toString().trimEnd().split("\n").map((line) => Buffer.from(line, "hex").toString("utf8"));
const all = texts(), noByteNames = texts("no-byte-names");

const u32 = (list) => Buffer.from(Uint32Array.from(list).buffer);
function digests(items, toBytes) {
  const out = [];
  for (let i = 0; i < items.length; i += BLOCK) {
    const h = createHash("sha256");
    for (const item of items.slice(i, i + BLOCK)) h.update(toBytes(item));
    out.push(h.digest("hex").slice(0, 16));
  }
  return out;
}
const ofIds = (ids) => u32([ids.length, ...ids]);
const ofText = (text) => {
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([u32([bytes.length]), bytes]);
};

const out = { texts: digests(all, ofText), vocabularies: {}, pretokenizers: {} };

// Tokens that sluice takes for control tokens although the file does not mark them so: their text is never shown.
const looksLikeControl = (t) => /^<\|.+\|>$/s.test(t) || /^<｜.+｜>$/s.test(t);

const kept = (part, name) => only && !only.includes(name) && old?.[part][name] && (out[part][name] = old[part][name]);

async function huggingFace(name, json, strings = all, { decode = true } = {}) {
  if (kept("vocabularies", name)) return;
  const t = Tokenizer.fromString(JSON.stringify(json));
  const hidden = new Set(json.added_tokens.filter((a) => a.special || looksLikeControl(a.content)).map((a) => a.id));
  const ids = [];
  for (const s of strings) ids.push((await t.encode(s, null, { addSpecialTokens: false })).getIds());
  const entry = { peer: version("tokenizers"), ids: digests(ids, ofIds) };
  if (decode) {
    const back = await t.decodeBatch(ids.map((list) => list.filter((id) => !hidden.has(id))), false);
    entry.text = digests(back, ofText);
  }
  if (show === name) console.error(JSON.stringify(strings[showIndex]), JSON.stringify(ids[showIndex]));
  out.vocabularies[name] = entry;
  console.error(name);
}

function tiktoken(name, ranks, pattern, special = {}) {
  if (kept("vocabularies", name)) return;
  const t = new Tiktoken(ranks, special, pattern);
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  const ids = all.map((s) => [...(Object.keys(special).length ? t.encode(s, "all") : t.encode_ordinary(s))]);
  const hidden = new Set(Object.values(special));
  const back = ids.map((list) => utf8.decode(t.decode(Uint32Array.from(list.filter((id) => !hidden.has(id))))));
  out.vocabularies[name] = { peer: version("tiktoken"), ids: digests(ids, ofIds), text: digests(back, ofText) };
  if (show === name) console.error(JSON.stringify(all[showIndex]), JSON.stringify(ids[showIndex]));
  t.free();
  console.error(name);
}

const read = (rel) => readFileSync(join(data, rel), "utf8");
const json = (rel) => JSON.parse(read(rel));
// tiktoken's JavaScript takes "! FIRST_RANK base64 base64 ..." a line.
function ranks(rel, limit = Infinity) {
  const lines = read(rel).trimEnd().split("\n").map((l) => l.split(" ")).filter(([, r]) => +r < limit);
  let text = "", expected = -1;
  for (const [token, rank] of lines) {
    if (+rank !== expected) text += `${text ? "\n" : ""}! ${rank}`;
    text += ` ${token}`;
    expected = +rank + 1;
  }
  return text;
}

const gpt2 = patterns.gpt2, llama3 = patterns.llama3, qwen = patterns.qwen2, o200k = patterns.o200k;
for (const name of ["qwen3", "smollm2", "minimind", "codegen-phi2", "deepseek_v3", "gptoss", "whisper"])
  await huggingFace(name, json(`tokenizers/${name}-tokenizer.json`));
await huggingFace("llama2-hf", json("tokenizers/llama2-tokenizer.json"));
await huggingFace("mistral-v0.3-hf", json("tokenizers/mistral-v0.3-tokenizer.json"), noByteNames, { decode: false });

tiktoken("r50k_base", ranks("tokenizers/r50k_base.tiktoken"), gpt2);
tiktoken("p50k_base", ranks("tokenizers/p50k_base.tiktoken"), gpt2);
tiktoken("cl100k_base", ranks("tokenizers/cl100k_base.tiktoken"), llama3);
tiktoken("o200k_base", ranks("tokenizers/o200k_base.tiktoken"), o200k);
tiktoken("qwen1", ranks("tokenizers/qwen1-qwen.tiktoken"), qwen);
const config = json("tokenizers/llama3-tokenizer_config.json").added_tokens_decoder;
tiktoken("llama3", ranks("tokenizers/llama3-tokenizer.model"), llama3, Object.fromEntries(Object.entries(config).map(([id, t]) => [t.content, +id])));
const tekken = json("tokenizers/mistral-tekken-240718-mini.json");
{
  const words = tekken.bpe_ranks.split(" ").slice(2, 2 + tekken.config.default_vocab_size - tekken.config.default_num_special_tokens);
  tiktoken("tekken", `! 0 ${words.join(" ")}`, tekken.config.pattern);
}

// Vocabularies that exist as GGUF only: their merges under Hugging Face's core with the pre-tokenizers that their makers publish.
for (const [name, pre] of [["falcon", "falcon"], ["mpt", "gpt-2"], ["starcoder", "starcoder"], ["refact", "starcoder"],
                           ["deepseek-llm", "deepseek-llm"], ["deepseek-coder", "deepseek-coder"], ["gpt-neox", "default"]])
  await huggingFace(`ggml-${name}`, ggufVocab(join(data, `vocab/ggml-vocab-${name}.gguf`), patterns.sequences[pre]), all, { decode: false });

// Where each pre-tokenizer cuts: a model of which every piece is one unknown token.
for (const [name, sequence] of Object.entries(patterns.sequences)) {
  if (kept("pretokenizers", name)) continue;
  const t = Tokenizer.fromString(JSON.stringify({
    version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, post_processor: null, decoder: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: sequence },
    model: { type: "WordLevel", vocab: { "?": 0 }, unk_token: "?" },
  }));
  const cuts = [];
  for (const s of all) cuts.push((await t.encode(s, null, { addSpecialTokens: false })).getOffsets().map(([from, to]) => to - from));
  out.pretokenizers[name] = { peer: version("tokenizers"), cuts: digests(cuts, ofIds) };
  if (show === name) console.error(JSON.stringify(all[showIndex]), JSON.stringify(cuts[showIndex]));
  console.error(name);
}
console.log(JSON.stringify(out).replace(/"([\w.-]+)":\{"peer"/g, '\n"$1":{"peer"').replace(/("(vocabularies|pretokenizers|ids|text|cuts)":)/g, "\n$1"));
