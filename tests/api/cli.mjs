// The command line: every command, with a server and without one.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import https from "node:https";
import path from "node:path";
import { check, cli, client, folder, request, root, run, same, skip, shared, sleep, sluice, start, startDemo, test, until } from "./harness.mjs";

const ok = async (args, options) => {
  const r = await cli(args, options);
  check(r.code === 0, `sluice ${args.join(" ")}: exit ${r.code}: ${r.err}`);
  return r.out;
};
const json = async (args, options) => JSON.parse(await ok([...args, "--json"], options));
async function fails(args, code, pattern, options) {
  const r = await cli(args, options);
  same(r.code, code, `exit of sluice ${args.join(" ")} (${r.err})`);
  check(pattern.test(r.err), `sluice ${args.join(" ")} says: ${r.err}`);
}
const commands = ["serve", "run", "pull", "add", "list", "show", "rm", "probe", "account create", "account list", "key create", "key set", "key list", "key rotate", "key revoke", "project create", "project list", "project archive", "member set", "member list", "member rm", "member sign-out", "grant create",
  "grant list", "grant show", "grant approve", "grant void", "grant transfer", "grant adjust", "grant limit", "refund", "price set", "price preview", "price advise", "price end", "price list", "publisher set", "publisher list", "publisher statement", "reserve create", "reserve resize", "reserve cancel", "reserve list", "commit create", "commit list", "backlog", "limit set", "limit list", "limit rm", "revenue", "revenue import", "revenue imports", "deferred", "credits", "growth", "products", "customers", "margin", "statement", "focus", "policy show", "policy set", "policy list", "usage", "audit log", "end-user export", "end-user erase", "doctor", "backup", "restore", "audit", "bench roofline", "bench model", "bench serve", "cpu", "version", "help"];

test("price advise: the cost of a million tokens is the hour over the speed, the margin is of today's price", async () => {
  const data = folder();
  await ok(["price", "set", "guide", "--input", "0.5", "--cached-input", "0.1", "--output", "1.5"], { data });
  const few = ["--streams", "2", "--prefill", "16", "--tokens", "2", "--rounds", "1", "--threads", "1"], r = await json(["price", "advise", "guide", "--hour-cost", "36", "--busy", "50", ...few], { data });
  same(r.map((x) => [x.meter, x.streams, x.price]).sort(), [["cached_input", 1, "0.10"], ["input", 1, "0.50"], ["output", 1, "1.50"], ["output", 2, "1.50"]]);
  for (const x of r) { // 36 an hour is 0.01 a second; the speed is shown with one decimal
    const cost = 0.01 * 1e6 / x["tok/s"], off = Math.abs(Number(x.cost) / cost - 1);
    check(off < 0.1 / x["tok/s"] + 1e-6, `${JSON.stringify(x)}: a million tokens cost ${cost}`);
    check(Math.abs(Number(x.floor) - 2 * Number(x.cost)) < 3e-9 && Math.abs(x["margin %"] - 100 * (x.price - x.floor) / x.price) < 0.051, JSON.stringify(x));
  }
  await fails(["price", "advise", "guide", ...few], 2, /what an hour of this machine costs/, { data });
  await fails(["price", "advise", "guide", "--hour-cost", "0"], 2, /more than nothing/, { data });
  await fails(["price", "advise", "absent", "--hour-cost", "1", ...few], 4, /absent/, { data });
});

