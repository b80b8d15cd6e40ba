import {createHash} from 'node:crypto';
import {expect, test} from 'vitest';
import type {Intercept} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {pushImage, put} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const REPOSITORY = 'team/app';

/** A source that names its one image by sha512, a destination that does not, and a plan file. */
async function start() {
  await using parts = new AsyncDisposableStack();
  const names = {sha512: ''};
  const intercept: Intercept = async ({method, path}, next) => {
    const reply = await next();
    const isRead = (method === 'GET' || method === 'HEAD') && path.includes('/manifests/');
    if (!isRead || reply.status !== 200) return reply;
    return {...reply, headers: {...reply.headers, 'docker-content-digest': names.sha512}};
  };
  const source = parts.use(await startSandbox({intercept}));
  const destination = parts.use(await startSandbox());
  const directory = parts.use(await tempDirectory());
  const {bytes, digest} = await pushImage(source.url, REPOSITORY, '1');
  const sha512 = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
  await put(`${source.url}/v2/${REPOSITORY}/manifests/${sha512}`, MANIFEST, bytes);
  names.sha512 = sha512;
  const own = parts.move();
  return {
    from: `${source.host}/${REPOSITORY}`,
    to: `${destination.host}/${REPOSITORY}`,
    sha256: digest,
    plan: directory.join('a.plan.json'),
    destination,
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

test('an image planned by sha512 is not drift if the destination reports sha256', async () => {
  await using at = await start();
  expect((await transship(['plan', 'copy', at.from, at.to, '--out', at.plan])).code).toBe(0);
  expect((await transship(['apply', at.plan])).code).toBe(0);
  const again = await transship(['apply', at.plan]);
  expect([again.code, again.stdout]).toEqual([0, expect.stringContaining('1 already there')]);
  expect((await transship(['verify', at.plan])).code).toBe(0);
  const copied = await transship(['copy', at.from, at.to]);
  expect(copied.stdout).toContain('1 already there');

  // Another image is drift all the same.
  await pushImage(at.destination.url, REPOSITORY, '1', {created: '2001-01-01T00:00:00Z'});
  expect((await transship(['apply', at.plan])).code).toBe(4);
  expect((await transship(['verify', at.plan])).code).toBe(2);
});

test('a digest of another algorithm than the requested one is compared by content', async () => {
  await using at = await start();
  for (const what of ['new', 'there already']) {
    const run = await transship(['copy', `${at.from}@${at.sha256}`, `${at.to}:1`]);
    expect([what, run.code]).toEqual([what, 0]);
  }
});
