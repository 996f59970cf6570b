// llama.cpp as npm ships it (node-llama-cpp), measured on one file: prints [{what, tok/s}, ...] as JSON. bench/peers/turns.py runs it turn about with sluice,
// bench/peers/run.sh prepares both.
//   node bench/peers/node.mjs PEER FILE.gguf THREADS PREFILL DECODE        PEER: where npm installed it
// Flash attention where it can, KV in f16, the binding's cheapest loop; JavaScript and its greedy sampler are in what it decodes.
import { openPeer, openModel, F16 } from "../../tests/golden/peer.mjs";

const [folder, file, ...numbers] = process.argv.slice(2);
const [threads, PREFILL, DECODE] = numbers.map(Number);
if (!(DECODE > 0)) {
    console.error("usage: node.mjs PEER FILE.gguf THREADS PREFILL DECODE");
    process.exit(2);
}
const peer = await openPeer(folder, { threads });
const m = await openModel(peer, file, { ctx: PREFILL + DECODE + 64, batch: PREFILL, threads, kv: F16, flash: "auto" });

const now = () => Number(process.hrtime.bigint()) / 1e9;
async function feed(tokens, from) {
    m.c.initBatch(tokens.length);
    const [at] = m.c.addToBatch(0, from, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
    await m.c.decodeBatch();
    return await m.c.sampleToken(at, m.sampler);
}
async function prefill(n) {
    m.c.disposeSequence(0);
    const from = now();
    await feed(Array.from({ length: n }, (_, i) => i * 7919 % 1000), 0);
    return n / (now() - from);
}
async function decode(n) {
    m.c.disposeSequence(0);
    let next = await feed([1], 0);
    const from = now();
    for (let i = 1; i <= n; i++) next = await feed([next], i);
    return n / (now() - from);
}

await prefill(PREFILL), await decode(4); // pages touched, weights repacked
console.log(JSON.stringify([{ what: `prefill ${PREFILL}`, "tok/s": await prefill(PREFILL) }, { what: "decode 1", "tok/s": await decode(DECODE) }]));
process.exit(0);
