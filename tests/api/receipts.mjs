// Receipts: GET /v1/requests/{id}/receipt, /admin/receipt and sluice usage REQUEST say the same, and what they say is what this file's own arithmetic
// makes of the rows of the store: it reads ledger.db itself and computes in BigInt.
import http from "node:http";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { check, cli, client, metric, nano, request, run, same, start, startFake, test, until, fakeServer } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";
import { startTiny } from "./tables.mjs";

const body = (model, chars, more) => ({ model, messages: [{ role: "user", content: "x".repeat(chars) }], ...more });
const receipt = (server, id, options) => request(server, "GET", `/v1/requests/${id}/receipt`, options);
const ok = async (args, data) => { const r = await cli(args, { data }); check(r.code === 0, `sluice ${args.join(" ")}: ${r.err}`); return r.out; };
const admin = (server, where) => new Promise((done, fail) => {
  http.get({ socketPath: path.join(server.data, "admin.sock"), path: where, headers: { host: "localhost" }, agent: false }, (res) => {
    let text = "";
    res.on("data", (d) => { text += d; }).on("end", () => done({ status: res.statusCode, body: JSON.parse(text) }));
  }).on("error", fail);
});

// ---- the receipt again, from the rows ----

function rows(data, sql, ...values) {
  const db = new DatabaseSync(path.join(data, "ledger.db"), { readOnly: true });
  try {
    const s = db.prepare(sql);
    s.setReadBigInts(true);
    return s.all(...values);
  } finally { db.close(); }
}
// n nano-units as the API writes money: at least two decimals.
const money = (n) => { const s = (n < 0n ? -n : n).toString().padStart(10, "0"), d = s.slice(-9).replace(/0{0,7}$/, ""); return `${n < 0n ? "-" : ""}${s.slice(0, -9)}.${d}`; };
const iso = (us) => (us === 0n ? null : `${new Date(Number(us / 1000n)).toISOString().slice(0, -1)}${String(us % 1000n).padStart(3, "0")}Z`);
// [exact, rounding, rounded]: tokens x nano-units per million; the nearer whole nano-unit, of two alike the even one.
function product(tokens, rate) {
  const p = tokens * rate, low = p / 1000000n, rest = p % 1000000n;
  const exact = `${low}${rest ? `.${rest.toString().padStart(6, "0").replace(/0+$/, "")}` : ""}`;
  if (rest === 0n) return [exact, "none", low];
  if (rest === 500000n) return [exact, "tie", low + low % 2n];
  return rest > 500000n ? [exact, "up", low + 1n] : [exact, "down", low];
}
const fundings = ["promotional", "goodwill", "investment", "paid"], reasons = ["stop", "length", "budget", "cancel", "error", "crash"];
const rank = (g) => [g.models ? 0n : 1n, g.scope === "any" ? 1n : 0n, g.priority, g.expires_us || 2n ** 63n, BigInt(fundings.indexOf(g.funding)), g.id];
const before = (a, b) => { const x = rank(a), y = rank(b), i = x.findIndex((v, k) => v !== y[k]); return x[i] < y[i] ? -1 : 1; };

