// A test file: test(name, fn) for each case, then await run(). Servers are started in folders of their own.
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, existsSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

export const root = path.resolve(import.meta.dirname, "../..");
export const sluice = path.resolve(root, process.env.SLUICE ?? "build/sluice");
export const fakeServer = path.resolve(root, process.env.OUT ?? "build", "test/fake_server");
export const shared = process.env.SLUICE_TEST_DATA ?? path.resolve(root, "../shared/data");
const require = createRequire(path.join(root, "tests/node/package.json"));
export const OpenAI = require("openai").OpenAI;
export const playwright = () => require("playwright-core");
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const HANGS_MS = 120000; // nothing that works takes so long, however slow the machine is
process.setMaxListeners(0); // one for each server that is started
const tests = [];
const cleanups = [];
export const test = (name, fn) => tests.push({ name, fn });
export const skip = (why) => { throw Object.assign(new Error(why), { skip: true }); };

export function check(condition, message) {
  if (!condition) throw new Error(message ?? "check failed");
}
export function same(actual, expected, message = "value") {
  const text = (v) => JSON.stringify(v, (k, x) => (typeof x === "bigint" ? `${x}n` : x));
  const a = text(actual), b = text(expected);
  if (a !== b) throw new Error(`${message}: is ${a}, should be ${b}`);
}

export async function run() {
  const only = process.argv[2];
  let passed = 0, failed = 0, skipped = 0;
  for (const t of tests.filter((t) => !only || t.name.includes(only))) {
    try {
      await Promise.race([t.fn(), sleep(5 * HANGS_MS).then(() => { throw new Error(`no end after ${5 * HANGS_MS} ms`); })]);
      passed++;
    } catch (error) {
      if (error.skip) skipped++, console.log(`skipped ${t.name}: ${error.message}`);
      else failed++, console.log(`FAIL ${t.name}: ${error.stack ?? error}`);
    }
  }
  for (const cleanup of cleanups.reverse()) await cleanup().catch((error) => { failed++; console.log(`FAIL at the end: ${error.message}`); });
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exit(failed ? 1 : 0);
}

export function folder() {
  const dir = mkdtempSync(path.join(os.tmpdir(), "sluice-test-"));
  cleanups.unshift(async () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

// Runs the command line; resolves to {code, out, err}.
export async function cli(args, { data, input, env } = {}) {
  const promise = promisify(execFile)(sluice, data ? [...args, "--data", data] : args, { env: { ...process.env, ...env }, maxBuffer: 1 << 26 });
  promise.child.stdin.on("error", () => {}); // it may end before it reads
  promise.child.stdin.end(input ?? "");
  return promise.then(({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }), (e) => ({ code: e.code, out: e.stdout ?? "", err: e.stderr ?? String(e) }));
}

// Starts a server and waits for its line with the address. Stops it at the end, which must succeed and leave a clean audit.
export async function start(program, args, data) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  process.on("exit", () => child.kill("SIGKILL")); // also when a test file breaks off
  const server = { child, data, out: "", log: "" };
  child.stderr.on("data", (d) => { server.log += d; });
  server.ended = new Promise((done) => child.on("exit", (code, signal) => done(code ?? signal)));
  server.url = await new Promise((done, fail) => {
    child.stdout.on("data", (d) => {
      server.out += d;
      const at = /(https?:\/\/[^\s/]+)/.exec(server.out);
      if (at && server.out.includes("\n")) done(at[1]);
    });
    server.ended.then((code) => fail(new Error(`${path.basename(program)} ended with ${code}: ${server.log}`)));
  });
  server.stop = async () => {
    if (server.stopped) return;
    server.stopped = true;
    child.kill("SIGTERM");
    const code = await Promise.race([server.ended, sleep(HANGS_MS).then(() => (child.kill("SIGKILL"), `SIGKILL after ${HANGS_MS} ms`))]);
    check(code === 0, `the server ended with ${code}: ${server.log.slice(-3000)}`);
    const audit = await cli(["audit"], { data });
    check(audit.code === 0, `audit: ${audit.out}${audit.err}`);
  };
  cleanups.push(server.stop);
  return server;
}

// `sluice serve --demo` on a free port, with a model: guide when it is built in, else stories260K.
export async function startDemo(...flags) {
  const data = folder();
  const story = path.join(shared, "models/stories260K-f32.gguf");
  const listed = JSON.parse((await cli(["list", "--json"], { data })).out || "[]");
  if (!listed.some((m) => m.name === "guide")) {
    if (!existsSync(story)) throw new Error("neither a built-in guide nor ../shared/data is here");
    const added = await cli(["add", story, "--name", "stories"], { data });
    check(added.code === 0, `sluice add: ${added.err}`);
  }
  const server = await start(sluice, ["serve", "--demo", "--data", data, "--listen", "127.0.0.1:0", ...flags], data);
  server.key = readFileSync(path.join(data, "demo.key"), "utf8").trim();
  server.model = server.out.match(/serves (\S+)/)[1];
  return server;
}

// The fake backend with an account that has `credit`, prices in units per million tokens.
export async function startFake(credit, input, output) {
  const data = folder();
  const server = await start(fakeServer, [data], data);
  for (const args of [["account", "create", "acme"], ["grant", "create", "acme", credit],
    ...["hold", "count", "slow", "fail", "refuse"].map((m) => ["price", "set", m, "--input", input, "--output", output])]) {
    const r = await cli(args, { data });
    check(r.code === 0, `sluice ${args.join(" ")}: ${r.err}`);
  }
  server.key = JSON.parse((await cli(["key", "create", "acme", "--json"], { data })).out).key;
  return server;
}

export const client = (server, options = {}) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: 0, ...options });

