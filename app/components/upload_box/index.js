// One file, dropped or chosen, streamed to the upload route with progress; Python then hears of its id.

import { el, percent, setText, show, svgPart, watchTheme } from "../common/dom.js";
import { errorWords } from "../common/http.js";
import { mountedOnce } from "../common/mounts.js";

/** @import { Given } from "../common/mounts.js" */
/** @import { UploadAnswer } from "../common/wire.d.ts" */

/** @typedef {{ base: string, accept: string }} UploadData */

/**
 * @param {HTMLElement} parent
 * @param {Given<UploadData>} first
 */
function mountUpload(parent, first) {
  let current = first;
  /** @type {XMLHttpRequest | null} */
  let request = null;

  const input = el("input", { type: "file", class: "file-input", testid: "upload-input", "aria-label": "Choose a zip or tar file" });
  const title = el("strong", { class: "title" }, "Drop a zip or tar here, or choose one");
  const note = el("span", { class: "faint note" }, "Folders of classes, or images with a table beside them; also Arrow, Parquet or a video");
  const drop = el("label", { class: "drop", testid: "upload-drop" }, arrow(), el("span", { class: "words" }, title, note),
    el("span", { class: "choose", "aria-hidden": "true" }, "Choose file"), input);
  const name = el("span", { class: "name" });
  const amount = el("span", { class: "faint amount", testid: "upload-progress" });
  const fill = el("span", { class: "fill" });
  const track = el("div", { class: "track", role: "progressbar", "aria-label": "Upload" }, fill);
  const cancel = el("button", { type: "button", testid: "upload-cancel", onclick: () => request?.abort() }, "Cancel");
  const busy = el("div", { class: "busy", hidden: true }, el("div", { class: "busy-line" }, name, amount, cancel),
    track);
  const problem = el("p", { class: "problem", role: "alert", testid: "upload-error" });
  const box = el("div", { class: "upload", testid: "upload-box" }, drop, busy, problem);
  parent.append(box);
  watchTheme(box);

  input.addEventListener("change", () => {
    if (input.files?.length) send([...input.files]);
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
    send([...(event.dataTransfer?.files ?? [])]);
  });

  /** @param {string} text */
  function fail(text) {
    setText(problem, text);
    ended();
    show(busy, false);
    show(drop, true);
  }

  /** @param {Event} event loading the page again, or closing it, would lose what was sent */
  function warn(event) {
    event.preventDefault();
  }

  function ended() {
    request = null;
    window.removeEventListener("beforeunload", warn);
  }

  /** @param {File[]} files */
  function send(files) {
    if (request) return;
    const words = refusalOf(files);
    if (words) fail(words);
    else upload(files[0]);
  }

  /**
   * Why these files are not taken, "" when they are.
   * @param {File[]} files
   */
  function refusalOf([file, ...others]) {
    if (!file) return "That was not a file. Drop one zip or tar.";
    if (others.length) return `Those are ${others.length + 1} files. Put them into one zip or tar, or import a folder.`;
    const suffixes = current.data.accept.split(",").map((suffix) => suffix.trim().toLowerCase());
    if (!suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix))) {
      return `“${file.name}” holds no images that can be taken in. Put the images into a zip or tar.`;
    }
    return file.size === 0 ? `“${file.name}” is empty, or a folder. Drop one zip or tar.` : "";
  }

  /** @param {File} file */
  function upload(file) {
    setText(problem, "");
    show(drop, false);
    show(busy, true);
    setText(name, file.name);
    progressed(0, file.size);
    const mine = new XMLHttpRequest();
    request = mine;
    request.open("POST", `${current.data.base}/upload?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => progressed(event.loaded, file.size);
    request.onabort = () => fail("Upload cancelled; nothing was kept.");
    request.onerror = () => fail("The connection to Starling was lost; nothing was kept. Try again.");
    request.onload = () => finished(mine, file);
    window.addEventListener("beforeunload", warn);
    request.send(file);
  }

  /**
   * @param {XMLHttpRequest} done
   * @param {File} file
   */
  function finished(done, file) {
    const answer = /** @type {UploadAnswer | null} */ (jsonOf(done.responseText));
    if (done.status >= 400 || !answer?.upload) {
      fail(errorWords(done.status, answer));
      return;
    }
    progressed(file.size, file.size);
    setText(amount, "uploaded");
    ended();
    current.setTriggerValue("uploaded", { id: answer.upload, name: file.name });
    show(busy, false);
    show(drop, true);
    setText(title, "Drop another zip or tar here, or choose one");
  }

  /**
   * @param {number} sent
   * @param {number} size
   */
  function progressed(sent, size) {
    const share = size ? sent / size : 0;
    fill.style.transform = `scaleX(${share})`;
    track.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    setText(amount, share >= 1 ? "checking…" : `${bytes(sent)} of ${bytes(size)} · ${percent(share)}`);
  }

  /** @param {Given<UploadData>} next */
  function update(next) {
    current = next;
    input.accept = `${next.data.accept},.gz,.bz2,.xz`; // a chooser of files knows the last part of an ending alone
  }

  update(first);
  return {
    update,
    remove() {
      request?.abort();
      ended();
      box.remove();
    },
  };
}

/**
 * @param {string} text
 * @returns {unknown} null where it is no JSON, such as a proxy's page
 */
function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {number} value */
function bytes(value) {
  const units = ["B", "KB", "MB", "GB"];
  const step = value < 1 ? 0 : Math.min(3, Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** step).toFixed(step > 1 ? 1 : 0)} ${units[step]}`;
}

function arrow() {
  const svg = svgPart("svg", { viewBox: "0 0 24 24", class: "arrow", "aria-hidden": "true" });
  svg.append(svgPart("path", { d: "M12 16V4m0 0 4.5 4.5M12 4 7.5 8.5M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15" }));
  return svg;
}

export default mountedOnce(mountUpload);
