// Events of jobs over HTTP: structured, batched, binary; each once, also when the same one comes many times at once and when the server is killed.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { check, cli, fakeServer, folder, request, root, run, same, start, test } from "./harness.mjs";

const ok = async (args, data) => {
  const r = await cli(args, { data });
  check(r.code === 0, `sluice ${args.join(" ")}: ${r.err}`);
  return r.out;
};
const data = folder();
await ok(["account", "create", "lab"], data);
await ok(["grant", "create", "lab", "100", "--scope", "training", "--funding", "investment"], data);
await ok(["price", "set", "h100", "--gpu-hour", "2.50", "--training-token", "0.40"], data);
const key = JSON.parse(await ok(["key", "create", "lab", "--scopes", "events", "--json"], data)).key;
let server = await start(fakeServer, [data], data);
const event = (id, type, subject, more) => ({ specversion: "1.0", id, source: "slurm/hal", type: `sluice.${type}`, subject, ...(more ? { data: more } : {}) });
const send = (body, headers = {}) => request(server, "POST", "/v1/sluice/events", { key, body, headers: { "content-type": "application/cloudevents+json", ...headers } });

test("a job by each way to send an event; its receipt, refund and the audit", async () => {
  const opened = await send(event("1", "hold.open", "job", { model: "h100", most: { gpu_hour: 16 }, lease_seconds: 600 }));
  same([opened.status, opened.body.state, opened.body.held, opened.body.balance], [200, "open", "40.00", "60.00"], JSON.stringify(opened.body));
  const renewed = await send({ used: { gpu_second: 3600 } }, { "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "2", "ce-source": "slurm/hal", "ce-type": "sluice.hold.renew", "ce-subject": "job" });
  same([renewed.status, renewed.body.state, renewed.body.held], [200, "open", "40.00"], JSON.stringify(renewed.body));
  const batch = await send([event("3", "hold.capture", "job", { used: { gpu_second: 7200, training_token: 1000000 } }), event("4", "hold.capture", "job"), { id: "5" }], { "content-type": "application/cloudevents-batch+json" });
  same(batch.body.data.map((a) => a.state ?? a.error.status), ["captured", 409, 400], JSON.stringify(batch.body));
  same([batch.body.data[0].charged, batch.body.data[0].balance], ["5.40", "94.60"]);
  const receipt = JSON.parse(await ok(["usage", batch.body.data[0].job, "--json"], data));
  same([receipt.agrees, receipt.charged, receipt.meters.map((m) => [m.meter, m.tokens ?? m.quantity, m.amount])], [true, "5.40", [["training_token", 1000000, "0.40"], ["gpu_hour", 7200, "5.00"]]]);
  same((await send(event("6", "usage", undefined, { model: "h100", used: { gpu_hour: 1000 } }))).status, 429);
});

test("what is no event, and who may send none", async () => {
  for (const [body, headers, status] of [["{", {}, 400], [{}, {}, 400], [[], {}, 400], ["3", {}, 400], [event("x", "hold.open", "x", { model: "h100", most: { gpu_hour: -1 } }), {}, 400], [{}, { "content-type": "text/plain" }, 415], [event("x", "hold.open", "x", { model: "free", most: { gpu_hour: 1 } }), {}, 400], [Array(101).fill(event("x", "usage")), {}, 400]]) {
    const a = await send(body, headers);
    check(a.status === status && a.body.error.message, `${JSON.stringify(body).slice(0, 80)}: ${a.status} ${JSON.stringify(a.body)}`);
  }
  const other = JSON.parse(await ok(["key", "create", "lab", "--json"], data)).key;
  same((await request(server, "POST", "/v1/sluice/events", { key: other, body: event("x", "usage") })).status, 403, "a key without the scope");
  same((await request(server, "POST", "/v1/sluice/events", { key: null, body: event("x", "usage") })).status, 401);
});

test("the same event fifty times at once, and after a kill, is one", async () => {
  const usage = event("once", "usage", undefined, { model: "h100", used: { gpu_hour: 2 } });
  const answers = await Promise.all(Array.from({ length: 50 }, () => send(usage)));
  check(answers.every((a) => a.status === 200 && a.body.charged === "5.00"), JSON.stringify(answers.find((a) => a.status !== 200)?.body));
  const open = await send(event("late", "hold.open", "long", { model: "h100", most: { gpu_hour: 4 } }));
  same(open.body.held, "10.00");
  server.stopped = true;
  server.child.kill("SIGKILL"); // as soon as it is answered
  await server.ended;
  server = await start(fakeServer, [data], data);
  same((await send(usage)).body.charged, "5.00", "still the same");
  const end = await send(event("end", "hold.capture", "long", { used: { gpu_hour: 1 } }));
  same([end.body.charged, end.body.balance], ["2.50", "87.10"], JSON.stringify(end.body));
  await server.stop();
  // The share of a publisher, and what came back: the ledger's own audit and the one that shares nothing with it.
  await ok(["account", "create", "maker"], data);
  await ok(["publisher", "set", "h100", "maker", "--share", "33.33"], data);
  server = await start(fakeServer, [data], data);
  const shared = await send(event("shared", "usage", undefined, { model: "h100", used: { gpu_second: 1001, training_token: 7 } }));
  same(shared.body.charged, "0.695141689", JSON.stringify(shared.body));
  await server.stop();
  const statement = async () => JSON.parse(await ok(["publisher", "statement", "maker", "--json"], data))[0];
  same([(await statement()).requests, (await statement()).owed], [1, "0.231690725"]);
  same(await ok(["publisher", "statement", "maker", "--csv"], data), "publisher,model,terms,requests,charged,refunded,share,share_refunded,owed,balance,currency\nmaker,h100,1,1,0.695141689,0.00,0.231690725,0.00,0.231690725,0.231690725,USD\n");
  await ok(["refund", shared.body.job, "--reason", "=1+1, a test"], data);
  const log = (await ok(["audit", "log", "--csv"], data)).trimEnd().split("\n"), rows = JSON.parse(await ok(["audit", "log", "--json"], data));
  same([log[0], log.length - 1], [Object.keys(rows[0]).join(","), rows.length]);
  check(log.some((x) => x.includes(",publisher.set,")), log.join("\n"));
  same([(await statement()).owed, (await statement()).balance], ["0.00", "0.00"], "all of it came back");
  await ok(["audit"], data);
  execFileSync("python3", [path.join(root, "tests/crash/second_audit.py"), path.join(data, "ledger.db")]);
});

await run();
