// The page in a real browser: it loads, a chat streams, its cost shows, the plot is drawn, and nothing comes from elsewhere.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { check, cli, metric, playwright, request, root, run, same, skip, startDemo, startFake, test, until } from "./harness.mjs";

const find = () => { try { return execFileSync("which", ["chromium"], { encoding: "utf8" }).trim(); } catch { return null; } };
const executablePath = find();
const server = await startDemo();
const address = /(\S+\/#key=\S+)/.exec(server.out)[1];
const shots = process.env.SHOTS; // a folder for screenshots, to look at
let browser;

const needBrowser = () => { if (!executablePath) skip("chromium is not installed"); };

async function open(where, options = {}) {
  needBrowser();
  browser ??= await playwright().chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"], timeout: 120000 });
  const context = await browser.newContext({ viewport: { width: 1240, height: 780 }, ...options });
  context.setDefaultTimeout(120000);
  const page = await context.newPage();
  page.faults = [];
  page.urls = [];
  page.on("console", (m) => { if (m.type() === "error") page.faults.push(m.text()); });
  page.on("pageerror", (e) => page.faults.push(String(e)));
  page.on("request", (r) => page.urls.push(r.url()));
  await page.goto(where);
  return page;
}
const shot = async (page, name) => { if (shots) mkdirSync(shots, { recursive: true }), await page.screenshot({ path: path.join(shots, `${name}.png`) }); };
const text = (page, id) => page.locator(`#${id}`).innerText();

async function chat(page, question) {
  await page.fill("#prompt", question);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".msg.assistant.live", { timeout: 5000 }).catch(() => {}); // a short answer may be over already
  await page.waitForFunction(() => document.querySelector(".msg.assistant:last-child .note"));
}

test("the printed address answers a question, with speed, cost and balance", async () => {
  const page = await open(address);
  await page.waitForFunction(() => document.querySelector("#model").value && document.querySelector("#balance").textContent);
  same(await page.evaluate(() => location.hash), "", "the key leaves the address bar");
  same(await text(page, "balance"), "10.00 USD");
  await shot(page, "welcome");
  await page.fill("#limit", "60");
  await chat(page, "What is sluice?");
  const answer = await page.locator(".msg.assistant .text").innerText();
  check(answer.length > 10, `the answer: ${answer}`);
  const note = await page.locator(".msg.assistant .note").first().innerText();
  check(/^\d+ \+ \d+ tokens · \d+ tokens\/s · 0\.\d+ USD/.test(note), note);
  check(/^9\.9\d+ USD$/.test(await text(page, "balance")), await text(page, "balance"));
  check(/^0\.\d+ USD$/.test(await text(page, "s-cost")), await text(page, "s-cost"));
  check(/tokens\/s/.test(await text(page, "s-speed")), await text(page, "s-speed"));
  await chat(page, "And what is a hold?"); // with the history
  same(await text(page, "s-answers"), "2");
  await shot(page, "chat");
  same(page.faults, [], "faults in the console");
  check(page.urls.every((u) => u.startsWith(server.url)), `asks elsewhere: ${page.urls.filter((u) => !u.startsWith(server.url))}`);
});

test("the plot shows what was used, by hour and by day", async () => {
  needBrowser(); // whose chats are the rows
  await until("the rows are there", async () => (await request(server, "GET", "/v1/sluice/usage?group=hour")).body.data.length > 0);
  const page = await open(address);
  for (const group of ["hour", "day"]) {
    await page.click(`[data-group=${group}]`);
    await page.waitForFunction((n) => document.querySelectorAll("#plot .slot").length === n, group === "hour" ? 24 : 30);
    await page.waitForFunction(() => [...document.querySelectorAll("#plot rect.out")].some((r) => Number(r.getAttribute("height")) > 0));
    check(/^\d+ requests, \d+ tokens in, \d+ out$/.test(await text(page, "plot-sum")), await text(page, "plot-sum"));
  }
  const row = (await request(server, "GET", "/v1/sluice/usage?group=day")).body.data.reduce((n, r) => n + r.output, 0);
  check((await text(page, "plot-sum")).endsWith(`${row.toLocaleString("en")} out`), "the plot's sum is the ledger's");
});

