// What bench/template.c measures, for @huggingface/jinja: node bench/peers/template.mjs PEER TEMPLATES
// PEER is a folder with `npm install --ignore-scripts @huggingface/jinja` done; TEMPLATES holds the .jinja files.
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const [peer, dir] = process.argv.slice(2);
const { Template } = createRequire(resolve(peer) + "/")("@huggingface/jinja");
const { conversations } = JSON.parse(readFileSync("tests/golden/templates.json", "utf8"));
console.log("template,renders,us a render");
for (const file of readdirSync(dir).filter((f) => f.endsWith(".jinja")).sort()) {
  const template = new Template(readFileSync(join(dir, file), "utf8"));
  let best = Infinity, n = 0;
  for (let i = 0; i < 8; i++) {
    n = 0;
    const from = process.cpuUsage();
    for (const c of Object.values(conversations)) {
      try {
        template.render({ bos_token: "<s>", eos_token: "</s>", add_generation_prompt: c.gen ?? true, messages: c.messages, ...(c.tools ? { tools: c.tools } : {}), ...c.extra });
        n++;
      } catch {}
    }
    const { user, system } = process.cpuUsage(from);
    best = Math.min(best, user + system);
  }
  console.log(`${file},${n},${(best / Object.keys(conversations).length).toFixed(1)}`);
}
