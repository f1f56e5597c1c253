// The gallery: its state, which lives in the URL, and its controls.

import { avatarPath, isNumber64, parseAddress, randomSeed, samplesPath, shortAddress } from "./address.js";
import { allFavourites, clearFavourites, favouritesFile, onFavourites } from "./favourites.js";
import { fetchPatiently, Refusal, setTrouble } from "./server.js";
import { createTiles } from "./tiles.js";
import { createViewer } from "./viewer.js";

const PAGE = 60; // pictures that are added to the grid at a time
const VIEWS = ["gallery", "favourites", "name"];
const at = (id) => document.getElementById(id);

let models = [];
let state = { view: "gallery", model: "", seed: "1", label: "", truncation: 1, zoom: 96, name: "" };
let walkFrom = null; // the picture whose second one is being chosen in the grid

const viewer = createViewer({
  findModel: ({ model, version }) => models.find((each) => each.name === model && each.version === version),
  onChange: (picture) => writeUrl(picture),
  onClose: () => {
    writeUrl();
    if (state.view === "gallery") gallery.focus();
  },
  onPick: (picture) => {
    walkFrom = picture;
    setTrouble("pick", "Choose the picture to walk to. Press Escape to stop.");
  },
});
const gallery = createTiles(at("pictures"), choose);
const kept = createTiles(at("favourites"), choose);

function choose(picture) {
  const from = walkFrom;
  endPick();
  if (from && from.model === picture.model) {
    viewer.open(from);
    viewer.walkTo(picture);
  } else {
    viewer.open(picture);
  }
}

function endPick() {
  walkFrom = null;
  setTrouble("pick", null);
}

// State and URL.

function currentModel() {
  return models.find((model) => model.name === state.model) ?? models[0];
}

function readUrl() {
  const query = new URLSearchParams(location.search);
  const truncation = Number(query.get("truncation"));
  const zoom = Number(query.get("zoom"));
  const picture = parseAddress(query.get("picture") ?? "");
  state = {
    view: VIEWS.includes(query.get("view")) ? query.get("view") : "gallery",
    model: query.get("model") ?? picture?.model ?? "",
    seed: isNumber64(query.get("seed") ?? "") ? query.get("seed") : (picture?.seed ?? "1"),
    label: query.get("label") ?? "",
    truncation: truncation > 0 && truncation <= 1 ? truncation : 1,
    zoom: zoom >= 48 && zoom <= 192 ? zoom : 96,
    name: query.get("name") ?? "",
  };
  return picture && { ...picture, ...look() };
}

function look() {
  const label = /^[0-9]{1,9}$/.test(state.label) ? Number(state.label) : null;
  return { label, truncation: state.truncation };
}

/** Writes the state into the URL; `picture` is the one that is open. */
function writeUrl(picture = null) {
  const query = new URLSearchParams();
  if (state.view !== "gallery") query.set("view", state.view);
  if (models.length && currentModel() !== models[0]) query.set("model", currentModel().name);
  query.set("seed", state.seed);
  const { label, truncation } = picture ?? look();
  if (label !== null) query.set("label", label);
  if (truncation !== 1) query.set("truncation", truncation);
  if (state.zoom !== 96) query.set("zoom", state.zoom);
  if (state.view === "name" && state.name) query.set("name", state.name);
  if (picture) query.set("picture", shortAddress(picture));
  history.replaceState(null, "", `?${query}`.replaceAll("%2F", "/"));
}

// The gallery.

function addPictures() {
  const model = currentModel();
  if (!model) return;
  const common = { model: model.name, version: model.version, seed: state.seed, ...look() };
  const first = gallery.size;
  gallery.add(Array.from({ length: PAGE }, (_, offset) => ({ ...common, index: String(first + offset) })));
}

function redraw() {
  gallery.clear();
  writeUrl();
  addUntilFull();
}

function showModels() {
  const cards = models.map((model) => {
    const item = document.createElement("li");
    const card = document.createElement("button");
    const sample = document.createElement("img");
    const text = document.createElement("span");
    card.type = "button";
    card.setAttribute("aria-pressed", String(model === currentModel()));
    sample.alt = "";
    sample.loading = "lazy";
    loadSample(sample, model);
    text.className = "text";
    text.append(
      span("name", model.name),
      span("about", model.description),
      tags(model),
    );
    card.append(sample, text);
    card.addEventListener("click", () => {
      state.model = model.name;
      state.label = "";
      showModel();
      redraw();
    });
    item.append(card);
    return item;
  });
  at("models").replaceChildren(...cards);
}

async function loadSample(image, model) {
  try {
    const { content } = await fetchPatiently(samplesPath(model));
    image.src = URL.createObjectURL(content);
  } catch {
    image.hidden = true;
  }
}

function tags(model) {
  const list = span("tags", "");
  const facts = [
    `${model.width} × ${model.height}`,
    model.channels === 1 ? "grey" : "color",
    model.classes ? `${model.classes} classes` : "",
    `version ${model.version}`,
    model.license === "NOASSERTION" ? "licence not stated" : model.license,
  ];
  list.append(...facts.filter(Boolean).map((fact) => span("", fact)));
  return list;
}

function span(className, text) {
  const made = document.createElement("span");
  made.className = className;
  made.textContent = text;
  return made;
}

