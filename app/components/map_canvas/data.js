// The map's data: parsed from the binary routes, kept as typed arrays.
// points: uint32 header length, JSON header, then int32 id[n], int32 version[n], int16 x[n], int16 y[n],
//         int16 label[n] (-1 none), uint8 flags[n] (1 labeled, 2 reviewed, 4 marked)
// epochs: the same frame, then int16 class[E][n] (-1 none), uint8 confidence[E][n] (255 is 1.0); the padded header
//         puts the classes at a multiple of 4

const POINT_BYTES = 15;
const EPOCH_BYTES = 3; // of one point at one epoch

function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { header, start: Math.ceil((4 + length) / 4) * 4 };
}

function parsePoints(buffer) {
  const { header, start } = unpack(buffer);
  const { n } = header;
  if (buffer.byteLength - start !== n * POINT_BYTES) throw new Error("the map's data do not fit this page; reload it");
  const points = {
    ...header,
    ids: new Int32Array(buffer, start, n),
    versions: new Int32Array(buffer, start + 4 * n, n),
    x: new Float32Array(new Int16Array(buffer, start + 8 * n, n)),
    y: new Float32Array(new Int16Array(buffer, start + 10 * n, n)),
    label: new Int16Array(buffer, start + 12 * n, n),
    flags: new Uint8Array(buffer, start + 14 * n, n),
  };
  return { ...points, grid: buildGrid(points) };
}

function parseEpochs(buffer) {
  const { header, start } = unpack(buffer);
  const { n, epochs } = header;
  const size = n * epochs.length;
  if (buffer.byteLength - start !== EPOCH_BYTES * size) throw new Error("the epochs' data do not fit this page; reload it");
  const cls = epochs.map((_, e) => new Int16Array(buffer, start + 2 * e * n, n));
  const conf = epochs.map((_, e) => new Uint8Array(buffer, start + 2 * size + e * n, n));
  return { n, epochs, cls, conf };
}

async function fetchBinary(url) {
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

function nearest(points, x, y, reach, visible) {
  const { side, cell, starts, members } = points.grid;
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
function insidePolygon(points, polygon, visible) {
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