// All but the words of "why".
function computed(data, id) {
  const [u] = rows(data, "SELECT * FROM usage WHERE request = ?", id), [h] = rows(data, "SELECT * FROM hold WHERE request = ?", id);
  const one = (sql, ...values) => rows(data, sql, ...values)[0];
  const key = one("SELECT * FROM key WHERE id = ?", u.key_id), model = one("SELECT * FROM model WHERE id = ?", u.model_id), price = one("SELECT * FROM price WHERE id = ?", u.price_id);
  // The whole request at the step that its input reaches; an embedding is all its prompt tokens.
  const input = u.input + u.cache_read + u.cache_write;
  const used = u.scope === "embeddings" ? { embedding: input } : Object.fromEntries(["input", "cache_read", "cache_write", "output", "reasoning"].map((m) => [m, u[m]]));
  const rateOf = (id, meter) => one("SELECT rate FROM price_rate WHERE price_id = ? AND meter = ? AND from_tokens <= ? ORDER BY from_tokens DESC LIMIT 1", id, meter, u.scope === "embeddings" ? 0n : input).rate;
  const sum = (id) => Object.entries(used).reduce((s, [meter, n]) => s + product(n, rateOf(id, meter))[2], 0n);
  const list = sum(u.list_price_id), contracted = sum(u.price_id), list_price = one("SELECT * FROM price WHERE id = ?", u.list_price_id);
  const step = u.scope === "embeddings" ? 0n : one("SELECT max(from_tokens) AS n FROM price_rate WHERE price_id = ? AND from_tokens <= ?", u.price_id, input).n;
  const meters = Object.entries(used).map(([meter, tokens]) => {
    const rate = rateOf(u.price_id, meter), other = rateOf(u.list_price_id, meter), [exact_nano, rounding, n] = product(tokens, rate);
    return { meter, tokens: Number(tokens), rate: money(rate), per: "million tokens", ...(other === rate ? {} : { list_rate: money(other) }), exact_nano, rounding, nano: String(n), amount: money(n) };
  });
  const held = h.amount_scope + h.amount_any, charged = contracted < held ? contracted : held;
  const lines = rows(data, "SELECT * FROM usage_line WHERE usage_id = ?", u.id).map((n) => ({ ...one("SELECT * FROM credit_grant WHERE id = ?", n.grant_id), ...{ paid: n.amount, txn: n.txn_id, back: rows(data, "SELECT amount FROM refund_line WHERE usage_id = ? AND grant_id = ?", u.id, n.grant_id).reduce((s, r) => s + r.amount, 0n) } })).sort(before);
  same(lines.reduce((s, n) => s + n.paid, 0n), charged, "the grants paid what was charged");
  const entries = (txn) => rows(data, "SELECT e.txn_id, e.line, e.amount, a.code FROM entry e JOIN account a ON a.id = e.account_id WHERE e.txn_id = ? ORDER BY e.line", txn);
  return {
    object: "sluice.receipt", request: id, account: one("SELECT name FROM organisation WHERE id = ?", u.org_id).name, project: one("SELECT name FROM project WHERE id = ?", u.project_id).name,
    key: { id: key.public_id, name: key.name, last4: key.last4 }, model: { alias: model.alias, revision: model.revision, digest: `sha256:${Buffer.from(model.digest).toString("hex")}` },
    start: iso(u.start_us), first: iso(u.first_us), end: iso(u.end_us), reason: reasons[u.reason], status: Number(u.status), stream: u.stream === 1n, currency: "USD",
    price: { version: Number(price.version), tier: price.tier, effective: iso(price.effective_us), contract: price.org_id !== 0n, list_version: Number(list_price.version), from_tokens: Number(step) }, meters, accepted_draft: Number(u.accepted_draft), list: money(list),
    discount: money(list - contracted), contracted: money(contracted),
    hold: { placed: iso(h.created_us), input: Number(h.input), output: Number(h.output), scope: h.scope, of_scope: money(h.amount_scope), of_any: money(h.amount_any), amount: money(held) },
    charged: money(charged), waived: money(contracted - charged), released: money(held - charged), refunded: money(lines.reduce((s, n) => s + n.back, 0n)),
    grants: lines.map((n, i) => ({ order: i + 1, grant: Number(n.id), paid: money(n.paid), refunded: money(n.back), scope: n.scope, models: n.models || "all", priority: Number(n.priority), expires: iso(n.expires_us), funding: n.funding, transaction: Number(n.txn) })),
    transactions: lines.map((n) => {
      const all = rows(data, "SELECT amount FROM usage_line WHERE txn_id = ?", n.txn);
      return { transaction: Number(n.txn), posted: iso(one("SELECT created_us FROM txn WHERE id = ?", n.txn).created_us), grant: Number(n.id), requests: all.length, amount: money(all.reduce((s, x) => s + x.amount, 0n)), of_this: money(n.paid),
        entries_sum: money(entries(n.txn).reduce((s, x) => s + x.amount, 0n)) };
    }),
    entries: [...new Set(lines.map((n) => n.txn))].sort((a, b) => (a < b ? -1 : 1)).flatMap(entries).map((n) => ({ transaction: Number(n.txn_id), line: Number(n.line), account: n.code, amount: money(n.amount) })),
    agrees: true, differences: [],
  };
}
const bare = (r) => ({ ...r, grants: r.grants.map(({ why, ...g }) => (check(why.length > 5, "a reason"), g)) });

