// What a key may do, over HTTP: its models, the addresses that it is used from, its budget; and the commands that say so.
import http from "node:http";
import { check, cli, client, folder, metric, nano, openChat, request, run, same, start, startFake, test, until } from "./harness.mjs";
import { bodyOf, endpoints, startTiny, words } from "./tables.mjs";

const ok = async (data, ...args) => {
  const r = await cli(args, { data });
  check(r.code === 0, `sluice ${args.join(" ")}: exit ${r.code}: ${r.err}`);
  return r.out;
};
const json = async (data, ...args) => JSON.parse(await ok(data, ...args, "--json"));
const create = async (data, ...limits) => (await json(data, "key", "create", "acme", ...limits)).key;
const idOf = (key) => key.split("-")[2];
const row = async (data, key) => (await json(data, "key", "list")).find((r) => r.id === idOf(key));

// ---- models ----

const tiny = await startTiny({ tiny: [], other: [], "org/third:q4": [] });

test("a key with a list of models sees these alone, and another is as one that does not exist", async () => {
  const key = await create(tiny.data, "--models", "other,org/third:q4"), ask = (method, where, options) => request(tiny, method, where, { key, ...options });
  same((await ask("GET", "/v1/models")).body.data.map((m) => m.id).sort(), ["org/third:q4", "other"]);
  check((await request(tiny, "GET", "/v1/models")).body.data.length >= 3, "another key sees all");
  for (const [name, status] of [["other", 200], ["org%2Fthird:q4", 200], ["tiny", 404], ["nothing", 404]]) same((await ask("GET", `/v1/models/${name}`)).status, status, name);
  for (const w of words) {
    const send = (model) => ask("POST", endpoints[w].path, { body: bodyOf(w, model) });
    for (const model of ["other", "org/third:q4"]) same((await send(model)).status, 200, `${w} of ${model}`);
    const hidden = await send("tiny"), unknown = await send("nowt");
    same([hidden.status, hidden.body.error?.code, hidden.body.error?.param], [404, "model_not_found", "model"], w);
    same(hidden.body.error.message.replace("tiny", "nowt"), unknown.body.error.message, "the words for one that is hidden and one that is not there");
  }
});

test("of one model that a key may use, tokenize needs no name", async () => {
  const key = await create(tiny.data, "--models", "tiny"), two = await create(tiny.data, "--models", "tiny,other");
  same((await request(tiny, "POST", "/tokenize", { key, body: { prompt: "hi" } })).status, 200);
  const a = await request(tiny, "POST", "/tokenize", { key: two, body: { prompt: "hi" } });
  check(a.status === 400 && /2 models are served/.test(a.body.error.message), JSON.stringify(a.body));
});

test("a change of models, scopes and addresses is at once, and rotation keeps it", async () => {
  const data = tiny.data, key = await create(data, "--scopes", "models"), status = async (k, where = "/v1/models") => (await request(tiny, "GET", where, { key: k })).status;
  same([await status(key), await status(key, "/v1/sluice/balance")], [200, 403]);
  same(await json(data, "key", "set", idOf(key), "--scopes", "models,usage", "--models", "tiny"), { set: idOf(key) });
  same([await status(key), await status(key, "/v1/sluice/balance"), await status(key, "/v1/models/other")], [200, 200, 404]);
  const second = (await json(data, "key", "rotate", idOf(key))).key;
  same([await status(key), await status(second), await status(second, "/v1/models/other"), await status(second, "/v1/models/tiny")], [401, 200, 404, 200]);
  await ok(data, "key", "set", idOf(key), "--allow", "192.0.2.0/24");
  same(await status(second), 403);
  await ok(data, "key", "set", idOf(key), "--allow", "all", "--models", "all");
  same([await status(second), await status(second, "/v1/models/other")], [200, 200]);
});

// ---- addresses ----

const fromAddress = (server, key, localAddress, headers = {}) => new Promise((done, fail) => {
  http.get(`${server.url}/v1/models`, { agent: false, localAddress, headers: { authorization: `Bearer ${key}`, ...headers } }, (res) => {
    let text = "";
    res.on("data", (d) => { text += d; }).on("end", () => done({ status: res.statusCode, error: JSON.parse(text).error }));
  }).on("error", fail);
});

