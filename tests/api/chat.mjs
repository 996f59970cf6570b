// The official client, unmodified, against a served model.
import { atZero, check, client, nano, metric, request, run, same, skip, sleep, startDemo, test, until } from "./harness.mjs";
import { checkSchema, haveSchema } from "./schema.mjs";

const server = await startDemo();
const openai = client(server);
const messages = [{ role: "user", content: "What is sluice?" }];
const ask = (more) => ({ model: server.model, messages, temperature: 0, max_tokens: 24, ...more });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { chunks, text: chunks.map((c) => c.choices[0]?.delta?.content ?? "").join(""), finish: chunks.map((c) => c.choices[0]?.finish_reason).find(Boolean), usage: chunks.at(-1).usage };
}

test("a plain answer has text, usage and a cost", async () => {
  const { data, response } = await openai.chat.completions.create(ask()).withResponse();
  checkSchema(data, "CreateChatCompletionResponse");
  check(data.choices[0].message.content.length > 0, "no text");
  check(["stop", "length"].includes(data.choices[0].finish_reason), data.choices[0].finish_reason);
  same(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens, "total_tokens");
  check(data.usage.completion_tokens >= 1 && data.usage.completion_tokens <= 24, "completion_tokens");
  same(response.headers.get("x-sluice-cost"), `${data.usage.sluice.cost} USD`, "x-sluice-cost");
  same(response.headers.get("x-sluice-balance"), `${data.usage.sluice.balance} USD`, "x-sluice-balance");
  check(/^req_[0-9a-f]{24}$/.test(response.headers.get("x-request-id")), "x-request-id");
});

test("the cost is tokens times price, to the nano-unit, also when less came than was held", async () => {
  const { usage } = await openai.chat.completions.create(ask({ max_tokens: 400, stop: " " }));
  check(usage.completion_tokens < 400, "all that was held came");
  // the demo's price: 0.50 and 1.50 per million, so a token costs 500 and 1,500 nano-units
  same(nano(usage.sluice.cost), BigInt(usage.prompt_tokens) * 500n + BigInt(usage.completion_tokens) * 1500n, "cost");
});

test("a stream gives the same text, a role first and one finish reason", async () => {
  const plain = await openai.chat.completions.create(ask());
  const s = await collect(await openai.chat.completions.create(ask({ stream: true })));
  for (const chunk of s.chunks) checkSchema(chunk, "CreateChatCompletionStreamResponse");
  same(s.text, plain.choices[0].message.content, "text");
  same(s.finish, plain.choices[0].finish_reason, "finish_reason");
  same(s.chunks[0].choices[0].delta, { role: "assistant", content: "" }, "first delta");
  same(s.chunks.filter((c) => c.choices[0]?.finish_reason).length, 1, "finish reasons");
  same(s.usage, undefined, "usage without include_usage");
  check(s.chunks.at(-1).sluice.cost, "the last chunk carries the cost");
});

test("include_usage: the last chunk has the usage and the bill", async () => {
  const { data, response } = await openai.chat.completions.create(ask({ stream: true, stream_options: { include_usage: true } })).withResponse();
  check(/^\d+\.\d+ USD$/.test(response.headers.get("x-sluice-hold")), "x-sluice-hold");
  const s = await collect(data);
  same(s.chunks.at(-1).choices, [], "choices of the last chunk");
  check(s.chunks.slice(0, -1).every((c) => c.usage === null), "usage is null before");
  check(s.usage.completion_tokens > 0 && s.usage.prompt_tokens > 0, "counts");
  check(/^\d+\.\d+$/.test(s.usage.sluice.cost) && /^\d+\.\d+$/.test(s.usage.sluice.balance), "decimal strings");
  same(s.usage.sluice.currency, "USD");
});

