import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';

/** The layouts in `fixtures/layouts`; what each holds is told in `fixtures/README.md`. */
export const LAYOUTS = [
  'attested',
  'attested-buildkit',
  'busybox',
  'busybox-docker',
  'foreign',
  'helm',
  'layered',
  'nested',
  'odd',
  'referrers',
  'signed',
  'sparse',
  'zstd',
] as const;

export type LayoutName = (typeof LAYOUTS)[number];

/** A path below `fixtures/`. */
export function fixture(path: string): string {
  return fileURLToPath(new URL(`../../fixtures/${path}`, import.meta.url));
}

export function layoutDirectory(name: LayoutName): string {
  return fixture(`layouts/${name}`);
}

interface CorpusDescriptor {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
}

/** What one layout holds, found by other means than the code under test. */
export interface CorpusLayout {
  readonly tags: Readonly<Record<string, CorpusDescriptor>>;
  readonly manifests: Readonly<
    Record<string, {readonly size: number; readonly mediaType: string; readonly subject?: string}>
  >;
  readonly blobs: Readonly<Record<string, {readonly size: number; readonly absent?: boolean}>>;
  /** Which tags a registry accepts, by the name of its configuration file in `fixtures/registries`. */
  readonly registries: Readonly<
    Record<
      string,
      {
        readonly accepted: readonly string[] | 'all';
        readonly refused?: Readonly<Record<string, {readonly http: number; readonly code: string}>>;
      }
    >
  >;
}

export async function readCorpus(): Promise<Readonly<Record<LayoutName, CorpusLayout>>> {
  const corpus = JSON.parse(await readFile(fixture('corpus.json'), 'utf8')) as {
    readonly layouts: Record<LayoutName, CorpusLayout>;
  };
  return corpus.layouts;
}
