// The map's data: parsed from the binary routes (app/routes/map_wire.py says how they are packed), kept as typed arrays.

import { fetchAnswer } from "../common/http.js";
import { NO_CLASS } from "./codes.js";

/** @import { EpochsHeader, FramesHeader, PointsHeader } from "../common/wire.d.ts" */
/** @import { Buckets, Epochs, Frames, Place, Points, Positions, Predicted } from "./types.d.ts" */

const UNFIT = "the map's data do not fit this page; reload it";

/**
 * A kind of typed array.
 * @template Column
 * @typedef {{ new (buffer: ArrayBuffer, at?: number, size?: number): Column, BYTES_PER_ELEMENT: number }} ColumnType
 */

/**
 * Reads the JSON header of a body, then its columns one after another.
 * @param {ArrayBuffer} buffer
 */
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  /** @type {unknown} */
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;

  /**
   * The next column; a copy where the place does not fit the type.
   * @template Column
   * @param {ColumnType<Column>} Type
   * @param {number} size
   */
  function take(Type, size) {
    const bytes = size * Type.BYTES_PER_ELEMENT;
    if (at + bytes > buffer.byteLength) throw new Error(UNFIT);
    const column = at % Type.BYTES_PER_ELEMENT ? new Type(buffer.slice(at, at + bytes)) : new Type(buffer, at, size);
    at += bytes;
    return column;
  }

  function done() {
    if (at !== buffer.byteLength) throw new Error(UNFIT);
  }
  return { header, take, done };
}

/** @typedef {ReturnType<typeof unpack>["take"]} Take */

/**
 * @param {ArrayBuffer} buffer
 * @returns {Points}
 */
