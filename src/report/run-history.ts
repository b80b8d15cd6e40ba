import type {RunHistory, RunSpan, StepSpan} from '../model/outcome.ts';
import {type Cell, code, type Row, type Section} from './document.ts';
import {escapeHtml} from './html.ts';
import {statusDocument} from './status-document.ts';
import {counted, formatBytes, formatDuration} from './words.ts';

/**
 * What a page says of the runs of a plan, before its images: each run, what took longest, what failed, what was tried
 * again.
 */
export function historySections(history: RunHistory): readonly Section[] {
  const {runs, moreRuns, steps, moreSteps, failures, moreFailures, retries, moreRetries, isTimed} =
    history;
  const at = timeCells(history);
  return [
    {
      heading: 'Attempts that failed',
      note: withMore(failures, moreFailures),
      mark: '!',
      columns: ['What', 'Failed', 'Error', 'Message'],
      rows: failures.map((step) => failureRow(step, at)),
    },
    {
      heading: 'Runs',
      note: withMore(runs, moreRuns),
      mark: '✓',
      columns: ['Journal', 'When', 'Result', 'Began', 'Took', 'Done', 'Failed', 'Sent', 'Retries'],
      rows: runs.map((run) => runRow(run, at)),
      isWhole: true,
    },
    {
      heading: moreSteps === 0 ? 'What was done' : 'What took longest',
      note:
        moreSteps === 0 ? String(steps.length) : `${steps.length} of ${steps.length + moreSteps}`,
      mark: '✓',
      columns: ['What', 'When', 'Took', 'Began', 'Result'],
      rows: isTimed ? steps.map((step) => stepRow(step, at)) : [],
      isWhole: true,
    },
    {
      heading: 'Tried again',
      note: withMore(retries, moreRetries),
      mark: '?',
      columns: ['What', 'When', 'Because of', 'Waited'],
      rows: retries.map(({at: when, what, code: why, delayMs}) => ({
        cells: [code(what), at.point(when, 'warning'), code(why), tookText(delayMs)],
      })),
      isDetail: true,
    },
  ];
}

function withMore(listed: readonly unknown[], more: number): string {
  return more === 0 ? String(listed.length) : `first ${listed.length} of ${listed.length + more}`;
}

/** Cells that show a time where it is on the line of all runs. */
interface TimeCells {
  span(from: number, to: number, look: SpanLook): Cell;
  point(at: number, look: SpanLook): Cell;
}

type SpanLook = Extract<Cell, {readonly from: number}>['look'];

function timeCells({workedMs}: RunHistory): TimeCells {
  const part = (time: number): number => Math.min(100, Math.max(0, (100 * time) / workedMs));
  return {
    span: (from, to, look) => ({
      text: `${afterText(from)} to ${afterText(to)}`,
      from: part(from),
      to: part(to),
      look,
    }),
    point: (at, look) => ({text: afterText(at), from: part(at), to: part(at), look}),
  };
}

function failureRow({name, ended, error}: StepSpan, at: TimeCells): Row {
  return {
    cells: [code(name), at.point(ended, 'wrong'), code(error?.code ?? ''), error?.message ?? ''],
    ...(error === undefined ? {} : {hint: error.hint}),
  };
}

function runRow(run: RunSpan, at: TimeCells): Row {
  const {file, result, began, ended, done, present, failed, bytes, retries} = run;
  const ms = ended - began;
  const look = result === undefined ? 'warning' : result === 'failed' ? 'wrong' : 'done';
  const mark = look === 'done' ? '✓' : look === 'wrong' ? '!' : '?';
  return {
    mark,
    cells: [
      code(file),
      at.span(began, ended, look),
      result ?? 'killed, or in progress',
      clockText(run.at),
      tookText(ms),
      `${done}${present === 0 ? '' : `, ${present} before`}`,
      String(failed),
      `${formatBytes(bytes)}${bytes === 0 ? '' : `, ${rateText(bytes, ms)}`}`,
      String(retries),
    ],
  };
}

function stepRow({name, began, ended, ms, outcome, error}: StepSpan, at: TimeCells): Row {
  const isFailed = outcome === 'failed' || outcome === 'blocked';
  return {
    mark: isFailed ? '!' : '✓',
    cells: [
      code(name),
      at.span(began, ended, isFailed ? 'wrong' : 'done'),
      tookText(ms),
      afterText(began),
      error === undefined ? outcome : code(error.code),
    ],
  };
}

