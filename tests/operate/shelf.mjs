// Several models under a memory budget: loaded when first asked for, unloaded by use, names that come and go.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { check, metric, request, run, same, sluice, test, until } from "../api/harness.mjs";
import { ask, body, fails, house, json, models, ok, serve, stateOf, stream, tiny } from "./house.mjs";

const guideless = (all) => Object.keys(all).filter((m) => m !== "guide").sort();

test("a model is loaded by its first request and listed with its state", async () => {
  const server = await serve(await house(["a", "b"]));
  same(guideless(await models(server)), ["a", "b"]);
  same(Object.values(await models(server)).map((m) => m.state).every((s) => s === "unloaded"), true, "nothing is loaded at the start");
  const r = await ask(server, "a");
  same([r.status, r.body.choices.length], [200, 1]);
  const now = await models(server);
  same([now.a.state, now.b.state, now.a.context_length], ["loaded", "unloaded", 4096]);
  await until("the context of what nobody asked for", async () => (await models(server)).b.context_length === 4096);
  same([await metric(server, "sluice_models_loaded"), await metric(server, "sluice_model_loads_total")], [1, 1]);
  same((await request(server, "GET", "/v1/models/a")).body.state, "loaded");
  await server.stop();
});

test("every endpoint wakes a model, and lets it go again", async () => {
  const asked = { a: ["/v1/chat/completions", body("a")], b: ["/v1/completions", { model: "b", prompt: "hi", max_tokens: 2 }], c: ["/v1/embeddings", { model: "c", input: "hi" }],
    d: ["/tokenize", { model: "d", prompt: "hi" }], e: ["/detokenize", { model: "e", tokens: [5, 6] }] };
  const server = await serve(await house(Object.keys(asked)), "--keep", "1");
  for (const [model, [where, what]] of Object.entries(asked)) {
    const r = await request(server, "POST", where, { body: what });
    same([where, r.status], [where, 200], JSON.stringify(r.body));
  }
  for (const model of Object.keys(asked)) await until(`${model} is unloaded`, async () => (await stateOf(server, model)) === "unloaded");
  same(await metric(server, "sluice_model_loads_total"), 5);
  await server.stop();
});

test("preload, and names that are not there", async () => {
  const server = await serve(await house(["a", "b"]), "--preload", "b, nobody");
  await until("b", async () => (await stateOf(server, "b")) === "loaded");
  check(/preload: there is no model nobody/.test(server.log), server.log);
  same((await ask(server, "c")).status, 404);
  await server.stop();
});

test("the least recently used goes when memory is wanted, and the texts stay the same", async () => {
  const server = await serve(await house(["a", "b", "c"]), "--memory", "21"); // room for two
  const first = {};
  for (const m of ["a", "b", "a", "c"]) first[m] = (await ask(server, m, { max_tokens: 20 })).body.choices[0].message.content;
  same([await stateOf(server, "a"), await stateOf(server, "b"), await stateOf(server, "c")], ["loaded", "unloaded", "loaded"]);
  for (const m of ["b", "c", "a", "b"]) same((await ask(server, m, { max_tokens: 20 })).body.choices[0].message.content, first[m], `the text of ${m}`);
  check((await metric(server, "sluice_model_unloads_total")) >= 3, "unloads");
  check((await metric(server, "sluice_models_memory_bytes")) <= (await metric(server, "sluice_models_memory_max_bytes")), "within the budget");
  await server.stop();
});

test("many requests over more models than fit are all answered", async () => {
  const server = await serve(await house(["a", "b", "c"]), "--memory", "12"); // room for one
  const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => ask(server, "abc"[i % 3], { max_tokens: 1 + (i % 5) })));
  same(answers.map((r) => r.status).filter((s) => s !== 200), [], "statuses");
  same(await metric(server, "sluice_model_waiting"), 0);
  await until("rows", async () => (await json(["usage", "--group", "request"], { data: server.data })).length === 30);
  await server.stop();
});

test("a model in use stays; who comes when the line is full gets 503 with Retry-After", async () => {
  const server = await serve(await house(["a", "b", "c"]), "--memory", "12", "--load-queue", "1", "--load-wait", "300"); // b stays in the line until it has its turn
  same((await ask(server, "a")).status, 200);
  const busy = [stream(server, "a"), stream(server, "a")];
  await Promise.all(busy.map((s) => s.first));
  const waiting = ask(server, "b");
  await until("b waits, or has its turn", async () => (await stateOf(server, "b")) !== "unloaded");
  const refused = await ask(server, "c");
  if ((await stateOf(server, "a")) === "loaded") {
    same([refused.status, refused.body.error.code, refused.headers["retry-after"]], [503, "unavailable", "5"]);
    check(/1 requests wait/.test(refused.body.error.message), refused.body.error.message);
  }
  busy.forEach((s) => s.leave());
  same((await waiting).status, 200);
  await until("c", async () => (await ask(server, "c")).status === 200);
  await server.stop();
});

