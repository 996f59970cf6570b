// Canaries: marked prompts, keys, names and answers go through every route, good and bad, and none of them is in the log, the store or the journal.
import { readFileSync, readdirSync, statSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { check, request, root, run, same, test, until } from "../api/harness.mjs";
import { body, house, json, ok, serve, stream } from "./house.mjs";

const MARK = "CANARY7f3a";
const mark = (what) => `${MARK}-${what}`;
const spellings = (text) => [text, Buffer.from(text).toString("base64").replace(/=+$/, "").slice(0, -1), Buffer.from(text).toString("hex"), encodeURIComponent(text)];

function filesOf(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((f) => {
    const at = path.join(dir, f.name);
    return f.isDirectory() ? filesOf(at) : statSync(at).isFile() ? [at] : [];
  });
}

// Where any of the secrets stands: log lines and files of the data folder.
function leaks(server, secrets) {
  const found = [];
  for (const secret of secrets)
    for (const s of spellings(secret)) {
      for (const line of server.log.split("\n")) if (line.includes(s)) found.push(`log: ${line}`);
      for (const file of filesOf(server.data)) if (!/\.gguf$|blobs/.test(file) && readFileSync(file).includes(s)) found.push(`${path.relative(server.data, file)}: ${secret}`);
    }
  return found;
}

const routes = [...readFileSync(path.join(root, "src/api/routes.def"), "utf8").matchAll(/^ROUTE\((\w+),\s*"([^"]+)"/gm)].map((m) => ({ method: m[1], path: m[2] }));

// What is sent to a POST route: sound requests and broken ones, all marked.
const bodies = (model) => [
  body(model, { messages: [{ role: "system", content: mark("system") }, { role: "user", name: mark("name"), content: mark("prompt") }], user: mark("user"), stop: [mark("stop")], metadata: { a: mark("metadata") }, max_tokens: 8 }),
  { model, prompt: mark("prompt"), suffix: mark("suffix"), max_tokens: 8, user: mark("user"), echo: true },
  { model, input: [mark("input"), mark("input2")], user: mark("user") },
  { model, content: mark("content"), prompt: mark("prompt"), tokens: [5, 6, 7] },
  body(mark("model")),
  body(model, { temperature: mark("temperature") }),
  body(model, { messages: mark("messages") }),
  body(model, { messages: [{ role: mark("role"), content: mark("prompt") }] }),
  body(model, { [mark("field")]: mark("value") }),
  body(model, { messages: [{ role: "user", content: `${mark("long")} `.repeat(20000) }] }),
  `{"model": "${mark("broken")}`,
  `${mark("no-json")}`,
  "",
];

test("nothing that a client sent or got is in the log, the store or the journal", async () => {
  const home = await house(["a"]), server = await serve(home, "--log", "debug");
  const secret = home.key.split("-")[3], statuses = new Set(), answers = [];
  const send = async (method, where, options) => {
    const r = await request(server, method, where, { raw: true, ...options }).catch((e) => ({ status: e.code, body: "" }));
    statuses.add(r.status);
    return r;
  };
  for (const r of routes) {
    const where = r.path.replace(/\{[^}]*\}/g, mark("segment"));
    if (r.method === "POST")
      for (const b of bodies("a")) {
        const answer = await send("POST", where, { body: b, headers: { "x-note": mark("header"), "content-type": "application/json" } });
        const texts = [...answer.body.matchAll(/"(?:content|text)": ?"((?:[^"\\]|\\.){16,})"/g)].map((m) => JSON.parse(`"${m[1]}"`));
        if (answer.status === 200) answers.push(...texts.filter((t) => !t.includes(MARK)));
      }
    for (const key of [home.key, null, mark("key"), home.key.slice(0, -1), `${home.key}${MARK}`]) await send(r.method === "POST" ? "POST" : "GET", `${where}?account=${mark("query")}&x=${mark("query2")}`, { key, body: r.method === "POST" ? body("a") : undefined });
    await send("DELETE", where);
  }
  for (const odd of [`/${mark("path")}`, `/v1/models/${mark("path")}/x`, `/v1/%zz${mark("path")}`]) await send("GET", odd);
  for (const raw of [`GET /${mark("raw")} HTTP/1.7\r\n\r\n`, `${mark("verb")} / HTTP/1.1\r\nHost: x\r\n\r\n`, `GET / HTTP/1.1\r\nHost: ${mark("host")}\r\n${mark("h")}: \x01\r\n\r\n`])
    await new Promise((done) => net.connect(Number(new URL(server.url).port), "127.0.0.1").resume().on("close", done).on("error", done).end(raw));
  const streamed = stream(server, "a", { messages: [{ role: "user", content: mark("streamed") }] });
  await streamed.first;
  answers.push(...[...streamed.text.matchAll(/"content":"((?:[^"\\]|\\.){16,})"/g)].map((m) => JSON.parse(`"${m[1]}"`)));
  streamed.leave();
  for (const status of [200, 400, 401, 404, 405]) check(statuses.has(status), `no answer had the status ${status}: ${[...statuses]}`);
  await until("rows", async () => (await json(["usage", "--group", "request"], { data: home.data })).length > 3);
  const secrets = [MARK, secret, home.key, ...answers.slice(0, 20)];
  same(leaks(server, secrets), [], "leaks while it serves");
  check(!(await request(server, "GET", "/metrics")).body.includes(MARK), "the metrics");
  const lines = server.log.trim().split("\n").map((l) => JSON.parse(l));
  check(lines.length > 50 && lines.every((l) => l.time && l.level && l.event && typeof l.text === "string"), "the log is JSON lines");
  const running = stream(server, "a", { messages: [{ role: "user", content: mark("killed") }] });
  await running.first;
  server.child.kill("SIGKILL"); // the journal keeps what ran
  await server.ended;
  server.stopped = true;
  running.leave();
  same(leaks(server, secrets), [], "leaks after kill -9");
  const again = await serve(home);
  await again.stop();
  again.data = home.data;
  same(leaks(again, secrets), [], "leaks after recovery");
});

test("the canary is found where it does stand", async () => {
  const home = await house(["a"]);
  await ok(["account", "create", mark("account")], { data: home.data }); // an operator's name belongs into the store
  same(leaks({ log: `x ${Buffer.from(mark("b64")).toString("base64")}`, data: home.data }, [mark("account"), mark("b64")]).length > 1, true);
});

test("keys that an operator makes are shown once and are nowhere", async () => {
  const home = await house(["a"]), server = await serve(home, "--log", "debug"), { data } = home;
  const made = JSON.parse(await ok(["key", "create", "acme", "--json"], { data })).key, id = made.split("-")[2];
  const rotated = JSON.parse(await ok(["key", "rotate", id, "--json"], { data })).key;
  await ok(["key", "list"], { data });
  await ok(["key", "revoke", id], { data });
  same(leaks(server, [made, rotated, made.split("-")[3], rotated.split("-")[3]]), []);
  await server.stop();
});

await run();