test("help lists every command, and each explains itself with an example", async () => {
  const list = await ok(["help"]), page = readFileSync(path.join(root, "docs/using/commands.md"), "utf8");
  for (const c of commands) {
    check(new RegExp(`^  ${c} `, "m").test(list), `${c} is not listed`);
    const help = await ok([...c.split(" "), "--help"]);
    check(new RegExp(`example: sluice ${c}`).test(help), `${c} has no example`);
    check(page.includes(`\`sluice ${c}`), `${c} is not in docs/using/commands.md`);
  }
  for (const [, c] of page.matchAll(/^\| `sluice ([a-z-]+(?: (?:create|list|show|archive|log|resize|cancel|export|erase|sign-out|approve|void|transfer|adjust|limit|rotate|revoke|set|rm|end|preview|advise|imports|import|statement|roofline|model|serve))?)/gm)) check(commands.includes(c), `docs/using/commands.md has ${c}`);
  for (const [, row, text] of page.matchAll(/^\| `sluice ([a-z-]+(?: (?:create|list|show|archive|log|resize|cancel|export|erase|sign-out|approve|void|transfer|adjust|limit|rotate|revoke|set|rm|end|preview|advise|imports|import|statement|roofline|model|serve))?)([^|]*)\|/gm))
    for (const [flag] of text.matchAll(/--[a-z-]+/g)) check((await ok([...row.split(" "), "--help"])).includes(` ${flag}`), `${row} has no ${flag}`);
  check(/account create[^]*account list/.test(await ok(["account", "--help"])), "a group explains its commands");
});

test("what is wrong on a command line is said, with exit code 2", async () => {
  await fails(["frobnicate"], 2, /there is no command frobnicate/);
  await fails([], 2, /^$/);
  await fails(["list", "--wrong"], 2, /no flag --wrong/);
  await fails(["add"], 2, /argument is missing; usage: sluice add FILE/);
  await fails(["list", "a", "b"], 2, /too many arguments/);
  await fails(["price", "set", "m"], 2, /--input and --output/);
  await fails(["serve", "--listen"], 2, /--listen needs a value/);
  await fails(["run", "--temperature", "hot", "m", "p"], 2, /--temperature hot/);
  await fails(["list", "--json=1"], 2, /takes no value/);
});

test("settings: default, file, environment, flag, in this order", async () => {
  const data = folder(), file = path.join(data, "x.conf");
  const value = async (name, args = [], env) => {
    const line = (await ok(["serve", "--print-config", ...args], { data, env })).split("\n").find((l) => l.startsWith(`${name} `));
    const [, v, from] = /= (\S*) +# (.*?);/.exec(line);
    return [v, from];
  };
  same(await value("listen"), ["127.0.0.1:8000", "default"]);
  writeFileSync(path.join(data, "sluice.conf"), "# mine\nlisten = 127.0.0.1:1\n");
  same((await value("listen"))[0], "127.0.0.1:1");
  check(/sluice\.conf:2$/.test((await value("listen"))[1]), "the line of the file");
  writeFileSync(file, "listen=127.0.0.1:2\n");
  same((await value("listen", ["--config", file]))[0], "127.0.0.1:2");
  same(await value("listen", ["--config", file], { SLUICE_LISTEN: "127.0.0.1:3" }), ["127.0.0.1:3", "environment SLUICE_LISTEN"]);
  same(await value("listen", ["--config", file, "--listen", "127.0.0.1:4"], { SLUICE_LISTEN: "127.0.0.1:3" }), ["127.0.0.1:4", "flag"]);
  same((await value("drain-seconds", [], { SLUICE_DRAIN_SECONDS: "5" }))[0], "5");
  writeFileSync(file, "listne = x\n");
  await fails(["serve", "--config", file], 2, /x\.conf:1: there is no setting listne/, { data });
  writeFileSync(file, "listen\n");
  await fails(["serve", "--config", file], 2, /x\.conf:1: not of the form/, { data });
  await fails(["serve", "--threads", "many"], 2, /threads = many \(from flag\)/, { data });
  await fails(["serve", "--tls-cert", "x"], 2, /tls-cert and tls-key/, { data });
});

