// Drawn over the points: names of the panes, the way selected points came, outlines of flagged regions, the point meant.

import { TRAILS_AT_MOST } from "./layout.js";

export function createInk(canvas, model, { toArea, ratio, theme, radius, panes, regions }) {
  let meant = -1;

  function paint() {
    const ink = canvas.getContext("2d");
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, canvas.width, canvas.height);
    if (!model.points || !theme()) return;
    ink.setTransform(ratio(), 0, 0, ratio(), 0, 0);
    if (model.split) divide(ink);
    for (const region of regions()) outline(ink, region);
    for (const i of model.selection.slice(0, TRAILS_AT_MOST)) trail(ink, i);
    if (meant >= 0 && model.visible(meant)) for (const pane of panes()) circle(ink, meant, pane);
  }

  function divide(ink) {
    const [, right] = panes();
    ink.strokeStyle = theme().line;
    ink.globalAlpha = 0.25;
    ink.lineWidth = 1;
    ink.beginPath();
    ink.moveTo(right.from / ratio() - 0.5, 0);
    ink.lineTo(right.from / ratio() - 0.5, canvas.height / ratio());
    ink.stroke();
    ink.globalAlpha = 1;
  }

  function trail(ink, i) {
    const way = model.plane.trail(i);
    if (way.length < 2 || !model.visible(i)) return;
    const pane = panes().at(-1);
    const colour = model.colours[model.slotOf[i]];
    way.slice(1).forEach((to, step) => {
      ink.globalAlpha = 0.2 + (0.7 * (step + 1)) / way.length;
      ink.strokeStyle = colour;
      ink.lineWidth = 1.6;
      ink.beginPath();
      ink.moveTo(...toArea(way[step], pane));
      ink.lineTo(...toArea(to, pane));
      ink.stroke();
    });
    ink.globalAlpha = 1;
  }

  function outline(ink, { members, name }) {
    const pane = panes().at(-1);
    const { x, y } = model.plane.positions();
    const corners = hull(core(members.filter(model.visible).map((i) => [x[i], y[i]])));
    if (corners.length < 3) return;
    const places = corners.map((corner) => toArea(corner, pane));
    ink.strokeStyle = theme().accent;
    ink.lineWidth = 2;
    ink.setLineDash([6, 4]);
    ink.beginPath();
    places.forEach(([left, top]) => ink.lineTo(left, top));
    ink.closePath();
    ink.stroke();
    ink.setLineDash([]);
    const [left, top] = places.reduce((best, place) => (place[1] < best[1] ? place : best));
    ink.font = "600 13px system-ui, sans-serif";
    const width = ink.measureText(name).width;
    ink.fillStyle = theme().accent;
    ink.beginPath();
    ink.roundRect(left - width / 2 - 7, Math.max(4, top - 25), width + 14, 21, 6);
    ink.fill();
    ink.fillStyle = theme().ground;
    ink.fillText(name, left - width / 2, Math.max(19, top - 10));
  }

  function circle(ink, i, pane) {
    const positions = model.plane.positions(pane.which);
    const [x, y] = toArea([positions.x[i], positions.y[i]], pane);
    ink.beginPath();
    ink.arc(x, y, radius() + 4.5, 0, 2 * Math.PI);
    ink.strokeStyle = theme().accent;
    ink.lineWidth = 2.5;
    ink.stroke();
  }

  return {
    paint,
    mean(i) {
      meant = i;
      paint();
    },
  };
}

// The nine tenths of the places that lie nearest to their median: a few strays would blow an outline up.
function core(places) {
  if (places.length < 4) return places;
  const middle = [0, 1].map((axis) => places.map((place) => place[axis]).sort((a, b) => a - b)[places.length >> 1]);
  const far = ([x, y]) => Math.hypot(x - middle[0], y - middle[1]);
  return [...places].sort((a, b) => far(a) - far(b)).slice(0, Math.ceil(places.length * 0.9));
}

// The convex hull (Andrew's monotone chain).
function hull(places) {
  const sorted = [...places].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const turn = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  const half = (list) => {
    const chain = [];
    for (const place of list) {
      while (chain.length > 1 && turn(chain.at(-2), chain.at(-1), place) <= 0) chain.pop();
      chain.push(place);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}
