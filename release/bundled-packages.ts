import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Plugin} from 'rolldown';

/** A library whose code is in a bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  /** The text of its licence, which asks to be passed on. */
  readonly licenseText: string;
  readonly description: string;
  /** Names of the packages that it needs, in the bundle or not. */
  readonly needs: readonly string[];
}

interface Described {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly description?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** The packages that modules belong to, by name, each once. @throws Error for a package without a licence to pass on */
async function bundledPackages(moduleIds: Iterable<string>): Promise<readonly BundledPackage[]> {
  const directories = new Set([...moduleIds].flatMap((id) => packageDirectory(id) ?? []));
  return await Promise.all([...directories].toSorted().map(readPackage));
}

/** The directory of the package that a module belongs to; undefined: it is ours. */
function packageDirectory(id: string): string | undefined {
  return /^.*[/\\]node_modules[/\\](?:@[^/\\]+[/\\])?[^/\\]+(?=[/\\])/.exec(id)?.[0];
}

/** Reads the package in a directory. @throws Error where it has no licence to pass on */
export async function readPackage(directory: string): Promise<BundledPackage> {
  const {name, version, license, description, dependencies} = JSON.parse(
    await readFile(join(directory, 'package.json'), 'utf8'),
  ) as Described;
  const file = (await readdir(directory)).find((each) => /^licen[cs]e/i.test(each));
  if (file === undefined) throw new Error(`${name} has no licence to pass on`);
  return {
    name,
    version,
    license,
    licenseText: (await readFile(join(directory, file), 'utf8')).trim(),
    description: description ?? '',
    needs: Object.keys(dependencies ?? {}),
  };
}

/** A text with the licences of all packages. */
export function noticesOf(packages: readonly BundledPackage[]): string {
  return packages
    .map(({name, version, license, licenseText}) =>
      [`${name} ${version} (${license})`, licenseText, ''].join('\n\n').replace(/\n+$/, '\n'),
    )
    .join('\n\n');
}

/** Emits the licences of the libraries in the bundle as a file beside it. */
export function thirdPartyNotices(fileName: string): Plugin {
  return {
    name: 'third-party-notices',
    async generateBundle() {
      const packages = await bundledPackages(this.getModuleIds());
      this.emitFile({type: 'asset', fileName, source: noticesOf(packages)});
    },
  };
}

/** Adds the libraries in the bundle to a list. */
export function packagesInto(list: BundledPackage[]): Plugin {
  return {
    name: 'bundled-packages',
    async generateBundle() {
      list.push(...(await bundledPackages(this.getModuleIds())));
    },
  };
}