test("accounts, keys, grants and prices without a server", async () => {
  const data = folder();
  await ok(["account", "create", "acme"], { data });
  await fails(["account", "create", "acme"], 6, /acme/, { data });
  await fails(["key", "create", "nobody"], 4, /nobody/, { data });
  const { key } = await json(["key", "create", "acme", "--name", "laptop"], { data });
  check(/^sk-sluice-\w+-\w+-\w+$/.test(key), key);
  await ok(["grant", "create", "acme", "12.34", "--scope", "inference", "--expires", "2099-01-01"], { data });
  await fails(["grant", "create", "acme", "1e3"], 2, /1e3/, { data });
  await fails(["grant", "create", "acme", "-5"], 2, /./, { data });
  await fails(["grant", "create", "acme", "0"], 2, /zero/, { data });
  await fails(["grant", "create", "acme", "1", "--expires", "soon"], 2, /soon|date/, { data });
  await fails(["grant", "create", "acme", "1", "--expires", "2020-01-01"], 2, /expired already/, { data });
  await fails(["grant", "create", "acme", "1", "--effective", "2020-01-01"], 2, /begin in the past/, { data });
  await fails(["grant", "create", "acme", "1", "--models", "none"], 2, /no model none has a price/, { data });
  await fails(["grant", "create", "acme", "1", "--funding", "found"], 2, /funding 'found' is unknown/, { data });
  await fails(["grant", "create", "acme", "9223372037"], 2, /too large/, { data });
  await fails(["grant", "show", "2"], 4, /no grant 2/, { data });
  await ok(["price", "set", "m", "--input", "0.5", "--output", "1.5", "--cached-input", "0.1"], { data });
  const [account] = await json(["account", "list"], { data }), [price] = await json(["price", "list"], { data }), [grant] = await json(["grant", "list", "acme"], { data });
  same([account.account, account.balance, account.currency], ["acme", "12.34", "USD"]);
  same([price.model, price.input, price.output, price.cache_read], ["m", "0.50", "1.50", "0.10"]);
  same([grant.amount, grant.scope], ["12.34", "inference"]);
  await ok(["grant", "create", "acme", "5", "--models", "m", "--effective", "2098-01-01", "--expires", "2099-01-01", "--priority", "7", "--cash", "4", "--list-value", "6", "--counterparty", "Acme Ltd", "--instrument", "order 1", "--actor", "ann"], { data });
  const shown = await json(["grant", "show", "2"], { data });
  same([shown.state, shown.models, shown.priority, shown.cash_received, shown.list_value, shown.counterparty, shown.instrument, shown.created_by, shown.spent, shown.remaining],
    ["waits", "m", 7, "4.00", "6.00", "Acme Ltd", "order 1", "ann", "0.00", "5.00"]);
  same(shown.history.map((h) => [h.kind, h.amount]), [["grant", "4.00"], ["grant", "1.00"]]);
  check(/^history$/m.test(await ok(["grant", "show", "2"], { data })), "the history as a table");
  const [row] = await json(["key", "list", "acme"], { data });
  check(row.name === "laptop" && !JSON.stringify(row).includes(key.split("-")[3]), "no secret in the list");
  check(!readFileSync(path.join(data, "ledger.db")).includes(key.split("-")[3]), "no secret in the store");
  check(/acme +/.test(await ok(["account", "list"], { data })), "a table for people");
  same((await json(["audit"], { data })).differences, 0);
  same(await ok(["usage"], { data }), "none\n");
});

test("the same with a running server, which knows it at once", async () => {
  const server = await startDemo(), { data } = server;
  await ok(["account", "create", "acme"], { data });
  const { key } = await json(["key", "create", "acme"], { data });
  const mine = client(server, { apiKey: key });
  same((await mine.models.list()).data.length > 0, true);
  const ask = { model: server.model, messages: [{ role: "user", content: "hi" }], max_tokens: 2 };
  same((await mine.chat.completions.create(ask).catch((e) => e)).status, 429, "no credit yet");
  await ok(["grant", "create", "acme", "1"], { data });
  same((await mine.chat.completions.create(ask)).choices.length, 1);
  for (let i = 0; i < 2; i++) await client(server).chat.completions.create(ask); // the demo account's
  await until("the rows", async () => (await json(["usage", "--group", "request"], { data })).length === 3);
  const own = (where) => request(server, "GET", where, { key });
  same((await own("/v1/sluice/usage?group=request&account=demo")).body.data.length, 1, "another account's usage stays hidden");
  same((await own("/v1/sluice/balance")).body.account, "acme");
  const id = key.split("-")[2], { key: second } = await json(["key", "rotate", id], { data });
  same((await mine.models.list().catch((e) => e)).status, 401, "the old key");
  same((await client(server, { apiKey: second }).models.list()).data.length > 0, true);
  await ok(["key", "revoke", id], { data });
  same((await client(server, { apiKey: second }).models.list().catch((e) => e)).status, 401, "a revoked key");
  await fails(["key", "revoke", "zzzzzzzzzz"], 4, /zzzzzzzzzz/, { data });
  await until("the usage row", async () => (await json(["usage", "--account", "acme"], { data })).length === 1);
  await fails(["usage", "--group", "planet"], 2, /group must be/, { data });
  same(statSync(path.join(data, "admin.sock")).mode & 0o777, 0o600, "mode of admin.sock");
  same(statSync(path.join(data, "demo.key")).mode & 0o777, 0o600, "mode of demo.key");
  await fails(["serve", "--demo", "--listen", "127.0.0.1:0"], 6, /./, { data });
  await server.stop();
  check(!existsSync(path.join(data, "admin.sock")), "the socket is gone with the server");
});

