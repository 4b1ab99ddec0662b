// Small DOM helpers shared by the components. Text always goes in as text, never as markup.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "testid") node.dataset.testid = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  node.hidden = !visible;
}

export function percent(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const shown = value * 100;
  if (digits === 0 && shown > 99.5 && shown < 100) return ">99\u202f%";
  return `${shown.toFixed(digits)}\u202f%`;
}

export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

export function newUid() {
  if (globalThis.crypto?.randomUUID) return crypto.randomUUID(); // absent outside secure contexts
  const bytes = new Uint8Array(16);
  if (globalThis.crypto?.getRandomValues) crypto.getRandomValues(bytes);
  else for (let i = 0; i < 16; i += 1) bytes[i] = Math.floor(Math.random() * 256);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

// Runs work once the frame now being made is painted; in a tab that paints nothing, soon all the same.
export function afterPaint(work) {
  let waiting = true;
  const run = () => {
    if (waiting) work();
    waiting = false;
  };
  requestAnimationFrame(() => setTimeout(run));
  setTimeout(run, 100);
}

const STEERS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", " "]);

// A typing target keeps its keys, a box or a slider those that steer it. composedPath sees through shadow roots, where event.target does not.
export function isTyping(event) {
  const target = event.composedPath()[0];
  if (!(target instanceof Element)) return false;
  if (target.isContentEditable) return true;
  if (target.matches("input[type=checkbox], input[type=radio], input[type=range]")) return STEERS.has(event.key);
  return target.closest("input, textarea, select, [role=slider], [role=combobox], [role=listbox]") !== null;
}

// After a choice above the images was made, the keys are for the images: a list that keeps the focus would take them.
// A list that stands open is being chosen from.
export function leaveChoice() {
  const chosen = document.activeElement;
  if (chosen?.matches("[role=combobox]") && chosen.getAttribute("aria-expanded") !== "true") chosen.blur();
}

// Enter and Space belong to a control that was reached with the Tab key.
export function isOnControl(event) {
  const target = event.composedPath()[0];
  const control = target instanceof Element && target.closest("button, a[href], summary, [role=button], [role=tab]");
  return Boolean(control) && control.matches(":focus-visible"); // a link that was clicked lets go of them
}

// A mouse click must not leave the focus on a button: the next Space would press it again.
export function releaseAfterClick(root) {
  root.addEventListener("click", (event) => {
    if (event.detail === 0) return; // pressed by keyboard
    const target = event.composedPath()[0];
    if (target instanceof Element) target.closest("button")?.blur();
  });
}

// Keeps native controls (sliders, lists, scroll bars) light or dark with Streamlit's theme and tells when it changes:
// the node's background follows the theme through a transition, and the end of that is the signal.
export function watchTheme(node, onChange = () => {}) {
  const apply = () => {
    const [red, green, blue] = cssToRgb(getComputedStyle(node).backgroundColor);
    node.style.colorScheme = 0.3 * red + 0.6 * green + 0.1 * blue < 128 ? "dark" : "light";
    onChange();
  };
  node.addEventListener("transitionend", (event) => {
    if (event.target === node && event.propertyName === "background-color") apply();
  });
  apply();
  return apply;
}

// Any CSS colour as [red, green, blue], by letting the browser paint it.
export function cssToRgb(text) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}
