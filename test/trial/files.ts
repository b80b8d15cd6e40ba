import {generateKeyPairSync, type KeyPairKeyObjectResult} from 'node:crypto';
import {link, mkdir, readFile, rm, symlink, truncate, writeFile} from 'node:fs/promises';
import {gzipSync} from 'node:zlib';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {identified} from '../support/plan-files.ts';
import {runProgram} from '../support/program.ts';
import {sha256} from '../support/push-image.ts';
import {Content} from './registry.ts';
import {type Case, expectEnd, type Trial} from './trial.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';
const LAYOUT = layoutDirectory('helm');

/** One header of a tar file (POSIX ustar); what is given replaces what is right. */
function header(fields: {
  name?: string;
  size?: string | Buffer;
  type?: string;
  link?: string;
  prefix?: string;
}): Buffer {
  const {name = 'file', size = '0', type = '0', link: linkname = '', prefix = ''} = fields;
  const block = Buffer.alloc(512);
  block.write(name, 0, 100, 'latin1');
  block.write('0000644\0' + '0000000\0'.repeat(2), 100, 'latin1');
  if (typeof size === 'string') block.write(size.padStart(11, '0'), 124, 12, 'latin1');
  else size.copy(block, 124);
  block.write('00000000000', 136, 12, 'latin1');
  block.write('        ', 148, 8, 'latin1');
  block.write(type, 156, 1, 'latin1');
  block.write(linkname, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 8, 'latin1');
  block.write(prefix, 345, 155, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return block;
}

function entry(name: string, content: Buffer | string, type = '0'): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([
    header({name, size: bytes.byteLength.toString(8), type}),
    bytes,
    Buffer.alloc((512 - (bytes.byteLength % 512)) % 512),
  ]);
}

