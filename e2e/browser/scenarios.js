// What a person does at the pages, one function each. `gateway` is the pages' origin, `token` a bearer, `control` where the Go test listens for
// what a page cannot do itself: cut a line, revoke a token.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const patience = 60_000;

async function open({ context, gateway, token }, path = "/_partway/") {
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  await page.goto(gateway + path);
  if (token) await signIn(page, token);
  return page;
}

async function signIn(page, token) {
  await page.getByLabel("Bearer token").fill(token);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

const choose = (page, files) => page.getByTestId("files").setInputFiles(files);
const row = (page, name) => page.locator(".file", { hasText: name });
const inState = (page, name, ...states) => page.locator(states.map((s) => `.file[data-state="${s}"]`).join(","), { hasText: name }).first().waitFor();
const numbers = async (page, name) =>
  Object.fromEntries(Object.entries(await row(page, name).evaluate((e) => ({ ...e.dataset }))).map(([k, v]) => [k, k === "state" ? v : Number(v)]));
const tell = async ({ control }, what) => {
  const response = await fetch(`${control}/${what}`, { method: "POST" });
  if (!response.ok) throw new Error(`${what}: ${await response.text()}`);
};

/** Waits until a part has landed; the Go test holds the line, so that not all can. */
async function partlyLanded(page, name) {
  await page.locator('.file[data-state="uploading"]:not([data-landed="0"])', { hasText: name }).waitFor();
}

async function receipt(page, name) {
  await inState(page, name, "done");
  await row(page, name).locator("summary").click();
  const terms = await row(page, name).locator("dt").allInnerTexts();
  const values = await row(page, name).locator("dd").allInnerTexts();
  return { summary: await row(page, name).locator("summary").innerText(), ...Object.fromEntries(terms.map((t, i) => [t, values[i]])) };
}

/** An upload from the page, with what the address bar, the storage of the browser and every URL held meanwhile. */
export async function upload(args) {
  const urls = [];
  args.context.on("request", (r) => urls.push(r.url()));
  const page = await open(args);
  await choose(page, args.files);
  const result = {};
  for (const name of args.names) result[name] = await receipt(page, name);
  const kept = await page.evaluate(async () => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href]));
  return { receipts: result, urls, kept, csp: args.told.filter((t) => t.includes("Content Security Policy")) };
}

export async function pauseAndResume(args) {
  const page = await open(args);
  await choose(page, args.files);
  await partlyLanded(page, args.names[0]);
  await row(page, args.names[0]).getByRole("button", { name: "Pause" }).click();
  await inState(page, args.names[0], "paused");
  const at = await numbers(page, args.names[0]);
  await tell(args, "release");
  await row(page, args.names[0]).getByRole("button", { name: "Continue" }).click();
  await receipt(page, args.names[0]);
  return { before: at, end: await numbers(page, args.names[0]) };
}

/** Drops files and folders as the desktop does: the browser opens them itself and hands the page its own items and handles. */
async function drop(page, files) {
  const box = await page.locator(".drop").boundingBox();
  const session = await page.context().newCDPSession(page);
  const at = { x: box.x + box.width / 2, y: box.y + 10, data: { items: [], files, dragOperationsMask: 1 } };
  for (const type of ["dragEnter", "dragOver", "drop"]) await session.send("Input.dispatchDragEvent", { type, ...at });
  await session.detach();
}

/** Drops, one after the other. */
export async function droppedFolder(args) {
  const page = await open(args);
  await page.getByText("Drop files or folders here").waitFor();
  for (const one of args.drops) await drop(page, one);
  for (const name of args.names) await page.locator(`.file[data-state="done"]:has(.name:text-is("${name}"))`).waitFor();
  return { names: await page.locator(".file .name").allInnerTexts(), alerts: await page.getByRole("alert").allInnerTexts() };
}

/** A dropped file is opened again by its handle: nobody is asked to choose it. */
export async function droppedAndReloaded(args) {
  const name = args.names[0];
  const page = await open(args);
  await page.getByText("Drop files or folders here").waitFor();
  await drop(page, args.files);
  await partlyLanded(page, name);
  const before = await numbers(page, name);
  page.once("dialog", (d) => d.accept());
  await page.reload();
  await tell(args, "release");
  await signIn(page, args.token);
  await inState(page, name, "paused");
  let asked = false;
  page.on("filechooser", () => (asked = true));
  await row(page, name).getByRole("button", { name: /^Continue/ }).click();
  await receipt(page, name);
  return { asked, before, end: await numbers(page, name) };
}

/** More files than anybody wants rows of; none is sent. */
export async function manyFiles(args) {
  const page = await open(args);
  await page.getByText("Drop files or folders here").waitFor();
  await args.context.setOffline(true);
  await drop(page, args.drop);
  await page.getByText(/^and .* more/).waitFor();
  return { rows: await page.locator(".file").count(), more: await page.getByText(/^and .* more/).innerText(), summary: await page.locator(".summary strong").innerText() };
}

