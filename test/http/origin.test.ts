import {describe, expect, it} from 'vitest';
import {addressKind, hostnameOf, isLoopback} from '../../src/http/origin.ts';

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
    '0.0.0.0',
    '::',
  ])('%s is', (name) => {
    expect(isLoopback(name)).toBe(true);
  });

  it.each([
    'localhost.example',
    'notlocalhost',
    '128.0.0.1',
    '127.example',
    '::2',
    '10.0.0.1',
    '',
    // What a gateway gets, and not this machine.
    '::127.0.0.1',
    '::ffff:0:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
  ])('%s is not', (name) => {
    expect(isLoopback(name)).toBe(false);
  });
});

describe('addressKind', () => {
  it.each([
    ['private', '10.1.2.3'],
    ['private', '172.16.0.1'],
    ['private', '172.31.255.255'],
    ['private', '192.168.1.1'],
    ['private', '100.64.0.1'],
    ['private', '198.18.0.1'],
    ['private', '255.255.255.255'],
    ['private', '0.1.2.3'],
    ['private', '192.0.0.1'],
    ['private', 'fd00::1'],
    ['private', 'fec0::1'],
    ['private', '::ffff:a00:1'],
    ['private', '64:ff9b::10.0.0.1'],
    ['private', '64:ff9b:1::808:808'],
    ['private', '2002:c0a8:101::1'],
    ['private', '::ffff:0:10.0.0.1'],
    ['link-local', '169.254.169.254'],
    ['link-local', 'fe80::1'],
    ['link-local', 'febf::1'],
    ['link-local', '::ffff:169.254.169.254'],
    ['link-local', '64:ff9b::a9fe:a9fe'],
    ['link-local', '64:ff9b:0:0:0:0:a9fe:a9fe'],
    ['link-local', '::ffff:0:169.254.169.254'],
    ['link-local', 'fd00:ec2::254'],
    ['link-local', 'fd20:ce::254'],
    ['link-local', '100.100.100.200'],
    ['link-local', '192.0.0.192'],
    ['link-local', '168.63.129.16'],
    ['loopback', 'localhost'],
    ['loopback', '127.0.0.1'],
    ['loopback', '::1'],
    ['loopback', '::ffff:127.0.0.1'],
    ['loopback', '0.0.0.0'],
    ['loopback', '::ffff:0.0.0.0'],
    ['loopback', '::'],
    ['reserved', '::7f00:1'],
    ['reserved', '::ffff:0:127.0.0.1'],
    ['reserved', '64:ff9b::7f00:1'],
    ['reserved', '2002:7f00:1::'],
    ['reserved', '2001:0:7f00:1::'],
    ['reserved', '100::1'],
  ])('is %s of %s', (kind, name) => {
    expect(addressKind(name)).toBe(kind);
  });

  it.each([
    '172.32.0.1',
    '100.128.0.1',
    '8.8.8.8',
    '2001:db8::1',
    '2002:808:808::1',
    '64:ff9b::808:808',
    'fd.example',
    '10.example',
    '::ffff:808:808',
    '::ffff:0:8.8.8.8',
    '2001:1::1',
    '100:0:0:1::1',
  ])('is none of %s', (name) => {
    expect(addressKind(name)).toBeUndefined();
  });
});
