// What js.stripe.com gives a merchant's page, as far as the sandbox needs it: it never sees a card.
"use strict";

(() => {
  const ORIGIN = new URL(document.currentScript.src).origin;

  class Element {
    constructor(key, account, options) {
      this.key = key;
      this.account = account;
      this.options = options;
      this.listeners = {};
      this.calls = new Map();
      this.frame = document.createElement("iframe");
      const theme = options.appearance?.theme ?? "stripe";
      this.frame.src = `${ORIGIN}/stripe/element?locale=${options.locale ?? "en"}&theme=${theme}`;
      this.frame.title = "Secure payment input frame";
      this.frame.allow = "payment *";
      Object.assign(this.frame.style, { border: "0", display: "block", width: "100%" });
      this.frame.style.colorScheme = theme === "night" ? "dark" : "light";
      window.addEventListener("message", (event) => this.hear(event));
    }

    on(name, listener) {
      this.listeners[name] = listener;
      return this;
    }

    mount(place) {
      (typeof place === "string" ? document.querySelector(place) : place).append(this.frame);
    }

    hear(event) {
      if (event.origin !== ORIGIN || !event.data?.stripe) return;
      const { type, call, answer, height } = event.data;
      if (type === "challenged") this.challenged?.();
      if (event.source !== this.frame.contentWindow) return;
      if (type === "loaded") this.begin();
      if (type === "height") this.frame.style.height = `${height}px`;
      if (type === "answer") this.calls.get(call)?.(answer);
      this.listeners[type]?.();
    }

    post(message) {
      this.frame.contentWindow.postMessage({ stripe: true, ...message }, ORIGIN);
    }

    begin() {
      const { key, account } = this;
      this.post({ type: "begin", key, account, secret: this.options.clientSecret });
    }

    ask(message) {
      const call = this.calls.size + 1;
      this.post({ ...message, call });
      return new Promise((resolve) => this.calls.set(call, resolve));
    }

    /** Show what the card's bank asks, over the page, until it is answered. */
    async challenge(url) {
      const frame = document.createElement("iframe");
      frame.src = url;
      frame.title = "3D Secure";
      Object.assign(frame.style, {
        position: "fixed", inset: "0", width: "100%", height: "100%", border: "0", zIndex: "2147483647",
      });
      document.body.append(frame);
      frame.focus();
      await new Promise((resolve) => {
        this.challenged = resolve;
      });
      frame.remove();
    }

    async confirm(back) {
      const answer = await this.ask({ type: "confirm", back });
      const action = answer.paymentIntent?.next_action;
      if (action?.type !== "use_stripe_sdk") return answer;
      await this.challenge(action.use_stripe_sdk.stripe_js);
      const after = await this.ask({ type: "retrieve" });
      const refused = after.paymentIntent?.last_payment_error;
      return refused && after.paymentIntent.status === "requires_payment_method"
        ? { error: refused }
        : after;
    }
  }

  window.Stripe = (key, settings = {}) => ({
    elements: (options) => {
      const made = {
        create: (kind) => {
          if (kind !== "payment") throw new Error(`A valid Element name must be provided: ${kind}`);
          made.element = new Element(key, settings.stripeAccount ?? "", options);
          return made.element;
        },
      };
      return made;
    },
    confirmPayment: async ({ elements, confirmParams, redirect }) => {
      const answer = await elements.element.confirm(confirmParams.return_url);
      if (!answer.error && redirect !== "if_required") window.location.assign(confirmParams.return_url);
      return answer;
    },
  });
})();
