// Opens a page in headless Chromium and checks that its plots are there and readable, wide and
// narrow, light and dark, and on paper. Needs Node.js 20 and Chromium; nothing from a registry.
//
//     node report/check/check.mjs PAGE.html [FOLDER for screenshots]
//
// CHROMIUM names the browser, else the first of chromium and google-chrome that is found.

import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync, existsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [page, shots] = process.argv.slice(2);
if (!page) {
  console.error("usage: check.mjs PAGE.html [FOLDER for screenshots]");
  process.exit(2);
}
const url = pathToFileURL(resolve(page)).href;
if (shots) mkdirSync(shots, { recursive: true });

const browser = process.env.CHROMIUM
  ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!browser) {
  console.error("no Chromium is installed");
  process.exit(1);
}
const profile = mkdtempSync(join(tmpdir(), "simoom-report-check-"));
const child = spawn(browser, [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
  `--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank",
], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });

// The browser's protocol over two pipes: JSON, each message ended by a zero byte.
let last = 0;
const waiting = new Map();
const events = [];
let rest = "";
child.stdio[4].setEncoding("utf8").on("data", (text) => {
  const parts = (rest + text).split("\0");
  rest = parts.pop();
  for (const part of parts) {
    const message = JSON.parse(part);
    if (message.id === undefined) {
      events.push(message);
    } else {
      const { done, fail } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) fail(new Error(JSON.stringify(message.error)));
      else done(message.result);
    }
  }
});
child.on("exit", () => {
  for (const { fail } of waiting.values()) fail(new Error("the browser ended"));
});
let session;
const send = (method, params = {}) => new Promise((done, fail) => {
  last += 1;
  waiting.set(last, { done, fail });
  child.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId: session })}\0`);
});
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Calls a function in the page. */
async function inPage(what, ...args) {
  const expression = `(${what})(...${JSON.stringify(args)})`;
  const { result, exceptionDetails } =
    await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

/** Asks until the answer is true, for half a minute. */
async function until(what, ask) {
  for (let tries = 0; tries < 600; tries += 1) {
    const answer = await ask();
    if (answer) return answer;
    await pause(50);
  }
  throw new Error(`not within 30 seconds: ${what}`);
}

const faults = [];
const claim = (holds, what) => {
  if (!holds) faults.push(what);
};

async function screenshot(name, whole) {
  if (!shots) return;
  const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: whole });
  writeFileSync(join(shots, `${name}.png`), Buffer.from(data, "base64"));
}

/** What the page shows, as rectangles and words. Runs in the page. */
async function look() {
  const packed = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const box = (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return { left, right, top, bottom, text: element.textContent };
  };
  const seen = (element) => element.getClientRects().length > 0;
  return {
    width: innerWidth,
    scrollWidth: document.documentElement.scrollWidth,
    wanted: await new Response(stream).json(),
    // A table that is wider than the page scrolls inside its box.
    texts: [...document.querySelectorAll("h1,h2,p,dt,dd,footer,.drawing text")]
      .filter(seen).map(box),
    plots: [...document.querySelectorAll(".drawing")].map((drawing) => ({
      height: drawing.getBoundingClientRect().height,
      range: drawing._fullLayout.xaxis.range,
      x: box(drawing.querySelector(".xtitle")),
      y: box(drawing.querySelector(".ytitle")),
      xTicks: [...drawing.querySelectorAll(".xtick text")].map(box),
      yTicks: [...drawing.querySelectorAll(".ytick text")].map(box),
      legend: [...drawing.querySelectorAll(".legendtext")].map(box),
      area: box(drawing.querySelector(".nsewdrag")),
      paths: [...drawing.querySelectorAll(".scatterlayer .js-line")]
        .map((path) => path.getAttribute("d").length),
      marks: drawing.querySelectorAll(".scatterlayer .points path").length,
    })),
  };
}

const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
  && a.top < b.bottom - 1 && b.top < a.bottom - 1;
const plain = (text) => text.replaceAll(/\s+/g, " ").trim();
const decoded = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">")
  .replaceAll("&#34;", '"').replaceAll("&#39;", "'").replaceAll("&amp;", "&");