export function parsePoints(buffer) {
  const { header, take, done } = unpack(buffer);
  const about = /** @type {PointsHeader} */ (header);
  const { n, grid } = about;
  const points = {
    ...about, ids: take(Int32Array, n), versions: take(Int32Array, n), x: new Float32Array(take(Int16Array, n)),
    y: new Float32Array(take(Int16Array, n)), label: take(Int16Array, n),
    truth: about.truth ? take(Int16Array, n) : null, flags: take(Uint8Array, n),
    density: grid ? take(Uint8Array, grid * grid) : null,
  };
  done();
  return { ...points, buckets: buildGrid(points) };
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {Epochs}
 */
export function parseEpochs(buffer) {
  const { header, take, done } = unpack(buffer);
  const about = /** @type {EpochsHeader} */ (header);
  const predicted = takePredicted(take, about.wide, about.epochs.length, about.n);
  const step = take(Uint8Array, about.n);
  done();
  return { ...about, ...predicted, step };
}

/**
 * Later epochs of the same round put behind those already here.
 * @param {Epochs} known
 * @param {Epochs} more
 * @returns {Epochs}
 */
export function appendEpochs(known, more) {
  return {
    ...more, first: 0, epochs: [...known.epochs, ...more.epochs], cls: [...known.cls, ...more.cls],
    conf: [...known.conf, ...more.conf],
  };
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {Frames}
 */
export function parseFrames(buffer) {
  const { header, take, done } = unpack(buffer);
  const about = /** @type {FramesHeader} */ (header);
  const { t, wide } = about;
  const many = about.epochs.length;
  const frames = {
    ...about, ids: take(Int32Array, t), x: takeSums(take, Int16Array, many, t), y: takeSums(take, Int16Array, many, t),
    student: about.student ? takePredicted(take, wide, many, t) : null,
    teacher: about.teacher ? takePredicted(take, wide, many, t) : null, index: new Int32Array(0),
  };
  done();
  return frames;
}

/**
 * @param {Take} take
 * @param {boolean} wide
 * @param {number} rows
 * @param {number} size
 * @returns {Predicted}
 */
function takePredicted(take, wide, rows, size) {
  return { cls: takeClasses(take, wide, rows, size), conf: takeSums(take, Uint8Array, rows, size) };
}

/**
 * Rows sent as the difference to the row before, modulo the type.
 * @template {Int16Array | Uint8Array} Column
 * @param {Take} take
 * @param {ColumnType<Column>} Type
 * @param {number} rows
 * @param {number} size
 */
function takeSums(take, Type, rows, size) {
  const sums = Array.from({ length: rows }, () => take(Type, size));
  for (let e = 1; e < rows; e += 1) {
    const [row, before] = [sums[e], sums[e - 1]];
    for (let i = 0; i < size; i += 1) row[i] += before[i];
  }
  return sums;
}

/**
 * Rows sent as the exclusive or with the row before; the largest code is "no class".
 * @param {Take} take
 * @param {boolean} wide
 * @param {number} rows
 * @param {number} size
 */
function takeClasses(take, wide, rows, size) {
  const none = wide ? 65535 : 255;
  const codes = Array.from({ length: rows }, () => (wide ? take(Uint16Array, size) : take(Uint8Array, size)));
  return codes.map((row, e) => {
    if (e) for (let i = 0; i < size; i += 1) row[i] ^= codes[e - 1][i];
    const classes = new Int16Array(size);
    for (let i = 0; i < size; i += 1) classes[i] = row[i] === none ? NO_CLASS : row[i];
    return classes;
  });
}

/** @param {string} url */
export async function fetchBinary(url) {
  const answer = await fetchAnswer(url, {}, (type) => type.includes("octet-stream"));
  return answer.arrayBuffer();
}

/**
 * Points by cell, so that the nearest one is found without looking at all of them.
 * @param {Positions} positions
 * @returns {Buckets}
 */
function buildGrid({ n, x, y }) {
  const side = Math.max(8, Math.min(256, Math.round(Math.sqrt(n / 2))));
  const cell = 65536 / side;
  const cellOf = (/** @type {number} */ i) => {
    const column = Math.min(side - 1, Math.floor((x[i] + 32768) / cell));
    return Math.min(side - 1, Math.floor((y[i] + 32768) / cell)) * side + column;
  };
  const starts = new Uint32Array(side * side + 1);
  for (let i = 0; i < n; i += 1) starts[cellOf(i) + 1] += 1;
  for (let c = 0; c < side * side; c += 1) starts[c + 1] += starts[c];
  const next = starts.slice();
  const members = new Uint32Array(n);
  for (let i = 0; i < n; i += 1) members[next[cellOf(i)]++] = i;
  return { side, cell, starts, members };
}

/**
 * The visible point nearest to a place, -1 where none is within reach.
 * @param {Points} points
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @param {(i: number) => boolean} visible
 */
export function nearest(points, x, y, reach, visible) {
  const { side, cell, starts, members } = points.buckets;
  const clampCell = (/** @type {number} */ value) => Math.max(0, Math.min(side - 1, Math.floor((value + 32768) / cell)));
  let best = -1;
  let bestSquare = reach * reach;
  for (let row = clampCell(y - reach); row <= clampCell(y + reach); row += 1) {
    for (let column = clampCell(x - reach); column <= clampCell(x + reach); column += 1) {
      for (let at = starts[row * side + column]; at < starts[row * side + column + 1]; at += 1) {
        const i = members[at];
        const square = (points.x[i] - x) ** 2 + (points.y[i] - y) ** 2;
        if (square <= bestSquare && visible(i)) {
          bestSquare = square;
          best = i;
        }
      }
    }
  }
  return best;
}

/**
 * Indices of the visible points inside a polygon in map coordinates.
 * @param {Positions} points
 * @param {Place[]} polygon
 * @param {(i: number) => boolean} visible
 */
export function insidePolygon(points, polygon, visible) {
  const xs = polygon.map((corner) => corner[0]);
  const ys = polygon.map((corner) => corner[1]);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const inside = [];
  for (let i = 0; i < points.n; i += 1) {
    const x = points.x[i];
    const y = points.y[i];
    if (x < left || x > right || y < low || y > high || !visible(i)) continue;
    let within = false;
    for (let a = 0, b = xs.length - 1; a < xs.length; b = a, a += 1) {
      if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) within = !within;
    }
    if (within) inside.push(i);
  }
  return inside;
}

/**
 * A confidence sent in steps of 1/255; the last step stands for everything above 99.8 %, not for certainty.
 * @param {number} step
 */
export function shareOf(step) {
  return Math.min(step / 255, 0.998);
}
