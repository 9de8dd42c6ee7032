// What serves, how good it is known to be, and the versions before it.
import { element, table } from "./dom.js";
import { ago, command, counted, day, percent } from "./words.js";

const ofCounter = (view, counter) => view.versions.find((version) => version.counters.includes(counter));

// A version under trial or serving goes by the number that it was signed under.
export function named(view, counter) {
  if (counter === null || counter === undefined) return "none";
  const version = ofCounter(view, counter);
  return version && version.number !== counter ? `version ${counter} (model ${version.number})` : `version ${counter}`;
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(4);
const advantage = ({ better, deviation }) => signed(better) + " ± " + (2 * deviation).toFixed(4);

export function quality(version) {
  if (!version) return "How good it is, is not known here.";
  if (version.is_popularity) {
    const turned = version.turned_down;
    return turned
      ? `It is popularity: what was learnt beyond that was not better by more than noise (${advantage(turned)} in NDCG), so it was not kept.`
      : "It is popularity, what every other model is compared with.";
  }
  const told = version.advantage;
  if (!told && !version.after) return "It was not learnt here, so how good it is, is not known here before a rollout has measured it.";
  if (!told) return "It has not been compared with popularity yet: the last round of its task does that.";
  const far = Math.abs(told.better) > 2 * told.deviation;
  const words = far ? (told.better > 0 ? "better than popularity" : "worse than popularity") : "not to be told from popularity";
  return `It ranks ${words}: ${advantage(told)} in NDCG, as ${counted(told.devices)} devices told.`;
}

function words(view) {
  const { serving } = view;
  const nothing = serving.good === null && serving.mode === "good";
  const parts = [];
  if (nothing) parts.push("Nothing yet: devices have what the application has built in.");
  else if (serving.mode === "baseline") parts.push("Learnt models are switched off: all devices have what the application has built in.");
  else if (serving.mode === "before") parts.push(`All devices are back on ${named(view, serving.before)}.`);
  else parts.push(`All devices have ${named(view, serving.good)}.`);
  if (serving.candidate) parts[0] = parts[0].replace("All devices", "All devices outside the rollout");
  const current = serving.mode === "before" ? serving.before : serving.mode === "good" ? serving.good : null;
  if (current !== null) parts.push(quality(ofCounter(view, current)));
  serving.pins.forEach((pin) => parts.push(`The group ${pin.group} stays with ${named(view, pin.counter)} until ${day(pin.until)}.`));
  if (serving.holdback) parts.push(`${percent(serving.holdback.share)} are kept back on ${named(view, serving.holdback.counter)} until ${day(serving.holdback.until)}.`);
  return parts;
}

function compared(version) {
  if (version.is_popularity) return "is popularity";
  if (version.advantage) return advantage(version.advantage);
  return version.after ? "not compared yet" : "not known";
}

function place(view, version) {
  const { serving } = view;
  const has = (counter) => version.counters.includes(counter);
  const on = serving.mode === "good" ? serving.good : serving.mode === "before" ? serving.before : null;
  if (on !== null && has(on)) return "serves";
  if (serving.candidate && has(serving.candidate.counter)) return "on trial";
  if (serving.holdback && has(serving.holdback.counter)) return "for those kept back";
  if (serving.pins.some((pin) => has(pin.counter))) return "for a group";
  return version.counters.length ? "signed as " + version.counters.join(", ") : "not signed";
}

export function serving(view) {
  const [first, ...rest] = words(view);
  const parts = [element("h2", {}, "What serves"), element("p", { class: "lead" }, first), rest.map((sentence) => element("p", {}, sentence))].flat();
  if (view.versions.length === 0) {
    parts.push(element("p", { class: "soft" }, "No model has been learnt yet: the first comes with the first round of a task. One from elsewhere:"), command("model import model.bin", view.folder));
    return parts;
  }
  const columns = [{ name: "model", number: true }, { name: "learnt in" }, { name: "devices", number: true, wide: true }, { name: "better than popularity" }, { name: "place" }, { name: "made", wide: true }];
  const from = (version) => (version.after ? version.after + ", " : "") + version.task;
  const rows = view.versions.map((version) => ({
    class: place(view, version) === "serves" ? "chosen" : null,
    cells: [String(version.number), from(version), version.devices === null ? "" : counted(version.devices), compared(version), place(view, version), ago(version.made, view.now)],
  }));
  parts.push(table(columns, rows, { class: "versions" }));
  parts.push(element("p", { class: "soft" }, "Better by: NDCG over the whole catalogue, of tracks that listeners held out, as told in a private sum; ± is twice the deviation of the noise that protects them."));
  return parts;
}
