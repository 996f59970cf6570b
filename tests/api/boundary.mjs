// Every parameter of every endpoint x {below its range, its ends, above, each wrong type, null, huge}, made from src/api/params.def: 200 exactly when the
// table allows the value, else 400 that names the parameter; never another 5xx. Then bodies that are no request at all.
import http from "node:http";
import { atZero, check, metric, request, run, same, test, until } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";
import { bodyOf, endpoints, params, startTiny, words } from "./tables.mjs";

const server = await startTiny();
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });

// One POST over a kept connection: {status, headers, text}.
const post = (where, body, headers = {}) => new Promise((done, fail) => {
  const url = new URL(server.url + where);
  const r = http.request(url, { method: "POST", agent, headers: { authorization: `Bearer ${server.key}`, "content-type": "application/json", ...headers } }, (res) => {
    const parts = [];
    res.on("data", (d) => parts.push(d)).on("end", () => done({ status: res.statusCode, headers: res.headers, text: Buffer.concat(parts).toString() })).on("error", fail);
  });
  r.on("error", fail);
  r.end(body);
});

const list = (n, one) => `[${Array(n).fill(one).join(",")}]`;
const object = (n) => `{${Array.from({ length: n }, (_, i) => `"${i}":0`).join(",")}}`;
const wrong = { STR: [], BOOL: [], INT: [], NUM: [], OVER: [], ARR: [], OBJ: [] };
for (const [kind, text] of [["STR", '"text"'], ["STR", '"1"'], ["BOOL", "true"], ["BOOL", "false"], ["INT", "1"], ["NUM", "1.5"], ["ARR", "[]"], ["ARR", "[1]"], ["OBJ", "{}"], ["OBJ", '{"a":1}']])
  for (const type of Object.keys(wrong))
    if (kind !== type && !((type === "NUM" || type === "OVER") && (kind === "INT" || kind === "NUM"))) wrong[type].push(text);

// [value as JSON, is it in the range of the table?] of one row; null is told apart.
function* cases(p) {
  const { min, max } = p, lo = Number(min), hi = Number(max);
  for (const v of wrong[p.type] ?? []) yield [v, false];
  if (p.type === "INT") {
    yield* [[`${min}`, true], [`${max}`, true], [`${min - 1n}`, false], [`${max + 1n}`, false], ["1.5", false], ["1e308", false], ["-1e308", false], [`${2n ** 64n}`, false], ["9".repeat(400), false]];
  } else if (p.type === "NUM" || p.type === "OVER") {
    const step = Math.max(Math.abs(hi), 1) * 1e-9;
    yield* [[`${min}`, p.type === "NUM"], [`${max}`, true], [`${lo - step}`, false], [`${hi + step}`, false], [`${lo + (hi - lo) / 2}`, true], ["1e308", false], ["-1e308", false], ["9".repeat(400), false]];
  } else if (p.type === "STR") {
    if (min > 0n) yield ['""', false];
    yield* [[`"${"x".repeat(hi)}"`, true], [`"${"x".repeat(hi + 1)}"`, false], [`"${"x".repeat(1 << 20)}"`, false]];
    if (min > 0n) yield [`"${"x".repeat(lo)}"`, true];
  } else if (p.type === "ARR") {
    if (min > 0n) yield ["[]", false];
    if (hi < 100000) yield [list(hi + 1, "1"), false];
    yield [list(200000, "1"), hi >= 200000];
  } else if (p.type === "OBJ") {
    if (min > 0n) yield ["{}", false];
    yield* [[object(hi + 1), false], [object(50000), false]];
  } else if (p.type === "BOOL") {
    yield* [["true", true], ["false", true]];
  }
}

// What a value needs beside it to be allowed, and values whose range is not the table's alone.
const beside = { stream_options: { stream: "true" }, top_logprobs: { logprobs: "true" }, n: { max_tokens: "1", temperature: "1" }, best_of: { n: "1" }, max_completion_tokens: { max_tokens: undefined } };
// In range, and yet 400: the reason.
const lawful400 = [
  [(p) => p.use === "LATER", "unsupported_parameter"], // but for its neutral values
  [(p) => p.type === "STR" && p.name !== "user", ""], // a text may have to mean something
  [(p) => p.name === "best_of" || p.name === "suffix" || p.name === "dimensions", ""],
  [(p) => p.on.includes("TOKENIZE") && ["prompt", "content", "messages"].includes(p.name), ""], // exactly one of them
];