async function readable(what) {
  const seen = await inPage(look);
  claim(seen.scrollWidth <= seen.width, `${what}: ${seen.scrollWidth} px wide in ${seen.width} px`);
  for (const { left, right, text } of seen.texts) {
    claim(left >= 0 && right <= seen.width + 0.5,
      `${what}: from ${left} to ${right} of ${seen.width} px: ${text}`);
  }
  claim(seen.plots.length === seen.wanted.length && seen.plots.length > 0,
    `${what}: ${seen.plots.length} of ${seen.wanted.length} plots`);
  for (const [n, plot] of seen.plots.entries()) {
    const wanted = seen.wanted[n];
    const at = `${what}, plot ${n}`;
    claim(plot.height >= 300, `${at}: ${plot.height} px high`);
    claim(plain(plot.x.text) === plain(decoded(wanted.x.label)), `${at}: x is ${plot.x.text}`);
    claim(plain(plot.y.text) === plain(decoded(wanted.y.label)), `${at}: y is ${plot.y.text}`);
    claim(plot.xTicks.length >= 2 && plot.yTicks.length >= 2, `${at}: has no scale`);
    claim(plot.area.right - plot.area.left >= 200 && plot.area.bottom - plot.area.top >= 150,
      `${at}: ${plot.area.right - plot.area.left} by ${plot.area.bottom - plot.area.top} px to draw on`);
    claim(plot.legend.map((entry) => plain(entry.text)).join("|")
      === wanted.series.map((series) => plain(decoded(series.name))).join("|"),
    `${at}: the legend is ${plot.legend.map((entry) => entry.text)}`);
    const marks = (style) => ["points", "crosses"].includes(style);
    const lines = wanted.series.filter((series) => !marks(series.style)).length;
    claim(plot.paths.filter((length) => length > 5).length >= lines,
      `${at}: ${plot.paths} of ${lines} lines`);
    claim(plot.marks > 0 === (lines < wanted.series.length), `${at}: ${plot.marks} marks`);
    const texts = [plot.x, plot.y, ...plot.xTicks, ...plot.yTicks, ...plot.legend];
    for (const [m, one] of texts.entries()) {
      claim(!overlap(one, plot.area), `${at}: ${one.text} covers the drawing`);
      for (const other of texts.slice(m + 1)) {
        claim(!overlap(one, other), `${at}: ${one.text} covers ${other.text}`);
      }
    }
  }
  return seen;
}

/** Points at a mark in the middle of a series that has texts, and reads what is shown. */
async function hover(what, plot, name) {
  const aim = await inPage(async (n, wanted) => {
    const drawing = document.querySelectorAll(".drawing")[n];
    drawing.scrollIntoView({ block: "center", behavior: "instant" });
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const trace = drawing._fullData.find((one) => one.name === wanted);
    const { xaxis, yaxis } = drawing._fullLayout;
    const at = Math.floor(trace.x.length / 2 / 3) * 3;
    const frame = drawing.querySelector(".nsewdrag").getBoundingClientRect();
    return {
      x: frame.left + xaxis.d2p(trace.x[at]), y: frame.top + yaxis.d2p(trace.y[at]),
    };
  }, plot, name);
  const began = performance.now();
  await send("Input.dispatchMouseEvent", { type: "mouseMoved", x: aim.x + 3, y: aim.y + 3 });
  await send("Input.dispatchMouseEvent", { type: "mouseMoved", x: aim.x, y: aim.y });
  const text = await until(`${what}: a text over ${name}`, () => inPage(() =>
    [...document.querySelectorAll(".hoverlayer .hovertext")].map((one) => one.textContent).join()));
  return { text, took: performance.now() - began };
}

async function doubleClick(plot) {
  const { x, y } = await inPage((n) => {
    const frame = document.querySelectorAll(".nsewdrag")[n].getBoundingClientRect();
    return { x: (frame.left + frame.right) / 2, y: frame.bottom - 10 };
  }, plot);
  for (const clickCount of [1, 2]) {
    for (const type of ["mousePressed", "mouseReleased"]) {
      await send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount });
    }
  }
}

async function open(width, height, scheme) {
  await send("Emulation.setDeviceMetricsOverride",
    { width, height, deviceScaleFactor: 1, mobile: false });
  await send("Emulation.setEmulatedMedia",
    { media: "", features: [{ name: "prefers-color-scheme", value: scheme }] });
  await send("Page.navigate", { url });
  await until("the plots are drawn",
    () => inPage(() => document.readyState === "complete"
      && ["drawn", "failed"].includes(document.documentElement.dataset.plots)));
  claim(await inPage(() => document.documentElement.dataset.plots) === "drawn", "drawing failed");
}

