import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/** Nothing answers there; nothing is asked, either. */
const TO = '127.0.0.1:1/to';

describe('contradictory arguments are refused with 64, before any request', () => {
  test.each([
    ['an unknown command', ['cpoy', 'a', 'b'], 'USAGE', "'cpoy'"],
    ['an unknown flag', ['copy', '--plattform', 'x', 'a', 'b'], 'USAGE', "'--plattform'"],
    ['a missing argument', ['copy', 'a'], 'USAGE', "'destination'"],
    ['too many arguments', ['copy', 'a', 'b', 'c'], 'USAGE', 'arguments'],
    ['a flag without its value', ['copy', 'a', 'b', '--tag'], 'USAGE', '--tag'],
    ['plan with flags alone', ['plan', '--out', 'x.json'], 'USAGE', 'no command'],
    ['not a number', ['copy', 'a', 'b', '--newest', '-1'], 'USAGE', '--newest'],
    ['not a size', ['copy', 'a', 'b', '--chunk-size', '4 lots'], 'USAGE', '--chunk-size'],
    ['a chunk of one byte', ['copy', 'a', 'b', '--chunk-size', '1'], 'USAGE', '--chunk-size'],
    ['not a kind of progress', ['copy', 'a', 'b', '--progress', 'fast'], 'USAGE', '--progress'],
    ['not a format', ['plan', 'copy', 'a', 'b', '--format', 'xml'], 'USAGE', '--format'],
    ['not a policy', ['copy', 'a', 'b', '--on-failure', 'cry'], 'USAGE', '--on-failure'],
    ['capitals', ['copy', 'localhost/Team/App', TO], 'REFERENCE_INVALID', 'Team/App'],
    ['nothing', ['copy', '', TO], 'REFERENCE_INVALID', '""'],
    ['a bad tag', ['copy', 'localhost/app:-x', TO], 'REFERENCE_INVALID', '-x'],
    ['a short digest', ['copy', 'localhost/app@sha256:ab', TO], 'REFERENCE_INVALID', 'sha256:ab'],
    ['a bad host', ['copy', 'loc_al.host/app', TO], 'REFERENCE_INVALID', 'loc_al.host'],
    ['no repository', ['copy', 'localhost/a', '127.0.0.1:5000'], 'REFERENCE_INVALID', ':5000'],
    ['an unknown transport', ['copy', 'http://localhost/app', TO], 'TRANSPORT_UNKNOWN', 'http:'],
    ['skopeo’s OSTree', ['copy', 'ostree:a', TO], 'TRANSPORT_UNKNOWN', 'ostree'],
    [
      'an image of a daemon',
      ['copy', TO, 'docker-daemon:x:1'],
      'TRANSPORT_UNSUPPORTED',
      'docker-daemon:x:1',
    ],
    [
      'a digest as target',
      ['copy', 'localhost/a:1', `${TO}@sha256:${'a'.repeat(64)}`],
      'USAGE',
      'digest',
    ],
    ['one tag for all', ['copy', 'localhost/a', `${TO}:latest`], 'USAGE', 'latest'],
    ['an open bracket', ['copy', 'localhost/a', TO, '--tag', '['], 'FILTER_INVALID', '--tag'],
    ['no range', ['copy', 'localhost/a', TO, '--semver', 'new'], 'FILTER_INVALID', '--semver'],
    [
      'no age',
      ['copy', 'localhost/a', TO, '--newer-than', 'old'],
      'FILTER_INVALID',
      '--newer-than',
    ],
    ['no platform', ['copy', 'localhost/a', TO, '--platform', 'arm'], 'PLATFORM_INVALID', 'arm'],
    ['no host', ['copy', 'localhost/a', TO, '--plain-http', 'a/b'], 'USAGE', '--plain-http'],
    ['no port to examine', ['doctor', 'r.test:99999'], 'USAGE', 'r.test:99999'],
    [
      'no port to look below',
      ['plan', 'delete', '--recursive', 'r.test:port/x', '--tag', 'x'],
      'USAGE',
      'r.test:port',
    ],
  ])('%s', async (_what, args, code, named) => {
    const error = toldError(await transship(args));
    expect(error).toMatchObject({code, exit: 64, side: 'this machine'});
    expect(error.message).toContain(named);
  });

  test('an unknown flag that is nearly one is put right', async () => {
    const {message} = toldError(await transship(['copy', 'a', 'b', '--plattform', 'x']));
    expect(message).toContain('--platform');
  });

  test.each(['https://gitlab.test/org/%zz', 'https://gitlab.test/org/%E0%A4%A'])(
    'a project with broken percent-encoding: %s',
    async (project) => {
      const gitlab = ['--gitlab', 'https://gitlab.test'];
      const error = toldError(
        await transship(['plan', 'transfer', project, '--to', 'x/', ...gitlab], {
          env: {GITLAB_TOKEN: 'glpat-not-sent-anywhere'},
        }),
      );
      expect(error).toMatchObject({code: 'USAGE', exit: 64, side: 'this machine'});
      expect(error.message).toContain(project);
    },
  );

  test('a proxy that is none, without its password', async () => {
    const env = {HTTPS_PROXY: 'socks5://me:hunter2secret@proxy:1080'};
    const error = toldError(await transship(['copy', 'r.test/a', TO], {env}));
    expect(error).toMatchObject({code: 'USAGE', exit: 64});
    expect(JSON.stringify(error)).not.toContain('hunter2secret');
  });
});

