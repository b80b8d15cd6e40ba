import type {RunResult, StatusResult, VerifyResult} from '../model/outcome.ts';
import type {Plan} from '../model/plan.ts';
import type {RenderOptions, ReportDocument} from './document.ts';
import {renderMarkdown} from './markdown.ts';
import {runDocument} from './run-document.ts';
import {statusDocument} from './status-document.ts';
import {renderText} from './text.ts';
import {verifyDocument} from './verify-document.ts';
import {printableJson} from './words.ts';

/** `json` is the result itself: its codes and fields are a contract. */
export type OutcomeFormat = 'text' | 'markdown' | 'json';

/**
 * What came of applying `plan`, with a newline at the end. `planned`: whether the same command made the plan, as `copy`
 * does.
 */
export function renderRun(
  result: RunResult,
  plan: Plan,
  format: OutcomeFormat,
  {planned = 'before', ...options}: RenderOptions & {readonly planned?: 'now' | 'before'} = {},
): string {
  if (format === 'json') return json(result);
  return render(runDocument(result, plan, {...options, planned}), format, options);
}

/** What differs from the plan at the destination, with a newline at the end. */
export function renderVerify(
  result: VerifyResult,
  format: OutcomeFormat,
  options: RenderOptions = {},
): string {
  return format === 'json' ? json(result) : render(verifyDocument(result), format, options);
}

/** How far a plan is, with a newline at the end. */
export function renderStatus(
  result: StatusResult,
  format: OutcomeFormat,
  options: RenderOptions = {},
): string {
  return format === 'json'
    ? json(result)
    : render(statusDocument(result, options), format, options);
}

function render(
  document: ReportDocument,
  format: Exclude<OutcomeFormat, 'json'>,
  options: RenderOptions,
): string {
  return format === 'text' ? renderText(document, options) : renderMarkdown(document, options);
}

function json(result: object): string {
  return `${printableJson(result, 2)}\n`;
}
