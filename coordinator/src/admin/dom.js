// Elements, made and compared.

export const byId = (id) => document.getElementById(id);

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return made;
}

// Children that are null, false or empty are left out.
export const element = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
export const drawn = (tag, attributes, ...children) => filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// What a person has opened, typed or chosen is theirs; the page does not take it back.
const THEIRS = ["open", "aria-invalid"];

function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.id ?? "") !== (fresh.id ?? "")) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !THEIRS.includes(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  become(old, [...fresh.childNodes]);
}

// Lets the children of `place` become these, touching only what differs.
export function become(place, fresh) {
  const old = [...place.childNodes];
  fresh.filter(Boolean).forEach((child, number) => {
    if (number < old.length) morph(old[number], child);
    else place.append(child);
  });
  old.slice(fresh.filter(Boolean).length).forEach((child) => child.remove());
}

// Columns are { name, number, wide }; those that are wide are left out on a phone. A row is an array of texts and elements, or
// { cells, class }.
export function table(columns, rows, attributes = {}) {
  const kind = (column) => [column.number && "n", column.wide && "wide"].filter(Boolean).join(" ") || null;
  const head = element("tr", {}, columns.map((column) => element("th", { scope: "col", class: kind(column) }, column.name)));
  const body = rows.map((row) => {
    const cells = row.cells ?? row;
    return element("tr", { class: row.class }, cells.map((cell, at) => element("td", { class: kind(columns[at]), "data-name": columns[at].name }, cell ?? "")));
  });
  return element("table", attributes, element("thead", {}, head), element("tbody", {}, body));
}

export function folded(title, ...inner) {
  return element("details", {}, element("summary", {}, title), ...inner);
}

export function notice(kind, ...inner) {
  return element("div", { class: "notice " + kind }, ...inner);
}
