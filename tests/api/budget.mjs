// Money stops work: exactly as many requests as the credit pays for, and no balance below zero.
import { check, cli, client, metric, nano, openChat, request, run, same, startFake, test, until } from "./harness.mjs";

const content = "x".repeat(100); // the fake's vocabulary is bytes, its template the bare content: 100 tokens
const body = (model, more) => ({ model, messages: [{ role: "user", content }], ...more });
const balance = async (server) => (await request(server, "GET", "/v1/sluice/balance")).body;

test("1,000 parallel requests of known cost on money for ten: ten admitted", async () => {
  // 100 tokens at 5 and 50 at 10 per million: 0.001 each; ten of them are 0.01
  const server = await startFake("0.01", "5", "10");
  const all = Array.from({ length: 1000 }, () => openChat(server, server.key, body("hold", { max_tokens: 50 })));
  await until("990 are refused", () => all.filter((r) => r.status !== null).length >= 990);
  await until("ten run", async () => (await metric(server, "sluice_engine_running")) === 10);
  const refused = all.filter((r) => r.status !== null);
  same(refused.length, 990, "refused");
  check(refused.every((r) => r.status === 429 && r.error.type === "insufficient_quota" && /0\.00 USD left.*0\.001 USD/.test(r.error.message)), JSON.stringify(refused.find((r) => r.status !== 429) ?? refused[0]));
  same((await balance(server)), { object: "sluice.balance", account: "acme", balance: "0.00", held: "0.01", currency: "USD" }, "while they run");
  for (const r of all) r.close();
  await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0);
  await until("all is released", async () => (await balance(server)).held === "0.00");
  // each of the ten is billed its prompt, 0.0005, and no output
  same((await balance(server)).balance, "0.005", "what is left");
  await server.stop();
});

test("without max_tokens every stream that the credit ends says so, and the balance stays above zero", async () => {
  // money for 20 prompts of 100 tokens and about 4,000 output tokens at 1 per million each
  const server = await startFake("0.006", "1", "1");
  const openai = client(server);
  let lowest = 1n;
  const watch = setInterval(async () => { const b = await balance(server).catch(() => null); if (b?.balance && nano(b.balance) < lowest) lowest = nano(b.balance); }, 20);
  const answers = await Promise.all(Array.from({ length: 20 }, async () => {
    const seen = { text: "", finish: null, details: null, usage: null };
    try {
      for await (const c of await openai.chat.completions.create(body("count", { stream: true, stream_options: { include_usage: true } }))) {
        seen.text += c.choices[0]?.delta?.content ?? "";
        if (c.choices[0]?.finish_reason) [seen.finish, seen.details] = [c.choices[0].finish_reason, c.choices[0].finish_details];
        if (c.usage) seen.usage = c.usage;
      }
    } catch (e) { seen.error = e; }
    return seen;
  }));
  clearInterval(watch);
  const served = answers.filter((a) => !a.error);
  check(served.length >= 2, `only ${served.length} were served`);
  check(answers.filter((a) => a.error).every((a) => a.error.status === 429), "the others are refused with 429");
  for (const a of served) {
    same([a.finish, a.details?.type], ["length", "budget"], "its end");
    check(/credit/.test(a.details.message), a.details.message);
    // "0 1 2 ...": each token that was billed arrived, and none more
    same(a.text.trim().split(" ").length, a.usage.completion_tokens, "tokens delivered and billed");
    // never more was computed than was held, so nothing had to be given away
    same(nano(a.usage.sluice.cost), BigInt(100 + a.usage.completion_tokens) * 1000n, "cost");
    check(nano(a.usage.sluice.balance) >= 0n, a.usage.sluice.balance);
  }
  const spent = served.reduce((sum, a) => sum + nano(a.usage.sluice.cost), 0n), left = nano((await balance(server)).balance);
  same(spent + left, nano("0.006"), "spent and left");
  check(lowest >= 0n, `the balance fell to ${lowest}`);
  // the last slices are small: what stays is less than one least slice for each stream that ended
  check(left < 16n * 1000n * 20n, `${left} nano-units stayed unused`);
  await server.stop();
});

test("a stream goes on without a stall while credit is there, and a plain answer too", async () => {
  const server = await startFake("10", "1", "1");
  const openai = client(server);
  const { usage } = await openai.chat.completions.create(body("count", { max_tokens: 1500 }));
  same(usage.completion_tokens, 1500);
  let count = 0, last = Date.now(), worst = 0;
  const controller = new AbortController();
  try {
    for await (const c of await openai.chat.completions.create(body("count", { stream: true }), { signal: controller.signal })) {
      if (!c.choices[0]?.delta?.content) continue;
      count += c.choices[0].delta.content.trim().split(" ").length;
      worst = Math.max(worst, Date.now() - last);
      last = Date.now();
      if (count > 3000) controller.abort();
    }
  } catch (e) { if (e.name !== "APIUserAbortError" && e.name !== "AbortError") throw e; }
  check(count > 3000, `${count} tokens`);
  check(worst < 20000, `a gap of ${worst} ms`); // of these the machine may make short ones
  await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0);
  await server.stop();
});

test("a client that leaves while its hold is asked for costs nothing", async () => {
  const server = await startFake("1", "1", "1");
  for (let i = 0; i < 200; i++) {
    const r = openChat(server, server.key, body("hold", { max_tokens: 10 }));
    if (i % 2) await new Promise((done) => setTimeout(done, i % 7));
    r.close();
  }
  await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0 && (await metric(server, "sluice_engine_running")) === 0);
  await until("all is released", async () => (await balance(server)).held === "0.00");
  const b = nano((await balance(server)).balance), usage = JSON.parse((await cli(["usage", "--group", "request", "--json"], { data: server.data })).out);
  same(usage.reduce((sum, r) => sum + nano(r.cost), 0n) + b, nano("1"), "rows and balance");
  check(usage.every((r) => r.output === 0), "no output");
  await server.stop();
});

