// The card beside the pointer: the image, what it is called now, and how its pseudo-label moved over the epochs.

function buildHover(model, base) {
  const image = el("img", { alt: "", width: 104, height: 104, onload: pixelate });
  const name = el("span", { class: "hover-class" });
  const about = el("span", { class: "faint" });
  const strip = el("canvas", { class: "trajectory", width: 480, height: 72 });
  const moved = el("span", { class: "faint" });
  const node = el("div", { class: "hover", hidden: true, testid: "map-hover", "aria-hidden": "true" },
    image, el("div", { class: "hover-words" }, name, about), strip, moved);
  let shown = -1;

  function paint(i, at, area) {
    show(node, i >= 0);
    if (i < 0) {
      shown = -1;
      return;
    }
    if (i !== shown) {
      shown = i;
      image.classList.remove("pixels");
      image.src = `${base}/thumb/${model.points.ids[i]}`;
    }
    words(i);
    const width = 196;
    const height = node.offsetHeight || 220;
    const x = at[0] + 18 + width > area.clientWidth ? at[0] - width - 18 : at[0] + 18;
    const y = Math.max(6, Math.min(at[1] - 30, area.clientHeight - height - 6));
    node.style.transform = `translate(${Math.max(6, x)}px, ${y}px)`;
  }

  function words(i) {
    const labeled = model.points.label[i] >= 0;
    const k = model.shownClass[i];
    setText(name, model.className(k));
    name.style.setProperty("--swatch", model.classColour(k));
    const reviewed = model.points.flags[i] & 2 ? "label, reviewed" : "label";
    setText(about, labeled ? reviewed : k === UNKNOWN ? "unlabeled" : `pseudo-label · ${percent(model.confidence(i))}`);
    const some = model.epochs !== null && model.epochs.cls.some((row) => row[i] !== NO_CLASS);
    show(strip, some);
    show(moved, some);
    if (some) trajectory(i);
  }

  // One column an epoch: colour is the pseudo-label, height its confidence, the notch marks the epoch shown.
  function trajectory(i) {
    const context = strip.getContext("2d");
    const { width, height } = strip;
    const many = model.epochs.epochs.length;
    const step = width / many;
    let changes = 0;
    context.clearRect(0, 0, width, height);
    for (let e = 0; e < many; e += 1) {
      const k = model.pseudo(i, e);
      if (e > 0 && k !== model.pseudo(i, e - 1)) changes += 1;
      if (k === UNKNOWN) continue;
      const tall = Math.max(5, model.confidence(i, e) * (height - 12));
      context.fillStyle = model.classColour(k);
      context.fillRect(e * step, height - 10 - tall, Math.max(1, step - (many > 120 ? 0 : 1.5)), tall);
      if (e === model.epoch) context.fillRect(e * step, height - 7, Math.max(2, step - 1.5), 7);
    }
    setText(moved, changes === 0 ? "never changed" : `changed ${changes}×`);
  }

  return { node, paint };
}