/** How much memory the tab, the rest of the browser and the process hold, in MiB, while a file goes up. */
export async function memory(args) {
  const name = args.names[0];
  const page = await open(args);
  const session = await args.context.browser().newBrowserCDPSession();
  const resident = async (pid) => Math.round(Number((await readFile(`/proc/${pid}/status`, "utf8")).match(/^VmRSS:\s+(\d+)/m)[1]) / 1024);
  const samples = [];
  await choose(page, args.files);
  await row(page, name).waitFor();
  const bar = row(page, name).getByRole("progressbar");
  while (!["done", "failed"].includes(await row(page, name).getAttribute("data-state"))) {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const sum = { renderers: 0, browser: 0, rest: 0 };
    for (const { type, id } of processInfo) {
      sum[type === "renderer" ? "renderers" : type === "browser" ? "browser" : "rest"] += await resident(id).catch(() => 0); // it may have ended meanwhile
    }
    const share = Number(await bar.getAttribute("aria-valuenow", { timeout: 1000 }).catch(() => 100)) / 100; // gone when it is done
    samples.push({ share, ...sum, gateway: await resident(args.process) });
    await page.waitForTimeout(1000);
  }
  return { samples, receipt: await receipt(page, name) };
}

/** The URL of the first part runs out before it is used. */
export async function expired(args) {
  const page = await open(args);
  let late = "";
  const answers = [];
  await page.route(/X-Amz-Expires=/, async (route) => {
    if (!late) {
      late = route.request().url();
      const query = new URL(late).searchParams;
      const [, y, mo, d, h, mi, s] = query.get("X-Amz-Date").match(/(....)(..)(..)T(..)(..)(..)Z/);
      const end = Date.UTC(y, mo - 1, d, h, mi, s) + (Number(query.get("X-Amz-Expires")) + 2) * 1000;
      await new Promise((resolve) => setTimeout(resolve, end - Date.now()));
    }
    await route.continue();
  });
  // A refusal that storage sends without CORS headers is a failed request to the page.
  page.on("requestfailed", (r) => r.url() === late && answers.push("refused"));
  page.on("requestfinished", async (r) => r.url() === late && answers.push((await r.response()).status() === 403 ? "refused" : "taken"));
  await choose(page, args.files);
  await receipt(page, args.names[0]);
  return { answers, end: await numbers(page, args.names[0]) };
}

export async function reload(args) {
  const name = args.names[0];
  let page = await open(args);
  await choose(page, args.files);
  await partlyLanded(page, name);
  const before = await numbers(page, name);
  const asked = new Promise((resolve) => page.once("dialog", (d) => (resolve(d.type()), d.accept())));
  await page.mouse.click(5, 5); // a browser asks only on a page that was used
  await page.reload();
  await tell(args, "release");
  await signIn(page, args.token);
  await inState(page, name, "paused");
  const other = await refuse(page, name, args.other);
  await row(page, name).getByTestId("again").setInputFiles(args.files[0]);
  await receipt(page, name);
  return { warned: await asked, other, before, end: await numbers(page, name) };
}

/** Gives another file in place of the one whose upload was begun; what the page says. */
async function refuse(page, name, file) {
  await row(page, name).getByTestId("again").setInputFiles(file);
  return row(page, name).getByRole("alert").innerText();
}

export async function networkCut(args) {
  const name = args.names[0];
  const page = await open(args);
  await choose(page, args.files);
  await partlyLanded(page, name);
  const before = await numbers(page, name);
  await tell(args, "cut");
  await inState(page, name, "offline");
  const said = await row(page, name).innerText();
  await tell(args, "mend");
  return { said, before, receipt: await receipt(page, name), end: await numbers(page, name) };
}

export async function revoked(args) {
  const name = args.names[0];
  const page = await open(args);
  await choose(page, args.files);
  await partlyLanded(page, name);
  const before = await numbers(page, name);
  await tell(args, "revoke");
  await inState(page, name, "paused");
  const said = await row(page, name).getByRole("alert").innerText();
  await page.getByRole("button", { name: "Sign out" }).click();
  await signIn(page, args.second);
  await row(page, name).getByTestId("again").setInputFiles(args.files[0]);
  await receipt(page, name);
  return { said, before, end: await numbers(page, name) };
}

