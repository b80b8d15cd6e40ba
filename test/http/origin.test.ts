import {describe, expect, it} from 'vitest';
import {hostnameOf, isLoopback, isPrivateAddress} from '../../src/http/origin.ts';

describe('hostnameOf', () => {
  it.each([
    ['host', 'host'],
    ['host:5000', 'host'],
    ['127.0.0.1:5000', '127.0.0.1'],
    ['[::1]:5000', '::1'],
    ['[::1]', '::1'],
    ['::1', '::1'],
  ])('%s is %s', (host, name) => {
    expect(hostnameOf(host)).toBe(name);
  });
});

describe('isLoopback', () => {
  it.each([
    'localhost',
    'LOCALHOST',
    'a.localhost',
    'localhost.',
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:0:0:1',
  ])('%s is', (name) => {
    expect(isLoopback(name)).toBe(true);
  });

  it.each(['localhost.example', 'notlocalhost', '128.0.0.1', '127.example', '::2', '10.0.0.1', ''])(
    '%s is not',
    (name) => {
      expect(isLoopback(name)).toBe(false);
    },
  );
});

describe('isPrivateAddress', () => {
  it.each([
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    'localhost',
    '::1',
    '::',
    'fd00::1',
    'fe80::1',
    '::ffff:a00:1',
  ])('%s is', (name) => {
    expect(isPrivateAddress(name)).toBe(true);
  });

  it.each([
    '172.32.0.1',
    '100.128.0.1',
    '8.8.8.8',
    '2001:db8::1',
    'fd.example',
    '10.example',
    '::ffff:808:808',
  ])('%s is not', (name) => {
    expect(isPrivateAddress(name)).toBe(false);
  });
});
