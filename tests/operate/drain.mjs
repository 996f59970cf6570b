// The end of a server: SIGTERM, the deadline, the second signal, and what the service manager is told.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { check, cli, metric, request, run, same, sluice, start, test, until } from "../api/harness.mjs";
import { ask, house, json, serve, stateOf, stream } from "./house.mjs";

const events = (text) => text.split("\n\n").filter((e) => e.startsWith("data: ")).map((e) => e.slice(6));
const chunks = (text) => events(text).filter((e) => e !== "[DONE]").map((e) => JSON.parse(e));
const usage = (data) => json(["usage", "--group", "request"], { data });

// An answer that takes several seconds, so that what is to happen meanwhile does.
const slow = () => house(["a"], { options: ["layers=24"] });

test("SIGTERM: what runs finishes, new work gets 503 with Retry-After, the exit code is 0", async () => {
  const server = await serve(await slow());
  const s = stream(server, "a", { max_tokens: 3000, stream_options: { include_usage: true } });
  await s.first;
  server.child.kill("SIGTERM");
  let refused; // until the drain is under way a request may still be taken
  await until("a refusal", async () => (refused = await ask(server, "a", { max_tokens: 1 })).status === 503);
  same([refused.headers["retry-after"], refused.headers["x-should-retry"], refused.headers.connection], ["5", "true", "close"]);
  check(/shutting down/.test(refused.body.error.message), refused.body.error.message);
  same((await request(server, "GET", "/health")).status, 503);
  same((await request(server, "GET", "/metrics")).status, 200);
  const answer = (await s.end).body, last = chunks(answer).at(-1);
  same(events(answer).at(-1), "[DONE]");
  same(await server.ended, 0);
  await server.stop(); // audit
  const rows = await usage(server.data);
  check(rows.some((r) => r.output === last.usage.completion_tokens), "the whole answer is billed");
  check(/"event":"stop"/.test(server.log) && server.log.trim().split("\n").every((l) => JSON.parse(l).time), "the log is JSON lines");
});

test("SIGTERM: an answer that takes too long ends with an event that says so, and is billed", async () => {
  const server = await serve(await slow(), "--drain-seconds", "0");
  const s = stream(server, "a"), plain = ask(server, "a", { max_tokens: 3400 });
  await s.first;
  await until("both run", async () => (await metric(server, "sluice_engine_running")) === 2);
  server.child.kill("SIGTERM");
  const all = chunks((await s.end).body), last = all.at(-1), late = await plain;
  check(/shutting down/.test(last.error?.message), JSON.stringify(last));
  same([late.status, late.body.error.code, late.headers["retry-after"]], [503, "unavailable", "5"]);
  same(await server.ended, 0);
  await server.stop();
  const rows = await usage(server.data);
  same([rows.length, rows.every((r) => r.reason === "error") && rows.some((r) => r.output > 0)], [2, true], JSON.stringify(rows));
});

test("SIGTERM while a request waits for its model", async () => {
  const server = await serve(await house(["a", "b"]), "--memory", "12");
  const s = stream(server, "a");
  await s.first;
  const waiting = ask(server, "b");
  await until("b waits, or has its turn", async () => (await stateOf(server, "b")) !== "unloaded");
  server.child.kill("SIGTERM");
  check([200, 503].includes((await waiting).status), "told at once");
  await s.end;
  same(await server.ended, 0);
  await server.stop();
});

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129]])
  test(`a second ${signal} ends at once with ${code}, and the next start bills to the token`, async () => {
    const home = await slow(), server = await serve(home);
    const s = stream(server, "a");
    await s.first;
    server.child.kill(signal);
    await until("the first is taken", async () => /"event":"stop"/.test(server.log));
    server.child.kill(signal);
    same(await server.ended, code);
    server.stopped = true;
    await s.end.catch(() => {});
    const got = chunks(s.text.slice(0, s.text.lastIndexOf("\n\n") + 2)).filter((c) => c.choices?.[0]?.delta?.content).length;
    const again = await serve(home);
    const rows = await usage(home.data);
    same([rows.length, rows[0].reason], [1, "crash"]);
    check(rows[0].output >= got && got > 0, `${got} pieces of text came, ${rows[0].output} tokens are billed`);
    await again.stop();
  });