// The same from the customer's route, the operator's, the command line, and the rows; also the figures of the table for people.
async function everywhere(server, id) {
  const { status, body: r } = await receipt(server, id);
  same(status, 200, JSON.stringify(r));
  same((await admin(server, `/admin/receipt?request=${id}`)).body, r, "the operator's");
  same(JSON.parse(await ok(["usage", id, "--json"], server.data)), r, "the command line's");
  same(bare(r), computed(server.data, id), "from the rows");
  const table = await ok(["usage", id], server.data);
  for (const name of ["request", "account", "list", "charged", "waived", "released", "agrees"]) check(new RegExp(`^${name} +${String(r[name]).replaceAll(".", "\\.")}$`, "m").test(table), `${name} in the table:\n${table}`);
  for (const [outer, names] of [["key", ["id", "last4"]], ["model", ["alias", "digest"]], ["price", ["version", "list_version"]], ["hold", ["of_scope", "of_any", "amount"]]])
    for (const name of names) check(new RegExp(`^${outer}\\.${name} +${String(r[outer][name]).replaceAll(".", "\\.")}$`, "m").test(table), `${outer}.${name} in the table:\n${table}`);
  const cells = table.split("\n").map((l) => l.trim().split(/ {2,}/).join("|"));
  for (const list of ["meters", "grants", "transactions", "entries"])
    for (const row of r[list]) check(cells.includes(Object.values(row).filter((v) => v !== null).join("|")), `${list}: ${Object.values(row)} in the table:\n${table}`);
  return r;
}

test("a charge that three grants paid, step by step, and every way to ask for it", async () => {
  // 101 tokens at 0.123456789 and 13 at 0.5 per million, of grants for inference, of priority 50 and of 60
  const server = await startFake("0.00000001", "0.123456789", "0.5"), { data } = server;
  await ok(["grant", "create", "acme", "0.000000007", "--scope", "inference", "--funding", "promotional", "--priority", "99"], data);
  await ok(["grant", "create", "acme", "1", "--priority", "60", "--expires", "2099-01-01"], data);
  const a = await request(server, "POST", "/v1/chat/completions", { body: body("count", 101, { max_tokens: 13 }) });
  const id = a.headers["x-request-id"], r = await everywhere(server, id);
  same(r.meters.filter((m) => m.tokens).map((m) => [m.meter, m.tokens, m.exact_nano, m.rounding, m.nano]), [["input", 101, "12469.135689", "down", "12469"], ["output", 13, "6500", "none", "6500"]]);
  same([r.charged, r.charged, r.waived], [money(18969n), a.body.usage.sluice.cost, "0.00"], "what the answer said");
  same(r.grants.map((g) => [g.grant, g.paid, g.why]), [[2, money(7n), "first in order"], [1, money(10n), "scope: any after inference (grant 2)"], [3, money(18952n), "priority: 60 after 50 (grant 1, used up)"]]);
  same(r.entries.map((e) => [e.account, nano(e.amount)]), [["grant_pool:2", 7n], ["revenue:inference", -7n], ["grant_pool:1", 10n], ["revenue:inference", -10n], ["grant_pool:3", 18952n], ["revenue:inference", -18952n]]);
  for (const other of [a.body.id, id.toUpperCase().replace("REQ", "req"), a.body.id.replace("chatcmpl", "cmpl")]) same((await receipt(server, other)).body, r, other);
  same(JSON.parse(await ok(["usage", a.body.id, "--json"], data)), r, "by the answer's id");
  await ok(["refund", id, "--amount", "0.00001896", "--reason", "a test"], data);
  same((await everywhere(server, id)).grants.map((g) => nano(g.refunded)), [0n, 8n, 18952n], "the last one first");
  await server.stop();
  const { refunded, ...rest } = JSON.parse(await ok(["usage", id, "--json"], data));
  same([refunded, rest.charged], [money(18960n), r.charged], "without a server");
});

