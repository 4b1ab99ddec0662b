// Small DOM helpers shared by the components. Text always goes in as text, never as markup.

/**
 * What an element gets: a class, a test id, attributes (null, undefined and false leave one out) and listeners.
 * @typedef {string | number | boolean | null | undefined} Attribute
 * @typedef {"type" | "title" | "role" | "hidden" | "tabindex" | "src" | "alt" | "width" | "height" | "draggable" | "min" | "max"
 *   | "step" | "value" | "placeholder" | "autocomplete" | "spellcheck" | "maxlength" | "loading" | "href" | "download"
 *   | "selected" | "style" | "id"} AttributeName
 * @typedef {{ class?: string | null, testid?: string } & { [name in AttributeName]?: Attribute }
 *   & { [name: `data-${string}` | `aria-${string}`]: Attribute }
 *   & { [name in keyof HTMLElementEventMap as `on${name}`]?: (event: HTMLElementEventMap[name]) => unknown }} Properties
 */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} properties
 * @param {...(Node | string | number | null | undefined)} children
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  const { class: classes, testid, ...others } = properties;
  if (classes) node.className = classes;
  if (testid) node.dataset.testid = testid;
  for (const [name, value] of Object.entries(others)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined) node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

/**
 * An element of an SVG drawing.
 * @param {string} tag
 * @param {{ [name: string]: string | number }} attributes
 */
export function svgPart(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
}

/**
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * @param {HTMLElement} node
 * @param {boolean} visible
 */
export function show(node, visible) {
  node.hidden = !visible;
}

/**
 * A part of a node that is there because it was built so.
 * @param {ParentNode} node
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function part(node, selector) {
  const element = node.querySelector(selector);
  if (!(element instanceof HTMLElement)) throw new Error(`there is no ${selector}`);
  return element;
}

/**
 * The 2D context of a canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function inkOf(canvas, settings) {
  const ink = canvas.getContext("2d", settings);
  if (ink === null) throw new Error("this browser draws no canvas");
  return ink;
}

/**
 * The element that has the focus, also inside a shadow root.
 * @param {Node} node a node beside which the focus may be
 */
export function focusedBeside(node) {
  const root = node.getRootNode();
  return root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
}

/**
 * @param {number | null | undefined} share 0..1
 * @param {number} digits
 */
export function percent(share, digits = 0) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  const shown = share * 100;
  if (digits === 0 && shown > 99.5 && shown < 100) return ">99\u202f%";
  return `${shown.toFixed(digits)}\u202f%`;
}

/** @param {number} amount */
export function count(amount) {
  return Math.round(amount).toLocaleString("en-US");
}

export function newUid() {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID(); // absent outside secure contexts
  const bytes = new Uint8Array(16);
  crypto.getRandomValues(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * Runs work once the frame now being made is painted; in a tab that paints nothing, soon all the same.
 * @param {() => void} work
 */
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

/**
 * A typing target keeps its keys, a box or a slider those that steer it. composedPath sees through shadow roots, where
 * event.target does not.
 * @param {KeyboardEvent} event
 */
export function isTyping(event) {
  const target = event.composedPath()[0];
  if (!(target instanceof Element)) return false;
  if (target instanceof HTMLElement && target.isContentEditable) return true;
  if (target.matches("input[type=checkbox], input[type=radio], input[type=range]")) return STEERS.has(event.key);
  return target.closest("input, textarea, select, [role=slider], [role=combobox], [role=listbox]") !== null;
}

// After a choice above the images was made, the keys are for the images: a list that keeps the focus would take them.
// A list that stands open is being chosen from.
export function leaveChoice() {
  const chosen = document.activeElement;
  if (!(chosen instanceof HTMLElement) || !chosen.matches("[role=combobox]")) return;
  if (chosen.getAttribute("aria-expanded") !== "true") chosen.blur();
}

/**
 * Enter and Space belong to a control that was reached with the Tab key.
 * @param {KeyboardEvent} event
 */
export function isOnControl(event) {
  const target = event.composedPath()[0];
  const control = target instanceof Element ? target.closest("button, a[href], summary, [role=button], [role=tab]") : null;
  return control !== null && control.matches(":focus-visible"); // a link that was clicked lets go of them
}

/**
 * A mouse click must not leave the focus on a button: the next Space would press it again.
 * @param {HTMLElement} root
 */
export function releaseAfterClick(root) {
  root.addEventListener("click", (event) => {
    if (event.detail === 0) return; // pressed by keyboard
    const target = event.composedPath()[0];
    if (target instanceof Element) target.closest("button")?.blur();
  });
}

/**
 * Keeps native controls (sliders, lists, scroll bars) light or dark with Streamlit's theme and tells when it changes:
 * the node's background follows the theme through a transition, and the end of that is the signal.
 * @param {HTMLElement} node
 * @param {() => void} onChange
 */
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

/**
 * Any CSS colour as [red, green, blue], by letting the browser paint it.
 * @param {string} text
 * @returns {[number, number, number]}
 */
export function cssToRgb(text) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = inkOf(canvas, { willReadFrequently: true });
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  return [red, green, blue];
}
