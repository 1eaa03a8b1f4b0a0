// The window that goes to any page: opened by Ctrl and K or by its button, used by keys alone.
"use strict";

/** Show what fits the words, and choose the first of it. */
function sift(dialog) {
  const words = dialog.querySelector("input").value.trim();
  const asked = words.toLowerCase().split(/\s+/);
  const options = [...dialog.querySelectorAll("[role=option]")];
  for (const each of options) {
    const name = each.textContent.trim().toLowerCase();
    const isNumber = each.dataset.number !== undefined;
    if (isNumber) {
      each.href = each.dataset.number + encodeURIComponent(words);
      each.querySelector("span").textContent = each.dataset.said.replace("\u2026", words);
    }
    each.parentElement.hidden = isNumber ? !words : !asked.every((word) => name.includes(word));
  }
  const shown = options.filter((each) => !each.parentElement.hidden);
  // Digits name a number sooner than a page.
  const first = shown.find((each) => each.dataset.number !== undefined && /\d/.test(words));
  choose(dialog, first || shown[0]);
  dialog.querySelector("[data-palette-none]").hidden = shown.length > 0;
}

/** Mark the one that Enter goes to. */
function choose(dialog, option) {
  for (const each of dialog.querySelectorAll("[role=option]")) {
    const isChosen = each === option;
    each.setAttribute("aria-selected", String(isChosen));
    each.toggleAttribute("data-chosen", isChosen);
  }
  const field = dialog.querySelector("input");
  if (option) {
    field.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else {
    field.removeAttribute("aria-activedescendant");
  }
}

/** Go one up or down among what is shown, around the ends. */
function step(dialog, by) {
  const shown = [...dialog.querySelectorAll("li:not([hidden]) > [role=option]")];
  if (!shown.length) return;
  const at = shown.findIndex((each) => each.hasAttribute("data-chosen"));
  choose(dialog, shown[(at + by + shown.length) % shown.length]);
}

/** Ask for what the person has saved, once, and put it behind the pages. */
async function addSaved(dialog) {
  const mark = dialog.querySelector("[data-palette-saved]");
  if (!mark) return;
  const address = mark.dataset.paletteSaved;
  mark.removeAttribute("data-palette-saved");
  try {
    const answer = await fetch(address, { credentials: "same-origin" });
    // Elsewhere than asked: signed out meanwhile, or the second factor is asked for.
    if (!answer.ok || answer.redirected) return;
    const told = new DOMParser().parseFromString(await answer.text(), "text/html");
    mark.replaceWith(...told.querySelectorAll("li"));
  } catch {
    return; // The pages are there without it.
  }
  const chosen = dialog.querySelector("[data-chosen]");
  sift(dialog);
  if (chosen) choose(dialog, chosen); // What the keys have chosen meanwhile.
}

function openPalette(dialog) {
  if (dialog.open) return;
  dialog.showModal();
  const field = dialog.querySelector("input");
  field.select();
  sift(dialog);
  addSaved(dialog);
}

document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.getElementById("palette");
  if (!dialog || typeof dialog.showModal !== "function") return;
  const number = dialog.querySelector("[data-number]");
  if (number) number.dataset.said = number.querySelector("span").textContent;
  const isApple = /Mac|iPhone|iPad/.test(navigator.platform);
  for (const each of document.querySelectorAll("[data-palette-keys]")) {
    each.textContent = isApple ? "\u2318 K" : "Ctrl K";
    each.hidden = false;
  }
  for (const each of document.querySelectorAll("[data-palette]")) {
    each.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      openPalette(dialog);
    });
  }
  document.addEventListener("keydown", (event) => {
    const isAsked = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    if (!isAsked || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    openPalette(dialog);
  });
  const field = dialog.querySelector("input");
  field.addEventListener("input", () => sift(dialog));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter and arrows choose among signs then.
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(dialog, event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Escape") {
      event.preventDefault(); // A field of searches would only be emptied by it.
      dialog.close();
    } else if (event.key === "Enter") {
      const chosen = dialog.querySelector("[data-chosen]");
      if (!chosen) return; // The form asks the page of the same name.
      event.preventDefault();
      chosen.click();
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
});

/** Let the row of the page that is open be seen, however far down the navigation it is. */
function showRow() {
  const rail = document.querySelector("aside");
  const row = rail?.querySelector("[aria-current=page]");
  if (!row) return;
  const below = row.getBoundingClientRect().bottom - rail.getBoundingClientRect().bottom;
  if (below > -row.offsetHeight) rail.scrollTop += below + rail.clientHeight / 2;
}

document.addEventListener("DOMContentLoaded", showRow);
