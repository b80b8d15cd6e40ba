import {registerHooks} from 'node:module';

/**
 * Reads a workflow of GitHub Actions with GitHub's own parser, which has the schema of workflows.
 * @returns what is wrong with it, expressions included
 */
export async function workflowProblems(name: string, content: string): Promise<readonly string[]> {
  // The parser imports JSON without the attribute that Node asks for.
  const hooks = registerHooks({
    load: (url, context, next) =>
      next(url, url.endsWith('.json') ? {...context, importAttributes: {type: 'json'}} : context),
  });
  try {
    const {convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow} = await import(
      '@actions/workflow-parser'
    );
    const {context, value} = parseWorkflow({name, content}, new NoOperationTraceWriter());
    if (value !== undefined) await convertWorkflowTemplate(context, value);
    return context.errors.getErrors().map(({message}) => message);
  } finally {
    hooks.deregister();
  }
}
