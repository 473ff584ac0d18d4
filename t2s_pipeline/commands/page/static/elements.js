// Small things: elements whose text is text, messages, areas.

export function element(name, attributes = {}, ...content) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...content);
  return node;
}

// Show a text in a paragraph, which is hidden without one.
export function show(id, text) {
  const node = document.getElementById(id);
  node.textContent = text;
  node.hidden = !text;
}

let timer;
export function toast(text) {
  clearTimeout(timer);
  show("toast", text);
  timer = setTimeout(() => show("toast", ""), 9000);
}

export function area(squareMetres) {
  const number = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
  return squareMetres < 1e6 ? `${number(squareMetres, squareMetres < 100 ? 1 : 0)} m²` : `${number(squareMetres / 1e6, 2)} km²`;
}
