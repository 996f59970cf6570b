// All pairs: a set of requests in which every two valid values of every two parameters of an endpoint meet at least once (values from params.def).
// Every one of them must be answered, plain or streamed, whole and valid. SEED picks another set.
import { check, metric, request, run, same, test, until } from "./harness.mjs";
import { bodyOf, endpoints, params, startTiny, words } from "./tables.mjs";

const server = await startTiny({ tiny: ["vocab=512"] });
let state = BigInt(process.env.SEED ?? 1);
const random = (n) => { state = (state * 6364136223846793005n + 1442695040888963407n) & (2n ** 64n - 1n); return Number((state >> 33n) % BigInt(n)); };
console.log(`SEED=${state}`);

// Valid values whose meaning the table cannot say. undefined: left out.
const known = {
  model: ["{model}"], stream_options: ['{"include_usage":true}', '{"include_usage":false}', "{}"], stop: ['"e"', '["a","zz"]', `["${"s".repeat(256)}","b","c","d"]`, "null"],
  messages: ['[{"role":"user","content":"hi"}]', '[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":"x"},{"role":"user","content":""}]'],
  prompt: ['"hi"', '["a","b"]', "[65,66,67]", "[[65],[66,67]]"], input: ['"hi"', '["a","b"]', "[65,66,67]", "[[65],[66,67]]"], tokens: ["[65,66]", "[]"],
  max_tokens: ["1", "7", "2147483647"], max_completion_tokens: ["1", "5", undefined], n: ["1", "2", "8"], seed: ["0", "-9223372036854775808", "9223372036854775807", "7"],
  logit_bias: ["{}", '{"65":100}', '{"65":-100,"66":1.5}'], top_logprobs: ["0", "20"], encoding_format: ['"float"', '"base64"'],
  prediction: ['{"type":"content","content":"x"}'], service_tier: ['"auto"', '"default"'], metadata: ["{}", '{"a":"b"}'], best_of: [undefined], chat_template: ['"default"'], chat_template_kwargs: ['{"enable_thinking":false}', "{}"], suffix: [undefined], dimensions: [undefined], content: ['"hi"'], text_prompt: ['"hi"', '""'],
};
const numbers = (p) => [`${p.type === "OVER" ? Number(p.min) + (Number(p.max) - Number(p.min)) / 100 : p.min}`, `${(Number(p.min) + Number(p.max)) / 2}`, `${p.max}`];
function valuesOf(p) {
  if (p.use === "LATER") return [undefined, ...(p.dflt ? p.dflt.split("|") : [])];
  const own = known[p.id] ?? known[p.name] ?? { BOOL: ["true", "false"], INT: [`${p.min}`, `${(p.min + p.max) / 2n}`, `${p.max}`], NUM: numbers(p), OVER: numbers(p), STR: ['"x"'], ARR: ["[]"], OBJ: ["{}"], ANY: ["null"] }[p.type];
  return p.use === "NEEDED" || p.name === "model" || own.includes(undefined) ? own : [undefined, ...own];
}

// Greedy cover: each row begins with a pair that is not met yet, and takes for every other parameter the value that meets most new pairs.
function cover(axes) {
  const key = (i, a, j, b) => (i < j ? `${i}.${a},${j}.${b}` : `${j}.${b},${i}.${a}`), open = new Set();
  axes.forEach((x, i) => axes.slice(0, i).forEach((y, j) => x.forEach((_, a) => y.forEach((_, b) => open.add(key(i, a, j, b))))));
  const rows = [], pairs = open.size;
  while (open.size) {
    const row = Array(axes.length).fill(-1), [one, two] = open.values().next().value.split(",").map((t) => t.split(".").map(Number));
    row[one[0]] = one[1];
    row[two[0]] = two[1];
    for (const i of axes.map((_, i) => i).filter((i) => row[i] < 0)) {
      let best = -1, most = -1, from = random(axes[i].length);
      for (let k = 0; k < axes[i].length; k++) {
        const a = (from + k) % axes[i].length, met = row.reduce((n, b, j) => n + (b >= 0 && j !== i && open.has(key(i, a, j, b))), 0);
        if (met > most) [best, most] = [a, met];
      }
      row[i] = best;
    }
    row.forEach((a, i) => row.slice(0, i).forEach((b, j) => open.delete(key(i, a, j, b))));
    rows.push(row);
  }
  return { rows, pairs };
}

// Rules between parameters: what is not allowed together is left out of the request, and said so here.
function lawful(fields) {
  if (fields.stream !== "true") delete fields.stream_options;
  if (fields.top_logprobs !== undefined && fields.logprobs !== "true") delete fields.top_logprobs;
  for (const k of ["content", "messages"]) if (fields.prompt !== undefined && fields[k] !== undefined && "parse_special" in fields) delete fields[k]; // one source
  if (fields.content !== undefined && "parse_special" in fields) delete fields.messages;
  if ("parse_special" in fields && [fields.prompt, fields.content, fields.messages].every((v) => v === undefined)) fields.prompt = '"hi"';
  if (fields.n === "8" && fields.max_tokens === "2147483647") fields.max_tokens = "3"; // for the test's time alone
  if ((fields.max_tokens ?? "2147483647") === "2147483647" && fields.max_completion_tokens === undefined) fields.max_tokens = "9";
  return fields;
}

function checkAnswer(word, body, a) {
  const what = `${word} ${body}`;
  same(a.status, 200, `${what}: ${a.body.slice(0, 300)}`);
  if (!/event-stream/.test(a.headers["content-type"])) { JSON.parse(a.body); return; }
  const events = a.body.trimEnd().split("\n\n");
  same(events.at(-1), "data: [DONE]", `${what}: the end of the stream`);
  for (const e of events.slice(0, -1)) { check(e.startsWith("data: {"), `${what}: ${e}`); check(!JSON.parse(e.slice(6)).error, `${what}: ${e}`); }
}

for (const word of words)
  test(`${word}: every pair of valid values`, async () => {
    const rows = params.filter((p) => p.on.includes(word)), axes = rows.map(valuesOf), found = cover(axes);
    check(found.pairs > 1, `${found.pairs} pairs`);
    console.log(`${word}: ${rows.length} parameters, ${found.pairs} pairs, ${found.rows.length} requests`);
    const jobs = found.rows.map((row) => bodyOf(word, server.model, lawful(Object.fromEntries(rows.map((p, i) => [p.name, axes[i][row[i]]])))));
    while (jobs.length) await Promise.all(jobs.splice(0, 8).map(async (body) => checkAnswer(word, body, await request(server, "POST", endpoints[word].path, { body, raw: true }))));
  });

test("at rest delivered is billed", async () => {
  await until("every call is over", async () => (await metric(server, "sluice_chats")) === 0);
  same(await metric(server, "sluice_delivered_tokens_total"), await metric(server, 'sluice_billed_tokens_total{meter="output"}'), "delivered and billed");
});

await run();
