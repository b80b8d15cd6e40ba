import type {StatusResult, TransferStanding} from '../model/outcome.ts';
import {
  AS_JSON,
  code,
  digestCell,
  failureSection,
  type RenderOptions,
  type ReportDocument,
} from './document.ts';
import {nextCommand} from './transfer-run-document.ts';
import {counted, formatBytes} from './words.ts';

const ENDINGS = {
  done: 'the last run finished',
  incomplete: 'the last run finished, without images that the plan leaves out',
  failed: 'the last run finished with failures',
  interrupted: 'the last run was interrupted',
  drift: 'the last run stopped at drift',
} as const satisfies Record<NonNullable<StatusResult['ended']>, string>;

/** How far a plan is: what failed, images, bytes, and uploads that can be continued. */
export function statusDocument(
  {plan, unit, steps, failures, bytes, uploads, ended, transfer}: StatusResult,
  {planFile}: RenderOptions = {},
): ReportDocument {
  const {done, failed, left, partly, total} = steps;
  const begun = partly === 0 ? '' : `, ${partly} of them partly copied`;
  const amount = `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`;
  const ending = ended === undefined ? 'no run has ended' : ENDINGS[ended];
  return {
    title: 'transship status',
    facts: [['plan', plan], ...(transfer === undefined ? [] : transferFacts(transfer, planFile))],
    sections: [
      failureSection(
        unit === 'image' ? 'Image' : 'Step',
        failures.map(({id, image = id, error}) => ({name: image, error})),
      ),
      {
        heading: 'Uploads that can be continued',
        mark: '+',
        columns: ['Blob', 'To', 'Sent', 'Size'],
        rows: uploads.map(({digest, to, offset, size}) => ({
          cells: [digestCell(digest), code(to), formatBytes(offset), formatBytes(size)],
        })),
      },
    ],
    summary: `Status: ${imagesText(transfer)}${done} of ${counted(total, unit)} done, ${failed} failed, ${left} left${begun} (${amount}); ${ending}.`,
    everything: AS_JSON,
  };
}

function transferFacts(
  {images, donor, isPaused, next, from, to}: TransferStanding,
  planFile: string | undefined,
): readonly (readonly [string, string])[] {
  return [
    ['old path', `${from}: ${counted(images.old, 'image')}`],
    ['donor', `${donor}: ${counted(images.donor, 'image')} gone from the old path`],
    ['new path', `${to}: ${counted(images.target, 'image')}`],
    ...(isPaused ? [['disabled', `the cleanup policy of ${from}`] as const] : []),
    ...next.map((command) => ['next', nextCommand(command, planFile)] as const),
  ];
}

/** Of a transfer: its images before its steps. */
function imagesText(transfer: TransferStanding | undefined): string {
  if (transfer === undefined) return '';
  const {total, old, donor, target} = transfer.images;
  return `${target} of ${counted(total, 'image')} at the new path (${donor} at the donor, ${old} at the old path); `;
}