function judge(word, p, value, inRange, a) {
  const what = () => `${word} ${p.name} = ${value.slice(0, 40)}${value.length > 40 ? `... (${value.length} bytes)` : ""}: ${a.status} ${a.text.slice(0, 300)}`;
  if (p.name === "model" && (a.status === 404 || inRange) && value !== "null") { check(a.status === 404 && inRange !== false, what()); return; }
  const statuses = inRange === true ? (lawful400.some(([is]) => is(p)) ? [200, 400] : [200]) : inRange === false ? [400] : [200, 400];
  check(statuses.includes(a.status), `${what()}; allowed: ${statuses}`);
  if (a.status !== 400) return;
  const { error } = JSON.parse(a.text);
  checkSchema({ error }, "ErrorResponse");
  check(error.param?.split(/[.[]/)[0] === p.name, `${what()}; the parameter is not named`);
}

const inParallel = async (jobs, width = 8) => { const it = jobs[Symbol.iterator](); await Promise.all(Array.from({ length: width }, async () => { for (const j of it) await j(); })); };
let sent = 0;

for (const word of words)
  test(`${word}: every parameter at and past its ends, with every wrong type`, async () => {
    const jobs = [];
    for (const p of params.filter((p) => p.on.includes(word))) {
      const around = Object.fromEntries(Object.entries(beside[p.name] ?? {}).filter(([k]) => params.some((q) => q.name === k && q.use === "HONOURED" && q.on.includes(word))));
      const ask = (value, inRange) => jobs.push(async () => { sent++; judge(word, p, value, inRange, await post(endpoints[word].path, bodyOf(word, server.model, { ...around, [p.name]: value }))); });
      for (const [value, inRange] of cases(p)) ask(value, inRange);
      ask("null", p.use === "NEEDED" ? false : true); // null is absent
      for (const value of ['"\\ud83c\\udf0a"', "-0", "0", "1e-320", '[[[[["a"]]]]]', '{"type":"text"}', '[null]', `"${"\\u0001".repeat(60)}"`]) ask(value, null);
    }
    check(jobs.length > 25, `${jobs.length} requests`);
    await inParallel(jobs);
  });

for (const word of words)
  test(`${word}: a field given twice, unknown fields, values that are no JSON`, async () => {
    const where = endpoints[word].path, good = bodyOf(word, server.model), first = good.slice(0, -1);
    for (const p of params.filter((p) => p.on.includes(word)).slice(0, 6)) {
      const twice = await post(where, `{"${p.name}":1,"${p.name}":1${good.length > 2 ? "," : ""}${good.slice(1)}`);
      same([twice.status, JSON.parse(twice.text).error.param], [400, p.name], `${p.name} twice: ${twice.text}`);
    }
    const escaped = await post(where, `${first},"mod\\u0065l":"x"}`); // the same name, written in another way
    same(escaped.status, 400, `model twice, once escaped: ${escaped.text}`);
    for (const value of ["NaN", "Infinity", "-Infinity", "nan", "01", "+1", "1.", ".5", "0x10", "1e", "-", "'x'", "True", "undefined", "1e999", '"\\x"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"',
      '"a\nb"', '"\t"', "[1,]", '{"a":1,}', "{a:1}", "// x\n1", "/* */1", '"', "[", "{", "nul", "1 1"]) {
      const a = await post(where, `${first},"seed":${value}}`);
      const { error } = JSON.parse(a.text);
      same([a.status, error.type, error.param], [400, "invalid_request_error", "seed"], `seed = ${value}: ${a.text}`);
    }
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80]]) {
      const a = await post(where, Buffer.concat([Buffer.from(`${first},"user":"`), Buffer.from(bytes), Buffer.from('"}')]));
      same(a.status, 400, `the bytes ${bytes} in a string: ${a.text}`);
    }
    for (const junk of ['"x":1', '"__proto__":{}', '"constructor":null', `"${"k".repeat(5000)}":0`, '"x\\r\\nset-cookie: a":1', '"\\u0007":1', `"x":${"[".repeat(50)}${"]".repeat(50)}`, '"x":1e308']) {
      const a = await post(where, `${first},${junk}}`);
      same(a.status, 200, `unknown ${junk.slice(0, 40)}: ${a.text}`);
      check((a.headers["x-sluice-ignored"] !== undefined || junk.length > 256) && !a.headers["set-cookie"], `${junk.slice(0, 40)} is not named as ignored: ${JSON.stringify(a.headers)}`);
    }
    const many = await post(where, `${first},${Array.from({ length: 20000 }, (_, i) => `"u${i}":${i}`).join(",")}}`);
    check([200, 400].includes(many.status), `20,000 unknown fields: ${many.status}`);
    check((many.headers["x-sluice-ignored"] ?? "").length <= 256, "the header is bounded");
  });

