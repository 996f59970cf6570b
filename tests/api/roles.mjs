// Roles x routes x owners, through the one table (routes.def): each route that a role opens, by each role, at home and abroad, with and without our page's
// token. A route without a row in `bodies` fails, and so does an act of member.def without a route.
import { readFileSync } from "node:fs";
import path from "node:path";
import { check, root, run, same, test } from "./harness.mjs";
import { routes } from "./tables.mjs";
import { api, startProvider, startSignIn } from "./provider.mjs";

const order = ["viewer", "developer", "admin", "owner"], needs = { VIEWER: 0, DEVELOPER: 1, MANAGER: 2, OWNER: 3, USAGE: 0 };
const known = ["PUBLIC", "PAGE", "LOCAL", "KEY", "SIGNED_IN", "VIEWER", "DEVELOPER", "MANAGER", "OWNER"];
const acts = [...readFileSync(path.join(root, "src/api/member.def"), "utf8").matchAll(/^ACT\(\w+,\s+(\w+),\s+"([^"]+)",\s+(\w+)\)/gm)].map((m) => ({ method: m[1], path: m[2], whose: m[3] }));
// What each POST is sent; `key` is the id of a key of the account that is asked.
const bodies = {
  "/v1/sluice/projects": (n) => ({ project: `p${n}` }),
  "/v1/sluice/projects/archive": (n) => ({ project: `spare${n}` }),
  "/v1/sluice/keys": () => ({ name: "made" }),
  "/v1/sluice/keys/set": (n, key) => ({ id: key, budget: "5.00" }),
  "/v1/sluice/keys/rotate": (n, key) => ({ id: key }),
  "/v1/sluice/keys/revoke": (n, key) => ({ id: key }),
  "/v1/sluice/end-users/erase": (n) => ({ user: `user${n}` }),
  "/v1/sluice/members": (n) => ({ email: `new${n}@example.com`, role: "viewer" }),
  "/v1/sluice/members/rm": (n) => ({ email: `spare${n}@example.com` }),
};
const p = await startProvider();
const server = await startSignIn(p, [], ["acme", "beta"].flatMap((a) => [["account", "create", a], ...order.map((r) => ["member", "set", a, `${r}@${a}.example`, r])]));
const people = {};
for (const a of ["acme", "beta"]) for (const r of order) people[`${r}@${a}`] = await server.as(`${r}@${a}.example`);
const outsider = await (async () => { await server.cli("account", "create", "gamma"); await server.cli("member", "set", "gamma", "out@gamma.example", "owner"); return server.as("out@gamma.example"); })();
const key = async (a) => (await server.cli("key", "create", a)).key.split("-")[2];
const guarded = routes.filter((r) => r.access in needs || (r.access === "KEY" && r.scope === "usage"));
let n = 0;
const spare = async (a) => { n++; await server.cli("project", "create", a, `spare${n}`); await server.cli("member", "set", a, `spare${n}@example.com`, "viewer"); return n; };
const where = (r) => r.pattern.replace(/^\/v1\/organization\/.*/, "$&?start_time=0").replace("/end-users", r.method === "GET" ? "/end-users?user=x" : "/end-users").replace("{id}", `req_${"0".repeat(24)}`);

test("the table is whole: every route has a known access, every role's POST a body here, every act a route", async () => {
  for (const r of routes) check(known.includes(r.access), `${r.pattern}: access ${r.access}`);
  for (const r of guarded.filter((r) => r.method === "POST")) check(bodies[r.pattern], `${r.pattern} has no body in tests/api/roles.mjs`);
  for (const a of acts) check(routes.some((r) => r.method === a.method && r.pattern === a.path && r.access in needs), `${a.method} ${a.path} of member.def is no route of a role`);
  for (const r of guarded.filter((r) => r.access !== "KEY" && r.pattern.startsWith("/v1/sluice/"))) check(acts.some((a) => a.method === r.method && a.path === r.pattern) || r.fn !== "route_member", `${r.pattern}`);
  check(guarded.length > 15 && acts.length > 10, `${guarded.length} routes, ${acts.length} acts`);
});

test("roles x routes: each role does what it may in its account, and nothing more", async () => {
  for (const r of guarded)
    for (const [i, role] of order.entries()) {
      const who = people[`${role}@acme`], what = `${r.method} ${r.pattern} as ${role}`, body = r.method === "POST" ? bodies[r.pattern](await spare("acme"), await key("acme")) : undefined;
      const a = await api(who, r.method, where(r), body), may = i >= needs[r.access === "KEY" ? "USAGE" : r.access];
      if (may) check(a.status === 200 || (r.pattern.includes("{id}") && a.status === 404), `${what}: ${a.status} ${JSON.stringify(a.body)}`);
      else { same(a.status, 403, what); check(a.body.error.message.includes(`role ${order[needs[r.access]]}`), a.body.error.message); }
    }
});

test("owners: whatever a stranger names, it is not another's account", async () => {
  for (const r of guarded) {
    const theirs = await key("beta"), id = r.method === "POST" ? await spare("beta") : 0, body = r.method === "POST" ? bodies[r.pattern](id, theirs) : undefined;
    for (const who of [people["owner@acme"], outsider]) {
      for (const [path_, headers] of [[`${where(r)}${where(r).includes("?") ? "&" : "?"}account=beta`, {}], [where(r), { "x-sluice-account": "beta" }]])
        same((await api(who, r.method, path_, body, headers)).status, 403, `${r.method} ${path_} ${JSON.stringify(headers)}`);
      if (body) {
        const a = await api(who, r.method, where(r), { ...body, account: "beta", actor: "admin", by_role: "owner" });
        check(body.id || /archive|rm$/.test(r.pattern) ? a.status === 404 : a.status === 200, `${r.pattern} with beta in the body: ${a.status} ${JSON.stringify(a.body)}`);
      } else check(!JSON.stringify((await api(who, r.method, where(r))).body).includes("beta"), `${r.pattern} shows beta`);
    }
  }
  same((await server.cli("key", "list", "beta")).every((k) => k.state === "live" && k.budget === "none" && !k.rotated), true, "no key of beta was touched");
  check(!(await server.cli("audit", "log", "--account", "beta")).some((e) => /acme|gamma/.test(e.actor)), "nobody else did anything there");
});

test("without a session, with one of nobody, with a key: 401; without our page's token: 403", async () => {
  const sk = (await server.cli("key", "create", "acme")).key;
  for (const r of [...guarded.filter((r) => r.access !== "KEY"), ...routes.filter((r) => r.access === "SIGNED_IN")]) {
    const body = r.method === "POST" ? {} : undefined;
    for (const [who, headers] of [[{ ...server }, {}], [{ ...server, session: "0".repeat(64) }, {}], [{ ...server }, { authorization: `Bearer ${sk}` }], [people["owner@acme"], { authorization: `Bearer ${sk}` }]])
      if (!(r.access === "SIGNED_IN" && who.session === people["owner@acme"].session)) same((await api(who, r.method, where(r), body, headers)).status, 401, `${r.method} ${r.pattern} ${Object.keys(headers)}`);
    if (r.method !== "POST") continue;
    const owner = people["owner@acme"];
    for (const [who, headers] of [[{ ...owner, csrf: "" }, {}], [{ ...owner, csrf: people["owner@beta"].csrf }, {}], [owner, { origin: "http://evil.example" }], [owner, { "sec-fetch-site": "cross-site" }], [owner, { origin: "null" }]])
      same((await api(who, "POST", where(r), body, headers)).status, 403, `${r.pattern} ${JSON.stringify(headers)}`);
    if (r.pattern !== "/auth/logout") same((await api(owner, "POST", where(r), "a=b", { "content-type": "application/x-www-form-urlencoded" })).status, 415, `${r.pattern} from a form`);
  }
});

test("nobody gives or takes a role above the own one, and the last owner stays", async () => {
  const admin = people["admin@acme"], owner = people["owner@acme"];
  same((await api(admin, "POST", "/v1/sluice/members", { email: "x@example.com", role: "owner" })).status, 403);
  same((await api(admin, "POST", "/v1/sluice/members", { email: "owner@acme.example", role: "viewer" })).status, 403);
  same((await api(admin, "POST", "/v1/sluice/members/rm", { email: "owner@acme.example" })).status, 403);
  same((await api(owner, "POST", "/v1/sluice/members/rm", { email: "owner@acme.example" })).status, 409);
  same((await api(owner, "POST", "/v1/sluice/members", { email: "owner@acme.example", role: "admin" })).status, 409);
});

test("what members do and what they were denied is in the account's audit log, by their names", async () => {
  const log = (await api(people["admin@acme"], "GET", "/v1/sluice/audit?limit=1000")).body;
  check(log.every((e) => e.account === "acme"), "another account's events");
  check(log.some((e) => e.action === "key.create" && e.actor === "developer@acme.example"), `no key by a developer: ${JSON.stringify([...new Set(log.map((e) => `${e.action} ${e.actor}`))])}`);
  check(log.some((e) => e.action === "denied" && e.actor === "viewer@acme.example"), "a denial");
  check(log.some((e) => e.action === "denied" && /members/.test(e.object) && e.actor === "admin@acme.example"), "a role above");
  check(log.some((e) => e.action === "sign-in" && e.actor === "owner@acme.example"), "a sign-in");
  same((await server.cli("audit", "log", "--verify")).broken, null);
});

await run();
