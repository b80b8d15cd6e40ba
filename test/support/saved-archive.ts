import {createWriteStream} from 'node:fs';
import {pipeline} from 'node:stream/promises';
import {pack} from 'tar-stream';
import {sha256} from './push-image.ts';

/** An entry of a tar file: content, or where a link leads. */
export type TarContent =
  | Uint8Array
  | string
  | {readonly symlink: string}
  | {readonly hardlink: string};

/** Writes a tar file with these entries, in their order. */
export async function writeTar(
  file: string,
  entries: readonly (readonly [name: string, content: TarContent])[],
): Promise<void> {
  const archive = pack();
  for (const [name, content] of entries) {
    if (typeof content === 'string') archive.entry({name}, content);
    else if (content instanceof Uint8Array) archive.entry({name}, Buffer.from(content));
    else if ('symlink' in content)
      archive.entry({name, type: 'symlink', linkname: content.symlink});
    else archive.entry({name, type: 'link', linkname: content.hardlink});
  }
  archive.finalize();
  await pipeline(archive, createWriteStream(file));
}

/** The config of an image with these layers, which are not compressed. */
export function configOf(
  layers: readonly Uint8Array[],
  more: Record<string, unknown> = {},
): string {
  return JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    ...more,
    rootfs: {type: 'layers', diff_ids: layers.map(sha256)},
  });
}
