// sluice beside node-llama-cpp on the same file, turn about: a run of each in every round, the median of the rounds' ratios at the end. A round in which the
// machine changed (read bandwidth, int8 peak, the way between two cores: sluice bench roofline --quick) is thrown away.
//   node bench/peers/node.mjs PEER SLUICE FILE.gguf ROUNDS [results.csv]       bench/peers/run.sh prepares all of them
// PREFILL, DECODE and THREADS are taken from the environment. JavaScript's cost is in the peer's decoding.
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import { openPeer, openModel, F16 } from "../../tests/golden/peer.mjs";

const [peerDir, sluice, file, rounds = "5", csv] = process.argv.slice(2);
const number = (name, dflt) => Number(process.env[name] ?? dflt);
const THREADS = number("THREADS", os.cpus().length), PREFILL = number("PREFILL", 512), DECODE = number("DECODE", 128);

const bench = (...args) => {
    const [head, ...rows] = execFileSync(sluice, ["bench", ...args, "--threads", String(THREADS), "--csv", "-"], { encoding: "utf8" }).trim().split("\n").map((l) => l.split(","));
    return rows.map((r) => Object.fromEntries(head.map((h, i) => [h, r[i]])));
};
function state() {
    const rows = bench("roofline", "--quick");
    const of = (what) => Math.max(0, ...rows.filter((r) => r.what.startsWith(what)).map((r) => Number(r.value)));
    return [of("read"), of("int8 avx"), of("round trip")];
}
const same = (a, b) => a.every((v, i) => Math.max(v, b[i]) <= Math.min(v, b[i]) * [1.15, 1.15, 1.6][i]);
function ours() {
    const rows = bench("model", file, "--prefill", String(PREFILL), "--depth", "0", "--streams", "", "--tokens", String(DECODE), "--rounds", "1");
    return { prefill: Number(rows[0]["tok/s"]), decode: Number(rows[1]["tok/s"]) };
}

const peer = await openPeer(peerDir, { threads: THREADS });
const m = await openModel(peer, file, { ctx: PREFILL + DECODE + 64, batch: PREFILL, threads: THREADS, kv: F16, flash: "auto" });
const now = () => Number(process.hrtime.bigint()) / 1e9;
async function feed(tokens, from) {
    m.c.initBatch(tokens.length);
    const [at] = m.c.addToBatch(0, from, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
    await m.c.decodeBatch();
    return await m.c.sampleToken(at, m.sampler);
}
async function theirs() {
    m.c.disposeSequence(0);
    let t0 = now(), next = await feed(Array.from({ length: PREFILL }, (_, i) => i * 7919 % 1000), 0);
    const prefill = PREFILL / (now() - t0);
    m.c.disposeSequence(0);
    next = await feed([1], 0), t0 = now();
    for (let i = 1; i <= DECODE; i++) next = await feed([next], i);
    return { prefill, decode: DECODE / (now() - t0) };
}

const median = (v) => v.slice().sort((a, b) => a - b)[Math.floor(v.length / 2)];
const kept = [];
let thrown = 0;
await theirs(); // warm
for (let i = 0; i < Number(rounds) + 5 && kept.length < Number(rounds); i++) {
    const s0 = state(), a = ours(), s1 = state(), b = await theirs(), s2 = state();
    if (same(s0, s1) && same(s1, s2)) kept.push([a, b]);
    else thrown++;
}
if (!kept.length) console.error(`no round in which the machine stayed as it was (${thrown} tried)`), process.exit(1);
const date = new Date().toISOString().slice(0, 16) + "Z", name = file.split("/").pop().replace(/\.gguf$/, "");
for (const what of ["prefill", "decode"]) {
    const row = [date, os.cpus()[0].model, name, THREADS, what, what === "prefill" ? PREFILL : DECODE, median(kept.map(([a]) => a[what])).toFixed(1),
                 median(kept.map(([, b]) => b[what])).toFixed(1), median(kept.map(([a, b]) => a[what] / b[what])).toFixed(2), kept.length, thrown, peer.name.replaceAll(",", ";")];
    console.log(`${name} ${what}: sluice ${row[6]}, peer ${row[7]} tokens/s, ratio ${row[8]} (${kept.length} rounds, ${thrown} thrown away)`);
    if (csv) {
        if (!existsSync(csv) || !readFileSync(csv).length)
            writeFileSync(csv, "date,cpu,model,threads,what,tokens,sluice tok/s,peer tok/s,median ratio,rounds,thrown away,peer\n");
        appendFileSync(csv, row.join(",") + "\n");
    }
}
process.exit(0);
