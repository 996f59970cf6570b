// Each class of error, as the official client sees it, and those that only raw bytes can reach. Every body has OpenAI's form.
import { readFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { check, client, metric, OpenAI, request, root, run, same, sleep, startDemo, startFake, test, until } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";
import { scopes, startTiny } from "./tables.mjs";

const server = await startDemo();
const openai = client(server);
const ask = (more) => ({ model: server.model, messages: [{ role: "user", content: "hi" }], max_tokens: 4, ...more });

// Raw bytes, then silence (or what `more` sends); {status, headers, error} of the one answer, once the server has closed or answered.
const raw = (bytes, more) => new Promise((done, fail) => {
  const s = net.connect(Number(new URL(server.url).port), "127.0.0.1"), parts = [];
  const timer = setTimeout(() => { s.destroy(); fail(new Error("no answer in 60 s")); }, 60000);
  s.on("data", (d) => parts.push(d)).on("error", () => {}).on("close", () => {
    clearTimeout(timer);
    const [head, body] = Buffer.concat(parts).toString().split("\r\n\r\n");
    try { done({ status: Number(head.slice(9, 12)), head, body: JSON.parse(body) }); } catch { fail(new Error(`no answer in JSON: ${head} ${body}`)); }
  });
  s.write(bytes);
  more?.(s);
});
const POST = (...headers) => `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${server.key}\r\nContent-Type: application/json\r\n${headers.map((h) => `${h}\r\n`).join("")}\r\n`;
const drip = (s) => { const t = setInterval(() => s.write("x"), 900); s.on("close", () => clearInterval(t)); };
// These two take the server's own deadlines (10 s): begun now, looked at below.
const slowHead = raw("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX: ", drip).catch((e) => e);
const slowBody = raw(POST("Content-Length: 100000"), drip).catch((e) => e);

async function refused(promise, status, code, param) {
  const e = await promise.then(() => { throw new Error("was not refused"); }, (error) => error);
  if (!(e instanceof OpenAI.APIError)) throw e;
  same([e.status, e.code, e.param ?? null], [status, code, param ?? null], e.message);
  return e;
}

test("401: no key, a wrong key, a key with a broken end: one text", async () => {
  const texts = [];
  for (const apiKey of ["sk-none", "sk-sluice-aaaaaaaaaa-bbbbbbbb-cccccc", `${server.key.slice(0, -1)}~`])
    texts.push((await refused(client(server, { apiKey }).chat.completions.create(ask()), 401, "invalid_api_key")).message);
  same(new Set(texts).size, 1, "texts");
  const none = await request(server, "POST", "/v1/chat/completions", { key: null, body: ask() });
  same([none.status, none.body.error.code], [401, "invalid_api_key"]);
  checkSchema(none.body, "ErrorResponse");
});

test("404: an unknown model, an unknown route, an admin route", async () => {
  await refused(openai.chat.completions.create(ask({ model: "none" })), 404, "model_not_found", "model");
  const nowhere = await request(server, "GET", "/v1/nowhere");
  same([nowhere.status, nowhere.body.error.code], [404, "unknown_url"]);
  for (const [method, where] of [["GET", "/admin/accounts"], ["POST", "/admin/accounts"], ["GET", "/admin/audit"]]) {
    const r = await request(server, method, where, method === "POST" ? { body: { name: "x" } } : {});
    same([r.status, r.body.error.code], [404, "unknown_url"], where);
  }
});

test("405: a wrong method", async () => same((await request(server, "GET", "/v1/chat/completions")).status, 405));

test("400: no JSON, no object, no messages", async () => {
  for (const [body, param] of [["{", null], ["[]", null], ['{"model":"x"}', "messages"], [`{"model":"${server.model}","messages":"hi"}`, "messages"],
    [`{"model":"${server.model}","messages":[]}`, "messages"], [`{"model":"${server.model}","model":"x","messages":[]}`, "model"]]) {
    const r = await request(server, "POST", "/v1/chat/completions", { body });
    same([r.status, r.body.error?.param ?? null], [400, param], body);
    checkSchema(r.body, "ErrorResponse");
  }
});

test("400: messages, each fault by its name", async () => {
  const ok = { role: "user", content: "hi" };
  for (const [bad, param] of [[{ role: "robot", content: "x" }, "messages[1].role"], [{ content: "x" }, "messages[1].role"], [{ role: "user" }, "messages[1].content"],
    [{ role: "user", content: 7 }, "messages[1].content"], [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }, "messages[1].content"],
    [{ role: "user", content: [] }, "messages[1].content"], [{ role: "tool", content: "x" }, "messages[1].role"], ["x", "messages[1]"]]) {
    const r = await request(server, "POST", "/v1/chat/completions", { body: ask({ messages: [ok, bad] }) });
    same([r.status, r.body.error.param], [400, param], JSON.stringify(bad));
  }
});

