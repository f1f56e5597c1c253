// Tiles: pictures that are fetched when they come into sight, and let go when they leave it.

import { picturePath } from "./address.js";
import { isFavourite } from "./favourites.js";
import { createQueue, fetchPatiently, Refusal } from "./server.js";

const queue = createQueue(6);
const AHEAD = "600px"; // how far below the window pictures are fetched

/** Creates a grid of tiles in an element; `open` is called with the picture that is chosen. */
export function createTiles(element, open) {
  const tiles = new Map(); // what is known of each tile, by its element
  const observer = new IntersectionObserver(follow, { rootMargin: AHEAD });

  function follow(entries) {
    const jobs = [];
    // Of a tile that came and left meanwhile, only the last entry counts.
    for (const [button, isSeen] of new Map(entries.map((entry) => [entry.target, entry.isIntersecting]))) {
      if (isSeen) jobs.push(...load(button));
      else unload(button);
    }
    queue.add(jobs);
  }

  /** Returns the job that fetches the picture of a tile, in a list; none if it is there or on the way. */
  function load(button) {
    const tile = tiles.get(button);
    if (!tile || tile.abort || tile.url) return [];
    tile.abort = new AbortController();
    tile.job = () => show(button, tile);
    return [tile.job];
  }

  async function show(button, tile) {
    const { signal } = tile.abort;
    try {
      const { content } = await fetchPatiently(picturePath(tile.picture), signal);
      if (signal.aborted) return;
      tile.url = URL.createObjectURL(content);
      const image = button.querySelector("img");
      image.src = tile.url;
      await image.decode().catch(() => {});
      image.classList.add("shown");
    } catch (error) {
      if (error instanceof Refusal) button.title = error.message;
    } finally {
      tile.abort = null;
    }
  }

  function unload(button) {
    const tile = tiles.get(button);
    if (!tile) return;
    queue.remove(tile.job);
    tile.abort?.abort();
    tile.abort = null;
    if (tile.url) {
      URL.revokeObjectURL(tile.url);
      tile.url = null;
      const image = button.querySelector("img");
      image.classList.remove("shown");
      image.removeAttribute("src");
    }
  }

  function add(pictures) {
    const fragment = document.createDocumentFragment();
    for (const picture of pictures) {
      const button = document.createElement("button");
      const image = document.createElement("img");
      const number = document.createElement("span");
      button.type = "button";
      button.className = "tile";
      button.tabIndex = tiles.size ? -1 : 0;
      button.toggleAttribute("data-kept", isFavourite(picture));
      image.alt = `Picture ${picture.index} of seed ${picture.seed}`;
      image.decoding = "async";
      number.className = "number";
      number.setAttribute("aria-hidden", "true");
      number.textContent = picture.index;
      button.append(image, number);
      tiles.set(button, { picture, abort: null, url: null, job: null });
      fragment.append(button);
      observer.observe(button);
    }
    element.append(fragment);
  }

  function clear() {
    observer.disconnect();
    for (const button of tiles.keys()) unload(button);
    tiles.clear();
    element.replaceChildren();
  }

  function mark() {
    for (const [button, { picture }] of tiles) button.toggleAttribute("data-kept", isFavourite(picture));
  }

  element.addEventListener("click", (event) => {
    const button = event.target.closest(".tile");
    if (!button) return;
    moveFocus(button);
    open(tiles.get(button).picture);
  });

  // One tile is in the order of the Tab key; the arrow keys move among the tiles.
  element.addEventListener("keydown", (event) => {
    const buttons = [...element.children];
    const place = buttons.indexOf(document.activeElement);
    if (place < 0) return;
    const top = buttons[0].offsetTop;
    const columns = Math.max(1, buttons.findIndex((button) => button.offsetTop > top));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    let target = null;
    if (event.key in steps) target = buttons[place + steps[event.key]];
    if (event.key === "Home") [target] = buttons;
    if (event.key === "End") target = buttons.at(-1);
    if (!target) return;
    event.preventDefault();
    moveFocus(target);
  });

  function moveFocus(button) {
    element.querySelector('.tile[tabindex="0"]')?.setAttribute("tabindex", "-1");
    button.tabIndex = 0;
    button.focus();
  }

  return {
    add,
    clear,
    mark,
    focus: () => (element.querySelector('.tile[tabindex="0"]') ?? element).focus(),
    get size() {
      return tiles.size;
    },
  };
}
