// OpenAI's administration API: costs and usage of the key's account in buckets, in OpenAI's shapes. The sums are those of GET /v1/sluice/usage of the same
// range, to the nano-unit: amounts are read from the text of the answer, before a binary fraction is made of them.
import { check, cli, client, request, run, same, test } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";
import { startTiny } from "./tables.mjs";

const server = await startTiny({ tiny: [], other: ["seed=2"] });
const ok = async (...args) => { const r = await cli([...args, "--json"], { data: server.data }); check(r.code === 0, `${args}: ${r.err}`); return JSON.parse(r.out); };
const base = "/v1/organization", now = () => Math.floor(Date.now() / 1000), day = 86400, start = now() - 2 * day, end = now() + day;
const get = async (where, key) => {
  const a = await request(server, "GET", where, { raw: true, key });
  return { status: a.status, body: JSON.parse(a.body.replace(/"value":(-?[\d.]+)/g, '"value":"$1"')), numbers: JSON.parse(a.body) };
};
const page = async (where) => { const a = await get(where); same(a.status, 200, where); checkSchema(a.numbers, "UsageResponse"); return a.body; };
const results = async (where) => (await page(where)).data.flatMap((b) => b.results);
const nano = (s) => { const [a, b = ""] = s.replace("-", "").split("."); return BigInt(`${s.startsWith("-") ? "-" : ""}${a}${b.padEnd(9, "0")}`); };
const sum = (list, of) => list.reduce((n, r) => n + of(r), 0n);
const iso = (s) => new Date(s * 1000).toISOString().replace(".000", "");
// Results by these fields, sorted, with the sums of `of`: midnight may fall between two requests.
const merged = (list, names, of) => { const m = new Map(); for (const r of list) { const k = JSON.stringify(names.map((n) => r[n])); m.set(k, (m.get(k) ?? 0) + r[of]); } return [...m].map(([k, n]) => [...JSON.parse(k), n]).sort(); };
const range = `start_time=${start}&end_time=${end}`;
const usage = async (more) => (await request(server, "GET", `/v1/sluice/usage?group=total&since=${iso(start)}&until=${iso(end)}${more}`)).body.total;

const spent = await ok("project", "create", "acme", "side");
check(spent, "a project");
const side = (await ok("key", "create", "acme", "--project", "side")).key, keys = [server.key, side];
const refunded = [];
for (const [i, model] of ["tiny", "other", "tiny", "tiny"].entries()) {
  const a = await request(server, "POST", "/v1/completions", { key: keys[i & 1], body: { model, prompt: "a b c d".repeat(i + 1), max_tokens: 3 } });
  same(a.status, 200, JSON.stringify(a.body));
  refunded.push(a.headers["x-request-id"]);
  same((await request(server, "POST", "/v1/embeddings", { key: keys[i & 1], body: { model, input: "some words" } })).status, 200);
}
await ok("refund", refunded[0], "--reason", "a test", "--actor", "ann");

test("costs, completions and embeddings are the usage of the same range, whatever the groups and the width", async () => {
  const all = await usage(""), inference = await usage("&scope=inference"), embeddings = await usage("&scope=embeddings");
  same([inference.requests, embeddings.requests], [4, 4]);
  check(nano(all.refunded) > 0n && nano(all.net) > 0n, JSON.stringify(all));
  for (const width of ["1d", "1h"])
    for (const group of ["", "&group_by=project_id", "&group_by[]=project_id&group_by[]=api_key_id", "&group_by=api_key_id,project_id"]) {
      const tail = `?${range}&bucket_width=${width}&limit=${width === "1h" ? 100 : 30}${group}`, costs = await results(`${base}/costs${tail}`);
      same([sum(costs, (r) => nano(r.amount.value)), costs.every((r) => r.amount.currency === "usd" && r.object === "organization.costs.result")], [nano(all.net), true], tail);
      const c = await results(`${base}/usage/completions${tail}`), e = await results(`${base}/usage/embeddings${tail}`);
      same([sum(c, (r) => BigInt(r.num_model_requests)), sum(c, (r) => BigInt(r.input_tokens)), sum(c, (r) => BigInt(r.output_tokens))],
        [4n, BigInt(inference.input + inference.cache_read + inference.cache_write), BigInt(inference.output + inference.reasoning)], tail);
      same([sum(e, (r) => BigInt(r.num_model_requests)), sum(e, (r) => BigInt(r.input_tokens))], [4n, BigInt(embeddings.input)], tail);
    }
});

test("groups have their names, and are null where nobody asked for them", async () => {
  const c = await results(`${base}/usage/completions?${range}&group_by=model&group_by=project_id&group_by=service_tier&group_by=batch`);
  same(merged(c, ["project_id", "model", "service_tier", "batch", "api_key_id", "user_id"], "num_model_requests"), [["default", "tiny", "default", false, null, null, 2], ["side", "other", "default", false, null, null, 1], ["side", "tiny", "default", false, null, null, 1]]);
  const k = await results(`${base}/usage/embeddings?${range}&group_by=api_key_id`);
  same(merged(k, ["api_key_id"], "num_model_requests"), keys.map((x) => [x.split("-")[2], 2]).sort());
  const l = await results(`${base}/costs?${range}&group_by=line_item`);
  same(merged(l, ["line_item"], "quantity").map(([x]) => x), ["other, embeddings", "other, inference", "tiny, embeddings", "tiny, inference"]);
  same(sum(l, (r) => BigInt(r.quantity)), BigInt((await usage("")).tokens), "tokens");
});

