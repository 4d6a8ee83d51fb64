// The ranking as it would be, while weights are moved: the same sums in the same order as the pipeline's, so that not a
// bit differs. Without this script the button Preview asks the server.
"use strict";

let ranks = null;
let places = [];

const form = () => document.getElementById("weights");
const sliders = () => [...document.querySelectorAll(".slider")];

function given() {
  return sliders().map((slider) => Number(slider.querySelector("[type=number]").value));
}

// NumPy's sum of a row: eight running sums, added in pairs, then what is left.
function sum(values) {
  if (values.length < 8) return values.reduce((total, value) => total + value, 0);
  const running = values.slice(0, 8);
  const whole = values.length - values.length % 8;
  for (let at = 8; at < whole; at += 8) for (let k = 0; k < 8; k++) running[k] += values[at + k];
  let total = ((running[0] + running[1]) + (running[2] + running[3])) + ((running[4] + running[5]) + (running[6] + running[7]));
  for (let at = whole; at < values.length; at++) total += values[at];
  return total;
}

function even(value) { // rounds a half to the even number, as NumPy does
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function ranked(weights) {
  const size = sum(weights.map(Math.abs));
  if (!(size > 0)) return null;
  const rows = ranks.numbers.map((numbers, place) => {
    const points = numbers.map((number, at) => 100 * (number / 2 / ranks.steps[at] - 0.5) * weights[at] / size);
    const score = 50 + sum(points);
    return { place, score, key: even(score * 1e9) / 1e9, bot_id: ranks.bot_id[place] };
  });
  rows.sort((one, other) => other.key - one.key || one.bot_id - other.bot_id);
  return rows;
}

function shown(value, digits = 0, sign = false) {
  if (value == null) return "–";
  const text = grouped(value, digits);
  return !/[1-9]/.test(text) ? text : (value < 0 ? "−" : sign ? "+" : "") + text;
}

function cell(kind, text, classes, figure) {
  const made = document.createElement(kind);
  made.className = classes;
  made.textContent = text;
  if (figure) made.dataset.figure = figure;
  return made;
}

function row(of, number) {
  const before = ranks.rank_before[of.place];
  const moved = before == null ? null : before - number;
  const made = document.createElement("tr");
  made.id = `bot-${of.bot_id}`;
  const bot = cell("th", "", "name");
  bot.scope = "row";
  const link = document.createElement("a");
  link.href = ranks.address[of.place];
  link.textContent = ranks.bot[of.place];
  bot.append(link);
  const step = cell("td", "", "n", "moved");
  step.append(cell("span", shown(moved, 0, true), moved > 0 ? "up" : moved < 0 ? "down" : ""));
  made.append(cell("td", shown(number), "n", "rank"), cell("td", shown(before), "n soft", "rank_before"), step, bot,
    cell("td", ranks.strategy[of.place], "w text"), cell("td", shown(of.score, 1), "n strong", "rank_score"),
    cell("td", shown(ranks.rank_score_before[of.place], 1), "n soft", "rank_score_before"));
  return made;
}

function preview() {
  const weights = given();
  const total = document.getElementById("sum");
  total.textContent = `Σ|w| = ${shown(sum(weights.map(Math.abs)), 1)}`;
  total.classList.toggle("bad", total.textContent !== "Σ|w| = 100.0");
  sliders().forEach((slider, at) => {
    const change = weights[at] - Number(slider.dataset.was);
    slider.querySelector("output").textContent = Math.abs(change) < 0.05 ? "" : shown(change, 1, true);
  });
  const body = document.querySelector("#preview tbody");
  places = ranks && body ? ranked(weights) ?? [] : [];
  if (!places.length) return;
  const number = Number(document.getElementById("preview").dataset.rows);
  body.replaceChildren(...places.slice(0, number).map((of, at) => row(of, at + 1)));
  const was = (of) => ranks.rank_before[of.place];
  const told = document.getElementById("told");
  told.querySelector("[data-figure=moved_bots]").textContent = shown(places.filter((of, at) => was(of) != null && was(of) !== at + 1).length);
  told.querySelector("[data-figure=newcomers]").textContent = shown(places.slice(0, 50).filter((of) => was(of) == null || was(of) > 50).length);
}

function remember() { // in the address, so that it can be kept and sent
  const address = new URL(location.href);
  address.pathname = "/weights";
  for (const name of ["version", "set", "scale", "saved", "tested", "based_on", "reason"]) address.searchParams.delete(name);
  for (const slider of sliders()) {
    const value = slider.querySelector("[type=number]").value;
    if (Number(value) === Number(slider.dataset.was)) address.searchParams.delete(slider.dataset.variable);
    else address.searchParams.set(slider.dataset.variable, value);
  }
  history.replaceState(null, "", address);
}

async function fetchRanks() {
  const day = document.getElementById("preview").dataset.day;
  if (!day) return;
  const answer = await fetch(`/api/v1/weights/ranks?day=${day}`);
  if (!answer.ok) return; // what the server drew stays
  ranks = await answer.json();
  preview();
}

function notice() {
  const latest = Number(document.getElementById("versions").dataset.latest);
  const told = document.getElementById("meanwhile");
  told.hidden = latest <= Number(form().elements.based_on.value);
  told.querySelector("span").textContent = latest;
}

form().addEventListener("input", (event) => {
  const slider = event.target.closest(".slider");
  if (!slider) return;
  document.getElementById("test")?.remove(); // it was of other weights
  const other = slider.querySelector(event.target.type === "range" ? "[type=number]" : "[type=range]");
  other.value = event.target.type === "range" ? Number(event.target.value).toFixed(1) : event.target.value;
  preview();
});
form().addEventListener("change", (event) => { if (event.target.closest(".slider")) remember(); });
for (const slider of sliders()) slider.querySelector("[type=range]").hidden = false;
document.addEventListener("htmx:after:swap", () => { notice(); fetchRanks(); });
notice();
fetchRanks();
