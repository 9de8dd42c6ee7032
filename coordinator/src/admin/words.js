// Numbers, times and commands as people read them.
import { element } from "./dom.js";

export const counted = (n) => n.toLocaleString("en");

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit += 1; }
  return (n < 10 && unit > 0 ? n.toFixed(1) : Math.round(n)) + " " + units[unit];
}

export function lasting(ms) {
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 9.95) return seconds.toFixed(1) + " s";
  if (seconds < 90) return Math.round(seconds) + " s";
  if (seconds < 5400) return Math.round(seconds / 60) + " min";
  if (seconds < 172800) return Math.round(seconds / 3600) + " h";
  return Math.round(seconds / 86400) + " days";
}

export const ago = (at, now) => lasting(Math.round(Math.max(0, now - at) / 1000) * 1000).replace(".0", "") + " ago";

// In UTC, as the commands print it.
export const day = (at) => new Date(at).toISOString().slice(0, 10);
export const clock = (at) => new Date(at).toISOString().slice(0, 19).replace("T", " ") + " UTC";

// What is spent is never shown as less than it is, and what may be spent never as more: the nearest figure, or the one
// beyond it where the nearest is on the wrong side.
export function spent(epsilon) {
  const digits = epsilon >= 10 ? 2 : 3;
  const text = epsilon.toFixed(digits);
  return Number(text) < epsilon ? (Number(text) + 10 ** -digits).toFixed(digits) : text;
}
export const delta = (value) => value.toExponential().replace("e-", "e−");
export function limit(epsilon) {
  const near = Number(epsilon.toFixed(3));
  return String(near > epsilon ? Number((near - 0.001).toFixed(3)) : near);
}

// A share as percentage points.
export const points = (value) => (100 * value).toFixed(Math.abs(value) < 0.001 ? 3 : 2).replace("-", "−");
export const percent = (parts) => parts / 10000 + " %";

const quoted = (word) => (/^[A-Za-z0-9_.,:=@%+\/-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'");

// A command that can be pasted, on a line of its own; words that are no option are quoted where a shell would part them.
export function command(words, folder, ...more) {
  const text = ["sordino-coordinator " + words, ...more.map(quoted), quoted(folder)].join(" ");
  return element("pre", { class: "command", tabindex: "0", "aria-label": "command" }, element("code", {}, text));
}