/** Signing in at the provider: as somebody who is let in, and each way that fails. */
export async function signInAtProvider(args) {
  const urls = [];
  args.context.on("request", (r) => urls.push(r.url()));
  const page = await open({ ...args, token: "" }, "/_partway/console#/traffic");
  const at = (link) => page.getByRole("button", { name: /^Sign in with/ }).click().then(() => page.getByRole("link", { name: link, exact: true }).click());
  const said = async () => {
    await page.getByRole("alert").waitFor();
    return { said: await page.getByRole("alert").innerText(), address: page.url() };
  };
  const result = { refused: {} };
  for (const link of args.refused) {
    await at(link);
    result.refused[link] = await said();
  }
  await page.goto(`${args.gateway}/_partway/console?code=x&state=y`); // a link that somebody else made
  result.refused.link = await said();

  await page.goto(`${args.gateway}/_partway/console#/traffic`);
  await at(args.person);
  await page.getByRole("heading", { name: "Traffic" }).waitFor(); // the view that was left
  result.console = page.url();
  await page.goto(`${args.gateway}/_partway/`);
  await at(args.person);
  await choose(page, args.files);
  result.receipt = await receipt(page, args.names[0]);
  result.kept = await page.evaluate(async () => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href]));
  return { ...result, urls, csp: args.told.filter((t) => t.includes("Content Security Policy")) };
}

/** The provider is away. */
export async function providerAway(args) {
  const page = await open({ ...args, token: "" });
  await page.getByRole("button", { name: /^Sign in with/ }).click();
  const said = await page.getByRole("alert").innerText();
  return { said, usable: await page.getByRole("button", { name: /^Sign in with/ }).isEnabled() };
}

/** What the page says to a token or a file that is not let in. */
export async function refused(args) {
  const page = await open(args);
  if (args.files) {
    await choose(page, args.files);
    await inState(page, args.names[0], "failed");
  }
  await page.getByRole("alert").first().waitFor();
  return (await page.getByRole("alert").allInnerTexts()).join(" ");
}

export async function nameTaken(args) {
  const name = args.names[0];
  const page = await open(args);
  await choose(page, args.files);
  await receipt(page, name);
  await page.getByRole("button", { name: "Clear finished" }).click();
  await choose(page, args.files);
  await inState(page, name, "asking");
  await row(page, name).getByRole("button", { name: "Keep both" }).click();
  const renamed = name.replace(/(\.\w+)$/, " (2)$1");
  return receipt(page, renamed);
}

export async function twoTabs(args) {
  const name = args.names[0];
  const first = await open(args);
  await choose(first, args.files);
  await partlyLanded(first, name);
  const second = await open(args);
  await inState(second, name, "paused");
  await row(second, name).getByTestId("again").setInputFiles(args.files[0]);
  const said = await row(second, name).getByRole("alert").innerText();
  await tell(args, "release");
  await receipt(first, name);
  return { said, end: await numbers(first, name) };
}

/** An application with Uppy and nothing of ours. */
export async function uppy(args) {
  const page = await args.context.newPage();
  page.setDefaultTimeout(patience);
  await page.goto(`${args.appOrigin}/${args.app}/`);
  await page.locator("input").setInputFiles(args.files);
  return page.evaluate(
    ([app, gateway, token, bucket, prefix]) => {
      const files = [...document.querySelector("input").files];
      return app === "uppy5" ? window.upload(files, gateway + "/_partway", token) : window.upload(files, gateway, token, bucket, prefix);
    },
    [args.app, args.gateway, args.token, args.bucket, args.prefix],
  );
}

