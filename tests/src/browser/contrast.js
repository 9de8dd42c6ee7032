// Text that is too faint against what is behind it, as sentences: below 4.5 to 1 (WCAG 2, AA), or 3 to 1 where it is large.
const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return text.startsWith("color(srgb") ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a]; };
const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
const behind = (of) => {
  const layers = [];
  for (let at = of; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
  const paper = matchMedia("(prefers-color-scheme: dark)").matches && getComputedStyle(document.documentElement).colorScheme.includes("dark") ? [18, 18, 18, 1] : [255, 255, 255, 1];
  return layers.reverse().reduce((below, layer) => over(layer, below), paper);
};
const luminance = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
const told = [];
for (const of of document.body.querySelectorAll("*")) {
  const words = [...of.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join(" ").trim();
  // What cannot be used now may be faint.
  if (!words || !of.checkVisibility() || of.matches(":disabled, option, script, style")) continue;
  const style = getComputedStyle(of);
  const inPicture = of instanceof SVGElement;
  const ground = behind(of);
  const ink = over(parse(inPicture ? style.fill : style.color), ground);
  const [one, other] = [luminance(ink), luminance(ground)];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (isLarge ? 3 : 4.5)) told.push(`${of.tagName.toLowerCase()}${of.id ? "#" + of.id : ""} is faint (${ratio.toFixed(2)} to 1): ${words.slice(0, 40)}`);
}
return told;
