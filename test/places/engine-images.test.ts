import {createServer, type Server} from 'node:http';
import {once} from 'node:events';
import {mkdir, readdir, readFile, symlink} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {needTool} from '../support/debian-tool.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {LayoutFiles, tagOf} from '../support/layout-files.ts';
import {type Podman, startPodman} from '../support/podman.ts';
import {sha256} from '../support/push-image.ts';
import {configOf, writeTar} from '../support/saved-archive.ts';
import {runCli} from '../support/cli.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const NAME = 'example.com/team/app:1';

let podman: Podman;
let host: string;
let id: string;

beforeAll(async () => {
  podman = await startPodman();
  const source = `oci:${layoutDirectory('busybox')}:1.35-amd64`;
  id = (await podman.run('pull', '-q', source)).stdout.trim();
  await podman.run('tag', id, NAME, 'example.com/team/app:latest');
  host = await podman.serve();
});
afterAll(async () => {
  await podman[Symbol.asyncDispose]();
});

interface Found {
  readonly name: string | undefined;
  readonly digest: string;
  readonly config: string;
}

async function imagesIn(directory: string): Promise<readonly Found[]> {
  const files = await LayoutFiles.open(directory);
  return await Promise.all(
    files.entries.map(async (entry) => {
      const bytes = await files.read(entry.digest);
      const {config} = JSON.parse(String(bytes)) as {config: {digest: string}};
      return {name: tagOf(entry), digest: entry.digest, config: config.digest};
    }),
  );
}

describe('docker-daemon:', () => {
  test('reads an image by its name or id, and leaves nothing behind', async () => {
    await using temp = await tempDirectory();
    await mkdir(temp.join('tmp'));
    const env = {DOCKER_HOST: host, TMPDIR: temp.join('tmp')};
    for (const [at, ref] of [NAME, 'example.com/team/app', `sha256:${id}`].entries()) {
      const to = `oci:${temp.join('out')}:x${at}`;
      const result = await runCli(['copy', `docker-daemon:${ref}`, to], {env});
      expect(result).toMatchObject({code: 0});
    }
    const found = await imagesIn(temp.join('out'));
    expect(found.map(({name, config}) => [name, config])).toEqual(
      ['x0', 'x1', 'x2'].map((name) => [name, `sha256:${id}`]),
    );
    expect(new Set(found.map(({digest}) => digest)).size).toBe(1);
    expect(await readdir(temp.join('tmp'))).toEqual([]);
  });

  test('has a plan that names the image as it was asked for, and holds', async () => {
    await using temp = await tempDirectory();
    const env = {DOCKER_HOST: host};
    const [plan, to] = [temp.join('p.json'), `dir:${temp.join('out')}`];
    const args = ['plan', 'copy', `docker-daemon:${NAME}`, to, '--out', plan];
    const {stdout} = await transship(args, {env});
    expect(stdout).toMatch(
      /docker-daemon:example\.com\/team\/app:1 {2}new digest: the daemon stores no manifests/,
    );
    expect(await transship(['apply', plan], {env})).toMatchObject({code: 0});
    expect(await transship(['verify', plan], {env})).toMatchObject({code: 0});
  });

  test('says that an image is not there', async () => {
    const args = ['copy', 'docker-daemon:nowhere:1', 'oci:x:x'];
    const told = toldError(await transship(args, {env: {DOCKER_HOST: host}}));
    expect(told).toMatchObject({code: 'TAG_NOT_FOUND', exit: 1, side: 'the source'});
    expect(told.message).toContain('nowhere:1');
  });

  test.each([
    ['unix:///nowhere/docker.sock', 'CONNECTION_FAILED', 'DOCKER_HOST'],
    ['tcp://127.0.0.1:1', 'CONNECTION_FAILED', 'DOCKER_HOST'],
    ['ssh://ada@build.example', 'TRANSPORT_UNSUPPORTED', 'ssh -N -L'],
    ['npipe:////./pipe/docker_engine', 'TRANSPORT_UNSUPPORTED', 'DOCKER_HOST'],
    ['nonsense', 'TRANSPORT_UNSUPPORTED', 'DOCKER_HOST'],
  ])('says why it cannot use DOCKER_HOST=%s', async (address, code, hint) => {
    const args = ['copy', `docker-daemon:${NAME}`, 'oci:x:x'];
    const told = toldError(await transship(args, {env: {DOCKER_HOST: address}}));
    expect(told.code).toBe(code);
    expect(told.hint).toContain(hint);
  });

  test.each(['../../containers/json', 'a/../../b', '@abc/../x', 'A B'])(
    'does not ask a daemon for the name "%s"',
    async (ref) => {
      const args = ['copy', `docker-daemon:${ref}`, 'oci:x:x'];
      const told = toldError(await transship(args, {env: {DOCKER_HOST: host}}));
      expect(told).toMatchObject({code: 'REFERENCE_INVALID', exit: 64});
    },
  );
});

