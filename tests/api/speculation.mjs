// speculation = yes, no or a depth: the same texts and the same bills.
import { check, cli, client, metric, run, same, startDemo, test } from "./harness.mjs";

const list = "one apple, two pears, three plums, four figs, five dates. ".repeat(6);
const requests = [
  { temperature: 0 },
  { temperature: 0, stop: ["pears"], n: 2 },
  { temperature: 0.8, seed: 5, top_p: 0.9, logprobs: 2 },
  { temperature: 0, frequency_penalty: 0.5, presence_penalty: 0.3, logit_bias: { 40: 3 } },
  { temperature: 1, seed: 9, n: 3 },
];
const drafts = async (server) => [await metric(server, "sluice_engine_draft_tokens_total"), await metric(server, "sluice_engine_draft_accepted_tokens_total")];

let server;
async function answers(...flags) {
  server = await startDemo(...flags);
  const all = [];
  for (const r of requests) {
    const a = await client(server).completions.create({ model: server.model, prompt: list, max_tokens: 120, ...r });
    all.push(a.choices.map((c) => [c.text, c.finish_reason, c.logprobs]), [a.usage.prompt_tokens, a.usage.completion_tokens]);
  }
  const counts = await drafts(server);
  await server.stop();
  return { all, counts };
}

test("texts and bills are those without it", async () => {
  const off = await answers("--speculation", "no");
  same(off.counts, [0, 0], "no drafts");
  for (const how of ["yes", "3"]) {
    const on = await answers("--speculation", how);
    same(on.all, off.all, `speculation = ${how}`);
    check(on.counts[1] <= on.counts[0], `${on.counts}`);
  }
});

test("a wrong value is told", async () => {
  for (const value of ["maybe", "32", "-1"]) {
    const r = await cli(["serve", "--listen", "127.0.0.1:0", "--speculation", value], { data: server.data + "-none" });
    check(r.code !== 0 && r.err.includes(`speculation = ${value} must be yes, no or a number of tokens from 0 to 31`), r.err);
  }
});

await run();