// A plain HTTP request: {status, headers, body (parsed JSON or text)}. options.signal aborts.
export function request(server, method, where, { body, headers, key = server.key, signal, raw, onHead } = {}) {
  return new Promise((done, fail) => {
    const url = new URL(server.url + where);
    const r = http.request(url, { method, signal, agent: false, headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...(body ? { "content-type": "application/json" } : {}), ...headers } }, (res) => {
      onHead?.(res);
      let text = "";
      res.setEncoding("utf8").on("data", (d) => { text += d; }).on("error", fail).on("end", () => {
        let parsed = text;
        if (!raw && text && /json/.test(res.headers["content-type"] ?? "")) parsed = JSON.parse(text);
        done({ status: res.statusCode, headers: res.headers, body: parsed });
      });
    });
    r.on("error", fail);
    r.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
  });
}

// Sends a chat request and tells its status as soon as there is one; an admitted one of the model `hold` has none until it is closed.
export function openChat(server, key, body) {
  const state = { status: null, error: null };
  const r = http.request(server.url + "/v1/chat/completions", { method: "POST", agent: false, headers: { authorization: `Bearer ${key}`, "content-type": "application/json" } }, (res) => {
    let text = "";
    res.on("data", (d) => { text += d; }).on("error", () => {}).on("end", () => { state.error = JSON.parse(text).error; state.status = res.statusCode; });
  });
  r.on("error", () => {});
  r.end(JSON.stringify(body));
  state.close = () => r.destroy();
  return state;
}

export const metric = async (server, name) => Number((await request(server, "GET", "/metrics")).body.match(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\d+)$`, "m"))[1]);
// What the engine says of itself follows the events that it sends by a moment: gauges are waited for.
export const atZero = async (server, ...gauges) => { for (const g of gauges) await until(`${g} is 0`, async () => (await metric(server, g)) === 0); };
export async function until(what, fn, ms = HANGS_MS) {
  const end = Date.now() + ms;
  while (!(await fn())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(20);
  }
}
// Decimal strings as integers of 10^-9.
export const nano = (s) => { const [a, b = ""] = s.split(" ")[0].replace("-", "").split("."); return BigInt(`${s.startsWith("-") ? "-" : ""}${a}${b.padEnd(9, "0")}`); };
