// The map's data: parsed from the binary routes (app/routes/map_wire.py says how they are packed), kept as typed arrays.

import { errorWords } from "../common/http.js";
import { NO_CLASS } from "./codes.js";

function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { header, take: reader(buffer, 4 + length), start: 4 + length };
}

// Takes typed arrays off a buffer one after another; copies where the place does not fit the type.
function reader(buffer, start) {
  let at = start;
  const take = (Type, size) => {
    const bytes = size * Type.BYTES_PER_ELEMENT;
    if (at + bytes > buffer.byteLength) throw new Error("the map's data do not fit this page; reload it");
    const found = at % Type.BYTES_PER_ELEMENT ? new Type(buffer.slice(at, at + bytes)) : new Type(buffer, at, size);
    at += bytes;
    return found;
  };
  take.done = () => {
    if (at !== buffer.byteLength) throw new Error("the map's data do not fit this page; reload it");
  };
  return take;
}

export function parsePoints(buffer) {
  const { header, take } = unpack(buffer);
  const { n } = header;
  const points = {
    ...header, ids: take(Int32Array, n), versions: take(Int32Array, n), x: new Float32Array(take(Int16Array, n)),
    y: new Float32Array(take(Int16Array, n)), label: take(Int16Array, n),
    truth: header.truth ? take(Int16Array, n) : null, flags: take(Uint8Array, n),
    density: header.grid ? take(Uint8Array, header.grid * header.grid) : null,
  };
  take.done();
  return { ...points, buckets: buildGrid(points) };
}

export function parseEpochs(buffer) {
  const { header, take } = unpack(buffer);
  const { n, epochs } = header;
  const cls = takeClasses(take, header.wide, epochs.length, n);
  const conf = takeSums(take, Uint8Array, epochs.length, n);
  take.done();
  return { ...header, cls, conf };
}

// Later epochs of the same round put behind those already here.
export function appendEpochs(known, more) {
  return {
    ...more, first: 0, epochs: [...known.epochs, ...more.epochs], cls: [...known.cls, ...more.cls], conf: [...known.conf, ...more.conf],
  };
}

export function parseFrames(buffer) {
  const { header, take } = unpack(buffer);
  const { t, epochs, wide } = header;
  const many = epochs.length;
  const frames = { ...header, student: null, teacher: null, ids: take(Int32Array, t) };
  frames.x = takeSums(take, Int16Array, many, t);
  frames.y = takeSums(take, Int16Array, many, t);
  for (const who of ["student", "teacher"]) {
    if (header[who]) frames[who] = { cls: takeClasses(take, wide, many, t), conf: takeSums(take, Uint8Array, many, t) };
  }
  take.done();
  return frames;
}

// Rows sent as the difference to the row before, modulo the type.
function takeSums(take, Type, rows, size) {
  const found = Array.from({ length: rows }, () => take(Type, size));
  for (let e = 1; e < rows; e += 1) {
    const [row, before] = [found[e], found[e - 1]];
    for (let i = 0; i < size; i += 1) row[i] += before[i];
  }
  return found;
}

// Rows sent as the exclusive or with the row before; the largest code is "no class".
function takeClasses(take, wide, rows, size) {
  const Type = wide ? Uint16Array : Uint8Array;
  const none = wide ? 65535 : 255;
  const raw = Array.from({ length: rows }, () => take(Type, size));
  return raw.map((row, e) => {
    if (e) for (let i = 0; i < size; i += 1) row[i] ^= raw[e - 1][i];
    const out = new Int16Array(size);
    for (let i = 0; i < size; i += 1) out[i] = row[i] === none ? NO_CLASS : row[i];
    return out;
  });
}

export async function fetchBinary(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw Object.assign(new Error("no connection to Starling; trying again"), { status: 0 });
  }
  const type = response.headers.get("content-type") || "";
  if (response.ok && type.includes("octet-stream")) return response.arrayBuffer();
  const body = type.includes("json") ? await response.json() : null;
  const words = response.ok ? "the answer was not Starling's" : errorWords(response.status, body);
  throw Object.assign(new Error(words), { status: response.status, body });
}

// Points by cell, so that the nearest one is found without looking at all of them.
function buildGrid({ n, x, y }) {
  const side = Math.max(8, Math.min(256, Math.round(Math.sqrt(n / 2))));
  const cell = 65536 / side;
  const cellOf = (i) => {
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

export function nearest(points, x, y, reach, visible) {
  const { side, cell, starts, members } = points.buckets;
  const clampCell = (value) => Math.max(0, Math.min(side - 1, Math.floor((value + 32768) / cell)));
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

// Indices of the visible points inside a polygon [[x, y], …] in map coordinates.
export function insidePolygon(points, polygon, visible) {
  const xs = polygon.map((corner) => corner[0]);
  const ys = polygon.map((corner) => corner[1]);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  for (let i = 0; i < points.n; i += 1) {
    const x = points.x[i];
    const y = points.y[i];
    if (x < left || x > right || y < low || y > high || !visible(i)) continue;
    let inside = false;
    for (let a = 0, b = xs.length - 1; a < xs.length; b = a, a += 1) {
      if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) inside = !inside;
    }
    if (inside) found.push(i);
  }
  return found;
}

// A confidence sent in steps of 1/255; the last step stands for everything above 99.8 %, not for certainty.
export function shareOf(step) {
  return Math.min(step / 255, 0.998);
}