test("credit: approve, void, transfer, adjust, refund, with a server and without, once for each key", async () => {
  const server = await startDemo(), { data } = server, who = (name) => ["--actor", name, "--reason", "a test"];
  await ok(["account", "create", "acme"], { data });
  await ok(["account", "create", "beta"], { data });
  same((await json(["grant", "limit"], { data })).limit, "none");
  await fails(["grant", "limit", "5"], 2, /a reason is missing/, { data });
  same((await json(["grant", "limit", "5", ...who("ann")], { data })).limit, "5.00");
  const { grant, approval } = await json(["grant", "create", "acme", "6", "--actor", "ann"], { data });
  same([approval, (await json(["grant", "list", "acme"], { data }))[0].state], ["needed", "unapproved"]);
  await fails(["grant", "approve", `${grant}`, "--actor", "ann"], 3, /ann made grant/, { data });
  same((await json(["grant", "approve", `${grant}`, "--actor", "bob"], { data })).approved_by, "bob");
  const adjust = ["grant", "adjust", `${grant}`, "+0.5", ...who("ann"), "--idempotency-key", "once"];
  const first = await json(adjust, { data });
  same([await json(adjust, { data }), first.remaining], [first, "6.50"], "the same answer");
  await fails(["grant", "adjust", `${grant}`, "1", ...who("ann"), "--idempotency-key", "once"], 6, /was used for something else/, { data });
  await fails(["grant", "adjust", `${grant}`, "-7", ...who("ann")], 6, /has 6\.50 USD/, { data });
  const moved = await json(["grant", "transfer", `${grant}`, "beta", "2.5", ...who("ann")], { data });
  same([moved.remaining, moved.account, (await json(["grant", "list", "beta"], { data }))[0].id], ["4.00", "beta", moved.to]);
  const { key } = await json(["key", "create", "acme"], { data });
  const a = await request(server, "POST", "/v1/chat/completions", { key, body: { model: server.model, messages: [{ role: "user", content: "hi" }], max_tokens: 2 } });
  const id = a.headers["x-request-id"], cost = a.body.usage.sluice.cost;
  await until("the row", async () => (await json(["usage", "--group", "request", "--account", "acme"], { data })).length === 1);
  const back = await json(["refund", id, ...who("ann")], { data });
  same([back.refunded, back.charged, back.refundable, back.grants], [cost, cost, "0.00", [{ grant, refunded: cost, gone: "0.00" }]]);
  await fails(["refund", id, ...who("ann")], 6, /nothing is left to refund/, { data });
  await fails(["refund", `req_${"0".repeat(24)}`, ...who("ann")], 4, /no request has that id/, { data });
  await fails(["refund", "x", ...who("ann")], 2, /./, { data });
  same((await json(["usage", id], { data })).refunded, cost);
  await server.stop();
  same(await json(adjust, { data }), first, "without a server");
  same((await json(["grant", "void", `${grant}`, ...who("ann")], { data })).voided, "4.00");
  await fails(["grant", "void", `${grant}`, ...who("ann")], 6, /is voided/, { data });
  same((await json(["grant", "show", `${grant}`], { data })).history.map((h) => `${h.kind} ${h.amount} ${h.actor}`),
    ["grant 6.00 bob", "adjust 0.50 ann", "transfer -2.50 ann", `refund ${cost} ann`, "void -4.00 ann"]);
  same((await json(["account", "list"], { data })).find((x) => x.account === "acme").refunded, cost);
  same((await json(["audit"], { data })).differences, 0);
});