test("filters", async () => {
  const id = side.split("-")[2], n = async (tail) => Number(sum(await results(`${base}/usage/completions?${range}${tail}`), (r) => BigInt(r.num_model_requests)));
  same([await n("&models=tiny"), await n("&models[]=tiny&models[]=other"), await n("&project_ids=side"), await n(`&api_key_ids=${id}&models=tiny`), await n("&models=none"), await n("&batch=true"), await n("&batch=false")], [3, 4, 2, 1, 0, 0, 4]);
  same(sum(await results(`${base}/costs?${range}&project_ids[]=side`), (r) => nano(r.amount.value)), nano((await usage("&project=side")).net));
});

test("pages follow each other without a gap; minutes too", async () => {
  let at = "", all = 0n, last = start, pages = 0;
  do {
    const p = await page(`${base}/usage/completions?${range}&bucket_width=1h&limit=7${at}`);
    check(p.data.length <= 7 && p.has_more === (p.next_page !== null), JSON.stringify(p));
    for (const b of p.data) { same([b.object, b.start_time, b.end_time > b.start_time], ["bucket", last, true]); last = b.end_time; all += sum(b.results, (r) => BigInt(r.num_model_requests)); }
    at = `&page=${p.next_page}`, pages++;
  } while (at !== "&page=null");
  same([all, last, pages], [4n, end, 11]);
  const minutes = await page(`${base}/usage/completions?start_time=${now() - 43200}&bucket_width=1m&limit=1440`);
  same([sum(minutes.data.flatMap((b) => b.results), (r) => BigInt(r.num_model_requests)), minutes.has_more], [4n, false]);
  check(minutes.data.filter((b) => b.results.length).every((b) => b.end_time - b.start_time === 60), "minutes");
  same((await page(`${base}/costs?start_time=${start}`)).data.length >= 3, true, "without an end: until now");
});

test("the official client reads it", async () => {
  const { usage } = client(server, { adminAPIKey: server.key }).admin.organization, query = { start_time: start, end_time: end, group_by: ["project_id", "api_key_id"], limit: 2 }; // from noon to noon are four days
  const first = await usage.costs(query), second = await usage.costs({ ...query, page: first.next_page });
  same([first.has_more, second.has_more], [true, false]);
  same(merged([...first.data, ...second.data].flatMap((b) => b.results), ["project_id", "api_key_id", "line_item"], "object").map((r) => r.slice(0, 3)), [["default", keys[0].split("-")[2], null], ["side", side.split("-")[2], null]]);
  same((await usage.completions({ start_time: start, models: ["tiny"], project_ids: ["side", "default"], group_by: ["model", "service_tier"] })).data.flatMap((b) => b.results).reduce((n, r) => n + (r.model === "tiny" && r.service_tier === "default" ? r.num_model_requests : 99), 0), 3);
  same((await usage.embeddings({ start_time: start })).data.flatMap((b) => b.results).reduce((n, r) => n + r.num_model_requests, 0), 4);
});

test("another account sees its own alone", async () => {
  await ok("account", "create", "beta");
  const key = (await ok("key", "create", "beta")).key;
  for (const where of ["costs", "usage/completions", "usage/embeddings"]) {
    const a = await get(`${base}/${where}?${range}&account=acme`, key);
    same([a.status, a.body.data.flatMap((b) => b.results)], [200, []], where);
    same((await get(`${base}/${where}?${range}&project_ids=side`, key)).status, 404, where);
    same((await get(`${base}/${where}?${range}&api_key_ids=${side.split("-")[2]}`, key)).status, 404, where);
  }
});

test("what is asked wrongly is told by its parameter", async () => {
  const bad = { start_time: ["", "start_time=x", "start_time=-1"], end_time: [`start_time=5&end_time=5`, `start_time=5&end_time=x`], bucket_width: ["start_time=5&bucket_width=2d"], limit: ["start_time=5&limit=0", "start_time=5&limit=181"],
    page: ["start_time=5&page=x", "start_time=5&page=page_7", "start_time=5&page=page_0", "start_time=5&page=page_99999999999999999999"], group_by: ["start_time=5&group_by=user_id", "start_time=5&group_by=model,joy"], user_ids: ["start_time=5&user_ids=x"], batch: ["start_time=5&batch=maybe"] };
  for (const [param, queries] of Object.entries(bad))
    for (const q of queries)
      for (const where of ["costs", "usage/completions"]) {
        const a = await get(`${base}/${where}?${q}`);
        same([a.status, a.body.error?.param], [400, param], `${where} ${q}: ${a.body.error?.message}`);
      }
  same((await get(`${base}/costs?start_time=5&models=tiny`)).body.error.param, "models");
});

await run();
