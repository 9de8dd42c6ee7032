// What does not fit its window or its box, as sentences. A box that scrolls may hold more than it shows.
const name = (of) => of.tagName.toLowerCase() + (of.id ? "#" + of.id : "") + (typeof of.className === "string" && of.className ? "." + of.className.trim().replace(/\s+/g, ".") : "");
const told = [];
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > window.innerWidth) told.push(`the page is ${document.documentElement.scrollWidth} pixels wide in a window of ${window.innerWidth}`);
const scrolls = (of) => { for (let at = of; at && at !== document.body; at = at.parentElement) if (/auto|scroll/.test(getComputedStyle(at).overflowX)) return true; return false; };
for (const of of document.body.querySelectorAll("*")) {
  const style = getComputedStyle(of);
  const box = of.getBoundingClientRect();
  // Nothing to be seen, or only to be heard.
  if (style.visibility !== "visible" || box.width <= 1 || box.height <= 1 || !of.checkVisibility()) continue;
  const words = (of.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
  if ((box.right > width + 1 || box.left < -1) && !scrolls(of)) told.push(`${name(of)} stands out of the window (${Math.round(box.left)} to ${Math.round(box.right)}): ${words}`);
  if (of instanceof SVGElement && !(of instanceof SVGSVGElement)) {
    const picture = of.ownerSVGElement.getBoundingClientRect();
    if (of.tagName === "text" && (box.right > picture.right + 1 || box.left < picture.left - 1 || box.top < picture.top - 2 || box.bottom > picture.bottom + 2)) told.push(`text is cut off by its picture: ${words}`);
    continue;
  }
  if (/hidden|clip/.test(style.overflowX) && of.scrollWidth > of.clientWidth + 1 && words) told.push(`${name(of)} cuts off its content: ${words}`);
  if (/hidden|clip/.test(style.overflowY) && of.scrollHeight > of.clientHeight + 1 && words) told.push(`${name(of)} cuts off its content below: ${words}`);
  // Words that run out of the card that they are in.
  if (of.parentElement && style.position !== "absolute" && style.position !== "fixed" && !scrolls(of)) {
    const around = of.parentElement.getBoundingClientRect();
    if (around.width > 1 && box.right > around.right + 1 && getComputedStyle(of.parentElement).display !== "contents") told.push(`${name(of)} runs out of ${name(of.parentElement)} by ${Math.round(box.right - around.right)} pixels: ${words}`);
  }
}
return told;