/** What all runs came to, in a sentence. */
function historySummary({began, ended, workedMs, runs, moreRuns, slices}: RunHistory): string {
  const sum = (key: 'bytes' | 'failed' | 'retries') =>
    slices.reduce((total, slice) => total + slice[key], 0);
  const [bytes, failed, retries] = [sum('bytes'), sum('failed'), sum('retries')];
  const sent =
    bytes === 0 ? 'nothing sent' : `${formatBytes(bytes)} sent, ${rateText(bytes, workedMs)}`;
  const attempts = `${counted(failed, 'failed attempt')}, ${retries === 1 ? '1 retry' : `${retries} retries`}`;
  return `${counted(runs.length + moreRuns, 'run')} in ${tookText(workedMs)}, from ${clockText(began)} to ${clockText(ended)}: ${sent}; ${attempts}.`;
}

const HEIGHT = 60;

/**
 * Throughput, failures and retries over time, as pictures with a table in their place for whoever does not see them.
 */
export function historyFigure(history: RunHistory): string {
  const {slices, workedMs, breaks, isTimed} = history;
  const status = escapeHtml(statusDocument(history.status).summary);
  const summary = `<p><strong>${status}</strong></p>\n<p>${escapeHtml(historySummary(history))}</p>`;
  if (!isTimed) {
    return `${summary}\n<p>The journals do not say when each image was copied: an earlier version wrote them.</p>`;
  }
  const sliceMs = workedMs / slices.length;
  const most = Math.max(...slices.map(({bytes}) => bytes));
  const pauses = breaks
    .map(
      ({at}) =>
        `<path class="break" d="M${((slices.length * at) / workedMs).toFixed(2)} 0v${HEIGHT}"/>`,
    )
    .join('');
  const bars = slices
    .map(({bytes}, at) => {
      const height = most === 0 ? 0 : (HEIGHT * bytes) / most;
      return height === 0
        ? ''
        : `<rect x="${at + 0.05}" y="${(HEIGHT - height).toFixed(1)}" width=".9" height="${height.toFixed(1)}"/>`;
    })
    .join('');
  const ticks = (key: 'failed' | 'retries') =>
    slices
      .map((slice, at) =>
        slice[key] === 0 ? '' : `<rect x="${at + 0.05}" y="0" width=".9" height="1"/>`,
      )
      .join('');
  const middle = tookText(workedMs / 2);
  return `${summary}
<figure class="history">
<figcaption>Sent over time, at most ${escapeHtml(rateText(most, sliceMs))}</figcaption>
${picture('sent', `Bytes sent over time: at most ${rateText(most, sliceMs)}`, HEIGHT, bars + pauses, slices.length)}
${picture('failed', 'Failed attempts over time', 1, ticks('failed'), slices.length)}
${picture('retries', 'Retries over time', 1, ticks('retries'), slices.length)}
<p class="axis"><span>0 s</span><span>${middle}</span><span>${tookText(workedMs)}</span></p>
${breaksText(breaks)}<details><summary>As a table</summary>
${sliceTable(history, sliceMs)}
</details>
</figure>`;
}

function picture(
  name: string,
  label: string,
  height: number,
  shapes: string,
  width: number,
): string {
  return `<div class="strip ${name}"><span aria-hidden="true">${name}</span><svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(label)}">${shapes}</svg></div>`;
}

function breaksText(breaks: RunHistory['breaks']): string {
  if (breaks.length === 0) return '';
  const ms = breaks.reduce((sum, one) => sum + one.ms, 0);
  return `<p class="hint">${counted(breaks.length, 'break')} between runs (${tookText(ms)}) ${breaks.length === 1 ? 'is' : 'are'} left out: the dashed ${breaks.length === 1 ? 'line' : 'lines'}.</p>\n`;
}

function sliceTable({slices}: RunHistory, sliceMs: number): string {
  const rows = slices.flatMap(({bytes, done, failed, retries}, at) =>
    bytes + done + failed + retries === 0
      ? []
      : [
          `<tr><td>${afterText(at * sliceMs)}</td><td>${formatBytes(bytes)}</td><td>${rateText(bytes, sliceMs)}</td><td>${done}</td><td>${failed}</td><td>${retries}</td></tr>`,
        ],
  );
  const heads = ['From', 'Sent', 'Rate', 'Done', 'Failed', 'Retries'];
  return `<div class="scroll" tabindex="0"><table><thead><tr>${heads.map((head) => `<th scope="col">${head}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function clockText(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

/** Since the first run began, without breaks. */
function afterText(ms: number): string {
  return `+${tookText(ms)}`;
}

function tookText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : formatDuration(ms);
}

function rateText(bytes: number, ms: number): string {
  return `${formatBytes((1000 * bytes) / Math.max(1, ms))}/s`;
}
