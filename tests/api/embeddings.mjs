// /v1/embeddings, /tokenize and /detokenize with the official client and by hand.
import { check, client, nano, OpenAI, request, run, same, startDemo, test, until } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";

const server = await startDemo();
const openai = client(server);
const embed = async (input, more) => { const r = await openai.embeddings.create({ model: server.model, input, encoding_format: "float", ...more }); checkSchema(r, "CreateEmbeddingResponse"); return r; };
const post = async (where, body) => request(server, "POST", where, { body });
const tokenize = async (prompt, more) => (await post("/tokenize", { model: server.model, prompt, ...more })).body;
const dot = (a, b) => a.reduce((s, x, i) => s + x * b[i], 0);
async function refused(body, param, code = "invalid_value") {
  const e = await openai.embeddings.create({ model: server.model, input: "x", ...body }).then(() => { throw new Error(`${JSON.stringify(body)} was not refused`); }, (error) => error);
  if (!(e instanceof OpenAI.APIError)) throw e;
  same([e.status, e.param, e.code ?? null], [400, param, code], e.message);
}

test("a vector of length 1, billed by its tokens", async () => {
  const { data, usage } = await embed("A ledger of credits.");
  same([data.length, data[0].index, data[0].object], [1, 0, "embedding"]);
  check(data[0].embedding.length >= 32, `${data[0].embedding.length} numbers`);
  check(Math.abs(dot(data[0].embedding, data[0].embedding) - 1) < 1e-5, "length 1");
  same(usage.prompt_tokens, (await tokenize("A ledger of credits.")).count, "prompt_tokens");
  same(usage.total_tokens, usage.prompt_tokens);
  same(nano(usage.sluice.cost), BigInt(usage.prompt_tokens) * 500n, "input tokens at their price, and nothing else");
});

test("strings, tokens, arrays of both: one order, the same vectors in any company", async () => {
  const a = "What is sluice?", b = "The weather in spring";
  const one = (await embed(a)).data[0].embedding, two = (await embed(b)).data[0].embedding;
  check(dot(one, two) < 0.9999, "different texts");
  same((await embed([a, b])).data.map((d) => d.embedding), [one, two], "strings");
  same((await embed((await tokenize(a)).tokens)).data[0].embedding, one, "tokens");
  same((await embed([(await tokenize(b)).tokens, (await tokenize(a)).tokens])).data.map((d) => d.embedding), [two, one], "token arrays");
  const many = await embed(Array.from({ length: 200 }, (_, i) => (i % 2 ? a : b)));
  for (const d of many.data) same(d.embedding, d.index % 2 ? one : two, `number ${d.index}`);
  same(many.usage.prompt_tokens, 100 * ((await tokenize(a)).count + (await tokenize(b)).count), "all are billed");
});

test("base64 has the same numbers, and is what the client asks for by itself", async () => {
  const numbers = (await embed("hello")).data[0].embedding;
  const raw = await post("/v1/embeddings", { model: server.model, input: "hello", encoding_format: "base64" });
  const bytes = Buffer.from(raw.body.data[0].embedding, "base64");
  same(bytes.length, numbers.length * 4, "bytes");
  for (const [i, x] of numbers.entries()) same(bytes.readFloatLE(4 * i), Math.fround(x), `number ${i}`);
  const by = await openai.embeddings.create({ model: server.model, input: "hello" }); // asks for base64 and decodes it
  same(by.data[0].embedding.map((x) => Math.fround(x)), numbers.map((x) => Math.fround(x)));
});

test("2048 inputs at once; one more is refused", async () => {
  const r = await embed(Array(2048).fill("a"));
  same([r.data.length, r.data[2047].index], [2048, 2047]);
  same(r.usage.prompt_tokens, 2048 * (await tokenize("a")).count);
  await refused({ input: Array(2049).fill("a") }, "input");
});