test("who waits too long for a model gets 503 with Retry-After", async () => {
  const server = await serve(await house(["a", "b"]), "--memory", "12", "--load-wait", "1");
  let late, busy = true;
  await until("a", async () => (await ask(server, "a")).status === 200); // a slow machine loads it for longer than a second
  const users = [3500, 2500, 1500].map(async (max_tokens) => { while (busy) await ask(server, "a", { max_tokens, temperature: 0 }); }); // a fast one ends one answer sooner
  await until("a is in use", async () => (await metric(server, "sluice_engine_running")) > 0);
  await until("b is refused", async () => (late = await ask(server, "b")).status !== 200);
  busy = false;
  await Promise.all(users);
  same([late.status, late.body.error.code, late.headers["retry-after"]], [503, "unavailable", "5"]);
  check(/could not be loaded/.test(late.body.error.message), late.body.error.message);
  await until("b", async () => (await ask(server, "b")).status === 200);
  await server.stop();
});

test("who leaves while a model is loaded leaves nothing behind", async () => {
  const server = await serve(await house(["a", "b"]), "--memory", "12");
  const busy = stream(server, "a");
  await busy.first;
  const waiting = stream(server, "b");
  await until("b waits, or has its turn", async () => (await stateOf(server, "b")) !== "unloaded");
  waiting.leave(), busy.leave();
  await until("nobody waits", async () => (await metric(server, "sluice_model_waiting")) === 0 && (await metric(server, "sluice_chats")) === 0);
  same((await ask(server, "b")).status, 200);
  same((await ask(server, "a")).status, 200);
  await server.stop();
});

test("a model that cannot be loaded is an error to who asked, and the server goes on", async () => {
  const home = await house(["a", "bad", "huge"]);
  await ok(["add", tiny(path.join(home.data, "huge.gguf"), "embd=512", "ff=2048", "seed=9"), "--name", "huge", "--replace"], { data: home.data });
  const server = await serve(home, "--memory", "12");
  const bad = (await json(["list"], { data: home.data })).find((m) => m.name === "bad").digest.replace("sha256:", "");
  const blobs = path.join(home.data, "hub/blobs/sha256"), blob = path.join(blobs, readdirSync(blobs).find((f) => f.startsWith(bad)));
  const bytes = readFileSync(blob);
  bytes.fill(0xff, 40, 400);
  unlinkSync(blob);
  writeFileSync(blob, bytes, { mode: 0o444 });
  const r = await ask(server, "bad");
  same([r.status, r.body.error.code], [500, "model_format"]);
  same((await ask(server, "bad")).status, 500, "again at once");
  const big = await ask(server, "huge");
  same([big.status, big.body.error.code, big.headers["x-should-retry"], big.headers["retry-after"]], [503, "model_too_large", "false", undefined]);
  check(/--memory/.test(big.body.error.message), big.body.error.message);
  same((await ask(server, "a")).status, 200);
  same(await metric(server, "sluice_model_load_failures_total"), 2);
  await server.stop();
});

// AddressSanitizer takes terabytes of addresses for itself. tests/unit/backend/test_no_memory.c has every allocation.
if (!/asan/.test(sluice)) test("memory that ends while a second model is loaded is said to who asked, and nobody else notices", async () => {
  const server = await serve(await house(["a", "b"])), { pid } = server.child, limit = (as) => execFileSync("prlimit", [`--pid=${pid}`, `--as=${as}:unlimited`]);
  const alone = (await ask(server, "a", { max_tokens: 3500, temperature: 0 })).body.choices[0].message.content;
  await until("b was looked at", async () => (await models(server)).b.context_length === 4096);
  const talking = stream(server, "a");
  await talking.first;
  const used = await metric(server, "sluice_models_memory_bytes");
  limit(1024 * Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) + (16 << 20)); // less than its KV pages' addresses
  const r = await ask(server, "b");
  same([r.status, r.body.error.code, r.body.error.type, r.headers["retry-after"]], [503, "out_of_memory", "server_error", "5"], JSON.stringify(r.body));
  check(/^model b: .*(no memory|no address space)/.test(r.body.error.message), r.body.error.message);
  same([await stateOf(server, "a"), await stateOf(server, "b"), await metric(server, "sluice_models_memory_bytes")], ["loaded", "unloaded", used]);
  limit("unlimited");
  const text = (await talking.end).body.split("\n").filter((l) => l.startsWith("data: {")).map((l) => JSON.parse(l.slice(6)).choices[0]?.delta?.content ?? "").join("");
  same(text, alone, "the stream of the first model");
  await until("b, when there is room", async () => (await ask(server, "b")).status === 200);
  same([await stateOf(server, "a"), await metric(server, "sluice_model_load_failures_total")], ["loaded", 1]);
  await server.stop();
});

