import {readFile} from 'node:fs/promises';
import {dirname, relative, resolve} from 'node:path';
import {isolatedDeclarationSync} from 'rolldown/experimental';
import {parseSync, Visitor} from 'rolldown/utils';
import type {Plugin} from 'rolldown';
import {fileURLToPath} from 'node:url';

/** The library's exports. */
export const LIBRARY = 'src/library/index.ts';

/**
 * What consumers of the library resolve besides `index.cjs`: its types, once for each module system, and an ES module
 * that exports the very same objects, so that `instanceof TransshipError` holds whoever loaded what.
 */
export function libraryEntry(): Plugin {
  return {
    name: 'library-entry',
    async generateBundle(_options, bundle) {
      const entry = bundle['index.cjs'];
      if (entry?.type !== 'chunk') throw new Error('there is no index.cjs');
      const source = new URL(`../${LIBRARY}`, import.meta.url);
      const types = await rolledUpDeclarations(fileURLToPath(source));
      const names = entry.exports.toSorted().map((name) => `  ${name},\n`);
      const emit = (fileName: string, text: string) =>
        this.emitFile({type: 'asset', fileName, source: text});
      emit('index.mjs', `export {\n${names.join('')}} from './index.cjs';\n`);
      emit('index.d.mts', types);
      emit('index.d.cts', types);
    },
  };
}

type Statement = ReturnType<typeof parseSync>['program']['body'][number];

/** A type, class or function, as it is declared in one module. */
interface Declaration {
  readonly name: string;
  /** With its doc comment, without `export`. */
  readonly text: string;
  /** Names that it mentions. */
  readonly mentions: ReadonlySet<string>;
}

/** The declarations of one module, and where its other names come from. */
interface Module {
  readonly file: string;
  readonly declared: ReadonlyMap<string, Declaration>;
  /** By the name that the module uses. */
  readonly imported: ReadonlyMap<string, {readonly from: string; readonly name: string}>;
  /** Names that it exports from other modules. */
  readonly reexported: ReadonlyMap<string, string>;
}

/**
 * One declaration file for all that a module exports: of other modules only what these types mention, without what is
 * `@internal`. The sources name each type once, so declarations are not renamed.
 * @param entry a file whose exports are all re-exports
 * @throws Error for a type of another package, and for two declarations with one name
 */
async function rolledUpDeclarations(entry: string): Promise<string> {
  const modules = new Map<string, Promise<Module>>();
  const moduleOf = (file: string): Promise<Module> => {
    const module = modules.get(file) ?? readModule(file);
    modules.set(file, module);
    return module;
  };
  const taken = new Map<string, {readonly file: string; readonly text: string}>();
  const take = async (name: string, file: string): Promise<void> => {
    const {declared, imported} = await moduleOf(file);
    const elsewhere = imported.get(name);
    if (elsewhere !== undefined) {
      if (!elsewhere.from.startsWith('.') || elsewhere.name !== name)
        throw new Error(`${file}: ${name} of ${elsewhere.from} would be part of the public types`);
      return await take(name, resolve(dirname(file), elsewhere.from));
    }
    const declaration = declared.get(name);
    // Of the language or of Node.
    if (declaration === undefined) return;
    const other = taken.get(name);
    if (other !== undefined && other.file !== file)
      throw new Error(`${name} is declared in ${other.file} and in ${file}`);
    if (other !== undefined) return;
    taken.set(name, {file, text: declaration.text});
    for (const mention of declaration.mentions) await take(mention, file);
  };
  const {reexported} = await moduleOf(entry);
  for (const [name, from] of reexported) await take(name, resolve(dirname(entry), from));
  const missing = [...reexported.keys()].filter((name) => !taken.has(name));
  if (missing.length > 0) throw new Error(`${entry}: not found: ${missing.join(', ')}`);
  return [
    '/// <reference lib="esnext.disposable" />',
    ...[...taken.values()].map(({text}) => text),
    `export {\n${[...reexported.keys()].map((name) => `  ${name},\n`).join('')}};\n`,
  ].join('\n\n');
}

async function readModule(file: string): Promise<Module> {
  const source = await readFile(file, 'utf8');
  const {code, errors} = isolatedDeclarationSync(file, source, {stripInternal: true});
  const [error] = errors;
  if (error !== undefined) throw new Error(`${relative('.', file)}: ${error.message}`);
  const {program, comments} = parseSync('module.d.ts', code);
  const declared = new Map<string, Declaration>();
  const imported = new Map<string, {from: string; name: string}>();
  const reexported = new Map<string, string>();
  let end = 0;
  for (const statement of program.body) {
    const comment = comments.findLast((one) => one.start >= end && one.end <= statement.start);
    end = statement.end;
    if (statement.type === 'ImportDeclaration') {
      for (const {local, ...specifier} of statement.specifiers) {
        const name = specifier.type === 'ImportSpecifier' ? nameOf(specifier.imported) : '*';
        imported.set(local.name, {from: statement.source.value, name});
      }
    } else if (statement.type === 'ExportNamedDeclaration' && statement.source !== null) {
      for (const {exported} of statement.specifiers)
        reexported.set(nameOf(exported), statement.source.value);
    } else {
      const declaration = declarationIn(statement, code);
      if (declaration === undefined) continue;
      if (declared.has(declaration.name))
        throw new Error(`${relative('.', file)}: ${declaration.name} is declared twice`);
      const text = comment === undefined ? '' : `${code.slice(comment.start, comment.end)}\n`;
      declared.set(declaration.name, {...declaration, text: text + declaration.text});
    }
  }
  return {file, declared, imported, reexported};
}

function declarationIn(statement: Statement, code: string): Declaration | undefined {
  const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
  if (node === null) return undefined;
  const named =
    node.type === 'VariableDeclaration'
      ? node.declarations[0]?.id
      : 'id' in node && node.id !== null
        ? node.id
        : undefined;
  if (named === undefined || named.type !== 'Identifier') return undefined;
  const mentions = new Set<string>();
  new Visitor({Identifier: ({name}) => void mentions.add(name)}).visit({
    ...parseSync('module.d.ts', '').program,
    body: [statement],
  });
  return {name: named.name, text: code.slice(node.start, node.end), mentions};
}

function nameOf(name: {readonly name: string} | {readonly value: string}): string {
  return 'name' in name ? name.name : name.value;
}
