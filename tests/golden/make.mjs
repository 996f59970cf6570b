// Makes tests/golden/FAMILY.json and stories260k.json from llama.cpp, and from reference.py where llama.cpp computes nothing or something
// else. Not part of `make test`: run it when a recipe changes.
//   npm install --prefix PEER node-llama-cpp@3.22.1 --ignore-scripts
//   node tests/golden/make.mjs PEER build/tool/tinymodel DATA [FAMILY..]
// DATA: the folder of test data that holds models/stories260K-f32.gguf. The models are remade by the test from `args`; sha256 proves it.
// Every case that both compute must agree, or nothing is written: so the reference is itself held against llama.cpp.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { openPeer, openModel, logits } from "./peer.mjs";

const [peerDir, tinymodel, data, ...only] = process.argv.slice(2);
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

function build(args) {
    const file = path.join(tmp, args.join("_").replaceAll(/[=/]/g, "-") + ".gguf");
    execFileSync(tinymodel, [file, ...args]);
    return file;
}

async function byPeer(args, at) {
    const m = await openModel(peer, build(args));
    const rows = await logits(m, tokens, 0, at);
    await m.c.dispose();
    await m.model.dispose();
    return rows;
}

const byReference = (args, at, reach, start) =>
    JSON.parse(execFileSync("python3", [path.join(here, "reference.py"), build(args), JSON.stringify({ tokens, want: at, reach, start })],
        { maxBuffer: 1 << 28 }));

// max |a - b| / max |a|
function distance(a, b) {
    let diff = 0, top = 0;
    a.forEach((row, i) => row.forEach((v, k) => { diff = Math.max(diff, Math.abs(v - b[i][k])), top = Math.max(top, Math.abs(v)); }));
    return diff / top;
}

// by: "peer" (the default), "reference" where the peer computes it otherwise or not at all. as: how the peer calls it. start: the first position.
async function oneCase(args, at, { by = "peer", as = [], reach = N, start = 0 } = {}) {
    const reference = byReference(args, at, reach, start), c = { args, sha256: sha256(build(args)), want: at, reach, start, by };
    if (by === "peer") {
        const rows = await byPeer([...args, ...as], at);
        c.apart = Number(distance(rows, reference).toPrecision(2));
        if (c.apart > 1e-6) throw new Error(`${args}: llama.cpp and reference.py are ${c.apart} apart`);
        c.logits = digits(rows);
    } else c.logits = digits(reference);
    console.log(args.join(" "), by, reach, start, c.apart ?? "");
    return c;
}

const all = tokens.map((_, i) => i);
async function types(recipe, list) {
    const out = [], base = await byPeer(recipe, all);
    for (const type of list) {
        const args = [...recipe, ...type.split(" ").map((t, i) => (i ? "embd_type=" : "type=") + t)];
        const rows = await byPeer(args, all), top = [], margin = [], diff = [];
        rows.forEach((row, i) => {
            const order = row.map((_, k) => k).sort((a, b) => row[b] - row[a]);
            top.push(order[0]);
            margin.push(Number((row[order[0]] - row[order[1]]).toPrecision(6)));
            diff.push(Number(Math.max(...row.map((v, k) => Math.abs(v - base[i][k]))).toPrecision(6)));
        });
        out.push({ args, sha256: sha256(build(args)), top, margin, diff });
    }
    return out;
}

async function family(name, variants) {
    if (only.length && !only.includes(name)) return;
    const arch = `arch=${name}`, out = { peer: peer.name, tokens, cases: [await oneCase([arch], want)] };
    for (const [args, how] of variants) out.cases.push(await oneCase([arch, ...args], how?.start ? [40, N - 1] : [5, N - 1], how));
    out.types = await types([arch], ["f16", "bf16", "q8_0", "q4_0"]);
    if (name === "llama") // blocks of 256 need wider rows; at q2_k nothing is sure
        out.types.push(...await types([arch, "embd=256", "ff=512"],
            ["q4_1", "q5_0", "q5_1", "q3_k", "q4_k", "q5_k", "q6_k", "q4_k q6_k"]));
    writeFileSync(path.join(here, `${name}.json`), JSON.stringify(out).replaceAll('{"args"', '\n{"args"').replaceAll("],[", "],\n[") + "\n");
}

