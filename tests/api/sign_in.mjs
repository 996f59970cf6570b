// Signing in with OpenID Connect: the way there and back, whom it lets in, and each token that is wrong in one way.
import crypto from "node:crypto";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { check, root, run, same, test } from "./harness.mjs";
import { api, ec, jwk, rsa, sign, signIn, startProvider, startSignIn } from "./provider.mjs";

const p = await startProvider();
const server = await startSignIn(p, ["--oidc-groups", "staff=acme:viewer, chiefs=acme:admin, lab=gamma:developer", "--signup", "yes", "--signup-grant", "2.50"],
  [["account", "create", "acme"], ["account", "create", "gamma"], ["member", "set", "acme", "Ann@Example.com", "owner"]]);
const fresh = () => Object.assign(p, { head: (h) => h, claims: (c) => c, token: null, discovery: (d) => d });
const b64 = (v) => Buffer.from(JSON.stringify(v)).toString("base64url");
const events = async (action) => server.cli("audit", "log", "--action", action);

test("a member signs in, sees the account, signs out", async () => {
  const ann = await server.as("ann@example.com");
  same([ann.status, ann.me?.email, ann.me?.accounts], [302, "ann@example.com", [{ account: "acme", role: "owner" }]]);
  const set = ann.steps[1].headers["set-cookie"].find((c) => c.startsWith("sluice-session="));
  check(/; HttpOnly/.test(set) && /; SameSite=Strict/.test(set) && /; Path=\//.test(set) && /; Max-Age=43200/.test(set) && !/Secure/.test(set), set);
  same(ann.steps[1].headers.location, "/");
  same((await server.cli("member", "list", "acme"))[0].state, "member");
  same((await api(ann, "GET", "/v1/sluice/balance")).body.account, "acme", "a route of keys that is open to members");
  same((await api(ann, "POST", "/auth/logout", {}, { "x-sluice-csrf": "0".repeat(64) })).status, 403, "without our page's token");
  same((await api(ann, "POST", "/auth/logout", {})).status, 200);
  same((await api(ann, "GET", "/v1/sluice/me")).status, 401, "the session is over");
  same((await events("sign-out")).length, 1);
});

test("groups make members and take them away; what people have set stays", async () => {
  const roles = async (email) => (await server.cli("member", "list")).filter((m) => m.email === email).map((m) => [m.account, m.role, m.from]);
  same((await server.as("gus@example.com", { groups: ["staff", "nobody"] })).me.accounts, [{ account: "acme", role: "viewer" }]);
  const gus = await server.as("gus@example.com", { groups: ["staff", "chiefs", "lab"] });
  same(gus.me.accounts, [{ account: "acme", role: "admin" }, { account: "gamma", role: "developer" }], "the highest role of each account");
  same((await api(gus, "GET", "/v1/sluice/keys")).status, 403, "of two accounts one must be named");
  same((await api(gus, "GET", "/v1/sluice/keys?account=gamma")).status, 200);
  same((await api(gus, "GET", "/v1/sluice/keys", undefined, { "x-sluice-account": "acme" })).status, 200);
  same((await server.as("gus@example.com", { groups: "lab" })).me.accounts, [{ account: "gamma", role: "developer" }]);
  same((await api(gus, "GET", "/v1/sluice/keys?account=acme")).status, 403, "also for the older session");
  await server.cli("member", "set", "gamma", "gus@example.com", "viewer");
  await server.as("gus@example.com", { groups: [] });
  same(await roles("gus@example.com"), [["gamma", "viewer", "people"]]);
  await server.cli("member", "rm", "gamma", "gus@example.com");
  same((await api(gus, "GET", "/v1/sluice/keys?account=gamma")).status, 403, "at once");
});

test("a stranger may open one account, with the free credit once", async () => {
  const eve = await server.as("eve@example.com");
  same(eve.me.accounts, [{ account: "eve@example.com", role: "owner" }]);
  const grants = async () => (await server.cli("grant", "list", "eve@example.com")).map((g) => [g.amount, g.funding]);
  same(await grants(), [["2.50", "promotional"]]);
  await server.as("eve@example.com");
  same(await grants(), [["2.50", "promotional"]], "signing in again gives nothing");
  await server.cli("member", "set", "eve@example.com", "other@example.com", "owner");
  await server.cli("member", "rm", "eve@example.com", "eve@example.com");
  const again = await server.as("eve@example.com");
  same([again.status, again.session], [403, undefined], "and no second account");
  same((await events("sign-in.denied"))[0].object, "eve@example.com");
  p.user = { sub: "no mail", email: "fake@example.com", email_verified: false };
  same((await signIn(server)).status, 403, "an address that the provider has not verified opens nothing");
  p.user = { sub: "thief", email: "ann@example.com", email_verified: false };
  same((await signIn(server)).status, 403, "nor is it anybody's");
});

test("an invitation is taken once, by the identity, not by the address", async () => {
  await server.cli("member", "set", "acme", "bob@example.com", "developer");
  same((await server.as("bob@example.com")).me.accounts.length, 1);
  p.user = { sub: "another bob", email: "bob@example.com" };
  same((await signIn(server)).me?.accounts.map((a) => a.account), ["bob@example.com"], "another subject with this address is another person");
});

const wrong = {
  "alg none": () => { p.head = (h) => ({ ...h, alg: "none" }); p.token = (h, c, s) => `${s}.`; },
  "alg none with bytes": () => { p.head = (h) => ({ ...h, alg: "none" }); p.token = (h, c, s) => `${s}.AA`; },
  "HS256 with the public key": () => { p.head = (h) => ({ ...h, alg: "HS256" }); p.token = (h, c, s) => `${s}.${crypto.createHmac("sha256", p.key.publicKey.export({ type: "spki", format: "pem" })).update(s).digest("base64url")}`; },
  "no signature": () => { p.token = (h, c, s) => s; },
  "another key": () => { const k = rsa(); p.token = (h, c, s) => `${s}.${sign(k, s).toString("base64url")}`; },
  "another key, given inside": () => { const k = rsa(); p.head = (h) => ({ ...h, jwk: jwk(k, "one") }); p.token = (h, c, s) => `${s}.${sign(k, s).toString("base64url")}`; },
  "claims changed afterwards": () => { p.token = (h, c, s) => `${s.split(".")[0]}.${b64({ ...c, sub: "ann" })}.${sign(p.key, s).toString("base64url")}`; },
  "a signature one bit off": () => { p.token = (h, c, s) => { const x = sign(p.key, s); x[100] ^= 1; return `${s}.${x.toString("base64url")}`; }; },
  "an EC signature under an RSA head": () => { const k = ec(); p.token = (h, c, s) => `${s}.${sign(k, s).toString("base64url")}`; },
  "crit": () => { p.head = (h) => ({ ...h, crit: ["exp"] }); },
  "four parts": () => { p.token = (h, c, s) => `${s}.${sign(p.key, s).toString("base64url")}.AA`; },
  "another issuer": () => { p.claims = (c) => ({ ...c, iss: "https://evil.example" }); },
  "the issuer and a slash": () => { p.claims = (c) => ({ ...c, iss: `${c.iss}/` }); },
  "another audience": () => { p.claims = (c) => ({ ...c, aud: "other" }); },
  "among others without azp": () => { p.claims = (c) => ({ ...c, aud: ["other", c.aud] }); },
  "another azp": () => { p.claims = (c) => ({ ...c, azp: "other" }); },
  "over": () => { p.claims = (c) => ({ ...c, exp: c.iat - 61 }); },
  "no exp": () => { p.claims = (c) => ({ ...c, exp: undefined }); },
  "exp as text": () => { p.claims = (c) => ({ ...c, exp: String(c.exp) }); },
  "from the future": () => { p.claims = (c) => ({ ...c, iat: c.iat + 3600, exp: c.iat + 7200 }); },
  "not yet": () => { p.claims = (c) => ({ ...c, nbf: c.iat + 3600 }); },
  "another nonce": () => { p.claims = (c) => ({ ...c, nonce: "x".repeat(43) }); },
  "no nonce": () => { p.claims = (c) => ({ ...c, nonce: undefined }); },
  "nobody": () => { p.claims = (c) => ({ ...c, sub: undefined }); },
  "no object": () => { p.token = () => `${Buffer.from("[]").toString("base64url")}.${Buffer.from("[]").toString("base64url")}.AA`; },
};
for (const [name, break_] of Object.entries(wrong))
  test(`a token that is wrong: ${name}`, async () => {
    fresh(), break_();
    const a = await server.as("ann@example.com");
    fresh();
    same([a.status, a.session], [401, undefined], a.body);
    same(p.asked.filter((x) => x === "/jwks").length, 1, "the keys are not asked for again");
    check((await events("sign-in.failed")).length > 0, "no event");
  });

test("a little skew of the clocks is borne, and azp among audiences", async () => {
  p.claims = (c) => ({ ...c, iat: c.iat + 30, nbf: c.iat + 30, exp: c.iat - 30, aud: ["other", c.aud], azp: c.aud });
  const a = await server.as("ann@example.com");
  fresh();
  same(a.me?.email, "ann@example.com", a.body);
});

test("the provider changes its keys, to another kind, and they are fetched anew", async () => {
  const before = p.asked.filter((x) => x === "/jwks").length;
  Object.assign(p, { key: ec(), kid: "two" });
  p.keys = { keys: [{ kty: "oct", k: "AAAA" }, jwk(p.key, "two")] };
  const a = await server.as("ann@example.com");
  same(a.me?.email, "ann@example.com", a.body);
  same(p.asked.filter((x) => x === "/jwks").length, before + 1);
  p.kid = "three";
  same((await server.as("ann@example.com")).status, 401, "a kid that nobody has");
  same(p.asked.filter((x) => x === "/jwks").length, before + 1, "and not asked again at once: strangers cannot make us ask");
  p.kid = "two";
});

test("what comes back must be of the sign-in that this browser began", async () => {
  p.user = { sub: "id of ann@example.com", email: "ann@example.com" };
  same((await signIn(server, { back: (u) => u.replace(/state=.{5}/, "state=AAAAA") })).status, 401, "another state");
  same((await signIn(server, { back: (u) => u.replace(/&state=.*/, "") })).status, 401, "no state");
  same((await signIn(server, { back: (u) => u.replace(/code=\w+/, "code=stolen") })).status, 401, "another code");
  same((await signIn(server, { back: (u) => u.replace(/code=\w+/, "error=access_denied") })).status, 401, "refused");
  const one = await signIn(server);
  same(one.status, 302);
  const stolen = await fetch(`${server.url}${one.steps[1].headers.location && "/auth/callback?code=x&state=y"}`, { redirect: "manual" });
  same(stolen.status, 401, "without the cookie");
});

test("sessions end when they are ended, and their text is nowhere", async () => {
  const ann = await server.as("ann@example.com"), two = await server.as("ann@example.com");
  for (const s of ["", "x", ann.session.slice(0, -1), ann.session.toUpperCase() === ann.session ? "x" : ann.session.toUpperCase(), `${ann.session}0`, "0".repeat(64)]) same((await api({ ...ann, session: s }, "GET", "/v1/sluice/me")).status, 401, s);
  check((await server.cli("member", "sign-out", "ann@example.com")).sessions_ended >= 2);
  for (const s of [ann, two]) same((await api(s, "GET", "/v1/sluice/me")).status, 401);
  check(!server.log.includes(ann.session) && !server.log.includes(p.secret), "the log shows a secret");
  const { readFileSync } = await import("node:fs");
  check(!readFileSync(path.join(server.data, "ledger.db")).includes(ann.session), "the store has a session's token");
});

// The good one, from npm.
test("oidc-provider: discovery, PKCE, its own keys", async () => {
  const { default: Provider } = await import(createRequire(path.join(root, "tests/node/package.json")).resolve("oidc-provider"));
  const web = http.createServer();
  await new Promise((done) => web.listen(0, "127.0.0.1", done));
  const issuer = `http://127.0.0.1:${web.address().port}`, key = jwk(rsa(), "k");
  const s = { issuer, clientId: "sluice", secret: "a secret of some length" };
  let redirect;
  const other = await startSignIn(s, [], [["account", "create", "acme"], ["member", "set", "acme", "ann@example.com", "admin"]]);
  redirect = `${other.url}/auth/callback`;
  const { privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
  const warn = console.warn, info = console.info; console.warn = console.info = () => {};
  const provider = new Provider(issuer, {
    clients: [{ client_id: s.clientId, client_secret: s.secret, redirect_uris: [redirect], token_endpoint_auth_method: "client_secret_basic" }],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: key.kid, use: "sig", alg: "RS256" }] }, cookies: { keys: ["k"] }, conformIdTokenClaims: false, features: { devInteractions: { enabled: true } },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, email_verified: true }) }),
  });
  web.on("request", provider.callback());
  const jar = {};
  const browse = async (url, form) => {
    const a = await fetch(url, { redirect: "manual", method: form ? "POST" : "GET", body: form && new URLSearchParams(form), headers: { cookie: Object.entries(jar).map(([k, v]) => `${k}=${v}`).join("; ") } });
    for (const c of a.headers.getSetCookie()) { const [pair] = c.split(";"), i = pair.indexOf("="); jar[pair.slice(0, i)] = pair.slice(i + 1); }
    return a;
  };
  let at = `${other.url}/auth/login`, a, form;
  for (let i = 0; i < 20; i++) {
    a = await browse(at, form);
    form = undefined;
    if (a.status >= 300 && a.status < 400) {
      const next = new URL(a.headers.get("location"), at);
      if (next.origin === other.url && next.pathname === "/") break;
      at = next.href;
    } else {
      const text = await a.text(), action = /action="([^"]+)"/.exec(text)?.[1];
      check(a.status === 200 && action, `${at}: ${a.status} ${text.slice(0, 500)}`);
      at = new URL(action, at).href;
      form = text.includes('name="login"') ? { prompt: "login", login: "ann@example.com", password: "x" } : { prompt: "consent" };
    }
  }
  console.warn = warn, console.info = info;
  const me = (await api({ ...other, session: jar["sluice-session"] }, "GET", "/v1/sluice/me")).body;
  same([me.email, me.accounts], ["ann@example.com", [{ account: "acme", role: "admin" }]]);
  await other.stop();
  web.close(), web.closeAllConnections();
});

await run();