test("a service tier has its own price, the answer and the receipt say which it was, and one without a price is refused", async () => {
  const server = await startFake("1", "1", "2"), chat = (more) => request(server, "POST", "/v1/chat/completions", { body: body("count", 100, { max_tokens: 10, ...more }) });
  await ok(["price", "set", "count", "--tier", "priority", "--input", "3", "--output", "5"], server.data);
  for (const [asked, told, paid, cost] of [["priority", "priority", "priority", 350n], ["auto", "default", "standard", 120n], ["default", "default", "standard", 120n], ["standard", "default", "standard", 120n], [undefined, undefined, "standard", 120n], [null, undefined, "standard", 120n]]) {
    const a = await chat({ service_tier: asked });
    same([a.status, a.body.service_tier, nano(a.body.usage.sluice.cost)], [200, told, cost * 1000n], `${asked}`);
    checkSchema(a.body, "CreateChatCompletionResponse");
    const r = await everywhere(server, a.headers["x-request-id"]);
    same([r.price.tier, r.list, r.charged], [paid, money(cost * 1000n), money(cost * 1000n)], `the receipt of ${asked}`);
  }
  const tiers = [];
  for await (const c of await client(server).chat.completions.create(body("count", 100, { max_tokens: 10, stream: true, service_tier: "priority" }))) tiers.push(c.service_tier);
  same([tiers.length > 2, [...new Set(tiers)]], [true, ["priority"]], "a stream");
  for (const tier of ["flex", "Priority", "x".repeat(33), ""]) {
    const a = await chat({ service_tier: tier });
    same([a.status, a.body.error?.param, a.body.error?.code], [400, "service_tier", "invalid_value"], `${tier}: ${JSON.stringify(a.body)}`);
  }
  check((await chat({ service_tier: "flex" })).body.error.message.includes("not sold in the service tier 'flex'"), "what is wrong");
  const now = Math.floor(Date.now() / 1000), used = (await request(server, "GET", `/v1/organization/usage/completions?start_time=${now - 86400}&group_by=service_tier`)).body.data.flatMap((b) => b.results);
  for (const [tier, n] of [["priority", 2], ["default", 5]]) same(used.filter((r) => r.service_tier === tier).reduce((sum, r) => sum + r.num_model_requests, 0), n, tier);
  await server.stop(); // and its audit
});

test("every end has its receipt: stream, credit, error, a client that left, several answers; a running and a refused request have none", async () => {
  const server = await startFake("0.004", "1", "1"), openai = client(server), ids = {};
  ids.several = (await openai.completions.create({ model: "count", prompt: ["x".repeat(100), "y".repeat(30)], n: 3, max_tokens: 20 }).withResponse()).response.headers.get("x-request-id");
  ids.error = (await openai.chat.completions.create(body("fail", 10, { max_tokens: 20 })).catch((e) => e)).headers.get("x-request-id");
  const hold = new AbortController();
  request(server, "POST", "/v1/chat/completions", { body: body("slow", 50, { max_tokens: 2000, stream: true }), signal: hold.signal, onHead: (res) => { ids.cancel = res.headers["x-request-id"]; } }).catch(() => {});
  await until("it runs", async () => ids.cancel && (await metric(server, "sluice_engine_running")) === 1);
  const running = await receipt(server, ids.cancel);
  same([running.status, running.body.error.code], [404, "not_found"], "while it runs");
  hold.abort();
  await until("nothing runs", async () => (await metric(server, "sluice_chats")) === 0);
  const { data: stream, response } = await openai.chat.completions.create(body("count", 100, { stream: true })).withResponse();
  for await (const c of stream) void c;
  ids.budget = response.headers.get("x-request-id");
  const poor = await openai.chat.completions.create(body("count", 100, { max_tokens: 20 })).catch((e) => e);
  same(poor.status, 429);
  same((await receipt(server, poor.headers.get("x-request-id"))).status, 404, "a refused request");
  const all = {};
  for (const [name, id] of Object.entries(ids)) all[name] = await everywhere(server, id);
  same(Object.values(all).map((r) => [r.reason, r.status, r.stream]), [["length", 200, false], ["error", 500, false], ["cancel", 499, true], ["budget", 200, true]]);
  same(all.several.meters.map((m) => m.tokens), [130, 0, 0, 120, 0], "one receipt for all answers");
  check(nano(all.cancel.released) > 0n, "what was not computed is released");
  const left = nano((await request(server, "GET", "/v1/sluice/balance")).body.balance);
  same(Object.values(all).reduce((s, r) => s + nano(r.charged), left), nano("0.004"), "receipts and balance");
  await server.stop();
});

