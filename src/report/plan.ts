import type {Plan} from '../model/plan.ts';
import type {RenderOptions, ReportDocument} from './document.ts';
import {renderHtml} from './html.ts';
import {renderMarkdown} from './markdown.ts';
import {planDocument} from './plan-document.ts';
import {transferDocument} from './transfer-document.ts';
import {renderText} from './text.ts';

/** `json` is the plan itself, as in a plan file. */
export type PlanFormat = ReviewFormat | 'json';

type ReviewFormat = 'text' | 'markdown' | 'html';

/** The review of a plan, with a newline at the end. HTML is always full. */
export function renderPlan(plan: Plan, format: ReviewFormat, options: RenderOptions = {}): string {
  switch (format) {
    case 'text':
      return renderText(documentOf(plan), options);
    case 'markdown':
      return renderMarkdown(documentOf(plan), options);
    case 'html':
      return renderHtml(documentOf(plan));
  }
}

function documentOf(plan: Plan): ReportDocument {
  return plan.kind === 'copy' ? planDocument(plan) : transferDocument(plan);
}
