// Prints, as JSON, what requests with the mistakes of docs/how-to/write-a-client.md become.
// Usage: node traps.js PROTO
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const RIGHT = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

function sent(method, request, options) {
  const { service } = grpc.loadPackageDefinition(loader.loadSync(process.argv[2], options)).dcgan.v1
    .GeneratorService;
  const bytes = service[method].requestSerialize(request);
  const reader = grpc.loadPackageDefinition(loader.loadSync(process.argv[2], RIGHT)).dcgan.v1;
  return reader.GeneratorService.service[method].requestDeserialize(bytes);
}

const results = {
  snakeCaseWithoutKeepCase: sent("Interpolate", { seed_a: "1", seed_b: "2" }, { longs: String }),
  snakeCase: sent("Interpolate", { seed_a: "1", seed_b: "2" }, RIGHT),
  shortFormat: sent("Generate", { format: "PNG" }, RIGHT),
  format: sent("Generate", { format: "IMAGE_FORMAT_PNG" }, RIGHT),
  number: sent("Generate", { seed: 2 ** 53 + 1 }, RIGHT),
  string: sent("Generate", { seed: "18446744073709551615" }, RIGHT),
  bigint: sent("Generate", { seed: (2n ** 64n - 1n).toString() }, RIGHT),
  misspelt: sent("Generate", { sead: 7 }, RIGHT),
  text: sent("Generate", { seed: "hello" }, RIGHT),
};
console.log(JSON.stringify(results));
