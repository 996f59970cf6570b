// The server's own tables as tests see them: rows of params.def and routes.def, and for each endpoint with parameters a smallest request.
// A new endpoint word in params.def without a line in `endpoints` fails here, so that no endpoint goes untested.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { cli, folder, root, sluice, start } from "./harness.mjs";

const text = (name) => readFileSync(path.join(root, "src/api", name), "utf8");
const big = (word) => (word === "INT64_MIN" ? -(2n ** 63n) : word === "INT64_MAX" ? 2n ** 63n - 1n : /^-?\d+$/.test(word) ? BigInt(word) : 0n);

// [{id, name, on: [endpoint words], type, min, max, dflt, use}]; a bound that is no number is 0 for both.
export const params = [...text("params.def").matchAll(/^PARAM\((\w+),\s*"(\w+)",\s*([A-Z_ |]+),\s*(\w+),\s*([^,]+),\s*([^,]+),\s*"((?:[^"\\]|\\.)*)",\s*(\w+),/gm)]
  .map((m) => ({ id: m[1], name: m[2], on: m[3].split("|").map((w) => w.trim()), type: m[4], min: big(m[5].trim()), max: big(m[6].trim()), dflt: JSON.parse(`"${m[7]}"`), use: m[8] }));
// access KEY: an API key with the scope.
export const scopes = ["inference", "embeddings", "models", "usage", "events"];
export const routes = [...text("routes.def").matchAll(/^ROUTE\((\w+),\s*"([^"]+)",\s*(\w+),\s*(\w+)/gm)].map((m) => {
  const scope = m[3].toLowerCase();
  return { method: m[1], pattern: m[2], fn: m[4], ...(scopes.includes(scope) ? { access: "KEY", scope } : { access: m[3] }) };
});
if (params.length !== text("params.def").match(/^PARAM\(/gm).length) throw new Error("a row of params.def is not understood");

// word of params.def -> path and the smallest request, as raw JSON texts by field. {model} is filled in.
export const endpoints = {
  CHAT: { path: "/v1/chat/completions", body: { model: "{model}", messages: '[{"role":"user","content":"hi"}]', max_tokens: "1" } },
  COMPLETIONS: { path: "/v1/completions", body: { model: "{model}", prompt: '"hi"', max_tokens: "1" } },
  EMBEDDINGS: { path: "/v1/embeddings", body: { model: "{model}", input: '"hi"' } },
  TOKENIZE: { path: "/tokenize", body: { model: "{model}", prompt: '"hi"' } },
  DETOKENIZE: { path: "/detokenize", body: { model: "{model}", tokens: "[65,66]" } },
};
export const words = [...new Set(params.flatMap((p) => p.on))];
for (const w of words) if (!endpoints[w]) throw new Error(`tests/api/tables.mjs has no request for the endpoint ${w} of params.def`);
// An event is no request: events.mjs.
for (const r of routes.filter((r) => r.method === "POST" && r.access === "KEY" && r.scope !== "events"))
  if (!words.some((w) => endpoints[w].path === r.pattern)) throw new Error(`${r.pattern} takes a body, and no row of params.def is for it (or tests/api/tables.mjs does not know it)`);

// The body of a request to an endpoint, with some fields replaced by raw JSON; undefined leaves one out.
export function bodyOf(word, model, fields = {}) {
  const all = { ...endpoints[word].body, ...fields };
  return `{${Object.entries(all).filter(([, v]) => v !== undefined).map(([k, v]) => `"${k}":${v.replace("{model}", `"${model}"`)}`).join(",")}}`;
}

// A server with tiny models of random weights and an account with a lot of credit. models: name -> options of tools/tinymodel.c.
export async function startTiny(models = { tiny: [] }, flags = []) {
  const data = folder(), tool = path.resolve(root, process.env.OUT ?? "build", "tool/tinymodel");
  if (!existsSync(tool)) throw new Error(`${tool} is not built: make suite-api builds it`);
  const run = async (...args) => {
    const r = await cli(args, { data });
    if (r.code !== 0) throw new Error(`sluice ${args.join(" ")}: ${r.err}`);
    return r.out;
  };
  for (const [name, options] of Object.entries(models)) {
    const file = path.join(folder(), "tiny.gguf");
    const arch = options.find((o) => o.startsWith("arch=")) ?? "arch=qwen2"; // first: it sets the rest
    execFileSync(tool, [file, arch, "ctx=1024", ...options.filter((o) => o !== arch)]);
    await run("add", file, "--name", name);
    await run("price", "set", name, "--input", "1", "--output", "1");
  }
  await run("account", "create", "acme");
  await run("grant", "create", "acme", "1000000");
  const server = await start(sluice, ["serve", "--data", data, "--listen", "127.0.0.1:0", "--threads", "1", ...flags], data);
  server.key = JSON.parse(await run("key", "create", "acme", "--json")).key;
  [server.model] = Object.keys(models);
  return server;
}
