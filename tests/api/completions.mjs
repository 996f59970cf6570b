// /v1/completions with the official client: every form of the prompt, echo, log probabilities, several answers, what is refused.
import { check, client, nano, OpenAI, request, run, same, startDemo, test } from "./harness.mjs";
import { checkSchema, checkSchemaNulls } from "./schema.mjs";

const server = await startDemo();
const openai = client(server);
const prompt = "sluice is";
const ask = (more) => ({ model: server.model, prompt, temperature: 0, max_tokens: 12, ...more });
const create = async (more) => { const r = await openai.completions.create(ask(more)); checkSchemaNulls(r, "CreateCompletionResponse"); return r; };
const tokenize = async (text, more) => (await request(server, "POST", "/tokenize", { body: { model: server.model, prompt: text, ...more } })).body.tokens;
const refused = async (more, param, code) => {
  const e = await openai.completions.create(ask(more)).then(() => { throw new Error(`${JSON.stringify(more)} was not refused`); }, (error) => error);
  if (!(e instanceof OpenAI.APIError)) throw e;
  same([e.status, e.param, ...(code ? [e.code] : [])], [400, param, ...(code ? [code] : [])], e.message);
};
async function collect(more) {
  const out = { chunks: [], texts: [], finish: [], tokens: [], values: [], offsets: [], usage: null };
  for await (const c of await openai.completions.create(ask({ ...more, stream: true }))) {
    checkSchemaNulls(c, "CreateCompletionResponse");
    out.chunks.push(c);
    if (c.usage) out.usage = c.usage;
    for (const { index, text, finish_reason, logprobs } of c.choices) {
      out.texts[index] = (out.texts[index] ?? "") + text;
      if (finish_reason) out.finish[index] = finish_reason;
      if (logprobs) { out.tokens.push(...logprobs.tokens); out.values.push(...logprobs.token_logprobs); out.offsets.push(...logprobs.text_offset); }
    }
  }
  return out;
}

test("a text goes on, and is billed by the token", async () => {
  const { data, response } = await openai.completions.create(ask()).withResponse();
  checkSchema(data, "CreateCompletionResponse");
  check(data.id.startsWith("cmpl-") && data.object === "text_completion" && data.choices[0].text.length > 0, JSON.stringify(data));
  same(data.usage.prompt_tokens, (await tokenize(prompt)).length, "prompt_tokens");
  same(nano(data.usage.sluice.cost), BigInt(data.usage.prompt_tokens) * 500n + BigInt(data.usage.completion_tokens) * 1500n, "cost");
  same(response.headers.get("x-sluice-cost"), `${data.usage.sluice.cost} USD`);
  same((await create({ max_tokens: undefined, temperature: 1, seed: 5 })).usage.completion_tokens <= 16, true, "16 tokens are the default");
});

test("a string, its tokens, and arrays of both say the same", async () => {
  const one = (await create()).choices[0].text, two = (await create({ prompt: "the ledger" })).choices[0].text;
  same((await create({ prompt: await tokenize(prompt) })).choices[0].text, one, "tokens");
  const strings = await create({ prompt: [prompt, "the ledger"] });
  same(strings.choices.map((c) => [c.index, c.text]), [[0, one], [1, two]], "strings");
  const arrays = await create({ prompt: [await tokenize(prompt), await tokenize("the ledger")] });
  same(arrays.choices.map((c) => c.text), [one, two], "token arrays");
  same(strings.usage.prompt_tokens, (await tokenize(prompt)).length + (await tokenize("the ledger")).length, "prompt_tokens");
});

test("128 prompts at once; one more is refused", async () => {
  const r = await create({ prompt: Array.from({ length: 128 }, (_, i) => `number ${i % 4}`), max_tokens: 3 });
  same(r.choices.map((c) => c.index), Array.from({ length: 128 }, (_, i) => i), "indices");
  for (const c of r.choices) same(c.text, r.choices[c.index % 4].text, `choice ${c.index}`);
  await refused({ prompt: Array(129).fill("x") }, "prompt", "invalid_value");
});

test("a stream says the same, one finish reason for each choice", async () => {
  const plain = await create({ prompt: [prompt, "the ledger"], n: 2, temperature: 1, seed: 9 });
  const s = await collect({ prompt: [prompt, "the ledger"], n: 2, temperature: 1, seed: 9, stream_options: { include_usage: true } });
  same(s.texts, plain.choices.map((c) => c.text), "texts");
  same(s.finish, plain.choices.map((c) => c.finish_reason), "finish reasons");
  same([s.usage.prompt_tokens, s.usage.completion_tokens, s.usage.sluice.cost], [plain.usage.prompt_tokens, plain.usage.completion_tokens, plain.usage.sluice.cost], "usage");
  same(s.chunks.at(-1).choices, [], "the last chunk");
  check(s.chunks.slice(0, -1).every((c) => c.usage === null && !c.sluice), "no usage and no bill before it");
  const bare = await collect({ prompt: [prompt, "the ledger"], n: 2 });
  same([bare.finish.length, bare.chunks.filter((c) => c.sluice).length, bare.usage], [4, 1, null], "choices, bills, usage that was not asked for");
  check(bare.chunks.at(-1).sluice.cost, "the bill is the last chunk's");
});

