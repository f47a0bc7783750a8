// The code of a page of the docs, as modules that import one another and the packages beside the tests.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const ts = require("typescript");
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const STATIC = join(ROOT, "gateway", "static");
const BLOCK = /^```(jsx?)\n\/\/ (.+)\n([^]*?)^```$/gm;

/** `[name, text]` of each block that begins with its name. "before: x.js" becomes before/x.js. */
export function snippetsOf(page) {
  const text = readFileSync(join(ROOT, "docs", page), "utf8");
  return [...text.matchAll(BLOCK)].map(([, , name, code]) => [name.replace(/^(\w+): /, "$1/"), code]);
}

/** Writes them into a folder of their own, with `node_modules` that has this client; gives what is there. */
export function writeProject(snippets) {
  const root = mkdtempSync(join(tmpdir(), "tidegate-docs-"));
  const modules = join(root, "node_modules");
  mkdirSync(modules);
  const packages = dirname(dirname(require.resolve("react/package.json")));
  readdirSync(packages)
    .filter((name) => !name.startsWith(".") && name !== "tidegate")
    .forEach((name) => symlinkSync(join(packages, name), join(modules, name)));
  symlinkSync(STATIC, join(modules, "tidegate"));
  writeFileSync(join(root, "package.json"), '{"type": "module"}');
  for (const [name, code] of snippets) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), fromPackage(code));
  }
  return root;
}

// Where a page has no bundler, the gateway's address is what a package's name is elsewhere.
const fromPackage = (code) => code.replaceAll('"/static/tidegate.js"', '"tidegate"');

/** What the compiler has to say of them, as JavaScript with the client's types. */
export function typeErrors(root, names) {
  const options = {
    ...{ allowJs: true, checkJs: true, noEmit: true, skipLibCheck: true, jsx: ts.JsxEmit.ReactJSX, preserveSymlinks: true },
    ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
    types: [],
  };
  const program = ts.createProgram(names.map((name) => join(root, name)), options);
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file === undefined ? "" : file.getLineAndCharacterOfPosition(start).line + 1;
    return `${file?.fileName}:${line} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
}

/** Snippets as modules that run, where JSX has become calls; gives what imports one of them by its name. */
export function build(snippets) {
  const plain = (name) => name.replace(/\.jsx$/, ".js");
  const compilerOptions = { jsx: ts.JsxEmit.ReactJSX, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const built = snippets.map(([name, code]) => {
    const { outputText } = ts.transpileModule(code, { compilerOptions });
    return [plain(name), outputText.replaceAll('.jsx"', '.js"')];
  });
  const root = writeProject(built);
  return (name) => import(pathToFileURL(join(root, plain(name))));
}