test("a killed server: the next one has the receipt of what came until then", async () => {
  const server = await startFake("1", "1", "1"), { data } = server;
  let id, came = 0;
  const read = (async () => {
    const { data: stream, response } = await client(server).chat.completions.create(body("slow", 100, { stream: true, max_tokens: 100 })).withResponse();
    id = response.headers.get("x-request-id");
    for await (const c of stream) came += c.choices[0]?.delta?.content ? 1 : 0;
  })().catch(() => {});
  await until("tokens come", () => came > 2);
  server.stopped = true;
  server.child.kill("SIGKILL");
  await Promise.all([server.ended, read]);
  const next = await start(fakeServer, [data], data);
  next.key = server.key;
  const r = await everywhere(next, id);
  same([r.reason, r.status, r.meters[0].tokens], ["crash", 500, 100]);
  check(r.meters[3].tokens >= came, `${r.meters[3].tokens} tokens billed, ${came} came`);
  await next.stop();
});

test("a real model: cached tokens at their own rate", async () => {
  const server = await startTiny(), { data } = server;
  await ok(["price", "set", "tiny", "--input", "0.333333333", "--cached-input", "0.0111", "--output", "1.5"], data);
  const ids = [];
  for (let i = 0; i < 2; i++) ids.push((await request(server, "POST", "/v1/completions", { body: { model: "tiny", prompt: "a b c d ".repeat(40), max_tokens: 3, ignore_eos: true } })).headers["x-request-id"]);
  const [first, second] = [await everywhere(server, ids[0]), await everywhere(server, ids[1])];
  check(first.meters[1].tokens === 0 && second.meters[1].tokens >= 64 && second.price.version === 2, JSON.stringify(second.meters));
  check(nano(second.charged) < nano(first.charged), "the second is cheaper");
  await server.stop();
});

test("a contract with steps by input length beside the list price", async () => {
  const server = await startFake("1", "1", "1"), { data } = server;
  const priced = JSON.parse(await ok(["price", "set", "count", "--input", "0.9", "--output", "2.5", "--reasoning", "3", "--above", "100:input=0.7,output=3.1;200:input=1.3", "--account", "acme", "--json"], data));
  same([typeof priced.price, priced.preview.requests, /nothing was used/.test(priced.preview.says)], ["number", 0, true], "what setting it says");
  const seen = [];
  for (const n of [99, 100, 199, 200, 201]) {
    const r = await everywhere(server, (await request(server, "POST", "/v1/chat/completions", { body: body("count", n, { max_tokens: 7 }) })).headers["x-request-id"]);
    seen.push([r.price.contract, r.price.from_tokens, r.meters[0].rate, r.meters[3].rate, r.meters[0].list_rate ?? r.meters[0].rate]);
  }
  same(seen, [[true, 0, "0.90", "2.50", "1.00"], [true, 100, "0.70", "3.10", "1.00"], [true, 100, "0.70", "3.10", "1.00"], [true, 200, "1.30", "3.10", "1.00"], [true, 200, "1.30", "3.10", "1.00"]], "the whole request at its step");
  const preview = JSON.parse(await ok(["price", "preview", "count", "--input", "0.45", "--output", "1.25", "--account", "acme", "--json"], data));
  check(/this cut costs you [0-9.]+ USD a month and saves your customers [0-9]+\.[0-9]%/.test(preview.says) && preview.accounts[0].account === "acme" && preview.requests === 5, JSON.stringify(preview));
  for (const [args, says] of [[["--input", "1"], /output is missing/], [["--input", "-1", "--output", "1"], /negative/], [["--input", "99999999999", "--output", "1"], /too large/], [["--input", "1", "--output", "1", "--from", "2020-01-01"], /begins now or later/],
    [["--input", "1", "--output", "1", "--above", "x"], /no step/], [["--input", "1", "--output", "1", "--above", "0:input=1"], /no step/], [["--input", "1", "--output", "1", "--account", "nobody"], /no account/], [["--gpu-hour", "1", "--from", "2099-01-01", "--until", "2098-01-01"], /ends before it begins/]]) {
    const r = await cli(["price", "set", "count", ...args], { data });
    check(r.code !== 0 && says.test(r.err) && r.out === "", `${args.join(" ")}: ${r.code} ${r.err}`);
  }
  await ok(["price", "set", "count", "--input", "1", "--output", "1", "--from", "2098-01-01", "--until", "2099-01-01"], data);
  const late = await cli(["price", "set", "count", "--input", "1", "--output", "1", "--from", "2098-06-01"], { data });
  check(late.code !== 0 && /version 2 of this price .* overlaps/.test(late.err), late.err);
  await ok(["price", "end", "count", "--version", "2"], data);
  await ok(["price", "set", "count", "--input", "1", "--output", "1", "--from", "2098-06-01"], data);
  same(JSON.parse(await ok(["price", "list", "--all", "--json"], data)).filter((p) => p.model === "count").map((p) => [p.account, p.version, p.from_tokens, p.state]),
    [[null, 1, 0, "in force"], [null, 2, 0, "taken back"], [null, 3, 0, "scheduled"], ["acme", 1, 0, "in force"], ["acme", 1, 100, "in force"], ["acme", 1, 200, "in force"]], "the book");
  await server.stop();
});

