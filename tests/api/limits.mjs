// Rate limits over HTTP: headers on every answer, what a 429 says, the official client's own retry, exactly n at once, every way to an end, restarts;
// and the commands that set them.
import { check, cli, client, fakeServer, folder, metric, openChat, request, run, same, start, startFake, test, until } from "./harness.mjs";

const ok = async (data, ...args) => {
  const r = await cli(args, { data });
  check(r.code === 0, `sluice ${args.join(" ")}: exit ${r.code}: ${r.err}`);
  return r.out;
};
const json = async (data, ...args) => JSON.parse(await ok(data, ...args, "--json"));
const idOf = (key) => key.split("-")[2];
const limit = (server, ...args) => ok(server.data, "limit", "set", ...args);
const newKey = async (server) => (await json(server.data, "key", "create", "acme")).key;
const rows = (server) => json(server.data, "limit", "list");
const used = async (server, what, key) => (await rows(server)).find((r) => `${r.limit}${r.per ? `/${r.per}` : ""}` === what && (!key || r.key === idOf(key)))?.used;
const body = (model, bytes, more) => ({ model, messages: [{ role: "user", content: "x".repeat(bytes) }], ...more }); // a byte is a token
const chat = (server, key, ...of) => request(server, "POST", "/v1/chat/completions", { key, body: body(...of) });
const headers = (a) => Object.fromEntries(Object.entries(a.headers).filter(([k]) => k.startsWith("x-ratelimit-")).map(([k, v]) => [k.slice("x-ratelimit-".length), v]));
const quiet = async (server) => until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0 && (await metric(server, "sluice_engine_running")) === 0);

const fake = await startFake("1000", "1", "1");

// ---- headers ----

test("every answer to a limited key says what is left, and no answer to another", async () => {
  const key = await newKey(fake), duration = /^(\d+h)?(\d+m)?\d+(\.\d+)?s$|^\d+ms$/;
  await limit(fake, "--key", idOf(key), "--requests", "1000/day", "--tokens", "50000/day");
  const asks = { plain: () => chat(fake, key, "count", 10, { max_tokens: 5 }), stream: () => request(fake, "POST", "/v1/chat/completions", { key, raw: true, body: body("count", 10, { max_tokens: 5, stream: true }) }),
    "a failure of the model": () => chat(fake, key, "fail", 10, { max_tokens: 5 }), "a busy model": () => chat(fake, key, "refuse", 10, { max_tokens: 5 }), "no such model": () => chat(fake, key, "nowt", 10),
    "a bad parameter": () => chat(fake, key, "count", 10, { max_tokens: -1 }), "no JSON": () => request(fake, "POST", "/v1/chat/completions", { key, body: "{" }), "a route of no work": () => request(fake, "GET", "/v1/models", { key }),
    tokens: () => request(fake, "POST", "/tokenize", { key, body: { model: "count", prompt: "abc" } }) };
  const statuses = {};
  for (const [what, ask] of Object.entries(asks)) {
    const a = await ask(), h = headers(a);
    statuses[what] = a.status;
    same(Object.keys(h).sort(), ["limit-requests", "limit-tokens", "remaining-requests", "remaining-tokens", "reset-requests", "reset-tokens"], what);
    same([h["limit-requests"], h["limit-tokens"]], ["1000", "50000"], what);
    check(duration.test(h["reset-requests"]) && duration.test(h["reset-tokens"]), `${what}: ${JSON.stringify(h)}`);
  }
  same(statuses, { plain: 200, stream: 200, "a failure of the model": 500, "a busy model": 503, "no such model": 404, "a bad parameter": 400, "no JSON": 400, "a route of no work": 200, tokens: 200 });
  same(headers(await chat(fake, fake.key, "count", 10, { max_tokens: 5 })), {}, "a key without limits");
  same(Object.keys((await request(fake, "GET", "/v1/models", { key: "wrong" })).headers).filter((h) => h.includes("ratelimit")), [], "no key");
});