test("400: what a later version will know", async () => {
  for (const [field, value] of Object.entries({ tools: [{ type: "function", function: { name: "f" } }], response_format: { type: "json_object" }, functions: [{ name: "f" }],
    function_call: { name: "f" }, tool_choice: "required", modalities: ["audio"] }))
    await refused(openai.chat.completions.create(ask({ [field]: value })), 400, "unsupported_parameter", field);
  const neutral = { tools: [], response_format: { type: "text" }, logprobs: false, n: 1, logit_bias: {}, presence_penalty: 0, frequency_penalty: 0.0, tool_choice: "auto", metadata: { a: "b" }, store: false };
  check((await openai.chat.completions.create(ask(neutral))).choices.length === 1);
});

test("400: stream_options without stream, too many stops", async () => {
  await refused(openai.chat.completions.create(ask({ stream_options: { include_usage: true } })), 400, "invalid_value", "stream_options");
  await refused(openai.chat.completions.create(ask({ stop: ["a", "b", "c", "d", "e"] })), 400, "invalid_value", "stop");
  await refused(openai.chat.completions.create(ask({ stop: "" })), 400, "invalid_value", "stop");
});

test("400: a conversation past the context", async () => {
  await refused(openai.chat.completions.create(ask({ messages: [{ role: "user", content: "long ".repeat(200000) }] })), 400, "context_length_exceeded", "messages");
  await refused(openai.chat.completions.create(ask({ messages: [{ role: "user", content: "a b ".repeat(4500) }] })), 400, "context_length_exceeded", "messages");
});

test("413: a body past 8 MiB", async () => {
  const r = await request(server, "POST", "/v1/chat/completions", { body: ask({ messages: [{ role: "user", content: "x".repeat(9 << 20) }] }) }).catch((e) => e);
  same([r.status, r.body?.error?.code], [413, "request_too_large"]);
});

