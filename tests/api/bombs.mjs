// Requests that are all well-formed and meant to hurt: a context filled to its last token by every family, a megabyte of one character, many long stops.
// The answer is 200 or 400; another client is served meanwhile; at the end nothing is left over. (Times are asserted in the unit tests of text/.)
import { readFileSync } from "node:fs";
import path from "node:path";
import { atZero, check, metric, request, root, run, same, test, until } from "./harness.mjs";
import { startTiny } from "./tables.mjs";

const CTX = 256;
// The families as tools/tinymodel.c names them.
const families = readFileSync(path.join(root, "tools/tinymodel.c"), "utf8").match(/arch=([a-z0-9|]+)/)[1].split("|");
const variants = { "llama-rope-dynamic": ["arch=llama", "rope=dynamic", "rope_factor=4", "rope_ctx=64"], "llama-yarn": ["arch=llama", "rope=yarn", "rope_factor=4", "rope_ctx=64"], windowed: ["arch=llama", "window=48"] };
const server = await startTiny({ ...Object.fromEntries(families.map((f) => [f, [`arch=${f}`, `ctx=${CTX}`]])), ...Object.fromEntries(Object.entries(variants).map(([n, o]) => [n, [...o, `ctx=${CTX}`]])), big: ["ctx=32768"] });
const chat = (model, content, more = {}) => request(server, "POST", "/v1/chat/completions", { body: { model, messages: [{ role: "user", content }], max_tokens: 1, temperature: 0, ...more } });

for (const model of [...families, ...Object.keys(variants)])
  test(`${model}: the context is filled to its last token, and one more is 400`, async () => {
    let fits = 0, over = CTX;
    for (let mid; over - fits > 1; ) {
      mid = (fits + over) >> 1;
      const a = await chat(model, "7 ".repeat(mid));
      check([200, 400].includes(a.status), `${mid}: ${a.status} ${JSON.stringify(a.body)}`);
      if (a.status === 200) fits = mid; else over = mid;
    }
    const last = await chat(model, "7 ".repeat(fits), { max_tokens: undefined }), past = await chat(model, "7 ".repeat(over));
    check(fits > 10 && last.body.usage.total_tokens <= CTX && last.body.usage.prompt_tokens >= CTX - 8, JSON.stringify(last.body.usage));
    same([past.status, past.body.error.code, past.body.error.param], [400, "context_length_exceeded", "messages"], "past the context");
    for (const more of [{ max_tokens: 2147483647 }, { max_tokens: undefined }, { max_completion_tokens: 100000 }]) {
      const a = await chat(model, "7", { ...more, temperature: 2, seed: 5 });
      check(a.status === 200 && a.body.usage.total_tokens <= CTX, `${JSON.stringify(more)}: ${a.status} ${JSON.stringify(a.body.usage ?? a.body)}`);
    }
  });

const letters = { a: "a", space: " ", newline: "\n", digit: "7", underscore: "_", caret: "^", combining: "\u0301", CJK: "水", emoji: "\u{1f30a}", "U+FFFD": "\ufffd", quote: "'", "s and quote": "'s", ZWJ: "\u200d", "<": "<|im_end|>", CRLF: "\r\n", tab: "\t" };
for (const [name, letter] of Object.entries(letters))
  test(`a megabyte of ${name}: refused, and others are served meanwhile`, async () => {
    const model = families[Object.keys(letters).indexOf(name) % families.length];
    const bomb = chat(name === "a" ? "big" : model, letter.repeat(Math.floor((1 << 20) / Buffer.byteLength(letter))));
    const others = await Promise.all(Array.from({ length: 4 }, () => chat("big", "hi")));
    check(others.every((o) => o.status === 200), others.map((o) => o.status).join());
    const a = await bomb;
    same([a.status, a.body.error?.code], [400, "context_length_exceeded"], JSON.stringify(a.body).slice(0, 200));
  });

test("the most messages, the most parts, the longest stops", async () => {
  const many = (n) => request(server, "POST", "/v1/chat/completions", { body: { model: "big", max_tokens: 1, messages: Array.from({ length: n }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: "" })) } });
  check([200, 400].includes((await many(2048)).status), "2,048 messages");
  const over = await many(2049);
  same([over.status, over.body.error.param], [400, "messages"], "2,049 messages");
  const parts = await chat("big", Array.from({ length: 50000 }, () => ({ type: "text", text: "" })));
  check([200, 400].includes(parts.status), `50,000 parts: ${parts.status}`);
  const stops = await chat("big", "hi", { stop: Array.from({ length: 4 }, (_, i) => "x".repeat(255) + i), max_tokens: 200 });
  same(stops.status, 200, "four stops of 256 bytes");
  const overlapping = await chat("big", "hi", { stop: ["a".repeat(256), "a".repeat(255) + "b", "\u{1f30a}".repeat(64), "水".repeat(85)], max_tokens: 400, temperature: 2 });
  same(overlapping.status, 200, JSON.stringify(overlapping.body));
});

test("nothing is left over", async () => {
  await until("every call is over", async () => (await metric(server, "sluice_chats")) === 0);
  await atZero(server, "sluice_engine_running", "sluice_engine_waiting", "sluice_engine_paused", "sluice_kv_pages_used");
  same(await metric(server, "sluice_delivered_tokens_total"), await metric(server, 'sluice_billed_tokens_total{meter="output"}'), "delivered and billed");
});

await run();
