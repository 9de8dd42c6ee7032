"use strict";
// Rollouts: where they stand, what both arms say over time, and what somebody with a token may do.
const NAMES = { skip_rate: "skip rate", ndcg: "NDCG@10", return: "return within a day", crash: "crash in a day", slow: "slow inferences", load_failure: "load failure", worst_skip_rate: "skip rate of the worst served" };
const Z95 = 1.959964;

function drawn(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  if (text !== undefined) made.textContent = text;
  return made;
}

const points = (value) => (100 * value).toFixed(Math.abs(value) < 0.001 ? 3 : 2);

// One guardrail over the looks of a stage: up is better, each bar a 95 % interval, the broken line the margin.
function overTime(looks, guardrail) {
  const [width, height, left] = [230, 64, 34];
  const seen = looks.map((look) => look.judged.find((one) => one.guardrail === guardrail)).filter(Boolean);
  const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": NAMES[guardrail] + " over the looks" });
  if (seen.length === 0) return svg;
  const reach = Math.max(1e-5, ...seen.map((one) => Math.abs(one.estimate.good) + Z95 * one.estimate.error), ...seen.map((one) => one.margin ?? 0));
  const y = (value) => height / 2 - (value / reach) * (height / 2 - 6);
  svg.append(drawn("line", { x1: left, x2: width, y1: y(0), y2: y(0), class: "axis" }));
  const margin = seen[seen.length - 1].margin;
  if (margin !== null) svg.append(drawn("line", { x1: left, x2: width, y1: y(-margin), y2: y(-margin), class: "margin" }));
  svg.append(drawn("text", { x: 0, y: 9 }, "+" + points(reach)), drawn("text", { x: 0, y: height - 1 }, "-" + points(reach)));
  seen.forEach((one, number) => {
    const x = left + 10 + number * Math.min(30, (width - left - 20) / Math.max(1, seen.length));
    const { good, error } = one.estimate;
    svg.append(drawn("line", { x1: x, x2: x, y1: y(good - Z95 * error), y2: y(good + Z95 * error), class: "interval" }), drawn("circle", { cx: x, cy: y(good), r: 3, class: "dot" }));
  });
  return svg;
}

function stageBar(view) {
  const bar = element("div", undefined, "stages");
  const ended = view.stage === null;
  const at = ended ? (view.looks.length ? view.looks[view.looks.length - 1].stage : -1) : view.stage;
  view.stages.forEach((stage, number) => {
    const cell = element("div");
    if (number < at || view.standing === "all devices have it") cell.className = "done";
    else if (number === at) cell.className = ended ? "bad" : "now";
    const looks = view.looks.filter((look) => look.stage === number).length;
    cell.append(element("b", stage.share / 10000 + " %"), (stage.shadow ? "in the shadow, " : "") + looks + " of " + stage.looks + " looks, " + stage.dwell_hours + " h" + (stage.manual ? ", somebody says yes" : ""));
    bar.append(cell);
  });
  bar.append(element("div", "all devices", view.standing === "all devices have it" ? "done" : ""));
  return bar;
}

function guardrails(view, stage, looks) {
  const table = element("table");
  const head = element("tr");
  [["guardrail", ""], ["with it, %", "n"], ["without, %", "n"], ["better by, points", "n"], ["over the looks of this stage", ""], ["may be worse by", "n"], ["z, needed", "n"], ["this stage sees", "n"]]
    .forEach(([name, kind]) => head.append(element("th", name, kind)));
  table.append(head);
  const last = looks[looks.length - 1];
  view.stages[stage].sees.forEach((sees) => {
    const row = element("tr");
    const one = last && last.judged.find((judged) => judged.guardrail === sees.guardrail);
    const picture = element("td");
    picture.append(overTime(looks, sees.guardrail));
    const number = (text) => element("td", text, "n");
    row.append(element("td", NAMES[sees.guardrail]));
    if (one) {
      row.append(number(points(one.estimate.treatment)), number(points(one.estimate.control)), number(points(one.estimate.good) + " ± " + points(Z95 * one.estimate.error)));
    } else row.append(number(""), number(""), number(""));
    row.append(picture, number(sees.decides ? points(sees.margin) : "watched"));
    row.append(number(one && one.z !== null && one.bound !== null ? one.z.toFixed(1) + ", " + one.bound.toFixed(2) : ""), number(points(sees.smallest)));
    table.append(row);
  });
  return table;
}

function folded(title, ...inner) {
  const made = element("details");
  made.append(element("summary", title), ...inner);
  return made;
}

const open = new Set();