test("n answers: the prompt is billed once, the first is the lone one, each seed and place has its own", async () => {
  const more = { temperature: 1.3, seed: 77, max_tokens: 10 };
  const lone = await create(more), many = await create({ ...more, n: 8 });
  same(many.choices.length, 8);
  same(many.choices[0].text, lone.choices[0].text, "the first");
  check(new Set(many.choices.map((c) => c.text)).size > 4, "they differ");
  same(many.usage.prompt_tokens, lone.usage.prompt_tokens, "prompt_tokens");
  same((await create({ ...more, n: 8 })).choices.map((c) => c.text), many.choices.map((c) => c.text), "again");
  same(nano(many.usage.sluice.cost), BigInt(many.usage.prompt_tokens) * 500n + BigInt(many.usage.completion_tokens) * 1500n, "cost");
  same((await create({ n: 3, best_of: 3 })).choices.length, 3, "best_of as n");
  await refused({ best_of: 2 }, "best_of", "invalid_value");
  await refused({ n: 9 }, "n", "invalid_value");
});

test("echo returns the prompt before the answer", async () => {
  const bare = (await create()).choices[0].text, echoed = await create({ echo: true });
  same(echoed.choices[0].text, prompt + bare);
  same((await create({ echo: true, prompt: await tokenize(prompt) })).choices[0].text, prompt + bare, "from tokens");
  same((await collect({ echo: true })).texts[0], prompt + bare, "streamed");
  const alone = await create({ echo: true, max_tokens: 0 });
  same([alone.choices[0].text, alone.choices[0].finish_reason, alone.usage.completion_tokens], [prompt, "length", 0], "max_tokens 0");
});

function checkLogprobs(lp, text, top) {
  same([lp.token_logprobs.length, lp.text_offset.length, lp.top_logprobs.length], Array(3).fill(lp.tokens.length), "lengths");
  for (const [i, t] of lp.tokens.entries()) {
    const value = lp.token_logprobs[i];
    if (!t.startsWith("bytes:")) same(Array.from(text).slice(lp.text_offset[i], lp.text_offset[i] + Array.from(t).length).join(""), t, `the text at the offset of token ${i}`);
    if (value === null) { same([i, lp.top_logprobs[0]], [0, null], "only the first has none"); continue; }
    check(value <= 0, `${value}`);
    same(lp.top_logprobs[i][t], value, `token ${i} is among its top`);
    const n = Object.keys(lp.top_logprobs[i]).length;
    check(n >= Math.min(top, 1) && n <= top + 1, `${n} alternatives`);
    check(Object.values(lp.top_logprobs[i]).reduce((s, v) => s + Math.exp(v), 0) < 1.0001, "probabilities");
  }
}

test("log probabilities of the answer: tokens, offsets, alternatives", async () => {
  for (const top of [0, 1, 5]) {
    const { choices: [c] } = await create({ logprobs: top, temperature: 0.9, seed: 4 });
    checkLogprobs(c.logprobs, c.text, top);
    same(c.logprobs.tokens.join(""), c.text, "the tokens make the text");
    const s = await collect({ logprobs: top, temperature: 0.9, seed: 4 });
    same([s.tokens, s.values, s.offsets], [c.logprobs.tokens, c.logprobs.token_logprobs, c.logprobs.text_offset], "streamed");
  }
  same((await create()).choices[0].logprobs, null, "not asked for");
  await refused({ logprobs: 6 }, "logprobs", "invalid_value");
});

test("log probabilities of an echoed prompt are those with which it was once generated", async () => {
  const said = await create({ logprobs: 2, temperature: 1, seed: 11, max_tokens: 14, stop: null });
  const { tokens: words, token_logprobs: values } = said.choices[0].logprobs;
  const all = [...await tokenize(prompt), ...(await tokenize(said.choices[0].text, { add_special_tokens: false }))];
  const again = await create({ prompt: prompt + said.choices[0].text, echo: true, logprobs: 2, max_tokens: 0 });
  const lp = again.choices[0].logprobs;
  checkLogprobs(lp, again.choices[0].text, 2);
  same(lp.token_logprobs[0], null);
  if (all.length === lp.tokens.length && lp.tokens.slice(-words.length).join("|") === words.join("|")) // the text was cut in the same way
    for (const [i, v] of values.entries()) check(Math.abs(lp.token_logprobs.at(i - words.length) - v) < 1e-4, `token ${i}: ${lp.token_logprobs.at(i - words.length)} and ${v}`);
  const both = await create({ echo: true, logprobs: 2 }), s = await collect({ echo: true, logprobs: 2 });
  checkLogprobs(both.choices[0].logprobs, both.choices[0].text, 2);
  same([s.tokens, s.values, s.offsets], [both.choices[0].logprobs.tokens, both.choices[0].logprobs.token_logprobs, both.choices[0].logprobs.text_offset], "streamed");
  const two = await create({ echo: true, logprobs: 1, n: 2, temperature: 1, seed: 3, max_tokens: 4 });
  for (const c of two.choices) { checkLogprobs(c.logprobs, c.text, 1); same(c.logprobs.tokens.slice(0, 2), two.choices[0].logprobs.tokens.slice(0, 2), "both have the prompt"); }
});

