// quality.mjs PEER build/bench/quality [LEVEL ...]: the perplexity of the guide model in each type on English that it never saw
// (tests/guide/english-heldout.txt), by llama.cpp and by sluice on the same files and tokens, as CSV. PEER: see tests/golden/peer.mjs.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { forget, logits, openModel, openPeer } from "../tests/golden/peer.mjs";

const [peerDir, tool, ...levels] = process.argv.slice(2);
const types = ["f16", "q8_0", "q6_k", "q5_1", "q5_0", "q5_k", "q4_1", "q4_0", "q4_k", "iq4_nl", "iq4_xs", "mxfp4", "q3_k", "q2_k"];
const tmp = mkdtempSync(path.join(os.tmpdir(), "quality-")), guide = "models/guide.gguf", file = path.join(tmp, "tokens.json");
const lines = JSON.parse(execFileSync(tool, ["tokens", guide, "tests/guide/english-heldout.txt"]));
writeFileSync(file, JSON.stringify(lines));
const n = lines.reduce((sum, l) => sum + l.length - 1, 0);
const peer = await openPeer(peerDir);

async function byPeer(model) {
    const m = await openModel(peer, model);
    let sum = 0;
    for (const l of lines) {
        const rows = await logits(m, l, 0, l.map((_, i) => i));
        for (let i = 0; i + 1 < l.length; i++) {
            const top = Math.max(...rows[i]);
            sum += top + Math.log(rows[i].reduce((s, x) => s + Math.exp(x - top), 0)) - rows[i][l[i + 1]];
        }
        forget(m);
    }
    await m.c.dispose();
    await m.model.dispose();
    return Math.exp(sum / n);
}
function bySluice(model, level) {
    const out = execFileSync(tool, ["loss", model, file, ...(level ? [level] : [])], { encoding: "utf8" });
    return Math.exp(out.trim().split("\n").reduce((s, x) => s + Number(x), 0) / n);
}

console.log(`# guide model, ${n} tokens of kept-out English; ${peer.name}`);
console.log("type,level,perplexity,peer,difference_percent");
let worst = 0;
for (const type of types) {
    const model = path.join(tmp, `${type}.gguf`);
    execFileSync(tool, ["make", guide, type, model]);
    const theirs = await byPeer(model);
    for (const level of levels.length ? levels : [""]) {
        const ours = bySluice(model, level), off = (ours / theirs - 1) * 100;
        worst = Math.max(worst, Math.abs(off));
        console.log([type, level || "best", ours.toFixed(5), theirs.toFixed(5), off.toFixed(3)].join());
    }
}
rmSync(tmp, { recursive: true });
process.exit(worst < 0.5 ? 0 : 1);
