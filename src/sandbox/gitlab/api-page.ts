import {jsonReply, type Reply} from '../reply.ts';
import type {ApiCall} from './api-call.ts';
import {ApiRefusal} from './api-refusal.ts';

const DEFAULT_SIZE = 20;
const SIZE_LIMIT = 100;

/** A page of a list, by number, with the headers that lead on (GitLab: doc/api/rest/_index.md, "Pagination"). */
export function pageReply({exchange, query}: ApiCall, items: readonly unknown[]): Reply {
  const size = pageSize(query);
  const page = Number(query.get('page') ?? 1);
  if (!Number.isInteger(page) || page < 1) throw new ApiRefusal(400, {error: 'page is invalid'});
  const pages = Math.max(1, Math.ceil(items.length / size));
  const link = (rel: string, to: number) => {
    const target = new URLSearchParams(query);
    target.set('page', String(to));
    target.set('per_page', String(size));
    return `<${exchange.origin}${exchange.path}?${target.toString()}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [link('prev', page - 1)] : []),
    ...(page < pages ? [link('next', page + 1)] : []),
    link('first', 1),
    link('last', pages),
  ];
  return jsonReply(200, items.slice((page - 1) * size, page * size), {
    link: links.join(', '),
    'x-page': String(page),
    'x-per-page': String(size),
    'x-next-page': page < pages ? String(page + 1) : '',
    'x-prev-page': page > 1 ? String(page - 1) : '',
    'x-total': String(items.length),
    'x-total-pages': String(pages),
  });
}

/** A page of a list of names, by the last one seen: no numbers, no totals, one link. */
export function keysetReply(
  {exchange, query}: ApiCall,
  items: readonly {readonly name: string}[],
): Reply {
  const size = pageSize(query);
  const last = query.get('last') ?? '';
  const rest = items.filter(({name}) => name > last);
  const page = rest.slice(0, size);
  const next = new URLSearchParams(query);
  next.set('last', page.at(-1)?.name ?? '');
  const link = `<${exchange.origin}${exchange.path}?${next.toString()}>; rel="next"`;
  return jsonReply(200, page, page.length < rest.length ? {link} : {});
}

function pageSize(query: URLSearchParams): number {
  const size = Number(query.get('per_page') ?? DEFAULT_SIZE);
  if (Number.isInteger(size) && size > 0) return Math.min(size, SIZE_LIMIT);
  throw new ApiRefusal(400, {error: 'per_page is invalid'});
}
