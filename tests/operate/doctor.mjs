// sluice doctor: each fault is planted, named and comes with its mend; a sound set-up has none.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { check, cli, folder, run, same, sluice, test } from "../api/harness.mjs";
import { ask, house, ok, serve, tiny } from "./house.mjs";

// What doctor says: {code, list}; --listen takes a free port, so that other servers of this machine are not in the way.
async function doctor(data, { args = [], env } = {}) {
  const listen = args.includes("--listen") || args.includes("--config") ? [] : ["--listen", "127.0.0.1:0"];
  const r = await cli(["doctor", "--json", ...listen, ...args], { data, env });
  check(r.code === 0 || r.code === 1, `doctor ended with ${r.code}: ${r.err}`);
  return { code: r.code, list: JSON.parse(r.out) };
}
const of = (r, name, verdict) => r.list.filter((x) => x.check === name && (!verdict || x.verdict === verdict));
// The one fault (or warning) that is expected, with its mend; nothing else may be a fault.
async function finds(data, name, verdict, text, mend, options) {
  const r = await doctor(data, options);
  const found = of(r, name, verdict).find((x) => text.test(x.text));
  check(found, `${name}: ${JSON.stringify(of(r, name))}`);
  check(mend.test(found.mend), `the mend of ${name}: ${found.mend}`);
  same(r.code, verdict === "fault" ? 1 : 0, `exit code (${JSON.stringify(r.list.filter((x) => x.verdict === "fault"))})`);
  return r;
}
const sound = async () => { const home = await house(["a"]); await ok(["price", "set", "guide", "--input", "1", "--output", "1"], home); chmodSync(home.data, 0o700); return home; };
// A machine of our own making under /proc, /sys, /etc and /run.
function machine(files) {
  const root = folder();
  for (const [name, text] of Object.entries(files)) mkdirSync(path.dirname(path.join(root, name)), { recursive: true }), writeFileSync(path.join(root, name), text);
  return { env: { SLUICE_DOCTOR_ROOT: root } };
}

