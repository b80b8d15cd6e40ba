import type {ErrorData} from '../model/event.ts';
import type {RunResult, StepResult} from '../model/outcome.ts';
import {copiesOf, type CopyPlan, type CopyStep, type Plan} from '../model/plan.ts';
import type {Tag} from '../model/reference.ts';
import {imageName, printable} from './words.ts';

/**
 * A run as JUnit XML, as GitLab reads it (GitLab: doc/ci/testing/unit_test_reports.md): a test case for each step, its
 * class the repository, and one for each tag that drifted.
 * @param secondsOf how long a step took; undefined: not known, or it was not begun
 */
export function renderJunit(
  {steps, drift = []}: RunResult,
  plan: Plan,
  secondsOf: (id: string) => number | undefined,
): string {
  const copies = new Map(plan.kind === 'copy' ? copiesOf(plan).map((step) => [step.id, step]) : []);
  const cases = [
    ...steps.map((step) => stepCase(step, copies.get(step.id), plan.kind, secondsOf(step.id))),
    ...drift.map((one) => ({
      classname: one.repository,
      name: `${one.repository}:${one.tag} is as planned`,
      problem: {
        kind: 'failure' as const,
        type: 'DRIFT',
        message: `DRIFT: it points to ${one.actual ?? 'nothing'}, not to ${one.planned ?? 'nothing'}, at the ${one.side}`,
        text: 'hint: plan again',
      },
    })),
  ];
  const count = (kind: Problem['kind']) =>
    cases.filter(({problem}) => problem?.kind === kind).length;
  const numbers = `tests="${cases.length}" failures="${count('failure')}" skipped="${count('skipped')}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="transship" ${numbers}>`,
    `  <testsuite name="${escaped(plan.id)}" ${numbers}>`,
    ...cases.map(renderCase),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

interface Problem {
  readonly kind: 'failure' | 'skipped';
  readonly type: string;
  readonly message: string;
  readonly text: string;
}

interface TestCase {
  readonly classname: string;
  readonly name: string;
  readonly seconds?: number | undefined;
  readonly problem?: Problem | undefined;
}

function stepCase(
  {id, outcome, error}: StepResult,
  copy: CopyStep | undefined,
  kind: Plan['kind'],
  seconds: number | undefined,
): TestCase {
  const named =
    copy === undefined
      ? {classname: kind, name: id}
      : {classname: copy.to, name: imageName(copy.to, copy.tag, copy.digest)};
  return {...named, seconds, problem: problemOf(outcome, error)};
}

/** What was not done is no failure of its own: what it waited for is. */
function problemOf(
  outcome: StepResult['outcome'],
  error: ErrorData | undefined,
): Problem | undefined {
  if (outcome === 'done' || outcome === 'present') return undefined;
  const kind = outcome === 'failed' ? 'failure' : 'skipped';
  const why = error === undefined ? outcome : `${error.code}: ${error.message}`;
  const text = error === undefined ? '' : `side: ${error.side}\nhint: ${error.hint}`;
  return {kind, type: error?.code ?? outcome, message: why, text};
}

function renderCase({classname, name, seconds, problem}: TestCase): string {
  const time = seconds === undefined ? '' : ` time="${seconds.toFixed(3)}"`;
  const head = `    <testcase classname="${escaped(classname)}" name="${escaped(name)}"${time}`;
  if (problem === undefined) return `${head}/>`;
  const {kind, type, message, text} = problem;
  const attributes = `type="${escaped(type)}" message="${escaped(message)}"`;
  return `${head}><${kind} ${attributes}>${escaped(text)}</${kind}></testcase>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Control characters, which XML 1.0 does not allow, and what hides other text are written as `\u{1b}`. */
function escaped(text: string): string {
  return text
    .split('\n')
    .map((line) => printable(line).replaceAll(/[&<>"]/g, (char) => ENTITIES[char] ?? char))
    .join('&#10;');
}

/** A run in numbers, as GitLab takes variables from a job (GitLab: doc/ci/yaml/artifacts_reports.md, "dotenv"). */
export function renderDotenv({plan, result, steps, bytes}: RunResult): string {
  const count = (...outcomes: readonly StepResult['outcome'][]) =>
    steps.filter(({outcome}) => outcomes.includes(outcome)).length;
  const values = {
    PLAN: plan,
    RESULT: result,
    STEPS: steps.length,
    STEPS_DONE: count('done', 'present'),
    STEPS_FAILED: count('failed'),
    STEPS_LEFT: count('blocked', 'interrupted', 'not-started'),
    BYTES_SENT: bytes.sent,
  };
  return Object.entries(values)
    .map(([name, value]) => `TRANSSHIP_${name}=${value}\n`)
    .join('');
}

/**
 * The digests of what was copied, as skopeo writes them: of one image its digest alone, of a repository a line with
 * digest and name for each tag.
 * @param image the one image that was asked for: its tag at the destination, if it gets one
 */
export function renderDigests(
  {steps}: Pick<RunResult, 'steps'>,
  plan: CopyPlan,
  image?: {readonly tag: Tag | undefined},
): string {
  const arrived = new Set(
    steps.flatMap(({id, outcome}) => (outcome === 'done' || outcome === 'present' ? [id] : [])),
  );
  const there = plan.skipped.flatMap((skip) => (skip.reason === 'present' ? [skip] : []));
  const images = [
    // What is copied without a tag and needs others is a referrer of theirs.
    ...copiesOf(plan).filter(({id, tag, needs}) => arrived.has(id) && (tag ?? needs[0]) === tag),
    ...there,
  ];
  if (image !== undefined) {
    const one = images.find(({tag}) => tag === image.tag);
    return one === undefined ? '' : `${one.digest}\n`;
  }
  return images
    .flatMap(({digest, to, tag}) => (tag === undefined ? [] : `${digest} ${to}:${tag}\n`))
    .join('');
}
