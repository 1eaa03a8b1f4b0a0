// Passkeys: the page's form asks the server what for, the browser's own dialogue answers, and the
// answer is sent as the form. Without this the forms stay hidden, and codes do all there is to do.
// A browser that has no passkeys is told so where the page has a place for it.
"use strict";

/** Read bytes that are written as base64url. */
function bytesOf(text) {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

/** Write bytes as base64url; what is not there stays away. */
function textOf(buffer) {
  if (!buffer) return undefined;
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** Read a list of passkeys. */
function listOf(credentials) {
  return (credentials || []).map((each) => ({ ...each, id: bytesOf(each.id) }));
}

/** Open the browser's dialogue to make a passkey; give what was made. */
async function makePasskey(options) {
  const publicKey = {
    ...options,
    challenge: bytesOf(options.challenge),
    user: { ...options.user, id: bytesOf(options.user.id) },
    excludeCredentials: listOf(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  return {
    id: made.id,
    rawId: textOf(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: textOf(made.response.clientDataJSON),
      attestationObject: textOf(made.response.attestationObject),
    },
  };
}

/** Open the browser's dialogue to choose a passkey; give what it signed. */
async function showPasskey(options) {
  const publicKey = {
    ...options,
    challenge: bytesOf(options.challenge),
    allowCredentials: listOf(options.allowCredentials),
  };
  const shown = await navigator.credentials.get({ publicKey });
  return {
    id: shown.id,
    rawId: textOf(shown.rawId),
    type: shown.type,
    response: {
      clientDataJSON: textOf(shown.response.clientDataJSON),
      authenticatorData: textOf(shown.response.authenticatorData),
      signature: textOf(shown.response.signature),
      userHandle: textOf(shown.response.userHandle),
    },
  };
}

/** Ask the server, then the browser, and send the form. */
async function sendPasskey(form) {
  const purpose = form.dataset.passkey;
  const token = form.elements.form_token.value;
  const asked = await fetch(form.dataset.options, {
    method: "POST",
    body: new URLSearchParams({ form_token: token, purpose }),
  });
  if (!asked.ok) throw new Error(String(asked.status));
  const options = await asked.json();
  const credential = await (purpose === "make" ? makePasskey(options) : showPasskey(options));
  form.elements.credential.value = JSON.stringify(credential);
  form.submit();
}

/** Show a form, and let it do that once at a time. */
function openPasskeyForm(form) {
  const problem = form.querySelector("[data-passkey-problem]");
  const button = form.querySelector("button");
  let isBusy = false;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    problem.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      await sendPasskey(form);
    } catch {
      problem.hidden = false;
      isBusy = false;
      button.removeAttribute("aria-busy");
    }
  });
}

if (window.PublicKeyCredential && navigator.credentials) {
  for (const form of document.querySelectorAll("[data-passkey]")) openPasskeyForm(form);
} else {
  for (const note of document.querySelectorAll("[data-passkey-none]")) note.hidden = false;
}
