// The systemd unit: what it must say, what systemd-analyze thinks of it, and what make install puts where.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { check, cli, folder, root, run, same, test } from "../api/harness.mjs";

const unit = path.join(root, "packaging/sluice.service");
const lines = readFileSync(unit, "utf8").split("\n").filter((l) => l && !l.startsWith("#"));
const value = (name) => lines.filter((l) => l.startsWith(`${name}=`)).map((l) => l.slice(name.length + 1));
const has = (program) => { try { execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" }); return true; } catch { return false; } };

test("the unit serves, is told when it is ready, and has time to drain", async () => {
  same([value("Type"), value("NotifyAccess"), value("Restart")], [["notify"], ["main"], ["on-failure"]]);
  const words = value("ExecStart")[0].split(" ");
  same((await cli([...words.slice(1), "--print-config"])).code, 0, "the command line of ExecStart");
  const drain = Number((await cli(["serve", "--print-config"])).out.match(/^drain-seconds += (\d+)/m)[1]);
  check(Number(value("TimeoutStopSec")[0]) >= drain + 10, "TimeoutStopSec is longer than drain-seconds");
});

test("the unit is hardened: exposure below 2", async () => {
  for (const [name, want] of Object.entries({ DynamicUser: "yes", ProtectSystem: "strict", ProtectHome: "yes", PrivateTmp: "yes", PrivateDevices: "yes", PrivateUsers: "yes",
    NoNewPrivileges: "yes", MemoryDenyWriteExecute: "yes", CapabilityBoundingSet: "", RestrictNamespaces: "yes", LockPersonality: "yes", SystemCallArchitectures: "native",
    RestrictAddressFamilies: "AF_INET AF_INET6 AF_UNIX", UMask: "0077", StateDirectoryMode: "0700", LimitCORE: "0" })) same(value(name), [want], name);
  if (!has("systemd-analyze")) return; // what it reckons with is checked above
  const out = execFileSync("systemd-analyze", ["security", "--offline=true", "--no-pager", unit]).toString();
  const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(out)?.[1]);
  console.log(`exposure ${exposure}`);
  check(exposure < 2, out);
});

test("make install puts program, unit and documents under PREFIX", async () => {
  if (path.basename(path.resolve(root, process.env.OUT ?? "build")) !== "build") return; // sanitizer builds are not installed
  const prefix = path.join(folder(), "s"), at = (p) => path.join(prefix, p);
  execFileSync("make", ["-s", "install", `PREFIX=${prefix}`], { cwd: root, env: { ...process.env, MAKEFLAGS: "", MAKELEVEL: "" }, stdio: ["ignore", "ignore", "inherit"] });
  const installed = readFileSync(at("lib/systemd/system/sluice.service"), "utf8");
  check(installed.includes(`ExecStart=${prefix}/bin/sluice serve`) && !installed.includes("/usr/local"), "the unit's paths");
  check(existsSync(at("share/doc/sluice/operating/systemd.md")), "the documents");
  check(/^sluice \d/.test(execFileSync(at("bin/sluice"), ["version"]).toString()), "the program");
  if (has("systemd-analyze")) execFileSync("systemd-analyze", ["verify", "--man=no", at("lib/systemd/system/sluice.service")], { stdio: "ignore" });
});

await run();