test("max_tokens limits, and says so", async () => {
  const r = await openai.chat.completions.create(ask({ max_tokens: 2 }));
  same(r.usage.completion_tokens, 2);
  same(r.choices[0].finish_reason, "length");
  const newer = await openai.chat.completions.create(ask({ max_tokens: undefined, max_completion_tokens: 2 }));
  same(newer.choices[0].message.content, r.choices[0].message.content);
  const both = await openai.chat.completions.create(ask({ max_completion_tokens: 3 })); // it beats max_tokens: 24
  same(both.usage.completion_tokens, 3);
});

test("stop ends the answer before the string, across token borders", async () => {
  const whole = (await openai.chat.completions.create(ask())).choices[0].message.content;
  const stop = whole.slice(3, 8);
  check(stop.trim().length > 1, `the text is too short: ${whole}`);
  const r = await openai.chat.completions.create(ask({ stop }));
  same(r.choices[0].message.content, whole.slice(0, whole.indexOf(stop)), "text");
  same(r.choices[0].finish_reason, "stop");
  const s = await collect(await openai.chat.completions.create(ask({ stop: [stop, "zzzz"], stream: true })));
  same(s.text, whole.slice(0, whole.indexOf(stop)), "streamed text");
});

test("the same seed gives the same text, another seed another", async () => {
  const say = async (seed) => (await openai.chat.completions.create(ask({ temperature: 1.2, seed }))).choices[0].message.content;
  const [a, b] = await Promise.all([say(7), say(7)]);
  same(a, b, "text of one seed");
  const others = await Promise.all([8, 9, 10, 11].map(say));
  check(others.some((o) => o !== a), "five seeds, one text");
});

test("models: list, one, one that is not there", async () => {
  const list = await openai.models.list();
  checkSchema({ object: "list", data: list.data }, "ListModelsResponse");
  check(list.data.some((m) => m.id === server.model), "the model is listed");
  checkSchema(await openai.models.retrieve(server.model), "Model");
  const error = await openai.models.retrieve("org/none").catch((e) => e);
  same([error.status, error.code], [404, "model_not_found"]);
});

test("content as parts, developer as system", async () => {
  const parts = await openai.chat.completions.create(ask({ messages: [{ role: "user", content: [{ type: "text", text: "What is " }, { type: "text", text: "sluice?" }] }] }));
  const plain = await openai.chat.completions.create(ask());
  same(parts.choices[0].message.content, plain.choices[0].message.content);
  same(parts.usage.prompt_tokens, plain.usage.prompt_tokens);
  const as = (role) => openai.chat.completions.create(ask({ messages: [{ role, content: "Be brief." }, ...messages] }));
  same((await as("developer")).usage.prompt_tokens, (await as("system")).usage.prompt_tokens);
});

test("a control token that a user types is plain text", async () => {
  const one = await openai.chat.completions.create(ask({ messages: [{ role: "user", content: "<|im_end|>" }], max_tokens: 1 }));
  const none = await openai.chat.completions.create(ask({ messages: [{ role: "user", content: "x" }], max_tokens: 1 }));
  check(one.usage.prompt_tokens > none.usage.prompt_tokens + 1, `${one.usage.prompt_tokens} against ${none.usage.prompt_tokens} tokens`);
});

test("an abort in mid-stream stops the work and bills what was computed", async () => {
  const cancels = () => metric(server, 'sluice_ends_total{reason="cancel"}'), before = await cancels();
  for (let attempt = 0; attempt < 20 && (await cancels()) === before; attempt++) { // a model may end by itself before the abort arrives
    const stream = await openai.chat.completions.create(ask({ max_tokens: 4000, temperature: 2, stream: true }));
    for await (const chunk of stream) if (chunk.choices[0]?.delta?.content) stream.controller.abort();
    await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0);
  }
  same(await cancels(), before + 1, "cancelled");
  await atZero(server, "sluice_engine_running");
  same(await metric(server, "sluice_delivered_tokens_total"), await metric(server, 'sluice_billed_tokens_total{meter="output"}'), "delivered and billed");
});

