// Favourite pictures, kept in this browser.

const KEY = "dcgan-zoo.favourites";
const listeners = new Set();

export function allFavourites() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return []; // not readable, or storage is switched off
  }
}

function same(a, b) {
  return ["model", "version", "seed", "index", "label", "truncation"].every((name) => (a[name] ?? null) === (b[name] ?? null));
}

export function isFavourite(picture) {
  return allFavourites().some((kept) => same(kept, picture));
}

/** Keeps a picture, or lets it go; returns whether it is kept now. */
export function toggleFavourite({ model, version, seed, index, label, truncation }) {
  const picture = { model, version, seed, index, label: label ?? null, truncation };
  const rest = allFavourites().filter((kept) => !same(kept, picture));
  const isKept = rest.length === allFavourites().length;
  save(isKept ? [...rest, picture] : rest);
  return isKept;
}

export function clearFavourites() {
  save([]);
}

/** The file that `dcgan-generate --from` reads. */
export function favouritesFile() {
  const content = JSON.stringify({ schema_version: 1, favourites: allFavourites() }, null, 2);
  return new Blob([content, "\n"], { type: "application/json" });
}

export function onFavourites(listener) {
  listeners.add(listener);
  listener();
}

function save(favourites) {
  try {
    localStorage.setItem(KEY, JSON.stringify(favourites));
  } catch {
    // storage is full or switched off: nothing is kept
  }
  listeners.forEach((listener) => listener());
}

addEventListener("storage", () => listeners.forEach((listener) => listener()));
