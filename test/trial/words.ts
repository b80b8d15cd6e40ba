import {readFile} from 'node:fs/promises';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {HOSTILE_WORDS, harmIn} from './hostile-words.ts';
import {serveHostileRefusals, serveHostileWords} from './registry.ts';
import {type Case, expectEnd, type Run, type Trial} from './trial.ts';

const GROUP = 'hostile words';

function expectHarmless({stdout, stderr}: Run, form: string): void {
  const harm = harmIn(stdout, form) ?? harmIn(stderr, 'log') ?? harmIn(stdout, 'log');
  if (harm !== undefined) throw new Error(`not harmless as ${form}: ${harm}`);
}

async function expectHarmlessFile(file: string, form: string): Promise<void> {
  const harm = harmIn(await readFile(file, 'utf8'), form);
  if (harm !== undefined) throw new Error(`not harmless as ${form}: ${harm}`);
}

/** Plans a copy of everything hostile. */
async function planned(trial: Trial, more: readonly string[] = []) {
  const source = trial.use(await serveHostileWords());
  const destination = trial.use(await startSandbox());
  const file = trial.path('p.json');
  const run = await trial.transship([
    'plan',
    'copy',
    `${source.host}/app`,
    `${destination.host}/to`,
    '--out',
    file,
    ...more,
  ]);
  return {source, destination, file, run};
}

const FORMATS = [
  ['text', 'log'],
  ['json', 'json'],
  ['markdown', 'md'],
  ['html', 'html'],
] as const;

const cases: readonly Omit<Case, 'group'>[] = [
  ...FORMATS.map(([format, form]) => ({
    name: `plan copy and show as ${format}`,
    run: async (trial: Trial) => {
      const {run, file} = await planned(trial, ['--format', format]);
      expectHarmless(run, form);
      const shown = await trial.transship(['show', file, '--all', '--format', format]);
      expectHarmless(expectEnd(shown, 0), form);
    },
  })),
  ...FORMATS.filter(([format]) => format !== 'html').map(([format, form]) => ({
    name: `apply, status and verify as ${format}`,
    run: async (trial: Trial) => {
      const {file} = await planned(trial);
      const [xml, env] = [trial.path('r.xml'), trial.path('r.env')];
      const reports = ['--junit', xml, '--dotenv', env];
      const applied = await trial.transship([
        'apply',
        file,
        '--format',
        format,
        ...reports,
        '--verbose',
      ]);
      expectHarmless(expectEnd(applied, [0, 1]), form);
      await expectHarmlessFile(xml, 'xml');
      await expectHarmlessFile(env, 'env');
      for (const command of ['status', 'verify'])
        expectHarmless(await trial.transship([command, file, '--format', format]), form);
    },
  })),
  ...['bar', 'plain', 'json'].map((progress) => ({
    name: `copy with --progress ${progress}, refused in words`,
    run: async (trial: Trial) => {
      const source = trial.use(await serveHostileWords());
      for (const status of [400, 401, 403, 404, 405, 409, 422, 500]) {
        const target = trial.use(await serveHostileRefusals(status));
        const report = trial.path(`${status}.xml`);
        const flags = ['--progress', progress, '--tag', '*o*', '--junit', report];
        const run = await trial.transship([
          'copy',
          `${source.host}/app`,
          `${target.host}/to`,
          ...flags,
        ]);
        expectHarmless(run, 'log');
      }
    },
  })),
  ...['table', 'json', 'yaml'].map((format) => ({
    name: `inventory as ${format}`,
    run: async (trial: Trial) => {
      const source = trial.use(await serveHostileWords());
      const run = await trial.transship(['inventory', source.host, '--format', format]);
      expectHarmless(run, format === 'yaml' ? 'yml' : 'log');
    },
  })),
  ...FORMATS.map(([format, form]) => ({
    name: `doctor and plan delete as ${format}`,
    run: async (trial: Trial) => {
      const source = trial.use(await serveHostileWords());
      for (const args of [
        ['doctor', `${source.host}/app`, '--write'],
        ['plan', 'delete', `${source.host}/app`, '--tag', '*', '--out', trial.path('d.json')],
      ])
        expectHarmless(await trial.transship([...args, '--format', format]), form);
      const run = await trial.transship([
        'apply',
        trial.path('d.json'),
        '--yes',
        '--format',
        format,
      ]);
      expectHarmless(run, form);
    },
  })),
  {
    name: 'explain',
    run: async (trial) => {
      for (const word of HOSTILE_WORDS) {
        if (word.includes('\0')) continue;
        expectHarmless(await trial.transship(['explain', word]), 'log');
        expectHarmless(await trial.transship(['explain', '--', word], {stdin: word}), 'log');
      }
    },
  },
  {
    name: 'arguments and file names',
    run: async (trial) => {
      for (const word of HOSTILE_WORDS) {
        if (word.includes('\0')) continue;
        for (const args of [
          ['show', word],
          ['copy', word, `oci:${word}`],
          ['copy', `oci:${word}`, 'oci:x'],
          ['plan', word],
          ['plan', 'copy', 'oci:a', 'oci:b', '--out', `none/${word}`],
          [word],
          ['copy', `--${word}`],
          ['inventory', '127.0.0.1:1', '--repositories', word],
        ])
          expectHarmless(await trial.transship(args), 'log');
      }
    },
    seconds: 60,
  },
  {
    name: 'environment',
    run: async (trial) => {
      for (const word of HOSTILE_WORDS) {
        if (word.includes('\0')) continue;
        for (const name of [
          'TRANSSHIP_JOBS',
          'HTTPS_PROXY',
          'DOCKER_AUTH_CONFIG',
          'CI_SERVER_URL',
          'TRANSSHIP_GITLAB_HOST',
        ])
          expectHarmless(
            await trial.transship(['copy', '127.0.0.1:1/a:b', 'oci:x'], {env: {[name]: word}}),
            'log',
          );
      }
    },
  },
];

export const words: readonly Case[] = cases.map((one) => ({group: GROUP, ...one}));