test("what is left falls by what was used: a request, its prompt and its answer; a stream's head has what is reserved", async () => {
  const key = await newKey(fake);
  await limit(fake, "--key", idOf(key), "--requests", "10/day", "--tokens", "864/day"); // a token comes back each 100 s
  const left = (h) => [h["remaining-requests"], h["remaining-tokens"]];
  same(left(headers(await chat(fake, key, "count", 100, { max_tokens: 20 }))), ["9", "744"], "100 and 20");
  const stream = await request(fake, "POST", "/v1/chat/completions", { key, raw: true, body: body("count", 100, { max_tokens: 30, stream: true }) });
  same(left(headers(stream)), ["8", "614"], "100 and 30 reserved");
  await quiet(fake);
  same(left(headers(await request(fake, "GET", "/v1/models", { key }))), ["8", "614"]);
  same(left(headers(await chat(fake, key, "fail", 10, { max_tokens: 100 }))), ["7", "601"], "the model broke after 3 of 100 tokens");
  same(left(headers(await chat(fake, key, "refuse", 10, { max_tokens: 100 }))).slice(1), ["601"], "nothing was computed");
  await limit(fake, "--key", idOf(key), "--model", "count", "--requests", "3/minute", "--output", "100/day");
  const h = headers(await chat(fake, key, "count", 10, { max_tokens: 40 }));
  same([h["limit-requests"], h["limit-tokens"]], ["3", "100"], "the limits with the least left are told");
  same(headers(await request(fake, "GET", "/v1/models", { key }))["limit-tokens"], "864", "where no model is named, those of all models");
});

// ---- refusals ----

test("a 429 says which limit, whose, how much is used and when to try again", async () => {
  const key = await newKey(fake), id = idOf(key);
  await limit(fake, "--key", id, "--model", "count", "--requests", "1/day");
  same((await chat(fake, key, "count", 10, { max_tokens: 1 })).status, 200);
  const a = await chat(fake, key, "count", 10, { max_tokens: 1 }), { error } = a.body;
  same([a.status, error.type, error.code, error.param], [429, "rate_limit_error", "rate_limit_exceeded", null]);
  check(error.message.includes(`key ${id} on model count may take 1 requests a day, 1 are used`) && /try again in 23h59m\d+(\.\d+)?s/.test(error.message) && error.message.endsWith("or raise the limit (ask the operator)") && !error.message.includes("sluice"), error.message);
  const seconds = Number(a.headers["retry-after"]), ms = Number(a.headers["retry-after-ms"]);
  check(seconds > 86000 && seconds <= 86400 && Math.ceil(ms / 1000) === seconds, `${seconds} ${ms}`);
  same(a.headers["x-should-retry"], "false", "no official client waits a day");
  same(headers(a)["remaining-requests"], "0");
  const before = await metric(fake, "sluice_refused_rate_total");
  let error2, sent = 0;
  await client({ ...fake, key }, { maxRetries: 2, fetch: (...of) => (sent++, fetch(...of)) }).chat.completions.create(body("count", 10, { max_tokens: 1 })).catch((e) => { error2 = e; });
  same([error2?.status, error2?.code, sent, (await metric(fake, "sluice_refused_rate_total")) - before], [429, "rate_limit_exceeded", 1, 1]);
  same((await chat(fake, key, "slow", 10, { max_tokens: 1 })).status, 200, "another model");
});

test("the official client's own retry succeeds, the first time, after Retry-After", async () => {
  const key = await newKey(fake);
  await limit(fake, "--key", idOf(key), "--tokens", "60000/minute"); // a thousand a second
  let statuses = [], waits = [];
  const openai = client({ ...fake, key }, { maxRetries: 2, fetch: async (...of) => {
    const r = await fetch(...of);
    statuses.push(r.status), waits.push(Number(r.headers.get("retry-after-ms")));
    return r;
  } });
  for (let i = 0; i < 5 && !statuses.includes(429); i++) { // again when this machine is so slow that the limit is no more
    [statuses, waits] = [[], []];
    const open = openChat(fake, key, body("hold", 10, { max_tokens: 59000 }));
    await until("it is reserved", async () => (await used(fake, "tokens/minute", key)) > 50000 || open.status);
    const answer = await openai.chat.completions.create(body("count", 6000, { max_tokens: 1 }));
    same(answer.usage.prompt_tokens, 6000);
    open.close();
    await quiet(fake);
  }
  same(statuses, [429, 200]);
  check(waits[0] > 0 && waits[0] <= 6000, `waited ${waits[0]} ms`);
});

