// The editor's page: a live preview beside the text, unsaved text kept in this browser, Ctrl+S.
// Everything here is optional: without it the form's own buttons do the work.

const form = document.getElementById("_editor");
const title = form.elements.title;
const text = form.elements.markdown;
const panes = form.querySelector(".panes");
const pane = document.getElementById("_preview");
const prose = pane.querySelector(".prose");

/* The preview. */
let request, timer;
async function preview() {
  request?.abort();
  request = new AbortController();
  try {
    const answer = await fetch("/admin/preview", {
      method: "POST",
      body: new URLSearchParams({ markdown: text.value }),
      signal: request.signal,
    });
    // Sanitised by the server, like every page of the site.
    if (answer.ok && !answer.redirected) prose.innerHTML = await answer.text();
  } catch (error) {
    if (error.name !== "AbortError") tell("The preview waits for the connection.");
  }
}

function schedule() {
  clearTimeout(timer);
  timer = setTimeout(preview, 250);
}

function showPanes() {
  panes.classList.add("live");
  pane.hidden = false;
  const tabs = document.createElement("div");
  tabs.className = "pane-tabs";
  const buttons = ["Write", "Preview"].map((name, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", String(index === 0));
    button.addEventListener("click", () => {
      panes.classList.toggle("shows-preview", index === 1);
      buttons.forEach((other, i) => other.setAttribute("aria-pressed", String(i === index)));
    });
    tabs.append(button);
    return button;
  });
  panes.prepend(tabs);
  form.querySelector("button[value=preview]").hidden = true;
  preview();
}

/* Unsaved text: kept under the post's id until the server shows that it has it. */
const key = `webstead:unsaved:${form.dataset.key}`;
const plain = (s) => s.replace(/\r\n/g, "\n").trim();
const content = () => ({ title: plain(title.value), markdown: plain(text.value) });
const same = (a, b) => a.title === b.title && a.markdown === b.markdown;
const fields = () => JSON.stringify([...new FormData(form)]);
const atFirst = "unsaved" in form.dataset ? null : fields();
const isDirty = () => fields() !== atFirst;
let isLeaving = false;

const status = document.createElement("span");
status.className = "save-state";
status.setAttribute("role", "status");
form.querySelector(".toolbar-state").append(status);
function tell(words) {
  if (status.textContent !== words) status.textContent = words;
}

function keep() {
  try {
    if (isDirty()) localStorage.setItem(key, JSON.stringify({ ...content(), at: Date.now() }));
    else localStorage.removeItem(key);
  } catch { /* No room: the warning before leaving remains. */ }
  tell(isDirty() ? "Not saved yet" : "");
}

function offer() {
  const read = (name) => { try { return JSON.parse(localStorage.getItem(name)); } catch { return null; } };
  // A new post was kept under another key before its first save.
  for (const name of [key, "webstead:unsaved:new-post", "webstead:unsaved:new-page"]) {
    const kept = read(name);
    if (kept && same(kept, content()) && !isDirty()) localStorage.removeItem(name);
  }
  const kept = read(key);
  if (!kept || same(kept, content())) return;
  const notice = document.createElement("div");
  notice.className = "notice warning";
  notice.setAttribute("role", "status");
  const choice = (label, act) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "quiet", textContent: label });
    button.addEventListener("click", () => { act(); notice.remove(); });
    return button;
  };
  notice.append(
    `This browser has a text of ${new Date(kept.at).toLocaleString()} that was not saved.`,
    choice("Bring it back", () => { title.value = kept.title; text.value = kept.markdown; keep(); preview(); }),
    choice("Throw it away", () => localStorage.removeItem(key)),
  );
  form.before(notice);
}

form.addEventListener("input", () => { keep(); schedule(); });
form.addEventListener("submit", () => { isLeaving = true; });
addEventListener("pageshow", () => { isLeaving = false; });
addEventListener("beforeunload", (event) => { if (!isLeaving && isDirty()) event.preventDefault(); });
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
    event.preventDefault();
    form.requestSubmit(form.querySelector("button[value=save]"));
  }
});

offer();
showPanes();
