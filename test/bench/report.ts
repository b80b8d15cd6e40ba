import {limitsOf} from './limits.ts';
import {isPeer, leastOf, type Measurement, medianOf} from './measurement.ts';
import {judge} from './targets.ts';

const MiB = 1024 * 1024;

/** What the numbers depend on. */
export interface Circumstances {
  /** Lines about the machine and the programs. */
  readonly facts: readonly string[];
  readonly rounds: number;
  readonly scale: number;
}

/** The page: one table for each workload, then the targets. */
export function renderPage(
  {facts, rounds, scale}: Circumstances,
  results: readonly (readonly Measurement[])[],
): string {
  return [
    '# Benchmark',
    'Written by `npm run bench -- --out FILE`. Medians of ' +
      `${rounds} rounds in turn${scale === 1 ? '' : `, at ${scale} of the full size`}, one of ` +
      'what takes long, after one that does not count; a peer without flags runs in the first round only where there are many tags. CPU is user and system time of the tool and all that it starts; others CPU is what the machine did beside ' +
      'it, which is the work of the registries and the lines; peak is the largest resident ' +
      'size of one process; requests and bytes read are what the two registries logged. A limit is there to ' +
      'compare with: the round trips and bytes over the connections, the least that the machine did beside any tool, on all its ' +
      'processors, or curls that check nothing, two per blob or one for all tags, which can be outdone as other tools can. In each workload a tool has a home ' +
      'directory of its own, the same in all rounds; the round that does not count leaves compiled code of transship there, ' +
      'which saves 0.02 s.',
    facts.map((fact) => `- ${fact}`).join('\n'),
    ...results.map(renderWorkload),
    renderTargets(results),
    '',
  ].join('\n\n');
}

function renderWorkload(measurements: readonly Measurement[]): string {
  const [first] = measurements;
  if (first === undefined) return '';
  const {workload} = first;
  const peers = measurements.filter(isPeer);
  const best = {
    wallSeconds: leastOf(peers, 'wallSeconds'),
    cpuSeconds: leastOf(peers, 'cpuSeconds'),
  };
  const isKilled = workload.killAt !== undefined;
  const rows = measurements
    .filter(({samples, failure}) => samples.length > 0 || failure !== undefined)
    .map((measurement) => {
      const {variant, failure, samples} = measurement;
      if (failure !== undefined) return [variant.label, `failed: ${failure.split('\n')[0] ?? ''}`];
      const wall = medianOf(measurement, 'wallSeconds');
      const cpu = medianOf(measurement, 'cpuSeconds');
      return [
        variant.kind === 'ours' ? `**${variant.label}**` : variant.label,
        decimals(wall, 2),
        ratio(wall, best.wallSeconds),
        decimals(cpu, 2),
        ratio(cpu, best.cpuSeconds),
        decimals(medianOf(measurement, 'otherCpuSeconds'), 2),
        decimals(inMiB(medianOf(measurement, 'peakBytes')), 0),
        decimals(medianOf(measurement, 'requests'), 0),
        decimals(inMiB(medianOf(measurement, 'readBytes')), 0),
        ...(isKilled
          ? [
              percent(medianOf(measurement, 'readAgain')),
              percent(medianOf(measurement, 'sentAgain')),
            ]
          : []),
        String(samples.length),
      ];
    });
  const heads = [
    '',
    'wall s',
    '× best peer',
    'CPU s',
    '× best peer',
    'others CPU s',
    'peak MiB',
    'requests',
    'MiB read',
    ...(isKilled ? ['read again', 'sent again'] : []),
    'runs',
  ];
  return `## ${workload.id}: ${workload.title}\n\n${table(heads, [...limitRows(measurements), ...rows])}`;
}

function limitRows(measurements: readonly Measurement[]): readonly (readonly string[])[] {
  return limitsOf(measurements).map(({why, seconds}) => [`limit: ${why}`, decimals(seconds, 2)]);
}

function renderTargets(results: readonly (readonly Measurement[])[]): string {
  const rows = results.flatMap((measurements) =>
    measurements
      .filter(({variant}) => variant.kind === 'ours')
      .flatMap((ours) =>
        judge(ours.workload.id, ours, measurements).map(({workload, text, value, atMost}) => [
          `${workload}: ${ours.variant.label}, ${text}`,
          decimals(value, 2),
          decimals(atMost, 2),
          value <= atMost ? 'met' : '**missed**',
        ]),
      ),
  );
  return `## Targets\n\n${table(['', 'is', 'at most', ''], rows)}`;
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${heads.map((_, at) => cells[at] ?? '').join(' | ')} |`;
  const rule = heads.map((_, at) => (at === 0 ? '---' : '---:'));
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}

function decimals(value: number | undefined, digits: number): string {
  return value === undefined ? '' : value.toFixed(digits);
}

function inMiB(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / MiB;
}

function ratio(value: number | undefined, base: number | undefined): string {
  return value === undefined || base === undefined ? '' : decimals(value / base, 2);
}

function percent(part: number | undefined): string {
  return part === undefined ? '' : `${decimals(part * 100, 1)} %`;
}