async function check() {
  const { targetInfos } = await send("Target.getTargets");
  const target = targetInfos.find((info) => info.type === "page");
  session = (await send("Target.attachToTarget", { targetId: target.targetId, flatten: true })).sessionId;
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(`${domain}.enable`);

  for (const [width, scheme] of [[1280, "light"], [400, "dark"]]) {
    const what = `${width} px, ${scheme}`;
    const began = performance.now();
    await open(width, 900, scheme);
    const opened = performance.now() - began;
    const seen = await readable(what);
    await screenshot(`${width}-${scheme}`, true);
    const background = await inPage(() => getComputedStyle(document.body).backgroundColor);
    claim((background === "rgb(255, 255, 255)") === (scheme === "light"), `${what}: on ${background}`);

    // The series with most texts: a time-sequence graph, where there is one.
    const told = seen.wanted.flatMap((plot, n) => plot.series.map((series) => ({ n, series })))
      .filter(({ series }) => series.style === "bars" && series.hover.length > 0)
      .sort((a, b) => b.series.hover.length - a.series.hover.length)[0];
    if (told) {
      const { text, took } = await hover(what, told.n, told.series.name);
      claim(seen.wanted[told.n].series.some((series) => series.hover.some((one) =>
        text.startsWith(decoded(one.replaceAll("<br>", ""))))),
      `${what}: the text over a mark is ${text}`);
      await screenshot(`${width}-${scheme}-hover`, false);
      const zoomed = await inPage(async (n) => {
        const drawings = [...document.querySelectorAll(".drawing")];
        const [low, high] = drawings[n]._fullLayout.xaxis.range;
        const middle = (low + high) / 2;
        const range = [middle, middle + (high - low) / 50];
        const began = performance.now();
        await Plotly.relayout(drawings[n], { "xaxis.range": range });
        const one = performance.now() - began;
        while (document.documentElement.dataset.plots !== "drawn") {
          await new Promise((done) => setTimeout(done, 20));
        }
        const all = performance.now() - began;
        const follow = drawings.map((drawing) => drawing._fullLayout.xaxis.range);
        return { one, all, range, follow };
      }, told.n);
      for (const [m, plot] of seen.wanted.entries()) {
        const follows = plot.zooms_with !== "" && plot.zooms_with === seen.wanted[told.n].zooms_with;
        claim(follows === (zoomed.follow[m][0] === zoomed.range[0] && zoomed.follow[m][1] === zoomed.range[1]),
          `${what}: plot ${m} shows ${zoomed.follow[m]}, zoomed to ${zoomed.range}`);
      }
      await screenshot(`${width}-${scheme}-zoom`, false);
      console.log(`${what}: opened in ${opened.toFixed(0)} ms, `
        + `${told.series.x.length} bars: a text after ${took.toFixed(0)} ms, `
        + `zoomed in ${zoomed.one.toFixed(0)} ms, all plots after ${zoomed.all.toFixed(0)} ms: ${text}`);
    }
    if (told) {
      await doubleClick(told.n);
      const before = JSON.stringify(seen.plots.map((plot) => plot.range));
      await until(`${what}: a double click goes back`, () => inPage((wanted) =>
        document.documentElement.dataset.plots === "drawn"
        && JSON.stringify([...document.querySelectorAll(".drawing")]
          .map((drawing) => drawing._fullLayout.xaxis.range)) === wanted, before));
    }
    // The reader turns the device, or the light off.
    const [other, wider] = [scheme === "light" ? "dark" : "light", width === 400 ? 700 : 500];
    await send("Emulation.setEmulatedMedia",
      { media: "", features: [{ name: "prefers-color-scheme", value: other }] });
    await send("Emulation.setDeviceMetricsOverride",
      { width: wider, height: 900, deviceScaleFactor: 1, mobile: false });
    await until("the plots have their new size", () => inPage(() =>
      document.documentElement.dataset.plots === "drawn"
      && [...document.querySelectorAll(".drawing")].every((drawing) =>
        Math.abs(drawing.clientWidth - drawing.querySelector(".main-svg").clientWidth) < 2)));
    await pause(300);
    await readable(`${what}, then ${wider} px, ${other}`);
    await screenshot(`${width}-${scheme}-then-${wider}-${other}`, true);
  }

  await open(1280, 900, "dark");
  const { data } = await send("Page.printToPDF", { printBackground: false });
  const pdf = Buffer.from(data, "base64");
  claim(pdf.subarray(0, 5).toString() === "%PDF-" && pdf.length > 10_000, "it does not print");
  if (shots) writeFileSync(join(shots, "print.pdf"), pdf);

  for (const { method, params } of events) {
    if (method === "Runtime.exceptionThrown") faults.push(`exception: ${JSON.stringify(params)}`);
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      faults.push(`console: ${JSON.stringify(params.args)}`);
    }
    if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) {
      faults.push(`log: ${params.entry.text} ${params.entry.url ?? ""}`);
    }
    if (method === "Network.requestWillBeSent") {
      const asked = params.request.url;
      if (asked !== url && !asked.startsWith("data:") && !asked.startsWith("blob:")) {
        faults.push(`it asked for ${asked}`);
      }
    }
  }
}

try {
  await check();
} catch (error) {
  faults.push(String(error.stack));
} finally {
  const ended = new Promise((done) => child.once("exit", done));
  child.kill();
  await ended;
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
for (const fault of faults.slice(0, 30)) console.error(`FAULT ${fault}`);
console.log(`${page}: ${(statSync(page).size / 1e6).toFixed(2)} MB, ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
