// Requests to the server: kind about a server that is busy or gone.

const LONGEST_PAUSE_S = 15;

const NOTICES = ["notice", "viewer-trouble"]; // of the page, and of the dialog that covers it
const troubles = new Map(); // message by kind of trouble, while it lasts

/** A request that the server refuses for good. */
export class Refusal extends Error {}

/** Shows a message at the top of the page for as long as the trouble lasts; null ends it. */
export function setTrouble(kind, message) {
  if (message === null) troubles.delete(kind);
  else troubles.set(kind, message);
  const [first] = troubles.values();
  for (const place of NOTICES.map((id) => document.getElementById(id))) {
    if (place.textContent !== (first ?? "")) place.textContent = first ?? "";
    place.hidden = first === undefined;
  }
}

/** Fetches a path, and again while the server is busy or cannot be reached. */
export async function fetchPatiently(path, signal, accept = (response) => response.blob()) {
  for (let attempt = 0; ; attempt += 1) {
    const response = await fetch(path, { signal }).catch((error) => {
      if (signal?.aborted) throw error;
      return null;
    });
    if (response?.ok) {
      const content = await accept(response);
      setTrouble("server", null);
      return { content, headers: response.headers };
    }

    const problem = response && (await response.json().catch(() => ({})));
    const isBusy = response?.status === 429;
    if (response && !isBusy && response.status < 500) throw new Refusal(problem.detail ?? response.statusText);
    setTrouble("server", sentenceFor(response, problem));
    const told = Number(response?.headers.get("retry-after")) || 0;
    await pause(Math.max(told, Math.min(2 ** attempt / 2, LONGEST_PAUSE_S)), signal);
  }
}

function sentenceFor(response, problem) {
  if (!response) return "The server cannot be reached. Your pictures will be back as soon as it is.";
  if (response.status === 429 || response.status === 504) return "The server is busy just now. Your pictures come in a moment.";
  if (problem?.reason === "LOADING") return "The server is getting ready. Your pictures come in a moment.";
  if (problem?.reason === "DRAINING") return "The server is about to restart. Your pictures will be back soon.";
  return "The server has a problem just now. Trying again in a moment.";
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}

/**
 * Runs at most `limit` jobs at a time, those that were added last first: what was scrolled to last
 * is seen first. Jobs that were added together run in their order.
 */
export function createQueue(limit) {
  const waiting = []; // the next one is at the end
  let running = 0;

  function startNext() {
    while (running < limit && waiting.length) {
      const job = waiting.pop();
      running += 1;
      job().finally(() => {
        running -= 1;
        startNext();
      });
    }
  }

  return {
    add(jobs) {
      waiting.push(...[...jobs].reverse());
      startNext();
    },
    remove(job) {
      const place = waiting.indexOf(job);
      if (place >= 0) waiting.splice(place, 1);
    },
  };
}