test("a request that a limit can never hold is 400 and is not tried again", async () => {
  const key = await newKey(fake);
  await limit(fake, "--key", idOf(key), "--tokens", "1000/minute");
  let error, sent = 0;
  await client({ ...fake, key }, { maxRetries: 2, fetch: (...of) => (sent++, fetch(...of)) }).chat.completions.create(body("count", 600, { max_tokens: 600 })).catch((e) => { error = e; });
  same([error?.status, error?.code, error?.type, sent, error.headers.get("retry-after")], [400, "rate_limit_too_small", "invalid_request_error", 1, null]);
  check(/may take 1200 tokens, and key \S+ never has more than 1000 a minute; ask for fewer tokens/.test(error.message), error.message);
  same(headers(await request(fake, "GET", "/v1/models", { key }))["remaining-tokens"], "1000", "it took nothing");
  same((await chat(fake, key, "fail", 600)).status, 500, "without max_tokens as much is reserved as fits, and it runs until the model breaks");
});

test("what the last limit refuses has taken nothing of the others, in many requests at once", async () => {
  const key = await newKey(fake);
  await limit(fake, "--key", idOf(key), "--requests", "100/day", "--parallel", "1000");
  await limit(fake, "--model", "slow", "--output", "54/day"); // another test may have used one
  const all = await Promise.all(Array.from({ length: 100 }, () => chat(fake, key, "slow", 5, { max_tokens: 10 })));
  same(all.filter((a) => a.status === 200).length, 5, "fifty tokens for ten each");
  check(all.filter((a) => a.status !== 200).every((a) => a.status === 429 && a.body.error.message.includes("model slow may take 54 output tokens a day")), JSON.stringify(all.find((a) => a.status !== 200).body));
  same(headers(await request(fake, "GET", "/v1/models", { key }))["remaining-requests"], "95");
  same((await chat(fake, fake.key, "slow", 5, { max_tokens: 10 })).status, 429, "a model's limit is everybody's");
  await ok(fake.data, "limit", "rm", "--model", "slow");
  same((await chat(fake, fake.key, "slow", 5, { max_tokens: 1 })).status, 200, "taken away, at once");
});

// ---- at once ----

test("of 300 requests at once on a limit of 7 exactly 7 run, and each that ends makes room for one", async () => {
  const key = await newKey(fake), send = () => openChat(fake, key, body("hold", 10, { max_tokens: 5 }));
  await limit(fake, "--key", idOf(key), "--parallel", "7");
  const all = Array.from({ length: 300 }, send);
  await until("293 are refused", () => all.filter((r) => r.status !== null).length >= 293, 60000);
  await until("seven run", async () => (await metric(fake, "sluice_engine_running")) === 7);
  const refused = all.filter((r) => r.status !== null), open = all.filter((r) => r.status === null);
  same([refused.length, open.length], [293, 7]);
  check(refused.every((r) => r.status === 429 && r.error.code === "rate_limit_exceeded" && r.error.message.includes("may have 7 requests at once, and 7 run")), JSON.stringify(refused[0]));
  same(await used(fake, "parallel", key), 7);
  open.pop().close();
  await until("one has left", async () => (await used(fake, "parallel", key)) === 6);
  open.push(send());
  await until("seven run again", async () => (await used(fake, "parallel", key)) === 7);
  same((await chat(fake, key, "hold", 10, { max_tokens: 5 })).status, 429);
  for (const r of open) r.close();
  await quiet(fake);
  same(await used(fake, "parallel", key), 0);
  await ok(fake.data, "limit", "rm", "--key", idOf(key));
});

