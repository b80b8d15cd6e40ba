import {describe, expect, it} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import type {ErrorData, StepOutcome} from '../../src/model/event.ts';
import type {RunResult, StatusResult, StepResult, VerifyResult} from '../../src/model/outcome.ts';
import type {Tag} from '../../src/model/reference.ts';
import {renderRun, renderStatus, renderVerify} from '../../src/report/run-document.ts';
import {destination, image, source} from '../support/inventories.ts';
import {copyPlan} from '../support/plan-files.ts';

const TO = 'b.test/app';
const plan = copyPlan([
  {
    source: source('a.test/app', {
      a: image(['a']),
      b: image(['b']),
      c: image(['c']),
      d: image(['d']),
    }),
    destination: destination(TO, {d: image(['d']).descriptor.digest}),
  },
]);
const error: ErrorData = {
  code: 'FORBIDDEN',
  side: 'destination',
  retry: false,
  message: 'b.test refused the push',
  hint: 'give the token the scope write_registry',
};
const [one = '', two = '', three = ''] = plan.steps.map(({id}) => id);
const run: RunResult = {
  plan: plan.id,
  result: 'failed',
  steps: [
    {id: one, outcome: 'done'},
    {id: two, outcome: 'failed', error},
    {id: three, outcome: 'not-started'},
  ],
  bytes: {sent: 3.4 * 1024 ** 2},
  blobs: {copied: 20, mounted: 4, present: 1},
};
function endedSteps(count: number, outcome: StepOutcome, why?: ErrorData): StepResult[] {
  return Array.from({length: count}, (_, at) => ({
    id: `${outcome} ${at}`,
    outcome,
    ...(why === undefined ? {} : {error: why}),
  }));
}

const lastLine = (text: string) => text.trimEnd().split('\n').at(-1);

describe('renderRun', () => {
  it.each<[Partial<RunResult>, string]>([
    [
      {result: 'done', steps: plan.steps.map(({id}) => ({id, outcome: 'done'}))},
      'Done: 3 images copied (3.4 MiB in 20 blobs), 4 mounted, 1 already there.',
    ],
    [
      {},
      'Failed: 1 of 3 images failed, 1 left; 1 image copied (3.4 MiB in 20 blobs), 4 mounted, 1 already there. Follow the hints of the errors, then run the same command again.',
    ],
    [
      {
        steps: [
          {id: one, outcome: 'done'},
          {id: two, outcome: 'failed', error: {...error, retry: true}},
          {id: three, outcome: 'not-started'},
        ],
      },
      'Failed: 1 of 3 images failed, 1 left; 1 image copied (3.4 MiB in 20 blobs), 4 mounted, 1 already there. Run the same command again to retry them.',
    ],
    [
      {
        result: 'interrupted',
        steps: [
          {id: one, outcome: 'done'},
          {id: two, outcome: 'interrupted'},
          {id: three, outcome: 'not-started'},
        ],
      },
      'Interrupted: 1 of 3 images copied, 1 partly copied, 1 not started; 3.4 MiB in 20 blobs sent, 4 mounted, 1 already there. Run the same command again to resume.',
    ],
  ])('says in one line how it ended: %#', (more, summary) => {
    expect(lastLine(renderRun({...run, ...more}, plan, 'text'))).toBe(summary);
  });

  it('names each failure, its code and what to do', () => {
    const text = renderRun(run, plan, 'text');
    expect(text).toContain(
      `Failed (1):\n  ! ${TO}:b  FORBIDDEN  b.test refused the push\n      give the token the scope write_registry\n`,
    );
    expect(text).toContain(`Not started (1):\n  - ${TO}:c\n`);
    const partly = run.steps.map((step) => ({...step, outcome: 'interrupted'}) as const);
    expect(renderRun({...run, steps: partly}, plan, 'text')).toContain('Partly copied (3):\n');
    const markdown = renderRun(run, plan, 'markdown');
    expect(markdown).toContain(
      `| \`${TO}:b\` | \`FORBIDDEN\` | \`b.test\` refused the push | give the token the scope \`write_registry\` |`,
    );
  });

  it('lists failures first, and only counts the rest of many images', () => {
    const timeout: ErrorData = {...error, code: 'TIMEOUT', hint: 'try again'};
    const steps = [
      ...endedSteps(9000, 'done'),
      ...endedSteps(2, 'failed', error),
      ...endedSteps(1, 'failed', timeout),
      ...endedSteps(500, 'blocked', error),
      ...endedSteps(497, 'not-started'),
    ];
    const lines = renderRun({...run, steps}, plan, 'text').split('\n');
    expect(lines.slice(3, -2)).toEqual([
      'Failed (3):',
      '  ! failed 0  FORBIDDEN  b.test refused the push',
      '  ! failed 1  FORBIDDEN  b.test refused the push',
      '      give the token the scope write_registry',
      '  ! failed 0  TIMEOUT    b.test refused the push',
      '      try again',
      '',
      'Blocked (500)',
      '',
      'Not started (497)',
      '',
    ]);
    expect(renderRun({...run, steps}, plan, 'markdown').length).toBeLessThan(60_000);
  });

  it('names the first of many failures with one code, and those with another one', () => {
    const steps = [
      ...endedSteps(90, 'failed', error),
      ...endedSteps(2, 'failed', {...error, code: 'TIMEOUT'}),
    ];
    const text = renderRun({...run, steps}, plan, 'text');
    expect(text).toContain('Failed (92):\n');
    expect(text).toMatch(/^ {2}! … and 80 more +FORBIDDEN$/m);
    expect(text.match(/^ {2}! \w+ \d/gm)).toHaveLength(12);
    expect(JSON.parse(renderRun({...run, steps}, plan, 'json'))).toMatchObject({steps});
  });

  it('names what drifted', () => {
    const [planned, actual] = [digestOf('planned'), digestOf('actual')];
    const drift = [
      {side: 'source', repository: 'a.test/app', tag: 'a' as Tag, planned, actual},
      {side: 'destination', repository: TO, tag: 'b' as Tag, planned: null, actual},
    ] as const;
    const text = renderRun({...run, result: 'drift', drift}, plan, 'text');
    expect(text).toMatch(/^ {2}! a\.test\/app:a +source +sha256:\w{12} +sha256:\w{12}$/m);
    expect(text).toMatch(/^ {2}! b\.test\/app:b +destination +nothing +sha256:\w{12}$/m);
    expect(lastLine(text)).toMatch(
      /^Drift: 2 tags changed since the plan was made; .* Plan again\.$/,
    );
    const made = renderRun({...run, result: 'drift', drift}, plan, 'text', {planned: 'now'});
    expect(lastLine(made)).toMatch(/ Run the same command again to make a new plan\.$/);
  });

  it('names the command, and the copied images if the same command planned them', () => {
    expect(renderRun(run, plan, 'text')).toMatch(/^transship apply\n {2}plan +sha256:/);
    expect(renderRun(run, plan, 'text', {planned: 'now'})).toBe(
      renderRun(run, plan, 'text').replace(
        /^.*\n.*\n/,
        `transship copy\n  source       a.test/app\n  destination  b.test/app\n`,
      ),
    );
  });

  it('is the result itself as JSON', () => {
    expect(JSON.parse(renderRun(run, plan, 'json'))).toEqual(run);
  });
});

