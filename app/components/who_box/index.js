// The name this browser's decisions carry. It lives in a cookie, so that every request to Starling brings it along.

const whoMounts = new WeakMap();
const WHO_LENGTH = 60;
const WHO_SECONDS = 365 * 24 * 3600;
const WHO_NONE = "local";

function readWho(cookie) {
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${cookie}=`));
  try {
    return found ? decodeURIComponent(found.slice(cookie.length + 1)) : "";
  } catch {
    return ""; // written by something else
  }
}

function mountWho(parent) {
  let current = null; // {cookie, name, setTriggerValue}
  const shown = el("strong", { testid: "who-name" });
  const change = el("button", { type: "button", class: "quiet", testid: "who-change", onclick: open,
    title: "The name under which your decisions are recorded" }, "Labeling as ", shown);
  const input = el("input", { type: "text", maxlength: WHO_LENGTH, "aria-label": "Your name", testid: "who-input" });
  const form = el("form", { hidden: true }, input, el("button", { type: "submit", class: "solid" }, "Set"));
  const node = el("div", { class: "surface who" }, change, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep(input.value.trim());
  });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") toggle(false);
  });
  parent.append(node);
  releaseAfterClick(node);
  watchTheme(node);

  function toggle(editing) {
    show(form, editing);
    show(change, !editing);
  }

  function open() {
    input.value = readWho(current.cookie);
    toggle(true);
    input.focus();
  }

  function keep(name) {
    const age = name && name !== WHO_NONE ? WHO_SECONDS : 0;
    document.cookie = `${current.cookie}=${encodeURIComponent(name)}; path=/; max-age=${age}; SameSite=Strict`;
    toggle(false);
    paint();
    current.setTriggerValue("who", name || WHO_NONE);
  }

  function paint() {
    setText(shown, readWho(current.cookie) || WHO_NONE);
  }

  return {
    update(next) {
      current = next;
      paint();
    },
    remove: () => node.remove(),
  };
}

export default function whoBox({ data, parentElement, setTriggerValue }) {
  let mounted = whoMounts.get(parentElement);
  if (!mounted) {
    mounted = mountWho(parentElement);
    whoMounts.set(parentElement, mounted);
  }
  mounted.update({ cookie: data.cookie, name: data.name, setTriggerValue });
  return () => {
    whoMounts.get(parentElement)?.remove();
    whoMounts.delete(parentElement);
  };
}
