// What a person who does not see the page cannot make out, as sentences.
const told = [];
const text = (of) => (of.textContent || "").trim();
for (const of of document.body.querySelectorAll("input, select, textarea")) {
  if (!of.checkVisibility() || of.type === "hidden") continue;
  const labels = [...(of.labels ?? [])].map((label) => [...label.childNodes].filter((node) => node !== of).map(text).join("")).join("");
  if (!labels && !of.getAttribute("aria-label") && !of.getAttribute("aria-labelledby")) told.push(`a field without a label: ${of.id || of.outerHTML.slice(0, 60)}`);
}
for (const of of document.body.querySelectorAll("button, a[href], summary")) if (of.checkVisibility() && !text(of) && !of.getAttribute("aria-label")) told.push(`a ${of.tagName.toLowerCase()} without words: ${of.outerHTML.slice(0, 60)}`);
for (const of of document.body.querySelectorAll("img:not([alt]), svg:not([aria-label]):not([aria-hidden]):not([aria-labelledby])")) if (of.checkVisibility() && !of.parentElement.closest("svg")) told.push(`a picture without a description: ${of.outerHTML.slice(0, 60)}`);
const ids = [...document.querySelectorAll("[id]")].map((of) => of.id);
ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => told.push(`two elements have the id ${id}`));
let level = 0;
for (const of of document.body.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
  if (!of.checkVisibility()) continue;
  const next = Number(of.tagName[1]);
  if (next > level + 1) told.push(`${of.tagName.toLowerCase()} follows h${level}: ${text(of).slice(0, 40)}`);
  level = next;
}
if (!document.documentElement.lang) told.push("the page does not say its language");
if (!document.title) told.push("the page has no title");
return told;
