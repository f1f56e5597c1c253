// Draws avatars and writes them to standard output: one byte for the class, then size * size * 3 bytes of RGB, each.
//
//     node render.mjs COUNT SIZE
//
// Image i is of collection i % 4. Draw k of a collection has the SHA-256 of k as its seed, because avatars of seeds that
// differ in one digit look alike; a drawing that has been seen before is skipped.

import { createHash } from 'node:crypto';
import { once } from 'node:events';

import { createAvatar } from '@dicebear/core';
import * as lorelei from '@dicebear/lorelei';
import * as notionists from '@dicebear/notionists';
import * as openPeeps from '@dicebear/open-peeps';
import * as pixelArt from '@dicebear/pixel-art';
import { Resvg } from '@resvg/resvg-js';

const BACKGROUNDS = ['b6e3f4', 'c0aede', 'd1d4f9', 'ffd5dc', 'ffdfbf', 'c7ecd4', 'fdf0b5', 'f6c6ea'];

const SKIN = ['ffdbb4', 'edb98a', 'd08b5b', 'ae5d29', '694d3d', 'fde5d2'];
const HAIR = ['0e0e0e', '3b2417', '6a4e35', '9a5b2b', 'b9722d', 'd9a85b', 'e8d3a2', 'a83232', '5b4b8a', '2f6f73', 'd1688b', '8a8a8a'];

// Enlarged, so that faces fill the picture. Lorelei is black and white by default; its hair and skin take colors.
const COLLECTIONS = [
  { style: pixelArt, options: {} },
  { style: lorelei, options: { hairColor: HAIR, skinColor: SKIN, scale: 125 } },
  { style: notionists, options: { scale: 150, translateY: 18 } },
  { style: openPeeps, options: { scale: 115, translateY: 4 } },
];

const [count, size] = process.argv.slice(2).map(Number);

function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}

function* drawings({ style, options }) {
  const seen = new Set();

  for (let k = 0; ; k++) {
    const seed = sha256(String(k));
    const svg = createAvatar(style, { ...options, seed, backgroundColor: BACKGROUNDS }).toString();
    const digest = sha256(svg);

    if (!seen.has(digest)) {
      seen.add(digest);
      yield svg;
    }
  }
}

function render(svg) {
  const { pixels } = new Resvg(svg, { fitTo: { mode: 'width', value: size }, font: { loadSystemFonts: false } }).render();
  const rgb = Buffer.alloc(size * size * 3);

  for (let i = 0; i < size * size; i++) {
    rgb[3 * i] = pixels[4 * i];
    rgb[3 * i + 1] = pixels[4 * i + 1];
    rgb[3 * i + 2] = pixels[4 * i + 2];
  }
  return rgb;
}

const sources = COLLECTIONS.map(drawings);

for (let i = 0; i < count; i++) {
  const label = i % sources.length;
  const image = Buffer.concat([Buffer.from([label]), render(sources[label].next().value)]);

  if (!process.stdout.write(image)) await once(process.stdout, 'drain');
}
