// Calls of the API with the key of this tab, and the reader of a streamed answer.
const NAME = "sluice-key";

export const getKey = () => sessionStorage.getItem(NAME);
export const setKey = (key) => sessionStorage.setItem(NAME, key);
export const forgetKey = () => sessionStorage.removeItem(NAME);

// "#key=..." of the printed address: kept in this tab, removed from the address bar.
const inAddress = /[#&]key=([^&]+)/.exec(location.hash);
if (inAddress) {
  setKey(decodeURIComponent(inAddress[1]));
  history.replaceState(null, "", location.pathname);
}

async function call(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { authorization: `Bearer ${getKey()}`, "content-type": "application/json" } });
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw Object.assign(new Error(body?.error?.message ?? `HTTP ${response.status}`), { status: response.status });
}

export const api = async (path) => (await call(path)).json();

// Streams one answer. onText(piece, pieces so far, ms since the first). Resolves to {usage, finish, details, begin, first, last}.
export async function ask(request, signal, onText) {
  const body = JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } });
  const begin = performance.now();
  const response = await call("/v1/chat/completions", { method: "POST", body, signal });
  const answer = { usage: null, finish: null, details: null, begin, first: 0, last: 0 };
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "", count = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return answer;
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: ?/, "");
      if (data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      const choice = chunk.choices[0];
      if (choice?.delta?.content) {
        answer.last = performance.now();
        answer.first ||= answer.last;
        onText(choice.delta.content, ++count, answer.last - answer.first);
      }
      if (choice?.finish_reason) [answer.finish, answer.details] = [choice.finish_reason, choice.finish_details];
      if (chunk.usage) answer.usage = chunk.usage;
    }
  }
}
