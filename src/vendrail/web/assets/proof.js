// A proof of work by the ALTCHA protocol, off the page's own thread: find the number that, after the
// salt, hashes to the challenge. Written out, for crypto.subtle is closed to pages without https.
"use strict";

const K = new Uint32Array(64);
const START = new Uint32Array(8);

/** Make SHA-256's constants: the first bits of the roots of the first primes. */
function makeConstants() {
  const bits = (value) => ((value - Math.floor(value)) * 0x100000000) >>> 0;
  let found = 0;
  for (let candidate = 2; found < 64; candidate += 1) {
    let isPrime = true;
    for (let factor = 2; factor * factor <= candidate; factor += 1) {
      if (candidate % factor === 0) isPrime = false;
    }
    if (!isPrime) continue;
    if (found < 8) START[found] = bits(Math.sqrt(candidate));
    K[found] = bits(Math.cbrt(candidate));
    found += 1;
  }
}

const words = new Uint32Array(64);

/** Hash a short text of plain letters; give the hash as hexadecimal digits. */
function hash(text) {
  const length = text.length;
  const blocks = ((length + 8) >> 6) + 1;
  const state = START.slice();
  for (let block = 0; block < blocks; block += 1) {
    for (let at = 0; at < 16; at += 1) {
      let word = 0;
      for (let byte = 0; byte < 4; byte += 1) {
        const place = block * 64 + at * 4 + byte;
        const code = place < length ? text.charCodeAt(place) : place === length ? 0x80 : 0;
        word = (word << 8) | code;
      }
      words[at] = word;
    }
    if (block === blocks - 1) words[15] = length * 8;
    mix(state);
  }
  return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}

/** Mix one block of words into the state. */
function mix(state) {
  for (let at = 16; at < 64; at += 1) {
    const early = words[at - 15];
    const late = words[at - 2];
    const s0 = ((early >>> 7) | (early << 25)) ^ ((early >>> 18) | (early << 14)) ^ (early >>> 3);
    const s1 = ((late >>> 17) | (late << 15)) ^ ((late >>> 19) | (late << 13)) ^ (late >>> 10);
    words[at] = words[at - 16] + s0 + words[at - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let at = 0; at < 64; at += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const first = (h + s1 + ((e & f) ^ (~e & g)) + K[at] + words[at]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => {
    state[at] += word;
  });
}

makeConstants();

self.addEventListener("message", (event) => {
  const { salt, challenge, maxnumber } = event.data;
  for (let number = 0; number <= maxnumber; number += 1) {
    if (hash(salt + number) === challenge) {
      self.postMessage(number);
      return;
    }
  }
  self.postMessage(null);
});