test("credit that comes while a stream runs is used", async () => {
  const server = await startFake("0.0003", "0", "1"); // 300 tokens: a slice of 256, then less than the next
  const seen = client(server).chat.completions.create(body("slow", { stream: true, max_tokens: undefined }));
  const stream = await seen;
  const r = await cli(["grant", "create", "acme", "1"], { data: server.data });
  same(r.code, 0, r.err);
  let n = 0;
  for await (const c of stream) if (c.choices[0]?.delta?.content && ++n === 3) break;
  same(n, 3);
  await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0);
  await server.stop();
});

test("several answers and prompts are one hold and one row: held is every token that may come, billed is every one that came", async () => {
  const server = await startFake("1", "5", "10"), openai = client(server);
  const row = async (id) => JSON.parse((await cli(["usage", "--group", "request", "--json"], { data: server.data })).out).find((r) => r.request === id);
  const waiting = openChat(server, server.key, body("hold", { max_tokens: 50, n: 4 }));
  await until("four run", async () => (await metric(server, "sluice_engine_running")) === 4);
  same((await balance(server)).held, "0.0025", "100 prompt tokens at 5 and 4 x 50 at 10 per million");
  waiting.close();
  await until("all is released", async () => (await balance(server)).held === "0.00");
  same((await balance(server)).balance, "0.9995", "the prompt was computed, once");
  const { data, response } = await openai.completions.create({ model: "count", prompt: [content, "y".repeat(30)], n: 3, max_tokens: 20 }).withResponse();
  same([data.usage.prompt_tokens, data.usage.completion_tokens], [130, 120]);
  same(nano(data.usage.sluice.cost), 130n * 5000n + 120n * 10000n, "cost");
  const { request_id, input, output, ...rest } = await (async () => { let r; await until("the row is there", async () => (r = await row(response.headers.get("x-request-id")))); return { ...r, request_id: r.request }; })();
  same([input, output, nano(rest.cost)], [130, 120, nano(data.usage.sluice.cost)], "the usage row");
  await server.stop();
});

test("without max_tokens the credit ends several answers, each says so, and none is given away", async () => {
  const server = await startFake("0.004", "1", "1"), openai = client(server);
  const texts = ["", "", ""], ends = [];
  let usage;
  for await (const c of await openai.chat.completions.create(body("count", { n: 3, stream: true, stream_options: { include_usage: true } }))) {
    usage = c.usage ?? usage;
    for (const { index, delta, finish_reason, finish_details } of c.choices) {
      texts[index] += delta.content ?? "";
      if (finish_reason) ends[index] = [finish_reason, finish_details?.type];
    }
  }
  same(ends, Array(3).fill(["length", "budget"]));
  same(texts.reduce((n, t) => n + t.trim().split(" ").length, 0), usage.completion_tokens, "tokens delivered and billed");
  same(nano(usage.sluice.cost), BigInt(100 + usage.completion_tokens) * 1000n, "cost");
  check(usage.completion_tokens > 3900 - 3 * 16 && nano(usage.sluice.balance) >= 0n, `${usage.completion_tokens} tokens, ${usage.sluice.balance} left`);
  await server.stop();
});

test("a killed server bills several answers to the token", async () => {
  const server = await startFake("1", "1", "1"), openai = client(server);
  const texts = ["", "", ""];
  const read = (async () => {
    for await (const c of await openai.chat.completions.create(body("slow", { n: 3, stream: true, max_tokens: 100 }))) for (const { index, delta } of c.choices) texts[index] += delta.content ?? "";
  })().catch(() => {});
  await until("tokens come", () => texts.every((t) => t.length > 3));
  server.stopped = true;
  server.child.kill("SIGKILL");
  await Promise.all([server.ended, read]);
  const audit = await cli(["audit"], { data: server.data });
  same(audit.code, 0, audit.out + audit.err);
  const rows = JSON.parse((await cli(["usage", "--group", "request", "--json"], { data: server.data })).out), came = texts.reduce((n, t) => n + t.trim().split(" ").length, 0);
  same([rows.length, rows[0].input, nano(rows[0].cost)], [1, 100, BigInt(100 + rows[0].output) * 1000n], "one row");
  check(rows[0].output >= came && rows[0].output <= came + 3, `${rows[0].output} billed, ${came} arrived`);
});

test("an embedding that no model gives is an error, and what was computed is billed", async () => {
  const server = await startFake("1", "1", "1");
  const r = await request(server, "POST", "/v1/embeddings", { body: { model: "count", input: ["a", "b"] } });
  same([r.status, r.body.error.code], [500, "internal_error"]);
  await server.stop();
});

test("money on the wire is a decimal string", async () => {
  const server = await startFake("3", "0.000001", "0.123456789");
  const { data, response } = await client(server).chat.completions.create(body("count", { max_tokens: 10 })).withResponse();
  // 100 tokens at 1,000 nano-units per million: 0.1 rounds to 0; 10 at 123,456,789: 1234.56789 rounds to 1235
  same(data.usage.sluice.cost, "0.000001235");
  same(response.headers.get("x-sluice-cost"), "0.000001235 USD");
  same(nano(data.usage.sluice.balance), nano("3") - 1235n);
  await server.stop();
});

await run();
