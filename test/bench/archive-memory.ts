import {spawn} from 'node:child_process';
import {createHash, randomFillSync} from 'node:crypto';
import {mkdir, mkdtemp, open, rename, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

/*
 * How much memory an archive takes: a layout with one layer of so many GiB is copied into an archive in parts, and out
 * of it. Run: node test/bench/archive-memory.ts [GiB] (default 4); needs four times as much disk.
 */

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const PIECE = 8 * 1024 * 1024;

async function largeLayout(directory: string, bytes: number): Promise<void> {
  const blobs = join(directory, 'blobs', 'sha256');
  await mkdir(blobs, {recursive: true});
  const hash = createHash('sha256');
  {
    await using file = await open(join(blobs, 'layer'), 'wx');
    const piece = Buffer.alloc(PIECE);
    randomFillSync(piece);
    for (let done = 0; done < bytes; done += PIECE) {
      piece.writeDoubleBE(done, 0);
      hash.update(piece);
      await file.write(piece);
    }
  }
  const layer = hash.digest('hex');
  await rename(join(blobs, 'layer'), join(blobs, layer));
  const put = async (text: string) => {
    const digest = createHash('sha256').update(text).digest('hex');
    await writeFile(join(blobs, digest), text);
    return {digest: `sha256:${digest}`, size: Buffer.byteLength(text)};
  };
  const oci = 'application/vnd.oci.image';
  const config = await put(JSON.stringify({architecture: 'amd64', os: 'linux'}));
  const manifest = await put(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: {mediaType: `${oci}.config.v1+json`, ...config},
      layers: [{mediaType: `${oci}.layer.v1.tar`, digest: `sha256:${layer}`, size: bytes}],
    }),
  );
  const annotations = {'org.opencontainers.image.ref.name': 'x'};
  const entry = {mediaType: `${oci}.manifest.v1+json`, ...manifest, annotations};
  await writeFile(
    join(directory, 'index.json'),
    JSON.stringify({schemaVersion: 2, manifests: [entry]}),
  );
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

/** Runs a copy; its peak of resident memory in MiB, and seconds. */
async function measured(args: readonly string[]): Promise<{mib: number; seconds: number}> {
  const began = performance.now();
  const probe = `process.on('exit', () => process.stderr.write('\\npeak ' + process.resourceUsage().maxRSS + '\\n'));`;
  const child = spawn(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(probe)}`, MAIN, ...args],
    {stdio: ['ignore', 'ignore', 'pipe']},
  );
  let stderr = '';
  for await (const text of child.stderr) stderr += String(text);
  const peak = /peak (\d+)/.exec(stderr)?.[1];
  if (peak === undefined || stderr.includes('error:')) throw new Error(stderr);
  return {mib: Math.round(Number(peak) / 1024), seconds: (performance.now() - began) / 1000};
}

const gib = Number(process.argv[2] ?? 4);
const directory = await mkdtemp(join(tmpdir(), 'transship-archive-memory-'));
try {
  await largeLayout(join(directory, 'in'), gib * 1024 ** 3);
  const archive = `oci-archive:${join(directory, 'out.tar')}`;
  const quiet = ['--progress', 'none'];
  const copies: readonly (readonly [string, readonly string[]])[] = [
    [
      'into 1 GiB parts',
      [`oci:${join(directory, 'in')}:x`, `${archive}:x`, '--archive-size', '1GiB'],
    ],
    ['out of the parts', [`${archive}:x`, `oci:${join(directory, 'back')}:x`]],
  ];
  for (const [what, args] of copies) {
    const {mib, seconds} = await measured(['copy', ...args, ...quiet]);
    process.stdout.write(`${gib} GiB ${what}: ${mib} MiB at most, ${seconds.toFixed(1)} s\n`);
  }
} finally {
  await rm(directory, {recursive: true, force: true});
}
