import {expect, test} from 'vitest';
import {HostSet} from '../../src/http/host-set.ts';

test.each([
  ['registry.example.com', 'registry.example.com', true],
  ['registry.example.com', 'REGISTRY.example.com', true],
  ['registry.example.com', 'registry.example.com:443', true],
  ['registry.example.com:443', 'registry.example.com', true],
  ['registry.example.com', 'registry.example.com:5050', false],
  ['registry.example.com:5050', 'registry.example.com:5050', true],
  ['registry.example.com:5050', 'registry.example.com', false],
  ['registry.example.com', 'example.com', false],
  ['example.com', 'registry.example.com', false],
  ['docker.io', 'registry-1.docker.io', true],
  ['[::1]:5000', '[::1]:5000', true],
])('--insecure %s, asked for %s: %s', (flag, host, has) => {
  expect(new HostSet('--insecure', ['other.test', flag]).has(host)).toBe(has);
});

test('--plain-http has port 80 where none is given', () => {
  const hosts = new HostSet('--plain-http', ['registry.example.com']);
  expect(hosts.has('registry.example.com:80')).toBe(true);
  expect(hosts.has('registry.example.com:443')).toBe(false);
});

test.each([
  '',
  'https://registry.example.com',
  'registry.example.com/group',
  'a b',
  'a:port',
  'u@h',
])('"%s" is not a host', (value) => {
  expect(() => new HostSet('--insecure', [value])).toThrow(
    expect.objectContaining({code: 'USAGE', message: `--insecure: "${value}" is not a host`}),
  );
});
