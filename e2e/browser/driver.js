// Drives Debian's Chromium for the Go tests: one command a line on stdin ({"scenario", "args"}), one answer a line on stdout.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import * as scenarios from "./scenarios.js";

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

/** Pages of an application that is not ours: /uppy5/ and /uppy6/, bundled beside. */
const apps = createServer(async (request, response) => {
  const [, app, script] = request.url.split("/");
  if (script === "app.js") {
    response.setHeader("Content-Type", "text/javascript");
    response.end(await readFile(`${process.env.BUNDLES}/${app}.js`));
    return;
  }
  response.setHeader("Content-Type", "text/html");
  response.end('<!doctype html><title>app</title><input type="file" multiple><script type="module" src="app.js"></script>');
});
await new Promise((resolve) => apps.listen(0, "127.0.0.1", resolve));
const appOrigin = `http://127.0.0.1:${apps.address().port}`;

console.log(JSON.stringify({ ok: true, result: { app_origin: appOrigin } }));

for await (const line of createInterface({ input: process.stdin })) {
  const { scenario, args } = JSON.parse(line);
  const context = await browser.newContext({ ...args.context, serviceWorkers: "block" });
  const told = [];
  context.on("console", (m) => told.push(`${m.type()}: ${m.text()}`));
  context.on("weberror", (e) => told.push(`error: ${e.error()}`));
  let answer;
  try {
    answer = { ok: true, result: (await scenarios[scenario]({ ...args, appOrigin, context, told })) ?? null };
  } catch (error) {
    const shown = await Promise.all(context.pages().map((p) => p.locator("body").innerText({ timeout: 1000 }).catch(() => "")));
    answer = { ok: false, error: `${error?.stack ?? error}\n${told.join("\n")}\n--- page:\n${shown.join("\n---\n").slice(0, 3000)}` };
  }
  await context.close();
  console.log(JSON.stringify(answer));
}
apps.close();
await browser.close();
