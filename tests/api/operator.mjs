// The operator's routes (the admin socket) and the queries of the customer's: every argument that src/api/admin_*.c read, with every kind of value.
// The answer is 200, or a 4xx in OpenAI's form; nothing is half done, and the books are right at the end (the server's stop audits them).
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { check, cli, request, root, run, same, test } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";
import { startTiny } from "./tables.mjs";

const server = await startTiny();
const text = (name) => readFileSync(path.join(root, "src/api", name), "utf8");
const rows = [...text("admin.def").matchAll(/^ADMIN\((\w+),\s+(\w+),\s+"([^"]+)"\)/gm)].map((m) => ({ name: m[1], method: m[2], path: m[3] })).filter((r) => r.name !== "backup"); // writes where it is told: tests/operate
const code = readdirSync(path.join(root, "src/api")).filter((f) => /^admin\w*\.c$/.test(f)).map(text).join("\n");
const functions = new Map([...code.matchAll(/^(?:static )?int (\w+)\([^;{]*?\)\n\{.*?^\}/gms)].map((m) => [m[1], m[0]]));
const read = (body) => [...body.matchAll(/\(args, "(\w+)"/g)].map((m) => m[1]);
const names = [...new Set(read(code))];
// The arguments of one row: those that its function reads, and the functions that this calls with the arguments.
const argsOf = (row) => {
  const all = new Set([`admin_${row.name}`]);
  for (const f of all) for (const [, g] of functions.get(f).matchAll(/(\w+)\((?:l, |&?\w+, )?args\b/g)) if (functions.has(g)) all.add(g);
  return [...new Set([...all].flatMap((f) => read(functions.get(f))))];
};
const good = { account: "acme", name: "acme", id: "0000000000", amount: "1", model: "tiny", input: "1", output: "1", grant: 1, limit: "none", reason: "a test", request: `req_${"0".repeat(24)}` };
const values = [null, true, false, 0, 1, -1, 1.5, 1e308, 2 ** 53, "", " ", "x", "-1", "0", "1e9", "0x10", "NaN", "9".repeat(30), "9".repeat(1000), "0.0000000001", "1.0000000000", "-0", "+1", "1,5", "x".repeat(1024), "x".repeat(1025), "x".repeat(1 << 20), "a\u0001b", "a\nb", "a'b\"; DROP TABLE usage; --", "%", "_", "../../x", "acme/../x", "水", "\ud83c\udf0a", "2026-13-45", "0000-00-00", "9999-12-31", "2026-01-01T99:99Z", "1969-12-31", [], [1], {}, { a: 1 }];

const admin = (method, where, body) => new Promise((done, fail) => {
  const r = http.request({ socketPath: path.join(server.data, "admin.sock"), method, path: where, headers: { host: "localhost", ...(body === undefined ? {} : { "content-type": "application/json" }) }, agent: false }, (res) => {
    const parts = [];
    res.on("data", (d) => parts.push(d)).on("end", () => done({ status: res.statusCode, text: Buffer.concat(parts).toString() })).on("error", fail);
  });
  r.on("error", fail);
  r.end(body === undefined ? undefined : JSON.stringify(body));
});

function judge(a, what) {
  check(a.status === 200 || (a.status >= 400 && a.status < 500), `${what}: ${a.status} ${a.text.slice(0, 200)}`);
  if (a.status !== 200) checkSchema(JSON.parse(a.text), "ErrorResponse");
  return a.status;
}

test("every row x every argument x every kind of value", async () => {
  check(names.length > 12 && rows.length > 10, `${names.length} arguments of ${rows.length} rows`);
  const seen = { 200: 0, 400: 0, 404: 0, 409: 0 };
  for (const r of rows)
    for (const name of argsOf(r))
      await Promise.all(values.map(async (v, i) => {
        const args = { ...good, ...(r.path === "/admin/accounts" ? { name: `acme${i}` } : {}), ...(r.name === "limit_set" ? { input: "1000000000000/day", output: "1000000000000/day" } : {}), [name]: v };
        const query = Object.entries(args).filter(([, x]) => x !== null).map(([k, x]) => `${k}=${encodeURIComponent(typeof x === "object" ? JSON.stringify(x) : x)}`).join("&");
        if (r.method === "GET" && query.length > 6000) return; // a line has at most 8 KiB
        const a = r.method === "POST" ? await admin("POST", r.path, args) : await admin("GET", `${r.path}?${query}`);
        seen[judge(a, `${r.name} ${name}=${JSON.stringify(v)?.slice(0, 60)}`)]++;
      }));
  check(seen[200] > 50 && seen[400] > 200, JSON.stringify(seen));
  const unread = names.filter((n) => !rows.some((r) => argsOf(r).includes(n)));
  same(unread, [], "arguments of no row");
});

test("bodies that are no arguments", async () => {
  for (const r of rows.filter((r) => r.method === "POST"))
    for (const body of [null, [], 1, "x", true, [{}], {}]) check(judge(await admin("POST", r.path, body), `${r.name} ${JSON.stringify(body)}`) !== 200, `${r.name} took ${JSON.stringify(body)}`);
});

test("the customer's queries", async () => {
  const odd = ["", "x", "day", "hour", "model", "account", "request", "%00", "%ff", "%", "'", "1;2", "2026-01-01", "2026-13-01", "-1", "0", "99999999999999999999", "x".repeat(3000), "day&group=hour", "%2e%2e"];
  for (const key of ["group", "since", "until", "limit", "model", "account", "nothing"])
    for (const v of odd) {
      const a = await request(server, "GET", `/v1/sluice/usage?${key}=${v}`, { raw: true }).catch((e) => e);
      if (a instanceof Error) continue; // node itself refuses to send it
      judge({ status: a.status, text: a.body }, `usage?${key}=${v.slice(0, 40)}`);
    }
  const id = (await request(server, "POST", "/v1/completions", { body: { model: "tiny", prompt: "a", max_tokens: 1 } })).headers["x-request-id"];
  for (const v of odd) {
    const a = await request(server, "GET", `/v1/requests/${v}/receipt`, { raw: true }).catch((e) => e);
    if (!(a instanceof Error)) check(judge({ status: a.status, text: a.body }, `receipt of ${v.slice(0, 40)}`) !== 200, v.slice(0, 40));
    const b = await request(server, "GET", `/v1/requests/${id}/receipt?request=${v}`, { raw: true }).catch((e) => e);
    if (!(b instanceof Error)) check(judge({ status: b.status, text: b.body }, `receipt with request=${v.slice(0, 40)}`) === 400 || JSON.parse(b.body).request === id, v.slice(0, 40));
  }
  const other = JSON.parse((await request(server, "GET", "/v1/sluice/usage?account=nobody", { raw: true })).body);
  check(!other.error || other.error.code !== "storage_error", "an account in the query changes nothing");
});

test("the books are right, and no money came of nothing", async () => {
  const a = await cli(["audit"], { data: server.data });
  same(a.code, 0, a.out + a.err);
});

await run();