describe('renderVerify', () => {
  const checked = {tags: 2, manifests: 3, blobs: 1};
  const clean: VerifyResult = {plan: plan.id, checked, differences: []};
  const digest = digestOf('x');
  const different: VerifyResult = {
    ...clean,
    differences: [
      {what: 'tag', repository: TO, tag: 'a' as Tag, digest, actual: digestOf('y')},
      {what: 'blob', repository: TO, digest, actual: null},
    ],
  };

  it('reports what was compared', () => {
    expect(lastLine(renderVerify(clean, 'text'))).toBe(
      'Verified: 2 tags, 3 manifests and 1 blob are as planned.',
    );
  });

  it('names what differs', () => {
    const text = renderVerify(different, 'text');
    expect(text).toMatch(/^ {2}! tag +b\.test\/app:a +sha256:\w{12} +sha256:\w{12}$/m);
    expect(text).toContain(`${digest}  nothing`);
    expect(lastLine(text)).toBe(
      'Different: 2 of 6 objects are not as planned (2 tags, 3 manifests and 1 blob).',
    );
    expect(renderVerify(different, 'markdown')).toContain('| tag | `b.test/app:a` |');
    expect(JSON.parse(renderVerify(different, 'json'))).toEqual(different);
  });
});

describe('renderStatus', () => {
  const status: StatusResult = {
    plan: plan.id,
    unit: 'image',
    steps: {done: 1, failed: 1, left: 1, partly: 1, total: 3},
    bytes: {done: 1024, total: 4096},
    failures: [{id: two, image: `${TO}:b`, error}],
    uploads: [{digest: digestOf('big'), to: TO, offset: 1024 ** 2, size: 1024 ** 3}],
    ended: 'interrupted',
  };

  it('says how far it is and what can be continued', () => {
    const text = renderStatus(status, 'text');
    expect(text).toContain(
      `Failed (1):\n  ! ${TO}:b  FORBIDDEN  b.test refused the push\n      give the token the scope`,
    );
    expect(text).toMatch(/^ {2}\+ sha256:\w{12} +b\.test\/app +1\.0 MiB +1\.0 GiB$/m);
    expect(lastLine(text)).toBe(
      'Status: 1 of 3 images done, 1 failed, 1 left, 1 of them partly copied (1.0 KiB of 4.0 KiB); the last run was interrupted.',
    );
    expect(renderStatus(status, 'markdown')).toContain('**Status: 1 of 3 images done');
    expect(JSON.parse(renderStatus(status, 'json'))).toEqual(status);
  });

  it('reports that no run has ended', () => {
    const {ended, ...others} = status;
    expect([ended, lastLine(renderStatus(others, 'text'))]).toEqual([
      'interrupted',
      expect.stringMatching(/; no run has ended\.$/),
    ]);
  });
});