test("what the reader refuses: each with its status, OpenAI's form and a closed connection", async () => {
  for (const [bytes, status, code] of [
    [POST("Content-Length: 99999999"), 413, "request_too_large"], [POST("Content-Length: 5", "Content-Encoding: gzip") + "hello", 415, "unsupported_media_type"], [POST("Transfer-Encoding: gzip, chunked"), 501, "not_implemented"],
    [POST("Content-Length: 2", "Expect: tea") + "{}", 417, "expectation_failed"], [POST(`X: ${"a".repeat(9000)}`), 431, "header_too_large"], [POST(...Array.from({ length: 70 }, (_, i) => `X-${i}: a`)), 431, "header_too_large"],
    [`GET /${"a".repeat(9000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414, "uri_too_long"], ["GET /v1/models HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "http_version"],
    ["GET /v1/models HTTP/1.1\r\n\r\n", 400, null], [POST("Content-Length: 1", "Content-Length: 2"), 400, null], ["\x16\x03\x01\x00\xa5\x01", 400, null], ["GET /v1/models HTTP/1.1\nHost: localhost\n\n", 400, null],
    [POST("Transfer-Encoding: chunked") + "ffffffff1\r\n", 400, null], [POST("Transfer-Encoding: chunked") + "900000\r\n", 413, "request_too_large"]]) {
    const a = await raw(bytes);
    same([a.status, a.body.error.code], [status, code], bytes.slice(0, 60));
    checkSchema(a.body, "ErrorResponse");
    check(/\r\nconnection: close/i.test(a.head) && /\r\nx-request-id: req_/i.test(a.head), a.head);
  }
});

test("415: a body that says it is something else", async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
    const r = await request(server, "POST", "/v1/chat/completions", { body: ask(), headers: { "content-type": type } });
    same([r.status, r.body.error.code], [415, "unsupported_media_type"], type);
    checkSchema(r.body, "ErrorResponse");
  }
});

test("408: a head and a body that come too slowly", async () => {
  for (const [name, promise] of [["head", slowHead], ["body", slowBody]]) {
    const a = await promise;
    if (a instanceof Error) throw a;
    same([a.status, a.body.error.code, a.body.error.type], [408, "request_timeout", "timeout_error"], name);
    checkSchema(a.body, "ErrorResponse");
  }
});

test("503 when the queue is full: Retry-After, tried again by the client, and nothing is billed for it", async () => {
  const narrow = await startTiny({ tiny: ["vocab=65536", "ctx=65536"] }, ["--sequences", "1", "--queue", "1"]), stop = new AbortController();
  const long = { model: narrow.model, messages: [{ role: "user", content: "Tell a long story." }], temperature: 2, max_tokens: 100000, stream: true };
  const running = Array.from({ length: 2 }, (_, seed) => client(narrow).chat.completions.create({ ...long, seed }, { signal: stop.signal }).then(async (s) => { for await (const c of s) void c; }).catch((e) => e));
  await until("one runs and one waits", async () => (await metric(narrow, "sluice_engine_running")) + (await metric(narrow, "sluice_engine_waiting")) === 2);
  const e = await client(narrow).chat.completions.create({ ...long, stream: false, max_tokens: 1 }).catch((error) => error);
  same([e.status, e.code, e.type, e.headers?.get("x-should-retry")], [503, "overloaded", "server_error", "true"], e.message);
  check(Number(e.headers.get("retry-after")) >= 1, `Retry-After: ${e.headers.get("retry-after")}`);
  checkSchema({ error: e.error }, "ErrorResponse");
  const answers = await Promise.all(Array.from({ length: 8 }, () => request(narrow, "POST", "/v1/chat/completions", { body: { ...long, stream: false, max_tokens: 1 } })));
  check(answers.every((a) => a.status === 503 && a.headers["retry-after"]), answers.map((a) => a.status).join());
  stop.abort();
  await Promise.all(running);
  await until("nothing runs", async () => (await metric(narrow, "sluice_engine_running")) + (await metric(narrow, "sluice_engine_waiting")) === 0);
  await until("all is billed", async () => (await metric(narrow, "sluice_delivered_tokens_total")) === (await metric(narrow, 'sluice_billed_tokens_total{meter="output"}')));
  await narrow.stop();
});

test("403: another machine's name in Host", async () => {
  const r = await request(server, "GET", "/v1/models", { headers: { host: "evil.example:8000" } });
  same(r.status, 403);
  same((await request(server, "GET", "/health", { headers: { host: "localhost" } })).status, 200);
});

test("no answer allows another origin", async () => {
  const r = await request(server, "GET", "/v1/models", { headers: { origin: "http://evil.example" } });
  check(!Object.keys(r.headers).some((h) => h.startsWith("access-control")), JSON.stringify(r.headers));
});

test("429 without credit: insufficient_quota, not tried again", async () => {
  const fake = await startFake("0.000001", "1", "1");
  let calls = 0;
  const counting = client(fake, { maxRetries: 2, fetch: (...a) => (calls++, fetch(...a)) });
  const e = await refused(counting.chat.completions.create({ model: "hold", messages: [{ role: "user", content: "hello" }], max_tokens: 1000 }), 429, "credit_balance_exhausted");
  same(calls, 1, "calls");
  same(e.type, "insufficient_quota");
  same(e.headers.get("x-should-retry"), "false");
  check(/0\.000001/.test(e.message), `no balance in: ${e.message}`);
  await fake.stop();
});

test("503 when busy: tried again; 500 in the middle of a stream", async () => {
  const fake = await startFake("10", "1", "1");
  let calls = 0;
  const counting = client(fake, { maxRetries: 1, fetch: (...a) => (calls++, fetch(...a)) });
  await refused(counting.chat.completions.create({ model: "refuse", messages: [{ role: "user", content: "x" }], max_tokens: 1 }), 503, "overloaded");
  same(calls, 2, "calls");
  await refused(client(fake).chat.completions.create({ model: "fail", messages: [{ role: "user", content: "x" }], max_tokens: 9 }), 500, "internal_error");
  const stream = await client(fake).chat.completions.create({ model: "fail", messages: [{ role: "user", content: "x" }], max_tokens: 9, stream: true });
  let text = "", error = null;
  try {
    for await (const c of stream) text += c.choices[0]?.delta?.content ?? "";
  } catch (e) { error = e; }
  same(text, "0 1 2 ", "text before the break");
  check(error instanceof OpenAI.APIError, `no error: ${error}`);
  await fake.stop();
});

test("every route of the tables asks for what its row says", async () => {
  const rows = [];
  for (const [file, pattern] of [["routes", /^ROUTE\((\w+), +"([^"]+)", +(\w+),/gm], ["admin", /^ADMIN\(\w+, +(\w+), +()"([^"]+)"\)/gm]])
    for (const m of readFileSync(path.join(root, `src/api/${file}.def`), "utf8").matchAll(pattern)) rows.push(file === "admin" ? [m[1], m[3], "ADMIN"] : [m[1], m[2], m[3]]);
  check(rows.length > 18, `${rows.length} rows`);
  const id = (await openai.chat.completions.create(ask({ max_tokens: 1 }))).id;
  for (const [method, pattern, access] of rows) {
    const where = pattern.replace(/^\/v1\/organization\/.*/, "$&?start_time=0").replace("{model*}", server.model).replace("{file}", "app.js").replace("{id}", id), body = method === "POST" ? "{}" : undefined;
    const without = (await request(server, method, where, { key: null, body })).status, wrong = (await request(server, method, where, { key: "sk-x", body })).status;
    const key = scopes.includes(access.toLowerCase()), member = ["SIGNED_IN", "VIEWER", "DEVELOPER", "MANAGER", "OWNER"].includes(access);
    // No provider is set here: nobody can sign in (sign_in.mjs).
    const wanted = key || member ? 401 : where.startsWith("/auth/") || access === "ADMIN" ? 404 : { PUBLIC: 200, PAGE: 200, LOCAL: 200 }[access];
    same([without, wrong], [wanted, wanted], `${method} ${where} (${access})`);
    if (key && method === "GET") same((await request(server, method, where)).status, 200, `${where} with a key`);
  }
});

test("what ends when the server ends says so", async () => {
  const fake = await startFake("10", "1", "1");
  const stream = await client(fake).chat.completions.create({ model: "slow", messages: [{ role: "user", content: "x" }], max_tokens: 1000, stream: true });
  await sleep(50);
  const read = (async () => { for await (const c of stream) void c; })().catch((e) => e);
  await fake.stop(); // checks the exit status and the audit
  await read;
});

await run();
