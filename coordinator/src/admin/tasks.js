// Tasks and their rounds.
import { element, folded, notice, table } from "./dom.js";
import { ago, clock, command, counted, lasting, limit, spent } from "./words.js";
import { waitsForBudget } from "./budget.js";

const STEPS = [["advertising", "keys"], ["sharing", "shares"], ["collecting", "vectors"], ["frozen", "signed"], ["unmasking", "answers"]];
const ORDER = ["advertising", "drawing", "sharing", "collecting", "frozen", "unmasking", "done"];
const COLOURS = { "cannot go on": "bad" };
const NOW = {
  advertising: "Devices that check in send their keys.",
  drawing: "The devices of the round are fixed.",
  sharing: "Devices share secrets with their neighbours.",
  collecting: "Devices send their vectors, under masks.",
  frozen: "Devices sign whose vectors are in the sum.",
  unmasking: "Devices answer with what opens the sum. Not all have to: it is opened as soon as the answers suffice.",
};

function steps(round) {
  const at = ORDER.indexOf(round.phase);
  return element("ol", { class: "steps" }, STEPS.map(([phase, name], number) => {
    const isNow = round.phase === phase;
    const done = round.funnel[number];
    const count = isNow ? counted(round.done) + " of " + counted(round.of) : done === undefined ? "·" : counted(done);
    const kind = at > ORDER.indexOf(phase) ? "done" : isNow ? "now" : null;
    return element("li", { class: kind, "aria-current": isNow ? "step" : null }, element("b", {}, count), name);
  }));
}

// Devices that sent a key and whose vector is not in the sum.
function lost([keys, , vectors]) {
  if (keys === undefined || vectors === undefined || keys === 0) return "";
  return keys === vectors ? "none" : `${counted(keys - vectors)} (${(100 * (keys - vectors) / keys).toFixed(1)} %)`;
}

function past(rounds, now) {
  const columns = [
    { name: "round", number: true }, { name: "what came of it" }, { name: "keys", number: true, wide: true }, { name: "shares", number: true, wide: true },
    { name: "vectors", number: true, wide: true }, { name: "signed", number: true, wide: true }, { name: "answers that sufficed", number: true, wide: true },
    { name: "lost", number: true }, { name: "took", number: true, wide: true }, { name: "ended", number: true },
  ];
  const rows = rounds.slice(0, 12).map((round) => {
    const count = (step) => (round.funnel[step] === undefined ? "" : counted(round.funnel[step]));
    return {
      class: round.phase,
      cells: [String(round.number), (round.phase === "abandoned" ? "given up: " : "") + round.note, count(0), count(1), count(2), count(3), count(4), lost(round.funnel), lasting(round.changed - round.opened), ago(round.changed, now)],
    };
  });
  return [
    table(columns, rows, { class: "rounds" }),
    folded("what these counts say",
      element("p", { class: "soft" }, "Lost: devices that sent a key and whose vector is not in the sum. Every plan allows for some."),
      element("p", { class: "soft" }, "Answers that sufficed: the sum was opened once so many devices had answered. Of each device's secrets a part of its neighbours gives enough, so the round does not wait for the others' answers, and no device is lost by that.")),
  ];
}

function reasons(view, folder) {
  const parts = [];
  if (view.trouble) parts.push(notice("bad", element("p", {}, "The task waits and tries again: " + view.trouble)));
  if (view.state === "paused") {
    const forBudget = waitsForBudget(view);
    parts.push(notice("low",
      element("p", {}, "Paused" + (view.why ? ": " + view.why : ". Nothing is asked of devices until somebody says so.")),
      element("p", {}, forBudget ? "Once the budget above allows it:" : "To go on:"), command("task resume", folder, view.name)));
  } else if (view.why) {
    parts.push(notice(COLOURS[view.state] ?? "low", element("p", {}, `This task ${view.state === "cannot go on" ? view.state : "is " + view.state}: ${view.why}`)));
  }
  return parts;
}

export function task(view, { now, folder }) {
  const done = view.steps === 0 ? "no step done yet" : view.steps === 1 ? "1 step done" : counted(view.steps) + " steps done";
  const line = [done, view.next && "next: " + view.next, `epsilon of a device ${spent(view.epsilon)} of ${limit(view.epsilon_limit)}`].filter(Boolean).join("; ");
  const { round } = view;
  const parts = [element("h2", {}, view.name, element("em", { class: "state " + (COLOURS[view.state] ?? view.state) }, view.state)), element("p", { class: "soft" }, line), ...reasons(view, folder)];
  if (round) {
    const left = round.deadline && round.deadline > now ? `, at most ${lasting(round.deadline - now)} more` : "";
    parts.push(element("h3", {}, `Round ${round.number}, ${round.note}`), element("p", {}, `${NOW[round.phase] ?? ""} Opened ${ago(round.opened, now)}${left}.`), steps(round));
  } else if (view.state === "running") {
    const next = view.opens && view.opens > now ? `The next opens in ${lasting(view.opens - now)}, at ${clock(view.opens)}.` : "";
    parts.push(element("p", { class: "soft" }, ["No round is under way.", next].filter(Boolean).join(" ")));
  }
  if (view.past.length > 0) parts.push(...past(view.past, now));
  return element("section", { class: "card", "aria-label": "Task " + view.name }, parts);
}
