// Makes templates.json: what @huggingface/jinja prints for a matrix of conversations on published chat templates.
//   npm install --ignore-scripts --prefix PEER @huggingface/jinja
//   node tests/golden/templates.mjs PEER TEMPLATES | python3 tests/golden/templates.py TEMPLATES > /tmp/x && mv /tmp/x tests/golden/templates.json
// PEER is any folder; TEMPLATES holds the .jinja files. `make test` needs none of it: it reads templates.json.
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import { resolve, join } from "node:path";

const [peer, dir] = process.argv.slice(2);
const require = createRequire(resolve(peer) + "/");
const { Template } = require("@huggingface/jinja");
const version = JSON.parse(readFileSync(join(peer, "node_modules/@huggingface/jinja/package.json"), "utf8")).version;

process.env.TZ = "UTC";
const now = 1700000000000; // strftime_now() of the peer asks the clock
globalThis.Date = class extends Date {
  constructor(...a) {
    super(...(a.length ? a : [now]));
  }
};

const user = (content) => ({ role: "user", content });
const assistant = (content, more) => ({ role: "assistant", content, ...more });
const system = (content) => ({ role: "system", content });
const call = (name, args, id = "call12345") => ({ id, type: "function", function: { name, arguments: args } });
const tools = [
  { type: "function", function: { name: "get_weather", description: "Weather of a city.", parameters: { type: "object", properties: { city: { type: "string", description: "City, \"quoted\" <b>" }, days: { type: "integer", description: "How many" } }, required: ["city"] } } },
  { type: "function", function: { name: "计算", description: "Computes a sum.", parameters: { type: "object", properties: { terms: { type: "array", description: "Numbers", items: { type: "number" } }, unit: { type: "string", description: "Unit", enum: ["kg", "g"] }, exact: { type: "boolean", description: "Exact?", default: true } } } } },
];

const conversations = {
  user: { messages: [user("Hello, who are you?")] },
  no_prompt: { messages: [user("Hi"), assistant("Hello.")], gen: false },
  system: { messages: [system("Answer in one word."), user("What is 2 + 2?")] },
  turns: { messages: [user("One"), assistant("1"), user("Two"), assistant("2"), user("Three")] },
  system_turns: { messages: [system("Count."), user("One"), assistant("1"), user("Two")] },
  empty: { messages: [user("")] },
  empty_system: { messages: [system(""), user("x"), assistant(""), user("y")] },
  chinese: { messages: [system("你是一个助手。"), user("春天来了，\n万物复苏 🌸"), assistant("是的。"), user("再见")] },
  blanks: { messages: [system("  lead\n"), user("\n\n x  y \t\n"), assistant(" a \n"), user("  ")] },
  markers: { messages: [user("<|im_start|>system\nx<|im_end|> <|eot_id|> [INST] </s> {{ 7 * 7 }} {% raw %}")] },
  think: { messages: [user("Why?"), assistant("<think>\nBecause so.\n</think>\n\nIt is so."), user("And?")] },
  think_last: { messages: [user("Why?"), assistant("<think>\nBecause so.\n</think>\n\nIt is so.")], gen: false },
  no_thinking: { messages: [user("Quick")], extra: { enable_thinking: false } },
  tools: { messages: [user("Weather in Oslo?")], tools },
  tools_system: { messages: [system("Use tools."), user("天气?")], tools },
  tool_call: { messages: [user("Weather?"), assistant("", { tool_calls: [call("get_weather", { city: "Oslo", days: 3, detail: { wind: true, at: [1.5, null] } })] }), { role: "tool", tool_call_id: "call12345", name: "get_weather", content: "{\"t\": -3}" }, user("Thanks")], tools },
  tool_result_last: { messages: [user("Weather?"), assistant("", { tool_calls: [call("get_weather", { city: "Oslo" })] }), { role: "tool", tool_call_id: "call12345", name: "get_weather", content: "cold" }], tools },
  two_calls: { messages: [user("Both"), assistant("", { tool_calls: [call("get_weather", { city: "A" }), call("计算", { terms: [1, 2] }, "call67890")] }), { role: "tool", tool_call_id: "call12345", content: "a" }, { role: "tool", tool_call_id: "call67890", content: "b" }], tools },
  null_content: { messages: [user("Go"), assistant(null, { tool_calls: [call("get_weather", { city: "Oslo" })] })], tools, gen: false },
  parts: { messages: [user([{ type: "text", text: "One part." }, { type: "text", text: "Another." }])] },
  unknown_role: { messages: [user("a"), { role: "critic", content: "b" }] },
};

const cases = [];
for (const file of readdirSync(dir).filter((f) => f.endsWith(".jinja")).sort()) {
  const template = new Template(readFileSync(join(dir, file), "utf8"));
  for (const [name, c] of Object.entries(conversations)) {
    const context = { bos_token: "<s>", eos_token: "</s>", add_generation_prompt: c.gen ?? true, messages: structuredClone(c.messages), ...c.extra };
    if (c.tools) context.tools = structuredClone(c.tools);
    let out = null;
    try {
      out = template.render(context);
    } catch (e) {
      console.error(file, name, String(e).slice(0, 100));
    }
    cases.push({ template: file, conversation: name, out });
  }
}
const lines = (list) => "[\n" + list.map((x) => JSON.stringify(x)).join(",\n") + "\n]";
console.log(`{"peer": "@huggingface/jinja", "version": "${version}", "now_us": ${now * 1000}, "conversations": ${JSON.stringify(conversations)},\n"cases": ${lines(cases)}}`);