test("limits show as gauges, of what is used at this moment", async () => {
  needBrowser();
  const page = await open(address), limit = async (...args) => { const r = await cli(["limit", "set", "--account", "demo", ...args], { data: server.data }); check(r.code === 0, r.err); };
  await page.waitForFunction(() => document.querySelector("#plot svg"));
  same(await page.locator("#limits-card").isVisible(), false, "without limits");
  await limit("--requests", "5/day", "--parallel", "4");
  await page.reload(); // the key is kept in the tab
  await page.waitForSelector("#limits-card:not([hidden])");
  const gauges = () => page.locator(".gauge").evaluateAll((all) => all.map((g) => [g.innerText.replace(/\s+/g, " ").trim(), g.querySelector("meter").value, g.querySelector("meter").max]));
  const rows = (await request(server, "GET", "/v1/sluice/limits")).body.data, used = rows[0].used; // the chats before count in it
  check(used >= 2 && used <= 5, `${used} used`);
  same(await gauges(), [[`5 requests a day ${used}`, used, 5], ["4 requests at once 0", 0, 4]]);
  await limit("--requests", "50/day");
  await chat(page, "What is sluice?");
  await page.waitForFunction((n) => document.querySelector(".gauge meter").value === n, used + 1);
  check(/^account: \d+ used, \d+ left, all of it again in /.test(await page.locator(".gauge").first().getAttribute("title")), await page.locator(".gauge").first().getAttribute("title"));
  await shot(page, "limits");
  same(page.faults, [], "faults in the console");
  await limit("--requests", "none", "--parallel", "none");
});

test("a long answer streams and can be stopped", async () => {
  const fake = await startFake("1", "1", "1"); // its model `slow` would go on for hours
  const page = await open(`${fake.url}/#key=${fake.key}`);
  await page.waitForFunction(() => document.querySelector("#model").value);
  await page.selectOption("#model", "slow");
  await page.fill("#prompt", "Go on.");
  await page.keyboard.press("Enter");
  const length = () => page.evaluate(() => document.querySelector(".msg.assistant .text")?.textContent.length ?? 0);
  await until("text", async () => (await length()) > 0);
  const some = await length();
  await until("more text", async () => (await length()) > some);
  await shot(page, "streaming");
  await page.click("#send");
  await page.waitForSelector(".msg.assistant .note");
  check(/stopped/.test(await page.locator(".msg.assistant .note").first().innerText()));
  same(await page.locator("#send").innerText(), "Send");
  await until("the work has stopped", async () => (await metric(fake, "sluice_chats")) === 0);
  same(await metric(fake, 'sluice_ends_total{reason="cancel"}'), 1, "cancelled");
  same(page.faults, [], "faults in the console");
  await fake.stop();
});

test("without a key the page asks for one, and says when it is wrong", async () => {
  const page = await open(server.url);
  await page.waitForSelector("#ask-key[open]");
  await page.fill("#key", "sk-wrong");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#ask-key").open && document.querySelector("#key-error").textContent);
  await shot(page, "key");
  await page.fill("#key", server.key);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#balance").textContent);
  same(await page.locator("#ask-key").evaluate((d) => d.open), false);
});

test("dark, and narrow", async () => {
  for (const [name, options] of [["dark", { colorScheme: "dark" }], ["narrow", { viewport: { width: 390, height: 800 } }]]) {
    const page = await open(address, options);
    await page.waitForFunction(() => document.querySelector("#balance").textContent);
    await page.fill("#limit", "40");
    await chat(page, "What does `sluice audit` do?");
    await shot(page, name);
    check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: wider than the window`);
    same(page.faults, [], `${name}: faults`);
  }
});

test("the page's headers keep strangers out", async () => {
  const r = await request(server, "GET", "/", { key: null });
  same(r.status, 200);
  check(/default-src 'self'/.test(r.headers["content-security-policy"]), r.headers["content-security-policy"]);
  same(r.headers["x-content-type-options"], "nosniff");
  same((await request(server, "GET", "/page/none.js", { key: null })).status, 404);
  same((await request(server, "GET", "/page/..%2findex.html", { key: null })).status >= 400, true);
});

test("the browser closes", async () => { await browser?.close(); check(root); });

await run();
