// The frame in which a card is typed: what is typed goes from here to the API, and nowhere else.
"use strict";

const CARD_FIELDS = {
  number: (text) => /^[0-9]{12,19}$/.test(text.replaceAll(" ", "")),
  expiry: (text) => /^(0?[1-9]|1[0-2]) *[/] *([0-9]{2}|[0-9]{4})$/.test(text.trim()),
  cvc: (text) => /^[0-9]{3,4}$/.test(text),
};
const field = (name) => document.getElementById(name);
const chosen = () => document.querySelector("input[name=way]:checked").value;

let known = null; // What the merchant's page said first: key, secret, account.
const tell = (message) => window.parent.postMessage({ stripe: true, ...message }, "*");

function tellHeight() {
  tell({ type: "height", height: document.getElementById("element").offsetHeight + 8 });
}

/** Mark what is incomplete; tell whether all is there. */
function look() {
  let isWhole = true;
  for (const [name, fits] of Object.entries(CARD_FIELDS)) {
    const isGood = fits(field(name).value);
    const place = field(`${name}-problem`);
    place.textContent = isGood ? "" : place.dataset.words;
    field(name).setAttribute("aria-invalid", String(!isGood));
    if (!isGood && isWhole) field(name).focus();
    isWhole &&= isGood;
  }
  tellHeight();
  return isWhole;
}

async function ask(path, form) {
  const headers = { Authorization: `Bearer ${known.key}` };
  if (known.account) headers["Stripe-Account"] = known.account;
  const id = known.secret.split("_secret_")[0];
  const options = { headers, cache: "no-store" };
  let query = "";
  if (form) {
    options.method = "POST";
    options.body = new URLSearchParams({ client_secret: known.secret, ...form });
  } else {
    query = `?client_secret=${encodeURIComponent(known.secret)}`;
  }
  const answer = await fetch(`/stripe/v1/payment_intents/${id}${path}${query}`, options);
  const told = await answer.json();
  return told.error ? { error: told.error } : { paymentIntent: told };
}

function payment() {
  const form = { "payment_method_data[type]": "card", use_stripe_sdk: "true" };
  if (chosen() !== "card") {
    return { ...form, "payment_method_data[card][token]": `tok_${chosen()}` };
  }
  const [month, year] = field("expiry").value.split("/").map((each) => each.trim());
  return {
    ...form,
    "payment_method_data[card][number]": field("number").value.replaceAll(" ", ""),
    "payment_method_data[card][exp_month]": month,
    "payment_method_data[card][exp_year]": year,
    "payment_method_data[card][cvc]": field("cvc").value,
  };
}

async function confirm(back) {
  if (chosen() === "card" && !look()) {
    return { error: { type: "validation_error", code: "incomplete" } };
  }
  try {
    return await ask("/confirm", { ...payment(), return_url: back });
  } catch {
    return { error: { type: "api_connection_error" } };
  }
}

async function hear(event) {
  if (event.source !== window.parent || !event.data?.stripe) return;
  const { type, call, back } = event.data;
  if (type === "begin") {
    known = event.data;
    tell({ type: "ready" });
    tellHeight();
  } else if (type === "confirm") {
    tell({ type: "answer", call, answer: await confirm(back) });
  } else if (type === "retrieve") {
    tell({ type: "answer", call, answer: await ask("").catch(() => ({ error: { type: "api_connection_error" } })) });
  }
}

if (document.body.dataset.done !== undefined) {
  tell({ type: "challenged" });
} else {
  window.addEventListener("message", hear);
  window.addEventListener("resize", tellHeight);
  document.getElementById("element").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("change", () => {
    field("fields").hidden = chosen() !== "card";
    tellHeight();
    tell({ type: "change" });
  });
  document.addEventListener("input", () => tell({ type: "change" }));
  tell({ type: "loaded" });
}
