// Makes tests/golden/sampling.json from llama.cpp: what it says at temperature 0 under bias and penalties, and the log probabilities of each token
// by its bare logits. The repetition penalty sees the last tokens of prompt and answer, presence and frequency those of the answer alone, as
// sluice defines them: the peer is told for each step which tokens to punish.
//   npm install --prefix PEER node-llama-cpp@3.22.1 --ignore-scripts
//   node tests/golden/sampling.mjs PEER build/tool/tinymodel
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { openModel, openPeer } from "./peer.mjs";

const [peerDir, tinymodel] = process.argv.slice(2);
const here = path.dirname(new URL(import.meta.url).pathname);
const tmp = mkdtempSync(path.join(os.tmpdir(), "golden-"));
const peer = await openPeer(peerDir);
const N = 40, TOP = 5;

// The likeliest token of a row after what the sampler does to it; null for its bare logits.
async function step(m, at, config) {
    const bare = await m.c.sampleToken(at, m.sampler, false, false, true), logits = [];
    for (let k = 0; k < bare[3].length; k += 2) logits[bare[3][k]] = bare[3][k + 1];
    const sampler = new peer.b.AddonSampler(m.model);
    sampler.applyConfig({ temperature: 0, ...config });
    const r = await m.c.sampleToken(at, sampler, false, false, false);
    return { token: Array.isArray(r) ? r[0] : r, logits };
}

function logprobs(logits) {
    const max = Math.max(...logits), sum = logits.reduce((s, x) => s + Math.exp(x - max), 0);
    return logits.map((x) => x - max - Math.log(sum));
}

async function say(file, prompt, q) {
    const m = await openModel(peer, file, { ctx: 256, threads: 1 }), tokens = [...prompt], out = [], values = [], tops = [];
    for (let from = 0; out.length < N;) {
        m.c.initBatch(tokens.length - from);
        const [at] = m.c.addToBatch(0, from, Uint32Array.from(tokens.slice(from)), Uint32Array.from([tokens.length - from - 1]));
        await m.c.decodeBatch();
        from = tokens.length;
        const seen = q.repeat_last ? tokens.slice(-q.repeat_last) : tokens;
        const config = q.repetition ? { repeatPenalty: q.repetition, repeatPenaltyMaxTokens: seen.length, repeatPenaltyTokens: Uint32Array.from(seen) }
            : q.presence || q.frequency ? { repeatPenalty: 1, repeatPenaltyMaxTokens: Math.max(out.length, 1), repeatPenaltyTokens: Uint32Array.from(out), repeatPenaltyPresencePenalty: q.presence ?? 0, repeatPenaltyFrequencyPenalty: q.frequency ?? 0 } : {};
        if (q.bias) Object.assign(config, { tokenBiasKeys: Uint32Array.from(q.bias.map((b) => b[0])), tokenBiasValues: Float32Array.from(q.bias.map((b) => b[1])) });
        const { token, logits } = await step(m, at, config), lp = logprobs(logits);
        out.push(token);
        tokens.push(token);
        values.push(Number(lp[token].toPrecision(8)));
        tops.push(lp.map((v, id) => [id, v]).sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, TOP).map(([id, v]) => [id, Number(v.toPrecision(8))]));
    }
    await m.c.dispose();
    await m.model.dispose();
    return { out, values, tops };
}

const prompt = Array.from({ length: 30 }, (_, i) => 3 + (i * 37) % 380);
const bias = [[20, 3], [21, -100], [100, 1.5]];
const questions = [{}, { repetition: 1.3 }, { repetition: 0.7 }, { repetition: 2, repeat_last: 5 }, { presence: 1.5 }, { frequency: 0.5 }, { presence: -1, frequency: -0.25 }, { presence: 0.7, frequency: 0.9 },
    { bias }, { bias, repetition: 1.2 }, { bias, presence: 1, frequency: 0.5 }];
const cases = [];
for (const arch of ["llama", "qwen2"]) {
    const args = [`arch=${arch}`, "seed=5"], file = path.join(tmp, `${arch}.gguf`);
    execFileSync(tinymodel, [file, ...args]);
    const sha256 = createHash("sha256").update(readFileSync(file)).digest("hex");
    for (const q of questions) cases.push({ args, sha256, ...q, ...(await say(file, prompt, q)) });
}
writeFileSync(path.join(here, "sampling.json"), `{"peer":${JSON.stringify(peer.name)},"prompt":${JSON.stringify(prompt)},"cases":[\n${cases.map((c) => JSON.stringify(c)).join(",\n")}\n]}\n`);
rmSync(tmp, { recursive: true });
console.log(`${cases.length} cases`);
process.exit(0);
