import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

/**
 * Layouts as the tests read them: plain files and JSON, by none of the code under test.
 */
export interface LayoutEntry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface LayoutManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
  /** Blobs that the layout has, each once. */
  readonly blobs: readonly string[];
}

const REF_NAME = 'org.opencontainers.image.ref.name';
const MANIFEST_TYPE =
  /\.(?:image\.(?:index|manifest)|distribution\.manifest(?:\.list)?|artifact\.manifest)\.v\d\+\w+$/;

export class LayoutFiles {
  readonly entries: readonly LayoutEntry[];
  readonly #directory: string;

  private constructor(directory: string, entries: readonly LayoutEntry[]) {
    this.#directory = directory;
    this.entries = entries;
  }

  static async open(directory: string): Promise<LayoutFiles> {
    const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')) as {
      manifests: LayoutEntry[];
    };
    return new LayoutFiles(directory, index.manifests);
  }

  /** The file of a blob or manifest; undefined: the layout has none. */
  async read(digest: string): Promise<Buffer | undefined> {
    const [algorithm = '', hex = ''] = digest.split(':');
    try {
      return await readFile(join(this.#directory, 'blobs', algorithm, hex));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The manifest and all below it that the layout has, children first, each once. */
  async walk(root: LayoutEntry): Promise<readonly LayoutManifest[]> {
    const found = new Map<string, LayoutManifest>();
    const visit = async (entry: LayoutEntry): Promise<void> => {
      const bytes = found.has(entry.digest) ? undefined : await this.read(entry.digest);
      if (bytes === undefined) return;
      const body = JSON.parse(bytes.toString()) as Record<string, LayoutEntry[] | undefined> & {
        config?: LayoutEntry;
      };
      const listed = body['manifests'] ?? [];
      for (const child of listed) if (isManifest(child)) await visit(child);
      const blobs = [
        ...(body.config === undefined ? [] : [body.config]),
        ...(body['layers'] ?? []),
        ...(body['blobs'] ?? []),
        ...listed.filter((child) => !isManifest(child)),
      ];
      const stored: string[] = [];
      for (const digest of new Set(blobs.map((blob) => blob.digest)))
        if ((await this.read(digest)) !== undefined) stored.push(digest);
      found.set(entry.digest, {
        digest: entry.digest,
        mediaType: entry.mediaType,
        bytes,
        blobs: stored,
      });
    };
    await visit(root);
    return [...found.values()];
  }
}

export function tagOf(entry: LayoutEntry): string | undefined {
  return entry.annotations?.[REF_NAME];
}

export function isDigestOf(digest: string, bytes: Uint8Array): boolean {
  const [algorithm = ''] = digest.split(':');
  return digest === `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

function isManifest(entry: LayoutEntry): boolean {
  return MANIFEST_TYPE.test(entry.mediaType);
}