test("a sound set-up has no fault, with a server and without one, and every check says something", async () => {
  const home = await sound();
  const alone = await doctor(home.data);
  same([alone.code, alone.list.filter((x) => x.verdict === "fault")], [0, []]);
  const names = [...readFileSync(new URL("../../src/cli/doctor.def", import.meta.url), "utf8").matchAll(/^CHECK\("([^"]+)"/gm)].map((m) => m[1]);
  same([...new Set(alone.list.map((x) => x.check))], names, "the checks");
  const server = await serve(home);
  same((await ask(server, "a")).status, 200);
  const beside = await doctor(home.data);
  same([beside.code, beside.list.filter((x) => x.verdict === "fault")], [0, []]);
  check(/a server with this data folder answers/.test(of(beside, "address")[0].text), "the address");
  await server.stop();
  const text = await cli(["doctor", "--listen", "127.0.0.1:0"], { data: home.data });
  check(/^ok +data folder/m.test(text.out) && /0 faults\n$/.test(text.out), text.out);
});

test("whichever command makes the data folder, others cannot open it", async () => {
  for (const first of [["list"], ["price", "set", "guide", "--input", "1", "--output", "1"], ["account", "create", "a"]]) {
    const data = path.join(folder(), "made");
    await ok(first, { data });
    same(statSync(data).mode & 0o777, 0o700, first[0]);
    same(of(await doctor(data), "data folder", "fault"), [], first[0]);
  }
});

test("a data folder that is not there is no fault", async () => {
  const r = await doctor(path.join(folder(), "none"));
  same([r.code, of(r, "data folder")[0].verdict], [0, "warning"]);
});

test("settings, data folder and private files", async () => {
  const home = await sound(), { data } = home;
  writeFileSync(path.join(data, "sluice.conf"), "listne = 1\n");
  await finds(data, "settings", "fault", /sluice\.conf:1: there is no setting listne/, /correct the line/);
  unlinkSync(path.join(data, "sluice.conf"));
  chmodSync(data, 0o755);
  await finds(data, "data folder", "fault", /can be opened by other users \(mode 0755\)/, /chmod 0700/);
  chmodSync(path.join(data, "ledger.db"), 0o644);
  await finds(data, "private files", "fault", /ledger\.db can be read by other users/, /chmod 0600/);
  chmodSync(path.join(data, "ledger.db"), 0o600), chmodSync(data, 0o700);
  chmodSync(path.join(data, "secret"), 0o644);
  await finds(data, "private files", "fault", /secret can be read/, /chmod 0600/);
  chmodSync(path.join(data, "secret"), 0o600);
  if (process.getuid() === 0) {
    execFileSync("chown", ["12345", path.join(data, "ledger.db")]);
    await finds(data, "private files", "fault", /ledger\.db belongs to uid 12345/, /chown/);
    execFileSync("chown", ["0", path.join(data, "ledger.db")]);
  }
  same((await doctor(data)).code, 0, "all mended");
});

test("disk, store and audit", async () => {
  const home = await sound(), { data } = home, db = path.join(data, "ledger.db");
  await finds(data, "disk space", "fault", /MiB are free/, /free some/, { env: { ...machine({}).env, SLUICE_DOCTOR_LEAST_MIB: "99999999" } });
  const sql = (text) => execFileSync("python3", ["-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()", db, text]);
  mkdirSync(path.join(data, "backup.stage"));
  await finds(data, "store", "warning", /was left by a backup/, /remove it/);
  rmSync(path.join(data, "backup.stage"), { recursive: true });
  sql("UPDATE credit_grant SET adjusted = adjusted + 1");
  await finds(data, "audit", "fault", /difference/, /sluice audit lists/);
  sql("UPDATE credit_grant SET adjusted = adjusted - 1");
  const version = execFileSync("python3", ["-c", "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version').fetchone()[0])", db]).toString().trim();
  sql("PRAGMA user_version = 999");
  await finds(data, "store", "fault", /version 999, this program knows/, /newer program/);
  sql(`PRAGMA user_version = ${version}`);
  same((await doctor(data)).code, 0, "all mended");
  const bytes = readFileSync(db);
  bytes.fill(0x5a, 4096 * 2, 4096 * 4);
  writeFileSync(db, bytes);
  await finds(data, "store", "fault", /damaged|cannot be read/, /restore a backup/);
});

test("clock", async () => {
  const home = await sound(), server = await serve(home);
  same((await ask(server, "a")).status, 200);
  await server.stop();
  execFileSync("python3", ["-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1])\nfor (t,) in c.execute(\"SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='usage'\").fetchall(): c.execute(f'DROP TRIGGER {t}')\nc.execute('UPDATE usage SET end_us = end_us + 86400000000'); c.commit()", path.join(home.data, "ledger.db")]);
  await finds(home.data, "clock", "fault", /last request was billed at/, /timedatectl/);
});

test("processor, memory, large pages, open files, service", async () => {
  const home = await sound(), { data } = home;
  await finds(data, "processor", "warning", /./, /setting cpu|AVX2/, { env: { SLUICE_CPU: "scalar" } });
  await finds(data, "memory", "fault", /the machine has/, /lower memory/, { args: ["--memory", "16777216"] });
  await ok(["add", tiny(path.join(data, "big.gguf"), "embd=512", "ff=2048", "seed=3"), "--name", "big"], { data });
  await ok(["price", "set", "big", "--input", "1", "--output", "1"], { data });
  await finds(data, "memory", "fault", /big has .* it can never be loaded/, /smaller quantisation/, { args: ["--memory", "5"] });
  await finds(data, "large pages", "warning", /turned off/, /madvise/, machine({ "sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n" }));
  same(of(await doctor(data, machine({ "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n" })), "large pages")[0].verdict, "ok");
  const few = execFileSync("bash", ["-c", 'ulimit -Sn 512; ulimit -Hn 512; "$0" doctor --json --listen 127.0.0.1:0 --data "$1"', sluice, data]).toString();
  check(/at most 512 files/.test(JSON.parse(few).find((x) => x.check === "open files").text), few);
  await finds(data, "service", "warning", /no unit/, /make install/, machine({ "run/systemd/system/x": "" }));
  same(of(await doctor(data, machine({ "run/systemd/system/x": "", "etc/systemd/system/sluice.service": "" })), "service")[0].verdict, "ok");
  same(of(await doctor(data, machine({})), "service")[0].verdict, "skipped");
});

test("models and prices", async () => {
  const home = await sound(), { data } = home;
  await ok(["add", tiny(path.join(data, "new.gguf"), "seed=8"), "--name", "poor"], { data });
  await finds(data, "prices", "warning", /poor has no price/, /sluice price set poor/);
  const blobs = path.join(data, "hub/blobs/sha256"), digest = JSON.parse(await ok(["list", "--json"], { data })).find((m) => m.name === "poor").digest.replace("sha256:", "");
  const blob = path.join(blobs, readdirSync(blobs).find((f) => f.startsWith(digest))), bytes = readFileSync(blob);
  unlinkSync(blob);
  await finds(data, "models", "fault", /poor: /, /pull or add it again/);
  writeFileSync(blob, bytes.subarray(0, 1000));
  await finds(data, "models", "fault", /poor: its file has 1000 bytes/, /remove the damaged file/);
  unlinkSync(blob);
  writeFileSync(blob, Buffer.alloc(bytes.length, 7));
  await finds(data, "models", "fault", /poor: /, /remove the damaged file/);
});

// The certificate with both of its dates in the past (not every openssl makes such a one). Its signature is broken by that; nobody asks for it.
function expired(text) {
  const der = Buffer.from(text.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");
  let dates = 0;
  for (let at = 0; (at = der.indexOf(Buffer.from([0x17, 13]), at)) >= 0; at += 15) der.write(`20010${++dates}000000Z`, at + 2, "latin1"); // UTCTime
  same(dates, 2, "dates of the certificate");
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;
}

test("address and TLS", async () => {
  const home = await sound(), { data } = home, pem = (n) => path.join(data, n);
  const server = await serve(await house([]));
  await finds(data, "address", "fault", /in use/, /another address/, { args: ["--listen", server.url.slice(7)] });
  await finds(data, "address", "fault", /Cannot assign requested address/, /another address/, { args: ["--listen", "192.0.2.1:80"] });
  await server.stop();
  const make = (name, days) => execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", `${days}`, "-subj", "/CN=x", "-keyout", pem(`${name}.key`), "-out", pem(`${name}.crt`)], { stdio: "ignore" });
  const tls = (name, key = name) => ({ args: ["--tls-cert", pem(`${name}.crt`), "--tls-key", pem(`${key}.key`)] });
  make("good", 90), make("soon", 5), make("other", 90);
  writeFileSync(pem("old.crt"), expired(readFileSync(pem("good.crt"), "latin1")));
  copyFileSync(pem("good.key"), pem("old.key"));
  for (const n of ["good", "soon", "other", "old"]) chmodSync(pem(`${n}.key`), 0o600);
  same(of(await doctor(data, tls("good")), "TLS")[0].verdict, "ok");
  await finds(data, "TLS", "warning", /expires soon/, /renew/, tls("soon"));
  await finds(data, "TLS", "fault", /expired at/, /renew/, tls("old"));
  await finds(data, "TLS", "fault", /key does not belong|cannot be used/, /belongs to it/, tls("good", "other"));
  await finds(data, "TLS", "fault", /absent/, /in place/, tls("absent"));
  await finds(data, "TLS", "fault", /only tls-cert/, /both/, { args: ["--tls-cert", pem("good.crt")] });
  chmodSync(pem("good.key"), 0o644);
  await finds(data, "TLS", "fault", /good\.key can be read by other users/, /chmod 0600/, tls("good"));
});

await run();
