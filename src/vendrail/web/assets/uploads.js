// A long upload shows how far it has come; without scripts the browser shows its own.
"use strict";

document.addEventListener("htmx:xhr:progress", (event) => {
  const bar = event.target.closest?.("[data-upload]")?.querySelector("[data-progress]");
  if (!bar || !event.detail.lengthComputable) return;
  bar.hidden = false;
  // What has arrived is still to be read: a bar without a value says that it goes on.
  if (event.detail.loaded < event.detail.total) bar.value = event.detail.loaded / event.detail.total;
  else bar.removeAttribute("value");
});
// What was not taken is said by a page as well.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400 && event.target.id === "main") event.detail.shouldSwap = true;
});
