// What scripts add to pages that work without them: totals, copying, countdowns.
"use strict";

/** Say what a price is in the currency that is paid: whole units, rounded up, as it is charged. */
function paidMinor(form, minor) {
  const { mid, points, places } = form.dataset;
  if (!mid) return minor;
  const [whole, rest = ""] = mid.split(".");
  const cut = rest.length + 4 - Number.parseInt(places, 10);
  let top = minor * BigInt(whole + rest) * BigInt(10000 + Number.parseInt(points, 10));
  let bottom = BigInt(1);
  for (let each = 0; each < Math.abs(cut); each += 1) {
    if (cut > 0) bottom *= BigInt(10);
    else top *= BigInt(10);
  }
  return (top + bottom - BigInt(1)) / bottom;
}

/** Say what each of so many costs: the last step that is reached counts. */
function priceOfOne(chosen, count) {
  let price = chosen.dataset.price;
  for (const step of (chosen.dataset.steps || "").split(" ")) {
    const [from, each] = step.split(":");
    if (each && Number.parseInt(from, 10) <= count) price = each;
  }
  return price;
}

/** Say what the coupon that was applied takes off a price; a code that was changed since: nothing. */
function couponOff(form, price) {
  const coupon = form.querySelector("input[name=coupon]");
  if (!coupon || !coupon.dataset.off || coupon.value !== coupon.dataset.code) return BigInt(0);
  const [fixed, permyriad, cap, least] = coupon.dataset.off.split(":").map(BigInt);
  const one = BigInt(1);
  if (price < one || price < least) return BigInt(0);
  let off = fixed || (price * permyriad) / BigInt(10000);
  if (cap && off > cap) off = cap;
  return off < price ? off : price - one;
}

/** Write the total of the buy form, from minor units, in the page's language. */
function showTotal(form) {
  const chosen = form.querySelector("input[name=sku]:checked");
  const quantity = form.querySelector("input[name=quantity]");
  const total = form.querySelector("[data-total]");
  if (!chosen || !quantity || !total) return;
  quantity.min = chosen.dataset.min;
  quantity.max = chosen.dataset.max;
  const format = new Intl.NumberFormat(form.dataset.locale, {
    style: "currency",
    currency: form.dataset.currency,
  });
  const count = Number.parseInt(quantity.value, 10);
  const price = BigInt(priceOfOne(chosen, count)) * BigInt(count > 0 ? count : 0);
  const minor = paidMinor(form, price - couponOff(form, price));
  const places = format.resolvedOptions().maximumFractionDigits;
  const digits = String(minor).padStart(places + 1, "0");
  const exact = places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
  total.textContent = minor > 0 ? format.format(exact) : "";
}

/** Count a deadline down beside its fixed time. */
function showRest(place) {
  const rest = Math.floor((Date.parse(place.dataset.until) - Date.now()) / 1000);
  if (Number.isNaN(rest) || rest < 0) {
    place.textContent = "";
    return;
  }
  const seconds = String(rest % 60).padStart(2, "0");
  place.textContent = `(${Math.floor(rest / 60)}:${seconds})`;
}

/** Copy a text, also where the clipboard is closed to pages without https. */
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function copied(button) {
  const source = document.getElementById(button.dataset.copy);
  if (!source) return;
  const codes = source.matches("code") ? [source] : [...source.querySelectorAll("code")];
  const text = codes.map((each) => each.textContent).join("\n");
  copy(text).then(() => {
    if (button.querySelector("[data-done]")) return;
    const done = document.createElement("span");
    done.dataset.done = "";
    done.setAttribute("role", "status");
    done.className = "text-success text-xs font-semibold whitespace-nowrap";
    done.textContent = button.dataset.copied;
    const drawing = button.querySelector("svg");
    if (drawing) drawing.replaceWith(done);
    button.classList.remove("btn-square");
    window.setTimeout(() => {
      if (drawing) done.replaceWith(drawing);
      if (button.textContent.trim() === button.querySelector(".sr-only")?.textContent) {
        button.classList.add("btn-square");
      }
    }, 1600);
  });
}

