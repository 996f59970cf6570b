// Projects: keys, limits and usage of their own, an end; and an audit log in which nothing can be changed unseen.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { check, cli, folder, request, run, same, test } from "./harness.mjs";
import { startTiny } from "./tables.mjs";

const server = await startTiny();
const ok = async (data, ...args) => { const r = await cli([...args, "--json"], { data }); if (r.code) throw new Error(`${args.join(" ")}: ${r.err}`); return JSON.parse(r.out); };
const ask = (key) => request(server, "POST", "/v1/completions", { key, body: { model: "tiny", prompt: "a", max_tokens: 1 } });
const projects = async () => Object.fromEntries((await ok(server.data, "project", "list", "acme")).map((p) => [p.project, p]));

test("a project has its keys, its usage, its limits, and an end", async () => {
  await ok(server.data, "project", "create", "acme", "lab");
  const key = (await ok(server.data, "key", "create", "acme", "--project", "lab")).key;
  same([(await ask(key)).status, (await ask(server.key)).status], [200, 200]);
  const p = await projects();
  same([p.lab.requests, p.lab.keys, p.lab.state, p.default.requests, p.default.keys], [1, 1, "live", 1, 1]);
  check(p.lab.input > 0 && p.lab.output === 1 && Number(p.lab.cost) > 0, JSON.stringify(p.lab));
  await ok(server.data, "limit", "set", "--project", "acme/lab", "--requests", "1/day");
  const no = await ask(key);
  same([no.status, (await ask(server.key)).status], [429, 200], "the project's limit is no other project's");
  check(no.body.error.message.includes("project acme/lab may take 1 requests a day"), no.body.error.message);
  const row = (await ok(server.data, "limit", "list", "acme"))[0];
  same([row.account, row.project, row.key, row.most, row.used], ["acme", "lab", null, 1, 1]);
  await ok(server.data, "limit", "rm", "--project", "acme/lab");
  same((await ask(key)).status, 200);
  await ok(server.data, "project", "archive", "acme", "lab");
  same([(await ask(key)).status, (await ask(server.key)).status], [401, 200], "an archived project's key");
  const after = (await projects()).lab;
  same([after.state, after.requests], ["archived", 2], "its usage stays");
});

test("what cannot be is refused in one clear error", async () => {
  await ok(server.data, "project", "create", "acme", "two");
  for (const [args, code, says] of [[["project", "create", "acme", "two"], 6, /has had a project 'two'/], [["project", "create", "acme", "a/b"], 2, /without control characters and '\/'/], [["project", "create", "nobody", "x"], 4, /no account 'nobody'/],
    [["project", "archive", "acme", "default"], 6, /takes the keys that name no project/], [["project", "archive", "acme", "lab"], 4, /no living project 'lab'/], [["key", "create", "acme", "--project", "lab"], 4, /no living project 'lab'/],
    [["limit", "set", "--project", "acme", "--requests", "1/day"], 4, /name it ACCOUNT\/PROJECT/], [["limit", "set", "--project", "acme/two", "--account", "acme", "--requests", "1/day"], 2, /one of them/],
    [["member", "set", "acme", "ann", "owner"], 2, /no e-mail address/], [["member", "set", "acme", "ann@example.com", "boss"], 2, /owner, admin, developer or viewer/], [["member", "rm", "acme", "ann@example.com"], 4, /no member/]]) {
    const r = await cli(args, { data: server.data });
    check(r.code === code && says.test(r.err), `${args.join(" ")}: ${r.code} ${r.err}`);
  }
});

test("an end user's requests are found by the name, and severed from it", async () => {
  const names = { a: { user: "person 7731" }, b: { user: "other", safety_identifier: "person 7731" }, c: { user: "somebody else" }, d: {} };
  const ids = {};
  for (const [k, more] of Object.entries(names)) ids[k] = (await request(server, "POST", "/v1/chat/completions", { body: { model: "tiny", messages: [{ role: "user", content: "a" }], max_tokens: 1, ...more } })).headers["x-request-id"];
  const found = async (name, account = "acme") => (await ok(server.data, "end-user", "export", account, name)).map((r) => r.request);
  same([await found("person 7731"), await found("other"), await found("somebody else")], [[ids.b, ids.a], [], [ids.c]]);
  await ok(server.data, "account", "create", "other");
  same(await found("person 7731", "other"), [], "another account's end user of this name");
  const before = (await ok(server.data, "usage", "--account", "acme"))[0].requests;
  same(await ok(server.data, "end-user", "erase", "acme", "person 7731"), { requests_severed: 2 });
  same([await found("person 7731"), await found("somebody else"), (await ok(server.data, "usage", "--account", "acme"))[0].requests], [[], [ids.c], before]);
  same(await ok(server.data, "end-user", "erase", "acme", "person 7731"), { requests_severed: 0 });
  const log = await ok(server.data, "audit", "log", "--action", "end-user.erase");
  check(log.length === 2 && !JSON.stringify(log).includes("7731"), JSON.stringify(log));
  for (const f of ["ledger.db", "ledger.db-wal"]) check(!existsSync(path.join(server.data, f)) || !readFileSync(path.join(server.data, f)).includes("person 7731"), `${f} has the name`);
});

test("a changed, a removed and a cut-off event are found", async () => {
  const data = folder(), cases = { changed: "UPDATE event SET detail = 'x' WHERE id = 3", moved: "UPDATE event SET org_id = 0 WHERE id = 3", removed: "DELETE FROM event WHERE id = 3" };
  for (const name of ["a", "b", "c", "d"]) await ok(data, "account", "create", name);
  const whole = await ok(data, "audit", "log", "--verify");
  same([whole.events, whole.broken], [4, null]);
  for (const [name, sql] of Object.entries(cases)) {
    const copy = folder();
    await ok(data, "backup", path.join(copy, "b"));
    await ok(path.join(copy, "d"), "restore", path.join(copy, "b")).catch(() => {});
    const db = new DatabaseSync(path.join(copy, "d", "ledger.db"));
    db.exec(`DROP TRIGGER event_keep; DROP TRIGGER event_stay; ${sql}`);
    db.close();
    const r = await cli(["audit", "log", "--verify", "--json"], { data: path.join(copy, "d") });
    check(r.code === 10 && [3, 4].includes(JSON.parse(r.out).broken), `${name}: ${r.code} ${r.out} ${r.err}`);
  }
});

await run();
