// Programs that fetch exactly one picture.

export function snippetFor(language, url, file) {
  if (language === "curl") return `curl -o ${file} '${url}'`;
  if (language === "python") {
    return `from urllib.request import urlretrieve\n\nurlretrieve("${url}", "${file}")`;
  }
  return [
    'import { writeFile } from "node:fs/promises";',
    "",
    `const response = await fetch("${url}");`,
    `await writeFile("${file}", Buffer.from(await response.arrayBuffer()));`,
  ].join("\n");
}
