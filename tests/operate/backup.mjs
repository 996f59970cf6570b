// Backup while serving, restore, and what a backup that was cut, changed or killed is worth.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { check, folder, nano, request, run, same, sluice, test, until } from "../api/harness.mjs";
import { ask, fails, house, json, ok, serve, stream } from "./house.mjs";

const balances = async (data) => Object.fromEntries((await json(["account", "list"], { data })).map((a) => [a.account, a.balance]));
const rows = (data) => json(["usage", "--group", "request", "--limit", "100000"], { data });
const audit = async (data) => same((await json(["audit"], { data })).differences, 0, `audit of ${data}`);
const sum = (list) => list.reduce((a, r) => a + nano(r.cost), 0n);
const backup = (data, to, ...flags) => ok(["backup", to, ...flags], { data });
const restore = (from, data) => ok(["restore", from], { data });

test("a backup of a quiet server has the same balances, keys, prices, names and settings", async () => {
  const home = await house(["a", "b"]), to = path.join(folder(), "one");
  writeFileSync(path.join(home.data, "sluice.conf"), "queue = 77\n");
  const server = await serve(home);
  for (const m of ["a", "b", "a"]) same((await ask(server, m)).status, 200);
  await until("rows", async () => (await rows(home.data)).length === 3);
  await backup(home.data, to);
  same(readdirSync(to).sort(), ["MANIFEST", "ledger", "refs", "sluice.conf"]);
  same([statSync(to).mode & 0o777, statSync(path.join(to, "ledger/secret")).mode & 0o777], [0o700, 0o600], "modes");
  same(existsSync(`${to}.part`) || existsSync(path.join(home.data, "backup.stage")), false, "nothing is left behind");
  execFileSync("sha256sum", ["--quiet", "-c", "MANIFEST"], { cwd: to });
  const fresh = path.join(folder(), "fresh");
  await restore(to, fresh);
  same(await balances(fresh), await balances(home.data));
  same(await rows(fresh), await rows(home.data));
  same(await json(["price", "list"], { data: fresh }), await json(["price", "list"], { data: home.data }));
  check(/^queue +=? *77/m.test(await ok(["serve", "--print-config"], { data: fresh })), "the settings");
  await audit(fresh);
  await server.stop();
  const again = await serve({ data: fresh, key: home.key });
  same((await request(again, "GET", "/v1/models")).status, 200, "the old key works");
  same((await ask(again, "a")).status, 404, "the model's file was not in the backup");
  await again.stop();
});

test("with --models the restored folder serves at once, with the same texts", async () => {
  const home = await house(["a"]), to = path.join(folder(), "two"), fresh = path.join(folder(), "fresh");
  const server = await serve(home), text = (await ask(server, "a", { max_tokens: 20 })).body.choices[0].message.content;
  await backup(home.data, `${to}/`, "--models");
  await server.stop();
  await restore(to, fresh);
  const again = await serve({ data: fresh, key: home.key });
  same((await ask(again, "a", { max_tokens: 20 })).body.choices[0].message.content, text);
  await again.stop();
});

test("a backup under traffic is one moment of it: every row that was there before, none from after, and the books are right", async () => {
  const home = await house(["a", "b"]), places = folder();
  const server = await serve(home);
  let going = true, done = 0;
  const client = async (i) => {
    for (let n = 0; going; n++) {
      const r = await ask(server, "ab"[(i + n) % 2], { max_tokens: 1 + ((i * 7 + n) % 30), seed: n });
      same(r.status, 200);
      done++;
    }
  };
  const clients = [0, 1, 2, 3, 4, 5].map(client), long = stream(server, "a");
  await until("traffic", () => done > 20);
  const kept = [];
  for (let i = 0; i < 3; i++) {
    const before = new Set((await rows(home.data)).map((r) => r.request)), to = path.join(places, `b${i}`);
    await backup(home.data, to);
    kept.push({ to, before, after: done });
    await until("more traffic", () => done > kept[i].after + 10);
  }
  going = false;
  await Promise.all(clients);
  await long.end;
  await server.stop();
  const all = new Map((await rows(home.data)).map((r) => [r.request, r]));
  for (const { to, before } of kept) {
    const data = path.join(places, `${path.basename(to)}-restored`);
    await restore(to, data);
    await audit(data);
    const there = await rows(data), names = new Set(there.map((r) => r.request));
    for (const r of before) check(names.has(r), `${r} was billed before the backup and is not in it`);
    for (const r of there) {
      const now = all.get(r.request);
      check(now && (r.reason === "crash" ? nano(r.cost) <= nano(now.cost) : r.cost === now.cost), `row ${JSON.stringify(r)} against ${JSON.stringify(now)}`);
    }
    check(there.length < all.size, "the backup is of its moment");
    same(nano((await balances(data)).acme), 100n * 10n ** 9n - sum(there), "the balance is the credit less what the rows cost");
  }
});

