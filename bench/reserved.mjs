// node bench/reserved.mjs SLUICE MODEL.gguf [part=0.4] [seconds=15]: an account with a reservation beside three that flood the machine.
// A server of its own on two ports' worth of nothing else: 1. the account alone, many streams: what the machine does; 2. it reserves `part` of that;
// 3. three other accounts keep 24 long streams each going; 4. the account's streams beside them. Tokens are those of the ledger's receipts, time is from
// the first byte sent to the moment at which all are cancelled.
import { spawn, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const [sluice, model, ...more] = process.argv.slice(2);
const opt = Object.fromEntries(more.map((x) => x.split("=")));
const part = Number(opt.part ?? 0.4), seconds = Number(opt.seconds ?? 15), streams = Number(opt.streams ?? 32), port = Number(opt.port ?? 18433);
const data = mkdtempSync(join(tmpdir(), "reserved-"));
const run = (...words) => execFileSync(sluice, [...words, "--data", data, "--json"], { encoding: "utf8" });
const url = `http://127.0.0.1:${port}`;

async function start(key, prompt) {
  const stop = new AbortController();
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST", signal: stop.signal, headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "m", prompt, max_tokens: 4000, stream: true, temperature: 1, logit_bias: {} }),
  });
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
  const gone = (async () => { try { for await (const _ of answer.body); } catch {} })();
  return { id: answer.headers.get("x-request-id"), stop: async () => { stop.abort(); await gone; } };
}

// Weighed tokens (input 0.25) that a few streams of the account got in the time.
async function measure(key, n, time) {
  const t0 = performance.now();
  const all = await Promise.all(Array.from({ length: n }, (_, i) => start(key, `${i} ${Math.random()} tell me about a ship that sails around the world`)));
  await sleep(Math.max(0, time * 1000 - (performance.now() - t0)));
  const spent = (performance.now() - t0) / 1000;
  await Promise.all(all.map((x) => x.stop()));
  let tokens = 0, covered = 0;
  for (const x of all) {
    for (let tries = 0; ; tries++) {
      const r = await fetch(`${url}/v1/requests/${x.id}/receipt`, { headers: { authorization: `Bearer ${key}` } });
      const j = await r.json();
      if (r.status !== 200 && tries < 200) { await sleep(20); continue; }
      const of = (name) => Number(j.meters.find((m) => m.meter === name)?.quantity ?? j.meters.find((m) => m.meter === name)?.tokens ?? 0);
      tokens += of("output") + of("input") / 4;
      covered += Number(j.reservation?.weighed_tokens ?? 0);
      if (!j.agrees) throw new Error(JSON.stringify(j.differences));
      break;
    }
  }
  return { rate: tokens / spent, tokens, covered, spent };
}

let server;
try {
  run("add", model, "--name", "m");
  const keys = {};
  for (const name of ["a", "b", "c", "d"]) {
    run("account", "create", name);
    run("grant", "create", name, "1000");
    keys[name] = JSON.parse(run("key", "create", name)).key;
  }
  run("price", "set", "m", "--input", "0.1", "--output", "0.3");
  server = spawn(sluice, ["serve", "--data", data, "--listen", `127.0.0.1:${port}`], { stdio: ["ignore", "ignore", opt.log ? "inherit" : "ignore"] });
  for (let up = false; !up; ) up = await fetch(`${url}/health`).then((r) => r.ok, () => sleep(100).then(() => false));
  await measure(keys.a, 2, 2); // loaded
  const alone = await measure(keys.a, streams, seconds / 2);
  console.log(`alone: ${alone.rate.toFixed(1)} tokens/s (${streams} streams, ${alone.spent.toFixed(1)} s)`);
  const flood = [];
  const keep = async () => { for (const k of ["b", "c", "d"]) for (let i = 0; i < 24; i++) flood.push(start(keys[k], `${i} ${Math.random()} write a long story of a fox`)); await Promise.allSettled(flood); };
  await keep();
  await sleep(1000);
  const bare = await measure(keys.a, streams, seconds / 2);
  console.log(`beside three that flood, nothing reserved: ${bare.rate.toFixed(1)} tokens/s`);
  const rate = (alone.rate * part).toFixed(1);
  run("reserve", "create", "a", "m", rate, "--price", "0.01", "--oversell");
  const reserved = await measure(keys.a, streams, seconds);
  console.log(`beside three that flood, ${rate} tokens/s reserved: ${reserved.rate.toFixed(1)} tokens/s = ${((100 * reserved.rate) / rate).toFixed(1)}% of the rate; ` +
    `${reserved.covered.toFixed(0)} of ${reserved.tokens.toFixed(0)} tokens covered`);
  const others = await Promise.all(flood.map(async (f) => { try { const x = await f; await x.stop(); return 1; } catch { return 0; } }));
  console.log(`${others.reduce((a, b) => a + b, 0)} streams flooded; audit: ${run("audit").trim().slice(0, 80)}`);
  process.exitCode = reserved.rate >= 0.98 * rate ? 0 : 1;
} finally {
  server?.kill("SIGTERM");
  await sleep(500);
  rmSync(data, { recursive: true, force: true });
}
