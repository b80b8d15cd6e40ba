import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {defineConfig, type Plugin} from 'rolldown';
import {rolledUpDeclarations} from './build/declarations.ts';

/** The library's exports. */
const LIBRARY = 'src/library/index.ts';

/**
 * The program in a few files for each command, libraries included: Node finds, reads and links some 330 modules in
 * 0.34 s and these in 0.11 s, which counts where there is nothing to do.
 */
export default defineConfig({
  input: {'cli/main': 'src/cli/main.ts', index: LIBRARY},
  platform: 'node',
  transform: {target: 'node22.19'},
  plugins: [thirdPartyNotices('THIRD-PARTY-NOTICES.txt'), libraryEntry()],
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

/**
 * What consumers of the library resolve besides `index.cjs`: its types, once for each module system, and an ES module
 * that exports the very same objects, so that `instanceof TransshipError` holds whoever loaded what.
 */
function libraryEntry(): Plugin {
  return {
    name: 'library-entry',
    async generateBundle(_options, bundle) {
      const entry = bundle['index.cjs'];
      if (entry?.type !== 'chunk') throw new Error('there is no index.cjs');
      const types = await rolledUpDeclarations(fileURLToPath(new URL(LIBRARY, import.meta.url)));
      const names = entry.exports.toSorted().map((name) => `  ${name},\n`);
      const emit = (fileName: string, source: string) =>
        this.emitFile({type: 'asset', fileName, source});
      emit('index.mjs', `export {\n${names.join('')}} from './index.cjs';\n`);
      emit('index.d.mts', types);
      emit('index.d.cts', types);
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
