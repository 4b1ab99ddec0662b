// The drawing: one image buffer, filled only when something changed.

function createCanvas(canvas, readTheme) {
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
    if (now.points) drawPoints(now, spritesFor(now.radius, theme, now.colours));
    context.putImageData(image, 0, 0);
    times.push(performance.now() - began);
    if (times.length > 120) times.shift();
    canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
  }

  function drawPoints(now, found) {
    const { points, slotOf, hidden } = now;
    const { x, y, label, n } = points;
    const { scale, left, top } = now.view;
    const { reach } = found;
    const [width, height] = [canvas.width, canvas.height];
    const table = spriteTable(found, now.colours.length);
    for (let pass = 0; pass < 2; pass += 1) {
      for (let i = 0; i < n; i += 1) {
        const labeled = label[i] >= 0 ? CIRCLE : STAR;
        if (labeled !== pass || hidden[i]) continue;
        const px = (x[i] * scale + left) | 0;
        const py = (top - y[i] * scale) | 0;
        if (px < reach || py < reach || px >= width - reach || py >= height - reach) continue;
        blit(buffer, py * width + px, table(labeled, slotOf[i], now.levels[i]));
      }
    }
    if (now.ringed) drawRings(now, found);
  }

  function drawRings({ points, ringed, hidden, view, levels }, found) {
    const ring = [found.get(RING, 0, 1), found.get(RING, 0, 5)];
    const [width, height] = [canvas.width, canvas.height];
    for (let i = 0; i < points.n; i += 1) {
      if (!ringed[i] || hidden[i]) continue;
      const px = (points.x[i] * view.scale + view.left) | 0;
      const py = (view.top - points.y[i] * view.scale) | 0;
      if (px < found.reach || py < found.reach || px >= width - found.reach || py >= height - found.reach) continue;
      blit(buffer, py * width + px, ring[levels[i] > 1 ? 1 : 0]);
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

function packColour([red, green, blue]) {
  return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
