// What the goldens and the benchmark need of the peer: llama.cpp through node-llama-cpp's own bindings, with float32 KV and flash
// attention off where exactness counts (its defaults differ from those by 1e-3), and logits as the model computes them.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

// folder: where `npm install node-llama-cpp@3.22.1` was run
export async function openPeer(folder, { threads = 2 } = {}) {
    const require = createRequire(path.join(path.resolve(folder), "x.js"));
    const root = path.join(path.resolve(folder), "node_modules/node-llama-cpp");
    const { getLlama, LlamaLogLevel } = await import(pathToFileURL(path.join(root, "dist/index.js")).href);
    const { version } = require(path.join(root, "package.json"));
    const { release } = require(path.join(root, "llama/binariesGithubRelease.json"));
    const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
    return { llama, b: llama._bindings, name: `node-llama-cpp ${version}, llama.cpp ${release}` };
}

export const F32 = 0, F16 = 1; // ggml types of the KV cache

export async function openModel(peer, file, { ctx = 512, batch = 512, threads = 2, kv = F32, flash = false } = {}) {
    const model = new peer.b.AddonModel(file, { addonExports: peer.b, gpuLayers: 0, useMmap: true });
    if (!await model.init()) throw new Error(`the peer cannot load ${file}`);
    const c = new peer.b.AddonContext(model, {
        contextSize: ctx, batchSize: batch, sequences: 1, flashAttention: flash, logitsAll: true, threads,
        kvCacheKeyType: kv, kvCacheValueType: kv
    });
    if (!await c.init()) throw new Error("the peer cannot make a context");
    const sampler = new peer.b.AddonSampler(model);
    sampler.applyConfig({ temperature: 0 });
    return { model, c, sampler };
}

// Feeds tokens at positions from.. and returns the logits (in token order) after each index of `want`.
export async function logits(m, tokens, from, want) {
    m.c.initBatch(tokens.length);
    const at = m.c.addToBatch(0, from, Uint32Array.from(tokens), Uint32Array.from(want));
    await m.c.decodeBatch();
    const out = [];
    for (const i of at) {
        const r = await m.c.sampleToken(i, m.sampler, false, false, true);
        const row = [];
        for (let k = 0; k < r[3].length; k += 2) row[r[3][k]] = r[3][k + 1];
        out.push(row);
    }
    return out;
}

export function forget(m) { m.c.disposeSequence(0); }
