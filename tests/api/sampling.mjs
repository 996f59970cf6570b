// Log probabilities, bias, penalties and n in a chat, against definitions computed here from the model's own log probabilities.
import { check, client, OpenAI, request, run, same, startDemo, test } from "./harness.mjs";
import { checkSchema, checkSchemaNulls } from "./schema.mjs";

const server = await startDemo();
const openai = client(server);
const messages = [{ role: "user", content: "What is a credit?" }];
const ask = (more) => ({ model: server.model, messages, temperature: 0, max_tokens: 24, ...more });
const create = async (more) => { const r = await openai.chat.completions.create(ask(more)); checkSchema(r, "CreateChatCompletionResponse"); return r; };
const tokenize = async (text) => (await request(server, "POST", "/tokenize", { body: { model: server.model, prompt: text, add_special_tokens: false } })).body.tokens;
const idOf = async (bytes, token) => { const ids = await tokenize(token); return ids.length === 1 ? ids[0] : null; };
async function refused(more, param, code = "invalid_value") {
  const e = await openai.chat.completions.create(ask(more)).then(() => { throw new Error(`${JSON.stringify(more)} was not refused`); }, (error) => error);
  if (!(e instanceof OpenAI.APIError)) throw e;
  same([e.status, e.param, e.code ?? null], [400, param, code], e.message);
}

test("logprobs: the tokens make the text, bytes and probabilities fit", async () => {
  for (const top_logprobs of [undefined, 0, 1, 20]) {
    const { choices: [c], usage } = await create({ logprobs: true, top_logprobs, temperature: 0.8, seed: 1 });
    const list = c.logprobs.content;
    same(list.map((e) => e.token).join(""), c.message.content, "text");
    check([usage.completion_tokens, usage.completion_tokens - 1].includes(list.length), "an entry for each token but the last one that ends the text");
    for (const e of list) {
      same(Buffer.from(e.bytes).toString(), e.token, "bytes");
      same(e.top_logprobs.length, top_logprobs ?? 0, "top_logprobs");
      check(e.top_logprobs.every((t, i) => t.logprob <= 0 && (i === 0 || t.logprob <= e.top_logprobs[i - 1].logprob)), "ordered");
      const inTop = e.top_logprobs.find((t) => JSON.stringify(t.bytes) === JSON.stringify(e.bytes));
      if (inTop) same(inTop.logprob, e.logprob, "the same number");
      check(e.top_logprobs.reduce((s, t) => s + Math.exp(t.logprob), 0) < 1.00001, "no more than 1 in all");
    }
  }
  same((await create()).choices[0].logprobs, null, "not asked for");
  const greedy = (await create({ logprobs: true, top_logprobs: 1 })).choices[0].logprobs.content;
  for (const e of greedy) same(e.top_logprobs[0].bytes, e.bytes, "temperature 0 takes the likeliest");
  await refused({ top_logprobs: 3 }, "top_logprobs");
  await refused({ logprobs: true, top_logprobs: 21 }, "top_logprobs");
});

test("logprobs do not depend on temperature, bias or penalties", async () => {
  const plain = (await create({ logprobs: true, top_logprobs: 5, max_tokens: 1 })).choices[0].logprobs.content[0];
  for (const more of [{ temperature: 2, seed: 4 }, { logit_bias: { 300: 50 } }, { presence_penalty: 2, repetition_penalty: 5 }, { top_p: 0.1, top_k: 3 }])
    same((await create({ ...more, logprobs: true, top_logprobs: 5, max_tokens: 1 })).choices[0].logprobs.content[0]?.top_logprobs ?? plain.top_logprobs, plain.top_logprobs, JSON.stringify(more));
});

