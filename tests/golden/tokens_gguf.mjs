// A GGUF vocabulary as the object of a tokenizer.json, for Hugging Face's core.
import { readFileSync } from "node:fs";

function metadata(path) {
  const b = readFileSync(path);
  let at = 8;
  const u32 = () => b.readUInt32LE((at += 4) - 4), u64 = () => Number(b.readBigUInt64LE((at += 8) - 8));
  const str = () => {
    const n = u64();
    return b.toString("utf8", at, (at += n));
  };
  const read = { 0: () => b[at++], 1: () => b.readInt8(at++), 4: u32, 5: () => b.readInt32LE((at += 4) - 4), 6: () => b.readFloatLE((at += 4) - 4), 7: () => !!b[at++], 8: str, 10: u64 };
  const value = (type) => {
    if (type !== 9) return read[type]();
    const of = u32(), n = u64();
    return Array.from({ length: n }, () => value(of));
  };
  u64();
  return Object.fromEntries(Array.from({ length: u64() }, () => [str(), value(u32())]));
}

const NORMAL = 1, CONTROL = 3, USER = 4;

export function ggufVocab(path, pretokenizers) {
  const m = metadata(path), tokens = m["tokenizer.ggml.tokens"], types = m["tokenizer.ggml.token_type"];
  const special = (i) => types[i] === CONTROL || types[i] === USER;
  return {
    version: "1.0", truncation: null, padding: null, normalizer: null, post_processor: null,
    added_tokens: tokens.flatMap((content, id) =>
      special(id) ? [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: types[id] === CONTROL }] : []),
    pre_tokenizer: { type: "Sequence", pretokenizers: [...pretokenizers, { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }] },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false, byte_fallback: false,
      vocab: Object.fromEntries(tokens.flatMap((t, i) => (special(i) && types[i] !== NORMAL && t.startsWith("[PAD") ? [] : [[t, i]]))),
      merges: m["tokenizer.ggml.merges"].map((pair) => pair.split(/(?<=.) /s)),
    },
  };
}
