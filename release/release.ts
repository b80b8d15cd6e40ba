import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {run} from './program.ts';

/** The directory of the project. */
export const PROJECT = fileURLToPath(new URL('../', import.meta.url));

/** What is released, as all parts need to know it. */
export interface Release {
  /** Semantic Versioning. */
  readonly version: string;
  /** Of the commit, in full. */
  readonly revision: string;
  /**
   * The time that all artefacts carry, with a resolution of seconds: the commit's, or SOURCE_DATE_EPOCH
   * (reproducible-builds.org). So the same commit gives the same bytes.
   */
  readonly created: Date;
  readonly product: Product;
  /** Where the artefacts go. */
  readonly output: string;
  /** For what is needed on the way to them. */
  readonly scratch: string;
}

/** What package.json says about the project. */
export interface Product {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly author: string;
  readonly homepage: string;
}

/** A platform as Node names it. */
export interface Target {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
}

/** The platform of this machine. */
export const THIS_MACHINE: Target = {platform: process.platform, arch: process.arch};

export async function describeRelease(output: string, scratch: string): Promise<Release> {
  const product = await readProduct();
  const revision = (await run('git', ['rev-parse', 'HEAD'], {cwd: PROJECT})).trim();
  return {
    version: product.version,
    revision,
    created: await commitTime(),
    product,
    output,
    scratch,
  };
}

export async function readProduct(): Promise<Product> {
  return JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as Product;
}

/** The time of the commit that is built, or SOURCE_DATE_EPOCH; outside of a repository, the time of package.json. */
export async function commitTime(): Promise<Date> {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given !== undefined) return new Date(Number(given) * 1000);
  try {
    const seconds = await run('git', ['log', '-1', '--format=%ct'], {cwd: PROJECT});
    return new Date(Number(seconds) * 1000);
  } catch {
    return (await stat(join(PROJECT, 'package.json'))).mtime;
  }
}

/** What the files of an executable begin with: `transship-1.2.3-linux-x64`. */
export function executableName({product, version}: Release, {platform, arch}: Target): string {
  return `${product.name}-${version}-${platform === 'win32' ? 'windows' : platform}-${arch}`;
}

export function packageFile({product, version}: Release): string {
  return `${product.name}-${version}.tgz`;
}
