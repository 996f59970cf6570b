// One plot: tokens per hour or day as stacked bars, input below output. Plain SVG.
const NS = "http://www.w3.org/2000/svg";
const W = 272, H = 110, FOOT = 16;

function el(name, attributes, text) {
  const e = document.createElementNS(NS, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text) e.textContent = text;
  return e;
}

const stamp = (date, group) => date.toISOString().slice(0, group === "hour" ? 13 : 10); // UTC, as the ledger groups

// rows: the ledger's report; every slot of the range is drawn, also an empty one.
function slots(rows, group) {
  const step = group === "hour" ? 3600000 : 86400000, n = group === "hour" ? 24 : 30;
  const all = new Map();
  for (let i = n - 1; i >= 0; i--) all.set(stamp(new Date(Date.now() - i * step), group), { input: 0, output: 0, requests: 0 });
  for (const r of rows) {
    const slot = all.get(String(r[group] ?? r.time ?? "").replace(" ", "T").slice(0, group === "hour" ? 13 : 10));
    if (!slot) continue;
    slot.input += r.input + r.cache_read + r.cache_write;
    slot.output += r.output + r.reasoning;
    slot.requests += r.requests;
  }
  return [...all];
}

export function drawUsage(box, sum, rows, group) {
  const data = slots(rows, group);
  const top = Math.max(1, ...data.map(([, s]) => s.input + s.output));
  const svg = el("svg", { viewBox: `0 0 ${W} ${H + FOOT}`, role: "img", "aria-label": `Tokens per ${group}` });
  const step = W / data.length, width = Math.max(2, step * 0.68);
  data.forEach(([when, s], i) => {
    const x = i * step + (step - width) / 2, a = (s.input / top) * (H - 8), b = (s.output / top) * (H - 8);
    const g = el("g", { class: "slot" });
    g.append(el("title", {}, `${when}: ${s.requests} requests, ${s.input} tokens in, ${s.output} out`));
    g.append(el("rect", { class: "in", x, width, y: H - a, height: a, rx: 1.5 }));
    g.append(el("rect", { class: "out", x, width, y: H - a - b, height: b, rx: 1.5 }));
    svg.append(g);
  });
  svg.append(el("line", { class: "base", x1: 0, x2: W, y1: H + 0.5, y2: H + 0.5 }));
  svg.append(el("text", { x: 0, y: H + FOOT - 3 }, group === "hour" ? "24 hours ago" : "30 days ago"));
  svg.append(el("text", { x: W, y: H + FOOT - 3, "text-anchor": "end" }, group === "hour" ? "now" : "today"));
  box.replaceChildren(svg);
  const total = data.reduce((t, [, s]) => ({ input: t.input + s.input, output: t.output + s.output, requests: t.requests + s.requests }), { input: 0, output: 0, requests: 0 });
  sum.textContent = `${total.requests.toLocaleString("en")} requests, ${total.input.toLocaleString("en")} tokens in, ${total.output.toLocaleString("en")} out`;
}
