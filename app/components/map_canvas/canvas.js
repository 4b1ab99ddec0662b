// The drawing: one image buffer, filled only when something changed.

import { inkOf } from "../common/dom.js";
import { blit, CIRCLE, createSprites, FULL, LEVELS, RING, RING_SLOTS, STAR } from "./sprites.js";

/** @import { Sprite, Sprites } from "./sprites.js" */
/** @import { MapTheme, Pane, Points, Rgb } from "./types.d.ts" */

/**
 * What is drawn in one pane; `ringed`: kind of ring of each point, null for none.
 * @typedef {{ slotOf: Uint8Array, levels: Uint8Array, ringed: Uint8Array | null }} Marks
 * @typedef {Pane & Marks & { x: Float32Array, y: Float32Array }} PaneScene
 * @typedef {{ scale: number, left: number, top: number }} Sight
 *
 * @typedef {object} Scene
 * @property {Points | null} points
 * @property {Sight} view
 * @property {number} radius
 * @property {string[]} colours
 * @property {Uint8Array} hidden
 * @property {PaneScene[]} panes
 * @property {{ grid: number, counts: Uint8Array } | null} density how many images lie in each cell of a grid
 * @property {() => void} after
 */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {() => Scene} scene what to draw
 * @param {() => MapTheme} readTheme
 */
export function createCanvas(canvas, scene, readTheme) {
  const context = inkOf(canvas, { alpha: false });
  let image = context.createImageData(1, 1);
  let buffer = new Uint32Array(image.data.buffer);
  let sized = false;
  /** @type {Sprites | null} */
  let sprites = null;
  let spriteKey = "";
  let frame = 0;
  /** @type {number[]} */
  const times = [];

  /**
   * @param {number} width
   * @param {number} height
   */
  function resize(width, height) {
    canvas.width = Math.max(1, width);
    canvas.height = Math.max(1, height);
    image = context.createImageData(canvas.width, canvas.height);
    buffer = new Uint32Array(image.data.buffer);
    sprites = null;
    sized = true;
  }

  /**
   * @param {number} radius
   * @param {MapTheme} theme
   * @param {string[]} colours
   */
  function spritesFor(radius, theme, colours) {
    const key = [radius.toFixed(2), theme.line, canvas.width, colours.length].join("|");
    if (sprites === null || key !== spriteKey) {
      spriteKey = key;
      sprites = createSprites({ radius, stride: canvas.width, line: theme.line, colours });
    }
    return sprites;
  }

  function request() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    if (!sized) return;
    const now = scene();
    const began = performance.now();
    const theme = readTheme();
    buffer.fill(packColour(theme.background));
    if (now.points) {
      const shapes = spritesFor(now.radius, theme, now.colours);
      for (const pane of now.panes) {
        drawDensity(now, pane, theme);
        drawRings(now, now.points, pane, shapes); // below the points, whose colours must stay readable
        drawPoints(now, now.points, pane, shapes);
      }
    }
    context.putImageData(image, 0, 0);
    now.after();
    const took = performance.now() - began;
    times.push(took);
    if (times.length > 120) times.shift();
    canvas.dataset.frames = String(Number(canvas.dataset.frames || 0) + 1);
    canvas.dataset.drawn = took.toFixed(2);
  }

  /**
   * A pane is a strip of the canvas from `from` to `to` with positions and colours of its own.
   * @param {Scene} now
   * @param {Points} points
   * @param {PaneScene} pane
   * @param {Sprites} shapes
   */
  function drawPoints(now, points, pane, shapes) {
    const { hidden, view } = now;
    const { x, y, slotOf, levels } = pane;
    const { label, n } = points;
    const { scale, top } = view;
    const left = view.left + pane.from;
    const { reach } = shapes;
    const { width, height } = canvas;
    const table = spriteTable(shapes, now.colours.length);
    const [first, last] = [pane.from + reach, pane.to - reach];
    for (let pass = 0; pass < 2; pass += 1) {
      for (let i = 0; i < n; i += 1) {
        const labeled = label[i] >= 0 ? CIRCLE : STAR;
        if (labeled !== pass || hidden[i]) continue;
        const px = (x[i] * scale + left) | 0;
        const py = (top - y[i] * scale) | 0;
        if (px < first || py < reach || px >= last || py >= height - reach) continue;
        blit(buffer, py * width + px, table(labeled, slotOf[i], levels[i]));
      }
    }
  }

  /**
   * @param {Scene} now
   * @param {Points} points
   * @param {PaneScene} pane
   * @param {Sprites} shapes
   */
  function drawRings({ hidden, view }, points, pane, shapes) {
    const { ringed, levels, x, y } = pane;
    if (ringed === null) return;
    const { reach } = shapes;
    const { width, height } = canvas;
    for (let i = 0; i < points.n; i += 1) {
      if (!ringed[i] || hidden[i]) continue;
      const px = (x[i] * view.scale + view.left + pane.from) | 0;
      const py = (view.top - y[i] * view.scale) | 0;
      if (px < pane.from + reach || py < reach || px >= pane.to - reach || py >= height - reach) continue;
      blit(buffer, py * width + px, shapes.get(RING, RING_SLOTS + ringed[i], levels[i] > 1 ? FULL : 1));
    }
  }

  /**
   * How many images lie where, as a veil behind the points: beyond a limit only a sample of them is drawn.
   * @param {Scene} now
   * @param {PaneScene} pane
   * @param {MapTheme} theme
   */
  function drawDensity({ density, view }, pane, theme) {
    if (density === null) return;
    const { grid, counts } = density;
    const { width, height } = canvas;
    const shades = Uint32Array.from({ length: 256 }, (_, v) => packColour(mixColours(theme.background, theme.ink, (v / 255) * 0.3)));
    const cell = 65536 / grid;
    const columns = new Int32Array(pane.to - pane.from);
    for (let px = 0; px < columns.length; px += 1) columns[px] = Math.floor(((px - view.left) / view.scale + 32768) / cell);
    for (let py = 0; py < height; py += 1) {
      const row = Math.floor(((view.top - py) / view.scale + 32768) / cell);
      if (row < 0 || row >= grid) continue;
      for (let px = 0; px < columns.length; px += 1) {
        const column = columns[px];
        if (column < 0 || column >= grid) continue;
        const value = counts[row * grid + column];
        if (value) buffer[py * width + px + pane.from] = shades[value];
      }
    }
  }

  /**
   * @param {Sprites} shapes
   * @param {number} slots
   * @returns {(shape: number, slot: number, level: number) => Sprite}
   */
  function spriteTable(shapes, slots) {
    /** @type {Sprite[]} */
    const flat = new Array(2 * slots * LEVELS.length);
    return (shape, slot, level) => {
      const at = (shape * slots + slot) * LEVELS.length + level;
      return (flat[at] ||= shapes.get(shape, slot, level));
    };
  }

  return {
    resize, request,
    stop: () => cancelAnimationFrame(frame),
    times: () => [...times],
  };
}

/**
 * @param {Rgb} a
 * @param {Rgb} b
 * @param {number} share of b
 * @returns {Rgb}
 */
function mixColours(a, b, share) {
  const mixed = (/** @type {number} */ k) => Math.round(a[k] + share * (b[k] - a[k]));
  return [mixed(0), mixed(1), mixed(2)];
}

/** @param {Rgb} colour */
function packColour([red, green, blue]) {
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
