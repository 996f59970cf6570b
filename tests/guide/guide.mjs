// The rule of README.md: 60 held-out questions through the API, at least 48 right; commands that answers quote exist.
import { readFileSync } from "node:fs";
import path from "node:path";
import { check, cli, client, root, run, skip, startDemo, test } from "../api/harness.mjs";

const read = (name) => JSON.parse(readFileSync(path.join(root, "tests/guide", name), "utf8"));
const questions = read("questions.json"), quoted = read("commands.json");
const least = Math.ceil(questions.length * 0.8);

const right = (row, answer) => {
  const text = answer.replace(/\s+/g, " ");
  return row.keys.every((k) => text.includes(k)) && !questions.some((other) => other !== row && other.keys.some((k) => !row.keys.includes(k) && text.includes(k)));
};

test(`at least ${least} of ${questions.length} held-out questions are answered right`, async () => {
  const server = await startDemo();
  if (server.model !== "guide") skip("the program was built without models/guide.gguf");
  const openai = client(server);
  const wrong = [];
  for (const row of questions) {
    const r = await openai.chat.completions.create({ model: "guide", temperature: 0, max_tokens: 80, messages: [{ role: "user", content: row.question }] });
    const answer = r.choices[0].message.content;
    if (!right(row, answer)) wrong.push(`${row.id}: ${row.question}\n    ${answer.replace(/\s+/g, " ")}`);
  }
  console.log(`${questions.length - wrong.length} of ${questions.length} right`);
  check(questions.length - wrong.length >= least, `wrong:\n  ${wrong.join("\n  ")}`);
});

test("every taught answer passes its own test", async () => {
  for (const row of questions) check(right(row, row.answer), row.id);
});

test("the commands, flags, targets and routes that answers quote exist", async () => {
  for (const { command, flags } of quoted.commands) {
    const help = await cli([...command.split(" ").slice(1), "--help"]);
    check(help.code === 0, `${command}: ${help.err}`);
    for (const flag of flags) check(new RegExp(`${flag}\\b`).test(help.out) || ["--data", "--json", "--help"].includes(flag), `${command} has no ${flag}: ${help.out}`);
  }
  const makefiles = ["targets", "tests", "web", "packages"].map((n) => readFileSync(path.join(root, `make/${n}.mk`), "utf8")).join("\n");
  for (const { target } of quoted.make) check(new RegExp(`^${target}:`, "m").test(makefiles), `make ${target}`);
  const routes = readFileSync(path.join(root, "src/api/routes.def"), "utf8");
  for (const { method, path: where } of quoted.routes) check(new RegExp(`ROUTE\\(${method}, +"${where.replace(/[/{}]/g, "\\$&")}"`).test(routes), `${method} ${where}`);
});

await run();
