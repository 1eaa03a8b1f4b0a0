// Charts over tables that stand without them: the numbers come as JSON, the colours from the theme.
"use strict";

/** Give a colour of the theme as the browser computes it. */
function tone(name) {
  const probe = document.createElement("span");
  probe.className = name;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
}

/** A key below the curves or bars, and the room that it takes. */
function keyed(text) {
  return {
    legend: { bottom: 0, textStyle: { color: text }, itemWidth: 18 },
    grid: { left: 8, right: 8, top: 16, bottom: 32, containLabel: true },
  };
}

/** Two bars for each moment. */
function barred(place, told, text) {
  const [first, second] = told.bars || [told.sales, told.refunds];
  const shape = { type: "bar", barMaxWidth: 22, itemStyle: { borderRadius: [3, 3, 0, 0] } };
  return {
    ...keyed(text),
    series: [
      { name: place.dataset.sales, data: first, ...shape },
      { name: place.dataset.refunds, data: second, ...shape },
    ],
  };
}

/** Curves, the last one dashed: what the others are held against. */
function lined(place, told, text) {
  const names = place.dataset.lines.split("|");
  return {
    ...keyed(text),
    series: told.lines.map((data, number) => ({
      name: names[number],
      type: "line",
      data,
      showSymbol: false,
      lineStyle: { width: 2, type: number === told.lines.length - 1 ? "dashed" : "solid" },
    })),
  };
}

function options(place, told) {
  const money = new Intl.NumberFormat(place.dataset.locale, {
    style: "currency",
    currency: told.currency,
  });
  const short = new Intl.NumberFormat(place.dataset.locale, { notation: "compact" });
  const text = tone("quiet");
  const line = tone("text-base-300");
  const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  return {
    animation: !isCalm,
    animationDuration: 250,
    color: [tone("text-primary"), tone("text-accent"), text],
    grid: { left: 8, right: 8, top: 16, bottom: 4, containLabel: true },
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    tooltip: {
      trigger: "axis",
      renderMode: "richText", // HTML would need inline styles, which our policy forbids.
      axisPointer: { type: "shadow" },
      backgroundColor: tone("text-base-100"),
      borderColor: line,
      textStyle: { color: tone("text-base-content") },
      valueFormatter: (value) => money.format(value),
    },
    xAxis: {
      type: "category",
      data: told.labels,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: line } },
      axisLabel: { color: text, hideOverlap: true },
    },
    yAxis: {
      type: "value",
      splitNumber: 4,
      splitLine: { lineStyle: { color: line } },
      axisLabel: { color: text, formatter: (value) => short.format(value) },
    },
    ...(told.lines ? lined(place, told, text) : barred(place, told, text)),
  };
}

async function ask(place) {
  const answer = await fetch(place.dataset.chart, { credentials: "same-origin" });
  return answer.ok ? answer.json() : null;
}

async function draw(place) {
  const told = place.dataset.told ? JSON.parse(place.dataset.told) : await ask(place);
  if (!told) return; // The table stays open.
  place.hidden = false;
  const chart = window.echarts.init(place, null, { renderer: "canvas" });
  chart.setOption(options(place, told));
  place.closest("section")?.querySelector("details[data-table]")?.removeAttribute("open");
  window.addEventListener("resize", () => chart.resize());
  const isDark = window.matchMedia("(prefers-color-scheme: dark)"); // It may get dark meanwhile.
  isDark.addEventListener("change", () => chart.setOption(options(place, told)));
  place.dataset.drawn = "";
}

document.addEventListener("DOMContentLoaded", () => {
  if (!window.echarts) return;
  for (const place of document.querySelectorAll("[data-chart]")) draw(place).catch(() => {});
});
