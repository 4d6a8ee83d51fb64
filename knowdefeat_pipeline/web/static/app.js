// What pages do beside being read: they hear of new results, tell how old figures are, and let charts be looked into.
// Without it every figure is there all the same.
"use strict";

// One stream of events for all tabs of this browser, which opens few connections to one server: the tab that holds the
// lock listens, and tells the others. When it closes, the next one gets the lock.
const tabs = new BroadcastChannel("knowdefeat-events");
const live = document.getElementById("live");
let version = null;
let since = null;

function say(state, text) {
  live.className = `live ${state}`;
  live.textContent = text;
}

function hear(message) {
  if (message.kind === "results") {
    since = null;
    say("on", "live");
    if (version !== null && message.version !== version) {
      // At once: however many viewers ask, the server computes a version once.
      document.body.dispatchEvent(new Event("results"));
    }
    version = message.version;
  } else {
    since ??= message.since;
    say("off", `not updated since ${clock(new Date(since))}`);
  }
}

function tell(message) {
  hear(message);
  tabs.postMessage(message);
}

function listen() {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("results", (event) => tell({ kind: "results", version: event.data }));
  source.addEventListener("away", (event) => tell({ kind: "away", since: event.data }));
  source.addEventListener("error", () => {
    tell({ kind: "away", since: since ?? new Date().toISOString() });
    if (source.readyState === EventSource.CLOSED) setTimeout(() => { source.close(); listen(); }, 3000);
  });
}

tabs.addEventListener("message", (event) => {
  if (event.data.kind === "ask") {
    if (leading && version !== null) tabs.postMessage({ kind: "results", version });
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
    axes: [{ ...axis, size: 28, values: (plot, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" })) },
           { ...axis, size: 72, values: (plot, ticks) => ticks.map((tick) => number(tick)) }],
    scales: { x: { range: (plot, low, high) => bars ? [low - 43200, high + 43200] : [low, high] } },
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
  return value.toLocaleString("en", { maximumFractionDigits: most, minimumFractionDigits: digits === 2 ? fine : 0 }).replace("-", "−");
}

function refreshed() {
  tellAges();
  tellZones();
  drawCharts();
}

let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawCharts, 150); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
document.addEventListener("htmx:after:swap", refreshed);
setInterval(tellAges, 10000);
refreshed();