test("ids that are none: one clear 400, on each way", async () => {
  const server = await startFake("1", "1", "1"), hex = "0123456789abcdef01234567";
  for (const id of ["x", "req_", `req_${hex}0`, `req_${hex.slice(1)}`, `req_${hex.slice(1)}g`, hex, `key_${hex}`, `chatcmpl-${hex}x`, `req_%20${hex.slice(1)}`, `%00${hex}`, `req_${hex}%00`, "%2e%2e", "..%2fusage", "'%20OR%201=1%20--", "%ff", `req_${"0".repeat(3000)}`, "%E6%B0%B4"]) {
    const a = await receipt(server, id);
    check(a.status === 400 || (id.startsWith("%2e") && a.status === 404), `${id}: ${a.status} ${JSON.stringify(a.body)}`); // a path of dots is another path
    checkSchema(a.body, "ErrorResponse");
  }
  const bad = (await receipt(server, "x")).body.error;
  same([bad.type, bad.code, bad.param], ["invalid_request_error", "invalid_value", "id"]);
  for (const id of ["x", `req_${hex}`]) same((await receipt(server, id, { key: null })).status, 401, "without a key, before the id is looked at");
  same((await admin(server, "/admin/receipt?request=x")).body.error.message, bad.message, "the operator's");
  same([(await admin(server, "/admin/receipt")).status, (await admin(server, `/admin/receipt?request=req_${hex}`)).status], [400, 404]);
  for (const [args, code, says] of [[["x"], 2, /no id of a request/], [[`req_${hex}`], 4, /no receipt of req_/], [[`req_${hex}`, "--account", "acme"], 2, /--account/], [["a", "b"], 2, /too many/]]) {
    const r = await cli(["usage", ...args], { data: server.data });
    check(r.code === code && says.test(r.err) && r.out === "", `sluice usage ${args.join(" ")}: ${r.code} ${r.err}`);
  }
  await server.stop();
});

test("a store that was changed: the receipt says what does not agree, on each way, and so does the audit", async () => {
  const server = await startFake("1", "1", "1"), { data } = server;
  const id = (await request(server, "POST", "/v1/chat/completions", { body: body("count", 100, { max_tokens: 10 }) })).headers["x-request-id"];
  await everywhere(server, id);
  server.stopped = true;
  server.child.kill("SIGTERM");
  await server.ended;
  const db = new DatabaseSync(path.join(data, "ledger.db"));
  db.exec("DROP TRIGGER usage_keep; UPDATE usage SET output = 9");
  db.close();
  const shown = await cli(["usage", id], { data }), json = JSON.parse((await cli(["usage", id, "--json"], { data })).out), audit = await cli(["audit"], { data });
  same([shown.code, audit.code], [10, 10], "exit codes");
  same(json.differences, ["list: 0.00011 is stored, the meters come to 0.000109 at the list price", "contracted: 0.00011 is stored, the meters come to 0.000109", "charged: 0.00011 is stored, the lesser of the meters' sum and the hold is 0.000109"]);
  check(/^agrees +false$/m.test(shown.out) && json.differences.every((d) => shown.out.includes(d)) && /sluice audit/.test(shown.err), shown.out + shown.err);
  const again = await start(fakeServer, [data], data);
  again.key = server.key;
  same((await receipt(again, id)).body, json, "the customer's");
  again.stopped = true; // its audit fails, as it must
  again.child.kill("SIGTERM");
  await again.ended;
});

await run();
