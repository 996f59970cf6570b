// Makes tests/golden/embeddings.json from llama.cpp: embeddings of tiny random models, with each way of pooling that a file can name.
//   npm install --prefix PEER node-llama-cpp@3.22.1 --ignore-scripts
//   node tests/golden/embeddings.mjs PEER build/tool/tinymodel
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { openPeer, F32 } from "./peer.mjs";

const [peerDir, tinymodel] = process.argv.slice(2);
const here = path.dirname(new URL(import.meta.url).pathname);
const tmp = mkdtempSync(path.join(os.tmpdir(), "golden-"));
const peer = await openPeer(peerDir);

const tokens = [];
for (let i = 0, x = 7; i < 150; i++) {
    x = (x * 1103515245 + 12345) % 2147483648;
    tokens.push(3 + Math.floor(x / 65536) % 380);
}

// The state that llama.cpp pools, scaled to length 1 as sluice returns it.
async function embed(file, n) {
    const model = new peer.b.AddonModel(file, { addonExports: peer.b, gpuLayers: 0, useMmap: true });
    if (!await model.init()) throw new Error(`the peer cannot load ${file}`);
    const c = new peer.b.AddonContext(model, { contextSize: 256, batchSize: 256, sequences: 1, flashAttention: false, embeddings: true, threads: 2, kvCacheKeyType: F32, kvCacheValueType: F32 });
    if (!await c.init()) throw new Error("the peer cannot make a context");
    c.initBatch(n);
    c.addToBatch(0, 0, Uint32Array.from(tokens.slice(0, n)), Uint32Array.from([n - 1]));
    await c.decodeBatch();
    const v = Array.from(c.getEmbedding(n)), length = Math.hypot(...v);
    await c.dispose();
    await model.dispose();
    return v.map((x) => Number((x / length).toPrecision(8)));
}

const cases = [];
for (const arch of ["llama", "qwen2", "qwen3"])
    for (const pooling of [0, 1, 2, 3]) {
        const args = [`arch=${arch}`, ...(pooling ? [`pooling=${pooling}`] : [])], file = path.join(tmp, `${arch}-${pooling}.gguf`);
        execFileSync(tinymodel, [file, ...args]);
        for (const n of [1, 63, 150])
            cases.push({ args, sha256: createHash("sha256").update(readFileSync(file)).digest("hex"), n, vector: await embed(file, n) });
    }
writeFileSync(path.join(here, "embeddings.json"), `{"peer":${JSON.stringify(peer.name)},"tokens":${JSON.stringify(tokens)},"cases":[\n${cases.map((c) => JSON.stringify(c)).join(",\n")}\n]}\n`);
rmSync(tmp, { recursive: true });
console.log(`${cases.length} cases`);
process.exit(0);
