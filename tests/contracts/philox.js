// Draws latent vectors as the head of generator.proto says, with nothing but the language itself.
// Usage: node philox.js '[[SEED, INDEX, LATENT_SIZE], ...]' (numbers as strings); prints [[w0, [bits of z ...]], ...].
const MASK = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

function block(counter, seed) {
  let words = [0n, 64n, 128n, 192n].map((shift) => (counter >> shift) & MASK);
  let key = [seed, 0n];
  for (let round = 0; round < 10; round++) {
    const first = MULTIPLIERS[0] * words[0];
    const second = MULTIPLIERS[1] * words[2];
    words = [
      (second >> 64n) ^ words[1] ^ key[0],
      second & MASK,
      (first >> 64n) ^ words[3] ^ key[1],
      first & MASK,
    ];
    key = key.map((word, i) => (word + WEYL[i]) & MASK);
  }
  return words;
}

function latents(seed, index, size) {
  const blocks = BigInt(Math.ceil(size / 4));
  const words = [];
  for (let c = index * blocks + 1n; c <= (index + 1n) * blocks; c++) words.push(...block(c, seed));
  const uniforms = words.map((word) => Number(word >> 11n) * 2 ** -53);
  const normals = [];
  for (let k = 0; k < uniforms.length; k += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniforms[k]));
    const angle = 2 * Math.PI * uniforms[k + 1];
    normals.push(radius * Math.cos(angle), radius * Math.sin(angle));
  }
  return [words[0].toString(16).padStart(16, "0"), normals.slice(0, size)];
}

function bits(value) {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0).toString(16).padStart(8, "0");
}

const results = JSON.parse(process.argv[2]).map(([seed, index, size]) => {
  const [word, normals] = latents(BigInt(seed), BigInt(index), Number(size));
  return [word, normals.map(bits)];
});
console.log(JSON.stringify(results));