const END = Buffer.alloc(1024);
const LAYOUT_FILE = entry('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
const base256 = (first: number, ...rest: number[]) =>
  Buffer.from([first, ...Array<number>(11 - rest.length).fill(0), ...rest]);
const EMPTY_INDEX = entry('index.json', '{"schemaVersion":2,"manifests":[]}');

/** Whole tar files. */
const TARS: Readonly<Record<string, () => Buffer>> = {
  'a size beyond the file': () =>
    Buffer.concat([LAYOUT_FILE, header({name: 'index.json', size: '77777777777'})]),
  'a negative size': () =>
    Buffer.concat([LAYOUT_FILE, header({name: 'index.json', size: base256(0xff, 0xff)}), END]),
  'a huge binary size': () =>
    Buffer.concat([
      LAYOUT_FILE,
      header({name: 'index.json', size: base256(0x80, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)}),
      END,
    ]),
  'a size that is no number': () =>
    Buffer.concat([LAYOUT_FILE, header({name: 'index.json', size: 'zzzzzzzzzzz'}), END]),
  'a huge pax header': () =>
    Buffer.concat([
      header({name: 'x', size: (256 * 2 ** 20).toString(8), type: 'x'}),
      Buffer.alloc(256 * 2 ** 20, 'a'),
      LAYOUT_FILE,
      END,
    ]),
  'a huge global pax header': () =>
    Buffer.concat([
      header({name: 'x', size: (64 * 2 ** 20).toString(8), type: 'g'}),
      Buffer.alloc(64 * 2 ** 20, 'a'),
      LAYOUT_FILE,
      END,
    ]),
  'a long name of 200 MiB': () =>
    Buffer.concat([
      header({name: '././@LongLink', size: (200 * 2 ** 20).toString(8), type: 'L'}),
      Buffer.alloc(200 * 2 ** 20, 'a'),
      LAYOUT_FILE,
      END,
    ]),
  'a long link of 200 MiB': () =>
    Buffer.concat([
      header({name: '././@LongLink', size: (200 * 2 ** 20).toString(8), type: 'K'}),
      Buffer.alloc(200 * 2 ** 20, 'a'),
      LAYOUT_FILE,
      END,
    ]),
  'a pax size of another kind': () =>
    Buffer.concat([entry('x', '21 size=-10000000000\n', 'x'), LAYOUT_FILE, EMPTY_INDEX, END]),
  'a sparse file': () =>
    Buffer.concat([LAYOUT_FILE, header({name: 'index.json', size: '0', type: 'S'}), END]),
  'a device': () => Buffer.concat([LAYOUT_FILE, header({name: 'index.json', type: '3'}), END]),
  'a pipe': () => Buffer.concat([LAYOUT_FILE, header({name: 'index.json', type: '6'}), END]),
  'a hard link out': () =>
    Buffer.concat([LAYOUT_FILE, header({name: 'index.json', type: '1', link: '/etc/passwd'}), END]),
  'links in a circle': () =>
    Buffer.concat([
      LAYOUT_FILE,
      header({name: 'index.json', type: '2', link: 'other'}),
      header({name: 'other', type: '2', link: 'index.json'}),
      END,
    ]),
  'names that go up': () =>
    Buffer.concat([
      entry('../../../../tmp/evil', 'x'),
      entry('/tmp/evil', 'x'),
      LAYOUT_FILE,
      EMPTY_INDEX,
      END,
    ]),
  'one name twice': () =>
    Buffer.concat([LAYOUT_FILE, EMPTY_INDEX, entry('index.json', '['), LAYOUT_FILE, END]),
  'names in other cases': () =>
    Buffer.concat([entry('OCI-LAYOUT', '{}'), entry('Index.json', '{}'), END]),
  'a million entries': () =>
    Buffer.concat([
      LAYOUT_FILE,
      ...Array.from({length: 300_000}, (_, at) => header({name: `blobs/sha256/${at}`})),
      EMPTY_INDEX,
      END,
    ]),
  'long names in each entry': () =>
    Buffer.concat([
      LAYOUT_FILE,
      ...Array.from({length: 60_000}, (_, at) =>
        Buffer.concat([
          entry('././@LongLink', `${'x'.repeat(4000)}${at}`, 'L'),
          header({name: 'x'}),
        ]),
      ),
      EMPTY_INDEX,
      END,
    ]),
  'a deep index': () =>
    Buffer.concat([LAYOUT_FILE, entry('index.json', '['.repeat(16 * 2 ** 20)), END]),
  'an index of 300 MiB': () =>
    Buffer.concat([LAYOUT_FILE, entry('index.json', Buffer.alloc(300 * 2 ** 20, ' ')), END]),
  'docker: a deep manifest.json': () =>
    Buffer.concat([entry('manifest.json', '['.repeat(2 ** 21)), END]),
  'docker: paths that go up': () =>
    Buffer.concat([
      entry(
        'manifest.json',
        '[{"Config":"../../etc/passwd","RepoTags":["a:b"],"Layers":["../../etc/shadow","/dev/zero"]}]',
      ),
      END,
    ]),
  'docker: a million layers': () =>
    Buffer.concat([
      entry('c.json', '{"rootfs":{"type":"layers","diff_ids":[]}}'),
      entry(
        'manifest.json',
        JSON.stringify([
          {Config: 'c.json', RepoTags: ['a:b'], Layers: Array<string>(1_000_000).fill('l')},
        ]),
      ),
      END,
    ]),
  'docker: a million tags': () =>
    Buffer.concat([
      entry('c.json', '{"rootfs":{"type":"layers","diff_ids":[]}}'),
      entry(
        'manifest.json',
        JSON.stringify([
          {
            Config: 'c.json',
            RepoTags: Array.from({length: 300_000}, (_, at) => `a:${at}`),
            Layers: [],
          },
        ]),
      ),
      END,
    ]),
  'docker: a layer that is a bomb': () => {
    const layer = gzipSync(gzipSync(Buffer.alloc(1024 * 2 ** 20)));
    const config = JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      rootfs: {type: 'layers', diff_ids: [sha256('x')]},
    });
    return Buffer.concat([
      entry('l.tar', layer),
      entry('c.json', config),
      entry('manifest.json', '[{"Config":"c.json","RepoTags":["a:b"],"Layers":["l.tar"]}]'),
      END,
    ]);
  },
  'a compressed bomb': () => gzipSync(Buffer.alloc(1500 * 2 ** 20)),
  'compressed twice': () => gzipSync(gzipSync(Buffer.concat([LAYOUT_FILE, EMPTY_INDEX, END]))),
  noise: () => Buffer.from(Array.from({length: 4096}, (_, at) => (at * 7919) % 251)),
  nothing: () => Buffer.alloc(0),
};

const archives: readonly Case[] = Object.entries(TARS).map(([name, make]) => ({
  group: 'archives',
  name,
  seconds: 90,
  run: async (trial) => {
    const file = await trial.plant(trial.path('a.tar'), make());
    for (const transport of ['oci-archive', 'docker-archive']) {
      expectEnd(
        await trial.transship(['copy', `${transport}:${file}:a:b`, `oci:${trial.path('out')}`]),
        [0, 1, 3, 64],
      );
      expectEnd(
        await trial.transship([
          'plan',
          'copy',
          `${transport}:${file}`,
          'oci:out2',
          '--progress',
          'json',
        ]),
        [0, 1, 2, 3, 64],
      );
    }
    expectEnd(
      await trial.transship(['copy', `oci:${LAYOUT}:latest`, `oci-archive:${file}:x`]),
      [0, 1, 3, 64],
    );
  },
}));