test("a key is used from its addresses alone; what a header says of the client counts for nothing", async () => {
  const key = await create(tiny.data, "--allow", "127.0.0.2,127.7.0.0/16,2001:db8::/32");
  for (const [address, status] of [["127.0.0.1", 403], ["127.0.0.2", 200], ["127.0.0.3", 403], ["127.7.255.255", 200], ["127.8.0.0", 403]]) {
    const a = await fromAddress(tiny, key, address);
    same(a.status, status, address);
    if (status === 403) check(a.error.code === "forbidden" && a.error.message.includes(`may not be used from ${address};`) && a.error.message.includes(`sluice key set ${idOf(key)} --allow`), a.error.message);
  }
  for (const name of ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"]) {
    same((await fromAddress(tiny, key, "127.0.0.1", { [name]: "127.0.0.2" })).status, 403, `${name} from elsewhere`);
    const a = await fromAddress(tiny, key, "127.0.0.2", { [name]: "127.0.0.2" }); // a proxy's address says nothing of its clients
    check(a.status === 403 && /a proxy, for others/.test(a.error.message), `${name}: ${a.status}`);
    same((await fromAddress(tiny, tiny.key, "127.0.0.2", { [name]: "127.0.0.2" })).status, 200, "a key without a list");
  }
});

test("over IPv6 too", async () => {
  const data = folder(), server = await start(process.env.SLUICE ?? "build/sluice", ["serve", "--data", data, "--listen", "[::1]:0", "--threads", "1"], data);
  await ok(data, "account", "create", "acme");
  for (const [allow, status] of [["::1", 200], ["::/64", 200], ["127.0.0.0/8", 403], ["0.0.0.0/0", 403], ["::2", 403]])
    same((await request(server, "GET", "/v1/models", { key: await create(data, "--allow", allow) })).status, status, allow);
  await server.stop();
});

// ---- the budget ----

const content = "x".repeat(100), body = (model, more) => ({ model, messages: [{ role: "user", content }], ...more });

test("1,000 parallel requests on a key's budget for ten: ten admitted, and the account's other key goes on", async () => {
  const server = await startFake("1", "5", "10"); // 100 tokens at 5 and 50 at 10 per million: 0.001 each
  const key = await create(server.data, "--budget", "0.01/month");
  const all = Array.from({ length: 1000 }, () => openChat(server, key, body("hold", { max_tokens: 50 })));
  await until("990 are refused", () => all.filter((r) => r.status !== null).length >= 990);
  await until("ten run", async () => (await metric(server, "sluice_engine_running")) === 10);
  const refused = all.filter((r) => r.status !== null);
  same(refused.length, 990, "refused");
  check(refused.every((r) => r.status === 429 && r.error.type === "insufficient_quota" && r.error.message.includes(`key ${idOf(key)} has 0.00 USD left of its budget of 0.01 a month`) && r.error.message.endsWith(" (ask the operator)") && !r.error.message.includes("sluice")), JSON.stringify(refused[0]));
  const shown = async () => { const r = await row(server.data, key); return [r.budget, r.budget_spent, r.budget_held]; };
  same(await shown(), ["0.01/month", "0.00", "0.01"], "while they run");
  same((await request(server, "GET", "/v1/sluice/balance", { key })).body, { object: "sluice.balance", account: "acme", balance: "0.99", held: "0.01", budget_left: "0.00", currency: "USD" });
  same((await request(server, "POST", "/v1/chat/completions", { body: body("count", { max_tokens: 5 }) })).status, 200, "another key");
  for (const r of all) r.close();
  await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0);
  await until("all is released", async () => (await shown())[2] === "0.00");
  same(await shown(), ["0.01/month", "0.005", "0.00"], "each of the ten is billed its prompt");
  await server.stop();
});

