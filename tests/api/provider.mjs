// An OpenID provider of our own, for what a good one never does: tokens that are wrong in one way. oidc-provider (sign_in.mjs) is the good one.
import crypto from "node:crypto";
import http from "node:http";
import { folder, request, start, sluice, cli } from "./harness.mjs";

const b64 = (v) => Buffer.from(typeof v === "string" || Buffer.isBuffer(v) ? v : JSON.stringify(v)).toString("base64url");
export const rsa = (bits = 2048) => ({ alg: "RS256", ...crypto.generateKeyPairSync("rsa", { modulusLength: bits }) });
export const ec = () => ({ alg: "ES256", ...crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }) });
export const jwk = (k, kid) => ({ ...k.publicKey.export({ format: "jwk" }), kid, use: "sig", alg: k.alg });
export const sign = (k, text) => crypto.sign("sha256", Buffer.from(text), k.alg === "ES256" ? { key: k.privateKey, dsaEncoding: "ieee-p1363" } : k.privateKey);

export async function startProvider() {
  const p = { key: rsa(), kid: "one", user: {}, head: (h) => h, claims: (c) => c, token: null, codes: new Map(), clientId: "sluice", secret: "very secret: %&", asked: [], discovery: (d) => d };
  p.keys = { keys: [jwk(p.key, p.kid)] };
  const server = http.createServer((q, r) => {
    const url = new URL(q.url, p.issuer), json = (status, v) => r.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(v));
    p.asked.push(url.pathname);
    if (url.pathname === "/.well-known/openid-configuration") return json(200, p.discovery({ issuer: p.issuer, authorization_endpoint: `${p.issuer}/authorize`, token_endpoint: `${p.issuer}/token`, jwks_uri: `${p.issuer}/jwks`, code_challenge_methods_supported: ["S256"] }));
    if (url.pathname === "/jwks") return json(200, p.keys);
    if (url.pathname === "/authorize") {
      const code = crypto.randomBytes(8).toString("hex"), a = Object.fromEntries(url.searchParams);
      p.codes.set(code, a);
      return r.writeHead(302, { location: `${a.redirect_uri}?code=${code}&state=${a.state}` }).end();
    }
    const parts = [];
    q.on("data", (d) => parts.push(d)).on("end", () => {
      const f = Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString())), a = p.codes.get(f.code);
      p.codes.delete(f.code);
      const basic = Buffer.from((q.headers.authorization ?? "").replace(/^Basic /, ""), "base64").toString().split(":").map(decodeURIComponent);
      const good = a && f.redirect_uri === a.redirect_uri && crypto.createHash("sha256").update(f.code_verifier ?? "").digest("base64url") === a.code_challenge && basic[0] === p.clientId && basic[1] === p.secret;
      if (!good) return json(400, { error: "invalid_grant" });
      const now = Math.floor(Date.now() / 1000);
      const head = p.head({ alg: p.key.alg, kid: p.kid, typ: "JWT" });
      const claims = p.claims({ iss: p.issuer, aud: p.clientId, iat: now, exp: now + 300, nonce: a.nonce, sub: p.user.email, email_verified: true, ...p.user });
      const signed = `${b64(head)}.${b64(claims)}`;
      json(200, { access_token: "x", token_type: "Bearer", id_token: p.token ? p.token(head, claims, signed) : `${signed}.${sign(p.key, signed).toString("base64url")}` });
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  server.unref();
  p.issuer = `http://127.0.0.1:${server.address().port}`;
  p.stop = () => server.close();
  return p;
}

const pairs = (a) => [a.headers["set-cookie"] ?? []].flat().map((c) => c.split(";")[0]);
// A browser: keeps cookies, follows the way to the provider and back. Resolves to {status, cookie, csrf, me, steps}.
export async function signIn(server, { cookies = {}, back = (u) => u } = {}) {
  const jar = { ...cookies }, steps = [];
  const get = async (path) => {
    const a = await request(server, "GET", path, { key: null, raw: true, headers: { cookie: Object.entries(jar).map(([k, v]) => `${k}=${v}`).join("; ") } });
    for (const c of pairs(a)) { const i = c.indexOf("="); if (c.slice(i + 1)) jar[c.slice(0, i)] = c.slice(i + 1); else delete jar[c.slice(0, i)]; }
    steps.push(a);
    return a;
  };
  const one = await get("/auth/login");
  if (one.status !== 302) return { status: one.status, body: one.body, steps, jar };
  const at = await fetch(one.headers.location, { redirect: "manual" });
  const u = new URL(back(at.headers.get("location")));
  const two = await get(u.pathname + u.search);
  const session = jar["sluice-session"];
  return { status: two.status, body: two.body, session, steps, jar, me: session && (await api({ ...server, session }, "GET", "/v1/sluice/me")).body };
}

// A request with a session: {server, session, csrf}.
export async function api(who, method, path, body, headers = {}) {
  return request(who, method, path, { key: null, body, headers: { ...(who.session ? { cookie: `sluice-session=${who.session}` } : {}), ...(who.csrf ? { "x-sluice-csrf": who.csrf } : {}), ...headers } });
}

// A server that people sign in to, with accounts.
export async function startSignIn(p, flags = [], setup = []) {
  const data = folder(), fs = await import("node:fs"), net = await import("node:net"), path = await import("node:path");
  const secret = path.join(folder(), "secret");
  fs.writeFileSync(secret, `${p.secret}\n`);
  for (const args of setup) { const r = await cli(args, { data }); if (r.code) throw new Error(`${args.join(" ")}: ${r.err}`); }
  const port = await new Promise((done) => { const s = net.createServer().listen(0, "127.0.0.1", () => { const n = s.address().port; s.close(() => done(n)); }); });
  const server = await start(sluice, ["serve", "--data", data, "--listen", `127.0.0.1:${port}`, "--threads", "1", "--public-url", `http://127.0.0.1:${port}`, "--oidc-issuer", p.issuer, "--oidc-client-id", p.clientId, "--oidc-client-secret-file", secret, ...flags], data);
  server.cli = async (...args) => { const r = await cli([...args, "--json"], { data }); if (r.code) throw new Error(`${args.join(" ")}: ${r.err}`); return JSON.parse(r.out); };
  server.as = async (email, more = {}) => { p.user = { sub: `id of ${email}`, email, ...more }; const s = await signIn(server); return { ...s, url: server.url, data, csrf: s.me?.csrf }; };
  return server;
}