test("tokens that are parts of characters are told of as bytes", async () => {
  const text = "Grüße, 世界 🌊!";
  const { choices: [c] } = await create({ prompt: text, echo: true, logprobs: 3, max_tokens: 0 });
  checkLogprobs(c.logprobs, c.text, 3);
  const bytes = (t) => (t.startsWith("bytes:") ? Buffer.from(t.slice(6).replace(/\\x(..)|([^])/g, (_, hex, plain) => hex ?? Buffer.from(plain).toString("hex")), "hex") : Buffer.from(t));
  same(Buffer.concat(c.logprobs.tokens.map(bytes)).toString(), text, "the tokens make the text");
  check(c.logprobs.tokens.some((t) => t.startsWith("bytes:")), `no half character among ${JSON.stringify(c.logprobs.tokens)}`);
  // 🌊 is forced byte by byte: nothing goes out before it is whole, and its four tokens are told of with it
  const ids = await tokenize("🌊", { add_special_tokens: false });
  if (ids.length < 2) return;
  const first = await openai.chat.completions.create({ model: server.model, messages: [{ role: "user", content: "x" }], temperature: 0, max_tokens: 2, logprobs: true, logit_bias: { [ids[0]]: 100 } });
  same(first.choices[0].logprobs.content.map((e) => e.bytes.length), [1, 1], "two half characters");
  check(/^\ufffd+$/.test(first.choices[0].message.content), JSON.stringify(first.choices[0].message.content));
});

test("a stop string ends the text, and the tokens after it are not told of", async () => {
  const whole = await create({ max_tokens: 30 }), text = whole.choices[0].text, stop = text.slice(5, 9);
  const r = await create({ max_tokens: 30, stop, logprobs: 1 });
  same([r.choices[0].text, r.choices[0].finish_reason], [text.slice(0, text.indexOf(stop)), "stop"]);
  check(r.choices[0].logprobs.tokens.join("").startsWith(r.choices[0].text), "the tokens cover the text");
  same((await collect({ max_tokens: 30, stop, logprobs: 1 })).tokens, r.choices[0].logprobs.tokens, "streamed");
});

test("what is echoed has a size that a request can carry", async () => {
  const long = Array(9).fill((await tokenize("a b c d e f g h ".repeat(40))).slice(0, 256));
  await refused({ prompt: long, echo: true, logprobs: 1, max_tokens: 1, stream: true }, "logprobs", "invalid_value");
  same((await create({ prompt: long, echo: true, logprobs: 1, max_tokens: 0 })).choices.length, 9, "plain");
  await refused({ prompt: Array(128).fill("x".repeat(900)), n: 4, echo: true, max_tokens: 1, stream: true }, "echo", "invalid_value");
});

test("control tokens in a raw prompt are recognised", async () => {
  check((await create({ prompt: "<|im_end|>", max_tokens: 1 })).usage.prompt_tokens < (await create({ prompt: "<|im_en|>d", max_tokens: 1 })).usage.prompt_tokens, "one token");
});

test("what is wrong is named", async () => {
  await refused({ prompt: "" }, "prompt", "invalid_value");
  await refused({ prompt: [] }, "prompt", "invalid_value");
  await refused({ prompt: [1, "a"] }, "prompt");
  await refused({ prompt: ["a", 1] }, "prompt[1]");
  await refused({ prompt: [[1], [99999999]] }, "prompt[1]", "invalid_value");
  await refused({ prompt: 7 }, "prompt");
  await refused({ prompt: "a b ".repeat(100000) }, "prompt", "context_length_exceeded");
  await refused({ prompt: ["x", "a b ".repeat(4500)] }, "prompt[1]", "context_length_exceeded");
  await refused({ suffix: "x" }, "suffix", "invalid_value");
  await refused({ stream_options: { include_usage: true } }, "stream_options", "invalid_value");
  await refused({ logit_bias: { 99999999: 1 } }, "logit_bias", "invalid_value");
  const unknown = await openai.completions.create(ask({ model: "none" })).catch((e) => e);
  same([unknown.status, unknown.code], [404, "model_not_found"]);
  const before = (await request(server, "GET", "/v1/sluice/balance")).body.balance;
  await refused({ prompt: [] }, "prompt");
  same((await request(server, "GET", "/v1/sluice/balance")).body.balance, before, "an error before the hold costs nothing");
});

await run();