test("streams that the key's budget ends say so, and never is more spent than it", async () => {
  const server = await startFake("1", "1", "1"), key = await create(server.data, "--budget", "0.006"), openai = client({ ...server, key });
  const answers = await Promise.all(Array.from({ length: 20 }, async () => {
    const seen = { text: "" };
    try {
      for await (const c of await openai.chat.completions.create(body("count", { stream: true, stream_options: { include_usage: true } }))) {
        seen.text += c.choices[0]?.delta?.content ?? "";
        if (c.choices[0]?.finish_reason) [seen.finish, seen.details] = [c.choices[0].finish_reason, c.choices[0].finish_details];
        if (c.usage) seen.usage = c.usage;
      }
    } catch (e) { seen.error = e; }
    return seen;
  }));
  const served = answers.filter((a) => !a.error);
  check(served.length >= 2 && answers.filter((a) => a.error).every((a) => a.error.status === 429), `${served.length} were served`);
  let spent = 0n;
  for (const a of served) {
    same([a.finish, a.details?.type], ["length", "budget"], "its end");
    same(a.details.message, `the budget of the key ${idOf(key)} is used up; the answer was cut here`);
    same(a.text.trim().split(" ").length, a.usage.completion_tokens, "tokens delivered and billed");
    same(nano(a.usage.sluice.cost), BigInt(100 + a.usage.completion_tokens) * 1000n, "cost");
    spent += nano(a.usage.sluice.cost);
  }
  let r;
  await until("the rows are there", async () => (r = await row(server.data, key)).budget_held === "0.00");
  same(nano(r.budget_spent), spent, "spent");
  check(spent <= nano("0.006") && spent > nano("0.006") - 16n * 1000n * 20n, `${spent} of 0.006`);
  await ok(server.data, "key", "set", idOf(key), "--budget", "0.01");
  same((await request(server, "POST", "/v1/chat/completions", { key, body: body("count", { max_tokens: 5 }) })).status, 200, "the budget was raised");
  await server.stop();
});

test("a killed server leaves the budget exact", async () => {
  const server = await startFake("1", "1", "1"), key = await create(server.data, "--budget", "0.5/month"), openai = client({ ...server, key });
  const texts = ["", "", ""];
  const read = Promise.all(texts.map(async (_, i) => {
    for await (const c of await openai.chat.completions.create(body("slow", { stream: true, max_tokens: 100 }))) texts[i] += c.choices[0]?.delta?.content ?? "";
  })).catch(() => {});
  await until("tokens come", () => texts.every((t) => t.length > 3));
  server.stopped = true;
  server.child.kill("SIGKILL");
  await Promise.all([server.ended, read]);
  same((await cli(["audit"], { data: server.data })).code, 0, "audit");
  const r = await row(server.data, key), rows = await json(server.data, "usage", "--group", "request");
  same([r.budget_held, nano(r.budget_spent), rows.length], ["0.00", rows.reduce((sum, x) => sum + nano(x.cost), 0n), 3]);
});

// ---- the commands ----

test("limits are made, changed and shown without a server", async () => {
  const data = folder();
  await ok(data, "account", "create", "acme");
  await ok(data, "price", "set", "guide", "--input", "1", "--output", "1");
  const plain = await create(data), key = await create(data, "--name", "x", "--scopes", "usage,inference", "--models", "guide", "--allow", "10.0.0.0/8,::1", "--budget", "5");
  const limits = async (k) => { const r = await row(data, k); return [r.scopes, r.models, r.allow, r.budget, r.budget_spent, r.budget_held]; };
  same(await limits(plain), ["inference,embeddings,models,usage", "all", "all", "none", null, null]);
  same(await limits(key), ["inference,usage", "guide", "10.0.0.0/8,::1/128", "5.00", "0.00", "0.00"]);
  await ok(data, "key", "set", idOf(key), "--budget", "7.5/month");
  same(await limits(key), ["inference,usage", "guide", "10.0.0.0/8,::1/128", "7.50/month", "0.00", "0.00"]);
  await ok(data, "key", "set", idOf(key), "--budget", "none", "--scopes", "all", "--models", "all", "--allow", "all");
  same(await limits(key), ["inference,embeddings,models,usage,events", ...(await limits(plain)).slice(1)]); // a new key has no events unless they are named
  check((await ok(data, "key", "list")).includes("budget_spent"), "the table has them too");
  for (const [flag, value, says] of [["--scopes", "admin", /'admin' is no scope.*inference, embeddings, models, usage, events/], ["--models", "gide", /no model gide has a price/], ["--allow", "10.0.0.0/99", /10\.0\.0\.0\/99.*0 to 32/],
    ["--allow", "10.1.0.0/8", /10\.0\.0\.0\/8/], ["--budget", "-1", /negative/], ["--budget", "1/week", /5\.00\/month/], ["--budget", "99999999999", /budget/]])
    for (const command of [["key", "create", "acme"], ["key", "set", idOf(key)]]) {
      const r = await cli([...command, flag, value], { data });
      check(r.code === 2 && says.test(r.err), `${command} ${flag} ${value}: ${r.code} ${r.err}`);
    }
  same((await cli(["key", "set", idOf(key)], { data })).code, 2, "nothing to set");
  same((await cli(["key", "set", "nobody0000", "--scopes", "all"], { data })).code, 4, "no such key");
  same((await json(data, "key", "list")).length, 2, "a refused key was not made");
});

await run();
