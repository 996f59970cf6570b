// Makes tests/golden/quants.json: llama.cpp's logits after 6 and 80 tokens, for a tiny model in every type with blocks; and sees that it reads
// the same model in three parts, as tinymodel writes them. Not part of `make test`: run it when a type or its encoder changes.
//   npm install --prefix PEER node-llama-cpp@3.22.1 --ignore-scripts
//   node tests/golden/quants.mjs PEER build/tool/tinymodel
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { openPeer, openModel, logits } from "./peer.mjs";

const [peerDir, tinymodel] = process.argv.slice(2);
const here = path.dirname(new URL(import.meta.url).pathname);
const tmp = mkdtempSync(path.join(os.tmpdir(), "quants-"));
const peer = await openPeer(peerDir);
const N = 80, tokens = [];
for (let i = 0, x = 1; i < N; i++) {
    x = (x * 1103515245 + 12345) % 2147483648;
    tokens.push(3 + Math.floor(x / 65536) % 380);
}
const shape = ["arch=llama", "embd=256", "ff=512", "head_dim=64"];

async function byPeer(file) {
    const m = await openModel(peer, file);
    const rows = await logits(m, tokens, 0, want);
    await m.c.dispose();
    await m.model.dispose();
    return rows;
}
function build(args) {
    const file = path.join(tmp, args.join("_").replaceAll("=", "-"));
    execFileSync(tinymodel, [file, ...args]);
    return file;
}

const types = [], want = [5, N - 1];
for (const type of ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "mxfp4"]) {
    const args = [...shape, `type=${type}`], file = build(args), rows = await byPeer(file);
    types.push({ args, sha256: createHash("sha256").update(readFileSync(file)).digest("hex"), want,
        logits: rows.map((r) => r.map((v) => Number(v.toPrecision(6)))) });
    const parts = await byPeer(`${build([...args, "parts=3"])}-00001-of-00003.gguf`);
    if (JSON.stringify(parts) !== JSON.stringify(rows)) throw new Error(`${type}: the peer computes otherwise from three parts`);
}
writeFileSync(path.join(here, "quants.json"), JSON.stringify({ peer: peer.name, tokens, types }).replaceAll('{"args"', '\n{"args"') + "\n");
rmSync(tmp, { recursive: true });
process.exit(0);