test("models: add, list, show, and files that are none", async () => {
  const story = path.join(shared, "models/stories260K-f32.gguf"), data = folder();
  if (!existsSync(story)) skip("../shared/data is absent");
  await ok(["add", story, "--name", "org/stories"], { data });
  const m = (await json(["list"], { data })).find((m) => m.name === "org/stories");
  same(m.bytes, statSync(story).size);
  const shape = await json(["show", "org/stories"], { data });
  same([shape.architecture, shape.layers, shape.context, shape.vocabulary], ["llama", 5, 512, 512]);
  await fails(["show", "none"], 4, /none/, { data });
  const bad = path.join(data, "bad.gguf");
  writeFileSync(bad, readFileSync(story).subarray(0, 5000));
  await fails(["add", bad, "--name", "bad"], 8, /bad\.gguf|past the end|incomplete|short/, { data });
  writeFileSync(bad, "no model");
  await fails(["add", bad, "--name", "bad"], 8, /./, { data });
  await fails(["add", path.join(data, "absent.gguf")], 4, /absent\.gguf/, { data });
  await fails(["add", story, "--name", "../up"], 2, /./, { data });
  same((await json(["list"], { data })).filter((m) => m.name !== "guide").length, 1, "models after the failures");
  await ok(["price", "set", "org/stories", "--input", "1", "--output", "1"], { data });
  const server = await start(sluice, ["serve", "--data", data, "--listen", "127.0.0.1:0"], data);
  await ok(["account", "create", "a"], { data });
  server.key = (await json(["key", "create", "a"], { data })).key;
  same((await client(server).models.retrieve("org/stories")).id, "org/stories");
  same((await request(server, "GET", "/v1/models/org/stories")).body.id, "org/stories");
  await server.stop();
});

test("a model without a price is refused with 503, never free", async () => {
  const story = path.join(shared, "models/stories260K-f32.gguf"), data = folder();
  if (!existsSync(story)) skip("../shared/data is absent");
  await ok(["add", story, "--name", "stories"], { data });
  await ok(["account", "create", "a"], { data });
  await ok(["grant", "create", "a", "1"], { data });
  const server = await start(sluice, ["serve", "--data", data, "--listen", "127.0.0.1:0"], data);
  server.key = (await json(["key", "create", "a"], { data })).key;
  const e = await client(server).chat.completions.create({ model: "stories", messages: [{ role: "user", content: "x" }] }).catch((x) => x);
  same([e.status, e.code, e.headers.get("x-should-retry")], [503, "model_without_price", "false"]);
  await server.stop();
});

test("run: local and unmetered without a server, metered with one", async () => {
  const server = await startDemo(), { data, model } = server;
  const metered = await cli(["run", model, "What is sluice?", "--max-tokens", "20"], { data });
  same(metered.code, 0, metered.err);
  check(metered.out.trim().length > 10 && !/unmetered|not metered/.test(metered.err), metered.err);
  await server.stop();
  const local = await cli(["run", model, "What is sluice?", "--max-tokens", "20"], { data });
  check(/not metered/.test(local.err), local.err);
  same(local.out, metered.out, "the same text");
  const usage = await json(["usage", "--group", "request"], { data });
  same(usage.length, 1, "requests billed");
  await fails(["run", "none", "x"], 4, /none/, { data });
});

