// Who may do what: every route x every kind of key x ways to write the path and the Host header. Rights follow the matched route alone.
import { readFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { check, cli, request, root, run, same, test } from "./harness.mjs";
import { routes, scopes, startTiny } from "./tables.mjs";

const server = await startTiny();
const port = Number(new URL(server.url).port);
const admin = [...readFileSync(path.join(root, "src/api/admin.def"), "utf8").matchAll(/^ADMIN\(\w+,\s+(\w+),\s+"([^"]+)"\)/gm)].map((m) => ({ method: m[1], pattern: m[2], access: "ADMIN" }));
// Who has signed in, and may what: roles.mjs. Here: no key opens what is a member's.
const signed = ["SIGNED_IN", "VIEWER", "DEVELOPER", "MANAGER", "OWNER"], open = ["PUBLIC", "PAGE", "LOCAL"];
for (const r of routes) if (![...signed, ...open, "KEY"].includes(r.access)) throw new Error(`${r.pattern}: nobody knows the access ${r.access}`);
const guarded = [...routes, ...admin].filter((r) => !open.includes(r.access));

// Raw bytes to the server; the statuses of its answers.
const send = (bytes) => new Promise((done) => {
  const s = net.connect(port, "127.0.0.1"), parts = [];
  const end = () => { s.destroy(); done([...Buffer.concat(parts).toString("latin1").matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((m) => Number(m[1]))); };
  s.on("data", (d) => { parts.push(d); clearTimeout(s.timer); s.timer = setTimeout(end, 5000); }).on("end", end).on("error", end);
  s.timer = setTimeout(end, 60000);
  s.write(bytes);
});
const plain = (r) => r.pattern.replace("{model*}", "tiny").replace(/\{\w+\*?\}/, "x");
const bytes = (method, target, headers) => `${method} ${target} HTTP/1.1\r\nConnection: close\r\n${Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join("")}${method === "POST" ? "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" : "\r\n"}`;

test("no key, a wrong key, another scheme, a key in the wrong place: nothing is answered", async () => {
  check(guarded.length > 14, `${guarded.length} routes`);
  const last = server.key.at(-1) === "a" ? "b" : "a";
  const wrong = [{}, { authorization: "" }, { authorization: "Bearer" }, { authorization: "Bearer " }, { authorization: server.key }, { authorization: `Basic ${Buffer.from(`user:${server.key}`).toString("base64")}` },
    { authorization: `Bearer ${server.key.slice(0, -1)}${last}` }, { authorization: `Bearer ${server.key}x` }, { authorization: `Bearer ${server.key} ${server.key}` }, { authorization: `Bearer "${server.key}"` },
    { authorization: `Bearer ${server.key.toUpperCase()}` }, { authorization: `Bearer ${"x".repeat(4000)}` }, { authorization: "Bearer \xff\xfe" }, { authorization: "Bearer ' OR 1=1 --" }, { authorization: "Bearer *" },
    { authorization: "Bearer wrong", "api-key": server.key }, { cookie: `key=${server.key}` }, { "x-api-key": "wrong" }, { "x-forwarded-for": "127.0.0.1" }, { "x-sluice-admin": "1" }];
  for (const r of guarded) {
    const want = r.access === "ADMIN" ? 404 : 401;
    const answers = await Promise.all(wrong.map((headers) => send(bytes(r.method, plain(r), { Host: "localhost", ...headers }))));
    for (const [i, a] of answers.entries()) same(a, [want], `${r.method} ${plain(r)} with ${JSON.stringify(wrong[i])}`);
    same(await send(bytes(r.method, `${plain(r)}?api_key=${server.key}&key=${server.key}`, { Host: "localhost" })), [want], "a key in the query");
  }
});

test("a good key opens its own routes and no route of the operator", async () => {
  for (const r of guarded) {
    const [status] = await send(bytes(r.method, plain(r), { Host: "localhost", Authorization: `Bearer ${server.key}` }));
    check(r.access === "ADMIN" ? status === 404 : signed.includes(r.access) ? status === 401 : r.scope === "events" ? status === 403 : status === 200 || status === 400, `${r.method} ${plain(r)}: ${status}`);
  }
});

// The table itself: each route x a key with each scope alone, and with all but that one.
test("a key opens the routes of its scopes alone, and is told which scope it lacks and how it gets it", async () => {
  const asked = routes.filter((r) => r.access === "KEY");
  for (const s of scopes) check(asked.some((r) => r.scope === s), `no route asks for ${s}`);
  const make = async (list) => JSON.parse((await cli(["key", "create", "acme", "--scopes", list, "--json"], { data: server.data })).out).key;
  for (const list of [...scopes.map((s) => [s]), ...scopes.map((s) => scopes.filter((x) => x !== s))]) {
    const key = await make(list.join(",")), id = key.split("-")[2];
    for (const r of asked) {
      const a = await request(server, r.method, plain(r), { key, body: r.method === "POST" ? {} : undefined }), what = `${r.method} ${plain(r)} with ${list}`;
      if (list.includes(r.scope)) { check(a.status === 200 || a.status === 400, `${what}: ${a.status}`); continue; }
      same([a.status, a.body.error?.code, a.body.error?.type], [403, "forbidden", "permission_error"], what);
      const mended = scopes.filter((s) => s === r.scope || list.includes(s)).join(",");
      check(a.body.error.message.includes(`lacks the scope ${r.scope} `) && a.body.error.message.includes(`sluice key set ${id} --scopes ${mended}`), `${what}: ${a.body.error.message}`);
    }
    for (const r of admin) same((await request(server, r.method, plain(r), { key, body: r.method === "POST" ? {} : undefined })).status, 404, `${plain(r)} with ${list}`);
  }
});

test("no way to write a path gets past its guard", async () => {
  const forms = (p) => [`/${p}`, `${p}/`, p.replace("/", "//"), p.replaceAll("/", "%2f"), p.replace(/.$/, (c) => `%${c.charCodeAt(0).toString(16)}`), p.toUpperCase(), `${p};x`, `${p}%00`, `${p}%2e`, `/health/..${p}`, `/health%2f..${p}`, `/%2e${p}`, `/./${p.slice(1)}`,
    `${p}?/health`, `${p}#/health`, `http://localhost${p}`, `http://localhost:${port}/health${p}`, `//health${p}`, `/health?${p}`, `/page/..%2f..${p}`, `${p}%20`, `${p}\\..\\health`, `/v1/../${p.slice(1)}`, `/V1${p.slice(3)}`];
  for (const r of guarded)
    for (const target of forms(plain(r))) {
      const got = await send(bytes(r.method, target, { Host: "localhost" }));
      const open = target.startsWith("/health?") ? [200, 405] : []; // that is /health indeed
      check(got.length <= 2 && got.every((s) => [400, 401, 404, 405, ...open].includes(s)), `${r.method} ${target}: ${got}`);
    }
});

test("the Host header opens nothing, and on loopback a stranger's closes everything", async () => {
  const target = "/v1/models", key = { Authorization: `Bearer ${server.key}` };
  for (const host of ["localhost", "127.0.0.1", `127.0.0.1:${port}`, "[::1]", "LOCALHOST"]) {
    same(await send(bytes("GET", target, { Host: host })), [401], `${host} without a key`);
    same(await send(bytes("GET", target, { Host: host, ...key })), [200], `${host} with a key`);
  }
  for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "localhost:80@evil", "evil/health", "", "a b", "[::2]", "0.0.0.0", "localhost,evil", "xn--evil", "127.0.0.2.nip.io"])
    for (const where of [target, "/metrics", "/", "/v1/chat/completions"]) {
      const got = await send(bytes("GET", where, { Host: host, ...key }));
      check(got.length === 1 && (where.endsWith("completions") ? [400, 405] : [400, 403]).includes(got[0]), `Host ${host} ${where}: ${got}`);
    }
  same(await send(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nAuthorization: Bearer ${server.key}\r\n\r\n`), [400], "two Hosts");
  same(await send(`GET http://evil.example${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${server.key}\r\n\r\n`), [400], "the target names another host");
});

test("a page elsewhere gets no permission, also by asking first", async () => {
  for (const r of [...routes, ...admin]) {
    for (const [method, headers] of [["OPTIONS", { origin: "http://evil.example", "access-control-request-method": r.method, "access-control-request-headers": "authorization" }], [r.method, { origin: "null" }]]) {
      const a = await request(server, method, plain(r), { headers, raw: true, body: method === "POST" ? "{}" : undefined });
      check(!Object.keys(a.headers).some((h) => h.startsWith("access-control")), `${method} ${plain(r)}: ${JSON.stringify(a.headers)}`);
      check(!a.headers["set-cookie"], "no cookie");
    }
  }
});

test("a key that is revoked, rotated or expired stops at once", async () => {
  const key = async (...args) => JSON.parse((await cli([...args, "--json"], { data: server.data })).out);
  const status = async (k) => (await request(server, "GET", "/v1/models", { key: k })).status;
  const one = await key("key", "create", "acme"), id = one.id ?? one.key.split("-")[2];
  same(await status(one.key), 200, "a new key");
  const two = await key("key", "rotate", id);
  same([await status(one.key), await status(two.key)], [401, 200], "rotated: the old one, the new one");
  await key("key", "revoke", id);
  same(await status(two.key), 401, "revoked");
  const gone = await cli(["key", "create", "acme", "--expires", "2001-01-01", "--json"], { data: server.data });
  if (gone.code === 0) same(await status(JSON.parse(gone.out).key), 401, "expired");
  else check(/expire/.test(gone.err), gone.err);
});

// A receipt is its project's and the operator's. Whoever else asks, for whatever way of writing the id, gets the answer of an id that never was.
test("another account's receipt is one that never existed", async () => {
  const mine = (await request(server, "POST", "/v1/completions", { body: { model: "tiny", prompt: "a", max_tokens: 1 } })).headers["x-request-id"];
  same((await request(server, "GET", `/v1/requests/${mine}/receipt`)).body.account, "acme", "its own");
  for (const args of [["account", "create", "gamma"], ["grant", "create", "gamma", "10"]]) await cli(args, { data: server.data });
  const key = JSON.parse((await cli(["key", "create", "gamma", "--json"], { data: server.data })).out).key, never = `req_${"0123456789ab".repeat(2)}`;
  const ask = (id, more = "") => request(server, "GET", `/v1/requests/${id}/receipt${more}`, { key, raw: true });
  const bare = (a, id) => [a.status, Object.entries(a.headers).filter(([k]) => k !== "x-request-id" && k !== "date"), a.body.replaceAll(id, "ID")];
  const want = bare(await ask(never), never);
  same(want[0], 404, "never existed");
  for (const more of ["", "?account=acme", `?request=${mine}`, "?project=1&org=1"]) same(bare(await ask(mine, more), mine), want, `another account's${more}`);
  for (const id of [mine.replace("req_", "chatcmpl-"), mine.replace("req_", "cmpl-"), `req_${mine.slice(4).toUpperCase()}`]) same(bare(await ask(id), mine), want, id);
  const raw = JSON.parse((await ask(mine)).body).error;
  same([raw.type, raw.param, raw.code], ["invalid_request_error", null, "not_found"]);
  same((await request(server, "GET", `/admin/receipt?request=${mine}`)).status, 404, "the operator's way is not open to a key");
  const rotated = JSON.parse((await cli(["key", "create", "acme", "--json"], { data: server.data })).out).key;
  same((await request(server, "GET", `/v1/requests/${mine}/receipt`, { key: rotated })).status, 200, "another key of the same project");
});

// One tenant's words never reach another, by any route, nor the metrics nor the log.
test("what one account says no other account, no metric and no log line shows", async () => {
  const canary = "Quixotrope7731";
  for (const name of ["beta"]) for (const args of [["account", "create", name], ["grant", "create", name, "10"]]) await cli(args, { data: server.data });
  const other = JSON.parse((await cli(["key", "create", "beta", "--json"], { data: server.data })).out).key;
  const ask = { model: "tiny", messages: [{ role: "system", content: canary }, { role: "user", content: canary }], user: canary, metadata: { a: canary }, stop: [canary], max_tokens: 2, prompt_cache_key: canary };
  same((await request(server, "POST", "/v1/chat/completions", { body: ask })).status, 200);
  for (const body of [{ ...ask, model: canary }, { ...ask, temperature: canary }, { ...ask, messages: [{ role: canary, content: canary }] }, { ...ask, [canary]: 1 }, `{"${canary}":`]) await request(server, "POST", "/v1/chat/completions", { body });
  for (const [where, body] of [["/v1/completions", { model: "tiny", prompt: canary, max_tokens: 2, echo: true, user: canary }], ["/v1/completions", { model: "tiny", prompt: canary, suffix: canary }],
    ["/v1/embeddings", { model: "tiny", input: [canary, canary], user: canary }], ["/v1/embeddings", { model: "tiny", input: canary, encoding_format: canary }], ["/tokenize", { model: "tiny", prompt: canary }], ["/detokenize", { model: "tiny", tokens: canary }]])
    await request(server, "POST", where, { body });
  await request(server, "GET", `/v1/models/${canary}`);
  await request(server, "GET", "/v1/models", { headers: { host: `${canary}.example` } });
  await request(server, "GET", "/v1/models", { key: canary });
  for (const [method, where] of [...routes.filter((r) => r.method === "GET").map((r) => ["GET", plain(r)]), ["GET", "/v1/sluice/usage?group=request"], ["GET", "/v1/sluice/usage?group=model"]]) {
    const a = await request(server, method, where, { key: other, raw: true });
    check(!a.body.includes(canary), `${where} shows another account's words`);
    if (/usage\?group=request/.test(where)) same(JSON.parse(a.body).data, [], "rows of another account");
  }
  check(!server.log.includes(canary), "the log shows what was asked");
  for (const secret of [server.key, server.key.split("-").at(-2), other]) check(!server.log.includes(secret), "the log shows a key");
});

await run();
