import type {HttpResponse} from './response.ts';

/** Maximum bytes of a page that are searched for its title. */
const PAGE_LIMIT = 64 * 1024;

/** Whether the response is declared as a web page: it does not come from an API, whatever its status. */
export function isWebPage(response: HttpResponse): boolean {
  return /^text\/html\b/i.test(response.header('content-type') ?? '');
}

/**
 * The title of a web page, or a substitute if it has none; undefined: the response is not a web page. Reads the body,
 * unless it was read already; a body that cannot be read counts as empty.
 */
export async function webPageTitle(response: HttpResponse): Promise<string | undefined> {
  const text = await response.read(PAGE_LIMIT).then(
    ({bytes}) => Buffer.from(bytes.subarray(0, PAGE_LIMIT)).toString().trim(),
    () => '',
  );
  if (!isWebPage(response) && !/^<(?:!doctype|html)/i.test(text)) return undefined;
  return /<title[^>]*>([^<]*)<\/title>/i.exec(text)?.[1] ?? 'a page in HTML';
}
