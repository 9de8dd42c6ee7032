// What the population has spent, and what happens once nothing is left.
import { drawn, element, notice } from "./dom.js";
import { command, delta, limit, spent } from "./words.js";

const LOW = 0.8;
const GONE = 0.99;

export function waitsForBudget(task) {
  return task.state === "paused" && /budget/.test(task.why ?? "");
}

function level(view) {
  const share = view.epsilon / view.epsilon_limit;
  if (share >= GONE || view.tasks.some(waitsForBudget)) return "bad";
  return share >= LOW ? "low" : "calm";
}

// A bar of this share; the words beside it say the same.
export function bar(share, kind) {
  const width = 100 * Math.min(1, Math.max(0, share)) + "%";
  return drawn("svg", { class: "bar " + kind, width: "100%", height: 8, "aria-hidden": "true" },
    drawn("rect", { class: "whole", width: "100%", height: 8, rx: 4 }), drawn("rect", { class: "part", width, height: 8, rx: 4 }));
}

export function budget(view) {
  const kind = level(view);
  const state = { calm: "", low: "little is left", bad: view.epsilon / view.epsilon_limit >= GONE ? "spent" : "too little for the next round" }[kind];
  const parts = [
    element("h2", {}, "Privacy budget", state && element("em", { class: "state " + kind }, state)),
    element("p", { class: "amount" }, element("b", {}, "epsilon " + spent(view.epsilon)), " of " + limit(view.epsilon_limit) + " spent, at delta " + delta(view.delta)),
    bar(view.epsilon / view.epsilon_limit, kind),
    element("p", { class: "soft" }, "What a device has spent at most, if it took part in every round of every task here."),
  ];
  if (kind === "low") parts.push(notice("low", element("p", {}, "A round that costs more than what is left is not opened: its task is then paused, and this page says so.")));
  if (kind === "bad") {
    parts.push(notice("bad",
      element("p", {}, "A round that costs more than what is left is not opened: its task is paused. What serves goes on serving, and nothing that was learnt is lost."),
      element("p", {}, "More may be allowed, which promises every device less. Stop the server, say how much and why, and start it again:"),
      command("budget set --epsilon EPSILON --why REASON", view.folder),
      element("p", {}, "Devices are not asked: each keeps a budget of its own, which comes with the application.")));
  }
  return parts;
}
