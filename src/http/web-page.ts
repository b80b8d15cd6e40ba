import type {HttpAnswer} from './answer.ts';

/** The bytes of a page that are read for its title. */
const PAGE_LIMIT = 64 * 1024;

/** Whether the answer says that it is a page for people: no API gave it, whatever its status. */
export function isWebPage(answer: HttpAnswer): boolean {
  return /^text\/html\b/i.test(answer.header('content-type') ?? '');
}

/**
 * The title of a page for people, as it is written there, or what stands in for one; undefined: the answer is no such
 * page. Reads the body, unless it was read; a body that breaks has no title.
 */
export async function webPageTitle(answer: HttpAnswer): Promise<string | undefined> {
  const text = await answer.read(PAGE_LIMIT).then(
    ({bytes}) => Buffer.from(bytes.subarray(0, PAGE_LIMIT)).toString().trim(),
    () => '',
  );
  if (!isWebPage(answer) && !/^<(?:!doctype|html)/i.test(text)) return undefined;
  return /<title[^>]*>([^<]*)<\/title>/i.exec(text)?.[1] ?? 'a page in HTML';
}
