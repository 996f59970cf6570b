// The chat and what is shown around it. Talks to the server through its public API alone.
import { api, ask, forgetKey, getKey, setKey } from "/page/api.js";
import { drawLimits } from "/page/gauges.js";
import { drawUsage } from "/page/plot.js";

const $ = (id) => document.getElementById(id);
const ideas = ["What is sluice?", "How do I create an API key?", "What is a hold?", "How do I add a model?"];
let history = [];
let session = { answers: 0, input: 0, output: 0, costNano: 0n, currency: "" };
let running = null; // AbortController of the answer that streams
let group = "hour";

// ---- money: decimal strings, never floats ----
const toNano = (s) => {
  const [whole, part = ""] = s.replace("-", "").split(".");
  const n = BigInt(whole) * 1000000000n + BigInt((part + "000000000").slice(0, 9));
  return s.startsWith("-") ? -n : n;
};
const fromNano = (n) => {
  const part = (n % 1000000000n).toString().padStart(9, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${n / 1000000000n}.${part}`;
};

// ---- messages ----
function setText(el, text) { // `code` between backticks; everything else is plain text
  el.replaceChildren(...text.split(/(`[^`\n]+`)/).map((piece) => {
    if (!/^`[^`\n]+`$/.test(piece)) return piece;
    const code = document.createElement("code");
    code.textContent = piece.slice(1, -1);
    return code;
  }));
}

function addMessage(role, text) {
  $("welcome").hidden = true;
  const el = document.createElement("div");
  el.className = `msg ${role}`;
  const body = document.createElement("span");
  body.className = "text";
  setText(body, text);
  el.append(body);
  $("messages").append(el);
  el.scrollIntoView({ block: "end" });
  return { el, body };
}

function addNote(el, text, wrong) {
  const note = document.createElement("span");
  note.className = wrong ? "note wrong" : "note";
  note.textContent = text;
  el.append(note);
  $("messages").scrollTop = $("messages").scrollHeight;
}

function showSession(speed) {
  $("s-answers").textContent = session.answers;
  $("s-in").textContent = session.input.toLocaleString("en");
  $("s-out").textContent = session.output.toLocaleString("en");
  if (speed) $("s-speed").textContent = `${speed} tokens/s`;
  $("s-cost").textContent = session.answers ? `${fromNano(session.costNano)} ${session.currency}` : "–";
}

const showBalance = (balance, currency) => { $("balance").textContent = `${balance} ${currency}`; };

// ---- one answer ----
function finished(answer, el) {
  const { usage, begin, first, last, finish, details } = answer;
  if (!usage) return addNote(el, "stopped; what was computed is billed");
  const n = usage.completion_tokens;
  const speed = Math.round(last > first ? ((n - 1) * 1000) / (last - first) : (n * 1000) / (last - begin)); // a fast answer is one piece
  session.answers++;
  session.input += usage.prompt_tokens;
  session.output += n;
  session.costNano += toNano(usage.sluice.cost);
  session.currency = usage.sluice.currency;
  showSession(last ? speed : null);
  showBalance(usage.sluice.balance, usage.sluice.currency);
  addNote(el, `${usage.prompt_tokens} + ${n} tokens${last ? ` · ${speed} tokens/s` : ""} · ${usage.sluice.cost} ${usage.sluice.currency}` +
    (finish === "length" && !details ? " · cut at the limit" : ""));
  if (details?.type === "budget") addNote(el, details.message, true);
}

async function send(text) {
  history.push({ role: "user", content: text });
  addMessage("user", text);
  const { el, body } = addMessage("assistant live", "");
  running = new AbortController();
  $("send").textContent = "Stop";
  $("send").classList.add("stop");
  const request = { model: $("model").value, messages: history, temperature: Number($("temperature").value) };
  if ($("limit").value) request.max_tokens = Number($("limit").value);
  let answer = "";
  try {
    const result = await ask(request, running.signal, (piece, count, ms) => {
      answer += piece;
      setText(body, answer);
      if (count > 1 && ms > 0) $("s-speed").textContent = `${Math.round(((count - 1) * 1000) / ms)} tokens/s`;
      $("messages").scrollTop = $("messages").scrollHeight;
    });
    finished(result, el);
  } catch (error) {
    if (error.name === "AbortError") finished({}, el);
    else addNote(el, error.message, true);
    if (error.status === 401) askKey("This key is not valid here.");
  }
  el.classList.remove("live");
  if (answer) history.push({ role: "assistant", content: answer });
  else history.pop();
  running = null;
  $("send").textContent = "Send";
  $("send").classList.remove("stop");
  refresh();
}

// ---- around the chat ----
async function refresh() {
  try {
    const b = await api("/v1/sluice/balance");
    showBalance(b.balance, b.currency);
    const days = group === "hour" ? 1 : 30;
    const since = new Date(Date.now() - days * 86400000).toISOString().slice(0, 16) + "Z";
    drawUsage($("plot"), $("plot-sum"), (await api(`/v1/sluice/usage?group=${group}&since=${encodeURIComponent(since)}`)).data, group);
    drawLimits($("limits-card"), $("limits"), (await api("/v1/sluice/limits")).data);
  } catch (error) {
    if (error.status === 401) askKey("This key is not valid here.");
  }
}

async function start() {
  const models = (await api("/v1/models")).data;
  $("model").replaceChildren(...models.map((m) => new Option(m.id, m.id, m.id === "guide", m.id === "guide")));
  if (!models.length) addNote(addMessage("assistant", "There is no model yet.").el, "Add one: sluice add FILE --name NAME, then start the server again.");
  await refresh();
  $("prompt").focus();
}

function askKey(why) {
  forgetKey();
  $("key-error").textContent = why || "";
  if (!$("ask-key").open) $("ask-key").showModal();
}

$("ask-key").addEventListener("close", () => {
  if ($("key").value.trim()) setKey($("key").value.trim());
  $("key").value = "";
  begin();
});
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) return running.abort();
  const text = $("prompt").value.trim();
  if (!text || !$("model").value) return;
  $("prompt").value = "";
  fit();
  send(text);
});
const fit = () => { $("prompt").style.height = "auto"; $("prompt").style.height = `${$("prompt").scrollHeight}px`; };
$("prompt").addEventListener("input", fit);
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!running) $("form").requestSubmit();
  }
});
$("fresh").addEventListener("click", () => {
  running?.abort();
  history = [];
  session = { answers: 0, input: 0, output: 0, costNano: 0n, currency: session.currency };
  $("messages").replaceChildren();
  $("welcome").hidden = false;
  $("s-speed").textContent = "–";
  showSession();
});
$("temperature").addEventListener("input", () => { $("temperature-value").textContent = $("temperature").value; });
for (const button of document.querySelectorAll(".pick button"))
  button.addEventListener("click", () => {
    group = button.dataset.group;
    for (const other of document.querySelectorAll(".pick button")) other.setAttribute("aria-pressed", String(other === button));
    refresh();
  });
$("ideas").replaceChildren(...ideas.map((text) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", () => { if (!running) send(text); });
  return button;
}));

function begin() {
  if (!getKey()) return askKey();
  start().catch((error) => askKey(error.status === 401 ? "This key is not valid here." : `The server did not answer: ${error.message}`));
}
begin();
