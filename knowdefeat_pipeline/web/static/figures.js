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