test("whatever ends a request, its place is free again and what it did not use too", async () => {
  const server = await startFake("0.5", "1", "1"), key = server.key, openai = client(server);
  await limit(server, "--account", "acme", "--parallel", "3", "--tokens", "1000000/day");
  for (let round = 0; round < 3; round++) {
    const before = await used(server, "tokens/day");
    const free = async (what) => {
      await quiet(server);
      await until(what, async () => (await used(server, "parallel")) === 0);
      const now = await used(server, "tokens/day");
      check(now <= before + 60, `${what}: ${now} tokens are used, ${before} were`); // the prompts and a few tokens of answer
    };
    same((await chat(server, key, "count", 10, { max_tokens: 5 })).status, 200);
    await free("an answer");
    same((await chat(server, key, "fail", 10, { max_tokens: 5000 })).status, 500);
    await free("a fault");
    same((await chat(server, key, "refuse", 10, { max_tokens: 5000 })).status, 503);
    await free("a busy model");
    const poor = await chat(server, key, "count", 10, { max_tokens: 90000, n: 8 });
    same([poor.status, poor.body.error.type], [429, "insufficient_quota"]);
    await free("no credit");
    const waiting = openChat(server, key, body("hold", 10, { max_tokens: 50000 })), gone = openChat(server, key, body("hold", 10, { max_tokens: 50000 }));
    gone.close(); // perhaps before it is held
    await until("it is reserved", async () => (await used(server, "tokens/day")) >= before + 40000);
    waiting.close();
    await free("clients left");
    const stop = new AbortController();
    let n = 0;
    try {
      for await (const c of await openai.chat.completions.create(body("count", 10, { stream: true, max_tokens: 50000 }), { signal: stop.signal })) if (c.choices[0]?.delta?.content && ++n === 2) stop.abort();
    } catch (e) { if (!/abort/i.test(e.name + e.message)) throw e; }
    await quiet(server);
    const billed = JSON.parse(await ok(server.data, "usage", "--group", "request", "--json")).reduce((sum, r) => sum + r.input + r.output, 0), now = await used(server, "tokens/day");
    check(now <= billed, `an answer that was cut: ${now} are used of the limit, ${billed} were billed in all`);
    await ok(server.data, "limit", "rm", "--account", "acme");
    await limit(server, "--account", "acme", "--parallel", "3", "--tokens", "1000000/day");
    const again = await used(server, "tokens/day");
    check(again <= billed && again >= now - 12 * 120, `set anew it counts the rows: ${again}, ${now} before`); // a day's million gives 12 back a second
  }
  await server.stop();
});

// ---- changes and restarts ----

test("a limit holds from the next request on, and so does its end", async () => {
  const key = await newKey(fake), status = async () => (await chat(fake, key, "count", 10, { max_tokens: 1 })).status;
  same(await status(), 200);
  await limit(fake, "--key", idOf(key), "--requests", "2/day");
  same([await status(), await status(), await status()], [200, 429, 429], "the one of before counts");
  await limit(fake, "--key", idOf(key), "--requests", "4/day");
  same([await status(), await status(), await status()], [200, 200, 429]);
  await limit(fake, "--key", idOf(key), "--requests", "none");
  same([await status(), headers(await chat(fake, key, "count", 10, { max_tokens: 1 }))], [200, {}]);
});

test("a customer sees the limits of its account and of its keys, and no others", async () => {
  await ok(fake.data, "account", "create", "globex");
  const other = (await json(fake.data, "key", "create", "globex")).key, mine = await newKey(fake), seen = (key) => request(fake, "GET", "/v1/sluice/limits", { key });
  await limit(fake, "--account", "globex", "--model", "count", "--tokens", "7/day");
  await limit(fake, "--key", idOf(mine), "--requests", "9/day");
  const theirs = (await seen(other)).body;
  same([theirs.object, theirs.data.map((r) => [r.account, r.key, r.model, r.limit, r.per, r.most, r.used, r.left])], ["list", [["globex", null, "count", "tokens", "day", 7, 0, 7]]]);
  const own = (await seen(mine)).body.data;
  check(own.every((r) => r.account === "acme") && own.some((r) => r.key === idOf(mine) && r.limit === "requests" && r.most === 9), JSON.stringify(own));
  const narrow = (await json(fake.data, "key", "create", "acme", "--scopes", "inference")).key;
  same((await seen(narrow)).status, 403, "a key without the scope usage");
  await ok(fake.data, "limit", "rm", "--account", "globex", "--model", "count");
  same((await seen(other)).body.data, []);
});

