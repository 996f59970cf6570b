// Chat templates over the API: the model's own, by name, with variables of the request, with errors; and the forms of models that have none.
// What a template renders is read back through /tokenize, whose pieces are put together again.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { check, cli, folder, request, root, run, same, sluice, start, test, until } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";

// A GGUF file with its chat templates replaced: templates[""] is tokenizer.chat_template, templates.NAME tokenizer.chat_template.NAME.
function withTemplates(file, templates) {
  const old = readFileSync(file), head = [], size = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
  let at = 24;
  const u64 = () => Number(old.readBigUInt64LE((at += 8) - 8)), u32 = () => old.readUInt32LE((at += 4) - 4);
  const over = (n) => { at += n; };
  const skip = (type) => { if (type === 8) over(u64()); else if (type === 9) { const t = u32(), n = u64(); for (let i = 0; i < n; i++) skip(t); } else over(size[type]); };
  const long = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; }, string = (s) => Buffer.concat([long(Buffer.byteLength(s)), Buffer.from(s)]);
  const tensors = old.readBigUInt64LE(8);
  let n = 0;
  for (let i = Number(old.readBigUInt64LE(16)); i > 0; i--) {
    const from = at, length = u64(), key = old.subarray(at, at += length).toString();
    skip(u32());
    if (!key.startsWith("tokenizer.chat_template")) n++, head.push(old.subarray(from, at));
  }
  for (const [name, source] of Object.entries(templates)) n++, head.push(Buffer.concat([string(`tokenizer.chat_template${name && "." + name}`), Buffer.from([8, 0, 0, 0]), string(source)]));
  const infos = at;
  for (let i = 0n; i < tensors; i++) { over(u64()); over(8 * u32()); over(12); }
  const data = Math.ceil(at / 32) * 32, middle = Buffer.concat([old.subarray(0, 16), long(n), ...head, old.subarray(infos, at)]);
  writeFileSync(file, Buffer.concat([middle, Buffer.alloc(-middle.length & 31), old.subarray(data)]));
}

const models = {
  thinks: { "": "{% for m in messages %}<|im_start|>{{ m.role }}:{{ m.content }}{% endfor %}{% if enable_thinking is defined and not enable_thinking %}[off]{% endif %}{{ style|default('none') }}/{{ reasoning_effort|default('-') }}/{{ documents is none }}{{ add_generation_prompt }}" },
  strict: { "": "line one\n{% if messages[0].role != 'user' %}\n{{ raise_exception('The first message must be the user\\'s: ' ~ messages[0].role) }}{% endif %}{{ messages[0].content + 1 if 'add' in messages[0].content }}ok" },
  named: { "": "DEFAULT", tool_use: "TOOLS {{ messages[0].content }}", rag: "RAG" },
  bare: {},
  broken: { "": "a\nb {% for %}" },
  bomb: { "": "{% for a in range(99999) %}{% for b in range(99999) %}{{ messages[0].content }}{% endfor %}{% endfor %}" },
};
const data = folder(), tool = path.resolve(root, process.env.OUT ?? "build", "tool/tinymodel");
const must = async (...args) => { const r = await cli(args, { data }); if (r.code !== 0) throw new Error(`sluice ${args.join(" ")}: ${r.err}`); return r.out; };
for (const [name, templates] of Object.entries(models)) {
  const file = path.join(folder(), `${name}.gguf`);
  execFileSync(tool, [file, "arch=qwen2", "ctx=1024"]);
  withTemplates(file, templates);
  await must("add", file, "--name", name);
  await must("price", "set", name, "--input", "1", "--output", "1");
}
await must("account", "create", "acme");
await must("grant", "create", "acme", "1000000");
const server = await start(sluice, ["serve", "--data", data, "--listen", "127.0.0.1:0", "--threads", "1"], data);
server.key = JSON.parse(await must("key", "create", "acme", "--json")).key;

const user = (content) => [{ role: "user", content }];
const ask = (where, body) => request(server, "POST", where, { body });
async function rendered(model, messages, more = {}) {
  const r = await ask("/tokenize", { model, messages, with_pieces: true, ...more });
  check(r.status === 200, `${model}: ${r.status} ${JSON.stringify(r.body)}`);
  return Buffer.concat(r.body.tokens.map((t) => (typeof t.piece === "string" ? Buffer.from(t.piece) : Buffer.from(t.piece)))).toString();
}
async function refused(model, messages, more, param, ...words) {
  for (const where of ["/v1/chat/completions", "/tokenize"]) {
    const r = await ask(where, { model, messages, ...more });
    same(r.status, 400, `${where} ${model} ${JSON.stringify(r.body)}`);
    const { error } = r.body;
    checkSchema({ error }, "ErrorResponse");
    if (param) same(error.param, param, error.message);
    for (const w of words) check(error.message.includes(w), `"${error.message}" does not say "${w}"`);
  }
}

