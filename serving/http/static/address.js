// Addresses of pictures, on the server and in the page's own URL.

const SEED_LIMIT = 2n ** 64n;

/** Whether a text is a whole number below 2^64. */
export function isNumber64(text) {
  return /^(0|[1-9][0-9]{0,19})$/.test(text) && BigInt(text) < SEED_LIMIT;
}

export function randomSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

/** The path of a model's resource; `fields` without a value are left out. */
function resourcePath(picture, collection, name, fields) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(fields)) {
    if (value !== null && value !== undefined && value !== "") query.set(key, value);
  }
  const text = query.toString();
  const base = `/v1/models/${encodeURIComponent(picture.model)}/${picture.version}`;
  return `${base}/${collection}/${encodeURIComponent(name)}${text ? `?${text}` : ""}`.replace(/%2E/g, ".");
}

function lookFields({ label, truncation }) {
  return { label, truncation: truncation === 1 ? null : truncation };
}

/** The path of one picture: {model, version, seed, index, label, truncation}. */
export function picturePath(picture, extension = "png", size = null) {
  const index = picture.index === "0" ? null : picture.index;
  return resourcePath(picture, "images", `${picture.seed}.${extension}`, { index, ...lookFields(picture), size });
}

/** The path of an animation from one picture to another of the same model. */
export function walkPath(picture, other, label, extension, size) {
  return resourcePath(picture, "walks", `${picture.seed}-${other.seed}.${extension}`, {
    index_a: picture.index === "0" ? null : picture.index,
    index_b: other.index === "0" ? null : other.index,
    steps: 30,
    bounce: 1,
    ...lookFields({ label, truncation: picture.truncation }),
    size,
  });
}

export function samplesPath(model) {
  return resourcePath({ model: model.name, version: model.version }, "grids", "1.webp", { n: 32, columns: 8 });
}

export function avatarPath(model, text, extension, size = null) {
  const picture = { model: model.name, version: model.version };
  return resourcePath(picture, "avatars", `${text}.${extension}`, { size });
}

/** The short name of a picture: model/version/seed/index. */
export function shortAddress({ model, version, seed, index }) {
  return `${model}/${version}/${seed}/${index}`;
}

export function fileName({ model, version, seed, index }, ending) {
  return `${model}-${version}-${seed}-${index}${ending}`;
}

/** Reads model/version/seed/index; null if it is none. */
export function parseAddress(text) {
  const [model, version, seed, index, ...rest] = text.split("/");
  const isValid = model && /^[0-9]+$/.test(version ?? "") && isNumber64(seed ?? "") && isNumber64(index ?? "");
  return isValid && !rest.length ? { model, version: Number(version), seed, index } : null;
}
