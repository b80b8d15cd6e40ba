import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {defineConfig, type Plugin} from 'rolldown';

/**
 * The program in a few files for each command, libraries included: Node finds, reads and links some 330 modules in
 * 0.34 s and these in 0.11 s, which counts where there is nothing to do.
 */
export default defineConfig({
  input: {'cli/main': 'src/cli/main.ts'},
  platform: 'node',
  // Node's own build of undici says the same, to be without the second parser.
  transform: {target: 'node22.19', define: {esbuildDetection: 'true'}},
  plugins: [partsOfUndici(), thirdPartyNotices('THIRD-PARTY-NOTICES.txt')],
  output: {
    dir: 'dist',
    cleanDir: true,
    // An ES module that imports one of Node's makes Node list all that this exports, and load what stands behind it,
    // which takes 10 ms.
    format: 'cjs',
    strict: true,
    entryFileNames: '[name].cjs',
    chunkFileNames: 'chunks/[name]-[hash].cjs',
  },
});

/** Parts of undici that no request of ours comes to: HTTP/2 is turned off, and no body is a form or a web stream. */
const UNUSED = /undici\/lib\/(?:dispatcher\/client-h2\.js|web\/)/;

/**
 * Undici's index.js, which is left out, gives its dispatchers the methods of its API. `ProxyAgent` asks for a tunnel with
 * one of them.
 */
const WITH_CONNECT = `
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import connect from 'undici/lib/api/api-connect.js';
Dispatcher.prototype.connect = connect;
`;

/**
 * What http/ uses of undici, which is little where there is no proxy: CommonJS cannot be shaken by a bundler, and would be
 * loaded as a whole.
 */
function partsOfUndici(): Plugin {
  const common = {errors: 'core/errors.js'};
  const proxy = {ProxyAgent: 'dispatcher/proxy-agent.js'};
  const modules: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'undici-parts': common,
    'undici-proxy-agent': proxy,
  };
  return {
    name: 'parts-of-undici',
    resolveId: (source, importer) => {
      if (source !== 'undici') return null;
      return importer?.endsWith('/proxy-agent.ts') ? 'undici-proxy-agent' : 'undici-parts';
    },
    load: (module) => {
      if (UNUSED.test(module)) return 'module.exports = {};';
      const exported = Object.entries(modules[module] ?? {});
      if (exported.length === 0) return null;
      const exports = exported.map(
        ([name, file]) => `export {default as ${name}} from 'undici/lib/${file}';`,
      );
      return [module === 'undici-proxy-agent' ? WITH_CONNECT : '', ...exports].join('\n');
    },
  };
}

/** The licences of the libraries in the bundle ask to be passed on with them. */
function thirdPartyNotices(fileName: string): Plugin {
  return {
    name: 'third-party-notices',
    async generateBundle() {
      const packages = new Set([...this.getModuleIds()].flatMap((id) => packageOf(id) ?? []));
      const notices = await Promise.all([...packages].toSorted().map(noticeOf));
      this.emitFile({type: 'asset', fileName, source: notices.join('\n\n')});
    },
  };
}

/** The folder of the package that a module belongs to; undefined: it is ours. */
function packageOf(id: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id)?.[0];
}

async function noticeOf(folder: string): Promise<string> {
  const {name, version, license} = JSON.parse(
    await readFile(join(folder, 'package.json'), 'utf8'),
  ) as Readonly<Record<'name' | 'version' | 'license', string>>;
  const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
  if (file === undefined) throw new Error(`${name} has no licence to pass on`);
  const text = await readFile(join(folder, file), 'utf8');
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}
