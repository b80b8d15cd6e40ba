import type {lookup} from 'node:dns';
import {promisify} from 'node:util';
import {expect, it} from 'vitest';
import {guardedLookup} from '../../src/http/guarded-lookup.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'public.test': ['192.0.2.1'],
  'private.test': ['10.0.0.1', 'fd00::1'],
  'here.test': ['127.0.0.1'],
  localhost: ['127.0.0.1'],
  '127.0.0.1': ['127.0.0.1'],
  'metadata.test': ['192.0.2.1', '169.254.169.254'],
  'metadata6.test': ['fd00:ec2::254'],
  'mapped.test': ['::ffff:169.254.169.254'],
};

type Resolved = (error: Error | null, addresses: unknown, family?: number) => void;

const resolve = ((name: string, options: {readonly all?: boolean} | Resolved, done?: Resolved) => {
  const found = (NAMES[name] ?? []).map((address) => ({
    address,
    family: address.includes(':') ? 6 : 4,
  }));
  if (typeof options === 'function') options(null, found[0]?.address, 4);
  else if (options.all === true) done?.(null, found);
}) as unknown as typeof lookup;

const lookedUp = (name: string, ledBy: string): Promise<unknown> =>
  promisify(guardedLookup(ledBy, 'source', resolve))(name, {all: true});

it.each([
  ['public.test', 'registry.test'],
  ['private.test', 'public.test'],
  ['here.test', '127.0.0.1:5000'],
  ['here.test', 'localhost:5000'],
])('a connection to %s, where %s leads, is made', async (name, ledBy) => {
  expect(await lookedUp(name, ledBy)).toHaveLength(NAMES[name]?.length ?? 0);
});

it.each([
  ['metadata.test', 'public.test'],
  ['metadata.test', '127.0.0.1:5000'],
  ['metadata6.test', 'private.test'],
  ['mapped.test', 'public.test'],
  ['here.test', 'public.test'],
  ['here.test', 'here.test'],
])('a connection to %s, where %s leads, is refused', async (name, ledBy) => {
  await expect(lookedUp(name, ledBy)).rejects.toMatchObject({
    code: 'REDIRECT_REFUSED',
    message: expect.stringContaining(name) as string,
    hint: expect.stringContaining(`--allow-unsafe-redirects ${ledBy}`) as string,
  });
});