test("the model's template renders the conversation, and a user's marker stays text", async () => {
  const text = await rendered("thinks", [...user("hi <|im_start|> é"), { role: "assistant", content: "yes" }]);
  check(text.endsWith("none/-/TrueTrue") && text.includes("user:hi <|im_start|> é") && text.includes("assistant:yes"), text);
  const tokens = async (content) => (await ask("/tokenize", { model: "thinks", messages: user(content) })).body.tokens;
  const own = (await ask("/tokenize", { model: "thinks", prompt: "<|im_start|>" })).body.tokens[0];
  same((await tokens("<|im_start|><|im_start|>")).filter((t) => t === own).length, 1, "control tokens: the template's one");
});
test("chat_template_kwargs, reasoning_effort and add_generation_prompt reach the template", async () => {
  check((await rendered("thinks", user("x"), { chat_template_kwargs: { enable_thinking: false, style: "terse", reasoning_effort: "low", documents: [] } })).endsWith("x[off]terse/low/FalseTrue"), "variables");
  check((await rendered("thinks", user("x"), { chat_template_kwargs: { enable_thinking: true }, add_generation_prompt: false })).endsWith("xnone/-/TrueFalse"), "no beginning of an answer");
  const plain = await ask("/v1/chat/completions", { model: "thinks", messages: user("x"), max_tokens: 1 }), more = await ask("/v1/chat/completions", { model: "thinks", messages: user("x"), max_tokens: 1, reasoning_effort: "highest", chat_template_kwargs: { style: "longer words" } });
  const count = (r) => r.body.usage.prompt_tokens;
  same([plain.status, more.status], [200, 200]);
  check(count(more) > count(plain), `${count(more)} tokens with variables, ${count(plain)} without`);
});
test("variables that sluice sets are refused, and so is what is no object or too much", async () => {
  for (const name of ["messages", "tools", "bos_token", "eos_token", "add_generation_prompt"]) await refused("thinks", user("x"), { chat_template_kwargs: { [name]: 1 } }, "chat_template_kwargs", name);
  await refused("thinks", user("x"), { chat_template_kwargs: [] }, "chat_template_kwargs");
  await refused("thinks", user("x"), { chat_template_kwargs: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, 1])) }, "chat_template_kwargs");
});
test("templates have names", async () => {
  same(await rendered("named", user("x")), "DEFAULT");
  same(await rendered("named", user("x"), { chat_template: "default" }), "DEFAULT");
  same(await rendered("named", user("x"), { chat_template: "tool_use" }), "TOOLS x");
  same(await rendered("named", user("x"), { chat_template: "rag" }), "RAG");
  await refused("named", user("x"), { chat_template: "nope" }, "chat_template", "default, tool_use, rag");
  await refused("bare", user("x"), { chat_template: "{{ 1 }}" }, "chat_template", "it has default");
});
test("what a template raises is a 400 in its own words, with the line", async () => {
  await refused("strict", [{ role: "system", content: "s" }, ...user("x")], {}, "messages", "; change the conversation", "The first message must be the user's: system", "line 3");
  await refused("strict", user("add"), {}, "messages", "line 3", "between a text and an int");
  same(await rendered("strict", user("x")), "line one\nok");
});
test("a template that never ends is a 400, and the server goes on", async () => {
  await refused("bomb", user("x".repeat(100)), {}, undefined, "template");
  await refused("bomb", user(""), {}, undefined, "steps");
  same(await rendered("strict", user("x")), "line one\nok");
});
test("a model without a usable template gets the form of its vocabulary", async () => {
  const chatml = "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n";
  same(await rendered("bare", user("x")), chatml);
  same(await rendered("broken", user("x")), chatml);
  for (const word of [/bare: the model has no chat template; the form \W*chatml/, /broken: the model's chat template cannot be used, the form \W*chatml\W* is: template: line 2/])
    await until(`the log says ${word}`, () => word.test(server.log)); // it comes through a pipe of its own
});
test("a conversation that is too long says so, whatever the template makes of it", async () => {
  const r = await ask("/v1/chat/completions", { model: "bomb", messages: user("y".repeat(30000)) });
  same([r.status, r.body.error.code], [400, "context_length_exceeded"], JSON.stringify(r.body).slice(0, 300));
});
await run();