test("a stream has the same log probabilities, each with its text", async () => {
  const plain = (await create({ logprobs: true, top_logprobs: 2 })).choices[0];
  let text = "";
  const list = [];
  for await (const c of await openai.chat.completions.create(ask({ logprobs: true, top_logprobs: 2, stream: true }))) {
    checkSchema(c, "CreateChatCompletionStreamResponse");
    for (const { delta, logprobs } of c.choices) { text += delta.content ?? ""; list.push(...(logprobs?.content ?? [])); }
  }
  same([text, list], [plain.message.content, plain.logprobs.content]);
});

test("a stop string takes the log probabilities of its tokens away", async () => {
  const whole = (await create()).choices[0].message.content, stop = whole.slice(6, 10);
  const { choices: [c] } = await create({ stop, logprobs: true });
  const told = c.logprobs.content.map((e) => e.token).join("");
  check(told.startsWith(c.message.content) && !told.includes(stop), `${JSON.stringify(told)} for ${JSON.stringify(c.message.content)}`);
});

test("logit_bias: 100 forces a token, -100 bans it, a small one moves it", async () => {
  const first = (await create({ logprobs: true, top_logprobs: 20, max_tokens: 1 })).choices[0].logprobs.content[0];
  const words = [];
  for (const t of first.top_logprobs) words.push({ ...t, id: await idOf(t.bytes, t.token) });
  const known = words.filter((w) => w.id !== null && w.token);
  check(known.length >= 2, "tokens with a known number");
  const other = known.find((w) => w.token !== first.token) ?? known[1];
  same((await create({ max_tokens: 1, logit_bias: { [other.id]: 100 } })).choices[0].message.content, other.token, "forced");
  const own = known.find((w) => w.token === first.token);
  if (own) {
    const second = words.find((w) => w.token !== first.token);
    same((await create({ max_tokens: 1, logit_bias: { [own.id]: -100 } })).choices[0].message.content, second.token, "banned: the second is taken");
    const gap = own.logprob - other.logprob;
    if (other === second && gap < 90) {
      same((await create({ max_tokens: 1, logit_bias: { [other.id]: gap + 0.01 } })).choices[0].message.content, other.token, "just enough");
      same((await create({ max_tokens: 1, logit_bias: { [other.id]: gap - 0.01 } })).choices[0].message.content, first.token, "just not enough");
    }
  }
  for (const [bias, code] of [[{ x: 1 }, "invalid_value"], [{ "-1": 1 }, "invalid_value"], [{ "1.5": 1 }, "invalid_value"], [{ 999999999: 1 }, "invalid_value"], [{ 5: 100.01 }, "invalid_value"], [{ 5: -101 }, "invalid_value"], [{ 5: "1" }, null], [{ 5: null }, null], [{ 7: 1, "07": 1 }, "invalid_value"]])
    await refused({ logit_bias: bias }, "logit_bias", code);
});

// The choice at temperature 0 under penalties, from the bare log probabilities of the 20 likeliest: adding to logits adds the same to log
// probabilities, so the likeliest after penalties is known wherever it is among those twenty and no other could have risen above it.
test("presence and frequency penalties: each token is the likeliest after them", async () => {
  let proved = 0;
  for (const [presence_penalty, frequency_penalty] of [[2, 0], [0, 2], [1.5, 1.5], [-2, 0], [0, -1]]) {
    const { choices: [c] } = await create({ presence_penalty, frequency_penalty, logprobs: true, top_logprobs: 20, max_tokens: 60 });
    const times = new Map(), list = c.logprobs.content;
    for (const [i, e] of list.entries()) {
      const key = (t) => t.bytes.join(","), after = (t) => t.logprob - (times.has(key(t)) ? presence_penalty + frequency_penalty * times.get(key(t)) : 0);
      const best = e.top_logprobs.reduce((a, b) => (after(b) > after(a) ? b : a)), outside = e.top_logprobs.at(-1).logprob + Math.max(0, -presence_penalty - frequency_penalty * list.length);
      if (after(best) > outside) {
        const taken = e.top_logprobs.find((t) => key(t) === key(e));
        check(taken && after(taken) >= after(best) - 1e-5, `token ${i}: ${JSON.stringify(e.token)} was taken, ${JSON.stringify(best.token)} is likelier after ${presence_penalty}, ${frequency_penalty}`);
        proved++;
      }
      times.set(key(e), (times.get(key(e)) ?? 0) + 1);
    }
  }
  check(proved > 60, `only ${proved} tokens were decided`);
});