function keepOpen(details, key) {
  details.open = open.has(key);
  details.addEventListener("toggle", () => (details.open ? open.add(key) : open.delete(key)));
  return details;
}

function rollout(view, now) {
  const card = element("section", undefined, "task");
  const title = element("h2", "Rollout " + view.name);
  title.append(element("small", "version " + view.candidate + ", " + view.standing + "; epsilon of a device " + view.epsilon.toFixed(2) + " of " + view.epsilon_limit.toFixed(2)));
  card.append(title, stageBar(view));
  const last = view.looks[view.looks.length - 1];
  const stage = view.stage ?? (last ? last.stage : 0);
  const looks = view.looks.filter((look) => look.stage === stage);
  if (looks.length > 0) {
    const look = looks[looks.length - 1];
    const [first, ...rest] = look.explained.split("\n");
    card.append(element("p", first + " (" + ago(look.at, now) + ")", "verdict " + look.verdict));
    card.append(element("p", "devices in this stage, by noised counts: " + Math.round(look.devices[0]).toLocaleString("en") + " with the candidate, " + Math.round(look.devices[1]).toLocaleString("en") + " without"));
    card.append(guardrails(view, stage, looks), keepOpen(folded("the last look in words", element("pre", rest.join("\n"))), view.name + " words"));
  } else {
    card.append(element("p", "no look in this stage yet: no data is no verdict", "none"), guardrails(view, stage, []));
  }
  const list = element("table");
  view.history.slice().reverse().forEach(([at, words]) => {
    const row = element("tr");
    row.append(element("td", new Date(at).toISOString().slice(0, 19).replace("T", " ")), element("td", words));
    list.append(row);
  });
  card.append(keepOpen(folded("what happened", list), view.name + " history"));
  return card;
}

function serves(serving) {
  const version = (counter) => (counter === null || counter === undefined ? "none" : "version " + counter);
  const words = { good: version(serving.good), before: "back to " + version(serving.before), baseline: "learnt models are switched off" };
  const parts = ["all devices: " + words[serving.mode]];
  serving.pins.forEach((pin) => parts.push("group " + pin.group + ": version " + pin.counter + " until " + new Date(pin.until).toISOString().slice(0, 10)));
  if (serving.holdback) parts.push(serving.holdback.share / 10000 + " % kept back on version " + serving.holdback.counter + " until " + new Date(serving.holdback.until).toISOString().slice(0, 10));
  return parts.join("; ");
}

const ACTS = [
  ["promote", "may_promote", () => ({ act: "promote", to: null })],
  ["hold", "may_promote", (why) => ({ act: "hold", why })],
  ["resume", "may_promote", () => ({ act: "resume" })],
  ["abort", "may_abort", (why) => ({ act: "abort", why })],
  ["roll back", "may_abort", (why) => ({ act: "rollback", to: null, why })],
  ["switch models off", "may_abort", (why) => ({ act: "baseline", on: true, why })],
  ["switch models on", "may_abort", (why) => ({ act: "baseline", on: false, why })],
  ["skip the gate", "may_skip", (why) => ({ act: "skip_gate", why })],
];
const NEEDS_WHY = ["hold", "abort", "roll back", "switch models off", "switch models on", "skip the gate"];

async function perform(name, act) {
  const why = byId("why").value.trim();
  if (NEEDS_WHY.includes(name) && why === "") {
    byId("answer").textContent = "say why: it is written into the audit log";
    return;
  }
  const body = JSON.stringify({ token: byId("token").value.trim(), second: byId("second").value.trim() || null, act: act(why) });
  const answer = await fetch("act", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  byId("answer").textContent = await answer.text();
}

byId("act").addEventListener("submit", (event) => event.preventDefault());
byId("token").addEventListener("change", async () => {
  const answer = await fetch("rights", { method: "POST", body: byId("token").value });
  const who = answer.ok ? await answer.json() : null;
  byId("who").textContent = who ? who.name : await answer.text();
  byId("buttons").replaceChildren(...ACTS.filter(([, right]) => who && who[right]).map(([name, right, act]) => {
    const button = element("button", name, right === "may_promote" ? "" : "bad");
    button.type = "button";
    button.addEventListener("click", () => perform(name, act));
    return button;
  }));
});

function showRollouts(view) {
  byId("serving").hidden = !view.serving;
  byId("acting").hidden = !view.serving;
  if (view.serving) byId("serves").textContent = serves(view.serving);
  byId("rollouts").replaceChildren(...view.rollouts.map((one) => rollout(one, view.now)));
}