test("screen = no saves the coarse copy of the output matrix and changes no text", async () => {
  const home = await house([]), { data } = home, said = [];
  await ok(["add", tiny(path.join(data, "wide.gguf"), "vocab=8192", "layers=2"), "--name", "wide"], { data });
  await ok(["price", "set", "wide", "--input", "1", "--output", "2"], { data });
  for (const screen of ["yes", "no"]) {
    const server = await serve(home, "--screen", screen);
    const r = await ask(server, "wide", { max_tokens: 40, temperature: 0 });
    said.push([r.body.choices[0].message.content, await metric(server, "sluice_models_memory_bytes")]);
    await server.stop();
  }
  same([said[0][0], said[0][1] - said[1][1]], [said[1][0], (8192 * 256 / 32) * 22], "the text, and the bytes that are saved");
});

test("nobody without credit or a price moves models about", async () => {
  const home = await house(["a", "b"], { credit: null });
  await ok(["add", tiny(path.join(home.data, "free.gguf"), "seed=7"), "--name", "free"], { data: home.data });
  const server = await serve(home);
  same([(await ask(server, "a")).status, (await ask(server, "a")).body.error.code], [429, "credit_balance_exhausted"]);
  same((await ask(server, "free")).body.error.code, "model_without_price");
  same([await stateOf(server, "a"), await stateOf(server, "free")], ["unloaded", "unloaded"]);
  await server.stop();
});

test("nobody whose rate limit is used up moves models about; what is under no limit does", async () => {
  const home = await house(["a", "b"]), server = await serve(home);
  await ok(["limit", "set", "--key", home.key.split("-")[2], "--requests", "1/day"], { data: home.data });
  same((await ask(server, "a")).status, 200);
  const { status, body, headers } = await ask(server, "b");
  same([status, body.error.code, Number(headers["retry-after"]) > 1000, await stateOf(server, "b")], [429, "rate_limit_exceeded", true, "unloaded"], body.error.message);
  same(await metric(server, "sluice_refused_rate_total"), 1);
  same([(await request(server, "POST", "/tokenize", { body: { model: "b", prompt: "x" } })).status, await stateOf(server, "b")], [200, "loaded"], "tokens cost nothing");
  await server.stop();
});

test("names come and go while it serves", async () => {
  const home = await house(["a"]), { data } = home;
  const server = await serve(home);
  const before = (await ask(server, "a", { max_tokens: 20 })).body;
  await ok(["price", "set", "late", "--input", "1", "--output", "1"], { data });
  await ok(["add", tiny(path.join(data, "late.gguf"), "seed=5"), "--name", "late"], { data });
  await until("the new name", async () => (await stateOf(server, "late")) === "unloaded");
  same((await ask(server, "late")).status, 200);
  const talking = stream(server, "a");
  await talking.first;
  await ok(["add", tiny(path.join(data, "other.gguf"), "seed=6"), "--name", "a", "--replace"], { data });
  await until("the new file", async () => (await ask(server, "a")).body.system_fingerprint !== before.system_fingerprint);
  check((await talking.end).body.endsWith("data: [DONE]\n\n"), "the old file answers to the end");
  rmSync(path.join(data, "hub/refs/late.json"));
  await until("the name is gone", async () => (await ask(server, "late")).status === 404);
  same(guideless(await models(server)), ["a"]);
  await server.stop();
});

test("idle models go after --keep seconds", async () => {
  const server = await serve(await house(["a"]), "--keep", "1");
  same((await ask(server, "a")).status, 200);
  await until("a is unloaded", async () => (await stateOf(server, "a")) === "unloaded");
  same((await ask(server, "a")).status, 200);
  await server.stop();
});

test("settings that cannot be are said", async () => {
  for (const [flag, value] of [["--memory", "much"], ["--screen", "maybe"], ["--keep", "-1"], ["--load-wait", "1e3"], ["--load-queue", "9999999999"]])
    await fails(["serve", flag, value], 2, new RegExp(`${flag.slice(2)} = `), { data: (await house([])).data });
});

await run();
