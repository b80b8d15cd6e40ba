import type {HttpAnswer} from './answer.ts';

/** Bytes of a page that are searched for its title. */
const PAGE_LIMIT = 64 * 1024;

/** Whether the response is declared as a web page: it does not come from an API, whatever its status. */
export function isWebPage(answer: HttpAnswer): boolean {
  return /^text\/html\b/i.test(answer.header('content-type') ?? '');
}

/**
 * The title of a web page as written, or a substitute; undefined: the response is not a web page. Reads the body,
 * unless it was read already; a broken body has no title.
 */
export async function webPageTitle(answer: HttpAnswer): Promise<string | undefined> {
  const text = await answer.read(PAGE_LIMIT).then(
    ({bytes}) => Buffer.from(bytes.subarray(0, PAGE_LIMIT)).toString().trim(),
    () => '',
  );
  if (!isWebPage(answer) && !/^<(?:!doctype|html)/i.test(text)) return undefined;
  return /<title[^>]*>([^<]*)<\/title>/i.exec(text)?.[1] ?? 'a page in HTML';
}
