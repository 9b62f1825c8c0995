// Two methods on the same images. What they say stands in COMPARE, a script beside this one: no server is asked.
"use strict";

const MOST = 40; // images
const form = document.getElementById("choice");
const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes, space) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function fill(field, options, chosen) {
  field.replaceChildren(
    ...options.map(([value, words]) => {
      const option = make("option", { value });
      option.textContent = words;
      return option;
    }),
  );
  if (options.some(([value]) => value === chosen)) field.value = chosen;
}

/** Labels of false alarms stand below their boxes, all others above, as far as the image has room. */
function labelAt(outcome, y, h, size, height) {
  if (outcome === "alarm") return y + h + size < height ? y + h + size : y + h - 0.3 * size;
  return y > 1.2 * size ? y - 0.25 * size : y + size;
}

/** An image with boxes in its own pixels. */
function drawn(shot, marks) {
  const [width, height] = shot.size;
  const frame = make("div", { class: "frame" });
  const source = document.getElementById("pairs").dataset.gallery + shot.file;
  frame.append(make("img", { loading: "lazy", src: source, width, height, alt: shot.name }));
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, SVG);
  const size = 0.04 * width;
  for (const [outcome, x, y, w, h, words] of marks) {
    svg.append(make("rect", { class: outcome, x, y, width: w, height: h }, SVG));
    const isRight = x > 0.55 * width;
    const text = make("text", {
      class: outcome,
      "font-size": size,
      x: isRight ? Math.min(x + w, width - 1) : Math.max(x, 1),
      y: labelAt(outcome, y, h, size, height),
      "text-anchor": isRight ? "end" : "start",
    }, SVG);
    text.textContent = words;
    svg.append(text);
  }
  frame.append(svg);
  return frame;
}

function side(shot, method) {
  const [words, , marks] = shot.answers[method.id];
  const half = make("div", {});
  const name = make("b", {});
  const link = make("a", { href: method.page });
  link.textContent = method.title;
  name.append(link);
  const said = make("span", { class: "soft" });
  said.textContent = ` ${words}`;
  half.append(name, said, drawn(shot, marks));
  return half;
}

const SORTS = {
  differ: (a, b) => (shot) => -Math.abs(shot.answers[a][1] - shot.answers[b][1]),
  a: (a) => (shot) => -shot.answers[a][1],
  b: (a, b) => (shot) => -shot.answers[b][1],
  lot: () => () => 0,
};

function show() {
  const place = COMPARE.find((entry) => entry.id === form.place.value);
  const [a, b] = ["a", "b"].map((name) => place.methods.find((entry) => entry.id === form[name].value));
  const badness = SORTS[form.show.value](a.id, b.id);
  const shots = place.shots.map((shot) => [badness(shot), shot]).sort((p, q) => p[0] - q[0]).map((pair) => pair[1]);
  const fewer = [0, 1].map((n) => shots.filter((shot) => (n ? -1 : 1) * (shot.answers[b.id][1] - shot.answers[a.id][1]) > 0).length);
  document.getElementById("summary").textContent =
    `${a.title}: ${a.words}; ${b.title}: ${b.words}. Of the ${shots.length} images kept here (of ${place.images} in the test part), ` +
    `the first does better on ${fewer[0]}, the second on ${fewer[1]}; ${Math.min(MOST, shots.length)} are shown.`;
  document.getElementById("pairs").replaceChildren(
    ...shots.slice(0, MOST).map((shot) => {
      const pair = make("figure", { class: "pair" });
      const halves = make("div", {});
      halves.append(side(shot, a), side(shot, b));
      const caption = make("figcaption", {});
      caption.textContent = `${shot.name}, truth: ${shot.classes.join(", ") || "no defect"}`;
      pair.append(halves, caption);
      return pair;
    }),
  );
}

function choosePlace(asked) {
  const place = COMPARE.find((entry) => entry.id === form.place.value);
  const options = place.methods.map((method) => [method.id, method.title]);
  fill(form.a, options, asked.get("a"));
  const other = options.find(([id]) => id !== form.a.value) || options[0];
  fill(form.b, options, asked.get("b") || other[0]);
}

function start() {
  const asked = new URLSearchParams(location.hash.slice(1).replace(/\+/g, "%2B"));
  fill(form.place, COMPARE.map((place) => [place.id, place.name]), asked.get("place"));
  choosePlace(asked);
  if (asked.get("show") in SORTS) form.show.value = asked.get("show");
  show();
}

form.addEventListener("change", (event) => {
  if (event.target === form.place) choosePlace(new URLSearchParams());
  const chosen = new URLSearchParams(new FormData(form));
  history.replaceState(null, "", `#${chosen}`);
  show();
});
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", start);
start();
