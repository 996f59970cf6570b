// A house with tiny models: what the tests of this folder share.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { check, cli, folder, request, root, same, sluice, start } from "../api/harness.mjs";

const tinymodel = path.resolve(root, process.env.OUT ?? "build", "tool/tinymodel");

export const ok = async (args, options) => {
  const r = await cli(args, options);
  check(r.code === 0, `sluice ${args.join(" ")}: exit ${r.code}: ${r.err}`);
  return r.out;
};
export const json = async (args, options) => JSON.parse(await ok([...args, "--json"], options));
export async function fails(args, code, pattern, options) {
  const r = await cli(args, options);
  same(r.code, code, `exit of sluice ${args.join(" ")} (${r.out}${r.err})`);
  check(pattern.test(r.err + r.out), `sluice ${args.join(" ")} says: ${r.out}${r.err}`);
}

// About 10 MB in memory each, 3.6 MB on disk; a token takes less than a millisecond.
export function tiny(file, ...options) {
  execFileSync(tinymodel, [file, "arch=llama", "type=q8_0", "embd=256", "layers=4", "heads=4", "kv=2", "ff=768", "vocab=512", "ctx=4096", ...options]);
  return file;
}

// A data folder with these models, prices, and an account acme with credit: {data, key}.
export async function house(names, { credit = "100", options = [] } = {}) {
  const data = folder();
  let seed = 1;
  for (const name of names) {
    await ok(["add", tiny(path.join(data, "new.gguf"), `seed=${seed++}`, ...options), "--name", name], { data });
    await ok(["price", "set", name, "--input", "1", "--output", "2"], { data });
  }
  await ok(["account", "create", "acme"], { data });
  if (credit) await ok(["grant", "create", "acme", credit], { data });
  return { data, key: (await json(["key", "create", "acme"], { data })).key };
}
export async function serve({ data, key }, ...flags) {
  const server = await start(sluice, ["serve", "--data", data, "--listen", "127.0.0.1:0", "--threads", "1", "--kv-memory", "64", ...flags], data);
  server.key = key;
  return server;
}

export const body = (model, more = {}) => ({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 4, seed: 1, ...more });
export const ask = (server, model, more, options) => request(server, "POST", "/v1/chat/completions", { body: body(model, more), ...options });
export const models = async (server) => Object.fromEntries((await request(server, "GET", "/v1/models")).body.data.map((m) => [m.id, m]));
export const stateOf = async (server, model) => (await models(server))[model]?.state;

// A stream that goes on until it is left (greedy, the first model of a house runs in circles): {first: its first text has come, end: the whole text, leave()}.
export function stream(server, model, more = {}) {
  const abort = new AbortController(), s = { text: "", left: false };
  let first;
  s.first = new Promise((done) => { first = done; });
  s.end = ask(server, model, { stream: true, max_tokens: 3500, temperature: 0, ...more }, { signal: abort.signal, raw: true, onHead: (res) => res.on("data", (d) => { s.text += d; if (/"content":"[^"]/.test(s.text)) first(); }) })
    .catch((error) => { if (!s.left) throw error; return null; });
  s.end.catch(() => {});
  s.leave = () => { s.left = true; abort.abort(); };
  return s;
}
