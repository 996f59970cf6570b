// Every parameter with every kind of value, on the wire: 200, or 400 in OpenAI's form with the parameter's name; never anything else.
import { readFileSync } from "node:fs";
import path from "node:path";
import { check, request, root, run, same, startDemo, test } from "./harness.mjs";
import { checkSchema } from "./schema.mjs";

const server = await startDemo();
const names = [...readFileSync(path.join(root, "src/api/params.def"), "utf8").matchAll(/^PARAM\(\w+, "(\w+)", ([A-Z |]+),/gm)].filter((m) => m[2].includes("CHAT")).map((m) => m[1]);
const values = ["null", "true", "0", "-1", "1", "1.5", "1e308", "-1e308", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e999", '""', '"text"',
  '"\\u0000"', '"\\ud800"', "[]", "[1]", '["a"]', "{}", '{"type":"text"}', `"${"x".repeat(2000)}"`, "[".repeat(100) + "]".repeat(100)];

const body = (name, value) => {
  const fields = { model: JSON.stringify(server.model), messages: '[{"role":"user","content":"hi"}]', max_tokens: "1" };
  if (name === "max_completion_tokens") delete fields.max_tokens;
  return `{${Object.entries({ ...fields, [name]: value }).map(([k, v]) => `"${k}":${v}`).join(",")}}`;
};

test("each parameter with each value", async () => {
  check(names.length > 35, `${names.length} names`);
  const seen = { 200: 0, 400: 0, 404: 0 };
  for (const name of names) {
    const answers = await Promise.all(values.map((v) => request(server, "POST", "/v1/chat/completions", { body: body(name, v), raw: true })));
    for (const [i, a] of answers.entries()) {
      const what = `${name} = ${values[i].slice(0, 40)}: ${a.status} ${a.body.slice(0, 200)}`;
      const unknownModel = name === "model" && a.status === 404;
      check(a.status === 200 || a.status === 400 || unknownModel, what);
      seen[a.status]++;
      if (a.status === 200) continue;
      const { error } = JSON.parse(a.body);
      checkSchema({ error }, "ErrorResponse");
      check(error.param === null || error.param.split(/[.[]/)[0] === name || (name === "max_completion_tokens" && /max_/.test(error.param)), what);
    }
  }
  check(seen[200] > 60 && seen[400] > 300, JSON.stringify(seen));
  same((await request(server, "GET", "/health")).status, 200);
});

await run();