/** Serious and critical findings of axe on what the page shows now. */
async function findings(page) {
  await page.evaluate(axe); // needs no script element, which the page's policy would refuse
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(" | ")}`);
  });
}

/** Both pages, looked at by axe and, if `shots` names a directory, photographed. */
export async function accessible(args) {
  const out = {};
  const look = async (page, name) => {
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      out[`${name} ${scheme}`] = await findings(page);
      if (args.shots) await page.evaluate(() => document.fonts.ready);
      if (args.shots) await page.screenshot({ path: `${args.shots}/${name}-${scheme}.png` });
    }
    const wide = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 844 }); // a telephone
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    out[`${name} narrow`] = over > 0 ? [`${over} px wider than the window`] : [];
    if (args.shots) await page.screenshot({ path: `${args.shots}/${name}-narrow.png`, fullPage: true });
    await page.setViewportSize(wide);
  };
  const first = await open({ ...args, token: "" });
  await look(first, "sign-in");
  await signIn(first, args.token);
  await first.getByRole("button", { name: "Choose files" }).waitFor();
  await choose(first, args.files);
  for (const name of args.names) await inState(first, name, "done");
  await row(first, args.names[0]).locator("summary").click();
  await look(first, "uploader");
  await first.close();
  const page = await open({ ...args, token: args.operator }, "/_partway/console");
  await page.getByRole("link", { name: args.names[0] }).waitFor();
  await look(page, "console-uploads");
  await page.getByRole("link", { name: args.open }).click();
  await page.getByRole("cell", { name: "CreateMultipartUpload" }).waitFor();
  await page.locator(".strip").waitFor();
  await look(page, "console-upload");
  await page.getByRole("link", { name: "Traffic" }).click();
  await page.locator(".bars").waitFor();
  await look(page, "console-traffic");
  await page.getByRole("link", { name: "Tokens" }).click();
  await page.getByRole("button", { name: "Issue a token" }).click();
  await look(page, "console-tokens");
  return out;
}

/** The console where there is more than one page of everything. */
export async function manyUploads(args) {
  const page = await open(args, "/_partway/console");
  const links = page.locator("tbody th a");
  const result = { pages: [], elements: 0 };
  for (;;) {
    await page.locator('table[aria-busy="false"]').waitFor();
    result.pages.push(await links.allInnerTexts());
    result.elements = Math.max(result.elements, await page.locator("*").count());
    const older = page.getByRole("button", { name: "Older" });
    if (await older.isDisabled()) break;
    await older.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: result.pages.at(-1)[0], exact: true }).waitFor({ state: "detached" });
  }
  await page.getByLabel("Keys that begin with").fill(args.prefix + args.first);
  await page.getByRole("link", { name: args.first }).click();
  await page.getByRole("cell", { name: "CreateMultipartUpload" }).waitFor();
  result.events = [await page.locator("tbody tr").count()];
  for (const later = page.getByRole("button", { name: "Later" }); await later.isEnabled(); ) {
    const parts = () => page.locator("tbody tr td:nth-child(3)").allInnerTexts();
    const before = (await parts()).at(-1);
    await later.click();
    await page.locator("tbody tr").first().getByText(String(Number(before) + 1), { exact: true }).waitFor();
    result.events.push(await page.locator("tbody tr").count());
  }
  return result;
}

/** A tenant finds its upload in the console and ends another; an operator issues a token, which works, and revokes it. */
export async function inTheConsole(args) {
  const up = await open(args);
  await choose(up, args.files);
  await inState(up, args.names[0], "done");
  const page = await open(args, "/_partway/console");
  const rowOf = (text) => page.getByRole("row").filter({ hasText: text });
  const result = {};
  await rowOf(args.names[0]).getByText("completed").waitFor();
  await rowOf(args.open).getByText("open", { exact: true }).waitFor();
  result.rows = await page.locator("tbody tr").count();
  await page.getByRole("button", { name: "Completed" }).click();
  await rowOf(args.open).waitFor({ state: "detached" });
  await page.getByLabel("Keys that begin with").fill(args.prefix + args.names[0]);
  await page.getByRole("link", { name: args.names[0] }).focus();
  await page.keyboard.press("Enter"); // by keyboard
  await page.getByRole("cell", { name: "CompleteMultipartUpload" }).waitFor();
  result.events = await page.locator("tbody tr td:nth-child(2)").allInnerTexts();
  result.strip = await page.locator(".strip svg").getAttribute("aria-label");
  await page.getByRole("link", { name: "All uploads" }).click();
  await page.getByRole("link", { name: args.open }).click();
  result.openStrip = await page.locator(".strip svg").getAttribute("aria-label");
  page.once("dialog", (d) => d.accept());
  await page.getByRole("button", { name: "End upload" }).click();
  await page.getByText("aborted", { exact: true }).waitFor();
  result.tabs = await page.getByRole("navigation", { name: "Console" }).getByRole("link").allInnerTexts();

  await page.getByRole("button", { name: "Sign out" }).click();
  await signIn(page, args.operator);
  await page.getByRole("link", { name: "Traffic" }).click();
  await page.getByText("Who still relays").waitFor();
  await page.locator("tbody tr").first().waitFor();
  result.relays = await page.locator("tbody tr").allInnerTexts();
  await page.getByRole("link", { name: "Tokens" }).click();
  await page.getByRole("button", { name: "Issue a token" }).click();
  await page.getByLabel("Tenant", { exact: true }).first().fill(args.tenant);
  await page.getByLabel("Bucket").fill(args.bucket);
  await page.getByLabel("Prefix").fill(args.prefix + "issued");
  await page.getByRole("button", { name: "Issue", exact: true }).click();
  result.issued = await page.getByLabel("The token", { exact: true }).inputValue();
  const who = async () => (await fetch(args.gateway + "/_partway/whoami", { headers: { Authorization: "Bearer " + result.issued } })).status;
  result.before = await who();
  const issued = rowOf(args.prefix + "issued");
  await issued.getByText("bearer").waitFor();
  page.once("dialog", (d) => d.accept());
  await issued.getByRole("button", { name: "Revoke" }).click();
  await issued.waitFor({ state: "detached" });
  // Gateways learn of it within seconds.
  for (result.after = 200; result.after === 200; result.after = await who()) await page.waitForTimeout(100);
  return result;
}