test("the service manager is told: ready, watchdog, stopping", async () => {
  const home = await house([]), where = path.join(home.data, "notify");
  const listener = spawn("python3", ["-uc", `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print("bound")
while True: print(s.recv(4096).decode().replace("\\n", " "))`, where], { stdio: ["ignore", "pipe", "inherit"] });
  let heard = "";
  listener.stdout.on("data", (d) => { heard += d; });
  await until("the socket", () => heard.includes("bound"));
  try {
    process.env.NOTIFY_SOCKET = where, process.env.WATCHDOG_USEC = "100000";
    const server = await start(sluice, ["serve", "--data", home.data, "--listen", "127.0.0.1:0"], home.data);
    delete process.env.NOTIFY_SOCKET, delete process.env.WATCHDOG_USEC;
    await until("READY", () => /READY=1/.test(heard));
    await until("two beats", () => heard.match(/WATCHDOG=1/g)?.length >= 2);
    await server.stop();
    check(/READY=1[^]*WATCHDOG=1[^]*STOPPING=1/.test(heard), heard);
  } finally {
    delete process.env.NOTIFY_SOCKET, delete process.env.WATCHDOG_USEC;
    listener.kill();
  }
});

test("addresses that cannot be had name the mend", async () => {
  const { data } = await house([]);
  const said = async (name, address) => (await cli(["serve", "--listen", address], { data: path.join(data, name) })).err;
  const server = await serve({ data });
  check(/Address already in use; another program.*--listen/.test(await said("second", server.url.slice(7))), "in use");
  check(/Cannot assign requested address; this machine has no such address/.test(await said("third", "192.0.2.1:8000")), "no such address");
  if (process.getuid() !== 0) check(/Permission denied; ports below 1024/.test(await said("third", "127.0.0.1:80")), "a low port");
  await server.stop();
});

test("401 says how to authenticate", async () => {
  const server = await serve(await house(["a"]));
  same((await request(server, "GET", "/v1/models", { key: null })).headers["www-authenticate"], 'Bearer realm="sluice"');
  const wrong = await ask(server, "a", {}, { key: "sk-sluice-wrong" });
  same([wrong.status, wrong.headers["www-authenticate"]], [401, 'Bearer realm="sluice", error="invalid_token"']);
  await server.stop();
});

test("/metrics: this machine without a proxy, or the key of metrics-key-file", async () => {
  const home = await house([]), file = path.join(home.data, "metrics.key"), key = "0123456789abcdef-metrics";
  writeFileSync(file, `${key}\n`);
  const server = await serve(home, "--metrics-key-file", file);
  const status = async (headers, k = null) => (await request(server, "GET", "/metrics", { key: k, headers })).status;
  same(await status({}), 200, "from here");
  for (const h of [{ "x-forwarded-for": "192.0.2.7" }, { forwarded: "for=192.0.2.7" }, { via: "1.1 proxy" }, { "x-real-ip": "192.0.2.7" }]) {
    same(await status(h), 403, `through a proxy: ${Object.keys(h)}`);
    same(await status(h, key), 200, "with the key");
    same(await status(h, `${key}x`), 403, "with another key");
    same(await status(h, home.key), 403, "with a customer's key");
  }
  check(!server.log.includes(key) && !(await cli(["serve", "--print-config", "--metrics-key-file", file], { data: home.data })).out.includes(key), "the key is shown nowhere");
  await server.stop();
  writeFileSync(file, "short\n");
  check(/must hold one key of 16/.test((await cli(["serve", "--metrics-key-file", file], { data: home.data })).err), "a short key");
});

await run();
