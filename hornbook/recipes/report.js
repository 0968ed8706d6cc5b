"use strict";
// Two small helps; the page says everything without them.

// Under the pointer, charts tell the nearest step's figures.
for (const chart of document.querySelectorAll(".chart")) {
  const stops = JSON.parse(chart.dataset.hover);
  if (!stops.length) continue;
  const line = chart.appendChild(document.createElement("div"));
  const tip = chart.appendChild(document.createElement("div"));
  line.className = "pointer";
  tip.className = "tip";
  const show = (visible) => { line.hidden = tip.hidden = !visible; };
  const move = (event) => {
    const box = chart.getBoundingClientRect();
    const place = (100 * (event.clientX - box.left)) / box.width;
    const near = stops.reduce((a, b) => (Math.abs(b[0] - place) < Math.abs(a[0] - place) ? b : a));
    show(true);
    line.style.left = near[0] + "%";
    tip.textContent = near[1].join("\n");
    const room = box.width - tip.offsetWidth;
    const left = (box.width * near[0]) / 100;
    tip.style.left = Math.max(0, left + 12 > room ? left - tip.offsetWidth - 12 : left + 12) + "px";
  };
  show(false);
  chart.addEventListener("pointerdown", move);
  chart.addEventListener("pointermove", move);
  chart.addEventListener("pointerleave", () => show(false));
}

// Commands can be copied; without a clipboard (some browsers, pages from disk) the button stays away.
for (const button of document.querySelectorAll(".command button")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}
