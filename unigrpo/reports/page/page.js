"use strict";
// Without this script all is there to be read; it adds what moves.
for (const part of document.querySelectorAll(".js")) part.hidden = false;

const smooth = document.getElementById("smooth");
smooth.addEventListener("change", () => document.body.classList.toggle("raw", !smooth.checked));

for (const replay of document.querySelectorAll(".replay")) {
  const slider = replay.querySelector("input"), told = replay.querySelector("output"), button = replay.querySelector("button");
  const tokens = [...replay.querySelectorAll("[data-step]")], canvas = replay.querySelector("canvas");
  const steps = canvas ? canvas.dataset.codes.split(" ").map(Number) : tokens.map((token) => Number(token.dataset.step));
  const last = Number(slider.max), pause = 8000 / Math.max(last, 20);
  let timer = 0;

  const show = () => {
    const now = Number(slider.value);
    tokens.forEach((token, at) => {
      token.classList.toggle("off", steps[at] > now);
      token.classList.toggle("fresh", steps[at] === now && now > 0 && now < last);
    });
    if (canvas) cover(canvas, steps, now);
    const done = steps.filter((step) => step <= now).length;
    told.textContent = `step ${now} of ${last}: ${done} of ${steps.length} ${canvas ? "codes" : "tokens"}`;
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  const go = () => {
    slider.value = Number(slider.value) + 1;
    show();
    if (Number(slider.value) >= last) stop();
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= last) slider.value = 0;
    show();
    timer = setInterval(go, pause);
    button.textContent = "Pause";
  });
  slider.addEventListener("input", () => { stop(); show(); });
  show();
}

function cover(canvas, steps, now) {
  const brush = canvas.getContext("2d"), side = canvas.width;
  brush.clearRect(0, 0, side, side);
  brush.fillStyle = "#a0a0a0";
  steps.forEach((step, at) => { if (step > now) brush.fillRect(at % side, Math.floor(at / side), 1, 1); });
}

for (const part of document.querySelectorAll(".rollouts")) {
  const field = part.querySelector("input"), told = part.querySelector("output");
  const groups = [...part.querySelectorAll(".group")].map((group) => [group, group.textContent.toLowerCase()]);
  const folds = [...part.querySelectorAll("details")].map((fold) => [fold, fold.open]);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const [group, text] of groups) group.hidden = !words.every((word) => text.includes(word));
    for (const [fold, open] of folds) fold.open = words.length ? Boolean(fold.querySelector(".group:not([hidden])")) : open;
    told.textContent = words.length ? `${groups.filter(([group]) => !group.hidden).length} of ${groups.length} prompts` : "";
  });
}
