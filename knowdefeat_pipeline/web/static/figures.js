// How figures are written: as the server writes them, whose Python rounds the exact value, and a half to the even digit.
"use strict";

function fixed(size, digits) { // of a number from 0 on, as Python's format(size, f".{digits}f")
  const text = size.toFixed(digits);
  const isHalf = size % 0.5 ** digits === 0.5 ** (digits + 1); // of what binary has exactly; toFixed takes these up
  return isHalf && /[13579]$/.test(text) ? (size * (1 - Number.EPSILON)).toFixed(digits) : text;
}

function grouped(value, most, least = most) { // with thousands set apart, and from `least` to `most` decimals
  const size = Number(fixed(Math.abs(value), most));
  return size.toLocaleString("en", { minimumFractionDigits: least, maximumFractionDigits: most });
}

// Figures beside a chart, as drawing.py's level_names.
const UNITS = [[1e12, "T"], [1e9, "B"], [1e6, "M"]];

function levelNames(ticks) {
  const known = ticks.filter((tick) => tick != null);
  const largest = Math.max(0, ...known.map(Math.abs));
  const [unit, letter] = UNITS.find(([least]) => largest >= least) ?? [1, ""];
  const shown = known.map((tick) => tick / unit);
  const step = shown.length > 1 ? (shown.at(-1) - shown[0]) / (shown.length - 1) : 1;
  const isRound = (value, power) => Math.abs(value * power - Math.round(value * power)) < step * power / 1000;
  let digits = 0;
  while (digits < 8 && !shown.every((value) => isRound(value, 10 ** digits))) digits += 1;
  return ticks.map((tick) => {
    if (tick == null) return "";
    const text = grouped(tick / unit, digits);
    return `${tick < 0 && /[1-9]/.test(text) ? "−" : ""}${text}${letter && ` ${letter}`}`;
  });
}
