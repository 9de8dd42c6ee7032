// Rollouts: where they stand, and what both arms say over time.
import { drawn, element, folded, table } from "./dom.js";
import { ago, clock, counted, lasting, limit, percent, points, spent } from "./words.js";
import { named } from "./serving.js";

const NAMES = { skip_rate: "skip rate", ndcg: "NDCG@10", return: "return within a day", crash: "crash in a day", slow: "slow inferences", load_failure: "load failure", worst_skip_rate: "skip rate of the worst served" };
const Z95 = 1.959964;

// One guardrail over the looks of a stage: up is better, each bar a 95 % interval, the broken line the margin.
function overTime(looks, guardrail) {
  const [width, height, left] = [230, 64, 40];
  const seen = looks.map((look) => look.judged.find((one) => one.guardrail === guardrail)).filter(Boolean);
  if (seen.length === 0) return "";
  const svg = drawn("svg", { class: "looks", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${NAMES[guardrail]} over ${seen.length} looks: up is better` });
  const reach = Math.max(1e-5, ...seen.map((one) => Math.abs(one.estimate.good) + Z95 * one.estimate.error), ...seen.map((one) => one.margin ?? 0));
  const y = (value) => height / 2 - (value / reach) * (height / 2 - 8);
  svg.append(drawn("line", { x1: left, x2: width, y1: y(0), y2: y(0), class: "axis" }));
  const margin = seen[seen.length - 1].margin;
  if (margin !== null) svg.append(drawn("line", { x1: left, x2: width, y1: y(-margin), y2: y(-margin), class: "margin" }));
  svg.append(drawn("text", { x: 0, y: 11 }, "+" + points(reach)), drawn("text", { x: 0, y: height - 4 }, "−" + points(reach)));
  seen.forEach((one, number) => {
    const x = left + 10 + number * Math.min(30, (width - left - 20) / Math.max(1, seen.length));
    const { good, error } = one.estimate;
    svg.append(drawn("line", { x1: x, x2: x, y1: y(good - Z95 * error), y2: y(good + Z95 * error), class: "interval" }), drawn("circle", { cx: x, cy: y(good), r: 3, class: "dot" }));
  });
  return svg;
}

function stageBar(view) {
  const ended = view.stage === null;
  const full = view.phase === "full";
  const at = ended ? (view.looks.length ? view.looks[view.looks.length - 1].stage : -1) : view.stage;
  const stages = view.stages.map((stage, number) => {
    const kind = full || number < at ? "done" : number === at ? (ended ? "bad" : "now") : null;
    const looks = view.looks.filter((look) => look.stage === number).length;
    const words = [stage.shadow && "in the shadow", `${looks} of ${stage.looks} looks`, `${stage.dwell_hours} h`, stage.manual && "then somebody promotes"].filter(Boolean).join(", ");
    return element("li", { class: kind, "aria-current": kind === "now" ? "step" : null }, element("b", {}, percent(stage.share)), words);
  });
  return element("ol", { class: "stages" }, stages, element("li", { class: full ? "done" : null }, element("b", {}, "all"), "devices"));
}

function guardrails(view, stage, looks) {
  const columns = [
    { name: "guardrail" }, { name: "with it, %", number: true }, { name: "without, %", number: true }, { name: "better by, points", number: true },
    { name: "over the looks of this stage" }, { name: "may be worse by, points", number: true }, { name: "z, needed", number: true }, { name: "this stage sees, points", number: true },
  ];
  const last = looks[looks.length - 1];
  const rows = view.stages[stage].sees.map((sees) => {
    const one = last && last.judged.find((judged) => judged.guardrail === sees.guardrail);
    const seen = one ? [points(one.estimate.treatment), points(one.estimate.control), points(one.estimate.good) + " ± " + points(Z95 * one.estimate.error)] : ["", "", ""];
    const z = one && one.z !== null && one.bound !== null ? one.z.toFixed(1) + ", " + one.bound.toFixed(2) : "";
    return [NAMES[sees.guardrail], ...seen, overTime(looks, sees.guardrail), sees.decides ? points(sees.margin) : "only watched", z, points(sees.smallest)];
  });
  return table(columns, rows, { class: "stacked" });
}

export function rollout(view, { now, ...of }) {
  const line = `${named(of, view.candidate)}; epsilon of a device ${spent(view.epsilon)} of ${limit(view.epsilon_limit)}`;
  const kind = { full: "finished", aborted: "bad", held: "paused" }[view.phase] ?? "running";
  const parts = [element("h2", {}, "Rollout " + view.name, element("em", { class: "state " + kind }, view.standing)), element("p", { class: "soft" }, line), stageBar(view)];
  const last = view.looks[view.looks.length - 1];
  const stage = view.stage ?? (last ? last.stage : 0);
  const looks = view.looks.filter((look) => look.stage === stage);
  if (view.next_look && view.under_way) {
    parts.push(element("p", { class: "soft" }, view.next_look > now ? `The next look comes in ${lasting(view.next_look - now)} at the earliest, at ${clock(view.next_look)}.` : "A look is due: it comes once enough devices have told."));
  }
  if (looks.length > 0) {
    const look = looks[looks.length - 1];
    const [first, ...rest] = look.explained.split("\n");
    parts.push(element("p", { class: "verdict " + look.verdict }, `${first} (${ago(look.at, now)})`));
    parts.push(element("p", {}, `Devices in this stage, by noised counts: ${counted(Math.round(look.devices[0]))} with the candidate, ${counted(Math.round(look.devices[1]))} without.`));
    // What is over is there for whoever asks.
    parts.push(view.under_way ? guardrails(view, stage, looks) : folded("its last stage in figures", guardrails(view, stage, looks)), folded("the last look in words", element("pre", { tabindex: "0", "aria-label": "the last look" }, rest.join("\n"))));
  } else {
    parts.push(element("p", { class: "soft" }, view.under_way ? "No look in this stage yet: no data is no verdict." : "It ended before its first look."), view.under_way && folded("what this stage watches", guardrails(view, stage, [])));
  }
  const history = view.history.slice().reverse().map(([at, words]) => [clock(at), words]);
  parts.push(folded("what happened", table([{ name: "when" }, { name: "what" }], history)));
  return element("section", { class: "card", "aria-label": "Rollout " + view.name }, parts);
}
