// What pages do beside being read: they hear of new results, tell how old figures are, and let charts be looked into.
// Without it every figure is there all the same.
"use strict";

// One stream of events for all tabs of this browser, which opens few connections to one server: the tab that holds the
// lock listens, and tells the others. When it closes, the next one gets the lock.
const tabs = new BroadcastChannel("knowdefeat-events");
const live = document.getElementById("live");
let version = null;
let away = null; // since when nothing is heard of new results
let behind = null; // since when figures are as they were, as the last refresh of the page did not bring them
let brought = new Date(); // when the page last got its figures
const lacks = document.getElementById("page").hasAttribute("data-lacks"); // an error in the place of the figures

function say() {
  const since = Math.min(away ?? Infinity, behind ?? Infinity);
  const isLive = since === Infinity && !lacks;
  live.className = `live ${isLive ? "on" : "off"}`;
  live.textContent = isLive ? "live" : lacks ? "asked again by itself" : `not updated since ${clock(new Date(since))}`;
}

function hear(message) {
  if (message.kind === "results") {
    away = null;
    // At once: however many viewers ask, the server computes a version once.
    if (lacks || (version !== null && message.version !== version)) refresh();
    version = message.version;
  } else {
    away ??= new Date(message.since);
  }
  say();
}

// A refresh that fails changes nothing on the page; it is asked for again, ever less often, until one succeeds.
const PAUSES = [2000, 30000];
let pause = PAUSES[0];
let again;

function refresh() {
  clearTimeout(again);
  if (lacks) become();
  else document.body.dispatchEvent(new Event("results"));
}

function failed() {
  behind ??= brought;
  say();
  clearTimeout(again);
  again = setTimeout(refresh, pause);
  pause = Math.min(2 * pause, PAUSES[1]);
}

async function become() { // the page that was asked for, once it is there: it brings scripts that an error has not
  try {
    const answer = await fetch(location.href);
    if (answer.ok) location.reload();
    else failed();
  } catch {
    failed();
  }
}

document.addEventListener("htmx:response:error", failed);
document.addEventListener("htmx:error", failed);

function tell(message) {
  hear(message);
  tabs.postMessage(message);
}

function listen() {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("results", (event) => tell({ kind: "results", version: event.data }));
  source.addEventListener("away", (event) => tell({ kind: "away", since: event.data }));
  source.addEventListener("error", () => {
    tell({ kind: "away", since: (away ?? new Date()).toISOString() });
    if (source.readyState === EventSource.CLOSED) setTimeout(() => { source.close(); listen(); }, 3000);
  });
}

tabs.addEventListener("message", (event) => {
  if (event.data.kind === "ask") {
    if (leading && away) tabs.postMessage({ kind: "away", since: away.toISOString() });
    else if (leading && version !== null) tabs.postMessage({ kind: "results", version });
  } else {
    hear(event.data);
  }
});
let leading = false;
if (navigator.locks) {
  navigator.locks.request("knowdefeat-events", () => {
    leading = true;
    listen();
    return new Promise(() => {}); // held until the tab closes
  });
  tabs.postMessage({ kind: "ask" });
} else {
  listen();
}

// Times: in UTC as written, in the viewer's zone on hover; and how old figures are.
function clock(time) {
  return time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function age(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s old`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min old`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h old`;
  return `${Math.round(seconds / 86400)} days old`;
}

function tellAges() {
  for (const place of document.querySelectorAll(".age")) {
    const seconds = (Date.now() - new Date(place.dataset.since)) / 1000;
    place.textContent = seconds < 0 ? "" : `(${age(seconds)})`;
  }
}

function tellZones() {
  for (const time of document.querySelectorAll("time:not([title])")) {
    time.title = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "long" });
  }
}

// Charts: uPlot in the place of the server's picture, where there is room to point at it.
const plots = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawCharts() {
  for (const [figure, plot] of plots) {
    plot.destroy();
    figure.querySelector(".tip")?.remove();
    figure.classList.remove("drawn");
  }
  plots.clear();
  if (!window.uPlot) return;
  for (const figure of document.querySelectorAll("figure.plot")) {
    const source = figure.querySelector("script[type='application/json']");
    const told = source && JSON.parse(source.textContent);
    if (told && told.series.length) draw(figure, told);
  }
}

// Days apart that names stand below a chart: never less than one, so that no two are the same.
const STEPS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 30, 60, 90, 180, 365, 730, 1825, 3650].map((days) => days * 86400);

function dayNames(ticks) {
  const isLong = ticks.length > 1 && ticks.at(-1) - ticks[0] > 366 * 86400;
  const parts = isLong ? { month: "short", year: "numeric" } : { day: "numeric", month: "short" };
  return ticks.map((tick) => new Date(tick * 1000).toLocaleDateString("en", { ...parts, timeZone: "UTC" }));
}

function padded(low, high, top = Infinity) { // as drawing.py does
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
  return [low - pad, Math.min(high + pad, top)];
}

function draw(figure, told) {
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const tip = document.createElement("p");
  tip.className = "tip";
  const shown = told.series.filter((series) => !series.hidden);
  const data = [told.x.map((day) => Date.parse(day) / 1000), ...told.series.map((series) => series.values)];
  const bars = told.series.some((series) => series.bars);
  const options = {
    width: figure.clientWidth,
    height: figure.classList.contains("small") ? 130 : figure.classList.contains("tall") ? 340 : 250,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { y: false, points: { size: 6 } },
    legend: { show: false },
    padding: [null, 26, null, null], // the half of a day's name, which stands below the last point
    axes: [{ ...axis, size: 28, incrs: STEPS, values: (plot, ticks) => dayNames(ticks) },
           { ...axis, size: 72, values: (plot, ticks) => levelNames(ticks) }],
    scales: {
      x: { range: (plot, low, high) => bars ? [low - 43200, high + 43200] : [low, high] },
      y: { range: (plot, low, high) => padded(bars ? Math.min(low, 0) : low, bars ? Math.max(high, 0) : high, told.top) },
    },
    series: [{}, ...told.series.map((series, place) => ({
      label: series.label, show: !series.hidden, stroke: colour(`--c${place % 8}`), width: 1.8, points: { show: false },
      ...(series.bars ? { paths: uPlot.paths.bars({ size: [0.6, 40] }), fill: `${colour(`--c${place % 8}`)}55`, width: 1 } : place >= 8 ? { dash: [2, 3] } : place % 2 ? { dash: [6, 3] } : {}),
    }))],
    hooks: { setCursor: [(plot) => {
      const at = plot.cursor.idx;
      tip.textContent = at == null ? "" : [told.x[at], ...told.series.map((series) => `${series.label} ${number(series.values[at], 2)}`)].join(" · ");
    }] },
  };
  if (!shown.length) return;
  const plot = new uPlot(options, data, figure);
  figure.append(tip);
  figure.classList.add("drawn");
  plots.set(figure, plot);
}

function number(value, digits = 6) {
  if (value == null) return "–";
  const fine = Math.abs(value) < 1 ? 3 : 2;
  const most = digits === 2 ? fine : Math.abs(value) < 10 ? fine : 0;
  const text = grouped(value, most, digits === 2 ? fine : 0);
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

function refreshed() {
  tellAges();
  tellZones();
  drawCharts();
}

let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawCharts, 150); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx.response.status >= 400) return; // which swaps nothing in
  [behind, brought, pause] = [null, new Date(), PAUSES[0]];
  clearTimeout(again);
  say();
  refreshed();
});
setInterval(tellAges, 10000);
refreshed();
if (lacks) failed();
