// Mounts the map. Streamlit calls the default export on every data change and its cleanup only at the end.

const mapMounts = new WeakMap();

function mountMap(parent, first) {
  const { base } = first;
  const model = createModel();
  const view = { scale: 0.01, left: 0, top: 0 }; // device pixels
  let data = first;
  let radius = 5;
  let ratio = 1;
  let hovered = { i: -1, at: [0, 0] };
  let problem = "";
  let waiting = 0;
  let live = 0;
  let fitted = false;
  let sized = false;
  let stopped = false;

  const canvas = el("canvas", { class: "points", testid: "map-canvas" });
  const overlay = el("canvas", { class: "overlay", "aria-hidden": "true" });
  const veil = buildVeil();
  const hover = buildHover(model, base);
  const area = el("div", {
    class: "area", tabindex: "0", role: "application", testid: "map-area", "data-mode": "pan",
    "aria-label": "Map of the images. Arrow keys move, plus and minus zoom, 0 fits, Control A selects all, Escape clears.",
  }, canvas, overlay, hover.node, veil.node);
  const actions = {
    pan, zoom, fit, theme: () => theme,
    mode: (mode) => pointer.setMode(mode),
    size: (value) => {
      radius = value;
      sized = true;
      drawing.request();
    },
    fade: (on) => {
      model.fade = on;
      changed();
    },
    epoch: (e) => {
      model.epoch = e;
      changed();
    },
    ring: (from) => {
      model.ringFrom = from;
      changed();
    },
    toggle: (k) => {
      model.toggleClass(k);
      changed();
    },
    isolate: (k) => {
      model.isolate(k);
      changed();
    },
    clear,
    changed,
    round: () => data.round,
    hover: onHover,
    click: onClick,
    enclose: (path, add) => {
      model.enclose(path.map(toMap), add);
      changed();
    },
    selectAll: () => {
      model.select(Array.from(model.hidden.keys()).filter(model.visible));
      changed();
    },
    point: (i) => {
      hovered = { i: -1, at: [0, 0] };
      mark(i);
    },
  };
  const toolbar = buildToolbar(actions);
  const bar = buildEpochBar(model, actions);
  const legend = buildLegend(model, actions);
  const selection = buildSelection(model, base, actions);
  const side = el("aside", { class: "side" }, legend.node, selection.node);
  const map = el("div", { class: "map", testid: "map" },
    el("div", { class: "left" }, toolbar.node, area, bar.node), side);
  parent.append(map);
  releaseAfterClick(map);

  let theme = null;
  const drawing = createCanvas(canvas, () => theme);
  drawing.setScene(() => ({
    points: model.points, view, radius: radius * ratio, colours: model.colours, slotOf: model.slotOf,
    levels: model.levels, hidden: model.hidden, ringed: model.ringFrom === null ? null : model.ringed,
  }));
  const pointer = watchPointer(area, overlay, actions);
  const applyTheme = watchTheme(map, () => {
    theme = readTheme();
    drawing.request();
  });

  function readTheme() {
    const style = getComputedStyle(map);
    return {
      background: cssToRgb(style.backgroundColor),
      line: style.getPropertyValue("--st-text-color").trim() || style.color,
      accent: style.getPropertyValue("--st-primary-color").trim() || "#888",
    };
  }

  const toMap = ([x, y]) => [(x * ratio - view.left) / view.scale, (view.top - y * ratio) / view.scale];
  const toArea = (i) => [
    (model.points.x[i] * view.scale + view.left) / ratio, (view.top - model.points.y[i] * view.scale) / ratio,
  ];

  function pan(dx, dy) {
    view.left += dx * ratio;
    view.top += dy * ratio;
    drawing.request();
  }

  function zoom(factor, [x, y]) {
    const smallest = (Math.min(canvas.width, canvas.height) / 65536) * 0.4;
    const scale = Math.max(smallest, Math.min(smallest * 400, view.scale * factor));
    const ratioNow = scale / view.scale;
    view.left = x * ratio - (x * ratio - view.left) * ratioNow;
    view.top = y * ratio - (y * ratio - view.top) * ratioNow;
    view.scale = scale;
    onHover(null);
    drawing.request();
  }

  function fit() {
    if (!model.points) return;
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let i = 0; i < model.points.n; i += 1) {
      left = Math.min(left, model.points.x[i]);
      right = Math.max(right, model.points.x[i]);
      low = Math.min(low, model.points.y[i]);
      high = Math.max(high, model.points.y[i]);
    }
    const room = 2 * (radius + 8) * ratio;
    const across = (canvas.width - room) / Math.max(1, right - left);
    view.scale = Math.min(across, (canvas.height - room) / Math.max(1, high - low));
    view.left = canvas.width / 2 - ((left + right) / 2) * view.scale;
    view.top = canvas.height / 2 + ((low + high) / 2) * view.scale;
    drawing.request();
  }

  function changed() {
    model.refresh();
    paint();
  }

  function paint() {
    toolbar.paint(model, radius);
    bar.paint(problem);
    legend.paint();
    selection.paint();
    side.dataset.selected = model.selection.length ? "yes" : "no";
    if (hovered.i >= 0) hover.paint(hovered.i, hovered.at, area);
    drawing.request();
  }

  function onHover(at) {
    const reach = ((radius + 5) * ratio) / view.scale;
    const i = at && model.points ? nearest(model.points, ...toMap(at), reach, model.visible) : -1;
    if (i === hovered.i && i < 0) return;
    hovered = { i, at: i >= 0 ? toArea(i) : [0, 0] };
    hover.paint(i, hovered.at, area);
    area.dataset.over = i >= 0 ? "point" : "none";
    mark(i);
  }

  function mark(i) {
    const ink = overlay.getContext("2d");
    ink.clearRect(0, 0, overlay.width, overlay.height);
    if (i < 0) return;
    const [x, y] = toArea(i);
    ink.beginPath();
    ink.arc(x * ratio, y * ratio, (radius + 4.5) * ratio, 0, 2 * Math.PI);
    ink.strokeStyle = theme.accent;
    ink.lineWidth = 2.5 * ratio;
    ink.stroke();
  }

  function onClick(at, add) {
    const reach = ((radius + 5) * ratio) / view.scale;
    const i = model.points ? nearest(model.points, ...toMap(at), reach, model.visible) : -1;
    if (i < 0) {
      if (!add) clear();
      return;
    }
    if (!add) model.select([i]);
    else if (model.selected[i]) model.select(model.selection.filter((other) => other !== i));
    else model.select([...model.selection, i]);
    changed();
  }

  function clear() {
    if (!model.points) return;
    model.select([]);
    changed();
  }

  function onKey(event) {
    if (event.key !== "Escape" || isTyping(event) || document.querySelector("[role=dialog]")) return;
    if (!pointer.cancel()) clear();
  }

  function resize() {
    const before = ratio;
    ratio = Math.min(2, globalThis.devicePixelRatio || 1);
    const [width, height] = [Math.round(area.clientWidth * ratio), Math.round(area.clientHeight * ratio)];
    if (!width || !height || (canvas.width === width && canvas.height === height && before === ratio)) return;
    drawing.resize(width, height);
    overlay.width = width;
    overlay.height = height;
    fit();
  }

  async function loadPoints() {
    clearTimeout(waiting);
    const version = data.version;
    try {
      const points = parsePoints(await fetchBinary(`${base}/map/points`));
      if (stopped) return;
      model.setPoints(points);
      if (!sized) radius = points.n > 20000 ? 2.5 : points.n > 6000 ? 3.5 : points.n > 1200 ? 5 : 6;
      veil.hide();
      if (!fitted) fit();
      fitted = true;
      if (data.computing) waiting = setTimeout(loadPoints, 1500);
      await loadEpochs();
    } catch (error) {
      if (stopped) return;
      if (!model.points) veil.show(error.message, error.body?.fraction);
      waiting = setTimeout(loadPoints, 1000);
    }
    if (version !== data.version) loadPoints();
  }

  async function loadEpochs() {
    clearTimeout(live);
    const { round } = data;
    problem = "";
    if (round === null || round === undefined) {
      model.setEpochs(null);
    } else {
      try {
        const epochs = parseEpochs(await fetchBinary(`${base}/map/epochs?round=${round}`));
        if (stopped || round !== data.round) return;
        model.setEpochs(epochs);
      } catch (error) {
        if (stopped || round !== data.round) return;
        problem = `The epochs of round ${round} cannot be read: ${error.message}`;
        model.setEpochs(null);
      }
      if (problem || data.live) live = setTimeout(loadEpochs, 4000);
    }
    paint();
  }

  const watcher = new ResizeObserver(resize);
  watcher.observe(area);
  document.addEventListener("keydown", onKey);
  resize();
  paint();
  loadPoints();

  return {
    base,
    update(next) {
      const before = data;
      data = next;
      applyTheme();
      if (next.version !== before.version || next.computing !== before.computing) loadPoints();
      else if (next.round !== before.round || next.live !== before.live) loadEpochs();
    },
    remove() {
      stopped = true;
      clearTimeout(waiting);
      clearTimeout(live);
      bar.stop();
      drawing.stop();
      watcher.disconnect();
      document.removeEventListener("keydown", onKey);
      map.remove();
    },
  };
}

function buildVeil() {
  const text = el("p", { testid: "map-message" }, "Loading the map…");
  const fill = el("span", { class: "veil-fill" });
  const track = el("div", { class: "veil-track", hidden: true }, fill);
  const node = el("div", { class: "veil", role: "status" }, text, track);
  return {
    node,
    hide: () => show(node, false),
    show(message, fraction) {
      show(node, true);
      setText(text, message);
      show(track, typeof fraction === "number" && fraction > 0);
      fill.style.transform = `scaleX(${fraction || 0})`;
    },
  };
}

export default function mapCanvas({ data, parentElement }) {
  let mounted = mapMounts.get(parentElement);
  if (mounted && mounted.base !== data.base) {
    mounted.remove();
    mounted = null;
  }
  if (mounted) mounted.update(data);
  else mapMounts.set(parentElement, mountMap(parentElement, data));
  return () => {
    mapMounts.get(parentElement)?.remove();
    mapMounts.delete(parentElement);
  };
}
