// What somebody with a token may do, and what came of it.
import { become, byId, element } from "./dom.js";
import { clock, percent } from "./words.js";
import { named } from "./serving.js";

const RIGHTS = { may_promote: "promote", may_abort: "abort", may_skip: "skip gates" };

// Whoever gave their token, while the page is open; what the page saw last; whether an answer is awaited.
let me = null;
let view = null;
let asking = false;
// What is wrong with the fields of an act, beside them: { button, sentence }.
let problem = null;

const field = (name, label, attributes, kind = "input", ...inner) =>
  element("label", {}, label + " ", element(kind, { id: "field-" + name, autocomplete: "off", ...attributes }, ...inner));
const choice = (name, label, options) => field(name, label, {}, "select", options.map(([value, words]) => element("option", { value }, words)));
const value = (name) => byId("field-" + name).value.trim();
const number = (name) => Number(value(name));

// Everything that fits how things stand: its button, what it does, the right it takes, fields of its own, what is sent.
function acts() {
  const { serving, signed } = view;
  const course = view.rollouts.find((one) => one.under_way);
  const good = serving.good;
  const newer = signed.versions.filter((one) => good === null || one.counter > good);
  const old = newer.filter((one) => one.is_old);
  const version = (one) => [one.counter, named(view, one.counter)];
  const on = { right: "may_promote" };
  const back = { right: "may_abort", why: true, bad: true };
  const made = [];
  if (course) {
    const stage = course.stages[(course.stage ?? -1) + 1];
    const next = stage ? percent(stage.share) + " of the devices" : "all devices";
    const skips = `Skip the gate of ${course.name}`;
    if (course.phase === "waiting") made.push({ ...on, button: "Promote " + course.name, does: `On to ${next}.`, act: () => ({ act: "promote", to: null }) });
    if (course.phase === "held") made.push({ ...on, button: "Resume " + course.name, does: "Goes on from where it was held.", act: () => ({ act: "resume" }) });
    else made.push({ ...on, button: "Hold " + course.name, why: true, does: "Stays where it is until somebody resumes it.", act: (why) => ({ act: "hold", why }) });
    made.push({ ...back, button: "Abort " + course.name, does: "Takes the candidate back everywhere, for good.", act: (why) => ({ act: "abort", why }) });
    if (course.stage !== null) made.push({ right: "may_skip", why: true, second: true, bad: true, button: skips, does: `On to ${next}, although the gate has not passed.`, act: (why) => ({ act: "skip_gate", why }) });
  } else {
    const fresh = signed.rollouts.filter((one) => good !== null && one.candidate > good);
    if (fresh.length && serving.mode === "good") {
      const fields = () => [choice("start", "rollout", fresh.map((one) => [one.name, `${one.name}, ${named(view, one.candidate)}`])), field("devices", "devices of the fleet", { type: "number", min: 1, required: true })];
      made.push({ ...on, button: "Start the rollout", does: "Brings its version to devices in stages.", fields, needs: ["devices"], act: () => ({ act: "start", rollout: value("start"), devices: number("devices") }) });
    }
    if (newer.length) {
      const first = good === null ? { right: "may_promote" } : { right: "may_skip", second: true, bad: true };
      made.push({ ...first, why: true, button: "Serve to all", does: good === null ? "The first version goes to all devices at once." : "Goes to all devices at once, past every gate.", fields: () => [choice("serve", "version", newer.map(version))], act: (why) => ({ act: "serve", version: number("serve"), why }) });
    }
    if (old.length) made.push({ ...back, button: "Bring old weights back", does: "A version signed anew, whose weights were signed before, goes to all devices.", fields: () => [choice("old", "version", old.map(version))], act: (why) => ({ act: "rollback", to: number("old"), why }) });
    if (serving.before !== null && serving.mode !== "before") made.push({ ...back, button: "Roll back", does: `All devices go back to ${named(view, serving.before)}, which they have kept.`, act: (why) => ({ act: "rollback", to: null, why }) });
  }
  if (serving.mode === "baseline") made.push({ ...back, button: "Switch models on", does: "Devices use learnt models again.", act: (why) => ({ act: "baseline", on: false, why }) });
  else if (good !== null) made.push({ ...back, button: "Switch models off", does: "All devices use what the application has built in.", act: (why) => ({ act: "baseline", on: true, why }) });
  if (signed.versions.length) {
    const fields = () => [field("group", "group", { type: "text", maxlength: 64, required: true }), choice("pin", "version", signed.versions.map(version)), field("days", "days", { type: "number", min: 1, max: 30, placeholder: "1 to 30", required: true })];
    made.push({ ...on, button: "Pin a group", does: "A group of devices stays with a version for some days.", fields, needs: ["group", "days"], act: () => ({ act: "pin", group: value("group"), version: number("pin"), days: number("days") }) });
  }
  if (serving.pins.length) made.push({ ...on, button: "Unpin a group", does: "It goes with all others again.", fields: () => [choice("unpin", "group", serving.pins.map((pin) => [pin.group, pin.group]))], act: () => ({ act: "unpin", group: value("unpin") }) });
  if (serving.holdback) made.push({ ...on, button: "End the holdback", does: "Those who are kept back get what all have.", act: () => ({ act: "end_holdback" }) });
  return made;
}

const place = (button) => "act-" + button.replaceAll(" ", "-");
const listed = (words) => (words.length < 2 ? words.join("") : words.slice(0, -1).join(", ") + " and " + words[words.length - 1]);

