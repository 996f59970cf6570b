// Speed of sluice's model_step against llama.cpp in the same minute: runs of the two alternate, because a ratio between runs that are
// apart says little on a shared machine. Prints the medians and appends them to a CSV file.
//   npm install --prefix PEER node-llama-cpp@3.22.1 --ignore-scripts
//   build/tool/tinymodel half.gguf like=qwen2.5-0.5b type=q4_0 embd_type=q8_0
//   node bench/peer/compare.mjs PEER build/bench/decode half.gguf ROUNDS [results.csv]
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import readline from "node:readline";
import { openPeer, openModel, F16 } from "../../tests/golden/peer.mjs";

const [peerDir, bench, file, rounds = "5", csv] = process.argv.slice(2);
const { THREADS = 2, PREFILL = 512, DECODE = 128 } = Object.fromEntries(Object.entries(process.env).filter(([k]) => ["THREADS", "PREFILL", "DECODE"].includes(k)).map(([k, v]) => [k, Number(v)]));

const ours = spawn(bench, [file, String(THREADS), "-"], { stdio: ["pipe", "pipe", "inherit"] });
const lines = readline.createInterface({ input: ours.stdout })[Symbol.asyncIterator]();
async function ask(what, n) {
    ours.stdin.write(`${what} ${n}\n`);
    const { value } = await lines.next();
    return n / Number(value);
}

const peer = await openPeer(peerDir, { threads: THREADS });
const m = await openModel(peer, file, { ctx: 1024, batch: PREFILL, threads: THREADS, kv: F16, flash: "auto" });
const now = () => Number(process.hrtime.bigint()) / 1e9;
const vocab = 1000;
async function feed(tokens, from) {
    m.c.initBatch(tokens.length);
    const [at] = m.c.addToBatch(0, from, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
    await m.c.decodeBatch();
    return await m.c.sampleToken(at, m.sampler);
}
let next = 0, pos = 0;
async function peerPrefill() {
    m.c.disposeSequence(0);
    const tokens = Array.from({ length: PREFILL }, (_, i) => i * 7919 % vocab);
    const t0 = now();
    next = await feed(tokens, 0);
    pos = PREFILL;
    return PREFILL / (now() - t0);
}
async function peerDecode() {
    const t0 = now();
    for (let i = 0; i < DECODE; i++) next = await feed([next], pos++);
    return DECODE / (now() - t0);
}

const median = (v) => v.slice().sort((a, b) => a - b)[Math.floor(v.length / 2)];
const r = { prefill: [[], []], decode: [[], []] };
await ask("prefill", PREFILL), await peerPrefill(); // warm
for (let i = 0; i < Number(rounds); i++) {
    r.prefill[0].push(await ask("prefill", PREFILL));
    r.prefill[1].push(await peerPrefill());
    r.decode[0].push(await ask("decode", DECODE));
    r.decode[1].push(await peerDecode());
}
ours.stdin.end();
const cpu = os.cpus()[0].model, load = os.loadavg()[0].toFixed(1), date = new Date().toISOString().slice(0, 16) + "Z";
const type = m.model.getModelDescription().replaceAll(",", " ");
for (const what of ["prefill", "decode"]) {
    const [a, b] = r[what], ratio = median(a.map((v, i) => v / b[i])); // each round's ratio, then the median
    const row = [date, cpu, os.cpus().length, load, type, THREADS, what, what === "prefill" ? PREFILL : DECODE, median(a).toFixed(1), median(b).toFixed(1), ratio.toFixed(2), rounds, peer.name.replaceAll(",", ";")];
    console.log(`${type} ${what}: sluice ${row[8]}, peer ${row[9]} tokens/s, ratio ${row[10]} (load ${load})`);
    if (csv) {
        if (!existsSync(csv) || !readFileSync(csv).length)
            writeFileSync(csv, "date,cpu,cpus,load,model,threads,what,tokens,sluice tok/s,peer tok/s,median ratio,rounds,peer\n");
        appendFileSync(csv, row.join(",") + "\n");
    }
}
process.exit(0);