test("restore refuses what is not whole, and leaves nothing behind", async () => {
  const home = await house(["a"]), place = folder(), good = path.join(place, "good");
  await backup(home.data, good);
  const copy = (name, change) => { const to = path.join(place, name); cpSync(good, to, { recursive: true }); change(to); return to; };
  const manifest = (dir, change) => { const f = path.join(dir, "MANIFEST"), text = readFileSync(f, "utf8"); unlinkSync(f); writeFileSync(f, change(text)); };
  const faults = [
    ["no manifest", (d) => unlinkSync(path.join(d, "MANIFEST")), 4, /no MANIFEST.*no finished backup/],
    ["a flipped byte", (d) => { const f = path.join(d, "ledger/ledger.db"), b = readFileSync(f); b[5000] ^= 1; writeFileSync(f, b); }, 8, /ledger\.db has been changed or damaged/],
    ["a cut file", (d) => { const f = path.join(d, "ledger/secret"); writeFileSync(f, readFileSync(f).subarray(1)); }, 8, /secret has been changed/],
    ["a missing file", (d) => unlinkSync(path.join(d, "ledger/secret")), 8, /secret is missing/],
    ["a cut manifest", (d) => manifest(d, (t) => t.slice(0, -20)), 8, /the end/],
    ["a manifest with a line less", (d) => manifest(d, (t) => t.split("\n").filter((l) => !l.includes("secret")).join("\n")), 8, /does not fit/],
    ["a way out", (d) => manifest(d, (t) => t.replace("refs/a.json", "refs/../../up")), 8, /a path that no backup has/],
    ["an absolute way", (d) => manifest(d, (t) => t.replace("refs/a.json", "/etc/passwd")), 8, /a path that no backup has/],
    ["another program's", (d) => manifest(d, (t) => t.replace("backup 1", "backup 2")), 8, /later one/],
    ["no ledger", (d) => manifest(d, (t) => { const l = t.split("\n").filter((x) => !x.includes("ledger.db")); return l.join("\n").replace(/end, (\d+)/, (_, n) => `end, ${n - 1}`); }), 8, /no ledger/],
  ];
  for (const [name, change, code, pattern] of faults) {
    const data = path.join(place, "target");
    await fails(["restore", copy(name.replaceAll(" ", "-"), change)], code, pattern, { data });
    check(!existsSync(data) && !existsSync(`${data}.restore-part`), `${name}: something was left behind`);
  }
  await fails(["restore", path.join(place, "nowhere")], 4, /no MANIFEST/, { data: path.join(place, "target") });
  await fails(["restore", good], 6, /is not empty/, { data: home.data });
  const other = folder();
  await restore(good, other); // an empty folder is filled
  await audit(other);
});

test("a store whose books are wrong is not restored, whatever its checksums say", async () => {
  const home = await house(["a"]), place = folder(), to = path.join(place, "b");
  const server = await serve(home);
  same((await ask(server, "a")).status, 200);
  await server.stop();
  await backup(home.data, to);
  execFileSync("python3", ["-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute('UPDATE account SET balance = balance + 1000000000'); c.commit()", path.join(to, "ledger/ledger.db")]);
  const digest = execFileSync("sha256sum", [path.join(to, "ledger/ledger.db")]).toString().slice(0, 64);
  const f = path.join(to, "MANIFEST"), text = readFileSync(f, "utf8");
  writeFileSync(f, text.replace(/^[0-9a-f]{64}(?= {2}ledger\/ledger\.db)/m, digest));
  await fails(["restore", to], 10, /audit/, { data: path.join(place, "fresh") });
  check(!existsSync(path.join(place, "fresh")), "nothing was made");
});

test("a backup or restore that is killed leaves nothing that looks finished, and the next one succeeds", async () => {
  const home = await house(["a"]), place = folder(), big = path.join(home.data, "hub/blobs/sha256");
  for (let i = 0; i < 3; i++) writeFileSync(path.join(big, `${i}`.repeat(64)), Buffer.alloc(24 << 20, i + 1));
  const killed = async (args, data, part) => {
    const child = spawn(sluice, [...args, "--data", data], { stdio: "ignore" });
    const end = new Promise((done) => child.on("exit", (code, signal) => done(signal ?? code)));
    await until("its work", async () => existsSync(part) || child.exitCode !== null);
    child.kill("SIGKILL");
    return end;
  };
  const to = path.join(place, "b");
  if ((await killed(["backup", to, "--models"], home.data, path.join(`${to}.part`, "blobs"))) === "SIGKILL") {
    check(!existsSync(to) && existsSync(`${to}.part`), "no finished backup is there");
    await fails(["restore", `${to}.part`], 4, /no finished backup/, { data: path.join(place, "x") });
  }
  rmSync(to, { recursive: true, force: true });
  await backup(home.data, to, "--models");
  check(!existsSync(`${to}.part`), "the rest of the killed one is gone");
  const data = path.join(place, "data"), part = `${data}.restore-part`;
  if ((await killed(["restore", to], data, path.join(part, "hub/blobs"))) === "SIGKILL") check(!existsSync(data), "no data folder is there");
  rmSync(data, { recursive: true, force: true });
  await restore(to, data);
  await audit(data);
  check(!existsSync(part), "the rest of the killed one is gone");
});

test("backup says what is in the way", async () => {
  const home = await house([]), place = folder();
  mkdirSync(path.join(place, "there"));
  await fails(["backup", path.join(place, "there")], 6, /exists; name a new folder/, { data: home.data });
  await fails(["backup", path.join(place, "b")], 4, /no data folder/, { data: path.join(place, "nowhere") });
  await fails(["backup"], 2, /argument is missing/, { data: home.data });
  appendFileSync(path.join(place, "file"), "x");
  await fails(["backup", path.join(place, "file/b")], 9, /./, { data: home.data });
});

await run();
