import {describe, expect, test} from 'vitest';
import {earlyTargets} from '../../src/cli/head-start.ts';

const targets = (line: string, env = {}): string[] =>
  earlyTargets(line.split(' '), env).map(({host, port}) => `${host}:${port}`);

const FAR = ['old.example.com:443', 'new.example.com:5000'];
const SOURCE = 'old.example.com/a';
const DESTINATION = 'new.example.com:5000/b/c:1';

describe('connections are begun early', () => {
  test.each([
    [`copy ${SOURCE} ${DESTINATION}`],
    [`copy ${SOURCE} ${DESTINATION} --authfile certs.d/auth.json`],
    [`copy --authfile certs.d/auth.json --yes=x docker://${SOURCE} ${DESTINATION}@sha256:1`],
    [`plan copy --tag v1 Old.Example.COM/a ${DESTINATION} --out x.y/z`],
  ])('to both registries of: %s', (line) => {
    expect(targets(line)).toEqual(FAR);
  });

  test('to this machine twice, as it is asked for two things at once', () => {
    expect(targets('copy localhost/a 127.0.0.1:5000/b')).toEqual([
      'localhost:80',
      'localhost:80',
      '127.0.0.1:5000',
      '127.0.0.1:5000',
    ]);
  });

  test('to no third', () => {
    expect(targets(`copy ${SOURCE} ${DESTINATION} other.example.com/c`)).toEqual(FAR);
    expect(targets(`plan copy ${SOURCE} ${DESTINATION} other.example.com/c`)).toEqual(FAR);
  });

  test('to the registry beside a layout, an archive, and Docker Hub', () => {
    expect(targets(`copy oci:dir.x/a ${DESTINATION}`)).toEqual(FAR.slice(1));
    expect(targets(`copy ${SOURCE} oci-archive:a.b/c.tar`)).toEqual(FAR.slice(0, 1));
    expect(targets(`copy alpine:3.20 ${DESTINATION}`)).toEqual(FAR.slice(1));
    for (const hub of ['docker.io', 'index.docker.io', 'registry.hub.docker.com'])
      expect(targets(`copy ${hub}/library/alpine ${DESTINATION}`)).toEqual(FAR.slice(1));
    expect(targets('copy mydocker.io/a alpine')).toEqual(['mydocker.io:443']);
  });

  test.each(['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'])(
    'to this machine only, where there is %s',
    (name) => {
      const line = `copy ${SOURCE} localhost:5000/b`;
      const proxy = 'http://proxy.test';
      expect(targets(line, {[name]: proxy})).toEqual(['localhost:5000', 'localhost:5000']);
      expect(targets(line, {[name]: '', [`NO_${name}`]: proxy})).toContain('old.example.com:443');
    },
  );
});

describe('nothing is connected to early', () => {
  test.each([
    ['a command that names no registry', `show ${SOURCE} ${DESTINATION}`],
    ['a plan of a transfer', 'plan transfer gitlab.example.com/group/project other.example.com/x'],
    ['words that may belong to flags', `copy --tag ${SOURCE} --authfile ${DESTINATION}`],
    ['what is no reference', 'copy https://old.example.com/a user@new.example.com/b'],
    ['a host alone', 'copy old.example.com new.example.com/'],
    ['ports that there are not', 'copy old.example.com:0/a new.example.com:65536/b'],
    ['addresses that are not written in full', 'copy 127.1/a 0x7f.1:5000/b'],
    ['help', `copy ${SOURCE} ${DESTINATION} --help`],
    ['help in short', `copy -h ${SOURCE} ${DESTINATION}`],
    [
      'hosts that may have other ports',
      `copy ${SOURCE} ${DESTINATION} --plain-http old.example.com`,
    ],
    ['hosts that may have others', `copy --plain-http=old.example.com ${SOURCE} ${DESTINATION}`],
    ['a file', 'copy ./old.example.com/a ../x.y/b'],
    ['no words at all', ''],
  ])('for %s', (_what, line) => {
    expect(targets(line)).toEqual([]);
  });
});