describe('files that cannot be used', () => {
  test.each([
    ['absent', undefined, 'FILE_UNREADABLE'],
    ['empty', '', 'PLAN_INVALID'],
    ['not JSON', 'steps:\n- copy', 'PLAN_INVALID'],
    ['not UTF-8', Buffer.from([0xff, 0xfe, 0x00]), 'PLAN_INVALID'],
    ['another JSON', '{"a": 1}', 'PLAN_INVALID'],
    ['a list', '[]', 'PLAN_INVALID'],
    ['of a newer format', '{"format": 3, "kind": "copy"}', 'PLAN_FORMAT_NEWER'],
    ['of an older format', '{"format": 1, "kind": "copy"}', 'PLAN_FORMAT_OLD'],
  ])('a plan that is %s', async (_what, content, code) => {
    await using temp = await tempDirectory();
    const file = temp.join('p.json');
    if (content !== undefined) await writeFile(file, content);
    for (const command of ['apply', 'verify', 'show', 'status']) {
      const error = toldError(await transship([command, file]));
      expect(error).toMatchObject({code, exit: 64, side: 'this machine'});
      expect(error.message).toContain(file);
    }
    expect(await readdir(temp.path)).toEqual(content === undefined ? [] : ['p.json']);
  });

  test('a plan that was edited by hand', async () => {
    await using temp = await tempDirectory();
    await using sandbox = await startSandbox();
    await loadLayout(sandbox.storage, layoutDirectory('helm'), 'a' as RepositoryPath);
    const file = temp.join('p.json');
    await transship(['plan', 'copy', `${sandbox.host}/a`, `${sandbox.host}/b`, '--out', file]);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replaceAll(`${sandbox.host}/b`, `${sandbox.host}/c`));
    sandbox.log.clear();

    const error = toldError(await transship(['apply', file]));

    expect(error).toMatchObject({code: 'PLAN_EDITED', exit: 64});
    expect(sandbox.log.entries).toEqual([]);
    expect(await readdir(temp.path)).toEqual(['p.json']);
  });

  test('a plan that cannot be written is not written at all', async () => {
    await using temp = await tempDirectory();
    await using sandbox = await startSandbox();
    await loadLayout(sandbox.storage, layoutDirectory('helm'), 'a' as RepositoryPath);
    const places = [`${sandbox.host}/a`, `${sandbox.host}/b`];
    await mkdir(temp.join('directory'));
    for (const file of [temp.join('none', 'p.json'), temp.join('directory')]) {
      const error = toldError(await transship(['plan', 'copy', ...places, '--out', file]));
      expect(error).toMatchObject({code: 'FILE_WRITE_FAILED', exit: 1, side: 'this machine'});
      expect(error.message).toContain(file);
    }
    expect(await readdir(temp.path)).toEqual(['directory']);
  });

  test('a plan is written to a pipe, which is kept', async () => {
    await using temp = await tempDirectory();
    await using sandbox = await startSandbox();
    await loadLayout(sandbox.storage, layoutDirectory('helm'), 'a' as RepositoryPath);
    const pipe = temp.join('pipe');
    expect((await runProgram('mkfifo', [pipe])).code).toBe(0);
    const reading = runProgram('cat', [pipe]);
    const args = ['plan', 'copy', `${sandbox.host}/a`, `${sandbox.host}/b`, '--format', 'json'];
    const run = await transship([...args, '--out', pipe]);
    // Were the pipe replaced, its reader would wait for ever.
    expect((await stat(pipe)).isFIFO()).toBe(true);
    const written = parsePlan((await reading).stdout, pipe);
    expect(written).toEqual(JSON.parse(run.stdout));
  });

  test.each([
    ['absent', '--authfile', undefined],
    ['not JSON', '--authfile', 'machine r login me'],
    ['not JSON objects', '--authfile', '{"auths": {"127.0.0.1:1": "me:secret"}}'],
  ])('an authfile that is %s', async (_what, flag, content) => {
    await using temp = await tempDirectory();
    const file = temp.join('auth.json');
    if (content !== undefined) await writeFile(file, content);
    await using sandbox = await startSandbox({
      auth: {kind: 'basic', users: []},
    });
    const run = await transship(['copy', `${sandbox.host}/a`, TO, flag, file]);
    const error = toldError(run);
    expect(error).toMatchObject({code: 'CREDENTIALS_INVALID', exit: 64, side: 'this machine'});
    expect(error.message).toContain(file);
    expect(run.stderr).not.toContain('secret');
  });

  test('a CA file that is none', async () => {
    await using temp = await tempDirectory();
    await writeFile(temp.join('ca.pem'), 'not a certificate');
    for (const name of ['ca.pem', 'absent.pem']) {
      const flags = ['--ca-file', temp.join(name)];
      const error = toldError(await transship(['copy', 'registry.invalid/a', TO, ...flags]));
      expect(error).toMatchObject({code: 'TLS_FILE_INVALID', exit: 64});
      expect(error.message).toContain(name);
    }
  });
});
