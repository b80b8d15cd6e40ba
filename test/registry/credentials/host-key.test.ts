import {expect, test} from 'vitest';
import {findForHost} from '../../../src/registry/credentials/environment.ts';

interface Case {
  readonly keys: readonly string[];
  readonly host: string;
  readonly path?: string;
  readonly finds: string | undefined;
}

const HUB = 'https://index.docker.io/v1/';

test.each<Case>([
  {keys: ['r.test'], host: 'r.test', finds: 'r.test'},
  {keys: ['R.test'], host: 'r.TEST', finds: 'R.test'},
  {keys: ['https://r.test'], host: 'r.test', finds: 'https://r.test'},
  {keys: ['http://r.test/'], host: 'r.test', finds: 'http://r.test/'},
  {keys: ['https://r.test/v1/'], host: 'r.test', finds: 'https://r.test/v1/'},
  {keys: ['r.test/v2/'], host: 'r.test', finds: 'r.test/v2/'},
  {keys: ['https://r.test', 'r.test'], host: 'r.test', finds: 'r.test'},
  {keys: ['r.test:5050'], host: 'r.test:5050', finds: 'r.test:5050'},
  {keys: ['[::1]:5000'], host: '[::1]:5000', finds: '[::1]:5000'},
  {keys: ['r.test'], host: 'r.test:5050', finds: undefined},
  {keys: ['r.test:5050'], host: 'r.test', finds: undefined},
  {keys: ['r.test', 'https://r.test.evil.test'], host: 'test', finds: undefined},
  {keys: ['r.test'], host: 'r.test.evil.test', finds: undefined},
  {keys: ['r.test'], host: 'evil-r.test', finds: undefined},
  {keys: ['evil.test/r.test', 'https://evil.test/r.test'], host: 'r.test', finds: undefined},
  {keys: [HUB], host: 'docker.io', finds: HUB},
  {keys: [HUB], host: 'registry-1.docker.io', finds: HUB},
  {keys: ['index.docker.io/v1/'], host: 'docker.io', finds: 'index.docker.io/v1/'},
  {keys: [HUB, 'docker.io'], host: 'index.docker.io', finds: 'docker.io'},
  {keys: ['r.test/a/b'], host: 'r.test', path: 'a/b', finds: 'r.test/a/b'},
  {keys: ['r.test/a'], host: 'r.test', path: 'a/b/c', finds: 'r.test/a'},
  {keys: ['r.test/a/'], host: 'r.test', path: 'a/b/c', finds: 'r.test/a/'},
  {keys: ['r.test/a'], host: 'r.test', path: 'ab', finds: undefined},
  {keys: ['r.test/a/b'], host: 'r.test', path: 'a', finds: undefined},
  {keys: ['r.test/a'], host: 'r.test', finds: undefined},
  {keys: ['r.test', 'r.test/a/b', 'r.test/a'], host: 'r.test', path: 'a/b/c', finds: 'r.test/a/b'},
  {keys: ['r.test', 'r.test/a/b', 'r.test/a'], host: 'r.test', path: 'x', finds: 'r.test'},
])('of $keys, $host with path $path finds $finds', ({keys, host, path, finds}) => {
  const table = Object.fromEntries(keys.map((key) => [key, key]));
  expect(findForHost(table, host, path)?.value).toBe(finds);
});