/** Do the proof of work that a form is asked for, and send the form again by itself. */
function prove(place) {
  const form = place.closest("form");
  const challenge = JSON.parse(place.dataset.challenge);
  const fail = () => {
    place.querySelector("[data-proof-said]").hidden = true;
    place.querySelector("[data-proof-failed]").hidden = false;
  };
  place.querySelector("[data-proof-without]").hidden = true;
  place.querySelector("[data-proof-said]").hidden = false;
  const worker = new Worker(place.dataset.worker);
  worker.addEventListener("error", fail);
  worker.addEventListener("message", (event) => {
    worker.terminate();
    if (event.data === null) {
      fail();
      return;
    }
    const { algorithm, challenge: hash, salt, signature } = challenge;
    const solution = { algorithm, challenge: hash, number: event.data, salt, signature };
    place.querySelector("input[name=altcha]").value = btoa(JSON.stringify(solution));
    if (place.dataset.proof === "again") {
      place.querySelector("[data-proof-said]").hidden = true;
      place.querySelector("[data-proof-ready]").hidden = false;
      return;
    }
    form.requestSubmit();
  });
  worker.postMessage(challenge);
}

/** How a page hands a payment to the wallet in whose own browser it is, and when that is ready. */
const BRIDGES = {
  wechat: {
    ready: "WeixinJSBridgeReady",
    find: () => window.WeixinJSBridge,
    pay: (bridge, fields, paid) =>
      bridge.invoke("getBrandWCPayRequest", fields, (result) => {
        if (result.err_msg === "get_brand_wcpay_request:ok") paid();
      }),
  },
};

/** Hand a payment over at once, and again at the button; who has paid goes to the order. */
function handOver(place) {
  const bridge = BRIDGES[place.dataset.bridge];
  const button = place.querySelector("button");
  if (!bridge || !button) return;
  const fields = JSON.parse(place.dataset.fields);
  const pay = () => {
    const wallet = bridge.find();
    if (wallet) bridge.pay(wallet, fields, () => window.location.assign(place.dataset.back));
  };
  button.hidden = false;
  button.addEventListener("click", pay);
  if (bridge.find()) pay();
  else document.addEventListener(bridge.ready, pay, { once: true });
}

/** Say at once that a file is larger than is taken: what is typed beside it is not sent in vain. */
function weigh(field) {
  const most = Number.parseInt(field.dataset.bytesMax, 10);
  const isTooLarge = [...field.files].some((file) => file.size > most);
  field.setCustomValidity(isTooLarge ? field.dataset.tooLarge : "");
  if (isTooLarge) field.reportValidity();
}

/** Wake what needs scripts, in the whole page or in a part that has just come. */
function wake(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  for (const form of root.querySelectorAll("[data-buy]")) showTotal(form);
  for (const place of root.querySelectorAll("[data-until]")) showRest(place);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("[data-proof]")) prove(place);
  for (const place of document.querySelectorAll("[data-bridge]")) handOver(place);
});
document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-buy]");
  if (form) showTotal(form);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-bytes-max]")) weigh(event.target);
  const place = event.target.closest("[data-fills]");
  const text = place && document.getElementById(place.dataset.fills);
  if (text && place.value) text.value = place.value;
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copied(button);
});
// A menu over the page closes when one looks elsewhere, or by Escape.
function closeMenus(but) {
  for (const menu of document.querySelectorAll("details.pop[open]")) {
    if (menu !== but) menu.open = false;
  }
}
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.pop")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.querySelector("details.pop[open] > summary")?.focus();
  closeMenus(null);
});
// A form that is on its way is not sent again; the server would give the same order anyway.
document.addEventListener("submit", (event) => {
  const button = event.target.querySelector("button[type=submit].btn-primary");
  if (button && event.target.method === "post") button.setAttribute("aria-busy", "true");
});
document.addEventListener("htmx:afterSettle", (event) => wake(document.body ?? event.target));
document.addEventListener("DOMContentLoaded", () => wake(document));
window.setInterval(() => {
  for (const place of document.querySelectorAll("[data-until]")) showRest(place);
}, 1000);
