import {cutAt} from '../model/error.ts';
import {readJson} from '../model/json.ts';
import {list, z} from '../model/schema.ts';
import type {HttpResponse} from '../http/response.ts';
import {redactUrlsIn} from '../http/redaction.ts';
import {webPageTitle} from '../http/web-page.ts';

/** Bytes of a response that are read for its error message. */
const BODY_LIMIT = 64 * 1024;
/** Maximum characters that a message quotes from a response. */
const WORDS_LIMIT = 200;

/** One of the errors in a registry's response (distribution-spec, "Error Codes"). */
interface RegistryErrorEntry {
  readonly code: string;
  readonly message: string;
  readonly detail: string;
}

/** The content of an error response. */
export interface ErrorBody {
  readonly errors: readonly RegistryErrorEntry[];
  /** The errors in one line, the title of an HTML page, or the beginning of the text; short and printable. */
  readonly words: string;
  /**
   * The same, but only error codes and their descriptions: the rest of a token service's response must not be quoted.
   */
  readonly codes: string;
  readonly isHtml: boolean;
}

const entrySchema = z.object({
  code: z.union([z.string(), z.number().transform(String)]).catch(''),
  message: z.string().catch(''),
  detail: z
    .unknown()
    .optional()
    .transform((detail) => {
      if (typeof detail === 'string') return detail;
      const isTelling =
        typeof detail === 'object' && detail !== null && Object.keys(detail).length > 0;
      return isTelling ? JSON.stringify(detail) : '';
    }),
});
const bodySchema = z.union([
  z.object({errors: list(entrySchema)}),
  // Token services and proxies use other formats (RFC 6749, section 5.2).
  z
    .object({
      error: z.string().optional(),
      error_description: z.string().optional(),
      details: z.string().optional(),
      message: z.string().optional(),
    })
    .transform(({error, error_description, details, message}) => ({
      errors: [
        {code: error ?? '', message: error_description ?? details ?? message ?? '', detail: ''},
      ],
    })),
]);

/** Reads the errors of a response from a registry, a token service or a web server. */
export async function readErrors(response: HttpResponse): Promise<ErrorBody> {
  const text = await response.read(BODY_LIMIT).then(
    // Signed URLs in the text are credentials.
    ({bytes}) => redactUrlsIn(Buffer.from(bytes).toString().trim()),
    () => {
      response.request.signal.throwIfAborted();
      // If the body is broken, only the status is used.
      return '';
    },
  );
  const title = await webPageTitle(response);
  if (title !== undefined) {
    const words = inOneLine(response.redact(title));
    return {errors: [], words, codes: words, isHtml: true};
  }
  const errors = readJson(text, bodySchema)?.errors ?? [];
  const words = joined(errors.map(({code, message, detail}) => [code, message, detail]));
  const codes = joined(errors.map(({code, message}) => [code, message]));
  return {
    errors,
    words: inOneLine(response.redact(words || text)),
    codes: inOneLine(response.redact(codes)),
    isHtml: false,
  };
}

function joined(errors: readonly (readonly string[])[]): string {
  return errors
    .map((parts) => parts.filter(Boolean).join(': '))
    .filter(Boolean)
    .join('; ');
}

function inOneLine(text: string): string {
  // Control and format characters could mislead a terminal, or change the direction of the text.
  return cutAt(text.replaceAll(/[\s\p{C}]+/gu, ' ').trim(), WORDS_LIMIT);
}