test("an abort of a plain request stops the work too", async () => {
  const before = await metric(server, 'sluice_ends_total{reason="cancel"}');
  const controller = new AbortController();
  const p = openai.chat.completions.create(ask({ max_tokens: 5000, temperature: 1, messages: [{ role: "user", content: "Tell me a long story." }] }), { signal: controller.signal }).catch((e) => e);
  await sleep(5);
  controller.abort();
  await p;
  await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0);
  check((await metric(server, 'sluice_ends_total{reason="cancel"}')) <= before + 1, "one end");
});

test("unknown fields are ignored and named", async () => {
  const { data, response } = await openai.chat.completions.create(ask({ frobnicate: 1, "x\ny": 2, user: "u" })).withResponse();
  same(response.headers.get("x-sluice-ignored"), "frobnicate, x?y");
  check(data.choices[0].message.content.length > 0);
});

test("parallel requests agree with a lone one", async () => {
  const alone = await openai.chat.completions.create(ask({ seed: 3, temperature: 0.8 }));
  const many = await Promise.all(Array.from({ length: 12 }, () => openai.chat.completions.create(ask({ seed: 3, temperature: 0.8 }))));
  for (const m of many) same(m.choices[0].message.content, alone.choices[0].message.content);
});

test("usage and balance of the own account", async () => {
  const balance = (await request(server, "GET", "/v1/sluice/balance")).body;
  check(/^\d+\.\d+$/.test(balance.balance), JSON.stringify(balance));
  await until("the rows are there", async () => (await request(server, "GET", "/v1/sluice/usage?group=day")).body.data.length > 0);
  const rows = (await request(server, "GET", "/v1/sluice/usage?group=day")).body.data;
  check(rows.every((r) => r.requests > 0 && r.currency === "USD"), JSON.stringify(rows));
});

test("the keys of Hugging Face clients", async () => {
  const list = await client(server, { apiKey: `hf_${server.key}` }).models.list();
  check(list.data.length > 0);
});

test("an abort of a request that waits for a place takes it out of the queue", async () => {
  const narrow = await startDemo("--sequences", "1");
  const slow = new AbortController(), waits = new AbortController();
  const long = client(narrow).chat.completions.create(ask({ model: narrow.model, max_tokens: 100000, temperature: 2, seed: 1, stream: true }), { signal: slow.signal });
  const queued = client(narrow).chat.completions.create(ask({ model: narrow.model }), { signal: waits.signal }).catch((e) => e);
  await sleep(10);
  waits.abort();
  check((await queued) instanceof Error || (await queued).choices, "it ended");
  slow.abort();
  await long.then(async (s) => { for await (const c of s) void c; }).catch(() => {});
  await until("nothing runs or waits", async () => (await metric(narrow, "sluice_chats")) === 0 && (await metric(narrow, "sluice_engine_waiting")) === 0);
  same(await metric(narrow, "sluice_delivered_tokens_total"), await metric(narrow, 'sluice_billed_tokens_total{meter="output"}'), "delivered and billed");
  await narrow.stop();
});

test("no log line holds what was asked or answered", async () => {
  const word = "Xylographicon";
  const { choices } = await openai.chat.completions.create(ask({ messages: [{ role: "user", content: `Say ${word}.` }] }));
  await openai.chat.completions.create(ask({ messages: [{ role: word, content: word }] })).catch((e) => e);
  await openai.chat.completions.create(ask({ model: word })).catch((e) => e);
  await until("the lines are there", () => server.log.split("\n").length > 5);
  check(!server.log.includes(word), "the question is in the log");
  check(!server.log.includes(choices[0].message.content.slice(0, 20)), "the answer is in the log");
  check(!server.log.includes(server.key.split("-")[3]), "the key is in the log");
  for (const line of server.log.trim().split("\n")) check(typeof JSON.parse(line).time === "string", line);
});

test("OpenAI's description is here", async () => { if (!haveSchema) skip("../shared/data/openapi is absent"); });

await run();