/** A daemon that answers every request so. */
async function startDaemon(
  status: number,
  body: Buffer,
): Promise<{server: Server; host: string; asked: string[]}> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(status).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it has no port');
  return {server, host: `tcp://127.0.0.1:${address.port}`, asked};
}

describe('a daemon over TCP', () => {
  test('is asked for one tag, by the Engine API', async () => {
    await using temp = await tempDirectory();
    const layer = Buffer.alloc(5000, 'layer');
    const manifest = [{Config: 'c', RepoTags: ['localhost/app:latest'], Layers: ['l']}];
    await writeTar(temp.join('saved.tar'), [
      ['l', layer],
      ['c', configOf([layer])],
      ['manifest.json', JSON.stringify(manifest)],
    ]);
    const daemon = await startDaemon(200, await readFile(temp.join('saved.tar')));
    try {
      const args = ['copy', 'docker-daemon:app', `oci:${temp.join('out')}`];
      const result = await transship(args, {env: {DOCKER_HOST: daemon.host}});
      expect(result).toMatchObject({code: 0});
    } finally {
      daemon.server.close();
    }
    expect(daemon.asked).toEqual(['/images/app:latest/get']);
    expect(await imagesIn(temp.join('out'))).toMatchObject([
      {name: 'app:latest', config: sha256(configOf([layer]))},
    ]);
  });

  test.each([
    [404, '{"message":"No such image: app:1"}', 'TAG_NOT_FOUND', 'No such image: app:1'],
    [500, '{"message":"no space left"}', 'RESPONSE_INVALID', 'no space left'],
    [200, 'hello', 'FILE_INVALID', 'truncated'],
  ])('that answers %i is quoted', async (status, body, code, words) => {
    const daemon = await startDaemon(status, Buffer.from(body));
    try {
      const args = ['copy', 'docker-daemon:app:1', 'oci:x:x'];
      const told = toldError(await transship(args, {env: {DOCKER_HOST: daemon.host}}));
      expect(told.code).toBe(code);
      expect(told.message).toContain(words);
    } finally {
      daemon.server.close();
    }
  });
});

describe('containers-storage:', () => {
  test.each(['podman', 'skopeo'] as const)('is read by %s alone', async (tool) => {
    await using temp = await tempDirectory();
    await mkdir(temp.join('bin'));
    await mkdir(temp.join('tmp'));
    await symlink(await needTool(tool), temp.join('bin', tool));
    const env = {...podman.env, PATH: temp.join('bin'), TMPDIR: temp.join('tmp')};
    for (const ref of [NAME, `@${id}`]) {
      const to = `oci:${temp.join('out')}:${ref === NAME ? 'name' : 'id'}`;
      expect(await runCli(['copy', `containers-storage:${ref}`, to], {env})).toMatchObject({
        code: 0,
      });
    }
    expect(await imagesIn(temp.join('out'))).toMatchObject([
      {name: 'name', config: `sha256:${id}`},
      {name: 'id', config: `sha256:${id}`},
    ]);
    expect(await readdir(temp.join('tmp'))).toEqual([]);

    const none = ['copy', 'containers-storage:example.com/nowhere:1', 'oci:x:x'];
    expect(toldError(await runCli(none, {env}))).toMatchObject({code: 'TAG_NOT_FOUND', exit: 1});
    expect(await readdir(temp.join('tmp'))).toEqual([]);
  });

  test('needs podman or skopeo', async () => {
    await using temp = await tempDirectory();
    const args = ['copy', `containers-storage:${NAME}`, 'oci:x:x'];
    const told = toldError(await transship(args, {env: {PATH: temp.path}}));
    expect(told).toMatchObject({code: 'TRANSPORT_UNSUPPORTED', exit: 64});
    expect(told.message).toContain('podman or skopeo');
  });
});

test.each(['docker-daemon', 'containers-storage'])('%s: cannot be written', async (transport) => {
  const args = ['copy', `oci:${layoutDirectory('busybox')}:1.35`, `${transport}:app:1`];
  expect(toldError(await transship(args))).toMatchObject({code: 'TRANSPORT_UNSUPPORTED', exit: 64});
});
