// Point shapes drawn once, kept as lists of pixels: offset, colour, coverage. Copying those into one image buffer is
// several times faster than a canvas call for each point when there is no graphics card.

import { inkOf } from "../common/dom.js";

export const LEVELS = [0.1, 0.2, 0.32, 0.44, 0.57, 0.71, 0.85, 1]; // opacities a point can have
export const FULL = LEVELS.length - 1;
export const STAR = 0;
export const CIRCLE = 1;
export const RING = 2;
export const RING_SLOTS = 48; // ring colours have slots of their own, after all the points'
export const RING_COLOURS = [null, null, "#00b140", "#e8112d"]; // none, changed (the line's colour), improved, worsened

/**
 * A shape as pixels: offsets in the image buffer, packed colours, coverages 0..255.
 * @typedef {{ offsets: Int32Array, packed: Uint32Array, alphas: Uint8Array }} Sprite
 * @typedef {ReturnType<typeof createSprites>} Sprites
 */

/**
 * @param {{ radius: number, stride: number, line: string, colours: string[] }} look stride: pixels of a row of the buffer
 */
export function createSprites({ radius, stride, line, colours }) {
  /** @type {Map<number, Sprite>} */
  const cache = new Map();
  const reach = Math.ceil(ringRadius(radius) + 2);

  /**
   * @param {number} shape STAR, CIRCLE or RING
   * @param {number} slot place in colours
   * @param {number} level place in LEVELS
   */
  function get(shape, slot, level) {
    const key = (shape * 64 + slot) * LEVELS.length + level;
    let sprite = cache.get(key);
    if (!sprite) {
      sprite = trace(shape, shape === RING ? RING_COLOURS[slot - RING_SLOTS] || line : colours[slot], LEVELS[level]);
      cache.set(key, sprite);
    }
    return sprite;
  }

  /**
   * @param {number} shape
   * @param {string} colour
   * @param {number} opacity
   * @returns {Sprite}
   */
  function trace(shape, colour, opacity) {
    const size = 2 * reach + 1;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    const context = inkOf(canvas, { willReadFrequently: true });
    context.translate(reach + 0.5, reach + 0.5);
    drawShape(context, shape, radius, colour, shape === RING ? colour : line);
    const { data } = context.getImageData(0, 0, size, size);
    const offsets = [];
    const packed = [];
    const alphas = [];
    for (let p = 0; p < size * size; p += 1) {
      const alpha = Math.round(data[4 * p + 3] * opacity);
      if (alpha < 14) continue;
      offsets.push((Math.floor(p / size) - reach) * stride + (p % size) - reach);
      packed.push((0xff000000 | (data[4 * p + 2] << 16) | (data[4 * p + 1] << 8) | data[4 * p]) >>> 0);
      alphas.push(alpha > 249 ? 255 : alpha);
    }
    return { offsets: Int32Array.from(offsets), packed: Uint32Array.from(packed), alphas: Uint8Array.from(alphas) };
  }

  return { get, reach };
}

/** @param {number} radius */
const ringRadius = (radius) => radius * 1.25 + 1.8;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} shape
 * @param {number} radius
 * @param {string} colour
 * @param {string} line
 */
export function drawShape(context, shape, radius, colour, line) {
  context.beginPath();
  if (shape === STAR) {
    for (let k = 0; k < 10; k += 1) {
      const r = (k % 2 ? 0.48 : 1.16) * radius;
      const angle = (Math.PI / 5) * k - Math.PI / 2;
      context.lineTo(Math.cos(angle) * r, Math.sin(angle) * r);
    }
    context.closePath();
  } else {
    context.arc(0, 0, shape === RING ? ringRadius(radius) : radius, 0, 2 * Math.PI);
  }
  if (shape === RING) {
    context.strokeStyle = line;
    context.lineWidth = Math.max(1.3, radius * 0.26);
    context.stroke();
    return;
  }
  context.fillStyle = colour;
  context.fill();
  if (shape !== CIRCLE) return;
  context.strokeStyle = line; // the outline tells a label from a pseudo-label also at small sizes
  context.lineWidth = Math.max(1, radius * 0.3);
  context.stroke();
}

/**
 * Puts a sprite into an image buffer, its middle at a place.
 * @param {Uint32Array} buffer
 * @param {number} at
 * @param {Sprite} sprite
 */
export function blit(buffer, at, sprite) {
  const { offsets, packed, alphas } = sprite;
  for (let k = 0; k < offsets.length; k += 1) {
    const alpha = alphas[k];
    const place = at + offsets[k];
    const ink = packed[k];
    if (alpha === 255) {
      buffer[place] = ink;
      continue;
    }
    const rest = 255 - alpha;
    const under = buffer[place];
    const redBlue = (Math.imul(ink & 0xff00ff, alpha) + Math.imul(under & 0xff00ff, rest)) >>> 8;
    const green = (Math.imul((ink >>> 8) & 0xff, alpha) + Math.imul((under >>> 8) & 0xff, rest)) & 0xff00;
    buffer[place] = (0xff000000 | (redBlue & 0xff00ff) | green) >>> 0;
  }
}
