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

function button(textContent, className, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent, className });
  made.addEventListener("click", act);
  return made;
}

function showPanes() {
  panes.classList.add("live");
  pane.hidden = false;
  const tabs = Object.assign(document.createElement("div"), { className: "pane-tabs" });
  const show = (index) => {
    panes.classList.toggle("shows-preview", index === 1);
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
  };
  const buttons = ["Write", "Preview"].map((name, index) => button(name, "", () => show(index)));
  show(0);
  tabs.append(...buttons);
  panes.prepend(tabs);
  form.querySelector("button[value=preview]").hidden = true;
  preview();
}

/* Unsaved text: kept under the post's id until the server shows that it has it. */
const key = `webstead:unsaved:${form.dataset.key}`;
const plain = (s) => s.replace(/\r\n/g, "\n").trim();
const content = () => ({ title: plain(title.value), markdown: plain(text.value) });
// The server makes one line of a title, without white space doubled.
const line = (s) => s.replace(/[\s\p{Cc}]+/gu, " ").trim();
const same = (a, b) => line(a.title) === line(b.title) && a.markdown === b.markdown;
const fields = () => JSON.stringify([...new FormData(form)]);
const atFirst = "unsaved" in form.dataset ? null : fields();
const isDirty = () => fields() !== atFirst;
let isLeaving = false;

const status = Object.assign(document.createElement("span"), { className: "save-state" });
status.setAttribute("role", "status");
form.querySelector(".toolbar-state").append(status);
const tell = (words) => { if (status.textContent !== words) status.textContent = words; };

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
  const keys = [key, "webstead:unsaved:new-post", "webstead:unsaved:new-page"];
  const isOurs = (name) => keys.some((own) => name === own || name.startsWith(`${own}:`));
  for (const name of Object.keys(localStorage).filter(isOurs)) {
    const kept = read(name);
    if (kept && same(kept, content()) && !isDirty()) localStorage.removeItem(name);
  }
  const last = read(key);
  if (last && !same(last, content())) {
    // Under a key of its own until somebody chooses, because the next letter typed is kept under `key`.
    localStorage.removeItem(key);
    localStorage.setItem(`${key}:${last.at}`, JSON.stringify(last));
  }
  for (const name of Object.keys(localStorage).filter((name) => name.startsWith(`${key}:`))) {
    const kept = read(name);
    if (kept && !same(kept, content())) ask(kept, () => localStorage.removeItem(name));
  }
}

function ask(kept, forget) {
  const notice = Object.assign(document.createElement("div"), { className: "notice warning" });
  notice.setAttribute("role", "status");
  const choice = (label, act) => button(label, "quiet", () => { act(); forget(); notice.remove(); });
  notice.append(
    `This browser has a text of ${new Date(kept.at).toLocaleString()} that was not saved.`,
    choice("Bring it back", () => { title.value = kept.title; text.value = kept.markdown; keep(); preview(); }),
    choice("Throw it away", () => {}),
  );
  form.before(notice);
}

form.addEventListener("input", () => { keep(); clearTimeout(timer); timer = setTimeout(preview, 250); });
// The browser asks at once; a second later the answer may be that the save led nowhere.
form.addEventListener("submit", () => { isLeaving = true; setTimeout(() => { isLeaving = false; }, 1000); });
addEventListener("beforeunload", (event) => { if (!isLeaving && isDirty()) event.preventDefault(); });
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
    event.preventDefault();
    form.requestSubmit(form.querySelector("button[value=save]"));
  }
});

try { offer(); } catch { /* This browser keeps nothing. */ }
showPanes();