test("the prompt counts for repetition_penalty alone", async () => {
  const plain = (await create()).choices[0].message.content;
  check((await create({ repetition_penalty: 3 })).choices[0].message.content !== plain, "repetition_penalty changes the text");
  same((await create({ repetition_penalty: 3, repeat_last_n: 0 })).choices[0].message.content, plain, "repeat_last_n 0 turns it off");
  same((await create({ repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0, logit_bias: {} })).choices[0].message.content, plain, "neutral values");
  const first = (more) => create({ max_tokens: 1, ...more }).then((r) => r.choices[0].message.content);
  same(await first({ presence_penalty: 2, frequency_penalty: 2 }), await first({}), "nothing was said yet: the first token is free of both");
  await refused({ repetition_penalty: 0 }, "repetition_penalty");
  await refused({ repetition_penalty: -1 }, "repetition_penalty");
  await refused({ repeat_last_n: -2 }, "repeat_last_n");
});

test("n choices, plain and streamed, with log probabilities of their own", async () => {
  const more = { n: 4, temperature: 1.2, seed: 31, logprobs: true, top_logprobs: 1 };
  const plain = await create(more);
  same(plain.choices.map((c) => c.index), [0, 1, 2, 3]);
  for (const c of plain.choices) same(c.logprobs.content.map((e) => e.token).join(""), c.message.content, `choice ${c.index}`);
  const texts = Array(4).fill(""), finish = [], roles = [];
  let usage;
  for await (const chunk of await openai.chat.completions.create(ask({ ...more, stream: true, stream_options: { include_usage: true } }))) {
    checkSchemaNulls(chunk, "CreateChatCompletionStreamResponse");
    usage = chunk.usage ?? usage;
    for (const { index, delta, finish_reason } of chunk.choices) {
      texts[index] += delta.content ?? "";
      if (delta.role) roles.push(index);
      if (finish_reason) finish[index] = finish_reason;
    }
  }
  same([texts, finish, roles], [plain.choices.map((c) => c.message.content), plain.choices.map((c) => c.finish_reason), [0, 1, 2, 3]]);
  same([usage.prompt_tokens, usage.completion_tokens], [plain.usage.prompt_tokens, plain.usage.completion_tokens], "usage");
  same(plain.usage.prompt_tokens, (await create()).usage.prompt_tokens, "the prompt is billed once");
  same(plain.usage.prompt_tokens_details.cached_tokens, 0);
});

test("one place and a short queue change no answer", async () => {
  const narrow = await startDemo("--sequences", "1", "--queue", "20"), other = client(narrow);
  const more = { model: narrow.model, messages, n: 8, temperature: 1.1, seed: 12, max_tokens: 20 };
  const wide = await openai.chat.completions.create(more), tight = await other.chat.completions.create(more);
  same(tight.choices.map((c) => c.message.content), wide.choices.map((c) => c.message.content), "texts");
  same([tight.usage.prompt_tokens, tight.usage.completion_tokens, tight.usage.sluice.cost], [wide.usage.prompt_tokens, wide.usage.completion_tokens, wide.usage.sluice.cost], "the bill");
  const inputs = Array.from({ length: 100 }, (_, i) => `text ${i % 3}`);
  const [a, b] = await Promise.all([openai, other].map((o) => o.embeddings.create({ model: narrow.model, input: inputs, encoding_format: "float" })));
  same(b.data.map((d) => d.embedding), a.data.map((d) => d.embedding), "embeddings");
  await narrow.stop();
});

await run();
