// The editor's page: buttons that put Markdown, files and tags where the cursor is.

const form = document.getElementById("_editor");
const text = form.elements.markdown;

const changed = (field) => field.dispatchEvent(new Event("input", { bubbles: true }));

function button(label, name, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  if (name) made.setAttribute("aria-label", name);
  made.addEventListener("click", act);
  return made;
}

/** Puts `words` in place of the selection; `from` and `to` say what of them is selected afterwards. */
function insert(words, from = words.length, to = from) {
  const start = text.selectionStart;
  text.focus();
  // The browser's own command keeps undo working; where it is missing the text is still put in.
  if (!document.execCommand("insertText", false, words)) {
    text.setRangeText(words);
    changed(text);
  }
  text.setSelectionRange(start + from, start + to);
}

function around(before, after, example) {
  const chosen = text.value.slice(text.selectionStart, text.selectionEnd) || example;
  insert(before + chosen + after, before.length, before.length + chosen.length);
}

/** Puts `mark` before every line of the selection. */
function lines(mark) {
  const start = text.value.lastIndexOf("\n", text.selectionStart - 1) + 1;
  text.setSelectionRange(start, text.selectionEnd);
  const marked = text.value.slice(start, text.selectionEnd).split("\n").map((line) => mark + line);
  insert(marked.join("\n"));
}

function code() {
  const chosen = text.value.slice(text.selectionStart, text.selectionEnd);
  if (chosen.includes("\n")) around("```\n", "\n```", "");
  else around("`", "`", "code");
}

const marks = document.createElement("div");
marks.className = "marks";
marks.setAttribute("role", "group");
marks.setAttribute("aria-label", "Formatting");
marks.append(
  button("Bold", "", () => around("**", "**", "bold")),
  button("Italic", "", () => around("*", "*", "italic")),
  button("Link", "", () => around("[", "](https://)", "link")),
  button("Heading", "", () => lines("## ")),
  button("List", "", () => lines("- ")),
  button("Code", "", code),
);
text.before(marks);

for (const field of document.querySelectorAll("#_media input")) {
  field.after(button("Put in", `Put ${field.getAttribute("aria-label").replace("Markdown for ", "")} into the text`, () => insert(field.value)));
}

for (const tag of document.querySelectorAll("#_tag-suggestions span")) {
  const name = tag.textContent;
  tag.replaceWith(button(name, `Add the tag ${name}`, () => {
    const tags = form.elements.tags;
    const now = tags.value.split(",").map((word) => word.trim()).filter(Boolean);
    if (!now.some((word) => word.toLowerCase() === name.toLowerCase())) {
      tags.value = [...now, name].join(", ");
      changed(tags);
    }
  }));
}
