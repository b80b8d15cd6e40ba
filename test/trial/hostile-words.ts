/** What texts from outside may do to a terminal, a log, a document, or a file that another program reads. */
export const HOSTILE_WORDS: readonly string[] = [
  // Directions, isolates; C0 and C1 controls; OSC 8 links; colours; a cleared screen.
  'a\u202eb\u202dc\u2066d\u2069',
  'a\u009b31mb\u0085c\u0090d',
  '\u001b[31mred\u001b[2J\u001b]8;;https://evil.test/\u0007link\u001b]8;;\u0007',
  'bell\u0007back\u0008\u0008\u0008return\rover\u007f',
  // Line and paragraph separators, byte order marks, tag characters, half a pair, variation selectors, fillers.
  'a\u2028b\u2029c\ufeffd',
  'a\u{e0041}\u{e007f}b\u{e0100}c',
  'a\ud800b\udc00c',
  'a\u3164b\u115fc\uffa0d\u00ade\u200bf\u180eg\ufe0fh\u061ci',
  // Sections of job logs, commands of GitHub's and Azure's logs.
  '\nsection_start:1700000000:evil\r\u001b[0Khidden',
  '\n::set-output name=evil::1\n##vso[task.setvariable variable=EVIL]1',
  // Markdown, GitLab's quick actions and mentions, HTML.
  '\n\n/close\n/label ~evil\n@all ![x](https://evil.test/x.png) [y](javascript:alert(1))',
  '|`</td>``|**b**|<img src=x onerror=EVIL()>|',
  '</script><script>EVIL()</script><!-- ]]> --> <![CDATA[ &evil; \u0000\ufffe\uffff',
  '"><svg onload=EVIL()> \' onmouseover=EVIL() x=',
  // Files that others read: dotenv, YAML, CSV, shell, sed.
  '\nEVIL=1\nexport EVIL=1',
  '\nevil: &a [*a]\n- ${EVIL} {{EVIL}} $(touch EVIL) `touch EVIL` $[[ inputs.EVIL ]]',
  '=cmd|\'/c calc\'!A0,"b";+1',
  "'; touch EVIL; '",
  's!a!b!e;w EVIL\ne touch EVIL',
];

/** Of all texts, one that is too long to be of use. */
export const LONG_WORD = 'long '.repeat(20_000);

const FORMS: Readonly<Record<string, RegExp>> = {
  // An element or an attribute that the page does not have itself.
  html: /<img src=x|<svg |<script>EVIL|onerror=EVIL\(\)>|href="javascript:/,
  md: /^\/(?:close|label)|<img src=x|<svg |<script>EVIL|!\[x\]\(https|\]\(javascript:/m,
  // oxlint-disable-next-line no-control-regex
  xml: /<img src=x|<svg |<script>|&evil;|[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/,
  env: /^(?:export )?EVIL|^[^A-Z]/m,
  yml: /^evil:|^- \$\{EVIL\}/m,
  log: /^(?:section_start:1700000000|::set-output|##vso)/m,
};

/** Why a text of a form is not harmless; undefined: it is. @param form as files end: html, md, xml, env, yml, log */
export function harmIn(text: string, form: string): string | undefined {
  // What is in a code span is only shown (CommonMark 0.31, section 6.1).
  const seen = form === 'md' ? text.replaceAll(/(?<!`)(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, '') : text;
  const found = FORMS[form]?.exec(seen);
  return found
    ? JSON.stringify(seen.slice(Math.max(0, found.index - 80), found.index + 80))
    : undefined;
}