test("run: a chat on standard input keeps the history", async () => {
  const server = await startDemo(), { data, model } = server;
  const before = (await json(["usage", "--group", "request"], { data })).length;
  const r = await cli(["run", model, "--max-tokens", "8"], { data, input: "One\n\nTwo\n" });
  same(r.code, 0, r.err);
  await until("two rows", async () => (await json(["usage", "--group", "request"], { data })).length === before + 2);
  const inputs = (await json(["usage", "--group", "request"], { data })).map((x) => x.input).sort((x, y) => x - y);
  const ask = async (...messages) => client(server).chat.completions.create({ model, messages, temperature: 0, max_tokens: 8 });
  const one = await ask({ role: "user", content: "One" }), { content } = one.choices[0].message;
  const two = await ask({ role: "user", content: "One" }, { role: "assistant", content }, { role: "user", content: "Two" });
  same(inputs, [one.usage.prompt_tokens, two.usage.prompt_tokens], "prompt tokens");
  await server.stop();
});

test("run: Ctrl-C stops the answer only", async () => {
  const server = await startDemo(), { data, model } = server;
  const child = spawn(sluice, ["run", model, "--data", data, "--temperature", "1.5"], { stdio: ["pipe", "pipe", "pipe"] });
  let out = "", err = "";
  child.stdout.on("data", (d) => { out += d; });
  child.stderr.on("data", (d) => { err += d; });
  child.stdin.write("Tell me a very long story.\n");
  await until("text", () => out.length > 0);
  child.kill("SIGINT");
  await sleep(100);
  same(child.exitCode, null, "it runs on");
  const first = out.length;
  child.stdin.write("Say it again.\n");
  await until("the second answer", () => out.length > first);
  child.stdin.end();
  same(await new Promise((done) => child.on("exit", done)), 0, err);
  await server.stop();
});

test("SIGTERM lets a running answer finish", async () => {
  const server = await startDemo();
  const stream = await client(server).chat.completions.create({ model: server.model, messages: [{ role: "user", content: "hi" }], max_tokens: 300, temperature: 1, stream: true, stream_options: { include_usage: true } });
  server.child.kill("SIGTERM");
  let last;
  for await (const c of stream) last = c;
  check(last.usage?.completion_tokens > 0, "the whole answer came");
  same(await server.ended, 0);
  await server.stop();
});

