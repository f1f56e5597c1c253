// The picture view: one picture, large, with everything that can be done with it.

import { fileName, isNumber64, picturePath, randomSeed, shortAddress, walkPath } from "./address.js";
import { isFavourite, onFavourites, toggleFavourite } from "./favourites.js";
import { fetchPatiently, Refusal } from "./server.js";
import { snippetFor } from "./snippets.js";

const SCALES = [1, 2, 4, 8];
const LARGEST = 2048;
const LANGUAGES = ["curl", "python", "node"];
const at = (id) => document.getElementById(id);

/** Creates the view. `models` finds a model; the others are called when the visitor acts. */
export function createViewer({ findModel, onChange, onClose, onPick }) {
  const dialog = at("viewer");
  let picture = null;
  let language = "curl";
  let abort = new AbortController();
  let urls = [];

  async function open(chosen) {
    picture = chosen;
    restart();
    const model = findModel(picture);
    at("viewer-title").textContent = `Picture ${picture.index} of seed ${picture.seed}`;
    showAddress();
    showDownloads(model);
    showCode();
    showKept();
    at("walk-result").hidden = true;
    at("walk-seed").value = randomSeed();
    at("walk-index").value = "0";
    at("previous").disabled = picture.index === "0";
    at("next").disabled = !isNumber64(String(BigInt(picture.index) + 1n));
    if (!dialog.open) dialog.showModal();
    onChange(picture);
    await showPicture();
  }

  function restart() {
    abort.abort();
    abort = new AbortController();
    urls.forEach((url) => URL.revokeObjectURL(url));
    urls = [];
    tell(null);
  }

  async function showPicture() {
    const image = at("viewer-picture");
    const { signal } = abort;
    image.alt = `Picture ${picture.index} of seed ${picture.seed} by ${picture.model}`;
    try {
      const { content, headers } = await fetchPatiently(picturePath(picture), signal);
      if (signal.aborted) return;
      image.src = remember(content);
      showOrigin(headers);
    } catch (error) {
      if (signal.aborted) return;
      image.removeAttribute("src");
      at("origin").replaceChildren();
      tell(error instanceof Refusal ? error.message : "The picture cannot be shown.");
    }
  }

  function showOrigin(headers) {
    const facts = {
      Model: `${headers.get("x-model-name")}, version ${headers.get("x-model-version")}`,
      Digest: headers.get("x-model-digest"),
      Noise: headers.get("x-noise-scheme"),
      "Runs on": headers.get("x-provider"),
      Agreement: { exact: "byte for byte as published", close: "within one grey level of what was published" }[headers.get("x-agreement")],
      Class: headers.get("x-image-label"),
      Variety: picture.truncation === 1 ? null : `${Math.round(picture.truncation * 100)} %`,
    };
    const label = headers.get("x-image-label");
    const name = label === null ? null : findModel(picture)?.class_names[Number(label)];
    if (name) facts.Class = `${name} (${label})`;
    const list = Object.entries(facts).filter(([, value]) => value);
    at("origin").replaceChildren(...list.flatMap(([term, value]) => [element("dt", term), element("dd", value)]));
  }

  function showAddress() {
    const link = at("address");
    link.textContent = shortAddress(picture);
    link.href = picturePath(picture);
  }

  function showDownloads(model) {
    const size = model?.height ?? 64;
    const links = SCALES.filter((scale) => size * scale <= LARGEST).map((scale) => {
      const path = picturePath(picture, "png", scale === 1 ? null : size * scale);
      const name = fileName(picture, scale === 1 ? ".png" : `@${scale}x.png`);
      return downloadLink(`PNG ${scale}×`, path, name, `${size * scale} by ${size * scale} pixels`);
    });
    links.push(downloadLink("WebP", picturePath(picture, "webp"), fileName(picture, ".webp"), "lossless"));
    at("downloads").replaceChildren(...links);
  }

  function showCode() {
    const url = new URL(picturePath(picture), location.href).href;
    at("code").textContent = snippetFor(language, url, fileName(picture, ".png"));
    for (const name of LANGUAGES) {
      const tab = at(`tab-${name}`);
      tab.setAttribute("aria-selected", String(name === language));
      tab.tabIndex = name === language ? 0 : -1;
    }
    at("code-panel").setAttribute("aria-labelledby", `tab-${language}`);
  }

  function showKept() {
    if (!picture) return;
    const isKept = isFavourite(picture);
    at("keep").setAttribute("aria-pressed", String(isKept));
    at("keep").textContent = isKept ? "Kept" : "Keep it";
  }

  async function walkTo(other) {
    const size = findModel(picture)?.height ?? 64;
    const classes = findModel(picture)?.classes ?? 0;
    const label = classes ? (picture.label ?? Number(BigInt(picture.index) % BigInt(classes))) : null;
    const factor = Math.max(1, Math.floor(256 / size));
    const shown = walkPath(picture, other, label, "webp", size * factor);
    const name = `${picture.model}-${picture.seed}-${picture.index}-to-${other.seed}-${other.index}`;
    const { signal } = abort;
    tell("Walking …");
    try {
      const { content } = await fetchPatiently(shown, signal);
      if (signal.aborted) return;
      at("walk-picture").src = remember(content);
      at("walk-picture").alt = `Animation from this picture to picture ${other.index} of seed ${other.seed}`;
      at("walk-downloads").replaceChildren(
        downloadLink("WebP", shown, `${name}.webp`, "animation"),
        downloadLink("GIF", walkPath(picture, other, label, "gif", size * Math.min(factor, 2)), `${name}.gif`, "animation"),
      );
      at("walk-seed").value = other.seed;
      at("walk-index").value = other.index;
      at("walk-result").hidden = false;
      at("walk-result").scrollIntoView({ block: "nearest" });
      tell(null);
    } catch (error) {
      if (!signal.aborted) tell(error instanceof Refusal ? error.message : "The walk cannot be shown.");
    }
  }

  function remember(content) {
    const url = URL.createObjectURL(content);
    urls.push(url);
    return url;
  }

  function tell(message) {
    at("viewer-notice").textContent = message ?? "";
    at("viewer-notice").hidden = message === null;
  }

  function step(by) {
    const index = BigInt(picture.index) + BigInt(by);
    if (index >= 0n && isNumber64(String(index))) open({ ...picture, index: String(index) });
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  dialog.addEventListener("close", () => {
    if (dialog.open) return; // opened again before the event of its closing came
    restart();
    onClose();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, [role=tab]")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  at("viewer-close").addEventListener("click", () => dialog.close());
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("keep").addEventListener("click", () => toggleFavourite(picture));
  onFavourites(showKept);
  at("pixels").addEventListener("click", () => {
    const isCrisp = at("viewer-picture").classList.toggle("pixels");
    at("pixels").setAttribute("aria-pressed", String(isCrisp));
  });
  at("copy-address").addEventListener("click", (event) => copy(at("address").href, event.target));
  at("copy-code").addEventListener("click", (event) => copy(at("code").textContent, event.target));
  at("walk").addEventListener("submit", (event) => {
    event.preventDefault();
    const other = { seed: at("walk-seed").value.trim(), index: at("walk-index").value.trim() };
    if (isNumber64(other.seed) && isNumber64(other.index)) walkTo(other);
    else tell("Seed and picture are whole numbers below 2^64.");
  });
  at("walk-pick").addEventListener("click", () => {
    const from = picture;
    dialog.close();
    onPick(from);
  });

  const tabs = at("tab-curl").parentElement;
  tabs.addEventListener("click", (event) => choose(event.target.id.replace("tab-", "")));
  tabs.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    choose(LANGUAGES.at((LANGUAGES.indexOf(language) + by) % LANGUAGES.length));
    at(`tab-${language}`).focus();
  });

  function choose(name) {
    if (!LANGUAGES.includes(name)) return;
    language = name;
    showCode();
  }

  return { open, walkTo, close: () => dialog.open && dialog.close() };
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

export function downloadLink(text, path, name, title) {
  const link = element("a", text);
  link.className = "button quiet";
  link.href = path;
  link.download = name;
  link.title = title;
  return link;
}
