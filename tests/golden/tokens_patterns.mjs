// The pre-tokenizers as the models' own tokenizer.json files write them (expressions of Oniguruma), by the name that GGUF gives them.
const split = (regex) => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const digits = (individual) => ({ type: "Digits", individual_digits: individual });
const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const CONTRACTION = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`;
const BLANKS = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const llama = (numbers, contraction = CONTRACTION + "|") =>
  contraction + String.raw`[^\r\n\p{L}\p{N}]?\p{L}+|` + numbers + String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|` + BLANKS;
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const cased = (numbers, suffix, upper = UPPER, lower = LOWER, tail = String.raw`[\r\n/]*`) =>
  String.raw`[^\r\n\p{L}\p{N}]?${upper}*${lower}+${suffix}|[^\r\n\p{L}\p{N}]?${upper}+${lower}*${suffix}|` + numbers +
  String.raw`| ?[^\s\p{L}\p{N}]+${tail}|` + BLANKS;
const O200K = cased(String.raw`\p{N}{1,3}`, CONTRACTION + "?");
const WORD3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" + String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`;
const DEEPSEEK3 = WORD3 + String.raw`| ?[\p{P}\p{S}]+[\r\n]*|` + BLANKS;
const CJK3 = "[一-龥\u3040-ゟ゠-ヿ]+";
const CASED_LETTERS =
  "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕ" +
  "ℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃";
const BLOOM = String.raw` ?[^(\s|.,!?…。，、।۔،)]+`;
const gpt2 = split(GPT2);
const HAN = "&&[^\\p{Han}]]";
const not = (set) => set.slice(0, -1) + HAN;

export const patterns = {
  gpt2: GPT2,
  llama3: llama(String.raw`\p{N}{1,3}`),
  qwen2: llama(String.raw`\p{N}`),
  o200k: O200K,
  sequences: {
    "gpt-2": [gpt2],
    "llama-bpe": [split(llama(String.raw`\p{N}{1,3}`))],
    qwen2: [split(llama(String.raw`\p{N}`))],
    qwen35: [split(CONTRACTION + String.raw`|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|` + BLANKS)],
    "jais-2": [split(CONTRACTION + String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|` +
      String.raw`\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`)],
    minicpm5: [split(String.raw`\p{N}{1,3}`), split(llama(String.raw`\p{N}+`))],
    laguna: [split(String.raw`[^\n]+|[\n]+`), split(llama(String.raw`\p{N}`))],
    ufakzeka: [split(llama(String.raw`\p{N}`, ""))],
    "seed-coder": [split(CONTRACTION + String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|` + BLANKS)],
    bailingmoe: [split(String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`)],
    "exaone-moe": [split(CONTRACTION + String.raw`|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`)],
    starcoder: [digits(true), gpt2],
    falcon: [{ type: "Punctuation", behavior: "Contiguous" }, gpt2, split("[0-9][0-9][0-9]")],
    default: [split(String.raw`[\p{P}\$\+<=>\^~\|]+`), gpt2, split(String.raw`\p{N}+`), split("[0-9][0-9][0-9]")],
    "gpt-4o": [split(O200K)],
    tekken: [split(cased(String.raw`\p{N}`, ""))],
    tiny_aya: [split(String.raw`\d{1,3}(?=(?:\d{3})*\b)`), split(O200K)],
    youtu: [split("[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+"), split(cased(String.raw`\p{N}`, CONTRACTION + "?"))],
    "kimi-k2": [split(String.raw`[\p{Han}]+|` + cased(String.raw`\p{N}{1,3}`, CONTRACTION + "?", not(UPPER), not(LOWER), String.raw`[\r\n]*`))],
    "deepseek-llm": [split("[\r\n]"), split(String.raw`\s?[` + CASED_LETTERS + "]+"), split("\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"), split(String.raw`\s+$`),
      split("[一-龥ࠀ-一가-\ud7ff]+"), digits(true)],
    "deepseek-coder": [split("[\r\n]"), split(String.raw`\s?\p{L}+`), split(String.raw`\s?\p{P}+`), split("[一-龥ࠀ-一가-\ud7ff]+"), digits(true)],
    "deepseek-v3": [split(String.raw`\p{N}{1,3}`), split(CJK3), split(DEEPSEEK3)],
    spark2_5: [split(String.raw`\p{N}{1,3}`), split(CJK3), split(WORD3 + String.raw`| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`), digits(true)],
    afmoe: [split(String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`),
      split("[一-鿿㐀-䶿\uf900-\ufaff\u3040-ゟ゠-ヿ･-ﾟ\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+"), split(DEEPSEEK3)],
    bloom: [split(BLOOM)],
    viking: [split(BLOOM), split(String.raw`\p{N}`)],
  },
};
