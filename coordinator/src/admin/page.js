// The operator's page. The view comes once a second; everything is written as text, nothing as markup, and only what has changed is
// touched: whoever marks a command or scrolls a table keeps what they have.
import { become, byId, element, table } from "./dom.js";
import { bytes, clock, command, counted } from "./words.js";
import { budget } from "./budget.js";
import { serving } from "./serving.js";
import { rollout } from "./rollouts.js";
import { task } from "./tasks.js";
import { look } from "./acts.js";

let last = null;

function figures(view) {
  const before = last && view.now > last.now ? last : null;
  const rate = before ? bytes(Math.max(0, view.bytes - before.bytes) * 1000 / (view.now - before.now)) + "/s" : "–";
  return [
    [counted(view.eligible), "devices that may take part"],
    [counted(view.connections), "connections held"],
    [counted(view.contributions), "contributions counted since the server began"],
    [bytes(view.bytes), "received since the server began"],
    [rate, "received now"],
  ].map(([figure, name]) => element("div", { class: "card" }, element("b", {}, figure), element("span", {}, name)));
}

function counts(of, name, none) {
  const rows = Object.entries(of).sort((one, other) => other[1] - one[1]);
  if (rows.length === 0) return element("p", { class: "soft" }, none);
  return table([{ name }, { name: "requests", number: true }], rows.map(([key, count]) => [key, counted(count)]));
}

function nothing(view) {
  return element("section", { class: "card", "aria-label": "Tasks" }, element("h2", {}, "No task yet"),
    element("p", {}, "A task says what is learnt, from how many devices and at what price. With its file:"),
    command("task add task.toml", view.folder),
    view.eligible === 0 && element("p", {}, "No device may take part yet either. Tokens for a hundred of them:"),
    view.eligible === 0 && command("enrol token --count 100", view.folder));
}

function show(view) {
  document.title = "Sordino: " + view.population;
  byId("population").textContent = view.population;
  byId("program").textContent = "version " + view.program;
  become(byId("figures"), figures(view));
  become(byId("budget"), budget(view));
  byId("serving").hidden = !view.serving;
  if (view.serving) become(byId("serving"), serving(view));
  become(byId("rollouts"), view.rollouts.map((one) => rollout(one, view)));
  look(view);
  become(byId("tasks"), view.tasks.length ? view.tasks.map((one) => task(one, view)) : [nothing(view)]);
  become(byId("clients"), [counts(view.clients, "program", "None has checked in yet.")]);
  become(byId("refused"), [counts(view.refused, "reason", "None.")]);
  last = view;
}

function linked(words, why) {
  byId("link").textContent = words;
  byId("link").className = why ? "off" : "on";
  byId("gone").hidden = !why;
  if (why && byId("gone").textContent !== why) byId("gone").textContent = why;
}

function gone(full) {
  if (full) return linked("not live", "Too many pages look at this coordinator: close another one. This one tries again.");
  const state = last ? "Below is how things stood at " + clock(last.now) + ". " : "";
  linked("no connection", "The coordinator does not answer. " + state + "This page goes on by itself once it answers again.");
}

// What is read is shown at once, also after an act.
async function reload() {
  const answer = await fetch("status.json");
  show(await answer.json());
}

function listen() {
  const events = new EventSource("events");
  events.onmessage = (event) => {
    linked("live", null);
    show(JSON.parse(event.data));
  };
  events.onerror = async () => {
    const closed = events.readyState === EventSource.CLOSED;
    const answers = closed && await fetch("healthz").then((answer) => answer.ok, () => false);
    gone(answers);
    // Where the answer was no stream the browser gives up by itself.
    if (closed) setTimeout(listen, 5000);
  };
}

document.addEventListener("sordino:done", () => reload().catch(() => gone(false)));
reload().catch(() => gone(false));
listen();
