// Prompts that begin alike: what is told, what is billed, and that no other account can tell.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, cli, client, metric, nano, run, same, startDemo, test } from "./harness.mjs";

const story = "Once upon a time there was a little girl who loved to count the stars over the village, and each night she wrote the number down. ";
const prompt = story.repeat(3);
const cachedOf = (r) => r.usage.prompt_tokens_details.cached_tokens;

let server;
async function keyOf(account) {
  for (const args of [["account", "create", account], ["grant", "create", account, "5"]]) {
    const r = await cli(args, { data: server.data });
    check(r.code === 0, r.err);
  }
  return JSON.parse((await cli(["key", "create", account, "--json"], { data: server.data })).out).key;
}
const ask = (who, text, more) => client(who).completions.create({ model: server.model, prompt: text, max_tokens: 3, temperature: 0, ...more });

test("an account's second prompt takes the pages of the first, another account's does not", async () => {
  server = await startDemo();
  const price = await cli(["price", "set", server.model, "--input", "8", "--output", "10", "--cached-input", "1"], { data: server.data });
  check(price.code === 0, price.err);
  const [one, two] = [{ ...server, key: await keyOf("one") }, { ...server, key: await keyOf("two") }];
  const first = await ask(one, prompt), n = first.usage.prompt_tokens, full = Math.floor((n - 1) / 64) * 64;
  check(full >= 64, `${n} tokens`);
  same(cachedOf(first), 0, "the first");
  const rows = await metric(server, "sluice_engine_prefill_tokens_total");
  const second = await ask(one, prompt);
  same([cachedOf(second), second.usage.prompt_tokens, second.choices[0].text], [full, n, first.choices[0].text], "the second");
  same(await metric(server, "sluice_engine_prefill_tokens_total"), rows + n - full, "computed");
  const other = await ask(two, prompt);
  same([cachedOf(other), other.choices[0].text], [0, first.choices[0].text], "another account's");
  same(cachedOf(await ask(two, prompt)), full, "its second");
  // 8, 1 and 10 per million tokens
  same(nano(second.usage.sluice.cost), BigInt(n - full) * 8000n + BigInt(full) * 1000n + BigInt(second.usage.completion_tokens) * 10000n, "cost");
  same(nano(other.usage.sluice.cost), nano(first.usage.sluice.cost), "another account's cost");
  check((await metric(server, "sluice_prefix_cache_tokens_total")) === 2 * full && (await metric(server, "sluice_kv_pages_cached")) >= full / 64, "metrics");
  same((await metric(server, 'sluice_billed_tokens_total{meter="cached_input"}')), 2 * full, "billed");
});

test("choices, streams and echo are billed by the same rule", async () => {
  const me = { ...server, key: await keyOf("three") };
  const n = (await ask(me, prompt)).usage.prompt_tokens, full = Math.floor((n - 1) / 64) * 64;
  const many = await ask(me, prompt, { n: 3, temperature: 1 });
  same([many.usage.prompt_tokens, cachedOf(many)], [n, full], "three choices");
  let last;
  for await (const c of await ask(me, prompt, { stream: true, stream_options: { include_usage: true } })) last = c.usage ?? last;
  same([last.prompt_tokens, last.prompt_tokens_details.cached_tokens], [n, full], "a stream");
  const echo = await ask(me, prompt, { echo: true, logprobs: 1 });
  same([echo.usage.prompt_tokens, cachedOf(echo)], [n, 0], "each row of an echo with log probabilities is computed");
});

test("prefix-cache = no computes every prompt from its first token", async () => {
  await server.stop();
  const off = (server = await startDemo("--prefix-cache", "no"));
  const a = await ask(off, prompt), b = await ask(off, prompt);
  same([cachedOf(a), cachedOf(b), await metric(off, "sluice_kv_pages_cached")], [0, 0, 0]);
  const wrong = await cli(["serve", "--listen", "127.0.0.1:0", "--prefix-cache", "maybe"], { data: off.data + "-none" });
  check(wrong.code !== 0 && /prefix-cache = maybe .*must be yes or no/.test(wrong.err), wrong.err);
});

test("a system prompt that the operator publishes is found by every account, at its first request", async () => {
  await server.stop();
  const dir = mkdtempSync(join(tmpdir(), "sluice-publish-")), system = story.repeat(4).trim();
  writeFileSync(join(dir, "teller.txt"), `\n${system}\n`);
  writeFileSync(join(dir, "short.txt"), "Hi"); // told to the log
  writeFileSync(join(dir, "notes.md"), "no prompt");
  const on = (server = await startDemo("--publish", dir));
  const chat = (who, text, user) =>
    client(who).chat.completions.create({ model: server.model, max_tokens: 3, temperature: 0, messages: [{ role: "system", content: text }, { role: "user", content: user }] });
  await chat(on, "Be kind.", "Load the model, please."); // and what is published with it
  const [one, two] = [{ ...on, key: await keyOf("five") }, { ...on, key: await keyOf("six") }];
  const first = await chat(one, system, "Tell me of the sea."), second = await chat(two, system, "And of the moon?");
  const full = cachedOf(first);
  check(full >= 64 && full % 64 === 0 && full < first.usage.prompt_tokens, `${full} of ${first.usage.prompt_tokens}`);
  same(cachedOf(second), full, "another account's");
  same(cachedOf(await chat(two, `You ${system}`, "Another?")), 0, "what is not published");
  rmSync(dir, { recursive: true });
});

await run();
