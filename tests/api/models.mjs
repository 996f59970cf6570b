// The models endpoints through the official client: list, retrieve, delete; names with slashes and other letters; every error in OpenAI's form.
import { check, cli, client, OpenAI, request, run, same, test } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";
import { startTiny } from "./tables.mjs";

const names = ["tiny", "org/tiny", "org/tiny-2.5_q4.gguf"];
const server = await startTiny(Object.fromEntries(names.map((n) => [n, []])));
const openai = client(server);

async function refused(promise, status, code) {
  const e = await promise.then((v) => { throw new Error(`was not refused: ${JSON.stringify(v)}`); }, (error) => error);
  if (!(e instanceof OpenAI.APIError)) throw e;
  same([e.status, e.code ?? null], [status, code], e.message);
  checkSchema({ error: e.error }, "ErrorResponse");
  check(/^req_[0-9a-f]{24}$/.test(e.requestID), `request id ${e.requestID}`);
  return e;
}

test("list: every name once, as OpenAI describes a model; also as an iterator", async () => {
  const list = await openai.models.list();
  checkSchema({ object: list.object ?? "list", data: list.data }, "ListModelsResponse");
  for (const name of names) same(list.data.filter((m) => m.id === name).length, 1, name);
  const seen = [];
  for await (const m of openai.models.list()) seen.push(m.id);
  same(seen.sort(), list.data.map((m) => m.id).sort(), "iterated");
  for (const m of list.data) check(m.object === "model" && Number.isInteger(m.created) && m.created > 1.6e9 && typeof m.owned_by === "string", JSON.stringify(m));
});

test("retrieve: each listed name, with its slash as / and as %2F", async () => {
  const { data } = await openai.models.list();
  for (const m of data) {
    const one = await openai.models.retrieve(m.id);
    checkSchema(one, "Model");
    same([one.id, one.created, one.owned_by], [m.id, m.created, m.owned_by], m.id);
    for (const where of [m.id, encodeURIComponent(m.id), m.id.replaceAll("t", "%74")]) same((await request(server, "GET", `/v1/models/${where}`)).body.id, m.id, where);
  }
});

test("a model that is listed answers, also the one with a slash", async () => {
  for (const model of names) same((await openai.chat.completions.create({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 1 })).model, model);
});

test("404: names that are none", async () => {
  for (const name of ["none", "org/none", "org", "tiny/", "/tiny", "TINY", "tiny ", "ti\u0301ny", "模型", "tiny\u202e", "%", "tiny%00x".slice(0, 4) + "?", "x".repeat(255), "x".repeat(2000), "tiny#a", "org//tiny", "tiny;x"])
    await refused(openai.models.retrieve(name), 404, "model_not_found").catch((e) => { throw new Error(`${JSON.stringify(name)}: ${e.message}`); });
  const e = await refused(openai.models.retrieve("none"), 404, "model_not_found");
  same(e.param, "model", "param");
});

test("no name leaves the list of names: dots, encoded dots, NUL", async () => {
  for (const where of ["..", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fetc%2fpasswd", "tiny/../tiny", "%00", "tiny%00", "%ff%fe", "tiny%", "tiny%zz", "tiny\\..\\x"]) {
    const r = await request(server, "GET", `/v1/models/${where}`).catch((e) => e);
    const itself = where === "tiny/../tiny" && r.body?.id === "tiny"; // node has resolved it before it sent it
    check(itself || [400, 404].includes(r.status), `${where}: ${r.status} ${JSON.stringify(r.body)}`);
  }
  const raw = await request(server, "GET", "/v1/models/..%2f..%2fdata");
  check([400, 404].includes(raw.status) && !JSON.stringify(raw.body).includes("ledger"), JSON.stringify(raw.body));
});

test("405: a model is not deleted, changed or made through this endpoint", async () => {
  const e = await refused(openai.models.delete("tiny"), 405, "method_not_allowed");
  check(/GET/.test(e.headers.get("allow")), `Allow: ${e.headers.get("allow")}`);
  for (const [method, where] of [["PUT", "/v1/models/tiny"], ["PATCH", "/v1/models/tiny"], ["POST", "/v1/models/tiny"], ["POST", "/v1/models"], ["DELETE", "/v1/models"]])
    same((await request(server, method, where)).status, 405, `${method} ${where}`);
  check((await openai.models.list()).data.some((m) => m.id === "tiny"), "it is still there");
});

test("401: without a key, with a wrong one, for list, one and delete", async () => {
  const stranger = client(server, { apiKey: "sk-sluice-aaaaaaaaaa-bbbbbbbb-cccccc" });
  for (const call of [() => stranger.models.list(), () => stranger.models.retrieve("tiny"), () => stranger.models.retrieve("none")]) await refused(call(), 401, "invalid_api_key");
  same((await request(server, "GET", "/v1/models", { key: null })).headers["www-authenticate"]?.split(" ")[0] ?? "Bearer", "Bearer", "the scheme that is asked for");
});

test("HEAD, a query and odd headers change nothing", async () => {
  const head = await request(server, "HEAD", "/v1/models");
  same([head.status, head.body], [200, ""]);
  same((await request(server, "GET", "/v1/models?limit=1&after=x&x=%00")).body.data.length, names.length + ((await openai.models.list()).data.length - names.length));
  same((await request(server, "GET", "/v1/models", { headers: { accept: "text/html", "x-forwarded-for": "", "x-forwarded-host": "evil", "openai-organization": "x" } })).status, 200);
});

test("what the store and the list say is the same", async () => {
  const listed = JSON.parse((await cli(["list", "--json"], { data: server.data })).out).map((m) => m.name).sort();
  same((await openai.models.list()).data.map((m) => m.id).sort(), listed);
});

await run();
