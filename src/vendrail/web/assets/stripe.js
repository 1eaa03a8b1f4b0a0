// The provider's own card form on the pay page: it is shown, told to pay, and its answer said.
"use strict";

/** Under which of the page's words a provider's refusal is said. */
function reasonOf(error) {
  if (error.type === "validation_error") return "incomplete";
  if (error.type !== "card_error") return "away";
  const code = error.decline_code || error.code || "";
  if (/authentication/.test(code) || /authentication/.test(error.code || "")) return "authentication";
  if (/^invalid_expiry/.test(code)) return "invalid_expiry";
  return { invalid_number: "incorrect_number", invalid_cvc: "incorrect_cvc" }[code] || code;
}

/** Whether money has come, or is coming: then nothing is to be done here. */
function isOnItsWay(payment) {
  return payment !== undefined && ["succeeded", "processing"].includes(payment.status);
}

/** Where the buyer goes on: the address says that somebody comes back, so it waits for the key. */
function onward(back) {
  const address = new URL(back, window.location.href);
  address.searchParams.set("redirect_status", "succeeded");
  window.location.assign(address.href);
}

class CardForm {
  constructor(form) {
    this.form = form;
    this.said = JSON.parse(form.dataset.said);
    this.isBusy = false;
  }

  part(name) {
    return document.querySelector(`[data-card-${name}]`);
  }

  show(name, isShown) {
    this.part(name).hidden = !isShown;
  }

  /** Give the form up, and lead to the provider's page. */
  giveUp() {
    this.form.hidden = true;
    this.show("page", true);
  }

  open() {
    if (typeof window.Stripe !== "function") {
      this.giveUp();
      return;
    }
    this.show("wait", true);
    const { key, secret, account, locale } = this.form.dataset;
    const isDark = window.getComputedStyle(document.documentElement).colorScheme === "dark";
    this.stripe = window.Stripe(key, account ? { stripeAccount: account } : {});
    this.elements = this.stripe.elements({
      clientSecret: secret,
      locale: locale.replace("-Hans", "").replace("-Hant", "-TW"),
      appearance: { theme: isDark ? "night" : "stripe" },
    });
    const card = this.elements.create("payment");
    card.on("ready", () => {
      this.show("wait", false);
      this.show("pay", true);
      this.show("note", true);
    });
    card.on("loaderror", () => this.giveUp());
    card.on("change", () => this.show("problem", false));
    card.mount(this.part("place"));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.pay();
    });
  }

  say(reason) {
    const place = this.part("problem");
    place.textContent = this.said[reason] || this.said[""];
    place.hidden = false;
  }

  setBusy(isBusy) {
    this.isBusy = isBusy;
    this.part("pay").setAttribute("aria-busy", String(isBusy));
  }

  async pay() {
    if (this.isBusy) return;
    this.setBusy(true);
    this.show("problem", false);
    const { back } = this.form.dataset;
    let answer;
    try {
      answer = await this.stripe.confirmPayment({
        elements: this.elements,
        confirmParams: { return_url: back },
        redirect: "if_required",
      });
    } catch {
      answer = { error: { type: "api_connection_error" } };
    }
    const { error, paymentIntent } = answer;
    if (isOnItsWay(paymentIntent) || isOnItsWay(error?.payment_intent)) {
      onward(back);
      return;
    }
    this.say(error ? reasonOf(error) : "authentication");
    this.setBusy(false);
  }
}

for (const form of document.querySelectorAll("[data-card-form]")) new CardForm(form).open();