function told(kind, sentence) {
  byId("answer").className = kind;
  byId("answer").textContent = sentence;
  // The button may be far below.
  if (sentence) byId("answer").scrollIntoView({ block: "nearest" });
}

function line(one) {
  const button = element("button", { type: "button", class: one.bad ? "bad" : null, disabled: asking, "data-act": one.button }, one.button);
  const fields = one.fields ? one.fields() : [];
  const notes = [one.does, one.why && "Needs a reason.", one.second && "Needs another person's token."].filter(Boolean).join(" ");
  const wrong = problem?.button === one.button && element("p", { class: "problem" }, problem.sentence);
  return element("div", { class: "act", id: place(one.button) }, button, element("p", {}, notes), fields.length > 0 && element("div", { class: "fields" }, fields), wrong);
}

function draw() {
  byId("acting").hidden = !view.serving;
  byId("knock").hidden = me !== null;
  byId("who").hidden = byId("acts").hidden = me === null;
  byId("knock").querySelector("button").disabled = asking;
  if (!me || !view.serving) return;
  const has = Object.keys(RIGHTS).filter((right) => me.who[right]).map((right) => RIGHTS[right]);
  const lacks = Object.keys(RIGHTS).filter((right) => !me.who[right]).map((right) => RIGHTS[right]);
  const sentence = `${me.who.name} may ${listed(has) || "do nothing here"}.` + (lacks.length ? ` ${me.who.name} has no right to ${listed(lacks)}: what takes that is not shown.` : "");
  become(byId("who"), [document.createTextNode(sentence + " "), element("button", { type: "button", id: "forget", class: "quiet", disabled: asking }, "Forget the token")]);
  const mine = acts().filter((one) => me.who[one.right]);
  const parts = [];
  if (mine.some((one) => one.why)) parts.push(element("label", {}, "Why ", element("input", { id: "why", autocomplete: "off", maxlength: 500, "aria-describedby": "why-note" })), element("p", { class: "soft", id: "why-note" }, "It goes into the audit log, where it stays."));
  if (mine.some((one) => one.second)) parts.push(element("label", {}, "Another person's token ", element("input", { id: "second", type: "password", autocomplete: "off", spellcheck: "false", "aria-describedby": "second-note" })), element("p", { class: "soft", id: "second-note" }, "Where two are needed; they type it themselves."));
  parts.push(...mine.map(line));
  if (mine.length === 0) parts.push(element("p", { class: "soft" }, `As things stand there is nothing that ${me.who.name} could do.`));
  become(byId("acts"), parts);
}

// Everything that asks goes through here: one question at a time, and an answer in any case.
async function ask(path, options, unknown) {
  asking = true;
  draw();
  try {
    const answer = await fetch(path, { method: "POST", signal: AbortSignal.timeout(60000), ...options });
    return { ok: answer.ok, text: (await answer.text()).trim() };
  } catch {
    return { ok: false, text: null, unknown };
  } finally {
    asking = false;
    draw();
  }
}

function missing(id, sentence, button) {
  const input = byId(id);
  problem = button ? { button, sentence } : null;
  draw();
  input.setAttribute("aria-invalid", "true");
  told("bad", sentence);
  input.focus();
}

async function perform(one) {
  const why = byId("why")?.value.trim() ?? "";
  const second = byId("second")?.value.trim() ?? "";
  byId("acts").querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
  if (one.why && why === "") return missing("why", "Say why first: it is written into the audit log.");
  if (one.second && second === "") return missing("second", "This takes two persons: the other one types their token too.");
  for (const name of one.needs ?? []) if (!byId("field-" + name).checkValidity()) return missing("field-" + name, `${one.button}: ${byId("field-" + name).validationMessage}`, one.button);
  problem = null;
  told("", "Asking …");
  const order = { token: me.token, second: one.second ? second : null, act: one.act(why) };
  const answer = await ask("act", { headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) },
    "The coordinator did not answer, so it is not known whether this was done. See what serves before you press again.");
  // A button that cannot be pressed for a while loses the keyboard's place.
  if (document.activeElement === document.body) byId(place(one.button))?.querySelector("button").focus({ preventScroll: true });
  if (answer.text === null) return told("bad", answer.unknown);
  if (!answer.ok) return told("bad", "Not done: " + answer.text);
  for (const input of byId("acts").querySelectorAll("input")) input.value = "";
  told("good", `Done at ${clock(Date.now())}: ${answer.text}`);
  document.dispatchEvent(new Event("sordino:done"));
}

byId("knock").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (asking) return;
  const token = byId("token").value.trim();
  told("", "Asking …");
  const answer = await ask("rights", { body: token }, "The coordinator does not answer.");
  if (!answer.ok) return told("bad", answer.text ?? answer.unknown);
  me = { token, who: JSON.parse(answer.text) };
  byId("token").value = "";
  told("", "");
  draw();
});

byId("acts").addEventListener("submit", (event) => event.preventDefault());
byId("acting").addEventListener("click", (event) => {
  if (asking || !me) return;
  if (event.target.id === "forget") {
    me = null;
    become(byId("acts"), []);
    told("", "");
    draw();
    return byId("token").focus();
  }
  const button = event.target.closest("[data-act]");
  const one = button && acts().find((one) => one.button === button.dataset.act);
  if (one) perform(one);
});

export function look(seen) {
  view = seen;
  draw();
}
