// The drawing: one image buffer, filled only when something changed.

import { blit, CIRCLE, createSprites, FULL, LEVELS, RING, RING_SLOTS, STAR } from "./sprites.js";

export function createCanvas(canvas, readTheme) {
  const context = canvas.getContext("2d", { alpha: false });
  let image = null;
  let buffer = null;
  let sprites = null;
  let spriteKey = "";
  let frame = 0;
  let scene = null; // () => what to draw
  const times = [];

  function resize(width, height) {
    canvas.width = Math.max(1, width);
    canvas.height = Math.max(1, height);
    image = context.createImageData(canvas.width, canvas.height);
    buffer = new Uint32Array(image.data.buffer);
    spriteKey = "";
  }

  function spritesFor(radius, theme, colours) {
    const key = [radius.toFixed(2), theme.line, canvas.width, colours.length].join("|");
    if (key !== spriteKey) {
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
    const now = scene?.();
    if (!buffer || !now) return;
    const began = performance.now();
    const theme = readTheme();
    buffer.fill(packColour(theme.background));
    if (now.points) {
      const found = spritesFor(now.radius, theme, now.colours);
      for (const pane of now.panes) {
        if (now.density) drawDensity(now, pane, theme);
        if (pane.ringed) drawRings(now, pane, found); // below the points, whose colours must stay readable
        drawPoints(now, pane, found);
      }
    }
    context.putImageData(image, 0, 0);
    now.after?.();
    times.push(performance.now() - began);
    if (times.length > 120) times.shift();
    canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
    canvas.dataset.drawn = times.at(-1).toFixed(2);
  }

  // A pane is a strip of the canvas from `from` to `to` with positions and colours of its own.
  function drawPoints(now, pane, found) {
    const { points, hidden, view } = now;
    const { x, y, slotOf, levels } = pane;
    const { label, n } = points;
    const { scale, top } = view;
    const left = view.left + pane.from;
    const { reach } = found;
    const { width, height } = canvas;
    const table = spriteTable(found, now.colours.length);
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

  function drawRings({ points, hidden, view }, pane, found) {
    const { ringed, levels, x, y } = pane;
    const { width, height } = canvas;
    for (let i = 0; i < points.n; i += 1) {
      if (!ringed[i] || hidden[i]) continue;
      const px = (x[i] * view.scale + view.left + pane.from) | 0;
      const py = (view.top - y[i] * view.scale) | 0;
      if (px < pane.from + found.reach || py < found.reach || px >= pane.to - found.reach || py >= height - found.reach) continue;
      blit(buffer, py * width + px, found.get(RING, RING_SLOTS + ringed[i], levels[i] > 1 ? FULL : 1));
    }
  }

  // How many images lie where, as a veil behind the points: beyond a limit only a sample of them is drawn.
  function drawDensity({ density, view }, pane, theme) {
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

  function spriteTable(found, slots) {
    const flat = new Array(2 * slots * LEVELS.length);
    return (shape, slot, level) => {
      const at = (shape * slots + slot) * LEVELS.length + level;
      return (flat[at] ||= found.get(shape, slot, level));
    };
  }

  return {
    resize, request,
    setScene: (next) => (scene = next),
    stop: () => cancelAnimationFrame(frame),
    times: () => [...times],
  };
}

function mixColours(a, b, share) {
  return a.map((value, k) => Math.round(value + share * (b[k] - value)));
}

function packColour([red, green, blue]) {
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