const yarn = ["rope=yarn", "rope_factor=4", "rope_ctx=32"], dynamic = ["rope=dynamic", "rope_factor=4", "rope_ctx=32"];
const alone = { by: "reference" }, window = { as: ["label=granite_swa"] }; // its sinks attract nothing: Llama with windows
await family("llama", [
    [["rope_factors=1"]], [["rope_linear=4"]], [["head_dim=24", "kv=1"]], [["kv=4", "tied=1", "rope_theta=500000"]],
    [["qkv_bias=1", "o_bias=1", "ffn_bias=1"]], [["qkv_in_one=1", "qkv_bias=1"]], [["rope=none", "rope_factor=4"]], [yarn],
    [["rope=yarn", "rope_factor=8", "rope_ctx=128", "rope_attn=0.9", "rope_factors=1", "head_dim=32"]],
    [["rope=longrope", "rope_ctx=64"]], [["rope=longrope", "rope_ctx=1024", "rope_attn=1.2"]],
    [["window=16"], window], [["window=7", "window_every=3", "layers=4", "kv=1"], window],
    [[...yarn, "yarn_fast=8", "yarn_slow=0.5"], alone], [[...yarn, "yarn_attn=0.7"], alone], [["n_rot=8"], alone],
    [dynamic, alone], [dynamic, { ...alone, reach: 200 }], [["rope=dynamic", "rope_factor=2", "rope_ctx=128", "rope_factors=1"], alone],
    [["rope=dynamic", "rope_factor=2", "rope_ctx=64", "rope_factors=1"], alone],
    [["rope=longrope", "rope_ctx=64"], { ...alone, reach: 64 }],
    [["window=16", "ctx=131072"], { ...alone, start: 99960, reach: 131072 }],
    [["layer_heads=4/2/4", "layer_kv=2/1/4", "layer_ff=160/64/128", "head_dim=16"], alone],
    [["head_dim=24", "v_dim=16"], alone], [["v_dim=40", "kv=1", "o_bias=1"], alone],
    [["head_dim=16", "v_dim=8", "qkv_in_one=1", "qkv_bias=1", "window=16"], alone],
]);
await family("qwen2", [[["tied=0"]], [["rope_linear=2", "kv=1"]], [["kv=4", "rope_theta=10000"]], [yarn], [["n_rot=8"], alone],
    [["window=16", "window_every=2"], alone], [dynamic, alone]]);
await family("qwen3", [[["tied=0", "kv=1"]], [["head_dim=16", "kv=4"]], [yarn], [["head_dim=24", "n_rot=16"], alone], [["rope_linear=2"]],
    [["window=16", "window_every=2"], alone], [dynamic, alone], [["head_dim=32", "v_dim=20", "kv=1"], alone]]);
await family("mistral3", [[["head_dim=32", "tied=1"]], [[...yarn, "yarn_fast=20", "yarn_slow=2", "yarn_log=0.5", "q_scale=0.3"]],
    [[...yarn, "yarn_log=1", "q_scale=0.1", "head_dim=32"]], [["q_scale=0.2", "rope_ctx=16", "rope=none"]], [["ffn_bias=1", "o_bias=1"]]]);
await family("smollm3", [[["tied=0", "kv=1"]], [yarn], [["layers=3"]], [["layers=8", "head_dim=24"]]]);
await family("deci", [
    [["layer_heads=4/0/0/4/2", "layer_kv=2/0/0/1/0", "layer_ff=160/0/128/160/64", "head_dim=16"]],
    [["layer_heads=4/4/2", "layer_kv=4/1/2", "layer_ff=32/160/64", "head_dim=32", "rope_factors=1"]],
    [["layer_heads=4/4/0", "layer_kv=2/1/0", "layer_ff=160/160/96"]], [["layer_heads=4/4/4", "layer_kv=2/1/0", "layer_ff=160/160/96"]],
    [["layer_heads=4/4/4", "layer_kv=2/1/2", "layer_ff=160/0/96"], alone], [["layer_heads=4/4/4", "layer_kv=2/1/4", "layer_ff=160/96/0"], alone],
    [["layer_heads=0/4/4", "layer_kv=0/1/2", "layer_ff=160/64/96"], alone], [["layer_heads=4/4/0", "layer_kv=2/1/0", "layer_ff=160/96/0"], alone],
]);
await family("phi3", [[["kv=4", "tied=1"]], [["n_rot=12"]], [["rope=longrope", "rope_ctx=64", "rope_attn=1.19"]],
    [["rope=longrope", "rope_ctx=1024", "n_rot=8"]], [["qkv_bias=1"]], [["window=16"], alone], [["qkv_in_one=0"]],
    [["head_dim=12", "v_dim=24"], alone]]);

// 200 greedy tokens of stories260K after BOS, one at a time.
if (!only.length || only.includes("stories260k")) {
    const stories = path.join(data, "models/stories260K-f32.gguf");
    const m = await openModel(peer, stories);
    const greedy = [];
    for (let t = 1, i = 0; i < 200; i++) {
        const [row] = await logits(m, [t], i, [0]);
        t = row.reduce((best, v, k) => (v > row[best] ? k : best), 0);
        greedy.push(t);
    }
    writeFileSync(path.join(here, "stories260k.json"), JSON.stringify({ peer: peer.name, sha256: sha256(stories), greedy }) + "\n");
}
rmSync(tmp, { recursive: true });
process.exit(0);