/** A layout on disk with this content and these tags. */
async function layout(
  trial: Trial,
  content: Content,
  tags: Readonly<Record<string, {digest: string}>>,
): Promise<string> {
  const directory = trial.path('layout');
  await mkdir(trial.path('layout', 'blobs', 'sha256'), {recursive: true});
  for (const [digest, bytes] of content.bytes)
    await writeFile(trial.path('layout', 'blobs', 'sha256', digest.slice(7)), bytes);
  await writeFile(trial.path('layout', 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const manifests = Object.entries(tags).map(([tag, one]) => ({
    ...one,
    annotations: {[REF_NAME]: tag},
  }));
  await writeFile(
    trial.path('layout', 'index.json'),
    JSON.stringify({schemaVersion: 2, manifests}),
  );
  return `oci:${directory}`;
}

/** Files in the place of others: what they are, and how they are made. */
const KINDS: Readonly<Record<string, (path: string, trial: Trial) => Promise<unknown>>> = {
  'a pipe': (path) => runProgram('mkfifo', [path]),
  'a directory': (path) => mkdir(path),
  '/dev/zero': (path) => symlink('/dev/zero', path),
  '/dev/null': (path) => symlink('/dev/null', path),
  '/dev/tty': (path) => symlink('/dev/tty', path),
  '/proc/self/mem': (path) => symlink('/proc/self/mem', path),
  '/proc/self/fd/0': (path) => symlink('/proc/self/fd/0', path),
  '/proc/kmsg': (path) => symlink('/proc/kmsg', path),
  'a link to itself': (path) => symlink(path, path),
  'a link to nowhere': (path) => symlink('/nonexistent/x', path),
  'a terabyte of nothing': async (path) => {
    await writeFile(path, '');
    await truncate(path, 2 ** 40);
  },
  zeros: (path) => writeFile(path, Buffer.alloc(1024)),
  'deep JSON': (path) => writeFile(path, '['.repeat(4_000_000)),
  'a long line': (path) => writeFile(path, '"'.padEnd(60_000_000, 'x')),
  'many values': (path) => writeFile(path, `[${'1,'.repeat(10_000_000)}1]`),
};

const COMMANDS: Readonly<Record<string, (file: string) => readonly string[]>> = {
  show: (file) => ['show', file],
  apply: (file) => ['apply', file],
  'the plan of refs': (file) => ['refs', file],
  'the plan of pipeline': (file) => ['pipeline', file],
  'the plan of status': (file) => ['status', file],
  'a journal': (file) => ['status', 'good.json', '--journal', file],
  'a journal to write': (file) => ['apply', 'good.json', '--journal', file],
  'an undo file': (file) => ['apply', 'delete.json', '--yes', '--undo', file],
  'an earlier plan': (file) => ['plan', 'm.yaml', '--since', file],
  'a migration file': (file) => ['plan', file],
  'a policy': (file) => ['plan', 'copy', `oci:${LAYOUT}`, 'oci:x', '--policy', file],
  'a token file': (file) => [
    'plan',
    'transfer',
    'a/b',
    '--to',
    'c/',
    '--gitlab',
    'http://127.0.0.1:1',
    '--donor',
    './d',
    '--token-file',
    file,
  ],
  'an auth file': (file) => ['copy', '127.0.0.1:1/a:b', 'oci:x', '--authfile', file],
  'a CA file': (file) => ['copy', 'r.invalid/a:b', 'oci:x', '--ca-file', file],
  'a verify key': (file) => ['apply', 'good.json', '--verify-key', file],
  'a sign key': (file) => [
    'plan',
    'copy',
    `oci:${LAYOUT}`,
    'oci:x',
    '--out',
    'signed.json',
    '--sign-key',
    file,
  ],
  'a list of repositories': (file) => ['inventory', '127.0.0.1:1', '--repositories', file],
  'an archive': (file) => ['copy', `oci-archive:${file}`, 'oci:x'],
  'a docker archive': (file) => ['copy', `docker-archive:${file}`, 'oci:x'],
  'an archive to write': (file) => ['copy', `oci:${LAYOUT}`, `oci-archive:${file}`],
  'a layout': (file) => ['copy', `oci:${file}`, 'oci:x'],
  'a layout to write': (file) => ['copy', `oci:${LAYOUT}`, `oci:${file}`],
  'a dir': (file) => ['copy', `dir:${file}`, 'oci:x'],
  'a dir to write': (file) => ['copy', `oci:${LAYOUT}:3.16.4`, `dir:${file}`],
  'a report': (file) => ['apply', 'good.json', '--junit', file],
  'a dotenv file': (file) => ['apply', 'good.json', '--dotenv', file],
  'a plan to write': (file) => ['plan', 'copy', `oci:${LAYOUT}`, 'oci:x', '--out', file],
  'a pipeline to write': (file) => ['pipeline', 'good.json', '--out', file],
  'a directory to scan': (file) => ['refs', 'good.json', '--scan', file],
  faults: (file) => ['sandbox', '--port', '0', '--faults', file],
  seed: (file) => ['sandbox', '--port', '0', '--gitlab', '--seed', file],
  'a seed of nothing': (file) => ['sandbox', '--port', '0', '--seed', file],
};

const kinds: readonly Case[] = Object.entries(COMMANDS).map(([command, args]) => ({
  group: 'kinds of files',
  name: command,
  // A pipe may deliver nothing, or take nothing, for a minute.
  seconds: 100,
  run: async (trial) => {
    const sandbox = trial.use(await startSandbox());
    for (const [name, plan] of [
      ['good', ['plan', 'copy', `oci:${LAYOUT}`, `oci:${trial.path('to')}`]],
      ['delete', ['plan', 'delete', `${sandbox.host}/a`, '--tag', '*']],
    ] as const) {
      if (name === 'delete') await trial.transship(['copy', `oci:${LAYOUT}`, `${sandbox.host}/a`]);
      await trial.transship([...plan, '--out', `${name}.json`]);
    }
    await trial.plant(
      trial.path('m.yaml'),
      `version: 1\nroutes: [{from: 'oci:${LAYOUT}', to: 'oci:to'}]\n`,
    );
    for (const [kind, make] of Object.entries(KINDS)) {
      const file = trial.path('file');
      await make(file, trial);
      try {
        const run = await trial.transship(args(file));
        expectEnd(run, [0, 1, 2, 3, 4, 64]);
      } catch (error) {
        throw new Error(`${kind}: ${(error as Error).message}`, {cause: error});
      } finally {
        await rm(file, {recursive: true, force: true});
        for (const more of ['.layout', '.tmp'])
          await rm(file + more, {recursive: true, force: true});
      }
    }
  },
}));

function pemPair({privateKey, publicKey}: KeyPairKeyObjectResult) {
  return {
    privateKey: privateKey.export({type: 'pkcs8', format: 'pem'}),
    publicKey: publicKey.export({type: 'spki', format: 'pem'}),
  };
}

const keys: readonly Case[] = [
  {
    group: 'keys and signatures',
    name: 'keys of other kinds',
    run: async (trial) => {
      const plan = ['plan', 'copy', `oci:${LAYOUT}`, `oci:${trial.path('to')}`, '--out', 'p.json'];
      expectEnd(await trial.transship(plan), 0);
      const pairs = {
        rsa: pemPair(generateKeyPairSync('rsa', {modulusLength: 2048})),
        ec: pemPair(generateKeyPairSync('ec', {namedCurve: 'P-256'})),
        x25519: pemPair(generateKeyPairSync('x25519')),
        ed448: pemPair(generateKeyPairSync('ed448')),
        dsa: pemPair(generateKeyPairSync('dsa', {modulusLength: 2048, divisorLength: 256})),
      };
      for (const [kind, {privateKey, publicKey}] of Object.entries(pairs)) {
        const [key, pub] = [
          await trial.plant(trial.path(`${kind}.key`), privateKey),
          await trial.plant(trial.path(`${kind}.pub`), publicKey),
        ];
        expectEnd(await trial.transship([...plan, '--sign-key', key]), 64);
        expectEnd(await trial.transship(['apply', 'p.json', '--verify-key', pub]), [3, 64]);
      }
    },
  },
  {
    group: 'keys and signatures',
    name: 'signatures stripped, of another plan, doubled, of another key',
    seconds: 60,
    run: async (trial) => {
      const [ours, theirs] = [
        pemPair(generateKeyPairSync('ed25519')),
        pemPair(generateKeyPairSync('ed25519')),
      ];
      await trial.plant(trial.path('ours.key'), ours.privateKey);
      await trial.plant(trial.path('theirs.key'), theirs.privateKey);
      await trial.plant(trial.path('ours.pub'), ours.publicKey);
      const make = async (to: string, file: string, key: string) => {
        expectEnd(
          await trial.transship([
            'plan',
            'copy',
            `oci:${LAYOUT}`,
            `oci:${trial.path(to)}`,
            '--out',
            file,
            '--sign-key',
            key,
          ]),
          0,
        );
        return JSON.parse(await readFile(trial.path(file), 'utf8')) as Record<string, unknown>;
      };
      const [good, other, forged] = [
        await make('to', 'good.json', 'ours.key'),
        await make('to2', 'other.json', 'ours.key'),
        await make('to', 'forged.json', 'theirs.key'),
      ];
      const {signature, ...bare} = good;
      const changed = identified({
        ...good,
        repositories: (good['repositories'] as string[]).map((name) => name.replace(/to$/, 'evil')),
      }) as Record<string, unknown>;
      const hex = String(signature);
      const plans: readonly (readonly [string, string])[] = [
        ['stripped', JSON.stringify(bare)],
        ['empty', JSON.stringify({...good, signature: ''})],
        ['null', JSON.stringify({...good, signature: null})],
        ['of another plan', JSON.stringify({...good, signature: other['signature']})],
        ['of another key', JSON.stringify(forged)],
        ['kept on a changed plan', JSON.stringify({...changed, signature})],
        [
          'kept on a changed plan with the old id',
          JSON.stringify({...changed, id: good['id'], signature}),
        ],
        ['a list', JSON.stringify({...good, signature: [signature]})],
        ['doubled in one', JSON.stringify({...good, signature: hex + hex})],
        [
          'twice, the good one first',
          JSON.stringify(good).replace(
            /\}$/,
            `,"signature":${JSON.stringify(forged['signature'])}}`,
          ),
        ],
        [
          'twice, the good one last',
          JSON.stringify(forged).replace(/\}$/, `,"signature":${JSON.stringify(signature)}}`),
        ],
        ['two plans in one', JSON.stringify(good) + JSON.stringify(changed)],
        [
          'with two ids',
          JSON.stringify(changed).replace(
            /\}$/,
            `,"id":${JSON.stringify(good['id'])},"signature":${JSON.stringify(signature)}}`,
          ),
        ],
      ];
      for (const [kind, text] of plans) {
        await trial.plant(trial.path('x.json'), text);
        for (const command of ['apply', 'verify', 'rollback']) {
          const run = await trial.transship([command, 'x.json', '--verify-key', 'ours.pub']);
          // What has the one good signature on the good content may pass.
          const isGood = kind === 'twice, the good one last' && command !== 'rollback';
          if (![3, 64].includes(run.code) && !(isGood && [0, 2].includes(run.code)))
            throw new Error(`${kind}, ${command}: exit ${run.code}\n${run.stdout}${run.stderr}`);
        }
      }
      expectEnd(
        await trial.transship([
          'apply',
          'good.json',
          '--verify-key',
          'ours.pub',
          '--plan-id',
          String(good['id']),
        ]),
        0,
      );
    },
  },
];