test("a limit of a day is remembered over an orderly end and over kill -9; what ran is not", async () => {
  let server = await startFake("10", "1", "1");
  const again = async (signal) => {
    if (signal) {
      server.stopped = true;
      server.child.kill(signal);
      await server.ended;
    } else await server.stop();
    server = Object.assign(await start(fakeServer, [server.data], server.data), { key: server.key });
  };
  await limit(server, "--account", "acme", "--requests", "5/day", "--tokens", "8640/day", "--parallel", "2"); // a token comes back each 10 s
  for (let i = 0; i < 2; i++) same((await chat(server, server.key, "count", 100, { max_tokens: 20 })).status, 200);
  await again();
  const kept = await used(server, "tokens/day");
  same([await used(server, "requests/day"), await used(server, "parallel")], [2, 0]);
  check(kept <= 240 && kept > 225, `${kept} of 240 tokens`);
  const open = [1, 2].map(() => openChat(server, server.key, body("hold", 100, { max_tokens: 3000 })));
  await until("two run", async () => (await used(server, "parallel")) === 2);
  same((await chat(server, server.key, "hold", 1, { max_tokens: 1 })).status, 429);
  await again("SIGKILL");
  for (const r of open) r.close();
  const [requests, tokens, parallel] = [await used(server, "requests/day"), await used(server, "tokens/day"), await used(server, "parallel")];
  same([requests, parallel], [4, 0]);
  check(tokens > 210 && tokens <= 440, `${tokens} tokens`); // the prompts of the two that were killed, when they had begun
  same([(await chat(server, server.key, "count", 1, { max_tokens: 1 })).status, (await chat(server, server.key, "count", 1, { max_tokens: 1 })).status], [200, 429], "the fifth and the sixth");
  await server.stop();
});

// ---- the commands ----

test("limits are set, shown and taken away without a server", async () => {
  const data = folder();
  await ok(data, "account", "create", "acme");
  await ok(data, "price", "set", "guide", "--input", "1", "--output", "1");
  const id = idOf((await json(data, "key", "create", "acme")).key);
  same(await json(data, "limit", "list"), []);
  same(await json(data, "limit", "set", "--key", id, "--requests", "60/minute,1000/day", "--parallel", "4"), { set: id });
  same(await json(data, "limit", "set", "--account", "acme", "--model", "guide", "--tokens", "5000/minute"), { set: "acme" });
  same(await json(data, "limit", "set", "--model", "guide", "--output", "7/day"), { set: "guide" });
  const of = (account, key, model, what, per, most) => ({ account, project: null, key, model, limit: what, per, most, used: 0, left: most, full_in: per && "0s" });
  const acme = [of("acme", null, "guide", "tokens", "minute", 5000), of("acme", id, null, "requests", "minute", 60), of("acme", id, null, "requests", "day", 1000), of("acme", id, null, "parallel", null, 4)];
  same(await json(data, "limit", "list"), [of(null, null, "guide", "output", "day", 7), ...acme]);
  same(await json(data, "limit", "list", "acme"), acme);
  check(/account +project +key +model +limit +per +most +used +left +full_in/.test(await ok(data, "limit", "list")), "a table");
  await ok(data, "limit", "set", "--key", id, "--parallel", "none");
  same((await json(data, "limit", "list", "acme")).length, 3);
  same(await json(data, "limit", "rm", "--key", id), { removed: id });
  same(await json(data, "limit", "list", "acme"), acme.slice(0, 1));
  for (const [args, code, says] of [[["--key", id, "--requests", "60"], 2, /60\/minute, 1000\/day/], [["--key", id, "--tokens", "0/day"], 2, /'0\/day' is no limit of tokens/], [["--key", id, "--parallel", "1/minute"], 2, /parallel requests/],
    [["--key", id], 2, /nothing to set/], [["--requests", "1/day"], 2, /whose limit/], [["--key", id, "--account", "acme", "--requests", "1/day"], 2, /one of them/], [["--key", "nobody", "--requests", "1/day"], 4, /no key nobody/],
    [["--account", "nobody", "--requests", "1/day"], 4, /no account 'nobody'/], [["--model", "gide", "--requests", "1/day"], 2, /no model gide has a price/], [["x", "--model", "guide", "--requests", "1/day"], 2, /./]]) {
    const r = await cli(["limit", "set", ...args], { data });
    check(r.code === code && says.test(r.err), `limit set ${args}: ${r.code} ${r.err}`);
  }
  same((await cli(["limit", "rm", "--key", id], { data })).code, 4, "nothing to take away");
  for (const c of ["set", "list", "rm"]) check((await ok(data, "limit", c, "--help")).includes(`sluice limit ${c}`), c);
  same((await cli(["audit"], { data })).code, 0, "audit");
});

await run();