for (const word of words)
  test(`${word}: bodies that are no request`, async () => {
    const where = endpoints[word].path, good = bodyOf(word, server.model);
    for (const body of ["", " ", "null", "true", "1", '"x"', "[]", "[{}]", "{", "}", "{}{}", `${good}x`, `${good} ${good}`, "\ufeff" + good, "\0", good.slice(0, -1), `[${good}]`, "[".repeat(100000), "[".repeat(100000) + "]".repeat(100000),
      '{"a":'.repeat(100000) + "1" + "}".repeat(100000), `{"messages":${"[".repeat(65)}${"]".repeat(65)}}`, '"' + "a".repeat(1 << 20), "-".repeat(1 << 16), "1" + "0".repeat(1 << 16)]) {
      const a = await post(where, body);
      same(a.status, 400, `${body.slice(0, 30)} (${body.length} bytes): ${a.text.slice(0, 200)}`);
      checkSchema(JSON.parse(a.text), "ErrorResponse");
    }
    for (const [type, status] of [["text/plain", 415], ["application/x-www-form-urlencoded", 415], ["multipart/form-data; boundary=x", 415], ["application/json; charset=utf-8", 200], ["APPLICATION/JSON", 200], ["application/jsonx", 415]]) {
      const a = await post(where, good, { "content-type": type });
      same(a.status, status, `content-type ${type}: ${a.text.slice(0, 150)}`);
    }
    for (const coding of ["gzip", "deflate", "br", "identity, gzip"]) same((await post(where, good, { "content-encoding": coding })).status, 415, `content-encoding ${coding}`);
    const over = await post(where, " ".repeat(9 << 20)).catch((e) => ({ status: 413, text: String(e) })); // it may be refused before it is all sent
    same(over.status, 413, "a body past the limit");
    same((await post(where, good)).status, 200, "and a good one after all that");
  });

test("the id of a receipt: at its length, one past either end, each digit past its range", async () => {
  const hex = "0".repeat(24), get = (id) => request(server, "GET", `/v1/requests/${id}/receipt`);
  const heads = ["req_", "chatcmpl-", "cmpl-"];
  for (const head of heads) for (const digits of [hex, "f".repeat(24), "F".repeat(24), "9".repeat(24)]) same((await get(head + digits)).status, 404, `${head}${digits}: none of ours, and well written`);
  const wrong = [...heads.flatMap((h) => [h, h + hex.slice(1), `${h}${hex}0`, h + "0".repeat(1000), h.slice(0, -1) + hex, h.toUpperCase() + hex, ` ${h}${hex}`.replace(" ", "%20"), `${h}${hex}%20`]), hex, `req-${hex}`, `_${hex}`,
    ...["/", ":", "@", "G", "`", "g"].flatMap((c) => [0, 11, 23].map((i) => `req_${hex.slice(0, i)}${encodeURIComponent(c)}${hex.slice(i + 1)}`))];
  for (const id of wrong) {
    const a = await get(id);
    checkSchema(a.body, "ErrorResponse");
    check(a.status === 400 && a.body.error.param === "id", `${id.slice(0, 60)}: ${a.status} ${JSON.stringify(a.body)}`);
  }
});

test("nothing is left over: no call in work, no page in use, delivered is billed", async () => {
  await until("every call is over", async () => (await metric(server, "sluice_chats")) === 0);
  await atZero(server, "sluice_engine_running", "sluice_engine_waiting", "sluice_engine_paused", "sluice_kv_pages_used");
  same(await metric(server, "sluice_delivered_tokens_total"), await metric(server, 'sluice_billed_tokens_total{meter="output"}'), "delivered and billed");
  same((await request(server, "GET", "/health")).status, 200);
  check(sent > 300, `${sent} boundary requests`);
});

await run();