test("the first 200 comes within 200 ms, and idle takes less than 60 MB", async () => {
  const server = await startDemo(); // makes account, key and price
  await server.stop();
  // The machine may be busy or slow: the best of a few, and at most as many times what a command takes that does nothing as it is where that takes 10 ms.
  let ms = Infinity, nothing = Infinity, rss;
  const limit = () => Math.max(200, 20 * nothing);
  for (let i = 0; i < 8 && ms >= limit(); i++) {
    const idle = performance.now();
    await ok(["version"]);
    nothing = Math.min(nothing, performance.now() - idle);
    const begin = performance.now();
    const again = await start(sluice, ["serve", "--demo", "--data", server.data, "--listen", "127.0.0.1:0"], server.data);
    same((await request(again, "GET", "/health", { key: null })).status, 200);
    ms = Math.min(ms, performance.now() - begin);
    rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${again.child.pid}/status`, "utf8"))[1]) / 1024;
    await again.stop();
  }
  console.log(`start to first 200: ${ms.toFixed(0)} ms, version: ${nothing.toFixed(0)} ms; idle: ${rss.toFixed(1)} MB`);
  if (!/asan|tsan/.test(sluice)) check(ms < limit(), `${ms.toFixed(0)} ms`), check(rss < 60, `${rss.toFixed(1)} MB`);
});

test("a killed server leaves a socket that does not stop the command line", async () => {
  const server = await startDemo(), { data } = server;
  server.child.kill("SIGKILL");
  await server.ended;
  server.stopped = true;
  check(existsSync(path.join(data, "admin.sock")), "the socket lies there");
  same((await json(["audit"], { data })).differences, 0);
  const again = await start(sluice, ["serve", "--demo", "--data", data, "--listen", "127.0.0.1:0"], data);
  await again.stop();
});

test("a taken address is said", async () => {
  const server = await startDemo(), data = folder();
  await fails(["serve", "--listen", server.url.slice(7)], 9, /in use|taken|address/i, { data });
  await server.stop();
});

test("TLS, and other machines", async () => {
  const data = folder(), pem = (name) => path.join(data, name);
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", pem("key"), "-out", pem("cert")], { stdio: "ignore" });
  const server = await start(sluice, ["serve", "--data", data, "--listen", "127.0.0.1:0", "--tls-cert", pem("cert"), "--tls-key", pem("key")], data);
  check(server.url.startsWith("https://"), server.url);
  const status = await new Promise((done, fail) => https.get(`${server.url}/health`, { rejectUnauthorized: false }, (r) => done(r.resume().statusCode)).on("error", fail));
  same(status, 200);
  await server.stop();
  const open = await start(sluice, ["serve", "--data", data, "--listen", "0.0.0.0:0"], data);
  check(/without TLS/.test(open.log), `no warning: ${open.log}`);
  await open.stop();
  await fails(["serve", "--listen", "127.0.0.1:0", "--tls-cert", pem("absent"), "--tls-key", pem("key")], 2, /absent/, { data });
});

test("a further name for Host", async () => {
  const server = await startDemo("--hosts", "sluice.example, other.example");
  same((await request(server, "GET", "/v1/models", { headers: { host: "Other.example:80" } })).status, 200);
  same((await request(server, "GET", "/v1/models", { headers: { host: "third.example" } })).status, 403);
});

test("cpu and version", async () => {
  check(/^(scalar|avx2|avx512|amx)$/.test((await json(["cpu"])).kernels));
  same(await ok(["version"]), `sluice ${readFileSync(path.join(root, "VERSION"), "utf8").trim()}\n`);
});

const rows = (text) => {
  const [head, ...lines] = text.trim().split("\n").map((l) => l.split(","));
  return lines.map((l) => Object.fromEntries(head.map((h, i) => [h, l[i]])));
};

test("bench: the machine, a model, a server; what is measured is there, what cannot be is said", async () => {
  const machine = rows(await ok(["bench", "roofline", "--quick", "--threads", "1", "--csv", "-"]));
  check(machine.some((r) => r.what === "read" && Number(r.value) > 0) && machine.every((r) => r.threads === "1"), JSON.stringify(machine));
  const file = path.join(folder(), "rows.csv");
  await ok(["bench", "model", "guide", "--threads", "1", "--prefill", "16,100000", "--depth", "0", "--streams", "2", "--tokens", "2", "--rounds", "1", "--csv", file]);
  const model = rows(readFileSync(file, "utf8"));
  same(model.map((r) => [r.what, r.prompt, r.streams]), [["prefill", "16", "1"], ["prefill", "100000", "1"], ["decode", "", "1"], ["decode", "", "2"]]);
  check(Number(model[0]["tok/s"]) > 0 && Number(model[0].share) > 0 && model[1]["tok/s"] === "" && /context/.test(model[1].bound), JSON.stringify(model));
  await fails(["bench", "model", "absent"], 4, /absent/);
  await fails(["bench", "model", "guide", "--streams", "0"], 2, /--streams 0/);
  await fails(["bench", "model", "guide", "--kv-type", "q3"], 2, /q3 is none of/);
  const server = await startDemo();
  const load = (...args) => ok(["bench", "serve", "--url", server.url, "--key", server.key, "--csv", "-", ...args]);
  const [chat] = rows(await load("--users", "2", "--requests", "3", "--prompt", "60", "--output", "4"));
  same([chat.requests, chat.failed], ["3", "0"]);
  check(Math.abs(Number(chat.prompt) - 60) < 15, `asked for 60 tokens, sent ${chat.prompt}`);
  const turns = rows(await load("--users", "1", "--requests", "1", "--turns", "3", "--prompt", "70", "--output", "4"));
  same(turns.map((r) => r.what), ["all turns", "turn 1", "turn 2", "turn 3"]);
  check(Number(turns[2].cached) >= 64 && Number(turns[3].cached) >= 128, "what was said is found again");
  await fails(["bench", "serve", "--url", server.url, "--key", "sk-wrong"], 3, /key/);
  await fails(["bench", "serve", "--url", "http://127.0.0.1:1", "--key", "x"], 5, /127.0.0.1/);
  await server.stop();
});

await run();
