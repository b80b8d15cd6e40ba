import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {bytesReply, type Intercept, type Reply} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {pushImage} from '../support/push-image.ts';
import {transship} from '../support/transship.ts';

const APP = 'app' as RepositoryPath;
const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
/** What is answered to each request for a list of tags, by side. */
let lists: {source?: Reply; destination?: Reply};
let count = 0;

const listing =
  (side: 'source' | 'destination'): Intercept =>
  async ({path}, next) =>
    (path.endsWith('/tags/list') ? lists[side] : undefined) ?? next();

beforeAll(async () => {
  source = cleanup.use(await startSandbox({intercept: listing('source')}));
  destination = cleanup.use(await startSandbox({intercept: listing('destination')}));
  lists = {};
  const {digest} = await pushImage(source.url, APP, '1');
  await pushImage(source.url, APP, '2', {layers: [Buffer.from('two')]});
  await pushImage(source.url, APP, `${digest.replace(':', '-')}.sig`, {
    layers: [Buffer.from('signature')],
  });
});
afterAll(() => cleanup.disposeAsync());

const answer = (status: number, type = 'application/json', body = '{"errors":[]}') =>
  bytesReply(status, Buffer.from(body), {'content-type': type});
const answers: readonly (readonly [string, Reply])[] = [
  ['401', answer(401)],
  ['403', answer(403)],
  ['404 and a page', answer(404, 'text/html', '<title>Welcome</title>')],
  ['405', answer(405)],
  ['500', answer(500)],
  ['501', answer(501)],
  ['a page', answer(200, 'text/html', '<title>Welcome</title>')],
  ['another JSON', answer(200, 'application/json', '[]')],
];

/** Copies to a repository that has one tag of the same name, which points elsewhere. */
async function copy(from: string, ...flags: readonly string[]) {
  const repository = `copies/r${++count}` as RepositoryPath;
  await pushImage(destination.url, repository, '1', {layers: [Buffer.from('old')]});
  const run = await transship([
    'copy',
    `${source.host}/${from}`,
    `${destination.host}/${repository}`,
    ...flags,
  ]);
  return {...run, tags: [...(await destination.storage.manifests.tags(repository))].sort()};
}

describe('a place that does not list tags', () => {
  test.each(answers)('provides a single image with its signature: %s', async (_what, reply) => {
    lists = {source: reply};
    const {code, stdout, stderr, tags} = await copy('app:1');
    expect({code, stderr}).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('not using lists of tags') as string,
    });
    expect(stdout).toContain('2 images copied');
    expect(tags).toEqual(['1', expect.stringMatching(/^sha256-.*\.sig$/)]);
  });

  test.each(answers)('takes images, and says which tags move: %s', async (_what, reply) => {
    lists = {destination: reply};
    const one = await copy('app:1');
    expect(one.stderr).toContain('not using lists of tags');
    expect(one).toMatchObject({code: 0, tags: ['1', expect.stringMatching(/\.sig$/)]});
    expect(one.stdout).toContain('1 tag moved');
    const all = await copy('app', '--no-clobber');
    expect(all).toMatchObject({code: 0, tags: ['1', '2', expect.stringMatching(/\.sig$/)]});
    expect(all.stdout).toContain('0 already there, 1 left out');
  });

  test('does not provide a complete repository', async () => {
    lists = {source: answer(403)};
    expect(toldError(await copy('app'))).toMatchObject({code: 'FORBIDDEN', side: 'the source'});
  });
});
