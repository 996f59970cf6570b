// Makes tests/golden/{llama,qwen2,stories260k}.json from llama.cpp. Not part of `make test`: run it when a recipe changes.
//   npm install --prefix PEER node-llama-cpp@3.22.1 --ignore-scripts
//   node tests/golden/make.mjs PEER build/tool/tinymodel DATA
// DATA: the folder of test data that holds models/stories260K-f32.gguf. The models are remade by the test from `args`; sha256 proves it.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { openPeer, openModel, logits } from "./peer.mjs";

const [peerDir, tinymodel, data] = process.argv.slice(2);
const here = path.dirname(new URL(import.meta.url).pathname);
const tmp = mkdtempSync(path.join(os.tmpdir(), "golden-"));
const peer = await openPeer(peerDir);

const N = 80; // tokens, so that the second page of 64 is entered
const want = [0, 1, 7, 31, 62, 63, 64, 65, 79];
const tokens = [];
for (let i = 0, x = 1; i < N; i++) {
    x = (x * 1103515245 + 12345) % 2147483648;
    tokens.push(3 + Math.floor(x / 65536) % 380);
}
const sha256 = (file) => createHash("sha256").update(readFileSync(file)).digest("hex");
const digits = (rows) => rows.map((r) => r.map((v) => Number(v.toPrecision(8))));

async function run(args, at) {
    const file = path.join(tmp, args.join("_").replaceAll("=", "-") + ".gguf");
    execFileSync(tinymodel, [file, ...args]);
    const m = await openModel(peer, file);
    const rows = await logits(m, tokens, 0, at);
    await m.c.dispose();
    await m.model.dispose();
    return { sha: sha256(file), rows };
}

const all = tokens.map((_, i) => i);
async function family(name, variants) {
    const out = { peer: peer.name, tokens, cases: [], types: [] };
    const base = await run([`arch=${name}`], all);
    out.cases.push({ args: [`arch=${name}`], sha256: base.sha, want, logits: digits(want.map((i) => base.rows[i])) });
    for (const v of variants) {
        const args = [`arch=${name}`, ...v], w = [5, N - 1];
        const r = await run(args, w);
        out.cases.push({ args, sha256: r.sha, want: w, logits: digits(r.rows) });
    }
    for (const type of ["f16", "bf16", "q8_0", "q4_0"]) {
        const args = [`arch=${name}`, `type=${type}`];
        const r = await run(args, all);
        const top = [], margin = [], diff = [];
        r.rows.forEach((row, i) => {
            const order = row.map((_, k) => k).sort((a, b) => row[b] - row[a]);
            top.push(order[0]);
            margin.push(Number((row[order[0]] - row[order[1]]).toPrecision(6)));
            diff.push(Number(Math.max(...row.map((v, k) => Math.abs(v - base.rows[i][k]))).toPrecision(6)));
        });
        out.types.push({ args, sha256: r.sha, top, margin, diff });
    }
    const text = JSON.stringify(out).replaceAll('{"args"', '\n{"args"').replaceAll("],[", "],\n[");
    writeFileSync(path.join(here, `${name}.json`), text + "\n");
}

await family("llama", [["rope_factors=1"], ["rope_linear=4"], ["head_dim=24", "kv=1"], ["kv=4", "tied=1", "rope_theta=500000"]]);
await family("qwen2", [["tied=0"], ["rope_linear=2", "kv=1"], ["kv=4", "rope_theta=10000"]]);

// 200 greedy tokens of stories260K after BOS, one at a time.
const stories = path.join(data, "models/stories260K-f32.gguf");
const m = await openModel(peer, stories);
const greedy = [];
for (let t = 1, i = 0; i < 200; i++) {
    const [row] = await logits(m, [t], i, [0]);
    t = row.reduce((best, v, k) => (v > row[best] ? k : best), 0);
    greedy.push(t);
}
writeFileSync(path.join(here, "stories260k.json"), JSON.stringify({ peer: peer.name, sha256: sha256(stories), greedy }) + "\n");
rmSync(tmp, { recursive: true });
process.exit(0);