/** Brings the controls in line with the state. */
function showModel() {
  const model = currentModel();
  [...at("models").querySelectorAll("button")].forEach((card, place) => {
    card.setAttribute("aria-pressed", String(models[place] === model));
  });
  const names = Array.from({ length: model?.classes ?? 0 }, (_, label) => model.class_names[label] ?? `Class ${label}`);
  at("label").replaceChildren(new Option("All in turn", ""), ...names.map((name, label) => new Option(name, label)));
  at("label").value = state.label;
  at("label-field").hidden = !names.length;
}

function showControls() {
  at("seed").value = state.seed;
  at("truncation").value = state.truncation;
  at("truncation-value").textContent = `${Math.round(state.truncation * 100)} %`;
  at("zoom").value = state.zoom;
  at("name").value = state.name;
  document.documentElement.style.setProperty("--tile", `${state.zoom}px`);
}

function later(milliseconds, action) {
  let timer = null;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds, ...values);
  };
}

const redrawSoon = later(200, redraw);

at("seed").addEventListener("input", () => {
  const text = at("seed").value.trim();
  const isValid = isNumber64(text);
  at("seed").setAttribute("aria-invalid", String(!isValid));
  if (!isValid || text === state.seed) return;
  state.seed = text;
  redrawSoon();
});
at("surprise").addEventListener("click", () => {
  state.seed = randomSeed();
  at("seed").setAttribute("aria-invalid", "false");
  showControls();
  redraw();
});
at("label").addEventListener("change", () => {
  state.label = at("label").value;
  redraw();
});
at("truncation").addEventListener("input", () => {
  state.truncation = Number(at("truncation").value);
  showControls();
  redrawSoon();
});
at("zoom").addEventListener("input", () => {
  state.zoom = Number(at("zoom").value);
  showControls();
  writeUrl();
});

new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && addUntilFull(), {
  rootMargin: "1200px",
}).observe(at("more"));

/** Adds pictures until the end of the grid is well below the window. */
function addUntilFull() {
  if (state.view !== "gallery" || !models.length) return;
  addPictures();
  requestAnimationFrame(() => {
    if (at("more").getBoundingClientRect().top < innerHeight + 1200) addUntilFull();
  });
}

// Views.

function showView() {
  for (const view of VIEWS) {
    at(`view-${view}`).hidden = view !== state.view;
    const button = document.querySelector(`[data-view=${view}]`);
    if (view === state.view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  if (state.view === "favourites") showFavourites();
  if (state.view === "name") showName();
}

document.querySelector("nav").addEventListener("click", (event) => {
  const { view } = event.target.closest("button")?.dataset ?? {};
  if (!view) return;
  state.view = view;
  showView();
  writeUrl();
  scrollTo(0, 0);
  if (view === "name") at("name").focus();
});

// Favourites.

function showFavourites() {
  const favourites = allFavourites();
  kept.clear();
  kept.add(favourites);
  at("favourites-empty").hidden = favourites.length > 0;
  at("favourites-actions").hidden = !favourites.length;
}

onFavourites(() => {
  at("favourite-count").textContent = allFavourites().length || "";
  gallery.mark();
  if (state.view === "favourites") showFavourites();
});
at("export").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(favouritesFile());
  link.download = "favourites.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
at("clear").addEventListener("click", () => {
  if (confirm("Remove all favourites from this browser?")) clearFavourites();
});

// Names.

let nameAbort = new AbortController();

async function showName() {
  nameAbort.abort();
  nameAbort = new AbortController();
  const { signal } = nameAbort;
  const text = state.name;
  at("name-seed").textContent = "";
  if (!text) {
    at("portraits").replaceChildren();
    return;
  }
  const portraits = models.map(createPortrait);
  at("portraits").replaceChildren(...portraits);
  await Promise.all(models.map((model, place) => showPortrait(portraits[place], model, text, signal)));
}

function createPortrait(model) {
  const button = document.createElement("button");
  const image = document.createElement("img");
  button.type = "button";
  button.disabled = true;
  image.alt = "";
  button.append(image, span("", model.name));
  return button;
}

async function showPortrait(button, model, text, signal) {
  try {
    const { content, headers } = await fetchPatiently(avatarPath(model, text, "png"), signal);
    if (signal.aborted) return;
    const seed = headers.get("x-image-seed");
    const image = button.querySelector("img");
    image.src = URL.createObjectURL(content);
    image.alt = `The picture of ${text}`;
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    at("name-seed").textContent = `Seed ${seed}`;
    button.disabled = false;
    button.addEventListener("click", () => {
      viewer.open({ model: model.name, version: model.version, seed, index: "0", label: null, truncation: 1 });
    });
  } catch (error) {
    if (error instanceof Refusal) at("name-seed").textContent = error.message;
  }
}

const showNameSoon = later(150, () => {
  writeUrl();
  showName();
});

at("name").addEventListener("input", () => {
  state.name = at("name").value;
  showNameSoon();
});

// Start.

at("home").addEventListener("click", (event) => {
  event.preventDefault();
  state.view = "gallery";
  showView();
  writeUrl();
  scrollTo(0, 0);
});
addEventListener("keydown", (event) => event.key === "Escape" && walkFrom && endPick());
addEventListener("popstate", start);

async function start() {
  const picture = readUrl();
  showControls();
  if (!models.length) {
    const { content } = await fetchPatiently("/v1/models", null, (response) => response.json());
    ({ models } = content);
    showModels();
  }
  showModel();
  showView();
  gallery.clear();
  addUntilFull();
  if (picture) viewer.open(picture);
  else viewer.close();
}

start().catch((error) => setTrouble("server", error.message));
