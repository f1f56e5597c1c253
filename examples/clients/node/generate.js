// Prints the SHA-256 of the pixels of one Generate, and of one GenerateStream, as JSON.
// Usage: node generate.js PROTO TARGET SEED OFFSET N
const crypto = require("crypto");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [proto, target, seed, offset, n] = process.argv.slice(2);
const definition = loader.loadSync(proto, { longs: String, enums: String, defaults: true, oneofs: true });
const { GeneratorService } = grpc.loadPackageDefinition(definition).dcgan.v1;
const client = new GeneratorService(target, grpc.credentials.createInsecure());
const request = { seed, offset, n: Number(n) };

function fail(error) {
  console.error(error.message);
  process.exit(1);
}

client.Generate(request, (error, reply) => {
  if (error) fail(error);
  const unary = crypto.createHash("sha256").update(reply.pixels).digest("hex");
  const hash = crypto.createHash("sha256");
  const call = client.GenerateStream(request);
  call.on("data", (chunk) => hash.update(chunk.pixels));
  call.on("error", fail);
  call.on("end", () => {
    const { model, digest } = reply.provenance;
    console.log(JSON.stringify({ unary, stream: hash.digest("hex"), n: reply.n, offset: reply.offset, model, digest }));
    client.close();
  });
});
