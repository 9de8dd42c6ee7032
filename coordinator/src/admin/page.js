"use strict";
// The view comes once a second; everything is written as text, nothing as markup.
const byId = (id) => document.getElementById(id);
const STEPS = [["advertising", "keys"], ["sharing", "shares"], ["collecting", "vectors"], ["frozen", "signatures"], ["unmasking", "opening"]];
const ORDER = ["advertising", "drawing", "sharing", "collecting", "frozen", "unmasking", "done"];
let last = null;

function element(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit += 1; }
  return (n < 10 && unit > 0 ? n.toFixed(1) : Math.round(n)) + " " + units[unit];
}

function ago(ms, now) {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 90) return seconds + " s ago";
  if (seconds < 5400) return Math.round(seconds / 60) + " min ago";
  return Math.round(seconds / 3600) + " h ago";
}

function steps(round) {
  const row = element("div", undefined, "steps");
  const at = ORDER.indexOf(round.phase);
  STEPS.forEach(([phase, name], number) => {
    const cell = element("div");
    const place = ORDER.indexOf(phase);
    if (at > place) cell.className = "done";
    if (round.phase === phase) cell.className = "now";
    const count = round.phase === phase ? round.done + " of " + round.of : (round.funnel[number] ?? "");
    cell.append(element("b", count === "" ? "·" : String(count)), name);
    row.append(cell);
  });
  return row;
}

function past(task, now) {
  const table = element("table");
  const head = element("tr");
  [["round", "n"], ["step", ""], ["keys", "n"], ["shares", "n"], ["vectors", "n"], ["signed", "n"], ["opened", "n"], ["lost", "n"], ["took", "n"], ["ended", ""]]
    .forEach(([name, kind]) => head.append(element("th", name, kind)));
  table.append(head);
  task.past.slice(0, 12).forEach((round) => {
    const row = element("tr", undefined, round.phase);
    const funnel = round.funnel;
    const lost = funnel.length > 2 && funnel[0] > 0 ? (100 * (1 - funnel[2] / funnel[0])).toFixed(0) + " %" : "";
    row.append(element("td", String(round.number), "n"), element("td", round.note));
    [0, 1, 2, 3, 4].forEach((step) => row.append(element("td", funnel[step] === undefined ? "" : String(funnel[step]), "n")));
    row.append(element("td", lost, "n"), element("td", ((round.changed - round.opened) / 1000).toFixed(1) + " s", "n"), element("td", ago(round.changed, now)));
    table.append(row);
  });
  return table;
}

function task(view, now) {
  const card = element("section", undefined, "task");
  const title = element("h2", view.name);
  const spent = "epsilon " + view.epsilon.toFixed(2) + " of " + Number(view.epsilon_limit.toFixed(2));
  title.append(element("small", view.state + (view.next ? ", next: " + view.next : "") + ", " + spent));
  card.append(title);
  if (view.round) {
    card.append(element("p", "round " + view.round.number + ", " + view.round.note + ", opened " + ago(view.round.opened, now)), steps(view.round));
  } else {
    card.append(element("p", "no round under way", "none"));
  }
  if (view.past.length > 0) card.append(past(view, now));
  return card;
}

function rows(table, counts, none) {
  const body = element("tbody");
  Object.entries(counts).forEach(([name, count]) => {
    const row = element("tr");
    row.append(element("td", name), element("td", String(count), "n"));
    body.append(row);
  });
  if (body.childElementCount === 0) {
    const row = element("tr");
    row.append(element("td", none, "none"));
    body.append(row);
  }
  table.tBodies[0].replaceWith(body);
}

function show(view) {
  byId("population").textContent = view.population;
  byId("eligible").textContent = view.eligible.toLocaleString("en");
  byId("connections").textContent = view.connections.toLocaleString("en");
  byId("contributions").textContent = view.contributions.toLocaleString("en");
  byId("bytes").textContent = bytes(view.bytes);
  if (last && view.now > last.now) byId("rate").textContent = bytes(Math.max(0, view.bytes - last.bytes) * 1000 / (view.now - last.now));
  byId("epsilon").textContent = view.epsilon.toFixed(3);
  byId("budget").textContent = "epsilon spent of " + view.epsilon_limit + " at delta " + view.delta;
  byId("spent").style.width = Math.min(100, 100 * view.epsilon / view.epsilon_limit) + "%";
  byId("program").textContent = "version " + view.program;
  const tasks = view.tasks.map((one) => task(one, view.now));
  byId("tasks").replaceChildren(...(tasks.length ? tasks : [element("p", "No task yet: sordino-coordinator task add FILE", "none")]));
  showRollouts(view);
  rows(byId("clients"), view.clients, "none has checked in yet");
  rows(byId("refused"), view.refused, "none");
  last = view;
}

fetch("status.json").then((answer) => answer.json()).then(show, () => {});

const events = new EventSource("events");
events.onmessage = (event) => {
  byId("link").textContent = "live";
  byId("link").className = "on";
  show(JSON.parse(event.data));
};
events.onerror = () => {
  byId("link").textContent = "no connection: the last state is shown";
  byId("link").className = "off";
};
