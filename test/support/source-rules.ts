/** The layers of `src`, from the ground up: a layer may import only from those before it. */
const LAYERS = [
  'model',
  'http',
  'registry',
  'places',
  'relay',
  'observe',
  'plan',
  'gitlab',
  'discovery',
  'apply',
  'library',
  'doctor',
  'report',
  'pipeline',
  'sandbox',
  'cli',
] as const;

const LINE_LIMIT = 400;
/** What comes from outside is parsed in one place, which bounds it. */
const JSON_READER = 'model/json.ts';
/** The one file that reads package.json, which is outside `src`. */
const PRODUCT = {path: 'model/product.ts', target: '../package.json'};
/** Packages that only one layer, or one file, may use. */
const OWNED: Readonly<Record<string, string>> = {
  undici: 'http/',
  commander: 'cli/',
  'cli-progress': 'cli/',
  // With its settings.
  zod: 'model/schema.ts',
};
/**
 * What the sandbox may import of the product as values: zod, the bounded parser of JSON, and the error that a command
 * prints. Of `model/` it may use types besides. Whatever decides (grammars, media types, limits, reading of manifests)
 * it has of its own: a mistake shared with the product would pass every test that runs against the sandbox.
 */
const SANDBOX_VALUES = new Set(['model/schema.ts', 'model/json.ts', 'model/error.ts']);
/** Layers of pure functions, and what they must do without. */
const PURE = new Set(['model', 'plan', 'pipeline']);
const IMPURE_MODULES =
  /^node:(?:fs|net|http|https|http2|tls|dns|dgram|child_process|worker_threads|timers|os|stream)\b/;
const IMPURE_NAMES =
  /\b(?:Date\.now|Math\.random|randomUUID|randomBytes|performance\.now|setTimeout|setInterval|setImmediate|fetch)\b|\bnew Date\(\)/;

/** A file of `src`; the path is relative to it, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface Import {
  /** As written. */
  readonly module: string;
  /** The file below `src` that it leads to; empty: a package or a module of Node's. */
  readonly target: string;
  /** The layer it leads to; undefined: a package or a module of Node's. */
  readonly layer: string | undefined;
  /** `import type` or `export type`: nothing of it is left at run time. */
  readonly isType: boolean;
}

/** What a file breaks, one sentence for each thing; none: all is well. */
export function violations(file: SourceFile): readonly string[] {
  const layer = layerOf(file.path);
  if (layer === undefined) return [`${file.path} is in no layer`];
  const code = codeOf(file.text);
  const found = importsOf(file).flatMap((used) => importViolations(file.path, layer, used));
  const lines = file.text.trimEnd().split('\n').length;
  if (lines > LINE_LIMIT) found.push(`has ${lines} lines`);
  if (/\bimport\(\s*[^'"\s]/.test(code)) found.push('imports a module whose name is computed');
  if (/\brequire\(/.test(code)) found.push('uses require');
  if (file.path !== JSON_READER && /\bJSON\s*\.\s*parse\b/.test(code))
    found.push('parses JSON itself');
  if (layer !== 'cli') {
    if (/(?<![\w.$])process\s*(?:\?\.|\.|\[)/.test(code)) found.push('uses process');
    if (/(?<![\w.$])console\s*(?:\?\.|\.|\[)/.test(code)) found.push('uses console');
  }
  const impure = PURE.has(layer) ? IMPURE_NAMES.exec(code)?.[0] : undefined;
  if (impure !== undefined) found.push(`is pure and uses ${impure}`);
  return found.map((what) => `${file.path} ${what}`);
}

function importViolations(path: string, layer: string, used: Import): string[] {
  const {module, layer: other} = used;
  if (module.startsWith('.')) {
    if (path === PRODUCT.path && used.target === PRODUCT.target) return [];
    if (other === undefined) return [`imports ${module}, which is in no layer`];
    if (other === layer) return [];
    if (!mayImport(layer, other)) return [`imports from ${other}: ${module}`];
    return layer === 'sandbox' && !mayShare(used)
      ? [`decides with the product's own code: ${module}`]
      : [];
  }
  const owner = OWNED[packageOf(module)];
  if (owner !== undefined && !path.startsWith(owner))
    return [`imports ${module}, which belongs to ${owner}`];
  if (layer !== 'cli' && module === 'node:process') return ['uses process'];
  if (layer !== 'cli' && module === 'node:console') return ['uses console'];
  return PURE.has(layer) && IMPURE_MODULES.test(module) ? [`is pure and imports ${module}`] : [];
}

function mayImport(layer: string, other: string): boolean {
  // GitLab's API is a client of its own: what it needs of a registry it is given through the model's ports.
  if (layer === 'gitlab' && other === 'registry') return false;
  return rank(other) < rank(layer);
}

/** Whether the sandbox and the product may both depend on this. */
function mayShare({layer, target, isType}: Import): boolean {
  return layer === 'model' && (isType || SANDBOX_VALUES.has(target));
}

function rank(layer: string): number {
  return (LAYERS as readonly string[]).indexOf(layer);
}

/** Every import of a file: static, of types, re-exports, dynamic. */
export function importsOf({path, text}: SourceFile): readonly Import[] {
  const code = codeOf(text);
  const statements = [
    // `import … from '…'` and `export … from '…'`; a name list may span lines, a string or `;` ends the statement.
    ...code.matchAll(
      /(?:^|[;}])\s*(?:import|export)\b(?<names>[^'";]*?)\bfrom\s*['"](?<module>[^'"]+)['"]/gm,
    ),
    ...code.matchAll(/(?:^|[;}])\s*import\s*['"](?<module>[^'"]+)['"]/gm),
    ...code.matchAll(/\bimport\(\s*['"](?<module>[^'"]+)['"]/g),
  ];
  return statements.map(({groups: {names = '', module = ''} = {}}) => {
    const target = resolve(path, module);
    return {module, target, layer: layerOf(target), isType: /^\s+type\s*[{*\w]/.test(names)};
  });
}

/** The code without its comments. Strings stay, since the names of modules are strings. */
function codeOf(text: string): string {
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[=(,:;!&|?{}[\n]\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;
  return text.replace(token, (part) => {
    if (part.startsWith('//') || part.startsWith('/*')) return ' ';
    // A message may speak of a process; only what looks like a module's name matters.
    return /^['"][\w@./:-]*['"]$/.test(part) || part.startsWith('`') ? part : "''";
  });
}

function layerOf(path: string): string | undefined {
  const [layer = '', file] = path.split('/');
  return file !== undefined && rank(layer) >= 0 ? layer : undefined;
}

function packageOf(module: string): string {
  const [first = '', second = ''] = module.split('/');
  return first.startsWith('@') ? `${first}/${second}` : first;
}

/** The path that a relative import leads to, below `src`; `..` that lead out of it stay. */
function resolve(from: string, module: string): string {
  if (!module.startsWith('.')) return '';
  const parts = from.split('/').slice(0, -1);
  for (const part of module.split('/')) {
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}