test("what is wrong is named, and costs nothing", async () => {
  const before = (await request(server, "GET", "/v1/sluice/balance")).body.balance, width = (await embed("x")).data[0].embedding.length;
  await refused({ input: "" }, "input");
  await refused({ input: [] }, "input");
  await refused({ input: ["a", ""] }, "input[1]");
  await refused({ input: ["a", 5] }, "input[1]", null);
  await refused({ input: [5, "a"] }, "input", null);
  await refused({ input: 5 }, "input", null);
  await refused({ input: [-1] }, "input");
  await refused({ input: [[99999999]] }, "input[0]");
  await refused({ encoding_format: "int8" }, "encoding_format");
  await refused({ dimensions: width + 1 }, "dimensions");
  same((await embed("x", { dimensions: width })).data[0].embedding.length, width, "as the model has them");
  await refused({ input: "a b ".repeat(100000) }, "input", "context_length_exceeded");
  await refused({ input: ["x", "a b ".repeat(5000)] }, "input[1]", "context_length_exceeded");
  const none = await openai.embeddings.create({ model: "none", input: "x" }).catch((e) => e);
  same([none.status, none.code], [404, "model_not_found"]);
  const twice = nano(before) - nano((await request(server, "GET", "/v1/sluice/balance")).body.balance);
  same(twice, 2n * 500n * BigInt((await tokenize("x")).count), "only the two that were answered cost");
});

test("an embedding and a chat side by side are those that each is alone", async () => {
  const chat = () => openai.chat.completions.create({ model: server.model, messages: [{ role: "user", content: "What is sluice?" }], temperature: 0, max_tokens: 40 }).then((r) => r.choices[0].message.content);
  const [text, vector] = [await chat(), (await embed("some text")).data[0].embedding];
  const all = await Promise.all(Array.from({ length: 24 }, (_, i) => (i % 2 ? chat() : embed("some text").then((r) => r.data[0].embedding))));
  for (const [i, x] of all.entries()) same(x, i % 2 ? text : vector, `number ${i}`);
});

test("models: a name with a slash, one that is deleted, one that is not there", async () => {
  for (const name of ["org/none", "a/b/c", "none"]) same(await openai.models.retrieve(name).catch((e) => [e.status, e.code]), [404, "model_not_found"], name);
  const e = await openai.models.delete(server.model).catch((error) => error);
  check(e.status >= 400 && e.status < 500, `delete: ${e.status}`);
  check((await openai.models.list()).data.some((m) => m.id === server.model), "it is still there");
});

test("/tokenize and /detokenize: vLLM's and llama.cpp's forms", async () => {
  const free = (await request(server, "GET", "/v1/sluice/balance")).body.balance, text = "Grüße, 世界! <|im_end|>";
  const t = await tokenize(text, { return_token_strs: true });
  same([t.count, t.token_strs.length, t.max_model_len > 100], [t.tokens.length, t.tokens.length, true]);
  same((await tokenize(text)).token_strs, null);
  const back = (await post("/detokenize", { model: server.model, tokens: t.tokens })).body;
  same([back.prompt, back.content], [text, text]);
  check((await tokenize("<|im_end|>", { parse_special: false })).count > (await tokenize("<|im_end|>")).count, "as plain text");
  const pieces = (await post("/tokenize", { model: server.model, content: "hello 世", with_pieces: true })).body.tokens;
  same(Buffer.concat(pieces.map((p) => Buffer.from(p.piece))).toString(), "hello 世", "pieces");
  const chat = (await post("/tokenize", { model: server.model, messages: [{ role: "user", content: "hi" }] })).body;
  const used = await openai.chat.completions.create({ model: server.model, messages: [{ role: "user", content: "hi" }], max_tokens: 1 });
  same(chat.count, used.usage.prompt_tokens, "messages are rendered as a chat");
  await until("the bill of the chat", async () => (await request(server, "GET", "/v1/sluice/balance")).body.balance !== free);
  same(nano(free) - nano((await request(server, "GET", "/v1/sluice/balance")).body.balance), nano(used.usage.sluice.cost), "only the chat cost something");
  same((await post("/detokenize", { model: server.model, tokens: [] })).body.prompt, "");
  for (const [where, body, param] of [["/tokenize", {}, "prompt"], ["/tokenize", { prompt: "a", content: "b" }, "content"], ["/tokenize", { prompt: 5 }, "prompt"], ["/tokenize", { messages: [{ role: "x" }] }, "messages[0].role"],
    ["/detokenize", {}, "tokens"], ["/detokenize", { tokens: ["a"] }, "tokens"], ["/detokenize", { tokens: [-1] }, "tokens"], ["/detokenize", { tokens: [1e9] }, "tokens"]]) {
    const r = await post(where, { model: server.model, ...body });
    same([r.status, r.body.error?.param], [400, param], `${where} ${JSON.stringify(body)}`);
    checkSchema(r.body, "ErrorResponse");
  }
  same((await request(server, "POST", "/tokenize", { key: null, body: { prompt: "x" } })).status, 401, "without a key");
  const megabyte = await tokenize("ab ".repeat(300000));
  check(megabyte.count > 100000, `${megabyte.count} tokens of a long text`);
});

await run();