const places: readonly Case[] = [
  {
    group: 'layouts',
    name: 'other algorithms, cases, links, hard links',
    run: async (trial) => {
      const content = new Content();
      const image = content.image([content.layer('layer')]);
      const from = await layout(trial, content, {a: image});
      await mkdir(trial.path('layout', 'blobs', 'sha512'));
      await mkdir(trial.path('layout', 'blobs', 'SHA256'));
      await link(
        trial.path('layout', 'blobs', 'sha256', image.digest.slice(7)),
        trial.path('layout', 'blobs', 'SHA256', image.digest.slice(7).toUpperCase()),
      );
      expectEnd(await trial.transship(['copy', from, 'oci:out']), 0);
      for (const digest of [
        `SHA256:${image.digest.slice(7)}`,
        image.digest.toUpperCase(),
        `sha512:${image.digest.slice(7)}`,
        `sha256:../../../etc/passwd`,
        `sha256:${'a'.repeat(63)}/`,
        `md5:d41d8cd98f00b204e9800998ecf8427e`,
        `sha256:${'0'.repeat(64)}`,
      ]) {
        await writeFile(
          trial.path('layout', 'index.json'),
          JSON.stringify({
            schemaVersion: 2,
            manifests: [{...image, digest, annotations: {[REF_NAME]: 'a'}}],
          }),
        );
        expectEnd(await trial.transship(['copy', from, 'oci:out2']), [1, 3, 64]);
      }
    },
  },
];

export const files: readonly Case[] = [...archives, ...kinds, ...keys, ...places];
