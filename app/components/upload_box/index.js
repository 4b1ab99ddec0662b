// One file, dropped or chosen, streamed to the upload route with progress; Python then hears of its id.

import { el, percent, setText, show, watchTheme } from "../common/dom.js";
import { errorWords } from "../common/http.js";
import { mountedOnce } from "../common/mounts.js";

function mountUpload(parent, first) {
  let current = first;
  let request = null;

  const input = el("input", { type: "file", class: "file-input", testid: "upload-input", "aria-label": "Choose a zip file" });
  const title = el("strong", { class: "title" }, "Drop a zip here, or choose one");
  const note = el("span", { class: "faint note" }, "Folders of classes, or images with a CSV beside them");
  const drop = el("label", { class: "drop", testid: "upload-drop" }, arrow(), el("span", { class: "words" }, title, note),
    el("span", { class: "choose", "aria-hidden": "true" }, "Choose file"), input);
  const name = el("span", { class: "name" });
  const amount = el("span", { class: "faint amount", testid: "upload-progress" });
  const fill = el("span", { class: "fill" });
  const cancel = el("button", { type: "button", testid: "upload-cancel", onclick: () => request?.abort() }, "Cancel");
  const busy = el("div", { class: "busy", hidden: true }, el("div", { class: "busy-line" }, name, amount, cancel),
    el("div", { class: "track", role: "progressbar", "aria-label": "Upload" }, fill));
  const problem = el("p", { class: "problem", role: "alert", testid: "upload-error" });
  const box = el("div", { class: "upload", testid: "upload-box" }, drop, busy, problem);
  parent.append(box);
  watchTheme(box);

  input.addEventListener("change", () => {
    if (input.files.length) send([...input.files]);
    input.value = "";
  });
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.dataset.over = "yes";
  });
  drop.addEventListener("dragleave", () => delete drop.dataset.over);
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    delete drop.dataset.over;
    send([...event.dataTransfer.files]);
  });

  function fail(text) {
    setText(problem, text);
    request = null;
    show(busy, false);
    show(drop, true);
  }

  function send(files) {
    if (request) return;
    const [file] = files;
    if (!file) return fail("That was not a file. Drop one zip file.");
    if (files.length > 1) return fail(`Those are ${files.length} files. Put them into one zip, or import a folder.`);
    const wanted = current.data.accept.split(",").map((part) => part.trim().toLowerCase());
    if (!wanted.some((suffix) => file.name.toLowerCase().endsWith(suffix))) {
      return fail(`“${file.name}” is not a ${wanted.join(" or ")} file. Put the images into a zip.`);
    }
    if (file.size === 0) return fail(`“${file.name}” is empty, or a folder. Drop one zip file.`);
    upload(file);
  }

  function upload(file) {
    setText(problem, "");
    show(drop, false);
    show(busy, true);
    setText(name, file.name);
    progressed(0, file.size);
    request = new XMLHttpRequest();
    const mine = request;
    request.open("POST", `${current.data.base}/upload?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/zip");
    request.upload.onprogress = (event) => progressed(event.loaded, file.size);
    request.onabort = () => fail("Upload cancelled; nothing was kept.");
    request.onerror = () => fail("The connection to Starling was lost; nothing was kept. Try again.");
    request.onload = () => finished(mine, file);
    request.send(file);
  }

  function finished(done, file) {
    let answer = null;
    try {
      answer = JSON.parse(done.responseText);
    } catch {
      answer = null; // not Starling's answer: told below in words
    }
    if (done.status >= 400 || !answer?.upload) return fail(errorWords(done.status, answer));
    progressed(file.size, file.size);
    setText(amount, "uploaded");
    request = null;
    current.setTriggerValue("uploaded", { id: answer.upload, name: file.name });
    show(busy, false);
    show(drop, true);
    setText(title, "Drop another zip here, or choose one");
  }

  function progressed(sent, size) {
    const share = size ? sent / size : 0;
    fill.style.transform = `scaleX(${share})`;
    fill.parentElement.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    setText(amount, share >= 1 ? "checking…" : `${bytes(sent)} of ${bytes(size)} · ${percent(share)}`);
  }

  function update(next) {
    current = next;
    input.accept = next.data.accept;
  }

  update(first);
  return {
    update,
    remove() {
      request?.abort();
      box.remove();
    },
  };
}

function bytes(value) {
  const units = ["B", "KB", "MB", "GB"];
  const step = value < 1 ? 0 : Math.min(3, Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** step).toFixed(step > 1 ? 1 : 0)} ${units[step]}`;
}

function arrow() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "arrow");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M12 16V4m0 0 4.5 4.5M12 4 7.5 8.5M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15");
  svg.append(path);
  return svg;
}

export default mountedOnce(mountUpload);
