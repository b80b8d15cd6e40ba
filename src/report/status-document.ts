import {shortDigest} from '../model/digest.ts';
import type {StatusResult} from '../model/outcome.ts';
import {formatBytes} from './bytes.ts';
import type {ReportDocument} from './document.ts';
import {counted} from './words.ts';

const ENDINGS = {
  done: 'the last run finished',
  incomplete: 'the last run finished, without images that the plan leaves out',
  failed: 'the last run finished with failures',
  interrupted: 'the last run was interrupted',
  drift: 'the last run stopped at drift',
} as const satisfies Record<NonNullable<StatusResult['ended']>, string>;

/** How far a plan is: images, bytes, and uploads that can be continued. */
export function statusDocument({
  plan,
  unit,
  steps,
  bytes,
  uploads,
  ended,
}: StatusResult): ReportDocument {
  const {done, failed, left, partly, total} = steps;
  const begun = partly === 0 ? '' : `, ${partly} of them partly copied`;
  const amount = `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`;
  const ending = ended === undefined ? 'no run has ended' : ENDINGS[ended];
  return {
    title: 'transship status',
    facts: [['plan', plan]],
    sections: [
      {
        heading: 'Uploads that can be continued',
        mark: '+',
        columns: ['Blob', 'To', 'Sent', 'Size'],
        rows: uploads.map(({digest, to, offset, size}) => ({
          cells: [{code: shortDigest(digest)}, {code: to}, formatBytes(offset), formatBytes(size)],
        })),
      },
    ],
    summary: `Status: ${done} of ${counted(total, unit)} done, ${failed} failed, ${left} left${begun} (${amount}); ${ending}.`,
  };
}
